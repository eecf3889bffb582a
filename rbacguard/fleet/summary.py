"""The sum of a fleet: each cluster under one step and one result, what is alike said once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rbacguard.fleet.look import Command
from rbacguard.fleet.run import Answer
from rbacguard.output import wire
from rbacguard.output.exits import SEVERITIES

_STEPS = (
    *("before", "temporary-role-in-place", "updating", "updated-not-bound", "bound-not-cleaned-up"),
    *("done", "reverted", "unknown", ""),
)


def summarize(command: Command, answers: Iterable[Answer]) -> wire.FleetReport:
    """Add up answers as they come."""
    results: Counter[str] = Counter({"clean": 0, "findings": 0, "unknown": 0, "failed": 0})
    steps: dict[str, list[str]] = {}
    lost: dict[tuple[wire.SubjectModel, tuple[str | None, ...]], list[str]] = {}
    found: dict[wire.FleetFindingModel, list[str]] = {}
    unknown: list[wire.FleetProblemModel] = []
    failed: list[wire.FleetProblemModel] = []
    as_before = 0
    for answer in answers:
        each = answer.found
        as_before += answer.as_before
        results[each.result] += 1
        steps.setdefault(each.step, []).append(each.cluster)
        for loss in each.lost:
            lost.setdefault((loss.subject, tuple(loss.namespaces)), []).append(each.cluster)
        for finding in each.findings:
            found.setdefault(finding, []).append(each.cluster)
        if each.result == "failed":
            failed.append(wire.FleetProblemModel(cluster=each.cluster, reasons=[each.reason]))
        elif each.gaps or each.result == "unknown":
            unknown.append(wire.FleetProblemModel(cluster=each.cluster, reasons=each.gaps))
    return wire.FleetReport(
        command=command,
        clusters=results.total(),
        as_before=as_before,
        results=dict(results),
        steps=[
            wire.FleetStepModel(step=step, clusters=sorted(steps[step]))
            for step in sorted(steps, key=_STEPS.index)
        ],
        lost=[
            wire.FleetLossModel(subject=subject, namespaces=list(scopes), clusters=sorted(names))
            for (subject, scopes), names in sorted(lost.items(), key=_by_extent)
        ],
        findings=[
            wire.FleetFoundModel(
                rule=finding.rule,
                severity=finding.severity,
                message=finding.message,
                clusters=sorted(names),
            )
            for finding, names in sorted(found.items(), key=_by_severity)
        ],
        unknown=sorted(unknown, key=lambda each: each.cluster),
        failed=sorted(failed, key=lambda each: each.cluster),
    )


def _by_extent(
    item: tuple[tuple[wire.SubjectModel, tuple[str | None, ...]], list[str]],
) -> tuple[int, str, str, str, tuple[str, ...]]:
    (subject, scopes), names = item
    places = tuple(scope or "" for scope in scopes)
    return -len(names), subject.kind, subject.namespace or "", subject.name, places


def _by_severity(
    item: tuple[wire.FleetFindingModel, list[str]],
) -> tuple[int, int, str, str]:
    finding, names = item
    return -SEVERITIES.index(finding.severity), -len(names), finding.rule, finding.message
