"""Where a machine's pod can go when its node is drained, as the scheduler would look at it.

Only what must hold: requests, node selectors and affinity, taints, pod affinity and anti-affinity,
and the CPU labels that KubeVirt asks of the target of a host-model machine (kubevirt/kubevirt v1.9
pkg/virt-controller/watch/migration/migration.go, prepareNodeSelectorForHostCpuModel). Scores,
topology spread, quotas and priorities are not looked at.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from decimal import Decimal

import msgspec
from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness import overhead
from rbacguard.readiness.affinity import Affinities, Neighbours, Places, holds
from rbacguard.readiness.eviction import wants_host_model
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import amount, shown
from rbacguard.readiness.settings import release
from rbacguard.snapshot.workloads import (
    Container,
    Node,
    NodeSelectorTerm,
    Pod,
    Toleration,
    VirtualMachineInstance,
)

SCHEDULABLE = "kubevirt.io/schedulable"
"""Set to "true" by virt-handler on nodes where machines can run."""
_HOST_MODEL = "host-model-cpu.node.kubevirt.io/"
_REQUIRED_FEATURES = "host-model-required-features.node.kubevirt.io/"
_MIGRATION_MODEL = "cpu-model-migration.node.kubevirt.io/"
_FEATURE = "cpu-feature.node.kubevirt.io/"
_FOR_THE_POD = ("cpu", "memory", "hugepages-")
"""Resources that can be asked for a pod as a whole."""
_IN_BYTES = ("memory", "ephemeral-storage", "hugepages-")
_KEEPS_OFF = ("NoSchedule", "NoExecute")
Amounts = dict[str, Decimal]


class Place(Struct, frozen=True):
    """Where a machine goes, or why it goes nowhere.

    Attributes:
        key: which machine.
        source: the node that it leaves.
        target: the node that it goes to; '' for none.
        refusals: by reason, how many nodes refuse it for that.
        unknown: what is not known and decides.
    """

    key: ObjectKey
    source: str
    target: str
    refusals: Mapping[str, int] = {}
    unknown: str = ""


def requests(pod: Pod) -> Amounts | None:
    """Return what a pod asks for, None where an amount cannot be read.

    The sum of its containers or the most that its init containers take, whichever is more; those
    that keep running beside the others count for all that come after them. What is asked for the
    pod as a whole stands for that; its overhead comes on top (kubernetes v1.36
    component-helpers/resource/helpers.go, PodRequests).
    """
    try:
        found = _sum(_asked(each) for each in pod.spec.containers)
        beside: Amounts = {}
        most: Amounts = {}
        for each in pod.spec.init_containers or ():
            own = _sum((beside, _asked(each)))
            if each.restart_policy == "Always":
                beside = own
            for name, size in own.items():
                most[name] = max(most.get(name, size), size)
        found = _sum((found, beside))
        for name, size in most.items():
            found[name] = max(found.get(name, size), size)
        whole = _amounts(pod.spec.resources.requests) if pod.spec.resources else {}
        found |= {n: size for n, size in whole.items() if n.startswith(_FOR_THE_POD)}
        return _sum((found, _amounts(pod.spec.overhead)))
    except ValueError:
        return None


def _asked(container: Container) -> Amounts:
    resources = container.resources
    return _amounts(resources.requests if resources else None)


def _amounts(written: Mapping[str, object] | None) -> Amounts:
    found = {}
    for name, value in (written or {}).items():
        size = amount(value)
        if size is None:
            raise ValueError(name)
        found[name] = size
    return found


def _sum(parts: Iterable[Amounts]) -> Amounts:
    rest = iter(parts)
    found: Amounts = dict(next(rest, {}))
    for part in rest:
        for name, size in part.items():
            found[name] = found.get(name, Decimal()) + size
    return found


class _Space:
    """A node with the pods on it."""

    def __init__(self, node: Node, free: Amounts | None) -> None:
        self.node = node
        self.labels = node.metadata.labels or {}
        self.cpu = _host_cpu(self.labels)
        self.free = free

    def copy(self) -> _Space:
        """Return another one, on which pods can be put without a trace here."""
        made = copy(self)
        made.free = None if self.free is None else dict(self.free)
        return made

    @property
    def memory(self) -> Decimal:
        """How many bytes of memory are free, as far as that is known."""
        return (self.free or {}).get("memory", Decimal())

    def give_back(self, asked: Amounts) -> None:
        """Add what a pod that was reserved for asks for to what is free."""
        if self.free is not None:
            for name, size in asked.items():
                self.free[name] += size
            self.free["pods"] += 1

    def reserve(self, asked: Amounts | None) -> None:
        """Take what a pod asks for off what is free."""
        if self.free is None or asked is None:
            self.free = None
            return
        for name, size in asked.items():
            self.free[name] = self.free.get(name, Decimal()) - size
        self.free["pods"] = self.free.get("pods", Decimal()) - 1


def _host_cpu(labels: Mapping[str, str]) -> dict[str, str]:
    """Return what a node's host-model CPU asks of other nodes; empty where it does not tell."""
    models = [label for label in labels if label.startswith(_HOST_MODEL)]
    if not models:
        return {}
    found = {_MIGRATION_MODEL + models[0].removeprefix(_HOST_MODEL): labels[models[0]]}
    for label, value in labels.items():
        if label.startswith(_REQUIRED_FEATURES):
            found[_FEATURE + label.removeprefix(_REQUIRED_FEATURES)] = value
    return found


def _space(node: Node) -> _Space:
    try:
        return _Space(node, _amounts(node.status.allocatable))
    except ValueError:
        return _Space(node, None)


class Cluster:
    """All nodes with their pods, as they are; machines can be moved in one that is drained.

    Args:
        inventory: what was read.
        spaces: the nodes by name; one that changes is copied first.
        at: where pods are.
        affinities: which pods select which; shared, for that never changes.
        unfit: by what a pod asks of nodes, why each is none for it; shared, for nothing in it
            depends on who is where.
        asked: what each machine's launcher asks for, None where that is not known; shared likewise.
    """

    def __init__(
        self,
        inventory: Inventory,
        spaces: Mapping[str, _Space],
        at: Places,
        affinities: Affinities,
        unfit: dict[tuple[object, ...], dict[str, str]],
        asked: Mapping[ObjectKey, Amounts | None],
    ) -> None:
        """Take nodes as they are."""
        self._inventory, self._spaces = inventory, dict(spaces)
        self._at, self._affinities = dict(at), affinities
        self._own: set[str] = set()
        self._unfit, self._asked = unfit, asked
        self._labels = {name: space.labels for name, space in self._spaces.items()}
        self._closed: frozenset[str] = frozenset()
        # Where machines were started again: a host-model machine has that CPU from then on.
        self._started: dict[ObjectKey, str] = {}
        # By free memory, so that the node where the least is left is found without looking at all.
        self._tightest = sorted((s.memory, name) for name, s in spaces.items() if s.free)

    @classmethod
    def of(cls, inventory: Inventory) -> Cluster:
        """Put every pod on its node; what stands for a launcher that was not read is taken off."""
        spaces = {name: _space(node) for name, node in inventory.nodes.items()}
        # Launchers are among the pods, so that each is worked out once.
        of_pods = {id(pod): requests(pod) for pod in inventory.pods}
        at = {}
        for pod in inventory.pods:
            node = pod.spec.node_name
            if node in spaces:
                spaces[node].reserve(of_pods[id(pod)])
                at[id(pod)] = (node,)
        asked: dict[ObjectKey, Amounts | None] = {}
        now = release(inventory)
        for key, machine in inventory.machines.items():
            launcher = inventory.launchers.get((key.namespace, key.name))
            if launcher is not None:
                asked[key] = of_pods[id(launcher)]
                continue
            asked[key] = overhead.requests(machine, inventory.kubevirt, now)
            if machine.status.node_name in spaces:
                spaces[machine.status.node_name].reserve(asked[key])
        return cls(inventory, spaces, at, Affinities(inventory), {}, asked)

    def copy(self) -> Cluster:
        """Return the same cluster, all nodes open, to move machines in without a trace here."""
        shared = self._affinities, self._unfit, self._asked
        return Cluster(self._inventory, self._spaces, self._at, *shared)

    def _writable(self, node: str) -> _Space:
        """Return a node of this cluster's own."""
        if node not in self._own:
            self._own.add(node)
            self._spaces[node] = self._spaces[node].copy()
        return self._spaces[node]

    def close(self, nodes: Iterable[str]) -> None:
        """Let these nodes take no pod, and all others again."""
        self._closed = frozenset(nodes)

    def estimated(self, key: ObjectKey) -> bool:
        """Whether a machine's launcher was not read, so that what it asks for is the least."""
        return (key.namespace, key.name) not in self._inventory.launchers

    def asked(self, key: ObjectKey) -> Amounts | None:
        """Return what a machine's launcher asks for; None where that is not known."""
        return self._asked[key]

    def _put(self, node: str, pod: Pod, asked: Amounts | None) -> None:
        space = self._writable(node)
        before = space.memory, node
        space.reserve(asked)
        self._at[id(pod)] = (*self._at.get(id(pod), ()), node)
        self._sort_in(before, space)

    def leave(self, key: ObjectKey, node: str) -> None:
        """Take a machine off the node that it has left: it was moved, or stopped."""
        pod, asked = self._inventory.launchers.get((key.namespace, key.name)), self.asked(key)
        if pod is None:
            # What stands for it stays: less is free than may be.
            return
        if node in self._spaces and asked is not None:
            space = self._writable(node)
            before = space.memory, node
            space.give_back(asked)
            self._sort_in(before, space)
        self._at[id(pod)] = tuple(each for each in self._at.get(id(pod), ()) if each != node)

    def _sort_in(self, before: tuple[Decimal, str], space: _Space) -> None:
        place = bisect_left(self._tightest, before)
        if place < len(self._tightest) and self._tightest[place] == before:
            del self._tightest[place]
        if space.free:
            insort(self._tightest, (space.memory, before[1]))

    def free(self, resource: str) -> Decimal | None:
        """Return how much of a resource is free on nodes that take machines; None if not known."""
        spaces = [s for n, s in self._spaces.items() if n not in self._closed and _ready(s.node)]
        if any(space.free is None for space in spaces):
            return None
        return sum(((s.free or {}).get(resource, Decimal()) for s in spaces), Decimal())

    def move(self, key: ObjectKey, source: str = "", *, restart: bool = False) -> Place:
        """Move a machine to the node where it leaves the least memory free, if there is one.

        One that migrates is where it was until it has left; one that starts again has left before.

        Args:
            key: which machine.
            source: the node that it leaves; by default the one where it runs.
            restart: whether it was stopped and starts again, with whatever CPU it meets; also where
                it was, if that node takes it.
        """
        machine = self._inventory.machines[key]
        source = source or machine.status.node_name
        pod = self._inventory.launchers.get((key.namespace, key.name))
        if pod is None:
            return Place(key, source, "", unknown="its virt-launcher pod was not read")
        asked = self.asked(key)
        if asked is None:
            return Place(key, source, "", unknown="its requests cannot be read")
        selectors, unknown = self._target_selectors(key, machine, pod, restart=restart)
        if unknown:
            return Place(key, source, "", unknown=unknown)
        unfit, left = self._static(pod, selectors), "" if restart else source
        neighbours = self._affinities.neighbours(pod, self._at, self._labels)
        enough = bisect_left(self._tightest, (asked.get("memory", Decimal()), ""))
        for _, name in self._tightest[enough:]:
            space = self._spaces[name]
            if name == left or name in self._closed or unfit[name] or _lacking(space, asked):
                continue
            if not neighbours.keep_off(space.labels):
                self._put(name, pod, asked)
                if restart:
                    self._started[key] = name
                return Place(key, source, name)
        refusals = self._refusals(unfit, asked, neighbours, left)
        return Place(key, source, "", dict(sorted(refusals.items())))

    def _refusals(
        self, unfit: Mapping[str, str], asked: Amounts, neighbours: Neighbours, left: str
    ) -> Mapping[str, int]:
        """Return by reason how many nodes refuse a pod that finds no place."""
        found: Counter[str] = Counter()
        small: Counter[str] = Counter()
        for name, space in self._spaces.items():
            if name == left or name in self._closed:
                continue
            if unfit[name] or space.free is None:
                found[unfit[name] or "has requests that cannot be read"] += 1
            elif lacking := _lacking(space, asked):
                small[lacking] += 1
            else:
                found[neighbours.keep_off(space.labels)] += 1
        for name, count in small.items():
            found[f"has too little {name}: {_size(name, asked.get(name, _ONE))} needed"] += count
        return found

    def _static(self, pod: Pod, selectors: Mapping[str, str]) -> dict[str, str]:
        """Return by node why it is none for a pod, whatever else is on it; '' where it is one."""
        affinity, tolerations = pod.spec.affinity, pod.spec.tolerations or ()
        shape = (
            frozenset(selectors.items()),
            tolerations,
            msgspec.json.encode(affinity.node_affinity) if affinity else b"",
        )
        found = self._unfit.get(shape)
        if found is None:
            found = {
                name: _unfit(space.node, pod, selectors) for name, space in self._spaces.items()
            }
            self._unfit[shape] = found
        return found

    def _target_selectors(
        self, key: ObjectKey, machine: VirtualMachineInstance, pod: Pod, *, restart: bool
    ) -> tuple[Mapping[str, str], str]:
        """Return the labels that a target must have, and what is not known about them."""
        selectors = dict(pod.spec.node_selector or {})
        if not wants_host_model(machine):
            return selectors, ""
        of_cpu = [label for label in selectors if label.startswith((_FEATURE, _MIGRATION_MODEL))]
        started = self._started.get(key)
        if restart or started:
            # Its pod is made anew, without what a migration had asked for.
            selectors = {label: selectors[label] for label in selectors if label not in of_cpu}
            if restart:
                return selectors, ""
        elif of_cpu:
            # It has migrated before: the first node's CPU is asked for already.
            return selectors, ""
        node = started or machine.status.node_name
        source = self._spaces.get(node)
        if not source or not source.cpu:
            return {}, f"node {node} does not tell its host-model CPU"
        return {**selectors, **source.cpu}, ""


def _unfit(node: Node, pod: Pod, selectors: Mapping[str, str]) -> str:
    """Return why a node is none for a pod, whatever else is on it."""
    if not _ready(node):
        return "takes no machines now"
    labels = node.metadata.labels or {}
    missing = [key for key, value in selectors.items() if labels.get(key) != value]
    if missing:
        return f"lacks label {_most_telling(missing)}"
    if not _affine(pod, node):
        return "is none that its node affinity asks for"
    taint = _untolerated(node, pod.spec.tolerations or ())
    return f"has taint {taint}" if taint else ""


_NONE, _ONE = Decimal(), Decimal(1)


def _lacking(space: _Space, asked: Amounts) -> str:
    """Return of what a node has too little, '' where it has enough or does not tell."""
    free = space.free or {}
    for name, size in asked.items():
        if size > free.get(name, _NONE):
            return name
    return "pods" if free.get("pods", _NONE) < 1 else ""


def _size(name: str, size: Decimal) -> str:
    return shown(size) if name.startswith(_IN_BYTES) else f"{size.normalize():f}"


def _most_telling(missing: Sequence[str]) -> str:
    """Return one label of those missing: a CPU's is the news."""
    return min(missing, key=lambda key: (not key.startswith((_MIGRATION_MODEL, _FEATURE)), key))


def _ready(node: Node) -> bool:
    """Whether machines can be put on a node at all."""
    if node.spec.unschedulable or (node.metadata.labels or {}).get(SCHEDULABLE) != "true":
        return False
    ready = {each.type: each.status for each in node.status.conditions or ()}.get("Ready", "True")
    return ready == "True"


def _untolerated(node: Node, tolerations: Sequence[Toleration]) -> str:
    for taint in node.spec.taints or ():
        if taint.effect in _KEEPS_OFF and not any(
            (not each.key or each.key == taint.key)
            and (not each.effect or each.effect == taint.effect)
            and (
                each.operator == "Exists"
                or (each.operator in ("", "Equal") and bool(each.key) and each.value == taint.value)
            )
            for each in tolerations
        ):
            return f"{taint.key}:{taint.effect}"
    return ""


def _affine(pod: Pod, node: Node) -> bool:
    affinity = pod.spec.affinity
    required = affinity.node_affinity.required if affinity and affinity.node_affinity else None
    if required is None:
        return True
    return any(_term_holds(term, node) for term in required.node_selector_terms or ())


def _term_holds(term: NodeSelectorTerm, node: Node) -> bool:
    expressions, fields = term.match_expressions or (), term.match_fields or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": node.metadata.name}
    return all(holds(each, node.metadata.labels or {}) for each in expressions) and all(
        holds(each, names) for each in fields
    )
