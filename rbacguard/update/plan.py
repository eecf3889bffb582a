"""The plan: what the update changes, and what each way of dealing with it would lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.errors import VersionError
from rbacguard.kubevirt.access import (
    ActionChange,
    ChangedAction,
    changes,
    in_order,
    mask_of,
    requests_of,
)
from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.migrate_bindings import MIGRATE_ROLE, Need, bound_to_migrate
from rbacguard.kubevirt.names import (
    ADMIN,
    AGGREGATE_TO,
    EDIT,
    MIGRATE,
    UPGRADE_MIGRATE,
    UPGRADE_MIGRATE_EDIT,
)
from rbacguard.kubevirt.permissions import Action, Tier, is_platform, live_migration, permissions
from rbacguard.kubevirt.releases import HARDENED, Release
from rbacguard.rbac import ClusterRole
from rbacguard.rbac.access import AccessRow, Change, EffectiveAccess, Namespaces, widest
from rbacguard.rbac.rules import RequestSet
from rbacguard.snapshot import Snapshot
from rbacguard.update import delegation
from rbacguard.update.simulate import apply_update, foreign_migrate
from rbacguard.update.temporary_role import aggregation_labels, temporary_role, without_temporary

_TODAY, _PERMANENT = "today", "permanent"


class Strategy(StrEnum):
    """A way of dealing with the update."""

    NOTHING = "nothing"
    TEMPORARY_ROLE = "temporary-role"
    TEMPORARY_TIERS = "temporary-role-tiers"
    PREBIND = "prebind"
    RESTORE_DEFAULT = "restore-default"


class Outcome(Struct, frozen=True):
    """What a strategy leads to, found by simulation.

    Attributes:
        strategy: the strategy.
        title: its name for people.
        recommended: whether it is recommended for this cluster.
        reached: the subjects that keep live migration because of the strategy, and where.
        missed: the subjects that lose some of it nevertheless.
        more: the subjects that get more than today.
        can_hand_on: the subjects that can delegate the permission because of the strategy.
        gap: how long subjects are without the permission.
        undo: how to revert the strategy.
        caution: its disadvantage, if any.
        simulation: the states that were compared.
    """

    strategy: Strategy
    title: str
    recommended: bool
    reached: Namespaces
    missed: Namespaces
    more: Namespaces
    can_hand_on: Namespaces
    gap: str
    undo: str
    caution: str
    simulation: _Simulation

    def changes(self) -> Iterator[ActionChange]:
        """Yield the changes of access, compared with today."""
        return self.simulation.changes(self.strategy)

    def rows(self) -> Iterator[ChangedAction]:
        """Yield the change of each action in each namespace, compared with today."""
        for each in self.changes():
            yield from each.rows()


class Plan(Struct, frozen=True):
    """The plan for one update.

    Attributes:
        now: what is installed.
        target: the release to update to.
        asked: the actions that `changes` and `related` are about, by number.
        changes: what happens to each permission if nothing is done.
        related: the same for cancelling evacuations, which 4.21 gives to administrators.
        outcomes: the strategies side by side.
        wanted: by subject in order, the smallest scopes in which to grant what keeps access for
            those who lose it; the platform's own accounts are left out.
        platform: the platform's accounts that lose access and for which nothing is proposed.
        warnings: what an administrator has to know first.
        gaps: what was not read; with any, losses and 'nobody else' are not certain.
    """

    now: Installed
    target: Release
    asked: tuple[Action, ...]
    changes: tuple[ActionChange, ...]
    related: tuple[ActionChange, ...]
    outcomes: tuple[Outcome, ...]
    wanted: Namespaces
    platform: Namespaces
    warnings: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def needs(self) -> tuple[Need, ...]:
        """What is wanted, one by one, in order."""
        return _needs(self.wanted)

    def rows(self) -> Iterator[ChangedAction]:
        """Yield the change of each action in each namespace."""
        for each in self.changes:
            yield from each.rows()


def resolve_now(snapshot: Snapshot, source: Release | None) -> Installed:
    """Return what is installed, with `source` (from the user) where the snapshot does not tell.

    Raises:
        VersionError: the user's version contradicts the roles in the snapshot.
    """
    now = installed(snapshot)
    if source is None:
        return now
    if now.hardened is not None and now.hardened != (source >= HARDENED):
        found = "4.19 or later" if now.hardened else "4.18 or older"
        raise VersionError(
            f"--from {source.cnv_version}: the roles in the input are those of {found}"
        )
    return replace(now, release=source)


def check_target(now: Installed, target: Release) -> None:
    """Refuse a downgrade.

    Raises:
        VersionError: the target is older than what is installed.
    """
    known = now.release
    if known is None and now.hardened:
        known = HARDENED
    if known is not None and target < known:
        raise VersionError(
            f"--to {target.cnv_version}: {now.label} is installed; "
            "a downgrade is not supported, give that version or a later one"
        )


def make_plan(snapshot: Snapshot, target: Release, source: Release | None = None) -> Plan:
    """Simulate the update under every strategy.

    Raises:
        VersionError: a downgrade, or a version that contradicts the input.
    """
    now = resolve_now(snapshot, source)
    check_target(now, target)
    simulation = _Simulation(snapshot, now, target)
    return Plan(
        now=now,
        target=target,
        asked=simulation.asked,
        changes=simulation.update_changes,
        related=simulation.related_changes,
        outcomes=_outcomes(simulation, now),
        wanted=simulation.wanted,
        platform=simulation.platform,
        warnings=_warnings(snapshot, now, target, len(bound_to_migrate(snapshot))),
        gaps=_gaps(snapshot, now),
    )


def _needs(wanted: Namespaces) -> tuple[Need, ...]:
    needs = [Need(scope, subject) for subject, scopes in wanted.items() for scope in scopes]
    return tuple(sorted(needs, key=attrgetter("namespace")))


def _gaps(snapshot: Snapshot, now: Installed) -> tuple[str, ...]:
    gaps = snapshot.coverage.gaps()
    missing = [n for n in ("admin", "edit", ADMIN, EDIT) if n not in snapshot.cluster_roles]
    if missing:
        gaps = (*gaps, f"ClusterRole: {', '.join(missing)} not in the input")
    if now.release is None and now.hardened is None:
        gaps = (*gaps, "the installed version is not known; give it with --from")
    return gaps


def _warnings(
    snapshot: Snapshot, now: Installed, target: Release, in_advance: int
) -> tuple[str, ...]:
    warnings = []
    if foreign_migrate(snapshot, now):
        warnings.append(
            f"ClusterRole {MIGRATE} exists before the update and is not the operator's: its create "
            "will fail with AlreadyExists and the update will not finish; delete it first"
        )
    if now.hardened:
        warnings.append(
            "this cluster is at 4.19 or later already: a temporary role would not preserve "
            "anything, it would grant migration anew"
        )
    if now.updating:
        warnings.append("an update is under way: take a new dump when it is through")
    if snapshot.aggregation.cycles:
        groups = "; ".join(", ".join(group) for group in snapshot.aggregation.cycles)
        warnings.append(f"aggregated roles select each other ({groups}): they never lose a rule")
    if target >= HARDENED and not now.hardened and in_advance:
        warnings.append(
            f"{in_advance} subjects are bound to {MIGRATE} in advance; "
            "the bindings take effect when the operator creates it"
        )
    return tuple(warnings)


def _outcomes(simulation: _Simulation, now: Installed) -> tuple[Outcome, ...]:
    crossing = bool(simulation.wanted)
    grants = "already at 4.19 or later: grants, does not preserve" if now.hardened else ""
    return (
        simulation.outcome(
            Strategy.NOTHING,
            "do nothing",
            recommended=not crossing,
            gap="from the moment the operator writes its roles, for good" if crossing else "none",
            undo="nothing to undo",
        ),
        simulation.outcome(
            Strategy.TEMPORARY_ROLE,
            "the temporary role as documented",
            gap="none for those reached; for good for those missed",
            undo=f"oc delete clusterrole {UPGRADE_MIGRATE}, then verify",
            caution=grants
            or "reaches holders of admin only, in every namespace; what they hand on outlives it",
        ),
        simulation.outcome(
            Strategy.TEMPORARY_TIERS,
            "the temporary role in two tiers",
            gap="none for those reached; for good for those missed",
            undo=f"oc delete clusterrole {UPGRADE_MIGRATE} {UPGRADE_MIGRATE_EDIT}, then verify",
            caution=grants
            or "misses those bound to kubevirt.io:admin or kubevirt.io:edit directly",
        ),
        simulation.outcome(
            Strategy.PREBIND,
            "bindings made before the update",
            recommended=crossing,
            gap="none, but for the seconds in which the operator writes its roles",
            undo="delete a binding to take the permission from those it names",
            caution="kubevirt.io:migrate holds deletecollection, which editors did not have"
            if crossing
            else "",
        ),
        simulation.outcome(
            Strategy.RESTORE_DEFAULT,
            "the old default restored",
            gap="from the update until the label is set",
            undo=f"oc label clusterrole {MIGRATE} {AGGREGATE_TO}admin-",
            caution="every namespace administrator holds migration again, also those to come",
        ),
    )


def restored_label(role: ClusterRole, tiers: Iterable[str]) -> ClusterRole:
    """Return kubevirt.io:migrate with the aggregation labels that bring the old default back."""
    labels = {**role.metadata.labels, **aggregation_labels(tiers)}
    return replace(role, metadata=replace(role.metadata, labels=labels))


class _Effect(NamedTuple):
    """What a strategy leads to; the fields are those of `Outcome`."""

    reached: Namespaces
    missed: Namespaces
    more: Namespaces
    can_hand_on: Namespaces


class _Simulation:
    """The states of a cluster: today, after the update, and after the update with each strategy.

    All states are evaluated together, for the same requests.
    """

    def __init__(self, snapshot: Snapshot, now: Installed, target: Release) -> None:
        direct = in_order(live_migration().actions)
        related = in_order(permissions()["evacuation-cancel"].actions)
        self.asked = (*direct, *related)
        self._direct = mask_of(range(len(direct)))
        self._granting = mask_of(
            number for number, action in enumerate(direct) if action.tier is not Tier.READ
        )
        after = apply_update(snapshot, now, target)
        admin, edit = temporary_role("admin"), temporary_role("edit")
        migrate = after.cluster_roles.get(MIGRATE)
        restored = [restored_label(migrate, ["admin"])] if migrate else []
        states = {
            _TODAY: snapshot,
            # Without any role that aggregates migration into the default roles.
            _PERMANENT: without_temporary(after),
            Strategy.NOTHING: after,
            Strategy.TEMPORARY_ROLE: apply_update(snapshot.replace([admin]), now, target),
            Strategy.TEMPORARY_TIERS: apply_update(snapshot.replace([admin, edit]), now, target),
            Strategy.PREBIND: after,
            Strategy.RESTORE_DEFAULT: after.replace(restored),
        }
        self._state = {name: number for number, name in enumerate(states)}
        self._access = EffectiveAccess(
            RequestSet([*requests_of(self.asked).requests, *delegation.requests()]),
            [each.resolved_roles for each in states.values()],
            snapshot.bindings_in,
        )
        evacuation = mask_of(range(len(direct), len(self.asked)))
        self.update_changes = tuple(self.changes(Strategy.NOTHING))
        self.related_changes = tuple(
            each
            for each in self.changes(Strategy.NOTHING, evacuation)
            if each.change is not Change.KEPT
        )
        (lost,) = self._access.select([partial(self._lost, strategy=Strategy.NOTHING)])
        losing = widest(lost)
        self.platform = {who: where for who, where in lost.items() if is_platform(who)}
        self.wanted = {who: where for who, where in losing.items() if not is_platform(who)}
        # As the bindings that `bindings_for` proposes would do.
        self._access.add_role(MIGRATE_ROLE, self.wanted, self._state[Strategy.PREBIND])
        self._effects = self._simulated_effects()

    def changes(self, strategy: Strategy, requests: int | None = None) -> Iterator[ActionChange]:
        """Yield the difference between today and the state after a strategy.

        Args:
            strategy: the strategy.
            requests: the mask of the actions, by default those of live migration.
        """
        if requests is None:
            requests = self._direct
        before, after = self._state[_TODAY], self._state[strategy]
        return changes(self._access, self.asked, before, after, requests=requests)

    def _lost(self, row: AccessRow, strategy: Strategy) -> int:
        return row.changed(Change.LOST, self._state[_TODAY], self._state[strategy]) & self._granting

    def _gained(self, row: AccessRow, strategy: Strategy) -> int:
        before, after = self._state[_TODAY], self._state[strategy]
        return row.changed(Change.GAINED, before, after) & self._granting

    def _delegates(self, row: AccessRow, state: str) -> str:
        """Return how a subject can grant live migration to others in a state, if it can."""
        return delegation.method(row.allowed(self._state[state]) >> len(self.asked))

    def _simulated_effects(self) -> Mapping[Strategy, _Effect]:
        """Return what each strategy leads to, found in one pass over all subjects."""
        tests: list[Callable[[AccessRow], object]] = []
        for strategy in Strategy:
            tests += self._tests(strategy)
        found = iter(self._access.select(tests))
        return {each: _Effect(*islice(found, 4)) for each in Strategy}

    def _tests(self, strategy: Strategy) -> Sequence[Callable[[AccessRow], object]]:
        lost, gained, delegates = self._lost, self._gained, self._delegates
        nothing = Strategy.NOTHING
        return (
            lambda row: lost(row, nothing) and not lost(row, strategy),
            lambda row: lost(row, strategy),
            lambda row: gained(row, strategy) and not gained(row, nothing),
            lambda row: delegates(row, strategy) and not delegates(row, _PERMANENT),
        )

    def outcome(
        self,
        strategy: Strategy,
        title: str,
        *,
        gap: str,
        undo: str,
        recommended: bool = False,
        caution: str = "",
    ) -> Outcome:
        """Return what a strategy leads to, compared with today."""
        effect = self._effects[strategy]
        return Outcome(
            strategy=strategy,
            title=title,
            recommended=recommended,
            reached=effect.reached,
            missed=effect.missed,
            more=effect.more,
            can_hand_on=widest(effect.can_hand_on),
            gap=gap,
            undo=undo,
            caution=caution,
            simulation=self,
        )
