"""The documented memory requirement of live migration.

OpenShift documentation, "Live migration requirements": the maximum number of nodes that drain in
parallel, multiplied by the highest total of VM memory requests on a node, must be free. This is a
requirement of capacity. Whether each VM has a target node is a different question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from rbacguard.readiness.eviction import Eviction
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.pools import parallel_drains
from rbacguard.readiness.scheduling import Cluster


class SpareMemory(Struct, frozen=True):
    """The required and the free memory, in bytes.

    Attributes:
        parallel_nodes: how many nodes drain at the same time.
        source: the source of this number.
        highest: the highest total of requests of virt-launcher pods on a node; None if unknown.
        highest_node: that node.
        free: the free memory of all schedulable nodes; None if unknown.
        is_estimated: whether some pods were not read. Then `highest` is a minimum (calculated with
            KubeVirt's formula) and `free` a maximum.
    """

    parallel_nodes: int
    source: str
    highest: Decimal | None
    highest_node: str
    free: Decimal | None
    is_estimated: bool = False

    @property
    def required(self) -> Decimal | None:
        """The required memory; None if unknown."""
        return None if self.highest is None else self.parallel_nodes * self.highest

    @property
    def is_sufficient(self) -> bool | None:
        """Whether the free memory is sufficient; None if unknown."""
        if self.required == 0:
            return True
        if self.required is None or self.free is None:
            return None
        if self.required > self.free:
            return False
        return None if self.is_estimated else True


def spare_memory(
    inventory: Inventory, cluster: Cluster, by_node: Mapping[str, Sequence[Eviction]]
) -> SpareMemory:
    """Return the required and the free memory.

    Args:
        inventory: nodes, pools, and coverage.
        cluster: nodes with their pods.
        by_node: the VMIs of each node.
    """
    highest: Decimal | None = Decimal()
    highest_node = ""
    for node, evictions in sorted(by_node.items()):
        is_unknown = any(cluster.requests(each.key) is None for each in evictions)
        total = sum((cluster.memory(each.key) for each in evictions), Decimal())
        if is_unknown or highest is None:
            highest, highest_node = None, node
        elif total > highest:
            highest, highest_node = total, node
    if inventory.coverage.missing(["VirtualMachineInstance"]):
        highest, highest_node = None, ""
    parallel, source = parallel_drains(inventory, by_node)
    free = cluster.free("memory") if inventory.nodes else None
    is_estimated = bool(inventory.coverage.missing(["Pod"])) or any(
        cluster.is_estimated(each.key) for evictions in by_node.values() for each in evictions
    )
    return SpareMemory(parallel, source, highest, highest_node, free, is_estimated)
