"""CSV for spreadsheets; what a spreadsheet would read as a formula is text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import singledispatch

from rbacguard.output import wire
from rbacguard.output.names import chain, name
from rbacguard.output.results import results
from rbacguard.text import visible

_FORMULA = ("=", "+", "-", "@", "|", "%", "\t", "\r")
_RESULTS = (
    *("severity", "rule", "message", "about", "namespace", "file", "line"),
    *("evidence", "commands", "fingerprint", "suppressed"),
)
_CHANGES = ("change", "subject", "namespace", "verb", "resource", "apiGroup", "directness", "by")
_GRANTS = ("subject", "namespace", "by")
_EVERYWHERE = "(whole cluster)"


def to_csv(report: wire.Report) -> str:
    """Return a report as CSV (RFC 4180).

    Raises:
        FormatError: the report is none of rows.
    """
    rows = iter(_rows(report))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
    return buffer.getvalue()


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet runs (OWASP, CSV injection)."""
    text = visible(cell)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


@singledispatch
def _rows(report: wire.Report) -> Iterator[Sequence[str]]:
    yield _RESULTS
    for each in results(report):
        yield (
            *(each.severity, each.rule.id, each.message, each.about),
            *(each.namespace or _EVERYWHERE, each.file, str(each.line)),
            *("; ".join(each.chains), "; ".join(each.commands), each.fingerprint, each.suppressed),
        )


@_rows.register
def _plan(report: wire.PlanReport) -> Iterator[Sequence[str]]:
    yield from _changes(report, [*report.changes, *report.related])


@_rows.register
def _diff(report: wire.DiffReport) -> Iterator[Sequence[str]]:
    yield from _changes(report, report.changes)


def _changes(
    report: wire.PlanReport | wire.DiffReport, rows: Iterable[wire.ChangeModel]
) -> Iterator[Sequence[str]]:
    yield _CHANGES
    for gap in report.gaps:
        yield ("unknown", gap, *[""] * (len(_CHANGES) - 2))
    for row in rows:
        for place in row.places:
            where = place.namespace or _EVERYWHERE
            for number in row.actions:
                action = report.asked[number]
                resource = "/".join(filter(None, (action.resource, action.subresource)))
                because = "; ".join(map(chain, wire.grants_of(report, row, place, number)))
                yield (
                    *(row.change, name(row.subject), where, action.verb),
                    *(resource, action.api_group, action.directness, because),
                )


@_rows.register
def _who_can(report: wire.WhoCanReport) -> Iterator[Sequence[str]]:
    yield _GRANTS
    for gap in report.gaps:
        yield ("unknown", gap, "")
    for grant in report.grants:
        yield (name(grant.subject), grant.namespace or _EVERYWHERE, chain(grant))
