"""Recorded rules that aggregation would not give, and fields that the API server would reject."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.kubevirt.names import UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.policy.checks.base import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import FactClass, InvalidFieldFact, OutdatedRoleFact
from rbacguard.rbac import ObjectKey
from rbacguard.update.temporary_role import granted_actions


class OutdatedRoleCheck(Check, frozen=True, tag="outdated-role"):
    """Yields aggregated ClusterRoles whose recorded rules differ from those of their sources."""

    FACT: ClassVar[FactClass] = OutdatedRoleFact
    NEEDS: ClassVar[tuple[str, ...]] = ("ClusterRole",)

    def run(self, context: Context) -> Iterator[OutdatedRoleFact]:
        """Yield one fact for each such role."""
        for name, (unexpected, missing) in context.snapshot.drift.items():
            yield OutdatedRoleFact(
                role=name,
                unexpected=len(unexpected),
                missing=len(missing),
                affects_migration=bool(granted_actions(unexpected) or granted_actions(missing)),
                group_key=name,
                objects=(ObjectKey("ClusterRole", "", name),),
            )


class InvalidFieldCheck(Check, frozen=True, tag="invalid-field"):
    """Yields fields that the API server would reject, such as labels that are one string."""

    FACT: ClassVar[FactClass] = InvalidFieldFact
    NEEDS: ClassVar[tuple[str, ...]] = ()

    def run(self, context: Context) -> Iterator[InvalidFieldFact]:
        """Yield one fact for each such field."""
        for defect in context.snapshot.invalid_fields:
            key = defect.key
            yield InvalidFieldFact(
                kind=key.kind,
                name=key.name,
                path=defect.path,
                found=defect.message,
                documented_name=key.name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT),
                group_key=str(key),
                objects=(key,),
            )
