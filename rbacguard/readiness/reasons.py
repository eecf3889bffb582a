"""Why a machine does not migrate, in KubeVirt's words, and what can be done about it.

Reasons of the condition LiveMigratable: kubevirt/kubevirt v1.9
staging/src/kubevirt.io/api/core/v1/types.go (VirtualMachineInstanceReason…) and
pkg/virt-handler/vm.go, calculateLiveMigrationCondition, where the first one that holds is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Explained(NamedTuple):
    """What a reason means, and what to do."""

    meaning: str
    advice: str


_SHUT_DOWN = "shut it down for the update, and start it afterwards"

REASONS: Mapping[str, Explained] = {
    "DisksNotLiveMigratable": Explained(
        "a volume is not shared between nodes",
        "put it on a claim with access mode ReadWriteMany, by a storage migration for instance",
    ),
    "InterfaceNotLiveMigratable": Explained(
        "an interface is bound to the pod network by a bridge, or by a plugin that cannot move",
        "bind it by masquerade, or attach a secondary network",
    ),
    "HotplugNotLiveMigratable": Explained(
        "a volume that was plugged in later is not shared between nodes",
        "unplug it, or put it on a claim with access mode ReadWriteMany",
    ),
    "CPUModeLiveMigratable": Explained(
        "no other node offers the CPU that host-model has chosen",
        "set spec.domain.cpu.model to a model that all nodes offer",
    ),
    "VirtIOFSNotLiveMigratable": Explained(
        "it shares a file system with its node (virtiofs)",
        f"remove the file system, or {_SHUT_DOWN}",
    ),
    "HostDeviceNotLiveMigratable": Explained(
        "a device of its node is handed through to it", f"remove the device, or {_SHUT_DOWN}"
    ),
    "SEVNotLiveMigratable": Explained("its memory is encrypted (AMD SEV)", _SHUT_DOWN),
    "TDXNotLiveMigratable": Explained("its memory is encrypted (Intel TDX)", _SHUT_DOWN),
    "SecureExecutionNotLiveMigratable": Explained(
        "its memory is protected (IBM Secure Execution)", _SHUT_DOWN
    ),
    "NoTSCFrequencyNotLiveMigratable": Explained(
        "it needs a clock frequency (TSC) that is not known to be the same elsewhere",
        "remove the Hyper-V features that need it, or label the nodes with their frequency",
    ),
    "HypervPassthroughNotLiveMigratable": Explained(
        "all Hyper-V features of its node are handed through to it",
        "name the features that it needs instead of hypervPassthrough",
    ),
    "PersistentReservationNotLiveMigratable": Explained(
        "a disk uses SCSI persistent reservations", f"remove the reservation, or {_SHUT_DOWN}"
    ),
    "DecentralizedNotLiveMigratable": Explained(
        "it takes part in a migration between clusters", "wait until that has ended"
    ),
    "NotMigratable": Explained("several of its parts cannot move", "look at each of them"),
}
"""By reason of LiveMigratable, or of StorageLiveMigratable."""

UNKNOWN = Explained("KubeVirt says so", "look at the condition's message")
