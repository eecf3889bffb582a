"""A whole list at once, as `oc get ... -o json` writes it; whatever is odd is left to `load`.

To cut a list of a hundred thousand objects into pieces and decode each takes twice as long as to
decode it in one go. Only what comes out the same either way is taken here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

from rbacguard.rbac.objects import (
    RBAC_GROUP,
    AggregationRule,
    ClusterRole,
    ClusterRoleBinding,
    ObjectKey,
    ObjectMeta,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)
from rbacguard.sources import objects
from rbacguard.sources.reading import Location, Reading

_RbacVersion: TypeAlias = Literal["rbac.authorization.k8s.io/v1"]
_Subjects: TypeAlias = tuple[Subject, ...] | None
_Rules: TypeAlias = tuple[PolicyRule, ...] | None


class _Tagged(Struct, tag_field="kind", rename="camel", gc=False):
    metadata: ObjectMeta


class _ClusterRole(_Tagged, tag="ClusterRole"):
    api_version: _RbacVersion
    rules: _Rules = None
    aggregation_rule: AggregationRule | None = None


class _Role(_Tagged, tag="Role"):
    api_version: _RbacVersion
    rules: _Rules = None


class _ClusterRoleBinding(_Tagged, tag="ClusterRoleBinding"):
    api_version: _RbacVersion
    role_ref: RoleRef
    subjects: _Subjects = None


class _RoleBinding(_Tagged, tag="RoleBinding"):
    api_version: _RbacVersion
    role_ref: RoleRef
    subjects: _Subjects = None


class _Namespace(_Tagged, tag="Namespace"):
    api_version: Literal["v1"]


class _ServiceAccount(_Tagged, tag="ServiceAccount"):
    api_version: Literal["v1"]


class _Group(_Tagged, tag="Group"):
    api_version: Literal["user.openshift.io/v1"]
    users: tuple[str, ...] | None = None


class _KubeVirt(_Tagged, tag="KubeVirt"):
    api_version: Literal["kubevirt.io/v1"]
    spec: dict[str, Any] | None = None
    status: objects.KubeVirtStatus | None = None


class _HyperConverged(_Tagged, tag="HyperConverged"):
    api_version: Literal["hco.kubevirt.io/v1", "hco.kubevirt.io/v1beta1"]
    spec: dict[str, Any] | None = None
    status: objects.HyperConvergedStatus | None = None


class _ListMeta(Struct):
    continue_: str | None = field(default=None, name="continue")


Listed: TypeAlias = (
    _ClusterRole
    | _Role
    | _ClusterRoleBinding
    | _RoleBinding
    | _Namespace
    | _ServiceAccount
    | _Group
    | _KubeVirt
    | _HyperConverged
)
"""An object of a usual kind and version, not yet as it is kept."""


class _List(Struct, rename="camel"):
    kind: Literal["List"]
    items: list[Listed]
    api_version: str | None = None
    metadata: _ListMeta | None = None


_lists = msgspec.json.Decoder(_List)
_PLAIN: Mapping[type[_Tagged], tuple[str, str, Callable[[Any], Struct]]] = {
    _ClusterRole: (
        RBAC_GROUP,
        "ClusterRole",
        lambda each: ClusterRole(each.metadata, each.rules or (), each.aggregation_rule),
    ),
    _Role: (RBAC_GROUP, "Role", lambda each: Role(each.metadata, each.rules or ())),
    _ClusterRoleBinding: (
        RBAC_GROUP,
        "ClusterRoleBinding",
        lambda each: ClusterRoleBinding(each.metadata, each.role_ref, each.subjects or ()),
    ),
    _RoleBinding: (
        RBAC_GROUP,
        "RoleBinding",
        lambda each: RoleBinding(each.metadata, each.role_ref, each.subjects or ()),
    ),
    _Namespace: ("", "Namespace", lambda each: objects.Namespace(each.metadata)),
    _ServiceAccount: ("", "ServiceAccount", lambda each: objects.ServiceAccount(each.metadata)),
    _Group: (
        "user.openshift.io",
        "Group",
        lambda each: objects.Group(each.metadata, each.users or ()),
    ),
    _KubeVirt: (
        "kubevirt.io",
        "KubeVirt",
        lambda each: objects.KubeVirt(each.metadata, each.spec, each.status),
    ),
    _HyperConverged: (
        "hco.kubevirt.io",
        "HyperConverged",
        lambda each: objects.HyperConverged(each.metadata, each.spec, each.status),
    ),
}


def take(name: str, data: bytes, reading: Reading) -> bool:
    """Take up a list of the usual kinds and versions, not one page of several; or return False.

    Raises:
        InputError: an object has no name, or differs from one that was read before.
    """
    try:
        listed = _lists.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if listed.metadata is not None and listed.metadata.continue_:
        return False
    kept = reading.locations.of_list(name)
    for index, each in enumerate(listed.items):
        kept.append(keep(each, Location(name, item=index), reading))
    return True


def keep(listed: Listed, place: Location, reading: Reading) -> ObjectKey | None:
    """Keep one object, and return its identity, as `Reading.keep` does.

    Raises:
        InputError: it has no name, or differs from one that was read before.
    """
    group, kind, plain = _PLAIN[type(listed)]
    return reading.keep(plain(listed), place, group, kind)
