"""Migrations that were asked for: how far they are, who asked, and what delays a drain.

Phases and annotations: kubevirt/kubevirt v1.9 staging/src/kubevirt.io/api/core/v1/types.go
(VirtualMachineInstanceMigrationPhase, EvacuationMigrationAnnotation,
WorkloadUpdateMigrationAnnotation). The API keeps no creator: the first manager that wrote the
object names a program, not a person.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.workloads import VirtualMachineInstanceMigration
from rbacguard.sources.audit_log import moment

ENDED = ("Succeeded", "Failed")
WAITING = ("", "Pending", "Scheduling", "WaitingForSync")
"""Phases in which nothing is copied yet; '' is what virt-controller has not looked at."""
_EVACUATION = "kubevirt.io/evacuationMigration"
_WORKLOAD_UPDATE = "kubevirt.io/workloadUpdateMigration"
_PLATFORM_MANAGERS = ("virt-controller", "virt-operator", "virt-api")


class AskedBy(StrEnum):
    """For what a migration was made."""

    DRAIN = "drain"
    UPDATE = "workload-update"
    SOMEBODY = "somebody"


class Migration(Struct, frozen=True):
    """One VirtualMachineInstanceMigration.

    Attributes:
        key: which one.
        machine: the machine's name, in the same namespace.
        phase: as KubeVirt writes it; '' before it was looked at.
        asked_by: for what it was made.
        manager: the program that made it, such as `virtctl` or `kubectl-create`; '' for unknown.
        created: when, as the API server wrote it; '' for unknown.
        age: seconds since then; None where that is not known.
        source: the node that is left; '' for unknown.
        target: the node that is gone to; '' for none yet.
        reason: why it failed, or what it waits for; '' for neither.
        deleted: whether its deletion was asked for, which cancels it.
    """

    key: ObjectKey
    machine: str
    phase: str
    asked_by: AskedBy
    manager: str
    created: str
    age: int | None
    source: str
    target: str
    reason: str
    deleted: bool

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.phase not in ENDED


def migrations(inventory: Inventory, now: datetime.datetime) -> tuple[Migration, ...]:
    """Return every migration, those under way first, the oldest of each first."""
    found = [_migration(key, each, now) for key, each in inventory.migrations.items()]
    return tuple(sorted(found, key=lambda each: (not each.is_running, each.created, each.key)))


def _migration(
    key: ObjectKey, found: VirtualMachineInstanceMigration, now: datetime.datetime
) -> Migration:
    metadata, state = found.metadata, found.status.migration_state
    annotations = metadata.annotations
    manager = min(
        (each for each in metadata.managed_fields if not each.subresource),
        key=lambda each: each.time,
        default=None,
    )
    asked_by = AskedBy.SOMEBODY
    if _EVACUATION in annotations or metadata.generate_name.startswith("kubevirt-evacuation-"):
        asked_by = AskedBy.DRAIN
    elif _WORKLOAD_UPDATE in annotations or metadata.generate_name.startswith(
        "kubevirt-workload-update-"
    ):
        asked_by = AskedBy.UPDATE
    reason = state.failure_reason if state else ""
    if not reason and found.status.phase not in ENDED:
        held = [
            each
            for each in found.status.conditions or ()
            if each.status == "True" and each.type != "migrationAbortRequested"
        ]
        reason = "; ".join(each.message or each.reason or each.type for each in held)
    created = moment(metadata.creation_timestamp)
    return Migration(
        key=key,
        machine=found.spec.vmi_name,
        phase=found.status.phase,
        asked_by=asked_by,
        manager=manager.manager if manager else "",
        created=metadata.creation_timestamp,
        age=None if created is None else max(int((now - created).total_seconds()), 0),
        source=state.source_node if state else "",
        target=state.target_node if state else "",
        reason=reason,
        deleted=bool(metadata.deletion_timestamp) or bool(state and state.abort_requested),
    )


def made_by_people(found: Iterable[Migration]) -> Mapping[str, int]:
    """Return how many migrations of each namespace no part of the platform asked for."""
    counts = Counter(
        each.key.namespace
        for each in found
        if each.asked_by is AskedBy.SOMEBODY and each.manager not in _PLATFORM_MANAGERS
    )
    return dict(sorted(counts.items()))
