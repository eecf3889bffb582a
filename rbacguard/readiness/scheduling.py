"""The nodes to which VMs can migrate, as kube-scheduler selects them.

Evaluated are resource requests, node selectors and affinity, taints, pod affinity and
anti-affinity, and the CPU labels that KubeVirt requires of the target of a host-model VMI. Scores,
topology spread constraints, quotas, and priorities are not evaluated.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import copy
from decimal import Decimal

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.affinity import AffinityState, PodAffinities
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.node_filters import (
    CPU_FEATURE,
    CPU_MODEL,
    filter_failure,
    host_model_selector,
    is_schedulable,
)
from rbacguard.readiness.overhead import launcher_requests
from rbacguard.readiness.quantity import format_bytes
from rbacguard.readiness.requests import Amounts, amounts, pod_requests
from rbacguard.readiness.vmi import uses_host_model
from rbacguard.snapshot.workloads import Node, Pod

_BYTES = ("memory", "ephemeral-storage", "hugepages-")
_ZERO = Decimal()


class Placement(Struct, frozen=True):
    """The target node of a VMI, or why it has none.

    Attributes:
        key: the VMI.
        source: the node that it leaves.
        target: the target node; '' for none.
        filter_failures: by reason, the number of nodes that cannot run it.
        unknown: why the target is unknown; '' if it is known.
    """

    key: ObjectKey
    source: str
    target: str
    filter_failures: Mapping[str, int] = {}
    unknown: str = ""

    @property
    def is_unschedulable(self) -> bool:
        """Whether no node can run the VMI."""
        return not self.target and not self.unknown


class NodeInfo:
    """A node and the resources that its pods leave free.

    Attributes:
        node: the node.
        host_model: the node selector that its host-model CPU requires of a migration target.
        free: the free resources; None if they are unknown.
    """

    def __init__(self, node: Node) -> None:
        """Return a node without pods."""
        self.node = node
        self.host_model = host_model_selector(node)
        self.free: Amounts | None = None
        with suppress(ValueError):
            self.free = amounts(node.status.allocatable)

    @property
    def free_memory(self) -> Decimal:
        """The free memory in bytes; 0 if unknown."""
        return (self.free or {}).get("memory", _ZERO)

    def copy(self) -> NodeInfo:
        """Return a copy with resources of its own."""
        made = copy(self)
        made.free = None if self.free is None else dict(self.free)
        return made

    def add_pod(self, requests: Amounts | None) -> None:
        """Subtract the requests of a pod; None if they are unknown."""
        if self.free is None or requests is None:
            self.free = None
            return
        for name, size in (*requests.items(), ("pods", Decimal(1))):
            self.free[name] = self.free.get(name, _ZERO) - size

    def remove_pod(self, requests: Amounts) -> None:
        """Add the requests of a pod that was on the node."""
        if self.free is not None:
            for name, size in (*requests.items(), ("pods", Decimal(1))):
                self.free[name] += size

    def insufficient_resource(self, requests: Amounts) -> str:
        """Return a resource that is insufficient for these requests, '' if there is none."""
        free = self.free or {}
        for name, size in requests.items():
            if size > free.get(name, _ZERO):
                return name
        return "pods" if free.get("pods", _ZERO) < 1 else ""


class Cluster:
    """Nodes with their pods, to simulate migrations."""

    def __init__(self, inventory: Inventory) -> None:
        """Assign each pod to its node.

        A VMI whose virt-launcher pod was not read has the minimum requests of such a pod.
        """
        self._inventory = inventory
        self._affinities = PodAffinities(inventory)
        self._node_failures: dict[object, Mapping[str, str]] = {}
        self._nodes = {name: NodeInfo(node) for name, node in inventory.nodes.items()}
        self._labels = {name: node.metadata.labels for name, node in inventory.nodes.items()}
        self._locations: dict[int, tuple[str, ...]] = {}
        self._cordoned: frozenset[str] = frozenset()
        # A host-model VMI that restarted has the CPU of the node where it started again.
        self._restarted_on: dict[ObjectKey, str] = {}
        self._requests: dict[ObjectKey, Amounts | None] = {}
        by_pod = {id(pod): pod_requests(pod) for pod in inventory.pods}
        for pod in inventory.pods:
            node = pod.spec.node_name
            if node in self._nodes:
                self._nodes[node].add_pod(by_pod[id(pod)])
                self._locations[id(pod)] = (node,)
        release = inventory.release
        for key, vmi in inventory.vmis.items():
            launcher = inventory.launchers.get(key)
            if launcher is not None:
                self._requests[key] = by_pod[id(launcher)]
                continue
            self._requests[key] = launcher_requests(vmi, inventory.kubevirt, release)
            if vmi.status.node_name in self._nodes:
                self._nodes[vmi.status.node_name].add_pod(self._requests[key])
        self._by_free_memory = sorted(
            (info.free_memory, name) for name, info in self._nodes.items() if info.free is not None
        )

    def copy(self) -> Cluster:
        """Return a copy to simulate migrations in, without cordoned nodes."""
        made: Cluster = copy(self)
        made._nodes = {name: info.copy() for name, info in self._nodes.items()}
        made._by_free_memory = list(self._by_free_memory)
        made._locations = dict(self._locations)
        made._restarted_on = dict(self._restarted_on)
        made._cordoned = frozenset()
        return made

    def cordon(self, nodes: Iterable[str]) -> None:
        """Cordon these nodes, and uncordon all others."""
        self._cordoned = frozenset(nodes)

    def is_estimated(self, key: ObjectKey) -> bool:
        """Whether the requests of a VMI are a minimum, as its pod was not read."""
        return key not in self._inventory.launchers

    def requests(self, key: ObjectKey) -> Amounts | None:
        """Return the requests of the virt-launcher pod of a VMI; None if unknown."""
        return self._requests[key]

    def memory(self, key: ObjectKey) -> Decimal:
        """Return the memory request of a VMI in bytes; 0 if unknown."""
        return (self._requests[key] or {}).get("memory", _ZERO)

    def free(self, resource: str) -> Decimal | None:
        """Return how much of a resource is free on all schedulable nodes; None if unknown."""
        total = _ZERO
        for name, info in self._nodes.items():
            if name not in self._cordoned and is_schedulable(info.node):
                if info.free is None:
                    return None
                total += info.free.get(resource, _ZERO)
        return total

    def evict(self, key: ObjectKey, node: str) -> None:
        """Remove a VMI from a node that it has left.

        If its virt-launcher pod was not read, its estimated requests stay on the node.
        """
        pod, requests = self._inventory.launchers.get(key), self._requests[key]
        if pod is None:
            return
        if node in self._nodes and requests is not None:
            self._update(self._nodes[node], requests, NodeInfo.remove_pod)
        locations = self._locations.get(id(pod), ())
        self._locations[id(pod)] = tuple(each for each in locations if each != node)

    def place(self, key: ObjectKey, source: str = "", *, restart: bool = False) -> Placement:
        """Start a VMI on the node with the least free memory that can run it.

        A migrating VMI also stays on its source node until it is evicted there.

        Args:
            key: the VMI.
            source: the node that it leaves; by default the node where it runs.
            restart: whether the VMI was stopped and starts again. Then it can start on the source
                node, and a host-model VMI can start with any CPU.
        """
        source = source or self._inventory.vmis[key].status.node_name
        pod, requests = self._inventory.launchers.get(key), self._requests[key]
        if pod is None:
            return Placement(key, source, "", unknown="the virt-launcher pod was not read")
        if requests is None:
            return Placement(key, source, "", unknown="the resource requests cannot be parsed")
        selector = self._node_selector(key, pod, restart=restart)
        if isinstance(selector, str):
            return Placement(key, source, "", unknown=selector)
        failures = self._static_failures(pod, selector)
        affinity = self._affinities.state(pod, self._locations, self._labels)
        excluded = self._cordoned if restart else self._cordoned | {source}
        memory = requests.get("memory", _ZERO)
        for _, name in self._by_free_memory[bisect_left(self._by_free_memory, (memory, "")) :]:
            info = self._nodes[name]
            if name in excluded or failures[name] or info.insufficient_resource(requests):
                continue
            if not affinity.violation(self._labels[name]):
                self._update(info, requests, NodeInfo.add_pod)
                self._locations[id(pod)] = (*self._locations.get(id(pod), ()), name)
                if restart:
                    self._restarted_on[key] = name
                return Placement(key, source, name)
        counts = self._filter_failures(failures, requests, affinity, excluded)
        return Placement(key, source, "", dict(sorted(counts.items())))

    def _update(
        self, info: NodeInfo, requests: Amounts, change: Callable[[NodeInfo, Amounts], None]
    ) -> None:
        """Add or remove a pod. Sorting all nodes again would double the time of an assessment."""
        name = info.node.metadata.name
        if info.free is not None:
            del self._by_free_memory[bisect_left(self._by_free_memory, (info.free_memory, name))]
            change(info, requests)
            insort(self._by_free_memory, (info.free_memory, name))

    def _filter_failures(
        self,
        failures: Mapping[str, str],
        requests: Amounts,
        affinity: AffinityState,
        excluded: frozenset[str],
    ) -> Mapping[str, int]:
        """Return by reason the number of nodes that cannot run a pod."""
        counts: Counter[str] = Counter()
        insufficient: Counter[str] = Counter()
        for name, info in self._nodes.items():
            if name in excluded:
                continue
            if failures[name] or info.free is None:
                counts[failures[name] or "node(s) had requests that cannot be parsed"] += 1
            elif resource := info.insufficient_resource(requests):
                insufficient[resource] += 1
            else:
                counts[affinity.violation(self._labels[name])] += 1
        for resource, count in insufficient.items():
            counts[_insufficient(resource, requests)] = count
        return counts

    def _static_failures(self, pod: Pod, selector: Mapping[str, str]) -> Mapping[str, str]:
        """Return by node why it cannot run a pod, whatever pods it has; '' if it can."""
        affinity, tolerations = pod.spec.affinity.node_affinity, pod.spec.tolerations
        key = (frozenset(selector.items()), tolerations, affinity)
        if key not in self._node_failures:
            self._node_failures[key] = {
                name: filter_failure(info.node, pod, selector) for name, info in self._nodes.items()
            }
        return self._node_failures[key]

    def _node_selector(self, key: ObjectKey, pod: Pod, *, restart: bool) -> Mapping[str, str] | str:
        """Return the node selector of the target pod of a VMI, or why it is unknown."""
        vmi, selector = self._inventory.vmis[key], pod.spec.node_selector
        if not uses_host_model(vmi):
            return selector
        own = {
            label: value
            for label, value in selector.items()
            if not label.startswith((CPU_FEATURE, CPU_MODEL))
        }
        if restart:
            # The new pod does not have the labels that a migration added.
            return own
        started_on = self._restarted_on.get(key)
        if not started_on and own != selector:
            # A VMI that migrated before requires the CPU of its first node.
            return selector
        node = started_on or vmi.status.node_name
        info = self._nodes.get(node)
        if info is None or not info.host_model:
            return f"node {node} does not report its host-model CPU"
        return {**own, **info.host_model}


def _insufficient(resource: str, requests: Amounts) -> str:
    """Return the reason of kube-scheduler for an insufficient resource."""
    if resource == "pods" and resource not in requests:
        return "Too many pods"
    size = requests[resource]
    text = format_bytes(size) if resource.startswith(_BYTES) else f"{size.normalize():f}"
    return f"Insufficient {resource} ({text} requested)"
