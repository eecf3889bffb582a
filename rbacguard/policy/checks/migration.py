"""VirtualMachineInstanceMigrations: unfinished and failed ones, and their origin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.policy.checks.base import ReadinessCheck
from rbacguard.policy.context import Context, Workloads
from rbacguard.policy.facts import FactClass, MigrationFact, object_map
from rbacguard.rbac import ObjectKey
from rbacguard.readiness.migrations import WAITING, user_migrations

_MINUTE = 60


class MigrationCheck(ReadinessCheck, frozen=True, tag="migration"):
    """One fact for each VirtualMachineInstanceMigration."""

    NEEDS: ClassVar[tuple[str, ...]] = ("VirtualMachineInstanceMigration", "VirtualMachineInstance")
    FACT: ClassVar[FactClass] = MigrationFact

    def facts(self, workloads: Workloads, context: Context) -> Iterator[MigrationFact]:  # noqa: ARG002
        """Yield one fact for each migration."""
        by_namespace = user_migrations(workloads.migrations)
        seen: set[str] = set()
        for each in workloads.migrations:
            key = each.key
            vmi = ObjectKey("VirtualMachineInstance", key.namespace, each.vmi)
            yield MigrationFact(
                migration=object_map(key),
                vmi=each.vmi,
                phase=each.phase or "new",
                running=each.is_running,
                waiting=each.phase in WAITING,
                origin=each.origin.value,
                manager=each.manager,
                age_minutes=-1 if each.age is None else each.age // _MINUTE,
                source=each.source,
                target=each.target,
                reason=each.reason or "no reason is reported",
                deleted=each.is_deleted,
                vmi_exists=vmi in workloads.inventory.vmis,
                user_migrations=by_namespace.get(key.namespace, 0),
                first_in_namespace=key.namespace not in seen,
                group_key=key.namespace,
                scope=key.namespace,
                objects=(key,),
            )
            seen.add(key.namespace)
