"""The resource that a user means by `vmim`, `pods`, or `deployments.apps`.

kubectl asks the API server's discovery. A dump has no discovery, so the rules of its roles take its
place. A resource that no rule contains is an error, because the answer would be misleading.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from msgspec.structs import replace

from rbacguard.errors import QuestionError
from rbacguard.kubevirt.names import RESOURCES, SERVED_BY_CRD, SUBRESOURCES, WITH_SUBRESOURCES
from rbacguard.rbac import Attributes
from rbacguard.snapshot import Snapshot

_REMOVED = "extensions"
"""An API group that rules still contain. Kubernetes 1.22 removed its last resource."""


def resolve_resource(snapshot: Snapshot, request: Attributes) -> Attributes:
    """Return a request with resource and API group as in the API.

    Args:
        snapshot: the cluster. Its rules determine the API group.
        request: `resource` is what a user typed: `vmim`, `pods`, `deployments.apps`. A dot at the
            end selects the core group.

    Raises:
        QuestionError: no rule contains the resource, or rules contain it in several API groups.
    """
    text = request.resource
    if request.path or text == "*":
        return request
    name, dot, group = text.partition(".")
    plural, kubevirt_group = _kubevirt_resource(name, request.subresource)
    if dot:
        is_kubevirt = kubevirt_group and group in (kubevirt_group, RESOURCES[plural][0])
        return replace(request, resource=plural if is_kubevirt else name, api_group=group)
    if kubevirt_group:
        return replace(request, resource=plural, api_group=kubevirt_group)
    groups = (api_groups(snapshot, request.combined_resource) or api_groups(snapshot, name)) - {"*"}
    if len(groups) > 1:
        groups -= {_REMOVED}
    if not groups:
        raise QuestionError(_not_found(snapshot, text, name))
    # The core group is '', and comes first in discovery too.
    if "" not in groups and len(groups) > 1:
        choices = " or ".join(f"{name}.{each}" for each in sorted(groups))
        raise QuestionError(f"{text!r} is in several API groups; use {choices}")
    return replace(request, api_group=min(groups))


def api_groups(snapshot: Snapshot, resource: str) -> set[str]:
    """Return the API groups in which rules contain a resource. `*` is one of them."""
    return {
        group
        for rules in snapshot.rules.values()
        for rule in rules
        if resource in rule.resources
        for group in rule.api_groups
    }


def _kubevirt_resource(name: str, subresource: str) -> tuple[str, str]:
    """Return the plural and API group of a KubeVirt resource, or the name and ''."""
    lower = name.lower()
    for plural, (group, *names) in RESOURCES.items():
        if lower == plural or lower in names:
            served = subresource and subresource not in SERVED_BY_CRD
            return plural, SUBRESOURCES if served and plural in WITH_SUBRESOURCES else group
    return name, ""


def _not_found(snapshot: Snapshot, text: str, name: str) -> str:
    named = {n for rules in snapshot.rules.values() for rule in rules for n in rule.resources}
    plurals = sorted(each for each in named if "/" not in each)
    near = [
        _typed(each, api_groups(snapshot, each)) for each in get_close_matches(name, plurals, n=3)
    ]
    message = f"{text!r}: no rule in the input contains this resource"
    if snapshot.coverage.missing(["ClusterRole", "Role"]):
        message += ", and not all roles were read"
    if near:
        message += f"; did you mean {' or '.join(near)}?"
    return f"{message} (to check it still, use {name}.GROUP, or '{name}.' for the core group)"


def _typed(resource: str, groups: Iterable[str]) -> str:
    """Return a resource as a user types it."""
    group = min(groups, default="")
    return f"{resource}.{group}" if group not in ("", "*") else resource
