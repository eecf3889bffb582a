"""Roles that hand migration to namespace administrators or editors by aggregation."""

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
_OPERATORS_ROLES = frozenset({ADMIN, EDIT, MIGRATE})


class TemporaryRole(Struct, frozen=True):
    """A ClusterRole, not the operator's, that aggregates migration into a default role.

    Attributes:
        role: the role.
        aggregated_to: those of admin, edit and view that select it, directly or through others.
    """

    role: ClusterRole
    aggregated_to: tuple[str, ...]

    @property
    def name(self) -> str:
        """The role's name."""
        return self.role.metadata.name


def actions_of(rules: tuple[PolicyRule, ...]) -> tuple[Action, ...]:
    """Return the actions of the migration permission that these rules allow, but for reading."""
    return tuple(
        action for action in live_migration().granting if rules_allow(action.attributes, rules)
    )


def reaches(snapshot: Snapshot, role: str) -> tuple[str, ...]:
    """Return every aggregated role that takes up a role, directly or through others."""
    found: set[str] = set()
    todo = [role]
    while todo:
        for target in snapshot.aggregation.aggregated_by.get(todo.pop(), ()):
            if target not in found and target != role:
                found.add(target)
                todo.append(target)
    return tuple(sorted(found))


def defaults_reached(snapshot: Snapshot, role: str) -> tuple[str, ...]:
    """Return which of admin, edit and view take up a role."""
    reached = reaches(snapshot, role)
    return tuple(name for name in AGGREGATED_DEFAULTS if name in reached)


def temporary_roles(snapshot: Snapshot) -> tuple[TemporaryRole, ...]:
    """Return every role that does what the documented temporary role does, whatever its name."""
    found = []
    requests = requests_of(live_migration().granting)
    for role in snapshot.cluster_roles.values():
        name = role.metadata.name
        documented = name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT)
        others = name in _OPERATORS_ROLES or role.aggregation_rule or is_ephemeral_backup(role)
        if others and not documented:
            continue
        granted = requests.evaluate(role.rules)
        defaults = defaults_reached(snapshot, name) if granted else ()
        if defaults or documented:
            found.append(TemporaryRole(role, defaults))
    return tuple(found)


def restored_default(snapshot: Snapshot) -> tuple[str, ...]:
    """Return which of admin, edit and view take up kubevirt.io:migrate."""
    return defaults_reached(snapshot, MIGRATE)


def aggregation_labels(tiers: Iterable[str]) -> dict[str, str]:
    """Return the labels by which admin, edit or view take a role up."""
    return {f"{AGGREGATE_TO}{tier}": "true" for tier in tiers}


def without_temporary(snapshot: Snapshot) -> Snapshot:
    """Return the cluster as it would be with nothing that hands migration to the default roles."""
    put = []
    if restored_default(snapshot):
        role = snapshot.cluster_roles[MIGRATE]
        labels = {k: v for k, v in role.metadata.labels.items() if not k.startswith(AGGREGATE_TO)}
        put.append(replace(role, metadata=replace(role.metadata, labels=labels)))
    temporary = [ObjectKey("ClusterRole", "", role.name) for role in temporary_roles(snapshot)]
    return snapshot.replace(put, temporary, aggregate="recompute")


def temporary_role(tier: str, *, expires: str = "") -> ClusterRole:
    """Return the temporary role for a tier, `admin` or `edit`.

    The one for editors grants what kubevirt.io:edit granted up to 1.4: no `deletecollection`. Since
    `edit` is itself aggregated into `admin`, it reaches administrators too.
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
