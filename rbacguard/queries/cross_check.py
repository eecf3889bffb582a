"""What to ask the API server itself, and where its answers differ from ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from msgspec import Struct

from rbacguard.kubevirt.permissions import live_migration
from rbacguard.rbac import Attributes, Decision, Review, Subject
from rbacguard.rbac.identity import identify_subject
from rbacguard.rbac.types import can_apply
from rbacguard.snapshot import Snapshot

SAMPLE = 200
"""How many questions a sample has, at most."""
NOBODY = "rbacguard:nobody"
"""A user whom no binding names: a server that allows him anything has another authorizer."""


class Disagreement(Struct, frozen=True):
    """A request on which the server and this tool differ."""

    review: Review
    decision: Decision


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
    subjects = {each for binding in snapshot.bindings for each in binding.subjects}
    namespaces = ["", *sorted({b.ref.namespace for b in snapshot.bindings if b.ref.namespace})]
    for subject in sorted({*filter(can_apply, subjects), Subject("User", NOBODY)}):
        user = identify_subject(subject, nobody=NOBODY)
        for namespace in namespaces:
            for action in live_migration().granting:
                yield Attributes(
                    user=user.name,
                    groups=user.groups,
                    verb=action.verb,
                    api_group=action.api_group,
                    resource=action.resource,
                    subresource=action.subresource,
                    namespace=namespace,
                )


def disagreements(snapshot: Snapshot, reviews: Iterable[Review]) -> tuple[Disagreement, ...]:
    """Return the requests that the server answers otherwise than this tool."""
    found = []
    for review in reviews:
        decision = snapshot.authorizer.authorize(review.attributes)
        if decision.allowed is not review.allowed:
            found.append(Disagreement(review, decision))
    return tuple(found)
