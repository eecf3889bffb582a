"""The step of the update that the cluster is at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.kubevirt.access import changed_namespaces
from rbacguard.kubevirt.installed import aggregation_is_manual
from rbacguard.policy.checks.base import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import FactClass, StatusFact
from rbacguard.rbac.access import Change
from rbacguard.update.status import status


class StatusCheck(Check, frozen=True, tag="status"):
    """Yields the step of the update, and what is prepared or remains to do."""

    FACT: ClassVar[FactClass] = StatusFact

    def run(self, context: Context) -> Iterator[StatusFact]:
        """Yield the fact."""
        found, plan = status(context.snapshot), context.plan
        yield StatusFact(
            step=found.step.value,
            losing_subjects=len(changed_namespaces(plan.changes, Change.LOST)) if plan else 0,
            bound_subjects=found.bound,
            temporary_roles=list(found.temporary_roles),
            restored_defaults=list(found.restored),
            manual_aggregation=aggregation_is_manual(context.snapshot),
            group_key=found.step.value,
        )
