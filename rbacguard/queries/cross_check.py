"""What to ask the API server itself, and where its answers differ from ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from msgspec import Struct

from rbacguard.kubevirt.permissions import live_migration
from rbacguard.rbac import Attributes, Decision, Review, Subject
from rbacguard.rbac.authorizer import service_account_groups, service_account_user
from rbacguard.snapshot import Snapshot

SAMPLE = 200
"""How many questions a sample has, at most."""
NOBODY = "rbacguard:nobody"
"""A user whom no binding names: a server that allows him anything has another authorizer."""
_AUTHENTICATED = "system:authenticated"


class Disagreement(Struct, frozen=True):
    """A request on which the server and this tool differ."""

    review: Review
    decision: Decision


def identity(subject: Subject) -> tuple[str, tuple[str, ...]]:
    """Return the user and groups as which somebody who is this subject would ask."""
    match subject.kind:
        case "ServiceAccount":
            user = service_account_user(subject.namespace, subject.name)
            return user, (*service_account_groups(user), _AUTHENTICATED)
        case "Group":
            return NOBODY, tuple(dict.fromkeys((subject.name, _AUTHENTICATED)))
        case _:
            return subject.name, (*service_account_groups(subject.name), _AUTHENTICATED)


def questions(snapshot: Snapshot, *, limit: int | None = SAMPLE) -> tuple[Attributes, ...]:
    """Return requests about migration: every subject of a binding, in every namespace that has one.

    Args:
        snapshot: the cluster as it was read.
        limit: how many; None for all. A sample has as many that are allowed as that are not, if
            there are enough, and is the same for the same cluster.
    """
    found = list(_all(snapshot))
    if limit is None or len(found) <= limit:
        return tuple(found)
    by_answer: dict[bool, list[Attributes]] = {True: [], False: []}
    for attributes in sorted(found, key=_shuffled):
        by_answer[snapshot.authorizer.authorize(attributes).allowed].append(attributes)
    half = max(limit // 2, limit - len(by_answer[False]))
    yes = by_answer[True][:half]
    return tuple(sorted((*yes, *by_answer[False][: limit - len(yes)]), key=_shuffled))


def _shuffled(attributes: Attributes) -> str:
    return hashlib.sha256(repr(attributes).encode()).hexdigest()


def _all(snapshot: Snapshot) -> Iterator[Attributes]:
    subjects = {
        Subject(s.kind, s.name, (s.namespace or b.ref.namespace) if _is_account(s) else "")
        for b in snapshot.bindings
        for s in b.subjects
    }
    usable = {s for s in subjects if s.name and (s.namespace or not _is_account(s))}
    scopes = ["", *sorted({b.ref.namespace for b in snapshot.bindings if b.ref.namespace})]
    for subject in sorted({*usable, Subject("User", NOBODY)}):
        user, groups = identity(subject)
        for scope in scopes:
            for action in live_migration().granting:
                yield Attributes(
                    user=user,
                    groups=groups,
                    verb=action.verb,
                    api_group=action.api_group,
                    resource=action.resource,
                    subresource=action.subresource,
                    namespace=scope,
                )


def _is_account(subject: Subject) -> bool:
    return subject.kind == "ServiceAccount"


def disagreements(snapshot: Snapshot, reviews: Iterable[Review]) -> tuple[Disagreement, ...]:
    """Return the requests that the server answers otherwise than this tool."""
    found = []
    for review in reviews:
        decision = snapshot.authorizer.authorize(review.attributes)
        if decision.allowed is not review.allowed:
            found.append(Disagreement(review, decision))
    return tuple(found)
