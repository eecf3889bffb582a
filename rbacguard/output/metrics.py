"""Metrics for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from collections import Counter

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from rbacguard.output import wire
from rbacguard.output.results import (
    INCOMPLETE,
    SEVERITIES,
    cases,
    counting,
    results,
    subjects_by_change,
)


def to_prometheus(report: wire.Report) -> str:
    """Return a report as metrics, each rule and severity with its count, none left out.

    Raises:
        FormatError: the report has nothing to count.
    """
    registry = CollectorRegistry()
    if isinstance(report, wire.PlanReport):
        _plan(report, registry)
        return generate_latest(registry).decode("utf-8")
    kind = report.made_by
    found = results(report)
    counted = Counter(each.severity for each in counting(found))
    by_severity = _gauge("findings", "Findings by severity.", ["report", "severity"], registry)
    for severity in SEVERITIES:
        by_severity.labels(kind, severity).set(counted[severity])
    suppressed = _gauge("suppressed", "Findings that do not count.", ["report"], registry)
    suppressed.labels(kind).set(len(found) - len(counting(found)))
    by_rule = _gauge("rule_findings", "Findings by rule.", ["report", "rule"], registry)
    unknown = _gauge(
        "rule_unknown", "1 if the result of the rule is unknown.", ["report", "rule"], registry
    )
    known = cases(report)
    for case in known:
        by_rule.labels(kind, case.rule.id).set(len(counting(case.results)))
        unknown.labels(kind, case.rule.id).set(case.outcome == "unknown")
    complete = not any(case.outcome == "unknown" for case in known)
    _complete(kind, registry, complete=complete)
    if isinstance(report, wire.AuditReport):
        holders = {(h.subject.kind, h.subject.namespace, h.subject.name) for h in report.holders}
        _gauge("holders", "Subjects that hold live migration.", [], registry).set(len(holders))
    if isinstance(report, wire.VerifyReport):
        clean = _gauge("verify_clean", "1 clean, 0 not clean, -1 not known.", [], registry)
        clean.set({True: 1, False: 0, None: -1}[report.clean])
    return generate_latest(registry).decode("utf-8")


def _plan(report: wire.PlanReport, registry: CollectorRegistry) -> None:
    gauge = _gauge("plan_subjects", "Subjects by what happens to them.", ["change"], registry)
    for change, count in subjects_by_change(report.changes).items():
        gauge.labels(change).set(count)
    _complete("plan", registry, complete=not report.gaps)


def _complete(kind: str, registry: CollectorRegistry, *, complete: bool) -> None:
    text = f"1 if everything could be looked at; else see {INCOMPLETE.id}."
    _gauge("complete", text, ["report"], registry).labels(kind).set(complete)


def _gauge(name: str, text: str, labels: list[str], registry: CollectorRegistry) -> Gauge:
    return Gauge(f"rbacguard_{name}", text, labels, registry=registry)
