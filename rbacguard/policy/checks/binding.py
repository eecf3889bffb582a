"""Bindings, their roles, and their subjects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.kubevirt.names import ADMIN, EDIT, MIGRATE, UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.kubevirt.subjects import is_broad
from rbacguard.policy.checks.base import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import BindingFact, FactClass, object_map, role_map
from rbacguard.rbac.types import AnyBinding

_ACM = "open-cluster-management"
_ACM_OWNERS = ("AppliedManifestWork", "ClusterPermission")


def fleet_managed(binding: AnyBinding | None) -> bool:
    """Return whether ACM manages a binding, and so creates it again after it is deleted.

    ACM marks objects with labels and annotations of open-cluster-management.io, and with owners
    (open-cluster-management-io/api work/v1, open-cluster-management-io/cluster-permission).
    """
    if binding is None:
        return False
    metadata = binding.metadata
    return any(
        f"{_ACM}.io" in key or _ACM in value
        for key, value in {**metadata.labels, **metadata.annotations}.items()
    ) or any(owner.kind in _ACM_OWNERS for owner in metadata.owner_references)


class BindingCheck(Check, frozen=True, tag="binding"):
    """Yields all bindings."""

    FACT: ClassVar[FactClass] = BindingFact

    def run(self, context: Context) -> Iterator[BindingFact]:
        """Yield one fact for each binding."""
        snapshot = context.snapshot
        # If roles of a kind were not read completely, a role that is missing might exist.
        unread = {kind for kind in ("ClusterRole", "Role") if snapshot.coverage.missing([kind])}
        for binding in snapshot.bindings:
            ref, scope = binding.ref, binding.scope
            key = binding.role_ref.key(scope)
            name = key.name if key.kind == "ClusterRole" else ""
            yield BindingFact(
                binding=object_map(ref),
                role=role_map(key),
                role_exists=key in snapshot.rules or key.kind in unread,
                to_migrate=name == MIGRATE,
                to_temporary=name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT),
                to_kubevirt_default=name in (ADMIN, EDIT),
                subjects=[str(subject) for subject in binding.subjects],
                broad=[s.name for s in binding.subjects if is_broad(s)],
                fleet_managed=fleet_managed(binding),
                group_key=str(key),
                scope=scope,
                objects=(ref,),
            )
