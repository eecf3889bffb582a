"""A whole list at once, as `oc get ... -o json` writes it; whatever is odd is left to `load`.

To cut a list of a hundred thousand objects into pieces and decode each takes twice as long as to
decode it in one go. Only what comes out the same either way is taken here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

from rbacguard.rbac.types import (
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
    key_of,
)
from rbacguard.snapshot import objects
from rbacguard.snapshot.coverage import Location
from rbacguard.sources.collection import CLUSTER_SCOPED, Reading, drop_last_applied

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


_Shelf: TypeAlias = tuple[str, Callable[[Any], Struct], bool, dict[ObjectKey, Struct]]
"""Kind, what makes an object, whether it is in no namespace, and the objects of the kind."""


def take(name: str, data: bytes, reading: Reading) -> bool:
    """Take up a list of the usual kinds and versions, not one page of several; or return False.

    Raises:
        InputError: an object has no name, or differs from one that was read before.
    """
    try:
        listed = msgspec.json.decode(data, type=_List)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if listed.metadata is not None and listed.metadata.continue_:
        return False
    keep(listed.items, lambda number: Location(name, item=number), reading)
    return True


def keep(listed: Iterable[Listed], place: Callable[[int], Location], reading: Reading) -> None:
    """Keep objects.

    Args:
        listed: the objects.
        place: where each of them stands, by its number from 0.
        reading: keeps them.

    Raises:
        InputError: one of them has no name, or differs from one that was read before.
    """
    kept = reading.locations.of_list(place)
    shelves: dict[type[_Tagged], _Shelf] = {}
    for number, each in enumerate(listed):
        shelf = shelves.get(type(each))
        if shelf is not None:
            kind, plain, everywhere, known = shelf
            metadata = each.metadata
            name, namespace = metadata.name, "" if everywhere else metadata.namespace
            key = key_of((kind, namespace, name))
            if key not in known and name and (everywhere or namespace):
                if metadata.annotations:
                    drop_last_applied(metadata)
                known[key] = plain(each)
                kept.append(key)
                continue
        # The first of its kind, seen before, or odd in another way.
        group, kind, plain = _PLAIN[type(each)]
        kept.append(reading.keep(plain(each), place(number), group, kind))
        if kind in reading.by_kind:
            shelves[type(each)] = (kind, plain, kind in CLUSTER_SCOPED, reading.shelf(kind))
