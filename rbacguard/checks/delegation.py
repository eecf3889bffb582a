"""Who can hand the permission on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from msgspec.structs import replace

from rbacguard.checks.base import (
    Check,
    Context,
    Fact,
    FactType,
    chain,
    evidence,
    place,
    subject_fields,
)
from rbacguard.kubevirt.names import AGGREGATE_TO, MIGRATE
from rbacguard.kubevirt.permissions import is_platform
from rbacguard.kubevirt.releases import HARDENED
from rbacguard.snapshot import Snapshot
from rbacguard.sources import ObjectKey
from rbacguard.update.delegation import delegations
from rbacguard.update.simulate import apply_update
from rbacguard.update.temporary import restored_default, temporary_roles


class DelegationCheck(Check):
    """Every subject that can bind others to what kubevirt.io:migrate grants."""

    type: Literal["delegation"]

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
        lasting = {(d.subject, d.namespace) for d in delegations(_settled(context))}
        for found in delegations(snapshot):
            key = (found.subject, found.namespace)
            grant = found.grant
            yield Fact(
                fields={
                    "subject": subject_fields(found.subject),
                    "scope": found.namespace,
                    "place": place(found.namespace),
                    "how": found.how,
                    "by_aggregation": key not in lasting,
                    "platform": is_platform(found.subject),
                    "chain": chain(grant),
                },
                group=str(found.subject),
                scope=found.namespace,
                grants=(grant,),
                objects=evidence((grant,)),
            )


def _settled(context: Context) -> Snapshot:
    """Return the cluster once it is updated and nothing hands migration to the default roles."""
    snapshot = context.snapshot
    if context.now.hardened is False:
        snapshot = apply_update(snapshot, context.now, HARDENED)
    temporary = [ObjectKey("ClusterRole", "", t.name) for t in temporary_roles(snapshot)]
    put = []
    if restored_default(snapshot):
        role = snapshot.cluster_roles[MIGRATE]
        labels = {k: v for k, v in role.metadata.labels.items() if not k.startswith(AGGREGATE_TO)}
        put.append(replace(role, metadata=replace(role.metadata, labels=labels)))
    return snapshot.replace(put, temporary, aggregate="recompute")
