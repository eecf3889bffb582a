"""What is recorded but cannot be: rules that aggregation would not give, fields refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.names import UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.policy.checks.base import Check, Context, Fact, FactType
from rbacguard.rbac import ObjectKey
from rbacguard.update.temporary_role import granted_actions


class DriftCheck(Check, frozen=True, tag="drift"):
    """Aggregated roles whose recorded rules differ from what the controller would write."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "role": FactType.STRING,
        "surplus": FactType.INT,
        "absent": FactType.INT,
        "migration": FactType.BOOL,
    }
    NEEDS: ClassVar[tuple[str, ...]] = ("ClusterRole",)

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each role that drifted."""
        for name, (surplus, absent) in context.snapshot.drift.items():
            yield Fact(
                fields={
                    "role": name,
                    "surplus": len(surplus),
                    "absent": len(absent),
                    "migration": bool(granted_actions(surplus) or granted_actions(absent)),
                },
                group=name,
                objects=(ObjectKey("ClusterRole", "", name),),
            )


class DefectCheck(Check, frozen=True, tag="defect"):
    """Fields that the API server would refuse, such as labels written as one string."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "kind": FactType.STRING,
        "name": FactType.STRING,
        "path": FactType.STRING,
        "found": FactType.STRING,
        "documented_name": FactType.BOOL,
    }
    NEEDS: ClassVar[tuple[str, ...]] = ()

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each defect."""
        for defect in context.snapshot.invalid_fields:
            yield Fact(
                fields={
                    "kind": defect.key.kind,
                    "name": defect.key.name,
                    "path": defect.path,
                    "found": defect.message,
                    "documented_name": defect.key.name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT),
                },
                group=str(defect.key),
                objects=(defect.key,),
            )
