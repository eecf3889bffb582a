"""Bindings that point at kubevirt.io:migrate, at the temporary role, or at nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.names import ADMIN, EDIT, MIGRATE, UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.policy.checks.access_change import fleet_managed
from rbacguard.policy.checks.base import (
    Check,
    Context,
    Fact,
    FactType,
    is_broad,
    key_fields,
    place,
)


class BindingCheck(Check, frozen=True, tag="binding"):
    """Every binding, with whether its role exists and whom it names."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "binding": FactType.MAP,
        "role": FactType.MAP,
        "role_exists": FactType.BOOL,
        "place": FactType.STRING,
        "to_migrate": FactType.BOOL,
        "to_temporary": FactType.BOOL,
        "to_kubevirt_default": FactType.BOOL,
        "subjects": FactType.LIST,
        "broad": FactType.LIST,
        "fleet_managed": FactType.BOOL,
    }
    NEEDS: ClassVar[tuple[str, ...]] = (
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    )

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each binding."""
        snapshot = context.snapshot
        # A role of a kind that was not read whole may well exist.
        unread = {kind for kind in ("ClusterRole", "Role") if snapshot.coverage.missing([kind])}
        for binding in snapshot.bindings:
            ref, scope = binding.ref, binding.scope
            key = binding.role_ref.key(scope)
            is_cluster_role = key.kind == "ClusterRole"
            yield Fact(
                fields={
                    "binding": key_fields(ref),
                    "role": {"kind": key.kind, "name": key.name},
                    "role_exists": key in snapshot.rules or key.kind in unread,
                    "place": place(scope),
                    "to_migrate": is_cluster_role and key.name == MIGRATE,
                    "to_temporary": is_cluster_role
                    and key.name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT),
                    "to_kubevirt_default": is_cluster_role and key.name in (ADMIN, EDIT),
                    "subjects": [str(subject) for subject in binding.subjects],
                    "broad": [s.name for s in binding.subjects if is_broad(s)],
                    "fleet_managed": fleet_managed(binding),
                },
                group=str(key),
                scope=scope,
                objects=(ref,),
            )
