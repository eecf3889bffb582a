"""The report of `rbacguard readiness`, and its table."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import cast

from rbacguard.output import wire
from rbacguard.output.page import Page
from rbacguard.output.reports import coverage_of
from rbacguard.readiness.draining import OTHERS, NodeDrain, Readiness, SpareMemory
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.machines import Machine
from rbacguard.readiness.placing import Place
from rbacguard.readiness.quantity import shown

_ORDER = ("blocks", "unknown", "waits", "stops", "restarts", "migrates")


def report(found: Readiness, inventory: Inventory) -> wire.ReadinessReport:
    """Return the report."""
    places = {place.key: place for drain in found.drains for place in drain.places}
    gaps = (*found.gaps, *(g for g in inventory.coverage.gaps(OTHERS) if g not in found.gaps))
    return wire.ReadinessReport(
        ready=found.ready,
        nodes=[_node(drain) for drain in found.drains],
        machines=[_machine(each, places.get(each.key), found.policies) for each in found.machines],
        memory=_memory(found.memory),
        settings={
            name: wire.SettingModel(value=each.value, set_by=each.set_by)
            for name, each in found.settings.items()
        },
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
    )


def _machine(machine: Machine, place: Place | None, policies: dict[str, str]) -> wire.MachineModel:
    key = machine.key
    return wire.MachineModel(
        namespace=key.namespace,
        name=key.name,
        node=machine.node or None,
        drain=machine.drain.value,
        eviction_strategy=machine.strategy or None,
        set_by=machine.set_by,
        policy=policies.get(f"{key.namespace}/{key.name}"),
        remarks=[
            wire.ReasonModel(reason=each.reason, message=each.message, advice=each.advice)
            for each in machine.remarks
        ],
        place=place
        and wire.TargetModel(
            target=place.target or None,
            refusals=dict(place.refusals),
            unknown=place.unknown or None,
        ),
    )


def _whole(size: Decimal | None) -> int | None:
    return None if size is None else int(size)


def _memory(found: SpareMemory) -> wire.SpareMemoryModel:
    return wire.SpareMemoryModel(
        parallel=found.parallel,
        because=found.because,
        highest=_whole(found.highest),
        highest_node=found.highest_node or None,
        needed=None if found.highest is None else int(found.parallel * found.highest),
        free=_whole(found.free),
        suffices=found.suffices,
    )


def table(found: wire.ReadinessReport, page: Page) -> None:
    """Show it: the answer, nodes, machines that do not simply move, memory, settings."""
    answer = {
        True: "every drain completes, as far as objects tell",
        False: "not every drain completes",
        None: "not known whether every drain completes",
    }
    style = {True: "bold green", False: "bold red", None: "bold yellow"}
    page.line(f"Ready:     {answer[found.ready]}", style[found.ready])
    counts = Counter[str](machine.drain for machine in found.machines)
    told = ", ".join(f"{counts[k]} {k}" for k in _ORDER if counts[k]) or "none"
    page.line(f"Machines:  {told}")
    if found.coverage.gaps:
        page.line(f"Not seen:  {found.coverage.gaps[0]}", "bold yellow")
    page.heading("nodes")
    page.table(
        ("NODE", "POOL", "MACHINES", "FIND NO PLACE", "DRAIN COMPLETES"),
        [
            (
                node.name,
                node.pool or "",
                ", ".join(f"{count} {name}" for name, count in node.machines.items()),
                str(node.homeless),
                _yes(node.completes),
            )
            for node in found.nodes
        ],
    )
    _machines(found, page)
    _spare(found.memory, page)
    page.heading("settings")
    page.table(
        ("SETTING", "VALUE", "SET BY"),
        [
            (name, "" if each.value is None else str(each.value), each.set_by)
            for name, each in found.settings.items()
        ],
    )
    if found.coverage.gaps:
        page.heading("incomplete input")
        for gap in found.coverage.gaps:
            page.line(f"- {gap}", indent=2)


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "unknown"}[value]


def _machines(found: wire.ReadinessReport, page: Page) -> None:
    rows = []
    for machine in sorted(found.machines, key=lambda m: (_ORDER.index(m.drain), m.namespace)):
        place = machine.place
        why = [each.message for each in machine.remarks]
        todo = [each.advice for each in machine.remarks if each.advice]
        if place and not place.target:
            why += (
                [place.unknown]
                if place.unknown
                else [f"{count} nodes: {reason}" for reason, count in place.refusals.items()]
                or ["there is no other node"]
            )
            todo += [] if place.unknown else ["make room, or shut it down for the update"]
        if why:
            name = f"{machine.namespace}/{machine.name}"
            rows.append((name, machine.node or "", machine.drain, "; ".join(why), "; ".join(todo)))
    if rows:
        page.heading("machines that do not simply move")
        page.table(("MACHINE", "NODE", "A DRAIN", "WHY", "WHAT TO DO"), rows)


def _spare(memory: wire.SpareMemoryModel, page: Page) -> None:
    page.heading("spare memory")
    page.line(f"{memory.parallel} nodes drain at once ({memory.because})", indent=2)
    if memory.highest is None or memory.needed is None or memory.free is None:
        page.line("not known: requests of a pod cannot be read, or pods were not", "yellow", 2)
        return
    where = f" on {memory.highest_node}" if memory.highest_node else ""
    page.line(
        f"{memory.parallel} x {shown(memory.highest)}{where} = {shown(memory.needed)} needed, "
        f"{shown(memory.free)} free: {'enough' if memory.suffices else 'too little'}",
        "" if memory.suffices else "bold red",
        2,
    )
