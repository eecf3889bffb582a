"""The resources that each command reads from a cluster, and the permissions for that."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from rbacguard.errors import InputError
from rbacguard.rbac.types import PolicyRule
from rbacguard.snapshot.resources import (
    GROUPS,
    HYPERCONVERGEDS,
    KUBEVIRTS,
    MIGRATIONS,
    NAMESPACES,
    RBAC,
    RESTRICTIONS,
    VMIS,
    WORKLOADS,
    Resource,
)

_VERSION = (KUBEVIRTS, HYPERCONVERGEDS)
_ALL = (*RBAC, NAMESPACES, GROUPS, RESTRICTIONS, *_VERSION)

NEEDS: Mapping[str, tuple[Resource, ...]] = {
    "audit": _ALL,
    "plan": _ALL,
    "generate": _ALL,
    "snapshot": _ALL,
    "approvals": _ALL,
    "status": (*RBAC, *_VERSION),
    "verify": (*RBAC, NAMESPACES, GROUPS, *_VERSION),
    "watch": (*RBAC, NAMESPACES, GROUPS, *_VERSION),
    "diff": (*RBAC, *_VERSION),
    "who-can": RBAC,
    "can-i": (*RBAC, GROUPS),
    "explain": (*RBAC, GROUPS),
    "readiness": (*WORKLOADS, NAMESPACES, *_VERSION, *RBAC),
    "migrations": (VMIS, MIGRATIONS, *RBAC),
}
"""The resources that each command reads."""

REVIEWS = (PolicyRule(("create",), ("authorization.k8s.io",), ("subjectaccessreviews",)),)
"""The additional rules for `audit --cross-check`."""


def list_path(resource: Resource, version: str, namespace: str = "") -> str:
    """Return the URL path of a list of objects, in one namespace or in all."""
    root = f"/apis/{resource.group}/{version}" if resource.group else f"/api/{version}"
    inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}{inside}/{resource.plural}"


def access_rules(command: str, *, cross_check: bool = False) -> tuple[PolicyRule, ...]:
    """Return the smallest set of rules with which a command can read a whole cluster.

    The only verb is `list`. The server's version and API groups need no rule, because every
    authenticated user can read them (ClusterRole system:discovery).

    Raises:
        InputError: the command does not read a cluster.
    """
    if command not in NEEDS:
        raise InputError(f"{command!r} reads no cluster; those that do are {', '.join(NEEDS)}")
    by_group: dict[str, list[str]] = {}
    for resource in NEEDS[command]:
        by_group.setdefault(resource.group, []).append(resource.plural)
    rules = [
        PolicyRule(("list",), (group,), tuple(sorted(plurals)))
        for group, plurals in sorted(by_group.items())
    ]
    return (*rules, *(REVIEWS if cross_check else ()))
