"""The access of one subject, with the grants behind it and how to revoke it."""

from __future__ import annotations

from collections.abc import Container, Iterable

from msgspec import Struct

from rbacguard.kubevirt.access import ActionAccess, list_access
from rbacguard.kubevirt.permissions import permissions
from rbacguard.queries.hints import unknown_subject_hint
from rbacguard.queries.revoke import Revocation, revocations
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
        identities: the subjects of bindings that apply to it: the subject itself, then its groups.
        members: the users of a group, or None if they are not known.
        access: its access to every permission that leads to a migration.
        revocations: what to change so that it cannot start migrations.
        gaps: objects that were not read.
        hint: a hint about the name of the subject, or ''.
    """

    identities: tuple[Subject, ...]
    members: tuple[str, ...] | None
    access: tuple[ActionAccess, ...]
    revocations: tuple[Revocation, ...]
    gaps: tuple[str, ...]
    hint: str


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
    """Return the access of a subject, by itself and through its groups.

    Args:
        snapshot: the cluster.
        text: a name, or `user/NAME`, `group/NAME`, `sa/NAMESPACE/NAME`.
    """
    subjects = identities(text, snapshot)
    actions = [action for permission in permissions().values() for action in permission.granting]
    access = tuple(list_access(snapshot, actions, sorted(subjects)))
    gaps = snapshot.coverage.missing()
    if snapshot.coverage.kinds["Group"].state is not State.READ:
        gaps += ("Group: not in the input, so the groups of a user are not known",)
    is_group = subjects[0].kind == "Group"
    return Explanation(
        subjects,
        snapshot.groups.get(subjects[0].name) if is_group else None,
        access,
        revocations(snapshot, subjects, access),
        gaps,
        unknown_subject_hint(snapshot, subjects[0]),
    )
