"""Migrations that are under way or have failed, and who asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.policy.checks.base import Context, Fact, FactType, MachineCheck, Machines, key_fields
from rbacguard.readiness.migrations import WAITING, made_by_people

_MINUTE = 60


class MigrationCheck(MachineCheck, frozen=True, tag="migration"):
    """One fact for each VirtualMachineInstanceMigration."""

    NEEDS: ClassVar[tuple[str, ...]] = ("VirtualMachineInstanceMigration", "VirtualMachineInstance")
    FACTS: ClassVar[Mapping[str, FactType]] = {
        "migration": FactType.MAP,
        "machine": FactType.STRING,
        "phase": FactType.STRING,
        "running": FactType.BOOL,
        "waiting": FactType.BOOL,
        "asked_by": FactType.STRING,
        "manager": FactType.STRING,
        "age_minutes": FactType.INT,
        "source": FactType.STRING,
        "target": FactType.STRING,
        "reason": FactType.STRING,
        "deleted": FactType.BOOL,
        "machine_there": FactType.BOOL,
        "people_in_namespace": FactType.INT,
        "first_in_namespace": FactType.BOOL,
    }

    def look(self, machines: Machines, context: Context) -> Iterator[Fact]:  # noqa: ARG002
        """Yield one fact for each migration."""
        people = made_by_people(machines.migrations)
        there = {(key.namespace, key.name) for key in machines.inventory.machines}
        seen: set[str] = set()
        for each in machines.migrations:
            key = each.key
            yield Fact(
                fields={
                    "migration": key_fields(key),
                    "machine": each.machine,
                    "phase": each.phase or "new",
                    "running": each.is_running,
                    "waiting": each.phase in WAITING,
                    "asked_by": each.asked_by.value,
                    "manager": each.manager,
                    "age_minutes": -1 if each.age is None else each.age // _MINUTE,
                    "source": each.source,
                    "target": each.target,
                    "reason": each.reason or "no reason is given",
                    "deleted": each.deleted,
                    "machine_there": (key.namespace, each.machine) in there,
                    "people_in_namespace": people.get(key.namespace, 0),
                    "first_in_namespace": key.namespace not in seen,
                },
                group=key.namespace,
                scope=key.namespace,
                objects=(key,),
            )
            seen.add(key.namespace)
