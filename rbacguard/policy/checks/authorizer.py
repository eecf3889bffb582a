"""Comparison with the decisions of the API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.policy.checks.base import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import CrossCheckFact, FactClass
from rbacguard.queries.cross_check import mismatches
from rbacguard.rbac.attributes import format_action


class CrossCheck(Check, frozen=True, tag="cross-check"):
    """Yields requests for which access reviews and RBAC objects give different decisions."""

    FACT: ClassVar[FactClass] = CrossCheckFact
    NEEDS: ClassVar[tuple[str, ...]] = ()

    def skip_reason(self, context: Context) -> str:
        """Return why the check does not apply to the context, or ''."""
        return "" if context.reviews else "requires --cross-check"

    def missing(self, context: Context) -> tuple[str, ...]:
        """Return why the API server reviewed no request."""
        found = context.reviews
        return (found.note,) if found and not found.answers else ()

    def run(self, context: Context) -> Iterator[CrossCheckFact]:
        """Yield one fact for each different decision."""
        answers = context.reviews.answers if context.reviews else ()
        for found in mismatches(context.snapshot, answers):
            request, allowed = found.review.attributes, found.review.allowed
            words = (request.verb, request.resource, request.api_group, request.subresource)
            yield CrossCheckFact(
                user=request.user,
                groups=list(request.groups),
                action=format_action(*words),
                allowed=allowed,
                server_reason=found.review.reason or ("yes" if allowed else "no"),
                rbac_reason=found.decision.reason,
                group_key=request.user,
                scope=request.namespace,
                grants=found.decision.grants,
            )
