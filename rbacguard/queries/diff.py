"""The difference between two dumps of a cluster."""

from __future__ import annotations

from msgspec import Struct

from rbacguard.kubevirt.access import ActionChange, changes, in_order, requests_of
from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.permissions import Action, permissions
from rbacguard.rbac.access import Change, EffectiveAccess
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import ClusterOrigin

_COMPARED = ("live-migration", "evacuation-cancel")


class Comparison(Struct, frozen=True):
    """What differs between two states, and what was not read of either."""

    before: Installed
    after: Installed
    changes: tuple[ActionChange, ...]
    asked: tuple[Action, ...]
    gaps: tuple[str, ...]
    origins: tuple[ClusterOrigin | None, ClusterOrigin | None]


def compare(before: Snapshot, after: Snapshot) -> Comparison:
    """Compare who holds migration, and who may cancel evacuations."""
    asked = in_order(action for name in _COMPARED for action in permissions()[name].actions)
    access = EffectiveAccess(requests_of(asked), [before.resolved_roles, after.resolved_roles], {})
    access.add(before.bindings_in, [0])
    access.add(after.bindings_in, [1])
    found = changes(access, asked, 0, 1)
    gaps = [f"before: {gap}" for gap in before.coverage.missing()]
    gaps += [f"after: {gap}" for gap in after.coverage.missing()]
    return Comparison(
        installed(before),
        installed(after),
        tuple(each for each in found if each.change is not Change.KEPT),
        asked,
        tuple(gaps),
        (before.coverage.origin, after.coverage.origin),
    )
