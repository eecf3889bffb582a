"""Roles that grant migration, and how they came by it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.installed import aggregation_is_manual, is_ephemeral_backup
from rbacguard.kubevirt.names import (
    ADMIN,
    AGGREGATE_TO,
    EDIT,
    EXPIRES,
    INSTALL_STRATEGY_VERSION,
    MANAGED_BY,
    MIGRATE,
    OPERATORS,
    UPGRADE_MIGRATE,
    UPGRADE_MIGRATE_EDIT,
)
from rbacguard.kubevirt.permissions import Tier, live_migration
from rbacguard.kubevirt.releases import HARDENED, cluster_roles
from rbacguard.policy.checks.base import Check, Context, Fact, FactType, key_fields
from rbacguard.rbac import ClusterRole, ObjectKey, PolicyRule
from rbacguard.rbac.selectors import selector_matches
from rbacguard.rbac.types import AnyRole
from rbacguard.update.simulate import preexisting_migrate_role
from rbacguard.update.temporary_role import (
    AGGREGATED_DEFAULTS,
    default_roles_fed,
    granted_actions,
    temporary_role,
)

_OWN = frozenset({ADMIN, EDIT, MIGRATE, "admin", "edit", "view"})
_COPY_SIGNS = ("virtualmachines/start", "virtualmachineinstances/console")


class RoleCheck(Check, frozen=True, tag="role"):
    """Every role that grants migration, or bears the temporary role's name."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "role": FactType.MAP,
        "actions": FactType.LIST,
        "labels": FactType.MAP,
        "aggregated": FactType.BOOL,
        "aggregated_to": FactType.LIST,
        "wrong_labels": FactType.LIST,
        "documented_name": FactType.BOOL,
        "kubevirts_own": FactType.BOOL,
        "kubernetes_own": FactType.BOOL,
        "missing": FactType.LIST,
        "extra": FactType.BOOL,
        "wildcard": FactType.BOOL,
        "bound": FactType.INT,
        "operator_label": FactType.BOOL,
        "ephemeral_backup": FactType.BOOL,
        "expires": FactType.STRING,
        "expired": FactType.BOOL,
        "copy": FactType.BOOL,
        "gitops": FactType.BOOL,
        "takes_up_migrate": FactType.BOOL,
        "made_by_somebody_else": FactType.BOOL,
        "manual_aggregation": FactType.BOOL,
    }
    NEEDS: ClassVar[tuple[str, ...]] = ("ClusterRole", "Role")

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each role that grants migration, or bears the name of one."""
        snapshot = context.snapshot
        bound: dict[ObjectKey, int] = {}
        for binding in snapshot.bindings:
            key = binding.role_ref.key(binding.ref.namespace)
            bound[key] = bound.get(key, 0) + len(binding.subjects)
        manual = aggregation_is_manual(snapshot)
        foreign = preexisting_migrate_role(snapshot, context.now) is not None
        roles: list[AnyRole] = [*snapshot.cluster_roles.values(), *snapshot.roles.values()]
        for role in roles:
            rules = snapshot.rules[role.key]
            name = role.metadata.name
            actions = granted_actions(rules)
            documented = name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT)
            if not actions and not documented and name != MIGRATE:
                continue
            cluster_role = role if isinstance(role, ClusterRole) else None
            expires = role.metadata.annotations.get(EXPIRES, "")
            yield Fact(
                fields={
                    "role": key_fields(role.key),
                    "actions": [action.short for action in actions],
                    "labels": dict(role.metadata.labels),
                    "aggregated": cluster_role is not None
                    and cluster_role.aggregation_rule is not None,
                    "aggregated_to": list(default_roles_fed(snapshot, name))
                    if cluster_role
                    else [],
                    "wrong_labels": _wrong_labels(role),
                    "documented_name": documented and cluster_role is not None,
                    "kubevirts_own": name in (ADMIN, EDIT, MIGRATE) and cluster_role is not None,
                    "kubernetes_own": name.startswith("system:")
                    or name in ("cluster-admin", *AGGREGATED_DEFAULTS),
                    "missing": _missing(role, actions),
                    "extra": _has_extra(role, rules),
                    "wildcard": any("*" in r.resources and granted_actions((r,)) for r in rules),
                    "bound": bound.get(role.key, 0),
                    "operator_label": role.metadata.labels.get(MANAGED_BY) in OPERATORS
                    and INSTALL_STRATEGY_VERSION not in role.metadata.annotations,
                    "ephemeral_backup": cluster_role is not None
                    and is_ephemeral_backup(cluster_role),
                    "expires": expires,
                    "expired": _expired(expires, context.today),
                    "copy": _is_copy(role, rules),
                    "gitops": name.endswith("-argocd-application-controller"),
                    "takes_up_migrate": cluster_role is not None
                    and name not in AGGREGATED_DEFAULTS
                    and _takes_up_migrate(context, name),
                    "made_by_somebody_else": foreign and role.key.name == MIGRATE,
                    "manual_aggregation": manual,
                },
                group=str(role.key),
                scope=role.key.namespace,
                grants=(),
                objects=(role.key,),
            )


def _wrong_labels(role: AnyRole) -> list[str]:
    return [
        f"{key}: {value!r}"
        for key, value in sorted(role.metadata.labels.items())
        if key.startswith(AGGREGATE_TO) and value not in ("true", "false")
    ]


def _missing(role: AnyRole, actions: tuple[object, ...]) -> list[str]:
    """Return the actions that a role of the temporary role's name should grant and does not."""
    name = role.metadata.name
    if name not in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT):
        return []
    wanted = granted_actions(
        temporary_role("edit" if name == UPGRADE_MIGRATE_EDIT else "admin").rules
    )
    return [action.short for action in wanted if action not in actions]


def _has_extra(role: AnyRole, rules: tuple[PolicyRule, ...]) -> bool:
    """Whether a role of the temporary role's name grants anything but migration."""
    if role.metadata.name not in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT):
        return False
    groups = {"kubevirt.io", "subresources.kubevirt.io"}
    resources = {"virtualmachineinstancemigrations", "virtualmachines/migrate"}
    too_much = any(
        not set(rule.api_groups) <= groups or not set(rule.resources) <= resources for rule in rules
    )
    collection = [a for a in live_migration().of(Tier.CANCEL) if a.verb == "deletecollection"]
    is_edit = role.metadata.name == UPGRADE_MIGRATE_EDIT
    return too_much or (is_edit and any(a in granted_actions(rules) for a in collection))


def _expired(expires: str, today: datetime.date) -> bool:
    try:
        return bool(expires) and datetime.date.fromisoformat(expires) < today
    except ValueError:
        return True


def _is_copy(role: AnyRole, rules: tuple[PolicyRule, ...]) -> bool:
    """Whether somebody copied the old admin or edit: migration beside what else they hold."""
    if role.metadata.name in _OWN or getattr(role, "aggregation_rule", None) is not None:
        return False
    if isinstance(role, ClusterRole) and is_ephemeral_backup(role):
        return False
    named = {resource for rule in rules for resource in rule.resources}
    return all(sign in named for sign in _COPY_SIGNS)


def _takes_up_migrate(context: Context, name: str) -> bool:
    """Whether a customer's aggregated role selects kubevirt.io:migrate, now or after the update."""
    sources = context.snapshot.aggregation.sources
    if MIGRATE in sources.get(name, ()):
        return True
    role = context.snapshot.cluster_roles[name]
    if role.aggregation_rule is None or context.plan is None:
        return False
    labels = cluster_roles(HARDENED)[MIGRATE].metadata.labels
    return any(
        selector_matches(selector, labels)
        for selector in role.aggregation_rule.cluster_role_selectors
    )
