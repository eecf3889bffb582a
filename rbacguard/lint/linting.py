"""Runs the rules over a repository."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from msgspec import Struct

from rbacguard.kubevirt.releases import RELEASES, Release
from rbacguard.lint.reading import (
    FieldPath,
    Manifest,
    Passed,
    Repository,
    SourceFile,
    read_repository,
)
from rbacguard.lint.rules import NOT_READABLE, RULES, Edit, LintRule, Setting, is_temporary
from rbacguard.policy import Selection, fingerprint
from rbacguard.rbac import ObjectKey
from rbacguard.validation import schema_version

# What a rule of its own says better, the general one need not repeat.
_GENERAL = "not-valid"


class LintRequest(Struct, frozen=True):
    """What to check against.

    Attributes:
        today: the day that expiry dates are compared with.
        release: what the cluster runs; None if that is not known.
        kubernetes: Kubernetes version such as `1.33`; '' follows the release.
        known_roles: patterns of ClusterRoles that something else installs.
        selection: which rules are asked.
    """

    today: datetime.date
    release: Release | None = None
    kubernetes: str = ""
    known_roles: tuple[str, ...] = ()
    selection: Selection = Selection()

    @property
    def kubernetes_version(self) -> str:
        """The Kubernetes version to validate for; by default the newest that is known."""
        return self.kubernetes or (self.release or RELEASES[-2]).kubernetes_version


class LintFinding(Struct, frozen=True):
    """Something wrong in a file.

    Attributes:
        rule: the rule that found it.
        message: what is wrong.
        object: the object it is about; None where the file cannot be read.
        path: the field.
        file: where.
        document: which document of the file, counted from 1.
        line: from 1.
        column: from 1, in characters.
        edits: what mends it, if that is safe.
        fingerprint: stable between runs, whatever the line.
    """

    rule: LintRule
    message: str
    object: ObjectKey | None
    path: FieldPath
    file: SourceFile
    document: int
    line: int
    column: int
    edits: tuple[Edit, ...]
    fingerprint: str


class Linting(Struct, frozen=True):
    """What came out.

    Attributes:
        findings: by file and line.
        objects: how many RBAC objects were checked.
        files: how many files were looked at.
        passed: files that were passed over.
        others: how many objects were of other kinds.
        kubernetes_version: the version validated for.
        not_asked: what could not be asked, and what would make it possible.
        rules: the rules that were asked.
    """

    findings: tuple[LintFinding, ...]
    objects: int
    files: int
    passed: tuple[Passed, ...]
    others: int
    kubernetes_version: str
    not_asked: tuple[str, ...]
    rules: tuple[LintRule, ...]


def lint(paths: Iterable[str], request: LintRequest) -> Linting:
    """Check the RBAC manifests in files, in folders, or on standard input (`-`).

    Raises:
        InputError: one that was named does not exist or cannot be read.
        OutputError: there is no schema of that Kubernetes version.
    """
    return lint_repository(read_repository(paths), request)


def lint_repository(repository: Repository, request: LintRequest) -> Linting:
    """Check what was read.

    Raises:
        OutputError: there is no schema of that Kubernetes version.
    """
    schema_version(request.kubernetes_version)
    rules = [rule for rule in RULES if request.selection.includes(rule.selectors)]
    setting = Setting(
        defined=frozenset(
            each.key for each in repository.manifests if each.key.kind in ("Role", "ClusterRole")
        ),
        kubernetes_version=request.kubernetes_version,
        release=request.release,
        today=request.today,
        known_roles=request.known_roles,
    )
    found = [
        finding for each in repository.manifests for finding in _of_manifest(each, setting, rules)
    ]
    found += [
        LintFinding(
            NOT_READABLE,
            each.message,
            None,
            (),
            each.file,
            0,
            each.line,
            each.column,
            (),
            fingerprint(NOT_READABLE.id, each.file.name),
        )
        for each in repository.unreadable
        if NOT_READABLE in rules
    ]
    found.sort(key=lambda each: (each.file.name, each.line, each.column, each.rule.id))
    temporary = sum(is_temporary(each) for each in repository.manifests)
    not_asked: tuple[str, ...] = ()
    if temporary and request.release is None:
        when = "whether it is time to delete the temporary role"
        not_asked = (f"{when} ({temporary} found): tell with --release what the cluster runs",)
    return Linting(
        tuple(found),
        len(repository.manifests),
        repository.files,
        repository.passed,
        repository.others,
        setting.kubernetes_version,
        not_asked,
        tuple(rules),
    )


def _of_manifest(
    manifest: Manifest, setting: Setting, rules: Iterable[LintRule]
) -> Iterator[LintFinding]:
    said: list[FieldPath] = []
    for rule in sorted(rules, key=lambda rule: rule.id == _GENERAL):
        for remark in rule.check(manifest, setting) if rule.check else ():
            if rule.id == _GENERAL and any(_within(remark.path, path) for path in said):
                continue
            said.append(remark.path)
            line, column = manifest.mark(remark.path)
            yield LintFinding(
                rule,
                remark.message,
                manifest.key,
                remark.path,
                manifest.file,
                manifest.document,
                line,
                column,
                remark.edits,
                fingerprint(rule.id, str(manifest.key), *map(str, remark.path)),
            )


def _within(path: FieldPath, other: FieldPath) -> bool:
    """Whether a field is the other or below it."""
    return bool(other) and path[: len(other)] == other
