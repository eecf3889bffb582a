"""The chains from subject to role as a graph: Graphviz DOT and Mermaid."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from itertools import pairwise

from rbacguard.errors import FormatError
from rbacguard.output import wire
from rbacguard.output.names import name
from rbacguard.text import visible

_MOST_EDGES = 450
"""Mermaid draws no more than 500 in a document (mermaid's maxEdges)."""
_MOST_TEXT = 45_000
_COLOURS = {"lost": "#b3261e", "gained": "#146c2e", "kept": "#5f6368"}

Edge = tuple[str, str, str]
"""From, to, and `lost`, `gained` or `kept`."""


def edges(report: wire.Report) -> tuple[Edge, ...]:
    """Return every step of every chain once: subject, binding, roles.

    Raises:
        FormatError: the report holds no chains.
    """
    found: dict[tuple[str, str], str] = {}
    for grant, change in _grants(report):
        nodes = [name(grant.subject), name(grant.binding), *map(name, grant.roles)]
        for step in pairwise(nodes):
            known = found.get(step)
            # What some keep and others lose by one step is kept.
            found[step] = change if known in (None, change) else "kept"
    return tuple((visible(a), visible(b), change) for (a, b), change in found.items())


@singledispatch
def _grants(report: object) -> Iterator[tuple[wire.GrantModel, str]]:
    raise FormatError(f"{type(report).__name__} holds no chains")


@_grants.register
def _audit(report: wire.AuditReport) -> Iterator[tuple[wire.GrantModel, str]]:
    yield from ((grant, "kept") for holder in report.holders for grant in holder.grants)


@_grants.register
def _plan(report: wire.PlanReport) -> Iterator[tuple[wire.GrantModel, str]]:
    yield from _changed(report)


@_grants.register
def _diff(report: wire.DiffReport) -> Iterator[tuple[wire.GrantModel, str]]:
    yield from _changed(report)


def _changed(report: wire.PlanReport | wire.DiffReport) -> Iterator[tuple[wire.GrantModel, str]]:
    """Yield what leads to migration; that somebody may look on is no way to it."""
    yield from (
        (grant, row.change)
        for row in report.changes
        if not row.reading
        for place in row.places
        for grant in wire.grants_of(report, row, place)
    )


@_grants.register
def _who_can(report: wire.WhoCanReport) -> Iterator[tuple[wire.GrantModel, str]]:
    yield from ((grant, "kept") for grant in report.grants)


@_grants.register
def _can_i(report: wire.CanIReport) -> Iterator[tuple[wire.GrantModel, str]]:
    yield from ((grant, "kept") for grant in report.grants)


@_grants.register
def _explain(report: wire.ExplainReport) -> Iterator[tuple[wire.GrantModel, str]]:
    yield from ((grant, "kept") for holder in report.holds for grant in holder.grants)


def to_dot(report: wire.Report) -> str:
    """Return a graph for Graphviz.

    Raises:
        FormatError: the report holds no chains.
    """
    found = edges(report)
    nodes = _numbered(found)
    lines = ["digraph rbac {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    lines += [f'  n{number} [label="{_dot(label)}"];' for label, number in nodes.items()]
    lines += [
        f'  n{nodes[a]} -> n{nodes[b]} [color="{_COLOURS[change]}", tooltip="{change}"];'
        for a, b, change in found
    ]
    return "\n".join([*lines, "}"]) + "\n"


def _dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def to_mermaid(report: wire.Report) -> str:
    """Return a flow chart for Mermaid; what is too much for it is left out, and said.

    Raises:
        FormatError: the report holds no chains.
    """
    found = edges(report)
    # What changes is shown before what stays.
    shown = sorted(found, key=lambda edge: edge[2] == "kept")[:_MOST_EDGES]
    text = _flowchart(shown, len(found))
    while len(text) > _MOST_TEXT:
        shown = shown[: len(shown) * 3 // 4]
        text = _flowchart(shown, len(found))
    return text


def _flowchart(shown: list[Edge], total: int) -> str:
    nodes = _numbered(shown)
    lines = ["flowchart LR"]
    if len(shown) < total:
        left = total - len(shown)
        lines.append(f'  more["{left} of {total} steps are left out"]:::lost')
    lines += [f'  n{number}["{_mermaid(label)}"]' for label, number in nodes.items()]
    lines += [f"  n{nodes[a]} --> n{nodes[b]}" for a, b, _ in shown]
    for change, colour in _COLOURS.items():
        numbers = [str(index) for index, edge in enumerate(shown) if edge[2] == change]
        if numbers:
            lines.append(f"  linkStyle {','.join(numbers)} stroke:{colour}")
    lines.append(f"  classDef lost stroke:{_COLOURS['lost']}")
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    """Return a label in which all but plain characters are Mermaid's entities."""
    return "".join(c if c.isalnum() or c in " .:/@_-" else f"#{ord(c)};" for c in text)


def _numbered(found: tuple[Edge, ...] | list[Edge]) -> dict[str, int]:
    labels = dict.fromkeys(label for a, b, _ in found for label in (a, b))
    return {label: number for number, label in enumerate(labels)}
