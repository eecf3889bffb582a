"""One self-contained HTML file for auditors: no request to anywhere, readable on paper."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import singledispatch
from typing import Any

import msgspec
from msgspec.structs import replace

from rbacguard import __version__
from rbacguard.bundled import bundled
from rbacguard.errors import FormatError
from rbacguard.manifests.render import render
from rbacguard.output import migrations, readiness, wire
from rbacguard.output.graph import Edge, edges
from rbacguard.output.names import chain, name
from rbacguard.output.results import INCOMPLETE, SEVERITIES, Result, results, subjects_by_change
from rbacguard.text import visible

_EVERYWHERE = "(whole cluster)"


class _Table:
    """The rows of the table, each text once, so that 50,000 grants stay a few megabytes."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.chains: dict[str, int] = {}
        self.actions: dict[str, int] = {}
        self.rows: list[tuple[int, int, int, int, str, list[int]]] = []

    def name(self, text: str) -> int:
        return self.names.setdefault(visible(text), len(self.names))

    def chain(self, text: str) -> int:
        return self.chains.setdefault(visible(text), len(self.chains))

    def mask(self, actions: Iterable[str]) -> int:
        found = 0
        for action in actions:
            found |= 1 << self.actions.setdefault(action, len(self.actions))
        return found

    def edges(self, found: Iterable[Edge]) -> list[list[int | str]]:
        return [[self.name(a), self.name(b), change] for a, b, change in found]


def to_html(report: wire.Report) -> str:
    """Return a report as a page; it names the time at which it was made.

    Raises:
        FormatError: there is no page of this report.
    """
    style, script = (
        (bundled("templates") / f"report.{kind}").read_text("utf-8") for kind in ("css", "js")
    )
    table = _Table()
    values = _page(report, table)
    data = {
        "names": list(table.names),
        "chains": list(table.chains),
        "actions": list(table.actions),
        "rows": table.rows,
        "edges": values.pop("edges"),
    }
    return render(
        "report.html.j2",
        **{
            "strategies": [],
            "rules": [],
            "warnings": [],
            "sections": [],
            "compares": False,
            **values,
        },
        data=data,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        version=__version__,
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


@singledispatch
def _page(report: object, _table: _Table) -> dict[str, Any]:
    raise FormatError(f"{type(report).__name__} has no page")


@_page.register
def _audit(report: wire.AuditReport, table: _Table) -> dict[str, Any]:
    for holder in report.holders:
        chains: dict[str, list[int]] = {}
        for grant in holder.grants:
            chains.setdefault(grant.namespace or "", []).append(table.chain(chain(grant)))
        mask = table.mask(_short(a.verb, a.resource, a.subresource) for a in holder.actions)
        for scope in [_EVERYWHERE] if holder.namespaces is None else holder.namespaces:
            own = chains.get("" if scope == _EVERYWHERE else scope, [])
            by = sorted({*own, *chains.get("", [])})
            row = (table.name(name(holder.subject)), table.name(scope), mask, 0, "kept", by)
            table.rows.append(row)
    every = results(report)
    found = [each for each in every if each.rule.id != INCOMPLETE.id]
    counted = Counter(each.severity for each in found if not each.suppressed)
    sums = ", ".join(f"{counted[s]} {s}" for s in SEVERITIES if counted[s]) or "none"
    drains, coverage = report.readiness, report.coverage
    if drains is not None:
        kinds = {each.kind: each for each in (*coverage.kinds, *drains.coverage.kinds)}
        coverage = replace(coverage, kinds=list(kinds.values()))
    return {
        "title": "rbacguard audit: who may migrate virtual machines",
        "summary": [
            f"Installed: {report.status.installed.label}. {report.status.title}.",
            f"Findings: {sums}. Next: {report.status.next}",
            *(_answers(drains) if drains else ()),
        ],
        "sections": _sections(readiness.sections(drains) if drains else ()),
        "warnings": report.exemptions,
        "gaps": [each.message for each in every if each.rule.id == INCOMPLETE.id],
        "rules": _rules(found),
        "pictures": [("now", "Now")],
        "edges": {"now": table.edges(edges(report))},
        "evidence": _evidence(
            coverage,
            [each.policy for part in (report, drains) if part for each in part.policies],
        ),
    }


@_page.register
def _readiness(report: wire.ReadinessReport, _table: _Table) -> dict[str, Any]:
    page = _findings_page(report, readiness.sections(report))
    return {
        **page,
        "title": "rbacguard readiness: will the drains complete",
        "summary": [*_answers(report), *page["summary"]],
    }


def _answers(report: wire.ReadinessReport) -> list[str]:
    return [f"Ready: {readiness.ANSWERS[report.ready]}.", f"VMs: {readiness.vm_counts(report)}."]


@_page.register
def _migrations(report: wire.MigrationsReport, _table: _Table) -> dict[str, Any]:
    return {
        **_findings_page(report, migrations.sections(report, everything=True)),
        "title": "rbacguard migrations: under way, failed, and who asked",
    }


def _findings_page(
    report: wire.ReadinessReport | wire.MigrationsReport, sections: Sequence[readiness.Section]
) -> dict[str, Any]:
    every = results(report)
    found = [each for each in every if each.rule.id != INCOMPLETE.id]
    counted = Counter(each.severity for each in found if not each.suppressed)
    sums = ", ".join(f"{counted[s]} {s}" for s in SEVERITIES if counted[s]) or "none"
    return {
        "summary": [f"Findings: {sums}."],
        "warnings": report.exemptions,
        "gaps": [each.message for each in every if each.rule.id == INCOMPLETE.id],
        "rules": _rules(found),
        "sections": _sections(sections),
        "pictures": [],
        "edges": {},
        "evidence": _evidence(report.coverage, [each.policy for each in report.policies]),
    }


def _sections(
    found: Iterable[readiness.Section],
) -> list[tuple[str, str, Sequence[str], list[list[str]]]]:
    return [
        (
            f"section-{number}",
            each.title[:1].upper() + each.title[1:],
            each.columns,
            [[visible(cell) for cell in row] for row in each.rows],
        )
        for number, each in enumerate(found, 1)
    ]


def _rules(
    found: Iterable[Result],
) -> list[tuple[wire.PolicyModel, list[dict[str, Any]], list[str]]]:
    """Return each policy with its findings, and the commands of all of them, each once."""
    by_rule: dict[str, tuple[wire.PolicyModel, list[dict[str, Any]]]] = {}
    commands: dict[str, dict[str, None]] = {}
    for each in found:
        shown = {
            "message": each.message,
            "chains": each.chains[:10],
            "bindings": [name(binding) for binding in each.bindings],
            "suppressed": each.suppressed,
        }
        by_rule.setdefault(each.rule.id, (each.rule, []))[1].append(shown)
        commands.setdefault(each.rule.id, {}).update(dict.fromkeys(each.commands))
    return [(rule, results, list(commands[rule.id])) for rule, results in by_rule.values()]


@_page.register
def _plan(report: wire.PlanReport, table: _Table) -> dict[str, Any]:
    def actions(row: wire.ChangeModel) -> list[str]:
        found = wire.actions_of(report, row)
        return [_short(each.verb, each.resource, each.subresource) for each in found]

    rows = [row for row in report.changes if not row.reading]
    by_place: dict[tuple[str, str], list[tuple[wire.ChangeModel, wire.PlaceModel]]] = {}
    for row in rows:
        for place in row.places:
            key = (name(row.subject), place.namespace or _EVERYWHERE)
            by_place.setdefault(key, []).append((row, place))
    for (who, where), same in by_place.items():
        before = table.mask(a for row, _ in same if row.change != "gained" for a in actions(row))
        after = table.mask(a for row, _ in same if row.change != "lost" for a in actions(row))
        changes = {row.change for row, _ in same}
        change = next(c for c in ("lost", "gained", "kept") if c in changes)
        by = sorted(
            {
                table.chain(chain(g))
                for row, place in same
                for g in wire.grants_of(report, row, place)
            }
        )
        table.rows.append((table.name(who), table.name(where), before, after, change, by))
    counts = subjects_by_change(rows)
    sums = (
        f"If nothing is done, {counts['lost']} subjects lose live migration, "
        f"{counts['kept']} keep it and {counts['gained']} gain it."
    )
    found = edges(report)
    now = [edge for edge in found if edge[2] != "gained"]
    then = [edge for edge in found if edge[2] != "lost"]
    return {
        "title": f"Live migration: {report.installed.label} to {report.target} "
        f"(KubeVirt {report.target_kubevirt})",
        "summary": [sums],
        "warnings": report.warnings,
        "gaps": report.gaps,
        "strategies": report.strategies,
        "compares": True,
        "pictures": [("before", "Before the update"), ("after", "After the update")],
        "edges": {"before": table.edges(now), "after": table.edges(then)},
        "evidence": _evidence(report.coverage, []),
    }


def _short(verb: str, resource: str, subresource: str) -> str:
    short = "VMIM" if resource == "virtualmachineinstancemigrations" else resource
    return f"{verb} {short}{'/' if subresource else ''}{subresource}"


def _evidence(
    coverage: wire.CoverageModel, policies: Sequence[wire.PolicyModel]
) -> list[tuple[str, str]]:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    found = [("Made", f"{now} by rbacguard {__version__}")]
    found += [
        (f"Input {each.path}", f"{each.files} files, sha256 {each.sha256}")
        for each in coverage.inputs
    ]
    if coverage.origin is not None:
        origin = coverage.origin
        found += [
            ("Cluster", f"{origin.context} {origin.server} (id {origin.cluster_id or 'unknown'})"),
            ("Kubernetes", origin.server_version or "unknown"),
            ("Read", f"{origin.started} to {origin.finished} as {origin.user}"),
        ]
    found += [
        (f"{kind.kind}s", f"{kind.state}, {kind.count}" + "".join(f"; {r}" for r in kind.reasons))
        for kind in coverage.kinds
    ]
    if policies:
        text = json.dumps(msgspec.to_builtins(policies), sort_keys=True)
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        found.append(("Policies", f"{len(policies)}, sha256 {digest}"))
    return found
