"""Bindings to kubevirt.io:migrate for those who are to keep or get it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from rbacguard.kubevirt.names import MIGRATE
from rbacguard.rbac import ClusterRoleBinding, ObjectKey, ObjectMeta, RoleBinding, RoleRef, Subject
from rbacguard.rbac.types import AnyBinding
from rbacguard.snapshot import Snapshot

BINDING_NAME = "rbacguard-live-migration"
MIGRATE_ROLE = ObjectKey("ClusterRole", "", MIGRATE)
GENERATED_BY = "rbacguard.io/generated-by"
"""Annotation by which the tool knows its own objects."""


class Need(Struct, frozen=True, order=True):
    """Somebody who is to hold migration in a namespace ('' = the whole cluster)."""

    namespace: str
    subject: Subject


def bound_to_migrate(snapshot: Snapshot) -> Mapping[Need, AnyBinding]:
    """Return who is bound to kubevirt.io:migrate already, whether it exists or not."""
    return {
        Need(binding.scope, subject): binding
        for binding in snapshot.bindings
        if binding.role_ref.name == MIGRATE and binding.role_ref.kind == "ClusterRole"
        for subject in binding.subjects
    }


def smallest(needs: Iterable[Need]) -> tuple[Need, ...]:
    """Drop what a need for the whole cluster covers already."""
    wanted = set(needs)
    everywhere = {need.subject for need in wanted if not need.namespace}
    kept = [n for n in wanted if not n.namespace or n.subject not in everywhere]
    # As needs are ordered, by plain values, which are quick to compare.
    kept.sort(key=lambda n: (n.namespace, n.subject.kind, n.subject.name, n.subject.namespace))
    return tuple(kept)


def bindings_for(needs: Iterable[Need], snapshot: Snapshot) -> tuple[AnyBinding, ...]:
    """Return one binding for each scope, for whom no binding to kubevirt.io:migrate does it yet.

    The scope is that of the need, never wider; the name is free in its namespace, since a roleRef
    cannot be changed later.
    """
    # What the tool made before is made again: to leave it out would have it pruned.
    bound = {
        need
        for need, b in bound_to_migrate(snapshot).items()
        if GENERATED_BY not in b.metadata.annotations
    }
    by_scope: dict[str, list[Subject]] = {}
    for need in smallest(needs):
        if need not in bound and Need("", need.subject) not in bound:
            by_scope.setdefault(need.namespace, []).append(need.subject)
    role_ref = RoleRef("ClusterRole", MIGRATE)
    made: list[AnyBinding] = []
    for namespace, subjects in sorted(by_scope.items()):
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        metadata = ObjectMeta(name=_free_name(kind, namespace, snapshot), namespace=namespace)
        make = RoleBinding if namespace else ClusterRoleBinding
        made.append(make(metadata, role_ref, tuple(subjects)))
    return tuple(made)


def _free_name(kind: str, namespace: str, snapshot: Snapshot) -> str:
    name, number = BINDING_NAME, 2
    while (known := snapshot.binding(ObjectKey(kind, namespace, name))) is not None:
        if GENERATED_BY in known.metadata.annotations:
            break
        name, number = f"{BINDING_NAME}-{number}", number + 1
    return name
