"""Conditions and fields of a VMI that decide whether it can live-migrate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rbacguard.snapshot.objects import Condition
from rbacguard.snapshot.workloads import VirtualMachineInstance


class Explanation(NamedTuple):
    """The meaning of a condition reason, and the action to take."""

    meaning: str
    action: str


_SHUT_DOWN = "shut down the VM before the update and start it afterwards"

LIVE_MIGRATABLE_REASONS: Mapping[str, Explanation] = {
    "DisksNotLiveMigratable": Explanation(
        "a volume is not shared between nodes",
        "move it to a claim with access mode ReadWriteMany, for example with a storage migration",
    ),
    "InterfaceNotLiveMigratable": Explanation(
        "an interface uses bridge binding on the pod network or a plugin that cannot migrate",
        "use masquerade binding or a secondary network",
    ),
    "HotplugNotLiveMigratable": Explanation(
        "a hotplugged volume is not shared between nodes",
        "unplug it, or move it to a claim with access mode ReadWriteMany",
    ),
    "CPUModeLiveMigratable": Explanation(
        "no other node supports the host-model CPU of the VMI",
        "set spec.domain.cpu.model to a model that all nodes support",
    ),
    "VirtIOFSNotLiveMigratable": Explanation(
        "the VMI shares a file system with its node (virtiofs)",
        f"remove the file system, or {_SHUT_DOWN}",
    ),
    "HostDeviceNotLiveMigratable": Explanation(
        "a host device is passed through to the VMI", f"remove the device, or {_SHUT_DOWN}"
    ),
    "SEVNotLiveMigratable": Explanation("the memory is encrypted (AMD SEV)", _SHUT_DOWN),
    "TDXNotLiveMigratable": Explanation("the memory is encrypted (Intel TDX)", _SHUT_DOWN),
    "SecureExecutionNotLiveMigratable": Explanation(
        "the memory is protected (IBM Secure Execution)", _SHUT_DOWN
    ),
    "NoTSCFrequencyNotLiveMigratable": Explanation(
        "the VMI requires a TSC frequency that other nodes might not have",
        "remove the Hyper-V features that require it, or label the nodes with their TSC frequency",
    ),
    "HypervPassthroughNotLiveMigratable": Explanation(
        "all Hyper-V features of the node are passed through to the VMI",
        "list the required features instead of hypervPassthrough",
    ),
    "PersistentReservationNotLiveMigratable": Explanation(
        "a disk uses SCSI persistent reservations", f"remove the reservation, or {_SHUT_DOWN}"
    ),
    "DecentralizedNotLiveMigratable": Explanation(
        "the VMI takes part in a migration between clusters", "wait until that migration finishes"
    ),
    "NotMigratable": Explanation(
        "several parts of the VMI cannot migrate", "fix each part that the condition lists"
    ),
}
"""Reasons of the conditions LiveMigratable and StorageLiveMigratable.

kubevirt/kubevirt v1.9 staging/src/kubevirt.io/api/core/v1/types.go
(VirtualMachineInstanceReason…) and pkg/virt-handler/vm.go, calculateLiveMigrationCondition, which
reports the first reason that applies.
"""

UNKNOWN_REASON = Explanation(
    "KubeVirt reports a reason that rbacguard does not know", "see the message of the condition"
)


def condition(vmi: VirtualMachineInstance, kind: str) -> Condition:
    """Return the condition of a type; an empty one if the VMI does not have it."""
    return next((each for each in vmi.status.conditions if each.type == kind), Condition())


def storage_live_migratable(vmi: VirtualMachineInstance) -> str:
    """Return the status of the condition StorageLiveMigratable, '' if it is absent.

    `True` means that the volumes can be moved to other storage while the VMI runs.
    """
    return condition(vmi, "StorageLiveMigratable").status


def migration_required(vmi: VirtualMachineInstance) -> bool:
    """Whether a change, such as a hotplugged interface, takes effect only after a migration.

    The condition MigrationRequired: kubevirt/kubevirt v1.9 pkg/virt-controller/watch/vmi and
    pkg/network/migration/evaluator.go.
    """
    return condition(vmi, "MigrationRequired").status == "True"


def pod_network_bridges(vmi: VirtualMachineInstance) -> tuple[str, ...]:
    """Return the interfaces with bridge binding on the pod network."""
    pod_networks = {network.name for network in vmi.spec.networks if network.pod is not None}
    return tuple(
        interface.name
        for interface in vmi.spec.domain.devices.interfaces
        if interface.bridge is not None and interface.name in pod_networks
    )


def hotplugged_volumes(vmi: VirtualMachineInstance) -> tuple[str, ...]:
    """Return the volumes that were hotplugged."""
    return tuple(volume.name for volume in vmi.status.volume_status if volume.hotplug_volume)


def uses_host_model(vmi: VirtualMachineInstance) -> bool:
    """Whether the CPU model is that of the node where the VMI started; this is the default."""
    cpu = vmi.spec.domain.cpu
    return cpu is None or cpu.model in ("", "host-model")
