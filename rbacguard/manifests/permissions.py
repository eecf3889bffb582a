"""What the tool itself needs to be allowed, as manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rbacguard.errors import OutputError
from rbacguard.manifests.render import manifest, render_manifest
from rbacguard.rbac import (
    ClusterRole,
    ClusterRoleBinding,
    ObjectMeta,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)
from rbacguard.rbac.types import RBAC_GROUP, AnyBinding, AnyRole
from rbacguard.validation import problems

_IN_NAMESPACES = frozenset({"roles", "rolebindings"})


def permission_manifests(
    name: str,
    rules: Iterable[PolicyRule],
    subject: Subject,
    *,
    namespaces: Sequence[str] = (),
    kubernetes_version: str,
) -> str:
    """Return roles and bindings that let a subject read what these rules say, as YAML.

    Args:
        name: name of all objects.
        rules: what is needed in the whole cluster.
        subject: who is to read.
        namespaces: give Roles and RoleBindings in these only, not everywhere.
        kubernetes_version: such as `1.33`, to validate against.

    Raises:
        OutputError: a name is none that the API server takes.
    """
    parts = []
    for value in reading_access(name, tuple(rules), subject, namespaces):
        found = manifest(value, {"app.kubernetes.io/managed-by": "rbacguard"}, {})
        wrong = problems(found, kubernetes_version)
        if wrong:
            raise OutputError(f"{found['kind']} {name} would be refused: {wrong[0]}")
        parts.append(render_manifest(f"# Lets {subject.kind} {subject.name!a} read.", found))
    return "---\n".join(parts)


def reading_access(
    name: str, rules: tuple[PolicyRule, ...], subject: Subject, namespaces: Sequence[str] = ()
) -> Iterator[AnyRole | AnyBinding]:
    """Yield roles and bindings that let a subject read (see `permission_manifests`)."""
    everywhere = tuple(_without(rules, _IN_NAMESPACES)) if namespaces else rules
    yield ClusterRole(ObjectMeta(name=name), everywhere)
    yield ClusterRoleBinding(ObjectMeta(name=name), RoleRef("ClusterRole", name), (subject,))
    inside = PolicyRule(("list",), (RBAC_GROUP,), tuple(sorted(_IN_NAMESPACES)))
    for namespace in namespaces:
        metadata = ObjectMeta(name=name, namespace=namespace)
        yield Role(metadata, (inside,))
        yield RoleBinding(metadata, RoleRef("Role", name), (subject,))


def _without(rules: Iterable[PolicyRule], resources: frozenset[str]) -> Iterator[PolicyRule]:
    for rule in rules:
        if rule.api_groups != (RBAC_GROUP,):
            yield rule
            continue
        left = tuple(each for each in rule.resources if each not in resources)
        yield PolicyRule(rule.verbs, rule.api_groups, left)
