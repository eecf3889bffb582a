"""Comparison of the API server's access reviews with the decisions of `rbac.authorizer`."""

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
"""The default number of requests in a sample."""
PROBE_USER = "rbacguard:nobody"
"""A user that no binding contains. If the server allows it a request that RBAC does not, the
server has another authorizer."""


class Mismatch(Struct, frozen=True):
    """An access review of the server that differs from the decision."""

    review: Review
    decision: Decision


def sample_requests(snapshot: Snapshot, *, limit: int | None = SAMPLE) -> tuple[Attributes, ...]:
    """Return requests for live migration, of each subject in each namespace that has a binding.

    Args:
        snapshot: the cluster.
        limit: the number of requests, or None for all. A sample has as many allowed as denied
            requests, if there are enough. It is the same for the same cluster.
    """
    found = list(_all_requests(snapshot))
    if limit is None or len(found) <= limit:
        return tuple(found)
    by_decision: dict[bool, list[Attributes]] = {True: [], False: []}
    for request in sorted(found, key=_digest):
        by_decision[snapshot.authorizer.authorize(request).allowed].append(request)
    half = max(limit // 2, limit - len(by_decision[False]))
    allowed = by_decision[True][:half]
    denied = by_decision[False][: limit - len(allowed)]
    return tuple(sorted((*allowed, *denied), key=_digest))


def _digest(request: Attributes) -> str:
    """Return a key that sorts requests in a random but stable order."""
    return hashlib.sha256(repr(request).encode()).hexdigest()


def _all_requests(snapshot: Snapshot) -> Iterator[Attributes]:
    subjects = {each for binding in snapshot.bindings for each in binding.subjects}
    namespaces = ["", *sorted({b.ref.namespace for b in snapshot.bindings if b.ref.namespace})]
    for subject in sorted({*filter(can_apply, subjects), Subject("User", PROBE_USER)}):
        user = identify_subject(subject, nobody=PROBE_USER)
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


def mismatches(snapshot: Snapshot, reviews: Iterable[Review]) -> tuple[Mismatch, ...]:
    """Return the access reviews that differ from the decisions about the same requests."""
    found = []
    for review in reviews:
        decision = snapshot.authorizer.authorize(review.attributes)
        if decision.allowed is not review.allowed:
            found.append(Mismatch(review, decision))
    return tuple(found)
