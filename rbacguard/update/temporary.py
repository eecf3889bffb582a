"""Roles that hand migration to namespace administrators or editors by aggregation."""

from __future__ import annotations

from msgspec import Struct

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
from rbacguard.kubevirt.permissions import Action, Tier, live_migration
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.rbac import ClusterRole, ObjectMeta, PolicyRule, rules_allow
from rbacguard.snapshot import Snapshot

AGGREGATED_DEFAULTS = ("admin", "edit", "view")
_OPERATORS_ROLES = frozenset({ADMIN, EDIT, MIGRATE})


class TemporaryRole(Struct, frozen=True):
    """A ClusterRole, not the operator's, that aggregates migration into a default role.

    Attributes:
        role: the role.
        aggregated_to: those of admin, edit and view that select it, directly or through others.
        actions: what it grants of the migration permission, reading left out.
    """

    role: ClusterRole
    aggregated_to: tuple[str, ...]
    actions: tuple[Action, ...]

    @property
    def name(self) -> str:
        """The role's name."""
        return self.role.metadata.name


def actions_of(rules: tuple[PolicyRule, ...], *, read: bool = False) -> tuple[Action, ...]:
    """Return the actions of the migration permission that these rules allow."""
    return tuple(
        action
        for action in live_migration().actions
        if (read or action.tier is not Tier.READ) and rules_allow(action.attributes, rules)
    )


def reaches(snapshot: Snapshot, role: str) -> tuple[str, ...]:
    """Return every aggregated role that takes up a role, directly or through others."""
    found: dict[str, None] = {}
    todo = [role]
    while todo:
        source = todo.pop()
        for target, sources in snapshot.aggregation.sources.items():
            if source in sources and target not in found and target != role:
                found[target] = None
                todo.append(target)
    return tuple(sorted(found))


def temporary_roles(snapshot: Snapshot) -> tuple[TemporaryRole, ...]:
    """Return every role that does what the documented temporary role does, whatever its name."""
    found = []
    for role in snapshot.cluster_roles.values():
        name = role.metadata.name
        if name in _OPERATORS_ROLES or role.aggregation_rule or is_ephemeral_backup(role):
            continue
        actions = actions_of(role.rules)
        if not actions or _is_wildcard(role):
            continue
        defaults = tuple(n for n in AGGREGATED_DEFAULTS if n in reaches(snapshot, name))
        if defaults or name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT):
            found.append(TemporaryRole(role, defaults, actions))
    for name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT):
        unseen = snapshot.cluster_roles.get(name)
        if unseen is not None and all(t.name != name for t in found):
            found.append(TemporaryRole(unseen, (), ()))
    return tuple(found)


def _is_wildcard(role: ClusterRole) -> bool:
    return all("*" in rule.resources for rule in role.rules if actions_of((rule,)))


def restored_default(snapshot: Snapshot) -> tuple[str, ...]:
    """Return which of admin, edit and view take up kubevirt.io:migrate."""
    if MIGRATE not in snapshot.cluster_roles:
        return ()
    return tuple(name for name in AGGREGATED_DEFAULTS if name in reaches(snapshot, MIGRATE))


def temporary_role(
    tier: str, *, expires: str = "", annotations: dict[str, str] | None = None
) -> ClusterRole:
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
    marks = dict(annotations or {})
    if expires:
        marks[EXPIRES] = expires
    labels = {f"{AGGREGATE_TO}{tier}": "true"}
    return ClusterRole(ObjectMeta(name=name, labels=labels, annotations=marks), rules)
