"""The decision about one request of a user, and why the answer "no" might be wrong."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.queries.hints import hints
from rbacguard.rbac import Attributes, Decision
from rbacguard.rbac.identity import OAUTH, identify, is_person
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import State


class AccessCheck(Struct, frozen=True):
    """A decision and, if the request is not allowed, why that might be wrong.

    Attributes:
        request: the request, with all groups of the user that are known.
        decision: the decision.
        gaps: objects that were not read and might allow the request.
        unread_groups: Groups that are allowed the request and that are not in the input, although
            other Groups are. OpenShift has no members for them, but a certificate or a token might.
        hints: hints about the question.
    """

    request: Attributes
    decision: Decision
    gaps: tuple[str, ...]
    unread_groups: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def check_access(snapshot: Snapshot, request: Attributes) -> AccessCheck:
    """Return the decision of the API server about a request.

    The groups of the user are those of the request. Without any, they are the OpenShift Groups in
    the input that contain the user. Groups that the API server adds itself always count.
    """
    has_groups = bool(request.groups)
    user = identify(request.user, request.groups, members=snapshot.groups)
    request = replace(request, groups=user.groups)
    decision = snapshot.authorizer.authorize(request)
    if decision.allowed:
        return AccessCheck(request, decision, ())
    kinds = ["ClusterRole", "ClusterRoleBinding"]
    if request.namespace:
        kinds += ["Role", "RoleBinding"]
    gaps = snapshot.coverage.missing(kinds, request.namespace)
    unread: tuple[str, ...] = ()
    if not has_groups and is_person(request.user):
        unknown, unread = _allowed_groups(snapshot, request)
        gaps += tuple(
            f"the members of Group {name}, which is allowed, are not known" for name in unknown
        )
    return AccessCheck(request, decision, gaps, unread, tuple(hints(snapshot, request, unread)))


def _allowed_groups(
    snapshot: Snapshot, request: Attributes
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the allowed Groups with unknown members, and those that are not in the input."""
    allowed = {
        grant.subject.name
        for grant in snapshot.authorizer.grants(request)
        if grant.subject.kind == "Group"
    }
    oauth = (OAUTH,) if OAUTH in allowed else ()
    groups = tuple(name for name in sorted(allowed) if not name.startswith("system:"))
    if snapshot.coverage.kinds["Group"].state is not State.READ:
        return tuple(sorted((*groups, *oauth))), ()
    return oauth, tuple(name for name in groups if name not in snapshot.groups)
