"""The drain of all nodes, one batch after the other, as the pools update them.

A node is empty after its update, so VMs of later nodes can move there. VMs that a drain stops free
their resources. VMs that restart are placed after those that migrate. A batch finishes before the
next one starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.eviction import Eviction, EvictionOutcome
from rbacguard.readiness.scheduling import Cluster, Placement


class Rollout(Struct, frozen=True):
    """The drain of all nodes in order.

    Attributes:
        batches: the nodes that are drained at the same time, in order.
        drained: how many batches complete.
        blocked_at: the batch that does not complete; empty if all complete.
        blockers: what blocks this batch, one line each.
        unavailable: VMs that cannot start again, or only after a node is back, one line each. A
            drain does not wait for them.
        unknown: incomplete input that decides, one line each.
    """

    batches: tuple[tuple[str, ...], ...]
    drained: int
    blocked_at: tuple[str, ...]
    blockers: tuple[str, ...]
    unavailable: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def completes(self) -> bool | None:
        """Whether all nodes are drained; None if unknown."""
        if self.blockers:
            return False
        return None if self.unknown else True


def simulate_rollout(
    cluster: Cluster,
    batches: tuple[tuple[str, ...], ...],
    evictions: Iterable[Eviction],
    gaps: Iterable[str],
) -> Rollout:
    """Drain one batch after the other until a batch does not complete.

    Args:
        cluster: the cluster; it does not change.
        batches: the nodes that are drained at the same time, in order.
        evictions: all VMIs.
        gaps: the incomplete kinds of the input.
    """
    simulation = _RolloutSimulation(cluster.copy(), evictions, gaps)
    drained = 0
    blocked_at: tuple[str, ...] = ()
    for batch in batches:
        simulation.drain(batch)
        if simulation.blockers:
            blocked_at = batch
            break
        drained += 1
    return Rollout(
        batches,
        drained,
        blocked_at,
        tuple(simulation.blockers),
        tuple(simulation.unavailable.values()),
        tuple(simulation.unknown),
    )


class _RolloutSimulation:
    """The nodes of the VMIs during a rollout, and the problems found so far."""

    def __init__(
        self, cluster: Cluster, evictions: Iterable[Eviction], gaps: Iterable[str]
    ) -> None:
        self._cluster = cluster
        self._outcomes: dict[ObjectKey, EvictionOutcome] = {}
        self._vmis: dict[str, list[ObjectKey]] = {}
        for eviction in evictions:
            if eviction.node:
                self._outcomes[eviction.key] = eviction.outcome
                self._vmis.setdefault(eviction.node, []).append(eviction.key)
        self.blockers: list[str] = []
        self.unavailable: dict[ObjectKey, str] = {}
        self.unknown = list(gaps)

    def drain(self, nodes: Sequence[str]) -> None:
        """Drain these nodes at the same time, and uncordon them."""
        self._cluster.cordon(nodes)
        leaving = [(key, node) for node in nodes for key in self._vmis.pop(node, ())]
        # A drain waits for migrations, so they are placed first, the largest VMI before others.
        leaving.sort(
            key=lambda each: (
                self._outcomes[each[0]] is EvictionOutcome.RESTARTS,
                -self._cluster.memory(each[0]),
                each[0],
            )
        )
        waiting = [
            (key, name)
            for key, node in leaving
            if not self._evict(key, node, name := f"{key.namespace}/{key.name} on {node}")
        ]
        self._cluster.cordon(())
        for key, name in waiting:
            starts = self._is_placed(name, self._cluster.place(key, restart=True))
            problem = "starts again only after a node is back" if starts else "cannot start again"
            self.unavailable[key] = f"{name} {problem}"

    def _evict(self, key: ObjectKey, node: str, name: str) -> bool:
        """Evict a VMI; False if it restarts and no node can run it yet."""
        match self._outcomes[key]:
            case EvictionOutcome.BLOCKED:
                self.blockers.append(f"{name} blocks the drain")
            case EvictionOutcome.STOPS:
                self._cluster.evict(key, node)
            case EvictionOutcome.LIVE_MIGRATES:
                if self._is_placed(name, self._cluster.place(key, node)):
                    self._cluster.evict(key, node)
                else:
                    self.blockers.append(f"{name} has no target node")
            case EvictionOutcome.RESTARTS:
                self._cluster.evict(key, node)
                return self._is_placed(name, self._cluster.place(key, restart=True))
            case EvictionOutcome.EXTERNAL:
                self.unknown.append(f"{name}: an external controller handles the eviction")
            case EvictionOutcome.UNKNOWN:
                self.unknown.append(f"{name}: the result of an eviction is unknown")
        return True

    def _is_placed(self, name: str, placement: Placement) -> bool:
        """Record the target of a VMI; False if no node can run it."""
        if placement.target:
            self._vmis.setdefault(placement.target, []).append(placement.key)
        elif placement.unknown:
            self.unknown.append(f"{name}: {placement.unknown}")
        return not placement.is_unschedulable
