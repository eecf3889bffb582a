"""Roles that grant live migration to the subjects of admin, edit, or view by aggregation."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.kubevirt.access import requests_of
from rbacguard.kubevirt.installed import is_ephemeral_backup
from rbacguard.kubevirt.names import (
    ADMIN,
    AGGREGATE_TO,
    EDIT,
    EXPIRES,
    MIGRATE,
    UPGRADE_MIGRATE,
    UPGRADE_MIGRATE_EDIT,
)
from rbacguard.kubevirt.permissions import Action, live_migration
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.rbac import ClusterRole, ObjectKey, ObjectMeta, PolicyRule, rules_allow
from rbacguard.snapshot import Snapshot

AGGREGATED_DEFAULTS = ("admin", "edit", "view")
_OPERATOR_ROLES = frozenset({ADMIN, EDIT, MIGRATE})


class TemporaryRole(Struct, frozen=True):
    """A ClusterRole that aggregates live migration into a default role and is not KubeVirt's.

    Attributes:
        role: the role.
        aggregated_into: those of admin, edit, and view that select it, directly or through others.
    """

    role: ClusterRole
    aggregated_into: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the role."""
        return self.role.metadata.name


def granted_actions(rules: tuple[PolicyRule, ...]) -> tuple[Action, ...]:
    """Return the actions of live migration, except read actions, that rules allow."""
    return tuple(
        action for action in live_migration().granting if rules_allow(action.attributes, rules)
    )


def aggregated_into(snapshot: Snapshot, role: str) -> tuple[str, ...]:
    """Return every aggregated role that a role is aggregated into, directly or through others."""
    found: set[str] = set()
    queue = [role]
    while queue:
        for target in snapshot.aggregation.aggregated_by.get(queue.pop(), ()):
            if target not in found and target != role:
                found.add(target)
                queue.append(target)
    return tuple(sorted(found))


def default_roles_fed(snapshot: Snapshot, role: str) -> tuple[str, ...]:
    """Return which of admin, edit, and view a role is aggregated into."""
    targets = aggregated_into(snapshot, role)
    return tuple(name for name in AGGREGATED_DEFAULTS if name in targets)


def temporary_roles(snapshot: Snapshot) -> tuple[TemporaryRole, ...]:
    """Return every role that has the effect or the name of the documented temporary role."""
    found = []
    requests = requests_of(live_migration().granting)
    for role in snapshot.cluster_roles.values():
        name = role.metadata.name
        is_documented = name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT)
        is_other = name in _OPERATOR_ROLES or role.aggregation_rule or is_ephemeral_backup(role)
        if is_other and not is_documented:
            continue
        fed = default_roles_fed(snapshot, name) if requests.evaluate(role.rules) else ()
        if fed or is_documented:
            found.append(TemporaryRole(role, fed))
    return tuple(found)


def migrate_aggregated_into(snapshot: Snapshot) -> tuple[str, ...]:
    """Return which of admin, edit, and view kubevirt.io:migrate is aggregated into."""
    return default_roles_fed(snapshot, MIGRATE)


def aggregation_labels(tiers: Iterable[str]) -> dict[str, str]:
    """Return the labels that aggregate a role into admin, edit, or view."""
    return {f"{AGGREGATE_TO}{tier}": "true" for tier in tiers}


def restored_label(role: ClusterRole, tiers: Iterable[str]) -> ClusterRole:
    """Return kubevirt.io:migrate with the labels that restore the previous default."""
    labels = {**role.metadata.labels, **aggregation_labels(tiers)}
    return replace(role, metadata=replace(role.metadata, labels=labels))


def without_temporary(snapshot: Snapshot) -> Snapshot:
    """Return the cluster without anything that aggregates migration into the default roles."""
    changed = []
    if migrate_aggregated_into(snapshot):
        role = snapshot.cluster_roles[MIGRATE]
        labels = {k: v for k, v in role.metadata.labels.items() if not k.startswith(AGGREGATE_TO)}
        changed.append(replace(role, metadata=replace(role.metadata, labels=labels)))
    deleted = [ObjectKey("ClusterRole", "", role.name) for role in temporary_roles(snapshot)]
    return snapshot.replace(changed, deleted, aggregate="recompute")


def temporary_role(tier: str, *, expires: str = "") -> ClusterRole:
    """Return the temporary role for a tier.

    Args:
        tier: `admin` or `edit`. The role for `edit` has the rules of kubevirt.io:edit up to
            KubeVirt 1.4, without `deletecollection`. It covers administrators too, because `edit`
            is aggregated into `admin`.
        expires: the last day on which the role is needed, as YYYY-MM-DD.
    """
    rules = migrate_rules()
    name = UPGRADE_MIGRATE
    if tier == "edit":
        name = UPGRADE_MIGRATE_EDIT
        rules = tuple(
            PolicyRule(
                tuple(verb for verb in rule.verbs if verb != "deletecollection"),
                rule.api_groups,
                rule.resources,
            )
            for rule in rules
        )
    annotations = {EXPIRES: expires} if expires else {}
    labels = aggregation_labels([tier])
    return ClusterRole(ObjectMeta(name=name, labels=labels, annotations=annotations), rules)
