"""Subjects that can grant live migration to others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.kubevirt.releases import FIRST_RESTRICTED
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.policy.checks.base import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import (
    DelegationFact,
    FactClass,
    chain_text,
    evidence_objects,
    subject_map,
)
from rbacguard.update.delegation import delegating_namespaces, delegations
from rbacguard.update.simulate import apply_update
from rbacguard.update.temporary_role import without_temporary


class DelegationCheck(Check, frozen=True, tag="delegation"):
    """Yields subjects that can bind others to a role with the rules of kubevirt.io:migrate."""

    FACT: ClassVar[FactClass] = DelegationFact

    def run(self, context: Context) -> Iterator[DelegationFact]:
        """Yield one fact for each subject and scope."""
        snapshot = updated = context.snapshot
        if context.installed.restricted is False:
            updated = apply_update(snapshot, context.installed, FIRST_RESTRICTED)
        remaining = delegating_namespaces(without_temporary(updated))
        for found in delegations(snapshot):
            grants = (found.grant,)
            yield DelegationFact(
                subject=subject_map(found.subject),
                method=found.how,
                through_default_role=found.namespace not in remaining.get(found.subject, ()),
                platform=is_platform(found.subject),
                chain=chain_text(grants),
                group_key=str(found.subject),
                scope=found.namespace,
                grants=grants,
                objects=evidence_objects(grants),
            )
