"""JUnit XML: each policy or rule is a test case."""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from rbacguard.output import wire
from rbacguard.output.results import Case, cases, counting
from rbacguard.text import visible


def to_junit(report: wire.Report) -> str:
    """Return a report as JUnit XML; what is not known is an error, never a pass.

    Raises:
        FormatError: the report consists of no results.
    """
    suite = TestSuite(f"rbacguard {report.made_by}")
    for case in cases(report):
        suite.add_testcase(_case(case))
    suite.update_statistics()  # type: ignore[no-untyped-call]
    document = JUnitXml()
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    data: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return data.decode("utf-8") + "\n"


def _case(case: Case) -> TestCase:
    made = TestCase(visible(case.rule.title), f"rbacguard.{case.rule.id}")
    match case.outcome:
        case "failed" if not counting(case.results):
            made.result = [Skipped(f"suppressed: {case.results[0].suppressed}")]
        case "failed":
            found = counting(case.results)
            text = found[0].message if len(found) == 1 else f"{len(found)} findings"
            failure = Failure(text, case.rule.severity)
            failure.text = "\n".join(
                "\n  ".join((f"{r.file}:{r.line}: {r.severity}: {r.message}", *r.chains))
                for r in found
            )
            made.result = [failure]
        case "unknown":
            made.result = [Error(visible(case.reason) or "unknown", "unknown")]
        case "skipped":
            made.result = [Skipped(visible(case.reason))]
    return made
