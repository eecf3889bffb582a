"""The access of one subject, with the grants behind it."""

from __future__ import annotations

from collections.abc import Container, Iterable

from msgspec import Struct

from rbacguard.kubevirt.access import ActionAccess, list_access
from rbacguard.kubevirt.permissions import permissions
from rbacguard.rbac import Subject
from rbacguard.rbac.identity import (
    OAUTH,
    identify,
    is_person,
    service_account_of,
    service_account_user,
)
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import State

_PREFIXES = {
    "user": "User",
    "group": "Group",
    "serviceaccount": "ServiceAccount",
    "sa": "ServiceAccount",
}


class Explanation(Struct, frozen=True):
    """The access of a subject.

    Attributes:
        identities: the subjects of bindings that apply to it: itself, and its groups.
        members: the users of a group, or None if they are not known.
        holds: its access to every permission that leads to a migration.
        gaps: what was not read.
    """

    identities: tuple[Subject, ...]
    members: tuple[str, ...] | None
    holds: tuple[ActionAccess, ...]
    gaps: tuple[str, ...]


def identities(text: str, snapshot: Snapshot) -> tuple[Subject, ...]:
    """Return the subjects that `alice`, `group/devs`, or `sa/web/deployer` stands for."""
    prefix, slash, rest = text.partition("/")
    kind = _PREFIXES.get(prefix.lower()) if slash else None
    named = {s for binding in snapshot.bindings for s in binding.subjects}
    named |= {Subject("ServiceAccount", name, space) for space, name in snapshot.service_accounts}
    if kind == "ServiceAccount":
        namespace, _, name = rest.partition("/")
        found = [Subject(kind, name, namespace)]
    elif kind:
        found = [Subject(kind, rest)]
    else:
        found = sorted(s for s in named if s.name == text)
        if text in snapshot.groups:
            found.append(Subject("Group", text))
        if not found:
            found.append(Subject("User", text))
    return tuple(dict.fromkeys(_with_groups(found, snapshot, named)))


def _with_groups(
    found: Iterable[Subject], snapshot: Snapshot, named: Container[Subject]
) -> Iterable[Subject]:
    oauth = Subject("Group", OAUTH)
    for subject in found:
        yield subject
        if subject.kind == "Group":
            continue
        user = subject.name
        if subject.kind == "ServiceAccount":
            user = service_account_user(subject.namespace, subject.name)
            yield Subject("User", user)
        elif (account := service_account_of(user)) is not None:
            yield account
        for group in identify(user, members=snapshot.groups).groups:
            yield Subject("Group", group)
        # Its members matter only if a binding refers to it.
        if is_person(user) and oauth in named:
            yield oauth


def explain(snapshot: Snapshot, text: str) -> Explanation:
    """Return the access of a subject, by itself and through its groups."""
    subjects = identities(text, snapshot)
    actions = [action for permission in permissions().values() for action in permission.granting]
    gaps = list(snapshot.coverage.missing())
    if snapshot.coverage.kinds["Group"].state is not State.READ:
        gaps.append("Group: not in the input, so the groups of a user are not known")
    members = None
    if subjects and subjects[0].kind == "Group":
        members = snapshot.groups.get(subjects[0].name)
    return Explanation(
        subjects,
        members,
        tuple(list_access(snapshot, actions, sorted(subjects))),
        tuple(gaps),
    )
