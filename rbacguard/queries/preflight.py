"""Whether the identity that GitOps runs as may make what was generated, and what it lacks.

Behaviour of kubernetes pkg/registry/rbac: escalation_check.go, clusterrole/policybased/storage.go
and rolebinding/policybased/storage.go; and of OpenShift's restrictusers admission.
"""

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
    covers,
)
from rbacguard.rbac.authorizer import SYSTEM_MASTERS
from rbacguard.rbac.identity import User, subject_applies
from rbacguard.rbac.types import RBAC_GROUP, AnyBinding, AnyRole
from rbacguard.snapshot import Snapshot

_PLURALS = {
    "ClusterRole": "clusterroles",
    "Role": "roles",
    "ClusterRoleBinding": "clusterrolebindings",
    "RoleBinding": "rolebindings",
}
_VERBS = ("create", "get", "patch")


class Obstacle(Struct, frozen=True):
    """Why one object would be refused.

    Attributes:
        object: which.
        message: what is missing, in words.
        rule: what to grant, or None where no rule helps.
        namespace: where to grant it; '' is the whole cluster.
    """

    object: ObjectKey
    message: str
    rule: PolicyRule | None = None
    namespace: str = ""


def obstacles(
    snapshot: Snapshot, objects: Iterable[AnyRole | AnyBinding], applier: User
) -> tuple[Obstacle, ...]:
    """Return why objects would be refused, each taken up before the next one is looked at."""
    found: list[Obstacle] = []
    for value in objects:
        found += _refusals(snapshot, value, applier)
        snapshot = snapshot.replace([value]) if _is_new(snapshot, value) else snapshot
    return tuple(dict.fromkeys(found))


def _key(value: AnyRole | AnyBinding) -> ObjectKey:
    return value.key if isinstance(value, ClusterRole | Role) else value.ref


def _is_new(snapshot: Snapshot, value: AnyRole | AnyBinding) -> bool:
    """Whether it is made; what only labels a role that is there keeps the role's rules."""
    return not (isinstance(value, ClusterRole) and value.metadata.name in snapshot.cluster_roles)


def _refusals(snapshot: Snapshot, value: AnyRole | AnyBinding, applier: User) -> Iterator[Obstacle]:
    key = _key(value)
    plural = _PLURALS[key.kind]
    for verb in _VERBS:
        # A request that makes something has no name that a rule could be limited to.
        name = "" if verb == "create" else key.name
        if not _may(snapshot, applier, verb, plural, key.namespace, name):
            rule = PolicyRule((verb,), (RBAC_GROUP,), (plural,))
            yield Obstacle(key, f"may not {verb} {plural}", rule, key.namespace)
    if SYSTEM_MASTERS.name in applier.groups:
        return
    if isinstance(value, ClusterRoleBinding | RoleBinding):
        yield from _binding_refusals(snapshot, value, applier)
    elif value.rules:
        yield from _role_refusals(snapshot, value, applier)


def _role_refusals(snapshot: Snapshot, role: AnyRole, applier: User) -> Iterator[Obstacle]:
    """A role may hold only what its maker holds, but for who may `escalate`."""
    key = role.key
    held = _rules(snapshot, applier, key.namespace)
    covered, missing = covers(held, role.rules)
    if covered or _may(snapshot, applier, "escalate", _PLURALS[key.kind], key.namespace, ""):
        return
    rule = PolicyRule(("escalate",), (RBAC_GROUP,), (_PLURALS[key.kind],))
    yield Obstacle(key, f"holds less than the role: lacks {_listed(missing)}", rule, key.namespace)


def _binding_refusals(snapshot: Snapshot, binding: AnyBinding, applier: User) -> Iterator[Obstacle]:
    """Only what one holds may be bound, but for who may `bind` that role."""
    key, reference = binding.ref, binding.role_ref
    plural = _PLURALS[reference.kind]
    yield from _restrictions(snapshot, binding)
    if _may(snapshot, applier, "bind", plural, key.namespace, reference.name):
        return
    rule = PolicyRule(("bind",), (RBAC_GROUP,), (plural,), (reference.name,))
    role = snapshot.role(reference.key(key.namespace))
    if role is None:
        message = f"{reference.name} does not exist yet, so only who may bind it can be let do so"
        yield Obstacle(key, message, rule, key.namespace)
        return
    held = _rules(snapshot, applier, key.namespace)
    covered, missing = covers(held, snapshot.rules[role.key])
    if not covered:
        message = f"holds less than {reference.name}: lacks {_listed(missing)}"
        yield Obstacle(key, message, rule, key.namespace)


def _restrictions(snapshot: Snapshot, binding: AnyBinding) -> Iterator[Obstacle]:
    """OpenShift's RoleBindingRestrictions: where there is one, each new subject must fit one."""
    restrictions = snapshot.restrictions.get(binding.ref.namespace)
    if not restrictions:
        return
    groups = dict(snapshot.groups)
    for subject in binding.subjects:
        if not any(each.allows(subject, groups) for each in restrictions):
            names = ", ".join(each.metadata.name for each in restrictions)
            unseen = any(each.has_selector for each in restrictions)
            note = " (their labels were not looked at)" if unseen else ""
            message = f"{subject} fits none of the RoleBindingRestrictions {names}{note}"
            yield Obstacle(binding.ref, message)


def _may(
    snapshot: Snapshot, applier: User, verb: str, plural: str, namespace: str, name: str
) -> bool:
    asked = Attributes(
        verb=verb,
        user=applier.name,
        groups=applier.groups,
        api_group=RBAC_GROUP,
        resource=plural,
        name=name,
        namespace=namespace,
    )
    return snapshot.authorizer.authorize(asked).allowed


def _rules(snapshot: Snapshot, applier: User, namespace: str) -> tuple[PolicyRule, ...]:
    """Return every rule that an identity holds in a namespace, '' for the whole cluster."""
    found: dict[PolicyRule, None] = {}
    for binding in snapshot.bindings:
        space = binding.ref.namespace
        if space not in ("", namespace):
            continue
        if any(subject_applies(s, applier.name, applier.groups) for s in binding.subjects):
            role = binding.role_ref.key(space)
            found |= dict.fromkeys(snapshot.rules.get(role, ()))
    return tuple(found)


def _listed(rules: Iterable[PolicyRule]) -> str:
    """Return rules in short, verbs of one resource together."""
    verbs: dict[str, dict[str, None]] = {}
    for rule in rules:
        for resource in rule.resources or rule.non_resource_urls:
            group = f".{rule.api_groups[0]}" if rule.api_groups and rule.api_groups[0] else ""
            verbs.setdefault(f"{resource}{group}", {}).update(dict.fromkeys(rule.verbs))
    return "; ".join(f"{','.join(each)} {resource}" for resource, each in verbs.items())
