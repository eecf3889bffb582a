"""What machines consume of a report: single results, whatever command found them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import singledispatch
from pathlib import Path, PurePath
from typing import Literal
from urllib.parse import quote

from msgspec import Struct

from rbacguard.errors import FormatError
from rbacguard.output import wire
from rbacguard.output.names import chain, name
from rbacguard.policy import fingerprint as identified
from rbacguard.text import visible

SEVERITIES = ("critical", "high", "medium", "low", "info")
"""Worst first."""
INCOMPLETE = wire.PolicyModel(
    id="incomplete-input",
    title="Not everything could be looked at",
    severity="medium",
    stage="any",
    rationale="A negative answer needs everything that it depends on; what is listed holds, and "
    "whether it is all is not known.",
    remediation="Read what is missing, with more permissions or from a complete dump.",
    commands=[],
    check="coverage",
    where="",
)
"""The rule under which gaps are shown, so that nothing reads as clean when something is missing."""

_CHECK_STAGE = "verify"
_WEIGHTS = {"error": "high", "warning": "medium", "info": "info"}


class Result(Struct, frozen=True):
    """One thing that was found.

    Attributes:
        rule: what found it.
        severity: one of `SEVERITIES`.
        message: what was found, on one line.
        about: the object or group of objects.
        namespace: where; '' for the whole cluster.
        file: a relative URI of where it stands; a made-up one for what was read from a cluster.
        line: from 1.
        column: from 1.
        fingerprint: stable between runs.
        chains: the evidence, such as `RoleBinding web/edit -> edit`.
        bindings: the bindings in the evidence.
        commands: what can be pasted.
        suppressed: why it does not count, or ''.
    """

    rule: wire.PolicyModel
    severity: str
    message: str
    about: str
    namespace: str
    file: str
    line: int
    column: int
    fingerprint: str
    chains: tuple[str, ...] = ()
    bindings: tuple[wire.ObjectModel, ...] = ()
    commands: tuple[str, ...] = ()
    suppressed: str = ""


class Case(Struct, frozen=True):
    """A rule and its result; `reason` explains the outcomes `skipped` and `unknown`."""

    rule: wire.PolicyModel
    outcome: Literal["failed", "passed", "skipped", "unknown"]
    results: tuple[Result, ...]
    reason: str


def results(report: wire.Report) -> tuple[Result, ...]:
    """Return every result, worst first, gaps included.

    Raises:
        FormatError: the report consists of no results, as that of `plan`.
    """
    found = [result for case in cases(report) for result in case.results]
    return tuple(
        sorted(found, key=lambda r: (SEVERITIES.index(r.severity), r.rule.id, r.file, r.line))
    )


@singledispatch
def cases(report: object) -> tuple[Case, ...]:
    """Return every rule that was asked and what it came to.

    Raises:
        FormatError: the report consists of no results, as that of `plan`.
    """
    raise FormatError(f"{type(report).__name__} has no results")


@cases.register
def _audit(report: wire.AuditReport) -> tuple[Case, ...]:
    return _by_policy(report, *([report.readiness] if report.readiness else []))


@cases.register(wire.ReadinessReport)
@cases.register(wire.MigrationsReport)
def _by_policy(*reports: wire.ByPolicy) -> tuple[Case, ...]:
    """Return the rules of all reports, and what any of them could not look at, each once."""
    place = _cluster(reports[0].coverage)
    found: list[Case] = []
    missing: dict[str, None] = {}
    for report in reports:
        by_rule: dict[str, list[Result]] = {}
        for finding in report.findings:
            rule = _rule_of(report, finding.policy)
            by_rule.setdefault(finding.policy, []).append(_of_finding(finding, rule, place))
        missing |= dict.fromkeys(report.coverage.gaps)
        for each in report.policies:
            own = tuple(by_rule.get(each.policy.id, ()))
            found.append(Case(each.policy, each.outcome, own, each.reason))
            if each.outcome == "unknown":
                missing[f"policy {each.policy.id} is unknown: {each.reason}"] = None
    return (*found, *_incomplete(list(missing), place))


def _rule_of(report: wire.ByPolicy, policy_id: str) -> wire.PolicyModel:
    return next(each.policy for each in report.policies if each.policy.id == policy_id)


def _of_finding(finding: wire.FindingModel, rule: wire.PolicyModel, place: str) -> Result:
    located = finding.locations[0] if finding.locations and not place else None
    return Result(
        rule=rule,
        severity=finding.severity,
        message=visible(finding.message),
        about=visible(finding.group),
        namespace=visible(finding.namespace or ""),
        file=_uri(located.file) if located else f"{place or 'cluster'}/{quote(finding.group)}",
        line=max(located.line, 1) if located else 1,
        column=1,
        fingerprint=finding.fingerprint,
        chains=_chains(finding.grants),
        bindings=tuple({name(g.binding): g.binding for g in finding.grants}.values()),
        commands=tuple(finding.commands),
        suppressed=_why(finding.suppressed),
    )


def _why(known: wire.Suppressed | None) -> str:
    if known is None:
        return ""
    until = f", until {known.expires}" if known.expires else ""
    owner = f" by {known.owner}" if known.owner else ""
    return visible(f"{known.by}{owner}: {known.reason}{until}")


def counting(found: Iterable[Result]) -> tuple[Result, ...]:
    """Return those that count: not suppressed."""
    return tuple(each for each in found if not each.suppressed)


@cases.register
def _lint(report: wire.LintReport) -> tuple[Case, ...]:
    found: dict[str, list[Result]] = {}
    rules = {rule.id: rule for rule in report.rules}
    for each in report.findings:
        result = Result(
            rule=rules[each.rule],
            severity=each.severity,
            message=visible(each.message),
            about=visible(name(each.object)) if each.object else "",
            namespace=visible((each.object.namespace or "") if each.object else ""),
            file=_uri(each.file),
            line=each.line,
            column=each.column,
            fingerprint=each.fingerprint,
            suppressed=_why(each.suppressed),
        )
        found.setdefault(each.rule, []).append(result)
    return tuple(
        Case(rule, "failed" if rule.id in found else "passed", tuple(found.get(rule.id, ())), "")
        for rule in report.rules
    )


@cases.register
def _verify(report: wire.VerifyReport) -> tuple[Case, ...]:
    place = _cluster(report.coverage)
    found = []
    for check in report.checks:
        rule = wire.PolicyModel(
            id=check.id,
            title=check.title,
            severity="medium" if check.result == "unknown" else "high",
            stage=_CHECK_STAGE,
            rationale="",
            remediation=check.next,
            commands=[],
            check=_CHECK_STAGE,
            where="",
        )
        details = check.details or ([check.title] if check.result != "passed" else [])
        single = tuple(
            Result(
                rule=rule,
                severity=rule.severity,
                message=visible(f"{check.result}: {detail}"),
                about=check.id,
                namespace="",
                file=f"{place or 'cluster'}/{check.id}",
                line=1,
                column=1,
                fingerprint=identified(check.id, detail),
                chains=_chains(check.grants),
                bindings=tuple({name(g.binding): g.binding for g in check.grants}.values()),
            )
            for detail in details
        )
        if check.result == "passed":
            found.append(Case(rule, "passed", (), ""))
        elif check.result == "failed":
            found.append(Case(rule, "failed", single, ""))
        else:
            found.append(Case(rule, "unknown", single, "; ".join(check.details)))
    return tuple(found)


@cases.register
def _approvals(report: wire.ApprovalsReport) -> tuple[Case, ...]:
    found: dict[str, list[wire.RemarkModel]] = {}
    for remark in report.remarks:
        found.setdefault(remark.id, []).append(remark)
    made = []
    for key, remarks in found.items():
        severity = min((_WEIGHTS[r.weight] for r in remarks), key=SEVERITIES.index)
        rule = wire.PolicyModel(
            id=key,
            title=key.replace("-", " "),
            severity=severity,
            stage="approvals",
            rationale="",
            remediation="",
            commands=[],
            check="approvals",
            where="",
        )
        single = tuple(
            Result(
                rule=rule,
                severity=_WEIGHTS[each.weight],
                message=visible(f"{each.place}: {each.message}"),
                about=visible(name(each.subject)),
                namespace="",
                file=_uri(report.file),
                line=1,
                column=1,
                fingerprint=identified(key, each.place, each.message),
            )
            for each in remarks
        )
        made.append(Case(rule, "failed", single, ""))
    return (*made, *_incomplete(report.gaps, ""))


def _incomplete(gaps: Sequence[str], place: str) -> tuple[Case, ...]:
    if not gaps:
        return ()
    found = tuple(
        Result(
            rule=INCOMPLETE,
            severity=INCOMPLETE.severity,
            message=visible(gap),
            about="the input",
            namespace="",
            file=f"{place or 'cluster'}/incomplete-input",
            line=1,
            column=1,
            fingerprint=identified(INCOMPLETE.id, gap),
        )
        for gap in gaps
    )
    return (Case(INCOMPLETE, "unknown", found, "; ".join(map(visible, gaps))),)


def _chains(grants: Iterable[wire.GrantModel]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(visible(f"{name(g.subject)}: {chain(g)}") for g in grants))


def _cluster(coverage: wire.CoverageModel) -> str:
    """Return a made-up folder for what was read from a cluster, '' for files."""
    if coverage.origin is None:
        return ""
    known = coverage.origin.context or coverage.origin.cluster_id or "cluster"
    return f"clusters/{quote(known, safe='')}"


def _uri(file: str) -> str:
    """Return a file as a relative URI, as code scanning wants it."""
    if file == "-":
        return "stdin"
    path = PurePath(file.partition("#items[")[0])
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    text = path.as_posix().lstrip("/").removeprefix("./")
    return quote(text, safe="/")


def subjects_by_change(rows: Iterable[wire.ChangeModel]) -> dict[str, int]:
    """Return how many subjects lose, keep and gain what leads to migration."""
    found: dict[str, set[str]] = {"lost": set(), "kept": set(), "gained": set()}
    for row in rows:
        if not row.reading:
            found[row.change].add(name(row.subject))
    return {change: len(subjects) for change, subjects in found.items()}
