"""Who can hand the permission on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.permissions import is_platform
from rbacguard.kubevirt.releases import HARDENED
from rbacguard.policy.checks.base import (
    Check,
    Context,
    Fact,
    FactType,
    chain,
    evidence,
    place,
    subject_fields,
)
from rbacguard.update.delegation import delegating_namespaces, delegations
from rbacguard.update.simulate import apply_update
from rbacguard.update.temporary_role import without_temporary


class DelegationCheck(Check, frozen=True, tag="delegation"):
    """Every subject that can bind others to what kubevirt.io:migrate grants."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "subject": FactType.MAP,
        "scope": FactType.STRING,
        "place": FactType.STRING,
        "how": FactType.STRING,
        "by_aggregation": FactType.BOOL,
        "platform": FactType.BOOL,
        "chain": FactType.STRING,
    }

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each subject and scope."""
        snapshot = context.snapshot
        settled = snapshot
        if context.now.hardened is False:
            settled = apply_update(snapshot, context.now, HARDENED)
        lasting = delegating_namespaces(without_temporary(settled))
        for found in delegations(snapshot):
            grant = found.grant
            yield Fact(
                fields={
                    "subject": subject_fields(found.subject),
                    "scope": found.namespace,
                    "place": place(found.namespace),
                    "how": found.how,
                    "by_aggregation": found.namespace not in lasting.get(found.subject, ()),
                    "platform": is_platform(found.subject),
                    "chain": chain(grant),
                },
                group=str(found.subject),
                scope=found.namespace,
                grants=(grant,),
                objects=evidence((grant,)),
            )
