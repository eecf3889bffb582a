"""The report of `rbacguard readiness`, and its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from rbacguard.output import wire
from rbacguard.output.reports import by_policy, coverage_of
from rbacguard.readiness.assessment import OPTIONAL_KINDS, Readiness
from rbacguard.readiness.drain import NodeDrain
from rbacguard.readiness.duration import round_up
from rbacguard.readiness.eviction import Eviction
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import format_bytes
from rbacguard.readiness.scheduling import Placement
from rbacguard.readiness.spare_memory import SpareMemory
from rbacguard.readiness.volumes import Claim

if TYPE_CHECKING:
    from rbacguard.output.page import Page
    from rbacguard.policy import PolicyResult

OUTCOMES: tuple[wire.EvictionName, ...] = (
    "blocked",
    "unknown",
    "external",
    "stops",
    "restarts",
    "live-migrates",
)
"""Eviction outcomes, in the order of tables."""


def report(
    readiness: Readiness, inventory: Inventory, results: Iterable[PolicyResult]
) -> wire.ReadinessReport:
    """Return the report.

    Args:
        readiness: the assessment.
        inventory: the objects of the cluster.
        results: the results of the policies.
    """
    placements = readiness.placements
    optional = inventory.coverage.missing(OPTIONAL_KINDS)
    gaps = (*readiness.gaps, *(gap for gap in optional if gap not in readiness.gaps))
    findings, policies = by_policy(results)
    rollout = readiness.rollout
    return wire.ReadinessReport(
        ready=readiness.is_ready,
        nodes=[_node(drain) for drain in readiness.drains],
        rollout=wire.RolloutModel(
            batches=[list(batch) for batch in rollout.batches],
            drained=rollout.drained,
            completes=rollout.completes,
            blocked_at=list(rollout.blocked_at),
            blockers=list(rollout.blockers),
            unavailable=list(rollout.unavailable),
            unknown=list(rollout.unknown),
        ),
        vmis=[_vmi(each, placements.get(each.key), readiness) for each in readiness.evictions],
        memory=_memory(readiness.memory),
        settings={
            name: wire.SettingModel(value=setting.value, source=setting.source)
            for name, setting in readiness.settings.items()
        },
        claims=[_claim(claim) for claim in readiness.claims],
        findings=findings,
        policies=policies,
        coverage=coverage_of(inventory.coverage, gaps),
    )


def _node(drain: NodeDrain) -> wire.NodeModel:
    counts = Counter[str](eviction.outcome for eviction in drain.evictions)
    return wire.NodeModel(
        name=drain.node,
        pool=drain.pool or None,
        vmis={name: counts[name] for name in OUTCOMES if counts[name]},
        unschedulable=len(drain.unschedulable),
        completes=drain.completes,
        seconds=_ceiling(drain.seconds),
    )


def _claim(claim: Claim) -> wire.ClaimModel:
    return wire.ClaimModel(
        namespace=claim.key.namespace,
        name=claim.key.name,
        access_modes=list(claim.access_modes),
        shared=claim.is_shared,
        storage_class=claim.storage_class or None,
        class_shares=claim.class_shares,
        used_by=list(claim.used_by),
    )


def _vmi(eviction: Eviction, placement: Placement | None, readiness: Readiness) -> wire.VMIModel:
    key = eviction.key
    duration = readiness.durations[key]
    return wire.VMIModel(
        namespace=key.namespace,
        name=key.name,
        node=eviction.node or None,
        eviction=eviction.outcome.value,
        eviction_strategy=eviction.strategy or None,
        strategy_source=eviction.source,
        migration_policy=readiness.policies.get(key),
        reasons=[
            wire.ReasonModel(reason=each.reason, message=each.message, action=each.action)
            for each in eviction.reasons
        ],
        placement=_placement(placement) if placement else None,
        bytes_to_copy=_integer(duration.data),
        seconds=_ceiling(duration.seconds),
        timeout_seconds=duration.timeout,
    )


def _placement(placement: Placement) -> wire.PlacementModel:
    return wire.PlacementModel(
        target=placement.target or None,
        filter_failures=dict(placement.filter_failures),
        unknown=placement.unknown or None,
    )


def _integer(size: Decimal | None) -> int | None:
    return None if size is None else int(size)


def _ceiling(seconds: Decimal | None) -> int | None:
    return None if seconds is None else round_up(seconds)


def _memory(memory: SpareMemory) -> wire.SpareMemoryModel:
    return wire.SpareMemoryModel(
        parallel_nodes=memory.parallel_nodes,
        source=memory.source,
        highest=_integer(memory.highest),
        highest_node=memory.highest_node or None,
        required=_integer(memory.required),
        free=_integer(memory.free),
        sufficient=memory.is_sufficient,
        estimated=memory.is_estimated,
    )


ANSWERS = {
    True: "yes, every node drain can complete",
    False: "no, some node drains cannot complete",
    None: "unknown, the input is incomplete",
}


def summary(report: wire.ReadinessReport, page: Page) -> None:
    """Write the answer, and the number of VMs with each result."""
    style = {True: "bold green", False: "bold red", None: "bold yellow"}
    page.line(f"Ready:     {ANSWERS[report.ready]}", style[report.ready])
    page.line(f"VMs:       {vm_counts(report)}")
    rollout = report.rollout
    if rollout.completes is False:
        blockers = _first(rollout.blockers)
        steps = f"{rollout.drained} of {len(rollout.batches)} steps"
        page.line(f"Rollout:   stops after {steps}: {blockers}")
    elif rollout.completes or rollout.batches:
        known = "" if rollout.completes else ", as far as known"
        page.line(f"Rollout:   completes in {len(rollout.batches)} steps{known}")
    if rollout.unavailable:
        page.line(f"Stopped:   {_first(rollout.unavailable)}", "bold yellow")
    if report.coverage.gaps:
        page.line(f"Note:      incomplete input: {report.coverage.gaps[0]}", "bold yellow")


def vm_counts(report: wire.ReadinessReport) -> str:
    """Return the number of VMs with each result of a drain."""
    counts = Counter[str](vmi.eviction for vmi in report.vmis)
    return ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name]) or "none"


def _first(lines: Sequence[str]) -> str:
    return lines[0] + (f" and {len(lines) - 1} more" if len(lines) > 1 else "")


class Section(NamedTuple):
    """A table with a title."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def sections(report: wire.ReadinessReport) -> list[Section]:
    """Return nodes, VMs that cannot live-migrate, spare memory, and settings."""
    nodes = [
        (
            node.name,
            node.pool or "",
            ", ".join(f"{count} {name}" for name, count in node.vmis.items()),
            str(node.unschedulable),
            _answer(node.completes),
            format_duration(node.seconds),
        )
        for node in report.nodes
    ]
    settings = [
        (name, "" if each.value is None else str(each.value), each.source)
        for name, each in report.settings.items()
    ]
    vms = _vms(report)
    node_columns = ("NODE", "POOL", "VMS", "NO TARGET NODE", "CAN DRAIN", "MIN DURATION")
    vm_columns = ("VM", "NODE", "ON DRAIN", "REASON", "ACTION")
    memory_columns = ("PARALLEL NODES", "REQUIRED", "AVAILABLE", "SUFFICIENT")
    return [
        Section("nodes", node_columns, nodes),
        *([Section("VMs that cannot live-migrate", vm_columns, vms)] if vms else []),
        Section("spare memory", memory_columns, [_spare_memory(report.memory)]),
        Section("settings", ("SETTING", "VALUE", "SOURCE"), settings),
    ]


def tables(found: Iterable[Section], gaps: Iterable[str], page: Page) -> None:
    """Write sections, and the incomplete input."""
    for section in found:
        page.heading(section.title)
        page.table(section.columns, section.rows)
    missing = list(gaps)
    if missing:
        page.heading("incomplete input")
        for gap in missing:
            page.line(f"- {gap}", indent=2)


def format_duration(seconds: int | None) -> str:
    """Return a duration with units: `2 h 5 min`, `40 s`."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _answer(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown"}[value]


def _vms(report: wire.ReadinessReport) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for vmi in sorted(report.vmis, key=lambda vmi: (OUTCOMES.index(vmi.eviction), vmi.namespace)):
        placement = vmi.placement
        reasons = [each.message for each in vmi.reasons]
        actions = [each.action for each in vmi.reasons if each.action]
        if placement and placement.unknown:
            reasons.append(placement.unknown)
        elif placement and not placement.target:
            failures = placement.filter_failures.items()
            reasons += [f"{count} {text}" for text, count in failures] or ["no other node exists"]
            actions.append("make a node available to it, or shut down the VM for the update")
        if reasons:
            name = f"{vmi.namespace}/{vmi.name}"
            rows.append(
                (name, vmi.node or "", vmi.eviction, "; ".join(reasons), "; ".join(actions))
            )
    return rows


def _spare_memory(memory: wire.SpareMemoryModel) -> tuple[str, ...]:
    required = "unknown"
    available = "unknown" if memory.free is None else format_bytes(memory.free)
    if memory.highest is not None and memory.required is not None:
        where = f" on {memory.highest_node}" if memory.highest_node else ""
        required = (
            f"{memory.parallel_nodes} x {format_bytes(memory.highest)}{where} = "
            f"{format_bytes(memory.required)}"
        )
        if memory.estimated:
            # Some pods were not read. KubeVirt's formula replaces their requests.
            required = f"at least {required} (estimated)"
    if memory.estimated and memory.free is not None:
        available = f"at most {available}"
    parallel = f"{memory.parallel_nodes} ({memory.source})"
    return parallel, required, available, _answer(memory.sufficient)
