"""What somebody means who asks by hand, and what is odd about the question.

kubectl learns from the API server's discovery which resource `vmim` is and in which API group
`deployments` are, and asks for the core group where it learns nothing. A dump has no discovery, so
the rules of its roles are looked at; a question that cannot be understood is refused, since the
answer would be about something that nobody has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from msgspec.structs import replace

from rbacguard.errors import QuestionError
from rbacguard.kubevirt.names import RESOURCES, SERVED_BY_CRD, SUBRESOURCES, WITH_SUBRESOURCES
from rbacguard.rbac import Attributes, Subject
from rbacguard.rbac.identity import subject_applies
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import State

_VERBS = frozenset(
    (
        *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
        *("bind", "escalate", "impersonate", "approve", "sign", "attest", "use", "proxy"),
    )
)
"""Verbs that Kubernetes itself asks for (documentation, 'Authorization', request verbs)."""
_GONE = "extensions"
"""An API group that rules still name and that serves nothing since Kubernetes 1.22."""
_MOST_NAMED = 5


def meant(snapshot: Snapshot, asked: Attributes) -> Attributes:
    """Return a request with the resource that its text stands for.

    Args:
        snapshot: whose rules tell in which API group a resource is.
        asked: `resource` is what somebody wrote: `vmim`, `pods`, `deployments.apps`; a dot at the
            end is the core group.

    Raises:
        QuestionError: no rule names such a resource, or rules do so in several API groups.
    """
    text = asked.resource
    if asked.path or text == "*":
        return asked
    name, dot, group = text.partition(".")
    plural, own_group = _of_kubevirt(name, asked.subresource)
    if dot:
        is_own = own_group and group in (own_group, RESOURCES[plural][0])
        return replace(asked, resource=plural if is_own else name, api_group=group)
    if own_group:
        return replace(asked, resource=plural, api_group=own_group)
    groups = (_groups(snapshot, asked.combined_resource) or _groups(snapshot, name)) - {"*"}
    if len(groups) > 1:
        groups -= {_GONE}
    if not groups:
        near = get_close_matches(name, _plurals(snapshot), n=3)
        near = [_written(each, _groups(snapshot, each)) for each in near]
        unread = snapshot.coverage.missing(["ClusterRole", "Role"])
        raise QuestionError(
            f"{text!r}: no rule in the input names such a resource"
            + (", and not all roles were read" if unread else "")
            + (f"; did you mean {' or '.join(near)}?" if near else "")
            + f" ({name}.GROUP asks for it all the same, '{name}.' in the core group)"
        )
    # The core group, which is '', comes first in discovery too.
    if "" not in groups and len(groups) > 1:
        raise QuestionError(
            f"{text!r} is in several API groups: give "
            + " or ".join(f"{name}.{each}" for each in sorted(groups))
        )
    return replace(asked, api_group=min(groups))


def _of_kubevirt(name: str, subresource: str) -> tuple[str, str]:
    """Return the plural of one of KubeVirt's resources and its API group, or the name and ''."""
    lower = name.lower()
    for plural, (group, *names) in RESOURCES.items():
        if lower == plural or lower in names:
            served = subresource and subresource not in SERVED_BY_CRD
            return plural, SUBRESOURCES if served and plural in WITH_SUBRESOURCES else group
    return name, ""


def _groups(snapshot: Snapshot, resource: str) -> set[str]:
    """Return the API groups in which rules name a resource, as they write it."""
    return {
        group
        for rules in snapshot.rules.values()
        for rule in rules
        if resource in rule.resources
        for group in rule.api_groups
    }


def _plurals(snapshot: Snapshot) -> list[str]:
    """Return the resources that rules name."""
    named = {n for rules in snapshot.rules.values() for rule in rules for n in rule.resources}
    return sorted(name for name in named if "/" not in name)


def _written(resource: str, groups: Iterable[str]) -> str:
    """Return a resource as somebody would ask for it."""
    group = min(groups, default="")
    return f"{resource}.{group}" if group not in ("", "*") else resource


def remarks(
    snapshot: Snapshot,
    asked: Attributes,
    unread_groups: Sequence[str] = (),
    *,
    everywhere: bool = False,
) -> Iterator[str]:
    """Yield what somebody may not have meant.

    Args:
        snapshot: the cluster.
        asked: the request, about which resource being clear (`meant`); without a user it is about
            anybody.
        unread_groups: groups that may do it and that the input does not hold.
        everywhere: whether it is about all namespaces.
    """
    yield from _of_words(snapshot, asked)
    if unread_groups:
        groups = "Group" if len(unread_groups) == 1 else "Groups"
        yield f"who is in {groups} {_some(unread_groups)}, which may do it, is not in the input"
    if asked.namespace:
        read = snapshot.coverage.kinds["Namespace"].state is State.READ
        if read and asked.namespace not in snapshot.namespaces:
            yield f"namespace {asked.namespace} is not in the input"
    elif not everywhere and not asked.path:
        yield from _of_namespaces(snapshot, asked)


def _of_words(snapshot: Snapshot, asked: Attributes) -> Iterator[str]:
    """Yield what is odd about verb, resource and user."""
    if asked.verb not in _VERBS and not asked.path:
        verbs = {verb for rules in snapshot.rules.values() for rule in rules for verb in rule.verbs}
        if asked.verb not in verbs:
            near = get_close_matches(asked.verb.lower(), sorted(_VERBS | verbs), n=1)
            yield f"no rule in the input names the verb {asked.verb}" + _perhaps(near)
    if not asked.path and asked.resource != "*":
        named = _groups(snapshot, asked.combined_resource)
        if not named & {asked.api_group, "*"}:
            group = f"API group {asked.api_group}" if asked.api_group else "the core group"
            others = f"; they name it in {', '.join(sorted(named))}" if named else ""
            yield f"no rule in the input names {asked.combined_resource} in {group}{others}"
    if asked.user:
        yield from unnamed(snapshot, Subject("User", asked.user))


def _of_namespaces(snapshot: Snapshot, asked: Attributes) -> Iterator[str]:
    """Yield where RoleBindings allow what is asked for the whole cluster."""
    places = sorted(
        {
            grant.namespace
            for grant in snapshot.authorizer.grants_everywhere(asked)
            if not asked.user or subject_applies(grant.subject, asked.user, asked.groups)
        }
        - {""}
    )
    if places:
        yield (
            "without a namespace only ClusterRoleBindings count; others allow it in "
            + _some(places)
        )


def unnamed(snapshot: Snapshot, subject: Subject) -> Iterator[str]:
    """Yield that no binding and no group names a subject, and who is called nearly so."""
    kind, name = subject.kind, subject.name
    if name.startswith("system:"):
        return
    known = {
        each for binding in snapshot.bindings for each in binding.subjects if each.kind == kind
    }
    if kind == "User":
        known |= {Subject(kind, user) for users in snapshot.groups.values() for user in users}
    elif kind == "Group":
        known |= {Subject(kind, group) for group in snapshot.groups}
    else:
        known |= {Subject(kind, name, namespace) for namespace, name in snapshot.service_accounts}
    if subject not in known:
        # The kind is the same in all, and would make them all alike.
        names = {str(each).removeprefix(f"{kind} "): each for each in sorted(known)}
        text = str(subject).removeprefix(f"{kind} ")
        near = [name for name in names if name.lower() == text.lower()]
        near = near or get_close_matches(text, names, n=1, cutoff=0.8)
        yield f"the input names no {subject}" + _perhaps([str(names[name]) for name in near])


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _perhaps(near: Sequence[str]) -> str:
    return f"; did you mean {near[0]}?" if near else ""
