"""Subjects that lose or gain live migration with the update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from rbacguard.kubevirt.access import ActionChange
from rbacguard.kubevirt.subjects import is_platform, is_service_account, well_known_label
from rbacguard.policy.checks.base import Check
from rbacguard.policy.checks.binding import fleet_managed
from rbacguard.policy.context import Context
from rbacguard.policy.facts import (
    AccessChangeFact,
    FactClass,
    chain_text,
    evidence_objects,
    role_map,
    subject_map,
)
from rbacguard.rbac.access import Change


def _scopes(changes: Iterable[ActionChange], wanted: Change) -> Iterator[tuple[ActionChange, str]]:
    """Yield the scopes of one change, sorted by subject and namespace."""
    yield from sorted(
        (
            (each, scope)
            for each in changes
            if each.change is wanted and not each.is_reading
            for scope in each.namespaces
        ),
        key=lambda found: (found[0].subject, found[1]),
    )


class AccessChangeCheck(Check, frozen=True, tag="access-change"):
    """Compares access today with access after the simulated update."""

    change: Literal["lost", "gained"]

    FACT: ClassVar[FactClass] = AccessChangeFact

    def run(self, context: Context) -> Iterator[AccessChangeFact]:
        """Yield one fact for each subject, scope, and bound role."""
        if context.plan is None:
            return
        snapshot = context.snapshot
        for change, scope in _scopes(context.plan.changes, Change(self.change)):
            subject = change.subject
            for role, (actions, grants) in change.evidence(scope).items():
                cluster_role = snapshot.cluster_roles.get(role.name)
                yield AccessChangeFact(
                    subject=subject_map(subject),
                    actions=[action.short for action in actions],
                    bound_role=role_map(role),
                    chain=chain_text(grants),
                    aggregated=role.kind == "ClusterRole"
                    and cluster_role is not None
                    and cluster_role.aggregation_rule is not None,
                    service_account=is_service_account(subject),
                    platform=is_platform(subject),
                    well_known=well_known_label(subject),
                    fleet_managed=any(fleet_managed(snapshot.binding(g.binding)) for g in grants),
                    group_key=str(subject),
                    scope=scope,
                    grants=grants,
                    objects=evidence_objects(grants),
                )
