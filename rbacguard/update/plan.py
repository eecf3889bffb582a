"""The plan for an update: what changes, and what each strategy leads to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.errors import VersionError
from rbacguard.kubevirt.access import ActionChange, ChangedAction
from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, bound_to_migrate
from rbacguard.kubevirt.names import ADMIN, EDIT, MIGRATE
from rbacguard.kubevirt.permissions import Action
from rbacguard.kubevirt.releases import FIRST_RESTRICTED, Release
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.rbac.access import Namespaces
from rbacguard.snapshot import Snapshot
from rbacguard.update.simulate import preexisting_migrate_role
from rbacguard.update.strategies import (
    Simulation,
    Strategy,
    StrategyOutcome,
    compare_strategies,
)


class Plan(Struct, frozen=True):
    """The plan for one update.

    Attributes:
        now: what is installed.
        target: the release to update to.
        asked: the actions that `changes` and `evacuation_changes` are about, by number.
        changes: what happens to live migration access without any preparation.
        evacuation_changes: the same for the cancellation of evacuations. 4.21 grants it to
            administrators and editors.
        outcomes: the strategies.
        required: by subject in order, the smallest namespaces in which losing subjects need the
            permission to keep it. Accounts of the platform are left out.
        platform: the accounts of the platform that lose access.
        warnings: what an administrator must know first.
        gaps: what was not read. With any, losses are not certain.
    """

    now: Installed
    target: Release
    asked: Sequence[Action]
    changes: tuple[ActionChange, ...]
    evacuation_changes: tuple[ActionChange, ...]
    outcomes: tuple[StrategyOutcome, ...]
    required: Namespaces
    platform: Namespaces
    warnings: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def needs(self) -> tuple[RequiredBinding, ...]:
        """The required bindings, in order of namespace."""
        needs = [
            RequiredBinding(where, who)
            for who, namespaces in self.required.items()
            for where in namespaces
        ]
        return tuple(sorted(needs, key=attrgetter("namespace")))

    def rows(self) -> Iterator[ChangedAction]:
        """Yield the change of each action in each namespace."""
        for each in self.changes:
            yield from each.rows()


def make_plan(snapshot: Snapshot, target: Release, source: Release | None = None) -> Plan:
    """Return the plan for an update, with every strategy simulated.

    Args:
        snapshot: the cluster today.
        target: the release to update to.
        source: the installed release, if the user gives it.

    Raises:
        VersionError: the update is a downgrade, or a version contradicts the input.
    """
    now = resolve_installed(snapshot, source)
    check_target(now, target)
    simulation = Simulation(snapshot, now, target)
    return Plan(
        now=now,
        target=target,
        asked=simulation.asked,
        changes=tuple(simulation.changes(Strategy.NONE)),
        evacuation_changes=tuple(simulation.evacuation_changes()),
        outcomes=compare_strategies(simulation, now),
        required=simulation.required,
        platform={who: where for who, where in simulation.losing.items() if is_platform(who)},
        warnings=_warnings(snapshot, now, target),
        gaps=_gaps(snapshot, now),
    )


def resolve_installed(snapshot: Snapshot, source: Release | None) -> Installed:
    """Return what is installed, with `source` if the user gives it.

    Raises:
        VersionError: `source` contradicts the roles in the snapshot.
    """
    now = installed(snapshot)
    if source is None:
        return now
    if now.restricted is not None and now.restricted != (source >= FIRST_RESTRICTED):
        found = "4.19 or later" if now.restricted else "4.18 or older"
        raise VersionError(
            f"--from {source.cnv_version}: the roles in the input are those of {found}"
        )
    return replace(now, release=source)


def check_target(now: Installed, target: Release) -> None:
    """Raise VersionError if the target is older than the installed release."""
    known = now.release
    if known is None and now.restricted:
        known = FIRST_RESTRICTED
    if known is not None and target < known:
        raise VersionError(
            f"--to {target.cnv_version}: {now.label} is installed; "
            "a downgrade is not supported, give that version or a later one"
        )


def _gaps(snapshot: Snapshot, now: Installed) -> tuple[str, ...]:
    gaps = snapshot.coverage.missing()
    missing = [n for n in ("admin", "edit", ADMIN, EDIT) if n not in snapshot.cluster_roles]
    if missing:
        gaps = (*gaps, f"ClusterRole: {', '.join(missing)} not in the input")
    if now.release is None and now.restricted is None:
        gaps = (*gaps, "the installed version is not known; give it with --from")
    return gaps


def _warnings(snapshot: Snapshot, now: Installed, target: Release) -> tuple[str, ...]:
    warnings = []
    if preexisting_migrate_role(snapshot, now):
        warnings.append(
            f"ClusterRole {MIGRATE} exists before the update, and virt-operator did not create it. "
            "The update will not finish, because the Operator cannot create the role "
            "(AlreadyExists). Delete the role first"
        )
    if now.restricted:
        warnings.append(
            "The cluster is at 4.19 or later: a temporary role preserves no access, it grants new "
            "access"
        )
    if now.update_in_progress:
        warnings.append("An update is in progress: create a new dump after it has finished")
    if snapshot.aggregation.cycles:
        groups = "; ".join(", ".join(group) for group in snapshot.aggregation.cycles)
        warnings.append(f"Aggregated roles select each other and never lose a rule: {groups}")
    in_advance = len(bound_to_migrate(snapshot))
    if target >= FIRST_RESTRICTED and not now.restricted and in_advance:
        warnings.append(
            f"{in_advance} subjects are already bound to {MIGRATE}. The bindings take effect when "
            "the Operator creates the role"
        )
    return tuple(warnings)
