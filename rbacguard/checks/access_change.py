"""Who loses or gains migration by the update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from rbacguard.checks.base import (
    Check,
    Context,
    Fact,
    FactType,
    chain,
    evidence,
    is_service_account,
    place,
    subject_fields,
)
from rbacguard.kubevirt.permissions import Tier, is_platform, known_holder
from rbacguard.rbac import Subject
from rbacguard.rbac.objects import AnyBinding
from rbacguard.update.access import AccessChange, Change

_FLEET = "open-cluster-management.io"


def fleet_managed(binding: AnyBinding | None) -> bool:
    """Whether a fleet manager (ACM) writes a binding, and re-creates it when it is deleted."""
    if binding is None:
        return False
    metadata = binding.metadata
    return any(
        _FLEET in key or "open-cluster-management" in value
        for key, value in {**metadata.labels, **metadata.annotations}.items()
    ) or any(
        owner.kind in ("AppliedManifestWork", "ClusterPermission")
        for owner in metadata.owner_references
    )


class AccessChangeCheck(Check):
    """Counterfactual: who holds migration now, less who holds it once the update is simulated."""

    type: Literal["access-change"]
    change: Literal["lost", "gained"]

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "subject": FactType.MAP,
        "scope": FactType.STRING,
        "place": FactType.STRING,
        "actions": FactType.LIST,
        "bound_role": FactType.MAP,
        "chain": FactType.STRING,
        "aggregated": FactType.BOOL,
        "service_account": FactType.BOOL,
        "platform": FactType.BOOL,
        "known": FactType.STRING,
        "fleet_managed": FactType.BOOL,
    }

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each subject, scope and bound role."""
        if context.plan is None:
            return
        rows: dict[tuple[Subject, str], list[AccessChange]] = {}
        for row in context.plan.changes:
            if row.change is Change(self.change) and row.action.tier is not Tier.READ:
                rows.setdefault((row.subject, row.namespace), []).append(row)
        bindings = {binding.ref: binding for binding in context.snapshot.bindings}
        for (subject, scope), changes in rows.items():
            actions = list(dict.fromkeys(row.action.short for row in changes))
            by_role = {g.role: g for row in changes for g in (*row.before, *row.after)}
            for role, grant in by_role.items():
                cluster_role = context.snapshot.cluster_roles.get(role.name)
                holder = known_holder(subject)
                yield Fact(
                    fields={
                        "subject": subject_fields(subject),
                        "scope": scope,
                        "place": place(scope),
                        "actions": actions,
                        "bound_role": {"kind": role.kind, "name": role.name},
                        "chain": chain(grant),
                        "aggregated": role.kind == "ClusterRole"
                        and cluster_role is not None
                        and cluster_role.aggregation_rule is not None,
                        "service_account": is_service_account(subject),
                        "platform": is_platform(subject),
                        "known": holder.label if holder else "",
                        "fleet_managed": fleet_managed(bindings.get(grant.binding)),
                    },
                    group=f"{subject}",
                    scope=scope,
                    grants=(grant,),
                    objects=evidence((grant,)),
                )
