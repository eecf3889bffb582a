"""The subjects that are allowed a request, with the grants behind it."""

from __future__ import annotations

from msgspec import Struct

from rbacguard.queries.hints import hints
from rbacguard.rbac import Attributes, Grant, Subject
from rbacguard.rbac.authorizer import SYSTEM_MASTERS
from rbacguard.rbac.types import CLUSTER_WIDE
from rbacguard.snapshot import Snapshot


class AllowedSubjects(Struct, frozen=True):
    """The subjects that are allowed a request.

    Attributes:
        request: the request.
        all_namespaces: whether the question is about all namespaces.
        subjects: the subjects, each once. `system:masters` comes first.
        grants: every grant.
        gaps: objects that were not read and might allow the request to more subjects.
        hints: hints about the question.
    """

    request: Attributes
    all_namespaces: bool
    subjects: tuple[Subject, ...]
    grants: tuple[Grant, ...]
    gaps: tuple[str, ...]
    hints: tuple[str, ...]


def who_can(
    snapshot: Snapshot, request: Attributes, *, all_namespaces: bool = False
) -> AllowedSubjects:
    """Return the subjects that are allowed a request.

    Args:
        snapshot: the cluster.
        request: the request, after `resolve_resource`. Its user and groups do not count.
        all_namespaces: evaluate the request in every namespace. Otherwise the namespace of the
            request counts, and without one only ClusterRoleBindings do.
    """
    authorizer = snapshot.authorizer
    found = authorizer.grants_everywhere if all_namespaces else authorizer.grants
    grants = tuple(found(request))
    namespace = CLUSTER_WIDE if all_namespaces else request.namespace
    return AllowedSubjects(
        request,
        all_namespaces,
        tuple(dict.fromkeys([SYSTEM_MASTERS, *(each.subject for each in grants)])),
        grants,
        snapshot.coverage.missing(namespace=namespace),
        tuple(hints(snapshot, request, all_namespaces=all_namespaces)),
    )
