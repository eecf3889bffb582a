"""What the update makes of a cluster's roles.

virt-operator replaces the rules of its ClusterRoles, merges their labels, writes
kubevirt.io:migrate last with a plain create, and leaves roles that it does not know alone (kubevirt
pkg/virt-operator/resource/apply/rbac.go). The aggregation controller then follows.
"""

from __future__ import annotations

from msgspec.structs import replace

from rbacguard.kubevirt.installed import Installed, aggregation_is_manual
from rbacguard.kubevirt.names import (
    AGGREGATE_TO,
    INSTALL_STRATEGY_VERSION,
    MANAGED_BY,
    MIGRATE,
    OPERATORS,
)
from rbacguard.kubevirt.releases import HARDENED, MANUAL_AGGREGATION, Release, cluster_roles
from rbacguard.rbac import ClusterRole, ObjectKey
from rbacguard.snapshot import Snapshot


def foreign_migrate(snapshot: Snapshot, now: Installed) -> ClusterRole | None:
    """Return a kubevirt.io:migrate that somebody else made before the update, or None.

    The operator's create then fails with AlreadyExists and the update does not finish.
    """
    role = snapshot.cluster_roles.get(MIGRATE)
    if role is None or role.metadata.labels.get(MANAGED_BY) in OPERATORS:
        return None
    before = now.hardened is False or (now.release is not None and now.release < HARDENED)
    return role if before else None


def apply_update(snapshot: Snapshot, now: Installed, target: Release) -> Snapshot:
    """Return the cluster after the update to `target`, with aggregation settled.

    Raises:
        VersionError: the roles of the target are not known.
    """
    manual = target >= MANUAL_AGGREGATION and aggregation_is_manual(snapshot)
    foreign = foreign_migrate(snapshot, now)
    roles = cluster_roles(target)
    if foreign is not None:
        roles.pop(MIGRATE, None)
    written = []
    for name, wanted in roles.items():
        existing = snapshot.cluster_roles.get(name)
        labels = dict(wanted.metadata.labels)
        if manual:
            labels = {k: "false" if k.startswith(AGGREGATE_TO) else v for k, v in labels.items()}
        if existing is None:
            written.append(replace(wanted, metadata=replace(wanted.metadata, labels=labels)))
        else:
            metadata = replace(existing.metadata, labels={**existing.metadata.labels, **labels})
            written.append(ClusterRole(metadata, wanted.rules, existing.aggregation_rule))
    # With the operator's label but not its own, a role is deleted once the update is through.
    doomed = [
        ObjectKey("ClusterRole", "", name)
        for name, role in snapshot.cluster_roles.items()
        if role.metadata.labels.get(MANAGED_BY) in OPERATORS and not _is_operators_own(role)
    ]
    return snapshot.replace(written, doomed, aggregate="recompute")


def _is_operators_own(role: ClusterRole) -> bool:
    """Whether virt-operator wrote a role: it annotates each with the version that it installs."""
    return INSTALL_STRATEGY_VERSION in role.metadata.annotations
