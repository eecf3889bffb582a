"""The objects of rbac.authorization.k8s.io/v1 as frozen values.

Field names follow staging/src/k8s.io/api/rbac/v1/types.go. A large cluster has a million of these
objects. None is part of a reference cycle, so the garbage collector skips them (`gc=False`).
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, NamedTuple

from msgspec import Struct, field
from msgspec.structs import force_setattr

RBAC_GROUP = "rbac.authorization.k8s.io"
CLUSTER_WIDE = ""
"""The namespace of a grant that holds in all namespaces and for cluster-scoped resources."""


class Subject(Struct, frozen=True, gc=False, order=True, cache_hash=True):
    """A subject of kind `User`, `Group`, or `ServiceAccount`.

    The authorizer ignores `apiGroup` (rule.go, appliesToUser), so it is not part of the identity.
    """

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        """Return `User alice`, or `ServiceAccount web/deployer`."""
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


def normalize_subject(subject: Subject, binding_namespace: str) -> Subject:
    """Return a subject as the authorizer reads it (rule.go, appliesToUser).

    A ServiceAccount without a namespace has that of its binding. Users and Groups have none.
    """
    if subject.kind == "ServiceAccount":
        if subject.namespace or not binding_namespace:
            return subject
        return Subject(subject.kind, subject.name, binding_namespace)
    return Subject(subject.kind, subject.name) if subject.namespace else subject


def can_apply(subject: Subject) -> bool:
    """Return whether a normalised subject can apply to any user.

    No user has an empty name. A ServiceAccount needs a namespace. Other kinds do not exist.
    """
    if not subject.name:
        return False
    if subject.kind == "ServiceAccount":
        return bool(subject.namespace)
    return subject.kind in ("User", "Group")


def _normalize_subjects(binding: AnyBinding) -> None:
    """Replace the subjects of a binding by normalised ones, if they differ."""
    for each in binding.subjects:
        if (each.kind == "ServiceAccount") != (each.namespace != ""):
            subjects = tuple(normalize_subject(each, binding.scope) for each in binding.subjects)
            force_setattr(binding, "subjects", subjects)
            return


class PolicyRule(Struct, frozen=True, gc=False, rename="camel", cache_hash=True):
    """One rule of a role: verbs on resources, or on non-resource URLs."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = field(default=(), name="nonResourceURLs")


class OwnerReference(Struct, frozen=True, gc=False, rename="camel"):
    """An entry of `metadata.ownerReferences`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class ObjectMeta(Struct, frozen=True, gc=False, rename="camel"):
    """The parts of `metadata` that answers depend on. Managed fields are never decoded."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    owner_references: tuple[OwnerReference, ...] = ()


class LabelSelectorRequirement(Struct, frozen=True, gc=False):
    """One expression of a selector: operator `In`, `NotIn`, `Exists` or `DoesNotExist`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Struct, frozen=True, gc=False, rename="camel"):
    """A label selector; an empty one selects everything (apimachinery, meta/v1/helpers.go)."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class AggregationRule(Struct, frozen=True, gc=False, rename="camel"):
    """The selectors of the ClusterRoles that are aggregated. One matching selector is enough."""

    cluster_role_selectors: tuple[LabelSelector, ...] = ()


class ObjectKey(NamedTuple):
    """The identity of an object in a cluster. Cluster-scoped kinds have an empty namespace."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `ClusterRole admin`, or `RoleBinding web/edit`."""
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


key_of = partial(tuple.__new__, ObjectKey)
"""Returns the ObjectKey of a tuple (kind, namespace, name), in half the time of ObjectKey()."""


class RoleRef(Struct, frozen=True, gc=False, rename="camel"):
    """The role of a binding. A Role is in the namespace of the binding."""

    kind: str
    name: str
    api_group: str = RBAC_GROUP

    def key(self, binding_namespace: str) -> ObjectKey:
        """Return the identity of the role for a binding in a namespace."""
        return ObjectKey(self.kind, binding_namespace if self.kind == "Role" else "", self.name)


class ClusterRole(Struct, frozen=True, gc=False, rename="camel"):
    """A ClusterRole. With an `aggregation_rule`, the aggregation controller writes `rules`."""

    metadata: ObjectMeta
    rules: tuple[PolicyRule, ...] = ()
    aggregation_rule: AggregationRule | None = None

    @property
    def key(self) -> ObjectKey:
        """Its identity."""
        return ObjectKey("ClusterRole", "", self.metadata.name)


class Role(Struct, frozen=True, gc=False, rename="camel"):
    """A Role: rules for one namespace."""

    metadata: ObjectMeta
    rules: tuple[PolicyRule, ...] = ()

    @property
    def key(self) -> ObjectKey:
        """Its identity."""
        return ObjectKey("Role", self.metadata.namespace, self.metadata.name)


class ClusterRoleBinding(Struct, frozen=True, gc=False, rename="camel"):
    """A ClusterRoleBinding: grants a ClusterRole cluster-wide."""

    kind: ClassVar[str] = "ClusterRoleBinding"
    metadata: ObjectMeta
    role_ref: RoleRef
    subjects: tuple[Subject, ...] = ()

    def __post_init__(self) -> None:
        """Normalise the subjects."""
        _normalize_subjects(self)

    @property
    def ref(self) -> ObjectKey:
        """Its identity."""
        return key_of((self.kind, "", self.metadata.name))

    @property
    def scope(self) -> str:
        """`CLUSTER_WIDE`, even if its metadata contain a namespace."""
        return ""


class RoleBinding(Struct, frozen=True, gc=False, rename="camel"):
    """A RoleBinding: grants a Role or ClusterRole in its own namespace."""

    kind: ClassVar[str] = "RoleBinding"
    metadata: ObjectMeta
    role_ref: RoleRef
    subjects: tuple[Subject, ...] = ()

    def __post_init__(self) -> None:
        """Normalise the subjects."""
        _normalize_subjects(self)

    @property
    def ref(self) -> ObjectKey:
        """Its identity."""
        metadata = self.metadata
        return key_of((self.kind, metadata.namespace, metadata.name))

    @property
    def scope(self) -> str:
        """The namespace in which the binding grants."""
        return self.metadata.namespace


AnyRole = ClusterRole | Role
AnyBinding = ClusterRoleBinding | RoleBinding
