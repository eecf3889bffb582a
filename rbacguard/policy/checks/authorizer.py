"""Whether the API server itself answers as this tool does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.policy.checks.base import Check, Context, Fact, FactType, place
from rbacguard.queries.cross_check import disagreements
from rbacguard.rbac.attributes import format_action


class CrossCheck(Check, frozen=True, tag="cross-check"):
    """Requests on which the server differs; asked only where access reviews were made."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "user": FactType.STRING,
        "groups": FactType.LIST,
        "action": FactType.STRING,
        "scope": FactType.STRING,
        "place": FactType.STRING,
        "allowed": FactType.BOOL,
        "server_says": FactType.STRING,
        "expected": FactType.STRING,
    }
    NEEDS: ClassVar[tuple[str, ...]] = ()

    def not_asked(self, context: Context) -> str:
        """Return why there is nothing to compare with."""
        return "" if context.reviews else "only with --cross-check"

    def gaps(self, context: Context) -> tuple[str, ...]:
        """Return why the server gave no answers."""
        found = context.reviews
        return (found.note,) if found and not found.answers else ()

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each difference."""
        answers = context.reviews.answers if context.reviews else ()
        for found in disagreements(context.snapshot, answers):
            asked = found.review.attributes
            words = (asked.verb, asked.resource, asked.api_group, asked.subresource)
            allowed = found.review.allowed
            yield Fact(
                fields={
                    "user": asked.user,
                    "groups": list(asked.groups),
                    "action": format_action(*words),
                    "scope": asked.namespace,
                    "place": place(asked.namespace),
                    "allowed": allowed,
                    "server_says": found.review.reason or ("yes" if allowed else "no"),
                    "expected": found.decision.reason,
                },
                group=asked.user,
                scope=asked.namespace,
                grants=found.decision.grants,
            )
