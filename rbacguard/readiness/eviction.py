"""The result of evicting each VMI from its node.

Follows the admission of the eviction of a virt-launcher pod: kubevirt/kubevirt v1.9
pkg/virt-api/webhooks/validating-webhook/admitters/pod-eviction-admitter.go, admitLauncherPod.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.vmi import LIVE_MIGRATABLE_REASONS, UNKNOWN_REASON, condition
from rbacguard.readiness.volumes import READ_WRITE_MANY
from rbacguard.snapshot.objects import dict_at
from rbacguard.snapshot.workloads import VirtualMachineInstance

_RESTARTING = ("Always", "RerunOnFailure")


class EvictionOutcome(StrEnum):
    """The result of an eviction.

    LIVE_MIGRATES, RESTARTS (on another node), STOPS (does not start again), EXTERNAL (another
    controller decides), BLOCKED (the eviction is refused), UNKNOWN (incomplete input).
    """

    LIVE_MIGRATES = "live-migrates"
    RESTARTS = "restarts"
    STOPS = "stops"
    EXTERNAL = "external"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class EvictionReason(Struct, frozen=True, order=True):
    """One reason for an eviction outcome.

    Attributes:
        reason: the reason of KubeVirt's condition, or a name in kebab case.
        message: an explanation.
        action: what to do about it; '' if there is nothing to do.
    """

    reason: str
    message: str
    action: str = ""


class Eviction(Struct, frozen=True):
    """A VMI and the result of evicting it.

    Attributes:
        key: the VMI.
        node: the node where it runs; '' if it is not scheduled yet.
        outcome: the result.
        strategy: the effective eviction strategy; '' if it is unknown.
        source: the object that sets the eviction strategy.
        reasons: the reasons for the outcome.
    """

    key: ObjectKey
    node: str
    outcome: EvictionOutcome
    strategy: str
    source: str
    reasons: tuple[EvictionReason, ...] = ()


def evictions(inventory: Inventory) -> tuple[Eviction, ...]:
    """Return the result of evicting each VMI."""
    default, source = _default_strategy(inventory)
    return tuple(
        _eviction(key, vmi, inventory, default, source) for key, vmi in inventory.vmis.items()
    )


def _default_strategy(inventory: Inventory) -> tuple[str, str]:
    """Return the eviction strategy of the cluster ('' if it is unknown) and its source.

    KubeVirt's default is None. HyperConverged writes LiveMigrate into the KubeVirt resource if the
    cluster has several worker nodes (hyperconverged-cluster-operator
    controllers/handlers/kubevirt.go), so the value in KubeVirt is effective.
    """
    if inventory.kubevirt is None:
        return "", "KubeVirt was not read"
    strategy = dict_at(inventory.kubevirt.spec, "configuration").get("evictionStrategy")
    if isinstance(strategy, str) and strategy:
        return strategy, "KubeVirt"
    return "None", "default of KubeVirt"


def _eviction(
    key: ObjectKey,
    vmi: VirtualMachineInstance,
    inventory: Inventory,
    default: str,
    default_source: str,
) -> Eviction:
    strategy, source = vmi.spec.eviction_strategy or default, default_source
    if vmi.spec.eviction_strategy:
        source = "VMI"
    migratable, reasons = _live_migratable(vmi)
    outcome = EvictionOutcome.UNKNOWN
    match strategy:
        case "LiveMigrate":
            if migratable is not None:
                outcome = EvictionOutcome.LIVE_MIGRATES if migratable else EvictionOutcome.BLOCKED
        case "LiveMigrateIfPossible":
            if migratable:
                outcome = EvictionOutcome.LIVE_MIGRATES
            else:
                restart, reason = _restart(key, inventory)
                outcome = outcome if migratable is None else restart
                reasons.append(reason)
        case "External":
            outcome = EvictionOutcome.EXTERNAL
            message = "an external controller handles the eviction (eviction strategy External)"
            action = "make sure that this controller is running"
            reasons = [EvictionReason("eviction-is-external", message, action)]
        case "None":
            message = f"the eviction strategy is None ({source}), so a drain does not migrate it"
            action = "set evictionStrategy: LiveMigrate if it must migrate"
            outcome, reason = _restart(key, inventory)
            reasons = [EvictionReason("eviction-strategy-none", message, action), reason]
        case "":
            message = f"{source}, so the eviction strategy is unknown"
            reasons.append(EvictionReason("eviction-strategy-unknown", message))
        case _:
            message = f"eviction strategy {strategy!r} is not supported by this version"
            reasons.append(EvictionReason("eviction-strategy-unknown", message))
    node = vmi.status.node_name
    if not node:
        reasons.append(EvictionReason("not-on-a-node", "the VMI is not on a node yet"))
    return Eviction(key, node, outcome, strategy, source, tuple(reasons))


def _restart(key: ObjectKey, inventory: Inventory) -> tuple[EvictionOutcome, EvictionReason]:
    """Return whether the VM of a VMI starts again after its pod was evicted."""
    vm = inventory.vms.get((key.namespace, key.name))
    if vm is None:
        if inventory.coverage.missing(["VirtualMachine"]):
            message = "VirtualMachine was not read, so it is unknown whether the VM starts again"
            return EvictionOutcome.UNKNOWN, EvictionReason("run-strategy-unknown", message)
        message = "the VMI stops and does not start again, because it has no VirtualMachine"
        action = "create a VirtualMachine for it"
        return EvictionOutcome.STOPS, EvictionReason("no-virtual-machine", message, action)
    strategy = vm.spec.run_strategy or ("Always" if vm.spec.running else "Halted")
    if strategy in _RESTARTING:
        message = f"the VM stops and starts again on another node (runStrategy {strategy})"
        return EvictionOutcome.RESTARTS, EvictionReason("restarts", message)
    message = f"the VM stops and does not start again (runStrategy {strategy})"
    action = "start the VM after the update"
    return EvictionOutcome.STOPS, EvictionReason("stays-stopped", message, action)


def _live_migratable(vmi: VirtualMachineInstance) -> tuple[bool | None, list[EvictionReason]]:
    """Return the status of the condition LiveMigratable, None if it is unknown, with reasons."""
    found = condition(vmi, "LiveMigratable")
    if found.status not in ("True", "False"):
        message = "KubeVirt does not report whether the VMI can migrate, as during its start"
        action = "check again when the VMI is running"
        return None, [EvictionReason("not-determined", message, action)]
    if found.status == "True":
        return True, []
    meaning, action = LIVE_MIGRATABLE_REASONS.get(found.reason, UNKNOWN_REASON)
    message = f"{meaning}: {found.message}" if found.message else meaning
    reasons = [EvictionReason(found.reason or "no-reason", message, action)]
    reasons += [
        EvictionReason(
            "claim-not-shared",
            f"volume {volume.name}: claim {volume.claim.claim_name} has "
            f"{', '.join(volume.claim.access_modes) or 'no access mode'}",
            "use a claim with ReadWriteMany",
        )
        for volume in vmi.status.volume_status
        if volume.claim and READ_WRITE_MANY not in volume.claim.access_modes
    ]
    return False, reasons
