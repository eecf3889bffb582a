"""Roles that grant live migration, and the reason why they grant it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
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
from rbacguard.kubevirt.permissions import Directness, live_migration
from rbacguard.kubevirt.releases import FIRST_RESTRICTED, cluster_roles
from rbacguard.policy.checks.base import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import FactClass, RoleFact, object_map
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

_TEMPORARY = (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT)
_DEFAULTS = frozenset({ADMIN, EDIT, MIGRATE, *AGGREGATED_DEFAULTS})
_COPY_SIGNS = ("virtualmachines/start", "virtualmachineinstances/console")
"""Resources that admin and edit grant. A role for live migration alone does not name them."""


class RoleCheck(Check, frozen=True, tag="role"):
    """Yields roles that grant live migration or have the name of such a role."""

    FACT: ClassVar[FactClass] = RoleFact
    NEEDS: ClassVar[tuple[str, ...]] = ("ClusterRole", "Role")

    def run(self, context: Context) -> Iterator[RoleFact]:
        """Yield one fact for each such role."""
        snapshot = context.snapshot
        bound: dict[ObjectKey, int] = {}
        for binding in snapshot.bindings:
            key = binding.role_ref.key(binding.ref.namespace)
            bound[key] = bound.get(key, 0) + len(binding.subjects)
        manual = aggregation_is_manual(snapshot)
        # After the update, an effective label gives live migration to all administrators.
        correction = "=true" if context.installed.restricted is False else "-"
        preexisting = preexisting_migrate_role(snapshot, context.installed) is not None
        roles: list[AnyRole] = [*snapshot.cluster_roles.values(), *snapshot.roles.values()]
        for role in roles:
            rules = snapshot.rules[role.key]
            name, metadata = role.metadata.name, role.metadata
            actions = granted_actions(rules)
            if not actions and name not in _TEMPORARY and name != MIGRATE:
                continue
            labels, invalid = metadata.labels, _invalid_aggregation_labels(role)
            cluster_role = role if isinstance(role, ClusterRole) else None
            expires = metadata.annotations.get(EXPIRES, "")
            yield RoleFact(
                role=object_map(role.key),
                actions=[action.short for action in actions],
                labels=dict(labels),
                aggregated=getattr(role, "aggregation_rule", None) is not None,
                aggregated_into=list(default_roles_fed(snapshot, name)) if cluster_role else [],
                invalid_aggregation_labels=[f"{key}: {labels[key]!r}" for key in invalid],
                label_corrections=[f"{key}{correction}" for key in invalid],
                label_removals=[
                    f"{key}-"
                    for key, value in sorted(labels.items())
                    if key.startswith(AGGREGATE_TO) and value == "true"
                ],
                documented_name=name in _TEMPORARY and cluster_role is not None,
                kubevirt_role=name in (ADMIN, EDIT, MIGRATE) and cluster_role is not None,
                kubernetes_role=name.startswith("system:")
                or name in ("cluster-admin", *AGGREGATED_DEFAULTS),
                missing_actions=_missing_actions(name, actions),
                grants_more=_grants_more(name, rules),
                wildcard=any("*" in rule.resources and granted_actions((rule,)) for rule in rules),
                bound_subjects=bound.get(role.key, 0),
                operator_label=metadata.labels.get(MANAGED_BY) in OPERATORS
                and INSTALL_STRATEGY_VERSION not in metadata.annotations,
                ephemeral_backup=cluster_role is not None and is_ephemeral_backup(cluster_role),
                expires=expires,
                expired=_expired(expires, context.today),
                default_role_copy=_is_default_role_copy(role, rules),
                gitops_controller_role=name.endswith("-argocd-application-controller"),
                aggregates_migrate=cluster_role is not None
                and name not in AGGREGATED_DEFAULTS
                and _aggregates_migrate(context, cluster_role),
                preexisting_migrate_role=preexisting and name == MIGRATE,
                manual_aggregation=manual,
                group_key=str(role.key),
                scope=role.key.namespace,
                objects=(role.key,),
            )


def _invalid_aggregation_labels(role: AnyRole) -> list[str]:
    """Return the keys of the aggregation labels with another value than true or false."""
    return [
        key
        for key, value in sorted(role.metadata.labels.items())
        if key.startswith(AGGREGATE_TO) and value not in ("true", "false")
    ]


def _missing_actions(name: str, actions: tuple[object, ...]) -> list[str]:
    """Return the actions that a temporary role with this name must grant but does not."""
    if name not in _TEMPORARY:
        return []
    expected = temporary_role("edit" if name == UPGRADE_MIGRATE_EDIT else "admin").rules
    return [action.short for action in granted_actions(expected) if action not in actions]


def _grants_more(name: str, rules: tuple[PolicyRule, ...]) -> bool:
    """Return whether a temporary role with this name grants more than live migration."""
    if name not in _TEMPORARY:
        return False
    groups = {"kubevirt.io", "subresources.kubevirt.io"}
    resources = {"virtualmachineinstancemigrations", "virtualmachines/migrate"}
    if any(
        not set(rule.api_groups) <= groups or not set(rule.resources) <= resources for rule in rules
    ):
        return True
    cancel = live_migration().of(Directness.CANCEL)
    collection = {action for action in cancel if action.verb == "deletecollection"}
    return name == UPGRADE_MIGRATE_EDIT and not collection.isdisjoint(granted_actions(rules))


def _expired(expires: str, today: datetime.date) -> bool:
    try:
        return bool(expires) and datetime.date.fromisoformat(expires) < today
    except ValueError:
        return True


def _is_default_role_copy(role: AnyRole, rules: tuple[PolicyRule, ...]) -> bool:
    """Return whether a role has rules of admin or edit that were copied, not aggregated."""
    if role.metadata.name in _DEFAULTS or getattr(role, "aggregation_rule", None) is not None:
        return False
    if isinstance(role, ClusterRole) and is_ephemeral_backup(role):
        return False
    resources = {resource for rule in rules for resource in rule.resources}
    return resources.issuperset(_COPY_SIGNS)


def _aggregates_migrate(context: Context, role: ClusterRole) -> bool:
    """Return whether a role aggregates kubevirt.io:migrate, now or after the update."""
    sources = context.snapshot.aggregation.sources
    if MIGRATE in sources.get(role.metadata.name, ()):
        return True
    if role.aggregation_rule is None or context.plan is None:
        return False
    labels = cluster_roles(FIRST_RESTRICTED)[MIGRATE].metadata.labels
    return any(
        selector_matches(selector, labels)
        for selector in role.aggregation_rule.cluster_role_selectors
    )
