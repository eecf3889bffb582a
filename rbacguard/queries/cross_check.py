"""Comparison of the API server's access reviews with the decisions of `rbac.authorizer`."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator

from msgspec import Struct

from rbacguard.kubevirt.permissions import live_migration
from rbacguard.rbac import Attributes, Decision, Review, Subject
from rbacguard.rbac.identity import identify_subject
from rbacguard.rbac.types import can_apply
from rbacguard.snapshot import Snapshot

SAMPLE = 200
"""The default number of requests in a sample."""
_PAIRS = 10
"""How many pairs of a subject and a namespace are examined for each request of a sample."""
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
            requests, if there are enough. It is the same for the same cluster. In a large cluster
            it is drawn from a selection of subjects and namespaces.
    """
    found = list(_requests(snapshot, None if limit is None else max(limit, SAMPLE) * _PAIRS))
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


def _requests(snapshot: Snapshot, max_pairs: int | None) -> Iterator[Attributes]:
    """Yield requests of subjects in namespaces.

    Args:
        snapshot: the cluster.
        max_pairs: the number of pairs of a subject and a namespace; None for all.
    """
    for subject, namespace in _pairs(snapshot, max_pairs):
        user = identify_subject(subject, nobody=PROBE_USER)
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


def _pairs(snapshot: Snapshot, limit: int | None) -> Iterable[tuple[Subject, str]]:
    """Return pairs of a subject and a namespace, '' for cluster-wide.

    If there are more than the limit, half of them are subjects in the namespace of one of their
    bindings. Few of the other pairs are allowed anything.
    """
    bound = sorted(
        {
            (subject, binding.ref.namespace)
            for binding in snapshot.bindings
            for subject in binding.subjects
            if can_apply(subject)
        }
    )
    probe = Subject("User", PROBE_USER)
    subjects = sorted({probe, *(subject for subject, _ in bound)})
    namespaces = ["", *sorted({b.ref.namespace for b in snapshot.bindings if b.ref.namespace})]
    total = len(subjects) * len(namespaces)
    if limit is None or total <= limit:
        return ((subject, namespace) for subject in subjects for namespace in namespaces)
    # The choice is not secret. The seed makes it the same for the same cluster.
    choose = random.Random(total)  # noqa: S311
    found = {(probe, ""), *choose.sample(bound, min(limit // 2, len(bound)))}
    for number in choose.sample(range(total), limit - limit // 2):
        subject, namespace = divmod(number, len(namespaces))
        found.add((subjects[subject], namespaces[namespace]))
    return sorted(found)


def mismatches(snapshot: Snapshot, reviews: Iterable[Review]) -> tuple[Mismatch, ...]:
    """Return the access reviews that differ from the decisions about the same requests."""
    found = []
    for review in reviews:
        decision = snapshot.authorizer.authorize(review.attributes)
        if decision.allowed is not review.allowed:
            found.append(Mismatch(review, decision))
    return tuple(found)
