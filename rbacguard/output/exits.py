"""Exit codes, as documented in docs/cli.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rbacguard.output import wire

NOTHING_TO_DO: Final = 0
FINDINGS: Final = 1
WRONG_INPUT: Final = 2
INCOMPLETE: Final = 3
INTERRUPTED: Final = 130
NOT_READ: Final = 141
"""Whoever read the output closed it: what a shell says of SIGPIPE."""

SEVERITIES: Final = ("info", "low", "medium", "high", "critical")


def of_findings(report: wire.ByPolicy, fail_on: str) -> int:
    """Findings at or above the threshold, else whether everything could be looked at."""
    threshold = SEVERITIES.index(fail_on)
    counting = [finding for finding in report.findings if finding.suppressed is None]
    if any(SEVERITIES.index(finding.severity) >= threshold for finding in counting):
        return FINDINGS
    unknown = any(result.outcome == "unknown" for result in report.policies)
    return INCOMPLETE if unknown or report.coverage.gaps else NOTHING_TO_DO


def of_audit(report: wire.AuditReport, fail_on: str) -> int:
    """Return the exit code for findings; with a readiness report, the worse one of both."""
    codes = [of_findings(report, fail_on)]
    if report.readiness is not None:
        codes.append(of_readiness(report.readiness, fail_on))
    return FINDINGS if FINDINGS in codes else max(codes)


def of_plan(report: wire.PlanReport) -> int:
    """Somebody loses access; with gaps, whoever is listed is not certain."""
    if report.gaps:
        return INCOMPLETE
    lost = any(row.change == "lost" and not row.reading for row in report.changes)
    return FINDINGS if lost else NOTHING_TO_DO


def of_verify(report: wire.VerifyReport) -> int:
    """Clean, not clean, or not known."""
    return {True: NOTHING_TO_DO, False: FINDINGS, None: INCOMPLETE}[report.clean]


def of_can_i(report: wire.CanIReport) -> int:
    """Yes, no (as kubectl auth can-i has it), or not known."""
    return {True: NOTHING_TO_DO, False: FINDINGS, None: INCOMPLETE}[report.allowed]


def of_diff(report: wire.DiffReport) -> int:
    """No change, a change (as kubectl diff has it), or not known."""
    if report.gaps:
        return INCOMPLETE
    return FINDINGS if report.changes else NOTHING_TO_DO


def of_generate(report: wire.GenerateReport) -> int:
    """The folder differs, or the applier would be refused; or not all could be looked at."""
    if report.differences or (report.applier and report.applier.obstacles):
        return FINDINGS
    return of_gaps(report.gaps)


def of_approvals(report: wire.ApprovalsReport) -> int:
    """Something odd that weighs, or not all could be looked at."""
    if any(remark.weight != "info" for remark in report.remarks):
        return FINDINGS
    return INCOMPLETE if report.gaps else NOTHING_TO_DO


def of_compare(report: wire.CompareReport) -> int:
    """New findings or holders; or one of the two reports was incomplete."""
    if report.new or report.holders_new:
        return FINDINGS
    return of_gaps(report.gaps)


def of_fleet(report: wire.FleetReport) -> int:
    """As the command of one cluster would: a plan of what was not read whole is not certain."""
    incomplete = report.unknown or report.results["unknown"] or report.results["failed"]
    if report.command == "plan" and incomplete:
        return INCOMPLETE
    if report.results["findings"]:
        return FINDINGS
    return INCOMPLETE if incomplete else NOTHING_TO_DO


def of_lint(report: wire.LintReport, fail_on: str) -> int:
    """Findings at or above the threshold."""
    threshold = SEVERITIES.index(fail_on)
    counting = [finding for finding in report.findings if finding.suppressed is None]
    worst = max((SEVERITIES.index(each.severity) for each in counting), default=-1)
    return FINDINGS if worst >= threshold else NOTHING_TO_DO


def of_gaps(gaps: list[str]) -> int:
    """Complete or not."""
    return INCOMPLETE if gaps else NOTHING_TO_DO


def of_readiness(report: wire.ReadinessReport, fail_on: str) -> int:
    """A drain does not complete or something was found; else whether all is known."""
    if report.ready is False:
        return FINDINGS
    found = of_findings(report, fail_on)
    return INCOMPLETE if found == NOTHING_TO_DO and report.ready is None else found
