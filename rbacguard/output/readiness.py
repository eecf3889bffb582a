"""The report of `rbacguard readiness`, and its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, cast

from rbacguard.output import wire
from rbacguard.output.names import counted
from rbacguard.output.reports import by_policy, coverage_of
from rbacguard.readiness.drain import OTHERS, NodeDrain, Readiness, SpareMemory
from rbacguard.readiness.duration import rounded_up
from rbacguard.readiness.eviction import Machine
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import shown
from rbacguard.readiness.scheduling import Place
from rbacguard.readiness.volumes import Claim

if TYPE_CHECKING:
    from rbacguard.output.page import Page
    from rbacguard.policy import PolicyResult

_ORDER = ("blocks", "unknown", "waits", "stops", "restarts", "migrates")


def report(
    found: Readiness, inventory: Inventory, results: Iterable[PolicyResult]
) -> wire.ReadinessReport:
    """Return the report.

    Args:
        found: what was judged.
        inventory: what it was judged by.
        results: what policies found.
    """
    places = {place.key: place for drain in found.drains for place in drain.places}
    gaps = (*found.gaps, *(g for g in inventory.coverage.gaps(OTHERS) if g not in found.gaps))
    findings, policies = by_policy(results)
    return wire.ReadinessReport(
        ready=found.ready,
        nodes=[_node(drain) for drain in found.drains],
        rollout=wire.RolloutModel(
            order=[list(batch) for batch in found.rollout.order],
            drained=found.rollout.drained,
            completes=found.rollout.completes,
            waits_at=list(found.rollout.waits_at),
            waits_for=list(found.rollout.waits_for),
            down=list(found.rollout.down),
            unknown=list(found.rollout.unknown),
        ),
        machines=[_machine(each, places.get(each.key), found) for each in found.machines],
        memory=_memory(found.memory),
        settings={
            name: wire.SettingModel(value=each.value, set_by=each.set_by)
            for name, each in found.settings.items()
        },
        claims=[_claim(each) for each in found.claims],
        findings=findings,
        policies=policies,
        coverage=coverage_of(inventory.coverage, gaps),
    )


def _node(drain: NodeDrain) -> wire.NodeModel:
    counts = Counter(machine.drain.value for machine in drain.machines)
    return wire.NodeModel(
        name=drain.node,
        pool=drain.pool or None,
        machines={cast("wire.DrainName", k): counts[k] for k in _ORDER if counts[k]},
        homeless=sum(not place.target and not place.unknown for place in drain.places),
        completes=drain.completes,
        seconds=_up(drain.seconds),
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


def _machine(machine: Machine, place: Place | None, found: Readiness) -> wire.MachineModel:
    key = machine.key
    timing = found.timings[key]
    return wire.MachineModel(
        namespace=key.namespace,
        name=key.name,
        node=machine.node or None,
        drain=machine.drain.value,
        eviction_strategy=machine.strategy or None,
        set_by=machine.set_by,
        policy=found.policies.get(key),
        remarks=[
            wire.ReasonModel(reason=each.reason, message=each.message, advice=each.advice)
            for each in machine.remarks
        ],
        place=_target(place) if place else None,
        bytes_to_copy=_whole(timing.data),
        seconds=_up(timing.seconds),
        timeout_seconds=timing.timeout,
    )


def _target(place: Place) -> wire.TargetModel:
    return wire.TargetModel(
        target=place.target or None,
        refusals=dict(place.refusals),
        unknown=place.unknown or None,
    )


def _whole(size: Decimal | None) -> int | None:
    return None if size is None else int(size)


def _up(seconds: Decimal | None) -> int | None:
    return None if seconds is None else rounded_up(seconds)


def _memory(found: SpareMemory) -> wire.SpareMemoryModel:
    return wire.SpareMemoryModel(
        parallel=found.parallel,
        because=found.because,
        highest=_whole(found.highest),
        highest_node=found.highest_node or None,
        needed=None if found.highest is None else int(found.parallel * found.highest),
        free=_whole(found.free),
        suffices=found.suffices,
        estimated=found.estimated,
    )


ANSWERS = {
    True: "every drain completes, as far as objects tell",
    False: "not every drain completes",
    None: "not known whether every drain completes",
}


def summary(found: wire.ReadinessReport, page: Page) -> None:
    """Say what stands at the top: the answer, and how many machines do what."""
    style = {True: "bold green", False: "bold red", None: "bold yellow"}
    page.line(f"Ready:     {ANSWERS[found.ready]}", style[found.ready])
    counts = Counter[str](machine.drain for machine in found.machines)
    told = ", ".join(f"{counts[k]} {k}" for k in _ORDER if counts[k]) or "none"
    page.line(f"Machines:  {told}")
    rollout, steps = found.rollout, len(found.rollout.order)
    if rollout.completes is False:
        first = rollout.waits_for[0]
        more = f" and {len(rollout.waits_for) - 1} more" if len(rollout.waits_for) > 1 else ""
        page.line(f"In order:  stops after {rollout.drained} of {steps} drains: {first}{more}")
    elif rollout.completes or rollout.order:
        known = "" if rollout.completes else ", as far as is known"
        page.line(f"In order:  {steps} drains one after the other complete{known}")
    if rollout.down:
        more = f", and {len(rollout.down) - 1} more" if len(rollout.down) > 1 else ""
        page.line(f"Stay down: {rollout.down[0]}{more}", "bold yellow")
    if found.coverage.gaps:
        page.line(f"Not seen:  {found.coverage.gaps[0]}", "bold yellow")


class Section(NamedTuple):
    """A table under a title, for a terminal as for a page."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def sections(found: wire.ReadinessReport) -> list[Section]:
    """Return nodes, machines that do not simply move, spare memory and settings."""
    nodes = [
        (
            node.name,
            node.pool or "",
            ", ".join(f"{count} {name}" for name, count in node.machines.items()),
            str(node.homeless),
            _yes(node.completes),
            duration(node.seconds),
        )
        for node in found.nodes
    ]
    settings = [
        (name, "" if each.value is None else str(each.value), each.set_by)
        for name, each in found.settings.items()
    ]
    machines = _machines(found)
    columns = ("NODE", "POOL", "MACHINES", "FIND NO PLACE", "DRAIN COMPLETES", "TAKES AT LEAST")
    why = ("MACHINE", "NODE", "A DRAIN", "WHY", "WHAT TO DO")
    return [
        Section("nodes", columns, nodes),
        *([Section("machines that do not simply move", why, machines)] if machines else []),
        Section("spare memory", ("NODES AT ONCE", "NEEDED", "FREE", "ENOUGH"), [_spare(found)]),
        Section("settings", ("SETTING", "VALUE", "SET BY"), settings),
    ]


def tables(found: Iterable[Section], gaps: Iterable[str], page: Page) -> None:
    """Show sections, and what was not read."""
    for each in found:
        page.heading(each.title)
        page.table(each.columns, each.rows)
    missing = list(gaps)
    if missing:
        page.heading("incomplete input")
        for gap in missing:
            page.line(f"- {gap}", indent=2)


def duration(seconds: int | None) -> str:
    """Return seconds for people: `2 h 5 min`, `40 s`."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown"}[value]


def _machines(found: wire.ReadinessReport) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for machine in sorted(found.machines, key=lambda m: (_ORDER.index(m.drain), m.namespace)):
        place = machine.place
        why = [each.message for each in machine.remarks]
        todo = [each.advice for each in machine.remarks if each.advice]
        if place and not place.target:
            why += (
                [place.unknown]
                if place.unknown
                else [f"{counted(n, 'node')}: {reason}" for reason, n in place.refusals.items()]
                or ["there is no other node"]
            )
            todo += [] if place.unknown else ["let a node take it, or shut it down for the update"]
        if why:
            name = f"{machine.namespace}/{machine.name}"
            rows.append((name, machine.node or "", machine.drain, "; ".join(why), "; ".join(todo)))
    return rows


def _spare(found: wire.ReadinessReport) -> tuple[str, ...]:
    memory = found.memory
    at_once = f"{memory.parallel} ({memory.because})"
    needed, free = "unknown", "unknown" if memory.free is None else shown(memory.free)
    if memory.highest is not None and memory.needed is not None:
        where = f" on {memory.highest_node}" if memory.highest_node else ""
        needed = f"{memory.parallel} x {shown(memory.highest)}{where} = {shown(memory.needed)}"
    if memory.estimated:
        # Some pods are not in the input: KubeVirt's formula stands in for those of machines.
        needed = f"at least {needed}, as KubeVirt counts it" if memory.needed else needed
        free = f"at most {free}" if memory.free is not None else free
    return at_once, needed, free, _yes(memory.suffices)
