"""Markdown for a pull request or a job's summary: the sum first, details folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import singledispatch

from rbacguard.manifests.render import code, markdown
from rbacguard.output import wire
from rbacguard.output.names import chain, first_of, name
from rbacguard.output.results import (
    INCOMPLETE,
    SEVERITIES,
    Result,
    counting,
    results,
    subjects_by_change,
)

_MOST = 65_536
"""Characters that GitHub takes in a comment."""
_ROOM = 600
"""Characters kept for the note on what was left out."""


def to_markdown(report: wire.Report) -> str:
    """Return a report as GitHub's Markdown.

    Raises:
        FormatError: there is no such page of this report.
    """
    head, blocks = _page(report)
    text = f"{head}\n"
    for number, block in enumerate(blocks):
        if len(text) + len(block) > _MOST - _ROOM:
            left = len(blocks) - number
            text += (
                f"\n> **{left} more parts are left out**, since a comment takes {_MOST} "
                "characters; `-o table -v` shows everything.\n"
            )
            break
        text += f"\n{block}\n"
    return text


@singledispatch
def _page(report: wire.Report) -> tuple[str, list[str]]:
    """Return what stands at the top, and blocks that may be left out from the end."""
    found = results(report)
    command = report.made_by
    counted = Counter(e.severity for e in counting(found) if e.rule.id != INCOMPLETE.id)
    sums = ", ".join(f"{counted[s]} {s}" for s in SEVERITIES if counted[s])
    head = f"### rbacguard {command}: {sums or 'no findings'}"
    if isinstance(report, wire.AuditReport):
        head += f"\n\n{markdown(report.status.installed.label)}; {markdown(report.status.title)}."
    if isinstance(report, wire.VerifyReport):
        verdict = {True: "clean", False: "not clean", None: "not known"}[report.clean]
        head += f"\n\nVerdict: **{verdict}**."
    gaps = [each.message for each in found if each.rule.id == INCOMPLETE.id]
    head += _gaps(gaps)
    by_rule: dict[str, list[Result]] = {}
    for each in counting(found):
        if each.rule.id != INCOMPLETE.id:
            by_rule.setdefault(each.rule.id, []).append(each)
    known = [each for each in found if each.suppressed]
    parts = [part for same in by_rule.values() for part in _of_rule(same)]
    return head, [*parts, *([_known(known)] if known else [])]


def _known(found: Sequence[Result]) -> str:
    """Return the findings that do not count, shown all the same."""
    counted = Counter((each.rule.id, each.suppressed) for each in found)
    lines = [f"<details><summary>suppressed: {len(found)}</summary>", ""]
    lines += [
        f"- {count} of {code(rule)}: {markdown(why)}"
        for (rule, why), count in sorted(counted.items())
    ]
    return "\n".join([*lines, "", "</details>"])


def _gaps(gaps: Sequence[str]) -> str:
    if not gaps:
        return ""
    lines = "".join(f"\n> - {markdown(gap)}" for gap in gaps[:20])
    more = f"\n> - and {len(gaps) - 20} more" if len(gaps) > 20 else ""  # noqa: PLR2004
    return f"\n\n> **Not everything could be looked at:**\n>{lines}{more}"


_AT_ONCE = 50


def _of_rule(found: list[Result]) -> list[str]:
    """Return one rule's findings in blocks of a size that can be left out."""
    rule = found[0].rule
    parts = []
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        title = f"<b>{rule.severity}</b>: {_html(rule.title)} ({len(found)})"
        lines = [f"<details><summary>{title}</summary>", ""]
        for each in some:
            where = f" {code(f'{each.file}:{each.line}')}" if not each.chains else ""
            lines.append(f"- {markdown(each.message)}{where}")
            lines += [f"  - {code(chained)}" for chained in each.chains[:3]]
        if rule.remediation:
            lines += ["", f"What to do: {markdown(rule.remediation)}"]
        parts.append("\n".join([*lines, "", "</details>"]))
    return parts


def _html(text: str) -> str:
    return str(markdown(text)).replace("\\", "")


@_page.register
def _plan(report: wire.PlanReport) -> tuple[str, list[str]]:
    rows = [row for row in report.changes if not row.reading]
    subjects = subjects_by_change(rows)
    head = (
        f"### Live migration: {markdown(report.installed.label)} to "
        f"{markdown(f'{report.target} (KubeVirt {report.target_kubevirt})')}\n\n"
        f"If nothing is done, **{subjects['lost']} subjects lose it**, "
        f"{subjects['kept']} keep it, {subjects['gained']} gain it."
    )
    head += "".join(f"\n\n> **Mind:** {markdown(warning)}" for warning in report.warnings)
    head += _gaps(report.gaps)
    strategies = ["| way | keep by it | lose all the same | get more |", "|---|---|---|---|"]
    strategies += [
        f"| {markdown(s.title)}{' (recommended)' if s.recommended else ''} | {len(s.reached)} | "
        f"{len(s.missed)} | {len(s.more)} |"
        for s in report.strategies
    ]
    blocks = ["\n".join(strategies)]
    return head, [*blocks, *_changes(report, rows, ("lost", "gained", "kept"))]


@_page.register
def _diff(report: wire.DiffReport) -> tuple[str, list[str]]:
    before, after = markdown(report.before.label), markdown(report.after.label)
    count = sum(len(row.places) for row in report.changes)
    head = f"### Access: {before} to {after}\n\n{count} changes."
    return head + _gaps(report.gaps), _changes(report, report.changes, ("lost", "gained"))


def _changes(
    report: wire.PlanReport | wire.DiffReport,
    rows: Sequence[wire.ChangeModel],
    order: Sequence[str],
) -> list[str]:
    parts = []
    for change in order:
        items = [
            (
                *(name(row.subject), place.namespace or "(whole cluster)"),
                first_of(map(chain, wire.grants_of(report, row, place))),
            )
            for row in rows
            if row.change == change
            for place in row.places
        ]
        for start in range(0, len(items), _AT_ONCE):
            some = items[start : start + _AT_ONCE]
            lines = [f"<details><summary>{change}: {len(items)}</summary>", ""]
            lines += ["| who | where | by |", "|---|---|---|"]
            lines += [f"| {code(who)} | {code(where)} | {code(by)} |" for who, where, by in some]
            parts.append("\n".join([*lines, "", "</details>"]))
    return parts
