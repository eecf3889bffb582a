"""The update as a function from one snapshot to another.

virt-operator replaces the rules of its ClusterRoles and merges their labels. It creates
kubevirt.io:migrate last and fails if the role exists. It leaves roles that it does not know alone
(kubevirt pkg/virt-operator/resource/apply/rbac.go). The aggregation controller then follows.
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
from rbacguard.kubevirt.releases import FIRST_RESTRICTED, MANUAL_AGGREGATION, Release, cluster_roles
from rbacguard.rbac import ClusterRole, ObjectKey
from rbacguard.snapshot import Snapshot


def preexisting_migrate_role(snapshot: Snapshot, now: Installed) -> ClusterRole | None:
    """Return a kubevirt.io:migrate that exists before the update to 4.19, or None.

    The operator cannot create its own role then (AlreadyExists), and the update does not finish.
    """
    role = snapshot.cluster_roles.get(MIGRATE)
    if role is None or role.metadata.labels.get(MANAGED_BY) in OPERATORS:
        return None
    is_before = now.restricted is False or (
        now.release is not None and now.release < FIRST_RESTRICTED
    )
    return role if is_before else None


def apply_update(snapshot: Snapshot, now: Installed, target: Release) -> Snapshot:
    """Return the cluster after the update, with aggregation computed.

    Args:
        snapshot: the cluster before the update.
        now: what is installed.
        target: the release to update to.

    Raises:
        VersionError: the roles of the target are not known.
    """
    manual = target >= MANUAL_AGGREGATION and aggregation_is_manual(snapshot)
    roles = cluster_roles(target)
    if preexisting_migrate_role(snapshot, now) is not None:
        roles.pop(MIGRATE, None)
    written = []
    for name, new in roles.items():
        labels = dict(new.metadata.labels)
        if manual:
            labels = {k: "false" if k.startswith(AGGREGATE_TO) else v for k, v in labels.items()}
        existing = snapshot.cluster_roles.get(name)
        if existing is None:
            written.append(replace(new, metadata=replace(new.metadata, labels=labels)))
        else:
            metadata = replace(existing.metadata, labels={**existing.metadata.labels, **labels})
            written.append(ClusterRole(metadata, new.rules, existing.aggregation_rule))
    # The operator deletes roles that have its label and are not its own.
    deleted = [
        ObjectKey("ClusterRole", "", name)
        for name, role in snapshot.cluster_roles.items()
        if role.metadata.labels.get(MANAGED_BY) in OPERATORS and not _is_written_by_operator(role)
    ]
    return snapshot.replace(written, deleted, aggregate="recompute")


def _is_written_by_operator(role: ClusterRole) -> bool:
    """Return whether a role has the annotation that virt-operator writes on its own roles."""
    return INSTALL_STRATEGY_VERSION in role.metadata.annotations
