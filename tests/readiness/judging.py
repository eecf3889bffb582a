"""How tests judge objects of their own."""

from __future__ import annotations

from typing import Any

from machines import kubevirt, node

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.drain import Readiness, judge
from rbacguard.readiness.eviction import Drain, Machine
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.scheduling import Cluster, Place

Object = dict[str, Any]
TWO = [node("a"), node("b")]


def inventory(*objects: Object | list[Object], setting: Object | None = None) -> Inventory:
    """Read objects, and KubeVirt's resource."""
    flat: list[Object] = [setting or kubevirt()]
    for each in objects:
        flat += each if isinstance(each, list) else [each]
    return Inventory.from_objects(flat)


def judged(*objects: Object | list[Object], setting: Object | None = None) -> Readiness:
    """Judge objects, and KubeVirt's resource."""
    return judge(inventory(*objects, setting=setting))


def placing(*objects: Object | list[Object]) -> Cluster:
    """Put pods on nodes."""
    return Cluster.of(inventory(*objects))


def key(name: str, namespace: str = "web") -> ObjectKey:
    """Return a machine's identity."""
    return ObjectKey("VirtualMachineInstance", namespace, name)


def one(found: Readiness) -> Machine:
    """Return the only machine."""
    (machine,) = found.machines
    return machine


def only(found: Readiness) -> tuple[Drain, list[str]]:
    """Return what a drain does to the only machine, and why."""
    return one(found).drain, [each.reason for each in one(found).remarks]


def place(found: Readiness, name: str = "vm") -> Place:
    """Return where a machine goes when its node is drained."""
    (found_place,) = [p for drain in found.drains for p in drain.places if p.key.name == name]
    return found_place
