"""The drain of a single node, while all other nodes stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.duration import Duration, drain_duration
from rbacguard.readiness.eviction import Eviction, EvictionOutcome
from rbacguard.readiness.scheduling import Cluster, Placement

_UNDECIDED = (EvictionOutcome.UNKNOWN, EvictionOutcome.EXTERNAL)


class NodeDrain(Struct, frozen=True):
    """The drain of one node.

    Attributes:
        node: its name.
        pool: its MachineConfigPool; '' if it is unknown.
        evictions: the VMIs on the node.
        placements: the targets of the VMIs that migrate.
        completes: whether the drain completes without intervention; None if unknown.
        seconds: the minimum duration of its migrations; None if unknown.
    """

    node: str
    pool: str
    evictions: tuple[Eviction, ...]
    placements: tuple[Placement, ...]
    completes: bool | None
    seconds: Decimal | None

    @property
    def blocked(self) -> tuple[ObjectKey, ...]:
        """The VMIs whose eviction is refused."""
        return tuple(e.key for e in self.evictions if e.outcome is EvictionOutcome.BLOCKED)

    @property
    def unschedulable(self) -> tuple[ObjectKey, ...]:
        """The VMIs that migrate but have no target node."""
        return tuple(each.key for each in self.placements if each.is_unschedulable)


def drain_node(
    cluster: Cluster,
    node: str,
    pool: str,
    evictions: Sequence[Eviction],
    durations: Mapping[ObjectKey, Duration],
    parallel: Decimal,
) -> NodeDrain:
    """Return the drain of a node.

    Args:
        cluster: the cluster; it does not change.
        node: the node.
        pool: its MachineConfigPool.
        evictions: the VMIs on the node.
        durations: how long the migration of each VMI takes.
        parallel: how many migrations can leave the node at the same time.
    """
    cluster = cluster.copy()
    migrating = [e.key for e in evictions if e.outcome is EvictionOutcome.LIVE_MIGRATES]
    # The largest VMI is the hardest to place. VMIs of the same size stay in order of name.
    migrating.sort(key=lambda key: -cluster.memory(key))
    placements = tuple(cluster.place(key) for key in migrating)
    seconds = drain_duration((durations[key] for key in migrating), parallel)
    completes: bool | None = True
    if any(e.outcome in _UNDECIDED for e in evictions) or any(each.unknown for each in placements):
        completes = None
    drain = NodeDrain(node, pool, tuple(evictions), placements, completes, seconds)
    if drain.blocked or drain.unschedulable:
        return replace(drain, completes=False)
    return drain
