"""MachineConfigPools: the pool of each node, and the order in which nodes are updated."""

from __future__ import annotations

from collections.abc import Collection

from rbacguard.rbac.selectors import selector_matches
from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.workloads import Node

_ZONE = "topology.kubernetes.io/zone"


def pool_of(inventory: Inventory, node: Node) -> str:
    """Return the pool of a node, '' if it has none; a custom pool wins over `worker`."""
    names = [
        name
        for name, pool in inventory.pools.items()
        if pool.spec.node_selector is not None
        and selector_matches(pool.spec.node_selector, node.metadata.labels)
    ]
    return min(names, key=lambda name: (name == "worker", name), default="")


def update_batches(inventory: Inventory) -> tuple[tuple[str, ...], ...]:
    """Return the nodes that are drained at the same time, in order, without paused pools.

    A pool updates its nodes by zone, in each zone the oldest node first, maxUnavailable at a time.
    Pools update in parallel (OpenShift documentation, "About the Machine Config Operator").
    """
    members: dict[str, list[tuple[str, str, str]]] = {}
    for name, node in inventory.nodes.items():
        metadata = node.metadata
        rank = (metadata.labels.get(_ZONE, ""), metadata.creation_timestamp, name)
        members.setdefault(pool_of(inventory, node), []).append(rank)
    by_pool = []
    for pool, ranks in sorted(members.items()):
        if pool in inventory.pools and inventory.pools[pool].spec.paused:
            continue
        size = max_unavailable(inventory, pool, len(ranks))
        names = [name for _, _, name in sorted(ranks)]
        by_pool.append([names[start : start + size] for start in range(0, len(names), size)])
    return tuple(
        tuple(
            name for batches in by_pool for batch in batches[number : number + 1] for name in batch
        )
        for number in range(max(map(len, by_pool), default=0))
    )


def parallel_drains(inventory: Inventory, nodes: Collection[str]) -> tuple[int, str]:
    """Return how many nodes drain at the same time, and the source of this number.

    Args:
        inventory: nodes and pools.
        nodes: the nodes with VMs; other pools are not counted.
    """
    members: dict[str, int] = {}
    pools = set()
    for name, node in inventory.nodes.items():
        pool = pool_of(inventory, node)
        members[pool] = members.get(pool, 0) + 1
        if pool and name in nodes:
            pools.add(pool)
    if not pools:
        return 1, "no MachineConfigPool was read; one node at a time is assumed"
    counts = {pool: max_unavailable(inventory, pool, members[pool]) for pool in sorted(pools)}
    text = ", ".join(f"{count} of {pool}" for pool, count in counts.items())
    return sum(counts.values()), f"maxUnavailable of the pools: {text}"


def max_unavailable(inventory: Inventory, pool: str, nodes: int) -> int:
    """Return how many nodes of a pool can be unavailable.

    The default is 1, percentages are rounded down, and the minimum is 1
    (openshift/machine-config-operator pkg/controller/node/node_controller.go, maxUnavailable).

    Args:
        inventory: the pools.
        pool: the name of the pool; 1 if it was not read.
        nodes: the number of nodes in the pool.
    """
    value = inventory.pools[pool].spec.max_unavailable if pool in inventory.pools else None
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit():
        return max(nodes * int(value[:-1]) // 100, 1)
    if isinstance(value, str):
        value = int(value) if value.isdigit() else None
    return max(value or 1, 1)
