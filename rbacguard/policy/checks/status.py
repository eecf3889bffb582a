"""Where the cluster stands on its way through the update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.access import changed_namespaces
from rbacguard.kubevirt.installed import aggregation_is_manual
from rbacguard.policy.checks.base import Check, Context, Fact, FactType
from rbacguard.rbac.access import Change
from rbacguard.update.status import status


class JourneyCheck(Check, frozen=True, tag="journey"):
    """One fact: the step, and how much is prepared or left to do."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "step": FactType.STRING,
        "losers": FactType.INT,
        "bound": FactType.INT,
        "temporary_roles": FactType.LIST,
        "restored": FactType.LIST,
        "manual_aggregation": FactType.BOOL,
    }

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield the fact."""
        found = status(context.snapshot)
        plan = context.plan
        yield Fact(
            fields={
                "step": found.step.value,
                "losers": len(changed_namespaces(plan.changes, Change.LOST)) if plan else 0,
                "bound": found.bound,
                "temporary_roles": list(found.temporary_roles),
                "restored": list(found.restored),
                "manual_aggregation": aggregation_is_manual(context.snapshot),
            },
            group=found.step.value,
        )
