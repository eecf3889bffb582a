"""Assessments of objects for tests."""

from __future__ import annotations

from typing import Any

from workload_objects import kubevirt, node

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.assessment import Readiness, assess
from rbacguard.readiness.eviction import Eviction, EvictionOutcome
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.rollout import Rollout
from rbacguard.readiness.scheduling import Cluster, Placement
from rbacguard.sources import from_objects

Object = dict[str, Any]
Objects = Object | list[Object]
TWO = [node("a"), node("b")]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
"""Field of the required part of an affinity."""


def flat(*objects: Objects) -> list[Object]:
    """Return objects and lists of objects as one list."""
    return [item for each in objects for item in (each if isinstance(each, list) else [each])]


def bare_inventory(*objects: Objects) -> Inventory:
    """Return an inventory of objects."""
    return Inventory(from_objects(flat(*objects), workloads=True))


def inventory(*objects: Objects, setting: Object | None = None) -> Inventory:
    """Return an inventory of objects and a KubeVirt resource."""
    return bare_inventory(setting or kubevirt(), *objects)


def assessed(*objects: Objects, setting: Object | None = None) -> Readiness:
    """Return the assessment of objects and a KubeVirt resource."""
    return assess(inventory(*objects, setting=setting))


def rollout(*objects: Objects) -> Rollout:
    """Return the rollout of objects and a KubeVirt resource."""
    return assessed(*objects).rollout


def scheduler(*objects: Objects) -> Cluster:
    """Return a cluster to simulate migrations in."""
    return Cluster(inventory(*objects))


def key(name: str, namespace: str = "web") -> ObjectKey:
    """Return the identity of a VMI."""
    return ObjectKey("VirtualMachineInstance", namespace, name)


def without(objects: list[Object], kind: str) -> list[Object]:
    """Return the objects that are not of a kind."""
    return [each for each in objects if each["kind"] != kind]


def eviction(readiness: Readiness, name: str = "vm") -> Eviction:
    """Return the eviction of a VMI."""
    (found,) = [each for each in readiness.evictions if each.key.name == name]
    return found


def outcome(readiness: Readiness, name: str = "vm") -> tuple[EvictionOutcome, list[str]]:
    """Return the result of the eviction of a VMI, and the reasons."""
    found = eviction(readiness, name)
    return found.outcome, [each.reason for each in found.reasons]


def placement(readiness: Readiness, name: str = "vm") -> Placement:
    """Return the target of a VMI when its node is drained."""
    return readiness.placements[key(name)]


def node_affinity(**term: Any) -> Object:
    """Return a required node affinity with one term."""
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}
