"""Hints about a question: names that do not exist, and namespaces that were left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from rbacguard.queries.resolve import api_groups
from rbacguard.rbac import Attributes, Subject
from rbacguard.rbac.identity import subject_applies
from rbacguard.rbac.types import CLUSTER_WIDE
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import State

_VERBS = frozenset(
    (
        *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
        *("bind", "escalate", "impersonate", "approve", "sign", "attest", "use", "proxy"),
    )
)
"""The verbs of Kubernetes itself (kubernetes.io, Authorization, "Request verbs")."""
_MAX_NAMES = 5
"""The most names that a hint lists."""


def hints(
    snapshot: Snapshot,
    request: Attributes,
    unread_groups: Sequence[str] = (),
    *,
    all_namespaces: bool = False,
) -> Iterator[str]:
    """Yield hints about a request.

    Args:
        snapshot: the cluster.
        request: the request, after `resolve_resource`. Without a user it is about all subjects.
        unread_groups: Groups that are allowed the request and are not in the input.
        all_namespaces: whether the question is about all namespaces.
    """
    yield from _unknown_words(snapshot, request)
    if unread_groups:
        groups, are = ("Group", "is") if len(unread_groups) == 1 else ("Groups", "are")
        names = truncate_names(unread_groups)
        yield f"{groups} {names} {are} allowed, but the members are not in the input"
    if request.namespace:
        read = snapshot.coverage.kinds["Namespace"].state is State.READ
        if read and request.namespace not in snapshot.namespaces:
            yield f"namespace {request.namespace} was not found in the input"
    elif not all_namespaces and not request.path:
        namespaces = {
            grant.namespace
            for grant in snapshot.authorizer.grants_everywhere(request)
            if not request.user or subject_applies(grant.subject, request.user, request.groups)
        }
        if namespaces - {CLUSTER_WIDE}:
            names = truncate_names(sorted(namespaces - {CLUSTER_WIDE}))
            yield f"without a namespace, RoleBindings do not count; they allow it in {names}"


def unknown_subject_hint(snapshot: Snapshot, subject: Subject) -> str:
    """Return a hint if no binding and no Group contains a subject, otherwise ''."""
    kind = subject.kind
    if subject.name.startswith("system:"):
        return ""
    known = {
        each for binding in snapshot.bindings for each in binding.subjects if each.kind == kind
    }
    if kind == "User":
        known |= {Subject(kind, user) for users in snapshot.groups.values() for user in users}
    elif kind == "Group":
        known |= {Subject(kind, group) for group in snapshot.groups}
    else:
        known |= {Subject(kind, name, namespace) for namespace, name in snapshot.service_accounts}
    if subject in known:
        return ""
    # The kind is the same in all names. It would make them look similar.
    names = {str(each).removeprefix(f"{kind} "): each for each in sorted(known)}
    text = str(subject).removeprefix(f"{kind} ")
    near = [name for name in names if name.lower() == text.lower()]
    near = near or get_close_matches(text, names, n=1, cutoff=0.8)
    return f"{subject} was not found in the input" + did_you_mean(
        [str(names[name]) for name in near]
    )


def truncate_names(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def did_you_mean(near: Sequence[str]) -> str:
    """Return the end of a hint, with the nearest name if there is one."""
    return f"; did you mean {near[0]}?" if near else ""


def _unknown_words(snapshot: Snapshot, request: Attributes) -> Iterator[str]:
    """Yield hints about the verb, the resource, and the user."""
    if request.verb not in _VERBS and not request.path:
        verbs = {verb for rules in snapshot.rules.values() for rule in rules for verb in rule.verbs}
        if request.verb not in verbs:
            near = get_close_matches(request.verb.lower(), sorted(_VERBS | verbs), n=1)
            yield f"no rule in the input contains the verb {request.verb}" + did_you_mean(near)
    if not request.path and request.resource != "*":
        resource = request.combined_resource
        groups = api_groups(snapshot, resource)
        if not groups & {request.api_group, "*"}:
            group = f"API group {request.api_group}" if request.api_group else "the core group"
            others = f"; rules contain it in {', '.join(sorted(groups))}" if groups else ""
            yield f"no rule in the input contains {resource} in {group}{others}"
    if request.user:
        hint = unknown_subject_hint(snapshot, Subject("User", request.user))
        if hint:
            yield hint
