"""Whether a user is allowed a request, and why an answer of "no" might be wrong."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.rbac import Attributes, Decision
from rbacguard.rbac.identity import OAUTH, identify, is_person
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import State


class AccessCheck(Struct, frozen=True):
    """A decision and, if the request is not allowed, why that might be wrong.

    Attributes:
        attributes: the request, with all groups of the user that are known.
        decision: the decision.
        gaps: objects that were not read and might allow the request.
        unread_groups: Groups that are allowed the request and that are not in the input, although
            other Groups are. OpenShift has no members for them, but a certificate or a token might.
    """

    attributes: Attributes
    decision: Decision
    gaps: tuple[str, ...]
    unread_groups: tuple[str, ...] = ()


def check_access(snapshot: Snapshot, attributes: Attributes) -> AccessCheck:
    """Return the decision of the API server about a request.

    The groups of the user are those of the request. Without any, they are the OpenShift Groups in
    the input that contain the user. Groups that the API server adds itself always count.
    """
    given = bool(attributes.groups)
    user = identify(attributes.user, attributes.groups, members=snapshot.groups)
    attributes = replace(attributes, groups=user.groups)
    decision = snapshot.authorizer.authorize(attributes)
    if decision.allowed:
        return AccessCheck(attributes, decision, ())
    kinds = ["ClusterRole", "ClusterRoleBinding"]
    if attributes.namespace:
        kinds += ["Role", "RoleBinding"]
    gaps = list(snapshot.coverage.missing(kinds, attributes.namespace))
    if given or not is_person(attributes.user):
        return AccessCheck(attributes, decision, tuple(gaps))
    allowed = {
        grant.subject.name
        for grant in snapshot.authorizer.grants(attributes)
        if grant.subject.kind == "Group"
    }
    read = snapshot.coverage.kinds["Group"].state is State.READ
    others = [name for name in sorted(allowed) if not name.startswith("system:")]
    unknown = others if not read else []
    if OAUTH in allowed:
        unknown = sorted([*unknown, OAUTH])
    gaps += [f"the members of Group {name}, which may do it, are not known" for name in unknown]
    unread = tuple(name for name in others if read and name not in snapshot.groups)
    return AccessCheck(attributes, decision, tuple(gaps), unread)
