"""The difference between two dumps of a cluster."""

from __future__ import annotations

from msgspec import Struct

from rbacguard.kubevirt.access import Transition, differences, in_order
from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.permissions import Action, permissions
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import Origin

_COMPARED = ("live-migration", "evacuation-cancel")


class Comparison(Struct, frozen=True):
    """What differs between two states, and what was not read of either."""

    before: Installed
    after: Installed
    changes: tuple[Transition, ...]
    asked: tuple[Action, ...]
    gaps: tuple[str, ...]
    origins: tuple[Origin | None, Origin | None]


def compare(before: Snapshot, after: Snapshot) -> Comparison:
    """Compare who holds migration, and who may cancel evacuations."""
    asked = in_order(action for name in _COMPARED for action in permissions()[name].actions)
    gaps = [f"before: {gap}" for gap in before.coverage.gaps()]
    gaps += [f"after: {gap}" for gap in after.coverage.gaps()]
    return Comparison(
        installed(before),
        installed(after),
        differences(before, after, asked),
        asked,
        tuple(gaps),
        (before.coverage.origin, after.coverage.origin),
    )
