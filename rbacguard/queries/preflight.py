"""Denials of generated objects: whether a user can apply them, and the rules that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from rbacguard.rbac import (
    Attributes,
    ClusterRole,
    ClusterRoleBinding,
    ObjectKey,
    PolicyRule,
    Role,
    RoleBinding,
)
from rbacguard.rbac.escalation import (
    RESOURCES,
    binding_authorized,
    escalation_allowed,
    missing_to_bind,
    missing_to_create_role,
)
from rbacguard.rbac.identity import User, subject_applies
from rbacguard.rbac.rules import rules_allow
from rbacguard.rbac.types import CLUSTER_WIDE, RBAC_GROUP, AnyBinding, AnyRole
from rbacguard.snapshot import Snapshot

_VERBS = ("create", "get", "patch")
"""The verbs of `kubectl apply`."""


class Denial(Struct, frozen=True):
    """A reason why the API server would deny an object.

    Attributes:
        object: the object.
        message: the reason.
        rule: the rule to grant to the user, or None if no rule helps.
        namespace: where to grant the rule: a namespace, or `CLUSTER_WIDE`.
    """

    object: ObjectKey
    message: str
    rule: PolicyRule | None = None
    namespace: str = CLUSTER_WIDE


def check_apply(
    snapshot: Snapshot, objects: Iterable[AnyRole | AnyBinding], user: User
) -> tuple[Denial, ...]:
    """Return the denials of objects that a user applies one after the other.

    Args:
        snapshot: the cluster before the first object is applied.
        objects: the objects, in order.
        user: the user.
    """
    if escalation_allowed(user.groups):
        return ()
    denials: dict[Denial, None] = {}
    for value in objects:
        denials |= dict.fromkeys(_denials(snapshot, value, user))
        # The label on an existing ClusterRole does not change the rules of the role.
        if not (isinstance(value, ClusterRole) and value.metadata.name in snapshot.cluster_roles):
            snapshot = snapshot.replace([value])
    return tuple(denials)


def _denials(snapshot: Snapshot, value: AnyRole | AnyBinding, user: User) -> Iterator[Denial]:
    key = value.key if isinstance(value, ClusterRole | Role) else value.ref
    resource = RESOURCES[key.kind]
    user_rules = _rules_for(snapshot, user, key.namespace)
    for verb in _VERBS:
        # A create request has no name that a rule could be limited to.
        name = "" if verb == "create" else key.name
        request = Attributes(verb=verb, api_group=RBAC_GROUP, resource=resource, name=name)
        if rules_allow(request, user_rules) is None:
            rule = PolicyRule((verb,), (RBAC_GROUP,), (resource,))
            yield Denial(key, f"cannot {verb} {resource}", rule, key.namespace)
    if isinstance(value, ClusterRoleBinding | RoleBinding):
        yield from _restrictions(snapshot, value)
        yield from _binding_denials(snapshot, value, user_rules)
        return
    missing = missing_to_create_role(user_rules, key.kind, value.rules)
    if missing:
        rule = PolicyRule(("escalate",), (RBAC_GROUP,), (resource,))
        message = f"does not have all rules of the role; missing: {_format(missing)}"
        yield Denial(key, message, rule, key.namespace)


def _binding_denials(
    snapshot: Snapshot, binding: AnyBinding, user_rules: tuple[PolicyRule, ...]
) -> Iterator[Denial]:
    key, role_ref = binding.ref, binding.role_ref
    role = snapshot.role(role_ref.key(key.namespace))
    if role is None and not binding_authorized(user_rules, role_ref):
        message = f"{role_ref.name} does not exist yet, so only the verb bind allows the binding"
    elif role and (missing := missing_to_bind(user_rules, role_ref, snapshot.rules[role.key])):
        message = f"does not have all rules of {role_ref.name}; missing: {_format(missing)}"
    else:
        return
    rule = PolicyRule(("bind",), (RBAC_GROUP,), (RESOURCES[role_ref.kind],), (role_ref.name,))
    yield Denial(key, message, rule, key.namespace)


def _restrictions(snapshot: Snapshot, binding: AnyBinding) -> Iterator[Denial]:
    """Yield the denials of OpenShift's admission plugin RestrictSubjectBindings.

    If a namespace has RoleBindingRestrictions, every subject must match one of them.
    """
    restrictions = snapshot.restrictions.get(binding.ref.namespace)
    if not restrictions:
        return
    groups = dict(snapshot.groups)
    names = ", ".join(each.metadata.name for each in restrictions)
    ignored = any(each.has_selector for each in restrictions)
    note = " (label selectors were not evaluated)" if ignored else ""
    for subject in binding.subjects:
        if not any(each.allows(subject, groups) for each in restrictions):
            message = f"{subject} matches none of the RoleBindingRestrictions {names}{note}"
            yield Denial(binding.ref, message)


def _rules_for(snapshot: Snapshot, user: User, namespace: str) -> tuple[PolicyRule, ...]:
    """Return the rules of a user in a namespace (validation/rule.go, RulesFor)."""
    found: dict[PolicyRule, None] = {}
    for where in dict.fromkeys((CLUSTER_WIDE, namespace)):
        for binding in snapshot.bindings_in.get(where, ()):
            if any(subject_applies(each, user.name, user.groups) for each in binding.subjects):
                rules = snapshot.rules.get(binding.role_ref.key(where), ())
                found |= dict.fromkeys(rules)
    return tuple(found)


def _format(rules: Iterable[PolicyRule]) -> str:
    """Return rules as text, with the verbs of one resource together."""
    verbs: dict[str, dict[str, None]] = {}
    for rule in rules:
        for resource in rule.resources or rule.non_resource_urls:
            group = f".{rule.api_groups[0]}" if rule.api_groups and rule.api_groups[0] else ""
            verbs.setdefault(f"{resource}{group}", {}).update(dict.fromkeys(rule.verbs))
    return "; ".join(f"{','.join(each)} {resource}" for resource, each in verbs.items())
