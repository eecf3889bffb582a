"""Nodes: whether their drain completes, and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.policy.checks.base import ReadinessCheck
from rbacguard.policy.context import Context, Workloads
from rbacguard.policy.facts import FactClass, NodeDrainFact, object_map, yes_no_unknown
from rbacguard.rbac import ObjectKey
from rbacguard.readiness.duration import round_up


class NodeDrainCheck(ReadinessCheck, frozen=True, tag="node-drain"):
    """One fact for each node with VMIs."""

    NEEDS: ClassVar[tuple[str, ...]] = (
        *("VirtualMachineInstance", "Node", "Pod", "KubeVirt"),
        *("MachineConfigPool", "MigrationPolicy", "Namespace"),
    )
    FACT: ClassVar[FactClass] = NodeDrainFact

    def facts(self, workloads: Workloads, context: Context) -> Iterator[NodeDrainFact]:  # noqa: ARG002
        """Yield one fact for each node with VMIs."""
        for drain in workloads.readiness.drains:
            node = workloads.inventory.nodes.get(drain.node)
            pool = workloads.inventory.pools.get(drain.pool)
            key = ObjectKey("Node", "", drain.node)
            yield NodeDrainFact(
                node=object_map(key),
                pool=drain.pool,
                pool_paused=bool(pool and pool.spec.paused),
                os_image=node.status.node_info.os_image if node else "",
                completes=yes_no_unknown(drain.completes),
                vmis=len(drain.evictions),
                blocked=[f"{vmi.namespace}/{vmi.name}" for vmi in drain.blocked],
                unschedulable=[f"{vmi.namespace}/{vmi.name}" for vmi in drain.unschedulable],
                seconds=-1 if drain.seconds is None else round_up(drain.seconds),
                group_key=drain.node,
                objects=(key,),
            )
