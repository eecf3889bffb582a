"""Who can hand the permission on: the grants made this way outlive the temporary role.

A RoleBinding may be made by whoever may create RoleBindings and either holds every rule of the role
or may `bind` it (kubernetes pkg/registry/rbac/rolebinding/policybased/storage.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from rbacguard.kubevirt.access import Access
from rbacguard.kubevirt.names import MIGRATE
from rbacguard.kubevirt.places import CLUSTER, Shape
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.rbac import Attributes, Grant, Subject
from rbacguard.rbac.questions import Questions
from rbacguard.snapshot import Snapshot

RBAC_GROUPS = ("rbac.authorization.k8s.io", "authorization.openshift.io")


class Delegation(Struct, frozen=True):
    """Somebody who can hand migration on.

    Attributes:
        subject: who.
        namespace: where; '' is everywhere.
        how: `holds` (every rule of kubevirt.io:migrate), or `bind` (may bind it regardless).
        grant: what lets him create RoleBindings there.
    """

    subject: Subject
    namespace: str
    how: str
    grant: Grant


def _resource(verb: str, group: str, resource: str, name: str = "") -> Attributes:
    plural, _, subresource = resource.partition("/")
    return Attributes(
        verb=verb, api_group=group, resource=plural, subresource=subresource, name=name
    )


def requests() -> tuple[Attributes, ...]:
    """Return what tells who can hand migration on: create, in both groups; bind; every rule."""
    return (
        *(_resource("create", group, "rolebindings") for group in RBAC_GROUPS),
        _resource("bind", RBAC_GROUPS[0], "clusterroles", MIGRATE),
        *(
            _resource(verb, rule.api_groups[0], rule.resources[0])
            for rule in migrate_rules()
            for verb in rule.verbs
        ),
    )


_CREATE, _BIND = 0b011, 0b100


def can_hand_on(access: Access, shapes: Iterable[Shape], first: int = 0) -> dict[int, str]:
    """Return by which of these somebody can hand migration on, by number how: `holds` or `bind`.

    Args:
        access: what is held, of `requests()` and others.
        shapes: what somebody may be bound to.
        first: the place of the first of these requests among the questions.
    """
    asked = (1 << len(requests())) - 1
    needed = asked & ~(_CREATE | _BIND)
    found = {}
    for number, shape in enumerate(shapes):
        held = (access.mask(shape.cluster) | access.mask(shape.local)) >> first & asked
        if held & _CREATE and (held & _BIND or held & needed == needed):
            found[number] = "holds" if held & needed == needed else "bind"
    return found


def delegations(snapshot: Snapshot) -> Iterator[Delegation]:
    """Yield who can hand migration on, by holding it or by the verb `bind`, in order."""
    access = Access(snapshot, Questions(requests()))
    for subject, scope, how in _handing_on(access):
        yield Delegation(subject, scope, how, _grant(access, subject, scope))


def places_of(snapshot: Snapshot) -> frozenset[tuple[Subject, str]]:
    """Return where somebody can hand migration on ('' is everywhere)."""
    found = _handing_on(Access(snapshot, Questions(requests())))
    return frozenset((subject, scope) for subject, scope, _ in found)


def _handing_on(access: Access) -> Iterator[tuple[Subject, str, str]]:
    """Yield who can hand it on, where, and how."""
    places = access.table.places
    hows = can_hand_on(access, (shape for shape, _ in places.shapes))
    for subject, scopes, pattern in places.each(places.patterns):
        numbers = zip(scopes, pattern, strict=True)
        where = {scope: hows[number] for scope, number in numbers if number in hows}
        if CLUSTER in where:
            where = {CLUSTER: where[CLUSTER]}
        for scope, how in where.items():
            yield subject, scope, how


def _grant(access: Access, subject: Subject, namespace: str) -> Grant:
    """Return what lets him create RoleBindings, in the namespace itself if that does."""
    grants = [g for n in range(len(RBAC_GROUPS)) for g in access.grants(subject, namespace, n)]
    return next((grant for grant in grants if grant.namespace == namespace), grants[0])
