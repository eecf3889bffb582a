"""The objects of rbac.authorization.k8s.io/v1, as frozen values.

Field names follow staging/src/k8s.io/api/rbac/v1/types.go. `null` stands for an empty list or map
in real dumps, so every list and map accepts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, field
from msgspec.structs import force_setattr

RBAC_GROUP = "rbac.authorization.k8s.io"

if TYPE_CHECKING:
    # What the code sees: `_fill_nulls` runs before anybody reads a field.
    Strings = tuple[str, ...]
    StringMap = dict[str, str]
    Rules = tuple["PolicyRule", ...]
    Subjects = tuple["Subject", ...]
    Selectors = tuple["LabelSelector", ...]
    Requirements = tuple["LabelSelectorRequirement", ...]
    Owners = tuple["OwnerReference", ...]
    Text = str
else:
    # What the decoder accepts. Strings, so that msgspec resolves them once the classes exist.
    Strings = tuple[str, ...] | None
    StringMap = dict[str, str] | None
    Rules = "tuple[PolicyRule, ...] | None"
    Subjects = "tuple[Subject, ...] | None"
    Selectors = "tuple[LabelSelector, ...] | None"
    Requirements = "tuple[LabelSelectorRequirement, ...] | None"
    Owners = "tuple[OwnerReference, ...] | None"
    Text = str | None


def _fill_nulls(value: Struct, empty: dict[str, Any]) -> None:
    for name, default in empty.items():
        if getattr(value, name) is None:
            force_setattr(value, name, default)


class Subject(Struct, frozen=True, order=True):
    """Who: kind `User`, `Group` or `ServiceAccount`.

    The authorizer ignores `apiGroup` here, so it is no part of the identity: the same user written
    with and without it is one (rule.go, appliesToUser).
    """

    kind: str
    name: str
    namespace: Text = ""

    def __post_init__(self) -> None:
        """Turn a null namespace into an empty one."""
        _fill_nulls(self, {"namespace": ""})

    def __str__(self) -> str:
        """Return `User alice`, or `ServiceAccount web/deployer`."""
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


class PolicyRule(Struct, frozen=True, rename="camel"):
    """One rule of a role: verbs on resources, or on non-resource URLs."""

    verbs: Strings = ()
    api_groups: Strings = ()
    resources: Strings = ()
    resource_names: Strings = ()
    non_resource_urls: Strings = field(default=(), name="nonResourceURLs")

    def __post_init__(self) -> None:
        """Turn nulls into empty lists."""
        if None in (
            self.verbs,
            self.api_groups,
            self.resources,
            self.resource_names,
            self.non_resource_urls,
        ):
            _fill_nulls(self, dict.fromkeys(self.__struct_fields__, ()))


class OwnerReference(Struct, frozen=True, rename="camel"):
    """Who created an object, by `metadata.ownerReferences`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class ObjectMeta(Struct, frozen=True, rename="camel"):
    """The parts of `metadata` that answers depend on. Managed fields are never decoded."""

    name: Text = ""
    namespace: Text = ""
    labels: StringMap = {}
    annotations: StringMap = {}
    creation_timestamp: Text = ""
    owner_references: Owners = ()

    def __post_init__(self) -> None:
        """Turn nulls into empty values."""
        _fill_nulls(
            self,
            {
                "name": "",
                "namespace": "",
                "labels": {},
                "annotations": {},
                "creation_timestamp": "",
                "owner_references": (),
            },
        )


class LabelSelectorRequirement(Struct, frozen=True):
    """One expression of a selector: operator `In`, `NotIn`, `Exists` or `DoesNotExist`."""

    key: str
    operator: str
    values: Strings = ()

    def __post_init__(self) -> None:
        """Turn nulls into an empty list."""
        _fill_nulls(self, {"values": ()})


class LabelSelector(Struct, frozen=True, rename="camel"):
    """A label selector; an empty one selects everything (apimachinery, meta/v1/helpers.go)."""

    match_labels: StringMap = {}
    match_expressions: Requirements = ()

    def __post_init__(self) -> None:
        """Turn nulls into empty values."""
        _fill_nulls(self, {"match_labels": {}, "match_expressions": ()})


class AggregationRule(Struct, frozen=True, rename="camel"):
    """Which ClusterRoles' rules a role is made of: any selector may match."""

    cluster_role_selectors: Selectors = ()

    def __post_init__(self) -> None:
        """Turn nulls into an empty list."""
        _fill_nulls(self, {"cluster_role_selectors": ()})


class ObjectKey(NamedTuple):
    """An object's identity in a cluster; the namespace of a cluster-scoped kind is ''."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `ClusterRole admin`, or `RoleBinding web/edit`."""
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


class RoleRef(Struct, frozen=True, rename="camel"):
    """The role that a binding points at; `kind` decides where it is looked for."""

    kind: str
    name: str
    api_group: Text = RBAC_GROUP

    def __post_init__(self) -> None:
        """Turn a null group into the only one there is."""
        _fill_nulls(self, {"api_group": RBAC_GROUP})

    def key(self, binding_namespace: str) -> ObjectKey:
        """Return which role this is, seen from a binding in `binding_namespace` ('' = cluster)."""
        return ObjectKey(self.kind, binding_namespace if self.kind == "Role" else "", self.name)


class ClusterRole(Struct, frozen=True, rename="camel"):
    """A ClusterRole. With `aggregation_rule`, the cluster's controller owns `rules`."""

    metadata: ObjectMeta
    rules: Rules = ()
    aggregation_rule: AggregationRule | None = None

    def __post_init__(self) -> None:
        """Turn nulls into an empty list."""
        _fill_nulls(self, {"rules": ()})

    @property
    def key(self) -> ObjectKey:
        """Its identity."""
        return ObjectKey("ClusterRole", "", self.metadata.name)


class Role(Struct, frozen=True, rename="camel"):
    """A Role: rules for one namespace."""

    metadata: ObjectMeta
    rules: Rules = ()

    def __post_init__(self) -> None:
        """Turn nulls into an empty list."""
        _fill_nulls(self, {"rules": ()})

    @property
    def key(self) -> ObjectKey:
        """Its identity."""
        return ObjectKey("Role", self.metadata.namespace, self.metadata.name)


class ClusterRoleBinding(Struct, frozen=True, rename="camel"):
    """A ClusterRoleBinding: a ClusterRole for subjects, in the whole cluster."""

    metadata: ObjectMeta
    role_ref: RoleRef
    subjects: Subjects = ()

    def __post_init__(self) -> None:
        """Turn nulls into an empty list."""
        _fill_nulls(self, {"subjects": ()})

    @property
    def ref(self) -> ObjectKey:
        """Its identity."""
        return ObjectKey("ClusterRoleBinding", "", self.metadata.name)


class RoleBinding(Struct, frozen=True, rename="camel"):
    """A RoleBinding: a Role or ClusterRole for subjects, in the binding's namespace only."""

    metadata: ObjectMeta
    role_ref: RoleRef
    subjects: Subjects = ()

    def __post_init__(self) -> None:
        """Turn nulls into an empty list."""
        _fill_nulls(self, {"subjects": ()})

    @property
    def ref(self) -> ObjectKey:
        """Its identity."""
        return ObjectKey("RoleBinding", self.metadata.namespace, self.metadata.name)


AnyRole = ClusterRole | Role
AnyBinding = ClusterRoleBinding | RoleBinding
