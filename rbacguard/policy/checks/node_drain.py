"""Nodes: whether their drain completes, and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.policy.checks.base import (
    Context,
    Fact,
    FactType,
    MachineCheck,
    Machines,
    answer,
    key_fields,
)
from rbacguard.rbac import ObjectKey
from rbacguard.readiness.duration import rounded_up


class NodeDrainCheck(MachineCheck, frozen=True, tag="node-drain"):
    """One fact for each node with machines."""

    NEEDS: ClassVar[tuple[str, ...]] = (
        *("VirtualMachineInstance", "Node", "Pod", "KubeVirt"),
        *("MachineConfigPool", "MigrationPolicy", "Namespace"),
    )
    FACTS: ClassVar[Mapping[str, FactType]] = {
        "node": FactType.MAP,
        "pool": FactType.STRING,
        "pool_paused": FactType.BOOL,
        "os_image": FactType.STRING,
        "completes": FactType.STRING,
        "machines": FactType.INT,
        "stuck": FactType.LIST,
        "homeless": FactType.LIST,
        "seconds": FactType.INT,
    }

    def look(self, machines: Machines, context: Context) -> Iterator[Fact]:  # noqa: ARG002
        """Yield one fact for each node with machines."""
        for each in machines.readiness.drains:
            node = machines.inventory.nodes.get(each.node)
            info = node.status.node_info if node else None
            pool = machines.inventory.pools.get(each.pool)
            stuck = [m.key for m in each.machines if m.drain.value == "blocks"]
            homeless = [p.key for p in each.places if not p.target and not p.unknown]
            key = ObjectKey("Node", "", each.node)
            yield Fact(
                fields={
                    "node": key_fields(key),
                    "pool": each.pool,
                    "pool_paused": bool(pool and pool.spec.paused),
                    "os_image": info.os_image if info else "",
                    "completes": answer(each.completes),
                    "machines": len(each.machines),
                    "stuck": [f"{key.namespace}/{key.name}" for key in stuck],
                    "homeless": [f"{key.namespace}/{key.name}" for key in homeless],
                    "seconds": -1 if each.seconds is None else rounded_up(each.seconds),
                },
                group=each.node,
                objects=(key,),
            )
