"""VirtualMachineInstanceMigrations (VMIMs): phase, origin, and what delays them.

Phases and annotations: kubevirt/kubevirt v1.9 staging/src/kubevirt.io/api/core/v1/types.go
(VirtualMachineInstanceMigrationPhase, EvacuationMigrationAnnotation,
WorkloadUpdateMigrationAnnotation). The API does not record the creator. The first manager in
managedFields is the name of a program, not of a user.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.objects import parse_timestamp
from rbacguard.snapshot.workloads import VirtualMachineInstanceMigration

FINISHED = ("Succeeded", "Failed")
WAITING = ("", "Pending", "Scheduling", "WaitingForSync")
"""Phases before data is copied; '' before virt-controller has seen the VMIM."""
_EVACUATION = "kubevirt.io/evacuationMigration"
_WORKLOAD_UPDATE = "kubevirt.io/workloadUpdateMigration"
_PLATFORM_MANAGERS = ("virt-controller", "virt-operator", "virt-api")


class Origin(StrEnum):
    """Why a VMIM was created."""

    DRAIN = "drain"
    WORKLOAD_UPDATE = "workload-update"
    USER = "user"


class Migration(Struct, frozen=True):
    """One VMIM.

    Attributes:
        key: the VMIM.
        vmi: the name of the VMI in the same namespace.
        phase: the phase; '' before virt-controller has seen the VMIM.
        origin: why it was created.
        manager: the program that created it, such as `virtctl`; '' if unknown.
        created: the creation timestamp; '' if unknown.
        age: seconds since its creation; None if unknown.
        source: the source node; '' if unknown.
        target: the target node; '' if there is none yet.
        reason: why it failed, or what it waits for; '' for neither.
        is_deleted: whether its deletion was requested, which cancels the migration.
    """

    key: ObjectKey
    vmi: str
    phase: str
    origin: Origin
    manager: str
    created: str
    age: int | None
    source: str
    target: str
    reason: str
    is_deleted: bool

    @property
    def is_running(self) -> bool:
        """Whether it has not finished."""
        return self.phase not in FINISHED

    @property
    def is_user_created(self) -> bool:
        """Whether neither a drain, a workload update, nor KubeVirt itself created it."""
        return self.origin is Origin.USER and self.manager not in _PLATFORM_MANAGERS


def migrations(inventory: Inventory, now: datetime.datetime) -> tuple[Migration, ...]:
    """Return all VMIMs: unfinished before finished, older before newer.

    Args:
        inventory: the objects of the cluster.
        now: the time at which ages are calculated.
    """
    found = [_migration(key, each, now) for key, each in inventory.migrations.items()]
    return tuple(sorted(found, key=lambda each: (not each.is_running, each.created, each.key)))


def _migration(
    key: ObjectKey, vmim: VirtualMachineInstanceMigration, now: datetime.datetime
) -> Migration:
    metadata, status = vmim.metadata, vmim.status
    state = status.migration_state
    creator = min(
        (entry for entry in metadata.managed_fields if not entry.subresource),
        key=lambda entry: entry.time,
        default=None,
    )
    reason = state.failure_reason
    if not reason and status.phase not in FINISHED:
        reason = "; ".join(
            each.message or each.reason or each.type
            for each in status.conditions
            if each.status == "True" and each.type != "migrationAbortRequested"
        )
    created = parse_timestamp(metadata.creation_timestamp)
    return Migration(
        key=key,
        vmi=vmim.spec.vmi_name,
        phase=status.phase,
        origin=_origin(vmim),
        manager=creator.manager if creator else "",
        created=metadata.creation_timestamp,
        age=None if created is None else max(int((now - created).total_seconds()), 0),
        source=state.source_node,
        target=state.target_node,
        reason=reason,
        is_deleted=bool(metadata.deletion_timestamp) or state.abort_requested,
    )


def _origin(vmim: VirtualMachineInstanceMigration) -> Origin:
    annotations, name = vmim.metadata.annotations, vmim.metadata.generate_name
    if _EVACUATION in annotations or name.startswith("kubevirt-evacuation-"):
        return Origin.DRAIN
    if _WORKLOAD_UPDATE in annotations or name.startswith("kubevirt-workload-update-"):
        return Origin.WORKLOAD_UPDATE
    return Origin.USER


def user_migrations(migrations: Iterable[Migration]) -> Mapping[str, int]:
    """Return by namespace the number of migrations that users created."""
    return Counter(each.key.namespace for each in migrations if each.is_user_created)
