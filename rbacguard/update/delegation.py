"""Subjects that can grant live migration to others. Such grants outlive the temporary role.

A user can create a RoleBinding if the user may create RoleBindings and either has every rule of the
role or may `bind` it (kubernetes pkg/registry/rbac/rolebinding/policybased/storage.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from msgspec import Struct

from rbacguard.kubevirt.access import mask_of
from rbacguard.kubevirt.names import MIGRATE
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.rbac import Attributes, Grant, Subject
from rbacguard.rbac.access import EffectiveAccess, Namespaces, widest
from rbacguard.rbac.rules import RequestSet
from rbacguard.snapshot import Snapshot

_RBAC_GROUPS = ("rbac.authorization.k8s.io", "authorization.openshift.io")
_CREATE = mask_of(range(len(_RBAC_GROUPS)))
_BIND = 1 << len(_RBAC_GROUPS)


class Delegation(Struct, frozen=True):
    """A subject that can grant live migration to others.

    Attributes:
        subject: the subject.
        namespace: where; `CLUSTER_WIDE` for all namespaces.
        how: `holds` (it has every rule of kubevirt.io:migrate) or `bind` (it may bind the role).
        grant: the grant that allows it to create RoleBindings there.
    """

    subject: Subject
    namespace: str
    how: str
    grant: Grant


def _request(verb: str, group: str, resource: str, name: str = "") -> Attributes:
    plural, _, subresource = resource.partition("/")
    return Attributes(
        verb=verb, api_group=group, resource=plural, subresource=subresource, name=name
    )


@cache
def requests() -> tuple[Attributes, ...]:
    """Return the requests that decide: create in both API groups, bind, and every rule."""
    return (
        *(_request("create", group, "rolebindings") for group in _RBAC_GROUPS),
        _request("bind", _RBAC_GROUPS[0], "clusterroles", MIGRATE),
        *(
            _request(verb, rule.api_groups[0], rule.resources[0])
            for rule in migrate_rules()
            for verb in rule.verbs
        ),
    )


def method(allowed: int) -> str:
    """Return how a subject can delegate: `holds`, `bind`, or an empty string if it cannot.

    Args:
        allowed: the mask of those of `requests()` that the subject is allowed.
    """
    if not allowed & _CREATE:
        return ""
    rules = mask_of(range(len(requests()))) & ~(_CREATE | _BIND)
    if allowed & rules == rules:
        return "holds"
    return "bind" if allowed & _BIND else ""


def delegations(snapshot: Snapshot) -> Iterator[Delegation]:
    """Yield the subjects that can delegate live migration, in order."""
    access = _access(snapshot)
    for subject, namespaces in _delegating(access).items():
        for namespace in namespaces:
            yield Delegation(
                subject,
                namespace,
                method(access.allowed(subject, namespace)),
                _create_grant(access, subject, namespace),
            )


def delegating_namespaces(snapshot: Snapshot) -> Namespaces:
    """Return the subjects that can delegate live migration, and where."""
    return _delegating(_access(snapshot))


def _access(snapshot: Snapshot) -> EffectiveAccess:
    return EffectiveAccess(RequestSet(requests()), [snapshot.resolved_roles], snapshot.bindings_in)


def _delegating(access: EffectiveAccess) -> Namespaces:
    (found,) = access.select([lambda row: method(row.allowed(0))])
    return widest(found)


def _create_grant(access: EffectiveAccess, subject: Subject, namespace: str) -> Grant:
    """Return a grant to create RoleBindings, preferably one of the namespace itself."""
    grants = access.grants(subject, namespace, requests=_CREATE)
    return next((grant for grant, _ in grants if grant.namespace == namespace), grants[0][0])
