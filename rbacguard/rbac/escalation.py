"""The checks that prevent privilege escalation when a role or a binding is created.

Behaviour of kubernetes component-helpers auth/rbac/validation/policy_comparator.go (Covers),
pkg/registry/rbac/escalation_check.go, and the storage.go files below pkg/registry/rbac.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import product

from rbacguard.rbac.attributes import Attributes
from rbacguard.rbac.authorizer import SYSTEM_MASTERS
from rbacguard.rbac.rules import rules_allow
from rbacguard.rbac.types import RBAC_GROUP, PolicyRule, RoleRef

RESOURCES = {
    "ClusterRole": "clusterroles",
    "Role": "roles",
    "ClusterRoleBinding": "clusterrolebindings",
    "RoleBinding": "rolebindings",
}
"""The resource of each RBAC kind."""


def escalation_allowed(groups: Collection[str]) -> bool:
    """Return whether no check applies to a user with these groups (EscalationAllowed)."""
    return SYSTEM_MASTERS.name in groups


def role_escalation_authorized(user_rules: Iterable[PolicyRule], kind: str) -> bool:
    """Return whether a user can create a role with any rules (RoleEscalationAuthorized).

    A request that creates a role has no name, so a rule with resource names does not allow it.

    Args:
        user_rules: the rules of the user in the namespace of the role, cluster-wide rules included.
        kind: `ClusterRole` or `Role`.
    """
    request = Attributes(verb="escalate", api_group=RBAC_GROUP, resource=RESOURCES[kind])
    return rules_allow(request, user_rules) is not None


def binding_authorized(user_rules: Iterable[PolicyRule], role_ref: RoleRef) -> bool:
    """Return whether a user can bind a role without having its rules (BindingAuthorized).

    Args:
        user_rules: the rules of the user in the namespace of the binding, cluster-wide rules
            included.
        role_ref: the role. It does not need to exist.
    """
    resource = RESOURCES[role_ref.kind]
    request = Attributes(
        verb="bind", api_group=role_ref.api_group, resource=resource, name=role_ref.name
    )
    return rules_allow(request, user_rules) is not None


def missing_to_create_role(
    user_rules: Collection[PolicyRule], kind: str, role_rules: Iterable[PolicyRule]
) -> tuple[PolicyRule, ...]:
    """Return the rules that a user lacks to create a role; none if the user can create it.

    Create in clusterrole/policybased/storage.go and role/policybased/storage.go.

    Args:
        user_rules: the rules of the user in the namespace of the role, cluster-wide rules included.
        kind: `ClusterRole` or `Role`.
        role_rules: the rules of the role.
    """
    if role_escalation_authorized(user_rules, kind):
        return ()
    return confirm_no_escalation(user_rules, role_rules)


def missing_to_bind(
    user_rules: Collection[PolicyRule], role_ref: RoleRef, role_rules: Iterable[PolicyRule]
) -> tuple[PolicyRule, ...]:
    """Return the rules that a user lacks to bind an existing role; none if the user can bind it.

    Create in clusterrolebinding/policybased/storage.go and rolebinding/policybased/storage.go.

    Args:
        user_rules: the rules of the user in the namespace of the binding, cluster-wide rules
            included.
        role_ref: the role.
        role_rules: the rules of the role, with aggregation applied.
    """
    if binding_authorized(user_rules, role_ref):
        return ()
    return confirm_no_escalation(user_rules, role_rules)


def confirm_no_escalation(
    user_rules: Iterable[PolicyRule], rules: Iterable[PolicyRule]
) -> tuple[PolicyRule, ...]:
    """Return the rules that a user lacks (validation/rule.go, ConfirmNoEscalation)."""
    return covers(user_rules, rules)[1]


def covers(
    owner_rules: Iterable[PolicyRule], servant_rules: Iterable[PolicyRule]
) -> tuple[bool, tuple[PolicyRule, ...]]:
    """Return whether the owner's rules cover the servant's, and the rules that are not covered.

    Port of Covers. The servant's rules are split into rules of one verb, group, resource, and name.
    One owner rule must cover each of them. `*` must be covered by `*`. A rule with names does not
    cover a rule without names.
    """
    owners = tuple(owner_rules)
    missing = tuple(
        atom
        for rule in servant_rules
        for atom in _atoms(rule)
        if not any(_covers_atom(owner, atom) for owner in owners)
    )
    return not missing, missing


def _atoms(rule: PolicyRule) -> Iterable[PolicyRule]:
    """Split a rule into rules of one verb, group, resource, and name (BreakdownRule)."""
    names: tuple[tuple[str, ...], ...] = tuple((name,) for name in rule.resource_names) or ((),)
    for verb in rule.verbs:
        for group, resource, name in product(rule.api_groups, rule.resources, names):
            yield PolicyRule((verb,), (group,), (resource,), name)
        for url in rule.non_resource_urls:
            yield PolicyRule((verb,), non_resource_urls=(url,))


def _covers_atom(owner: PolicyRule, atom: PolicyRule) -> bool:
    """Return whether a rule covers an atom (ruleCovers)."""

    def has(owned: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
        return "*" in owned or all(value in owned for value in wanted)

    if not has(owner.verbs, atom.verbs):
        return False
    if atom.non_resource_urls:
        (url,) = atom.non_resource_urls
        return any(
            own == url or (own.endswith("*") and url.startswith(own.rstrip("*")))
            for own in owner.non_resource_urls
        )
    (resource,) = atom.resources
    _, slash, subresource = resource.partition("/")
    return (
        has(owner.api_groups, atom.api_groups)
        and (
            has(owner.resources, atom.resources)
            or (bool(slash) and f"*/{subresource}" in owner.resources)
        )
        and (not owner.resource_names or _names_covered(owner, atom))
    )


def _names_covered(owner: PolicyRule, atom: PolicyRule) -> bool:
    return bool(atom.resource_names) and atom.resource_names[0] in owner.resource_names
