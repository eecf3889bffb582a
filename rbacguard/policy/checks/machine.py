"""Machines: what a drain of their node does to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.access import changed_namespaces
from rbacguard.kubevirt.permissions import is_platform
from rbacguard.policy.checks.base import (
    Context,
    Fact,
    FactType,
    MachineCheck,
    Machines,
    answer,
    key_fields,
)
from rbacguard.rbac.access import Change
from rbacguard.readiness.duration import rounded_up
from rbacguard.readiness.eviction import (
    Drain,
    Machine,
    bridged_to_pod_network,
    condition,
    plugged_in,
    storage_moves,
    waits_for_migration,
    wants_host_model,
)
from rbacguard.readiness.scheduling import Place

_MIB = 2**20


class MachineDrainCheck(MachineCheck, frozen=True, tag="machine"):
    """One fact for each machine that runs."""

    NEEDS: ClassVar[tuple[str, ...]] = (
        *("VirtualMachineInstance", "VirtualMachine", "Node", "Pod", "KubeVirt"),
        *("MigrationPolicy", "Namespace"),
    )
    FACTS: ClassVar[Mapping[str, FactType]] = {
        "machine": FactType.MAP,
        "node": FactType.STRING,
        "drain": FactType.STRING,
        "reason": FactType.STRING,
        "why": FactType.STRING,
        "eviction_strategy": FactType.STRING,
        "storage_moves": FactType.STRING,
        "pod_network_bridges": FactType.LIST,
        "plugged_in": FactType.LIST,
        "host_model": FactType.BOOL,
        "finds_place": FactType.STRING,
        "target": FactType.STRING,
        "refusals": FactType.LIST,
        "cpu_refuses_all": FactType.BOOL,
        "policy": FactType.STRING,
        "post_copy": FactType.BOOL,
        "bandwidth": FactType.STRING,
        "memory_mib": FactType.INT,
        "seconds": FactType.INT,
        "timeout": FactType.INT,
        "too_slow": FactType.STRING,
        "waits_for_migration": FactType.BOOL,
        "losers": FactType.LIST,
    }

    def gaps(self, context: Context) -> tuple[str, ...]:
        """Return what was not read, and that something of a machine is not known."""
        unread = super().gaps(context)
        if context.machines is None:
            return unread
        found = context.machines.readiness
        unknown = {each.key for each in found.machines if each.drain is Drain.UNKNOWN}
        unknown |= {place.key for drain in found.drains for place in drain.places if place.unknown}
        told = f"what a drain does to {len(unknown)} machines, or where they go, is not known"
        return (*unread, told) if unknown else unread

    def look(self, machines: Machines, context: Context) -> Iterator[Fact]:
        """Yield one fact for each machine."""
        found = machines.readiness
        places = {place.key: place for drain in found.drains for place in drain.places}
        losers: dict[str, list[str]] = {}
        plan = context.plan
        for subject, scopes in (
            changed_namespaces(plan.changes, Change.LOST).items() if plan else ()
        ):
            for scope in scopes if not is_platform(subject) else ():
                losers.setdefault(scope, []).append(str(subject))
        if context.snapshot.coverage.gaps():
            losers.setdefault("", []).append("whoever is not known, for not all access was read")
        for each in found.machines:
            yield _fact(each, places.get(each.key), machines, losers)


def _fact(
    machine: Machine, place: Place | None, machines: Machines, losers: Mapping[str, list[str]]
) -> Fact:
    key, found = machine.key, machines.readiness
    running = machines.inventory.machines[key]
    timing, limits = found.timings[key], found.limits[key]
    _, reason, _ = condition(running, "LiveMigratable")
    refusals = dict(place.refusals) if place else {}
    by_cpu = sum(count for text, count in refusals.items() if "cpu-model-migration" in text)
    others = sum(refusals.values())
    return Fact(
        fields={
            "machine": key_fields(key),
            "node": machine.node,
            "drain": machine.drain.value,
            "reason": reason,
            "why": "; ".join(each.message for each in machine.remarks),
            "eviction_strategy": machine.strategy,
            "storage_moves": storage_moves(running)[0],
            "pod_network_bridges": list(bridged_to_pod_network(running)),
            "plugged_in": list(plugged_in(running)),
            "host_model": wants_host_model(running),
            "finds_place": answer(None if place is None or place.unknown else bool(place.target)),
            "target": place.target if place else "",
            "refusals": [f"{count} x {text}" for text, count in refusals.items()],
            "cpu_refuses_all": bool(place and not place.target and others and by_cpu == others),
            "policy": found.policies.get(key, ""),
            "post_copy": limits["allowPostCopy"].value is True,
            "bandwidth": str(limits["bandwidthPerMigration"].value),
            "memory_mib": -1 if timing.data is None else int(timing.data / _MIB),
            "seconds": -1 if timing.seconds is None else rounded_up(timing.seconds),
            "timeout": -1 if timing.timeout is None else timing.timeout,
            "too_slow": answer(timing.too_slow),
            "waits_for_migration": waits_for_migration(running),
            "losers": sorted({*losers.get(key.namespace, ()), *losers.get("", ())}),
        },
        group=f"{key.namespace}/{key.name}",
        scope=key.namespace,
        objects=(key,),
    )
