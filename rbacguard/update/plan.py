"""The plan: what the update changes, and what each way of dealing with it would lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.errors import VersionError
from rbacguard.kubevirt.access import (
    Access,
    AccessChange,
    Change,
    Compared,
    Transition,
    in_order,
)
from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.migrate_bindings import MIGRATE_ROLE, Need, bindings_for
from rbacguard.kubevirt.names import (
    ADMIN,
    AGGREGATE_TO,
    EDIT,
    MIGRATE,
    UPGRADE_MIGRATE,
    UPGRADE_MIGRATE_EDIT,
)
from rbacguard.kubevirt.permissions import Action, is_platform, live_migration, permissions
from rbacguard.kubevirt.places import Places
from rbacguard.kubevirt.releases import HARDENED, Release
from rbacguard.rbac import ClusterRole, Subject
from rbacguard.rbac.questions import Questions
from rbacguard.rbac.types import AnyBinding
from rbacguard.snapshot import Snapshot
from rbacguard.update import delegation
from rbacguard.update.simulate import apply_update, foreign_migrate
from rbacguard.update.temporary_role import aggregation_labels, temporary_role, without_temporary


class Strategy(StrEnum):
    """A way of dealing with the update."""

    NOTHING = "nothing"
    TEMPORARY_ROLE = "temporary-role"
    TEMPORARY_TIERS = "temporary-role-tiers"
    PREBIND = "prebind"
    RESTORE_DEFAULT = "restore-default"


class Outcome(Struct, frozen=True):
    """What a strategy leads to, found by simulating it.

    Attributes:
        strategy: which one.
        title: in words.
        recommended: whether this is the way to go here.
        compared: how access compares with today's.
        reached: who keeps migration because of the strategy, by subject and scopes.
        missed: who loses some of it all the same.
        more: who gets more than today.
        can_hand_on: who can hand the permission on meanwhile, beyond those who always can.
        gap: how long people are without it.
        undo: how it is undone.
        caution: what speaks against it, if anything.
    """

    strategy: Strategy
    title: str
    recommended: bool
    compared: Compared
    reached: Mapping[Subject, tuple[str, ...]]
    missed: Mapping[Subject, tuple[str, ...]]
    more: Mapping[Subject, tuple[str, ...]]
    can_hand_on: Mapping[Subject, tuple[str, ...]]
    gap: str
    undo: str
    caution: str

    def rows(self) -> Iterator[AccessChange]:
        """Yield every row, compared with today."""
        for each in self.compared.transitions():
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
    changes: tuple[Transition, ...]
    related: tuple[Transition, ...]
    outcomes: tuple[Outcome, ...]
    wanted: Mapping[Subject, tuple[str, ...]]
    platform: dict[Subject, tuple[str, ...]]
    warnings: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def needs(self) -> tuple[Need, ...]:
        """What is wanted, one by one, in order."""
        return _needs(self.wanted)

    def rows(self) -> Iterator[AccessChange]:
        """Yield what happens to each permission, one by one."""
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
    changes = simulation.changes
    return Plan(
        now=now,
        target=target,
        asked=simulation.asked,
        changes=changes.transitions(),
        related=simulation.related.transitions((Change.LOST, Change.GAINED)),
        outcomes=_outcomes(simulation, now),
        wanted=simulation.wanted,
        platform=simulation.platform,
        warnings=_warnings(snapshot, now, target, simulation.in_advance),
        gaps=_gaps(snapshot, now),
    )


def _needs(wanted: Mapping[Subject, tuple[str, ...]]) -> tuple[Need, ...]:
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


class _Simulation:
    """Today and the cluster after each strategy, all asked the same questions."""

    def __init__(self, snapshot: Snapshot, now: Installed, target: Release) -> None:
        self._snapshot, self._now, self._target = snapshot, now, target
        self._actions = in_order(live_migration().actions)
        related = in_order(permissions()["evacuation-cancel"].actions)
        self.asked = (*self._actions, *related)
        self._questions = Questions(
            [*(action.attributes for action in self.asked), *delegation.requests()]
        )
        after = apply_update(snapshot, now, target)
        admin, edit = temporary_role("admin"), temporary_role("edit")
        # Who can hand it on without any role that aggregates it.
        always = self._ask(without_temporary(after))
        self._before = self._ask(snapshot)
        self._after = {
            Strategy.NOTHING: self._ask(after),
            Strategy.TEMPORARY_ROLE: self._ask(self._updated([admin])),
            Strategy.TEMPORARY_TIERS: self._ask(self._updated([admin, edit])),
            Strategy.RESTORE_DEFAULT: self._ask(self._restored(after)),
        }
        Access.share([self._before, always, *self._after.values()], [MIGRATE_ROLE])
        nothing = self._after[Strategy.NOTHING]
        self.changes = Compared(self._actions, self._before, nothing)
        self.related = Compared(related, self._before, nothing, first=len(self._actions))
        places, lost = self._before.table.places, self.changes.numbers(Change.LOST)
        here = [n for n, (shape, _) in enumerate(places.shapes) if MIGRATE_ROLE in shape.own]
        self.in_advance = sum(map(len, places.where(here).values()))
        losing = places.where(lost, widest=True)
        platform = frozenset(filter(is_platform, losing))
        self.wanted = {who: scopes for who, scopes in losing.items() if who not in platform}
        # The update touches no binding, so they may as well be made after it.
        self._after[Strategy.PREBIND] = nothing.with_bindings(
            lambda: bindings_for(_needs(self.wanted), snapshot)
        )
        # All strategies are compared in the same places, so that what one of them changes is told
        # by the numbers of these.
        self._bound = places.with_role(MIGRATE_ROLE, lost, platform)
        self._unbound = self._bound.unchanged()
        self._nothing = self._compared(Strategy.NOTHING)
        losing = self._unbound.where(self._nothing.numbers(Change.LOST))
        self.platform = {who: losing[who] for who in losing if who in platform}
        self._always = self._handing_on(always, self._unbound)

    def _ask(self, snapshot: Snapshot) -> Access:
        return Access(snapshot, self._questions)

    def _compared(self, strategy: Strategy) -> Compared:
        places = self._places(strategy)
        return Compared(self._actions, self._before, self._after[strategy], places=places)

    def _places(self, strategy: Strategy) -> Places:
        return self._bound if strategy is Strategy.PREBIND else self._unbound

    def _handing_on(self, state: Access, places: Places) -> frozenset[int]:
        """Return where somebody can hand migration on."""
        shapes = (shape for _, shape in places.shapes)
        return frozenset(delegation.can_hand_on(state, shapes, len(self.asked)))

    def _updated(self, planned: Iterable[ClusterRole | AnyBinding]) -> Snapshot:
        """Return the cluster after the update, with some objects made before it."""
        return apply_update(self._snapshot.replace(planned), self._now, self._target)

    def _restored(self, after: Snapshot) -> Snapshot:
        """Return the cluster after the update, with the old default restored."""
        role = after.cluster_roles.get(MIGRATE)
        return after.replace([restored_label(role, ["admin"])] if role else [])

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
        """Compare what a strategy leads to with today."""
        compared = self._compared(strategy)
        lost, gained = (
            (self._nothing.numbers(change), compared.numbers(change))
            for change in (Change.LOST, Change.GAINED)
        )
        where = self._unbound.where
        state, places = self._after[strategy], self._places(strategy)
        hand_on = self._handing_on(state, places) - self._always
        return Outcome(
            strategy=strategy,
            title=title,
            recommended=recommended,
            compared=compared,
            reached=where(lost[0] - lost[1]),
            missed=where(lost[1]),
            more=where(gained[1] - gained[0]),
            can_hand_on=where(hand_on, widest=True),
            gap=gap,
            undo=undo,
            caution=caution,
        )
