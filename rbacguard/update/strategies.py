"""What each way of preparing the update leads to, found by simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import NamedTuple

from msgspec import Struct

from rbacguard.kubevirt.access import (
    ActionChange,
    ChangedAction,
    changes,
    in_order,
    mask_of,
    requests_of,
)
from rbacguard.kubevirt.installed import Installed
from rbacguard.kubevirt.migrate_bindings import MIGRATE_ROLE
from rbacguard.kubevirt.names import AGGREGATE_TO, MIGRATE, UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.kubevirt.permissions import Action, Directness, live_migration, permissions
from rbacguard.kubevirt.releases import Release
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.rbac.access import AccessRow, Change, EffectiveAccess, Namespaces, widest
from rbacguard.rbac.rules import RequestSet
from rbacguard.shell import object_reference
from rbacguard.snapshot import Snapshot
from rbacguard.update import delegation
from rbacguard.update.simulate import apply_update
from rbacguard.update.temporary_role import restored_label, temporary_role, without_temporary

_TODAY, _PERMANENT = "today", "permanent"


class Strategy(StrEnum):
    """A way of preparing the update."""

    NONE = "none"
    TEMPORARY_ROLE = "temporary-role"
    TEMPORARY_ROLES = "temporary-roles"
    BINDINGS_FIRST = "bindings-first"
    RESTORE_DEFAULT = "restore-default"


class Effect(NamedTuple):
    """The subjects that a strategy affects, and where, compared with today.

    Attributes:
        covered: subjects that keep live migration because of the strategy.
        not_covered: subjects that lose some of it nevertheless.
        extra_access: subjects that get more than today, and more than by the update alone.
        delegation: subjects that can grant live migration to others because of the strategy.
    """

    covered: Namespaces
    not_covered: Namespaces
    extra_access: Namespaces
    delegation: Namespaces


class StrategyOutcome(Struct, frozen=True):
    """What a strategy leads to.

    Attributes:
        strategy: the strategy.
        title: its name for people.
        recommended: whether it is recommended for this cluster.
        effect: the subjects that it affects.
        interruption: how long subjects are without the permission.
        rollback: how to revert the strategy.
        caution: its disadvantage, or an empty string.
        simulation: the states that were compared.
    """

    strategy: Strategy
    title: str
    recommended: bool
    effect: Effect
    interruption: str
    rollback: str
    caution: str
    simulation: Simulation

    def changes(self) -> Iterator[ActionChange]:
        """Yield the changes of access, compared with today."""
        return self.simulation.changes(self.strategy)

    def rows(self) -> Iterator[ChangedAction]:
        """Yield the change of each action in each namespace, compared with today."""
        for each in self.changes():
            yield from each.rows()


class Simulation:
    """The states of a cluster: today, after the update, and after the update with each strategy.

    All states are evaluated together, for the same requests.

    Args:
        snapshot: the cluster today.
        now: what is installed.
        target: the release to update to.

    Raises:
        VersionError: the roles of the target are not known.
    """

    def __init__(self, snapshot: Snapshot, now: Installed, target: Release) -> None:
        """Simulate the update with each strategy."""
        actions = in_order(live_migration().actions)
        evacuation = in_order(permissions()["evacuation-cancel"].actions)
        self.asked: Sequence[Action] = (*actions, *evacuation)
        self._live_migration = mask_of(range(len(actions)))
        self._evacuation = mask_of(range(len(actions), len(self.asked)))
        self._granting = mask_of(
            number
            for number, action in enumerate(actions)
            if action.directness is not Directness.READ
        )
        after = apply_update(snapshot, now, target)
        admin, edit = temporary_role("admin"), temporary_role("edit")
        migrate = after.cluster_roles.get(MIGRATE)
        restored = [restored_label(migrate, ["admin"])] if migrate else []
        states = {
            _TODAY: snapshot,
            # Without any role that aggregates migration into the default roles.
            _PERMANENT: without_temporary(after),
            Strategy.NONE: after,
            Strategy.TEMPORARY_ROLE: apply_update(snapshot.replace([admin]), now, target),
            Strategy.TEMPORARY_ROLES: apply_update(snapshot.replace([admin, edit]), now, target),
            Strategy.BINDINGS_FIRST: after,
            Strategy.RESTORE_DEFAULT: after.replace(restored),
        }
        self._state = {name: number for number, name in enumerate(states)}
        self._access = EffectiveAccess(
            RequestSet([*requests_of(self.asked).requests, *delegation.requests()]),
            [each.resolved_roles for each in states.values()],
            snapshot.bindings_in,
        )
        (self.losing,) = self._access.select([partial(self._lost, strategy=Strategy.NONE)])
        # The bindings that `bindings_for` proposes for these subjects.
        self._access.add_role(MIGRATE_ROLE, self.required, self._state[Strategy.BINDINGS_FIRST])
        self.effects = self._effects()

    @property
    def required(self) -> Namespaces:
        """The smallest namespaces in which losing subjects need the permission to keep it.

        Accounts of the platform are left out.
        """
        return {who: where for who, where in widest(self.losing).items() if not is_platform(who)}

    def changes(self, strategy: Strategy) -> Iterator[ActionChange]:
        """Yield the changes of live migration access between today and after a strategy."""
        return self._changes(strategy, self._live_migration)

    def evacuation_changes(self) -> Iterator[ActionChange]:
        """Yield who loses and gains the permission to cancel evacuations by the update."""
        found = self._changes(Strategy.NONE, self._evacuation)
        return (each for each in found if each.change is not Change.KEPT)

    def _changes(self, strategy: Strategy, requests: int) -> Iterator[ActionChange]:
        before, after = self._state[_TODAY], self._state[strategy]
        return changes(self._access, self.asked, before, after, requests=requests)

    def _effects(self) -> Mapping[Strategy, Effect]:
        """Return what each strategy leads to, found in one pass over all subjects."""
        tests: list[Callable[[AccessRow], object]] = []
        for strategy in Strategy:
            tests += self._tests(strategy)
        found = iter(self._access.select(tests))
        effects = {each: Effect(*islice(found, len(Effect._fields))) for each in Strategy}
        return {
            strategy: effect._replace(delegation=widest(effect.delegation))
            for strategy, effect in effects.items()
        }

    def _tests(self, strategy: Strategy) -> Sequence[Callable[[AccessRow], object]]:
        """Return what selects the fields of `Effect`, in order."""
        lost, gained, delegates = self._lost, self._gained, self._delegates
        none = Strategy.NONE
        return (
            lambda row: lost(row, none) and not lost(row, strategy),
            lambda row: lost(row, strategy),
            lambda row: gained(row, strategy) and not gained(row, none),
            lambda row: delegates(row, strategy) and not delegates(row, _PERMANENT),
        )

    def _lost(self, row: AccessRow, strategy: Strategy) -> int:
        return row.changed(Change.LOST, self._state[_TODAY], self._state[strategy]) & self._granting

    def _gained(self, row: AccessRow, strategy: Strategy) -> int:
        before, after = self._state[_TODAY], self._state[strategy]
        return row.changed(Change.GAINED, before, after) & self._granting

    def _delegates(self, row: AccessRow, state: str) -> str:
        """Return how a subject can grant live migration to others in a state, or ''."""
        return delegation.method(row.allowed(self._state[state]) >> len(self.asked))


def compare_strategies(simulation: Simulation, now: Installed) -> tuple[StrategyOutcome, ...]:
    """Return the outcome of each strategy."""
    crossing = bool(simulation.required)
    grants = (
        "The cluster is at 4.19 or later: this grants new access, it preserves none"
        if now.restricted
        else ""
    )
    both = (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT)
    covered_only = "none for covered subjects; permanent for the others"

    def outcome(
        strategy: Strategy,
        title: str,
        interruption: str,
        rollback: str,
        caution: str = "",
        *,
        recommended: bool = False,
    ) -> StrategyOutcome:
        return StrategyOutcome(
            strategy,
            title,
            recommended,
            simulation.effects[strategy],
            interruption,
            rollback,
            caution,
            simulation,
        )

    return (
        outcome(
            Strategy.NONE,
            "no action",
            "permanent, from the moment the Operator updates its roles" if crossing else "none",
            "nothing to revert",
            recommended=not crossing,
        ),
        outcome(
            Strategy.TEMPORARY_ROLE,
            "temporary role (documented)",
            covered_only,
            f"oc delete {object_reference('ClusterRole', [UPGRADE_MIGRATE])}, then verify",
            grants
            or "Only subjects bound to admin keep the permission, in every namespace; grants that "
            "they make remain after you delete the role",
        ),
        outcome(
            Strategy.TEMPORARY_ROLES,
            "temporary roles (two tiers)",
            covered_only,
            f"oc delete {object_reference('ClusterRole', both)}, then verify",
            grants
            or "Subjects bound to kubevirt.io:admin or kubevirt.io:edit directly are not covered",
        ),
        outcome(
            Strategy.BINDINGS_FIRST,
            "bindings before the update",
            "a few seconds while the Operator updates its roles",
            "delete a binding to remove the permission from its subjects",
            "kubevirt.io:migrate contains deletecollection, which editors did not have"
            if crossing
            else "",
            recommended=crossing,
        ),
        outcome(
            Strategy.RESTORE_DEFAULT,
            "previous default restored",
            "from the update until you set the label",
            f"oc label {object_reference('ClusterRole', [MIGRATE])} {AGGREGATE_TO}admin-",
            "Every namespace administrator has the permission again, including future ones",
        ),
    )
