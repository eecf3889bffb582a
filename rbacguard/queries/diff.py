"""The difference in access between two states of a cluster."""

from __future__ import annotations

from msgspec import Struct

from rbacguard.kubevirt.access import ActionChange, changes, in_order, requests_of
from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.permissions import Action, permissions
from rbacguard.rbac.access import Change, EffectiveAccess
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import ClusterOrigin

_COMPARED = ("live-migration", "evacuation-cancel")


class AccessDiff(Struct, frozen=True):
    """The difference in access between two states of a cluster.

    Attributes:
        before: what is installed in the old state.
        after: what is installed in the new state.
        actions: the actions that were compared.
        changes: what is lost and gained.
        gaps: objects of either state that were not read.
        origins: where each state was read from, if known.
    """

    before: Installed
    after: Installed
    actions: tuple[Action, ...]
    changes: tuple[ActionChange, ...]
    gaps: tuple[str, ...]
    origins: tuple[ClusterOrigin | None, ClusterOrigin | None]


def diff(before: Snapshot, after: Snapshot) -> AccessDiff:
    """Return the difference in live migration access and in cancelling evacuations."""
    actions = in_order(action for name in _COMPARED for action in permissions()[name].actions)
    roles = [before.resolved_roles, after.resolved_roles]
    access = EffectiveAccess(requests_of(actions), roles, {})
    access.add(before.bindings_in, [0])
    access.add(after.bindings_in, [1])
    found = changes(access, actions, 0, 1)
    return AccessDiff(
        installed(before),
        installed(after),
        actions,
        tuple(each for each in found if each.change is not Change.KEPT),
        (
            *(f"before: {gap}" for gap in before.coverage.missing()),
            *(f"after: {gap}" for gap in after.coverage.missing()),
        ),
        (before.coverage.origin, after.coverage.origin),
    )
