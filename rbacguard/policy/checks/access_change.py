"""Who loses or gains migration by the update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Literal

from rbacguard.kubevirt.access import ActionChange
from rbacguard.kubevirt.permissions import is_platform, known_holder
from rbacguard.policy.checks.base import (
    Check,
    Context,
    Fact,
    FactType,
    chain,
    evidence,
    is_service_account,
    others,
    place,
    subject_fields,
)
from rbacguard.rbac.access import Change
from rbacguard.rbac.types import AnyBinding

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


def _places(changes: Iterable[ActionChange], wanted: Change) -> Iterator[tuple[ActionChange, str]]:
    """Yield the places of one change, in order of subject and namespace."""
    yield from sorted(
        (
            (each, scope)
            for each in changes
            if each.change is wanted and not each.is_reading
            for scope in each.namespaces
        ),
        key=lambda place: (place[0].subject, place[1]),
    )


class AccessChangeCheck(Check, frozen=True, tag="access-change"):
    """Counterfactual: who holds migration now, less who holds it once the update is simulated."""

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
        for change, scope in _places(context.plan.changes, Change(self.change)):
            subject = change.subject
            for role, (actions, grants) in change.evidence(scope).items():
                cluster_role = context.snapshot.cluster_roles.get(role.name)
                holder = known_holder(subject)
                yield Fact(
                    fields={
                        "subject": subject_fields(subject),
                        "scope": scope,
                        "place": place(scope),
                        "actions": [action.short for action in actions],
                        "bound_role": {"kind": role.kind, "name": role.name},
                        "chain": chain(grants[0]) + others(grants),
                        "aggregated": role.kind == "ClusterRole"
                        and cluster_role is not None
                        and cluster_role.aggregation_rule is not None,
                        "service_account": is_service_account(subject),
                        "platform": is_platform(subject),
                        "known": holder.label if holder else "",
                        "fleet_managed": any(
                            fleet_managed(context.snapshot.binding(each.binding)) for each in grants
                        ),
                    },
                    group=f"{subject}",
                    scope=scope,
                    grants=grants,
                    objects=evidence(grants),
                )
