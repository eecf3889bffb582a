"""The assessment of a cluster: whether node drains can complete."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.drain import NodeDrain, drain_node
from rbacguard.readiness.duration import Duration, migration_duration
from rbacguard.readiness.eviction import Eviction, evictions
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.pools import pool_of, update_batches
from rbacguard.readiness.rollout import Rollout, simulate_rollout
from rbacguard.readiness.scheduling import Cluster, Placement
from rbacguard.readiness.settings import (
    Settings,
    cluster_settings,
    effective_settings,
    migration_policy,
    outbound_limit,
)
from rbacguard.readiness.spare_memory import SpareMemory, spare_memory
from rbacguard.readiness.volumes import Claim, claims

REQUIRED_KINDS = ("VirtualMachineInstance", "Node", "Pod", "KubeVirt")
"""If one of these kinds was not read completely, no drain is known to complete."""
OPTIONAL_KINDS = (
    "VirtualMachine",
    "MachineConfigPool",
    "MigrationPolicy",
    "Namespace",
    "PersistentVolumeClaim",
    "StorageClass",
    "StorageProfile",
    "NetworkAttachmentDefinition",
)
"""If one of these kinds was not read completely, some details are unknown."""


class Readiness(Struct, frozen=True):
    """Whether node drains can complete.

    Attributes:
        evictions: all VMIs.
        drains: all nodes with VMIs, each drained separately.
        rollout: all nodes drained in order.
        memory: the documented memory requirement.
        settings: the settings of live migration of the cluster.
        policies: the MigrationPolicy of each VMI that has one.
        effective: the effective settings of each VMI.
        durations: the duration of the migration of each VMI.
        claims: the PersistentVolumeClaims of VMIs.
        gaps: the incomplete kinds of the input.
    """

    evictions: tuple[Eviction, ...]
    drains: tuple[NodeDrain, ...]
    rollout: Rollout
    memory: SpareMemory
    settings: Settings
    policies: Mapping[ObjectKey, str]
    effective: Mapping[ObjectKey, Settings]
    durations: Mapping[ObjectKey, Duration]
    claims: tuple[Claim, ...]
    gaps: tuple[str, ...]

    @property
    def is_ready(self) -> bool | None:
        """Whether every drain completes; None if unknown."""
        completes = {self.rollout.completes, *(drain.completes for drain in self.drains)}
        if False in completes:
            return False
        return None if None in completes or self.gaps else True

    @property
    def placements(self) -> Mapping[ObjectKey, Placement]:
        """The target of each VMI that migrates when its node is drained separately."""
        return {place.key: place for drain in self.drains for place in drain.placements}


def assess(inventory: Inventory, bandwidth: Decimal | None = None) -> Readiness:
    """Assess all VMIs and nodes.

    Args:
        inventory: the objects of the cluster.
        bandwidth: bandwidth of the migration network of a node in bytes per second, if known.
    """
    settings = cluster_settings(inventory)
    by_policy = {
        name: effective_settings(settings, policy)
        for name, policy in inventory.migration_policies.items()
    }
    policies: dict[ObjectKey, str] = {}
    effective: dict[ObjectKey, Settings] = {}
    for key, vmi in inventory.vmis.items():
        policy = migration_policy(vmi, inventory)
        effective[key] = settings
        if policy is not None:
            policies[key] = policy.metadata.name
            effective[key] = by_policy[policy.metadata.name]
    durations = {
        key: migration_duration(vmi, effective[key], bandwidth)
        for key, vmi in inventory.vmis.items()
    }
    found = evictions(inventory)
    by_node: dict[str, list[Eviction]] = {}
    for eviction in found:
        if eviction.node:
            by_node.setdefault(eviction.node, []).append(eviction)
    cluster, parallel = Cluster(inventory), outbound_limit(settings)
    drains = []
    for name, here in sorted(by_node.items()):
        node = inventory.nodes.get(name)
        pool = pool_of(inventory, node) if node else ""
        drains.append(drain_node(cluster, name, pool, here, durations, parallel))
    gaps = inventory.coverage.missing(REQUIRED_KINDS)
    return Readiness(
        evictions=found,
        drains=tuple(drains),
        rollout=simulate_rollout(cluster, update_batches(inventory), found, gaps),
        memory=spare_memory(inventory, cluster, by_node),
        settings=settings,
        policies=policies,
        effective=effective,
        durations=durations,
        claims=claims(inventory),
        gaps=gaps,
    )
