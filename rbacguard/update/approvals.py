"""Approvals: the reviewed file that says who may migrate where."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml as pyyaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rbacguard.errors import InputError
from rbacguard.kubevirt.permissions import Tier, live_migration
from rbacguard.rbac import Subject
from rbacguard.snapshot import Snapshot
from rbacguard.sources import State, yaml
from rbacguard.update.access import holdings
from rbacguard.update.bindings import Need, smallest

MAX_BYTES = 64 * 1024 * 1024


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


Name = Annotated[str, Field(min_length=1)]


class ApprovedSubject(_Model):
    """A user, a group or a service account."""

    kind: Literal["User", "Group", "ServiceAccount"]
    name: Name
    namespace: str = ""

    @model_validator(mode="after")
    def _namespace_fits(self) -> ApprovedSubject:
        if self.kind == "ServiceAccount" and not self.namespace:
            raise ValueError("a ServiceAccount needs its namespace")
        if self.kind != "ServiceAccount" and self.namespace:
            raise ValueError(f"a {self.kind} has no namespace")
        return self

    @property
    def subject(self) -> Subject:
        """The subject as bindings name it."""
        return Subject(self.kind, self.name, self.namespace)


class _Scoped(_Model):
    subject: ApprovedSubject
    namespaces: list[Name] = Field(default_factory=list)
    cluster_wide: bool = Field(default=False, alias="clusterWide")
    reason: str = ""

    @model_validator(mode="after")
    def _one_scope(self) -> _Scoped:
        if bool(self.namespaces) == self.cluster_wide:
            raise ValueError("give either namespaces or clusterWide: true")
        return self

    @property
    def needs(self) -> tuple[Need, ...]:
        """One need for each scope."""
        scopes = self.namespaces or [""]
        return tuple(Need(scope, self.subject.subject) for scope in scopes)


class Approval(_Scoped):
    """A decision: may this subject migrate virtual machines there."""

    approved: bool
    owner: str = ""
    ticket: str = ""
    expires: datetime.date | None = Field(default=None, strict=False)


class OwnHolder(_Scoped):
    """Somebody who holds migration by grants of his own: is that known and accepted."""

    accepted: bool


class MigrationAccess(_Model):
    """The approvals file."""

    api_version: Literal["rbacguard.io/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["MigrationAccess"]
    approvals: list[Approval] = Field(default_factory=list)
    holders: list[OwnHolder] = Field(default_factory=list)

    def approved(self, today: datetime.date) -> tuple[Need, ...]:
        """Return what is approved and has not expired; a day that is over does not count."""
        return smallest(
            need
            for approval in self.approvals
            if approval.approved and (approval.expires is None or approval.expires >= today)
            for need in approval.needs
        )

    def expired(self, today: datetime.date) -> tuple[Need, ...]:
        """Return what was approved until a day that is over."""
        return tuple(
            need
            for approval in self.approvals
            if approval.approved and approval.expires is not None and approval.expires < today
            for need in approval.needs
        )

    def accepted_needs(self) -> frozenset[Need]:
        """Return who is known to hold migration by grants of his own."""
        return frozenset(
            need for holder in self.holders if holder.accepted for need in holder.needs
        )


def load_approvals(path: str) -> MigrationAccess:
    """Read an approvals file.

    Raises:
        InputError: with the field, what was expected and what was found; also when two decisions
            contradict each other.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES} bytes, expected an approvals file")
    try:
        found = list(yaml.documents(data))
    except pyyaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: not well-formed YAML: {error.problem}") from None
    except (pyyaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not well-formed UTF-8 YAML: {reason}") from None
    if len(found) != 1:
        raise InputError(f"{path}: expected one MigrationAccess document, found {len(found)}")
    if found[0].duplicates:
        key, line_number = found[0].duplicates[0]
        raise InputError(f"{path}, line {line_number}: key {key!r} is given twice")
    return parse_approvals(found[0].value, path)


def parse_approvals(value: object, path: str = "approvals") -> MigrationAccess:
    """Check plain values against the model.

    Raises:
        InputError: see `load_approvals`.
    """
    try:
        access = MigrationAccess.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{path}: {_first(error)}") from None
    decisions: dict[Need, bool] = {}
    for index, approval in enumerate(access.approvals):
        for need in approval.needs:
            if decisions.setdefault(need, approval.approved) != approval.approved:
                where = need.namespace or "the whole cluster"
                raise InputError(
                    f"{path}: approvals[{index}]: {need.subject} in {where} is approved in one "
                    "entry and not in another; keep one of them"
                )
    return access


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
    ).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    found: Any = first.get("input")
    shown = f", found {found!r}" if isinstance(found, str | int | float | bool) else ""
    advice = "; quote it" if first["type"] == "string_type" and shown else ""
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown field"
    return f"{place or 'document'}: {message[0].lower() + message[1:]}{shown}{advice}"


def doubts(access: MigrationAccess, snapshot: Snapshot) -> tuple[str, ...]:
    """Return a warning for each name that the snapshot does not know, and each wider scope."""
    known = {subject for binding in snapshot.bindings for subject in binding.subjects}
    names = {(s.kind, s.name) for s in known}
    users = {user for members in snapshot.groups.values() for user in members}
    warnings: dict[str, None] = {}
    held_now = holdings(snapshot, live_migration().of(Tier.DIRECT))
    for entry in (*access.approvals, *access.holders):
        for namespace in entry.namespaces:
            if namespace not in snapshot.namespaces:
                warnings[f"namespace {namespace} is not in the input"] = None
        subject = entry.subject.subject
        if isinstance(entry, Approval) and entry.approved and entry.cluster_wide:
            scopes = {s for held, each in held_now.items() if held.subject == subject for s in each}
            if scopes and "" not in scopes:
                warnings[
                    f"{subject} is approved in the whole cluster, but holds migration in "
                    f"{len(scopes)} namespaces only"
                ] = None
        if subject.kind == "ServiceAccount":
            if snapshot.coverage.kinds["ServiceAccount"].state is State.READ:
                seen = (subject.namespace, subject.name) in snapshot.service_accounts
            else:
                seen = subject.namespace in snapshot.namespaces
        else:
            seen = (
                (subject.kind, subject.name) in names
                or (subject.kind == "User" and subject.name in users)
                or (subject.kind == "Group" and subject.name in snapshot.groups)
                or subject.name.startswith("system:")
            )
        if not seen:
            warnings[f"{subject} is named nowhere in the input; is it spelt right?"] = None
    return tuple(warnings)


def proposal(
    needs: Iterable[Need], holders: Iterable[Need], reasons: Mapping[Need, str]
) -> MigrationAccess:
    """Return an approvals file to review: nothing in it is approved or accepted."""

    def grouped(items: Iterable[Need]) -> dict[Subject, list[str]]:
        found: dict[Subject, list[str]] = {}
        for need in sorted(items, key=lambda n: (n.subject, n.namespace)):
            found.setdefault(need.subject, []).append(need.namespace)
        return found

    def entry(subject: Subject, scopes: list[str]) -> dict[str, Any]:
        named = ApprovedSubject(
            kind=cast("Literal['User', 'Group', 'ServiceAccount']", subject.kind),
            name=subject.name,
            namespace=subject.namespace,
        )
        if "" in scopes:
            return {"subject": named, "cluster_wide": True}
        return {"subject": named, "namespaces": scopes}

    return MigrationAccess(
        api_version="rbacguard.io/v1alpha1",
        kind="MigrationAccess",
        approvals=[
            Approval(approved=False, reason=reasons.get(Need(scopes[0], s), ""), **entry(s, scopes))
            for s, scopes in grouped(needs).items()
        ],
        holders=[
            OwnHolder(
                accepted=False, reason=reasons.get(Need(scopes[0], s), ""), **entry(s, scopes)
            )
            for s, scopes in grouped(holders).items()
        ],
    )
