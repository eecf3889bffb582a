"""Bindings of subjects to the ClusterRole kubevirt.io:migrate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from rbacguard.kubevirt.names import MIGRATE
from rbacguard.rbac import ClusterRoleBinding, ObjectKey, ObjectMeta, RoleBinding, RoleRef, Subject
from rbacguard.rbac.types import CLUSTER_WIDE, AnyBinding
from rbacguard.snapshot import Snapshot

BINDING_NAME = "rbacguard-live-migration"
MIGRATE_ROLE = ObjectKey("ClusterRole", "", MIGRATE)
GENERATED_BY = "rbacguard.io/generated-by"
"""Annotation of objects that rbacguard generated."""


class RequiredBinding(Struct, frozen=True, order=True):
    """A subject that must be bound to kubevirt.io:migrate, and where.

    Attributes:
        namespace: the namespace, or `CLUSTER_WIDE`.
        subject: as in bindings, normalised.
    """

    namespace: str
    subject: Subject

    def __str__(self) -> str:
        """Return `User alice in namespace web` or `User alice cluster-wide`, for messages."""
        return f"{self.subject} {self.where}"

    @property
    def where(self) -> str:
        """`in namespace web` or `cluster-wide`, for messages."""
        return f"in namespace {self.namespace}" if self.namespace else "cluster-wide"


def bound_to_migrate(snapshot: Snapshot) -> Mapping[RequiredBinding, AnyBinding]:
    """Return the existing bindings to kubevirt.io:migrate, even if the role does not exist."""
    return {
        RequiredBinding(binding.scope, subject): binding
        for binding in snapshot.bindings
        if binding.role_ref.name == MIGRATE and binding.role_ref.kind == "ClusterRole"
        for subject in binding.subjects
    }


def without_covered(required: Iterable[RequiredBinding]) -> tuple[RequiredBinding, ...]:
    """Return the bindings in order, without those that a cluster-wide binding covers."""
    wanted = set(required)
    wide = {each.subject for each in wanted if each.namespace == CLUSTER_WIDE}
    kept = [e for e in wanted if e.namespace == CLUSTER_WIDE or e.subject not in wide]
    # The order of RequiredBinding itself. Plain tuples are faster to compare.
    kept.sort(key=lambda e: (e.namespace, e.subject.kind, e.subject.name, e.subject.namespace))
    return tuple(kept)


def bindings_for(required: Iterable[RequiredBinding], snapshot: Snapshot) -> tuple[AnyBinding, ...]:
    """Return one new binding for each namespace, with the subjects that have none yet.

    A binding is never wider than required. Its name is free in its namespace, because the roleRef
    of a binding cannot be changed.
    """
    # Bindings that rbacguard generated are generated again, otherwise GitOps would prune them.
    bound = {
        each
        for each, binding in bound_to_migrate(snapshot).items()
        if GENERATED_BY not in binding.metadata.annotations
    }
    subjects_in: dict[str, list[Subject]] = {}
    for each in without_covered(required):
        if each not in bound and RequiredBinding(CLUSTER_WIDE, each.subject) not in bound:
            subjects_in.setdefault(each.namespace, []).append(each.subject)
    role_ref = RoleRef("ClusterRole", MIGRATE)
    made: list[AnyBinding] = []
    for namespace, subjects in sorted(subjects_in.items()):
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
