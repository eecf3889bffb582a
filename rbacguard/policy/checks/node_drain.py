"""Nodes: whether their drain completes, and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.policy.checks.base import (
    Context,
    Fact,
    FactType,
    ReadinessCheck,
    Workloads,
    answer,
    key_fields,
)
from rbacguard.rbac import ObjectKey
from rbacguard.readiness.duration import round_up


class NodeDrainCheck(ReadinessCheck, frozen=True, tag="node-drain"):
    """One fact for each node with VMIs."""

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
        "vmis": FactType.INT,
        "blocked": FactType.LIST,
        "unschedulable": FactType.LIST,
        "seconds": FactType.INT,
    }

    def facts(self, workloads: Workloads, context: Context) -> Iterator[Fact]:  # noqa: ARG002
        """Yield one fact for each node with VMIs."""
        for drain in workloads.readiness.drains:
            node = workloads.inventory.nodes.get(drain.node)
            pool = workloads.inventory.pools.get(drain.pool)
            key = ObjectKey("Node", "", drain.node)
            yield Fact(
                fields={
                    "node": key_fields(key),
                    "pool": drain.pool,
                    "pool_paused": bool(pool and pool.spec.paused),
                    "os_image": node.status.node_info.os_image if node else "",
                    "completes": answer(drain.completes),
                    "vmis": len(drain.evictions),
                    "blocked": [f"{vmi.namespace}/{vmi.name}" for vmi in drain.blocked],
                    "unschedulable": [f"{vmi.namespace}/{vmi.name}" for vmi in drain.unschedulable],
                    "seconds": -1 if drain.seconds is None else round_up(drain.seconds),
                },
                group=drain.node,
                objects=(key,),
            )
