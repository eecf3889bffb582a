"""What becomes of each machine when its node is drained.

As virt-api decides on the eviction of a virt-launcher pod: kubevirt/kubevirt v1.9
pkg/virt-api/webhooks/validating-webhook/admitters/pod-eviction-admitter.go, admitLauncherPod.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.reasons import REASONS, UNKNOWN
from rbacguard.readiness.volumes import SHARED
from rbacguard.snapshot.objects import entries
from rbacguard.snapshot.workloads import VirtualMachineInstance

_MIGRATABLE = "LiveMigratable"
_STORAGE = "StorageLiveMigratable"
_PENDING_CHANGE = "MigrationRequired"
_RESTARTED = ("Always", "RerunOnFailure")


class Drain(StrEnum):
    """What a drain of its node does to a machine."""

    MIGRATES = "migrates"
    RESTARTS = "restarts"
    STOPS = "stops"
    WAITS = "waits"
    BLOCKS = "blocks"
    UNKNOWN = "unknown"


class Remark(Struct, frozen=True, order=True):
    """Why, and what to do about it.

    Attributes:
        reason: KubeVirt's reason, or a name of our own in kebab case.
        message: in words.
        advice: what to do.
    """

    reason: str
    message: str
    advice: str = ""


class Machine(Struct, frozen=True):
    """A running machine and what a drain does to it.

    Attributes:
        key: which VirtualMachineInstance.
        node: where it runs; '' for one that runs nowhere yet.
        drain: what a drain does.
        strategy: the eviction strategy that counts; '' where none is set.
        set_by: what sets it.
        remarks: why.
    """

    key: ObjectKey
    node: str
    drain: Drain
    strategy: str
    set_by: str
    remarks: tuple[Remark, ...] = ()


def machines(inventory: Inventory) -> tuple[Machine, ...]:
    """Return every machine with what a drain of its node does to it."""
    default, source = _default_strategy(inventory)
    return tuple(
        _judged(key, each, inventory, default, source) for key, each in inventory.machines.items()
    )


def _default_strategy(inventory: Inventory) -> tuple[str | None, str]:
    """Return the cluster's eviction strategy, None where that is not known, and what sets it.

    KubeVirt's own is None; HyperConverged writes LiveMigrate into it where there are several
    worker nodes (hyperconverged-cluster-operator controllers/handlers/kubevirt.go), so that what
    KubeVirt holds is what counts.
    """
    kubevirt = inventory.kubevirt
    if kubevirt is None:
        return None, "KubeVirt was not read"
    configuration = entries(kubevirt.spec, "configuration")
    found = configuration.get("evictionStrategy")
    if isinstance(found, str) and found:
        return found, "KubeVirt"
    return "None", "KubeVirt's default"


def _judged(
    key: ObjectKey,
    machine: VirtualMachineInstance,
    inventory: Inventory,
    default: str | None,
    source: str,
) -> Machine:
    own = machine.spec.eviction_strategy
    strategy, set_by = (own, "the machine") if own else (default, source)
    node = machine.status.node_name
    migratable, remarks = _migratable(machine)
    match strategy:
        case "LiveMigrate":
            drain = {True: Drain.MIGRATES, False: Drain.BLOCKS, None: Drain.UNKNOWN}[migratable]
        case "LiveMigrateIfPossible":
            drain = Drain.MIGRATES if migratable else _evicted(key, inventory, remarks)
            drain = Drain.UNKNOWN if migratable is None else drain
        case "External":
            drain = Drain.WAITS
            advice = "make sure that the controller that it waits for is at work"
            message = "its eviction is left to a controller of its own (External)"
            remarks = [Remark("eviction-is-external", message, advice)]
        case "None":
            message = f"nothing asks for a migration: its eviction strategy is None, by {set_by}"
            advice = "set evictionStrategy: LiveMigrate, if it is to move"
            remarks = [Remark("eviction-strategy-none", message, advice)]
            drain = _evicted(key, inventory, remarks)
        case None:
            remarks = [*remarks, Remark("eviction-strategy-unknown", f"{set_by}, so its eviction "
                       "strategy is not known")]  # fmt: skip
            drain = Drain.UNKNOWN
        case _:
            message = f"eviction strategy {strategy!r} is not known to this version"
            remarks = [*remarks, Remark("eviction-strategy-unknown", message)]
            drain = Drain.UNKNOWN
    if not node:
        remarks = [*remarks, Remark("not-on-a-node", "it runs on no node yet")]
    return Machine(key, node, drain, strategy or "", set_by, tuple(remarks))


def _evicted(key: ObjectKey, inventory: Inventory, remarks: list[Remark]) -> Drain:
    """Tell what becomes of a machine whose pod is evicted like any other."""
    owner = inventory.owners.get((key.namespace, key.name))
    if owner is None:
        if inventory.coverage.gaps(["VirtualMachine"]):
            message = "whether something starts it again is not known: VirtualMachine not read"
            remarks.append(Remark("run-strategy-unknown", message))
            return Drain.UNKNOWN
        message = "it is stopped, and nothing starts it again: it has no VirtualMachine"
        remarks.append(Remark("no-virtual-machine", message, "make a VirtualMachine of it"))
        return Drain.STOPS
    strategy = owner.spec.run_strategy or ("Always" if owner.spec.running else "Halted")
    if strategy in _RESTARTED:
        message = f"it is stopped and started again elsewhere (runStrategy {strategy})"
        remarks.append(Remark("restarts", message))
        return Drain.RESTARTS
    message = f"it is stopped, and nothing starts it again (runStrategy {strategy})"
    remarks.append(Remark("stays-stopped", message, "start it again after the update"))
    return Drain.STOPS


def condition(machine: VirtualMachineInstance, kind: str) -> tuple[str, str, str]:
    """Return status, reason and message of a condition; '' where it is not there."""
    for each in machine.status.conditions or ():
        if each.type == kind:
            return each.status, each.reason, each.message
    return "", "", ""


def storage_moves(machine: VirtualMachineInstance) -> tuple[str, str]:
    """Return whether its volumes can be migrated to other storage (`True`, `False`, ''), and why.

    The condition StorageLiveMigratable: a volume that is not shared can be moved to one that is.
    """
    status, _, message = condition(machine, _STORAGE)
    return status, message


def waits_for_migration(machine: VirtualMachineInstance) -> bool:
    """Whether a change, such as a network interface plugged in, takes effect by a migration only.

    The condition MigrationRequired: kubevirt/kubevirt v1.9
    pkg/virt-controller/watch/vmi, and pkg/network/migration/evaluator.go.
    """
    return condition(machine, _PENDING_CHANGE)[0] == "True"


def bridged_to_pod_network(machine: VirtualMachineInstance) -> tuple[str, ...]:
    """Return interfaces that are bound to the pod network by a bridge, which pins a machine."""
    pod = {each.name for each in machine.spec.networks or () if each.pod is not None}
    return tuple(
        each.name
        for each in machine.spec.domain.devices.interfaces or ()
        if each.bridge is not None and each.name in pod
    )


def plugged_in(machine: VirtualMachineInstance) -> tuple[str, ...]:
    """Return volumes that were plugged into it while it ran."""
    return tuple(each.name for each in machine.status.volume_status or () if each.hotplug_volume)


def wants_host_model(machine: VirtualMachineInstance) -> bool:
    """Whether it has the CPU model of the node where it started: by name, or for want of one."""
    cpu = machine.spec.domain.cpu
    return (cpu.model if cpu else "") in ("", "host-model")


def _migratable(machine: VirtualMachineInstance) -> tuple[bool | None, list[Remark]]:
    """Return what KubeVirt says of it, with its reason; None where it says nothing."""
    status, reason, told = condition(machine, _MIGRATABLE)
    if status not in ("True", "False"):
        message = "KubeVirt does not say whether it can migrate, as while it starts"
        return None, [Remark("not-determined", message, "look again when it runs")]
    if status == "True":
        return True, []
    explained = REASONS.get(reason, UNKNOWN)
    message = f"{explained.meaning}: {told}" if told else explained.meaning
    remarks = [Remark(reason or "no-reason", message, explained.advice)]
    remarks += [
        Remark(
            "claim-not-shared",
            f"volume {volume.name}: claim {volume.claim.claim_name} has "
            f"{', '.join(volume.claim.access_modes or ()) or 'no access mode'}",
            "use a claim with ReadWriteMany",
        )
        for volume in machine.status.volume_status or ()
        if volume.claim and SHARED not in (volume.claim.access_modes or ())
    ]
    return False, remarks
