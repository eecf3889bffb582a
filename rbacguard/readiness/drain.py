"""Whether each node's drain completes, and where the machines go that move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.duration import Timing, at_once, drain_seconds, timing
from rbacguard.readiness.eviction import Drain, Machine, machines
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.scheduling import Cluster, Place
from rbacguard.readiness.settings import Setting, in_force, policy_of, settings
from rbacguard.readiness.volumes import Claim, claims
from rbacguard.snapshot.workloads import Node

NEEDED = ("VirtualMachineInstance", "Node", "Pod", "KubeVirt")
"""Kinds without which no drain can be said to complete."""
OTHERS = (
    "VirtualMachine",
    "MachineConfigPool",
    "MigrationPolicy",
    "Namespace",
    "PersistentVolumeClaim",
    "StorageClass",
    "StorageProfile",
    "NetworkAttachmentDefinition",
)
"""Kinds without which some answers are not known."""


_ZONE = "topology.kubernetes.io/zone"


class NodeDrain(Struct, frozen=True):
    """What the drain of one node comes to.

    Attributes:
        node: its name.
        pool: its MachineConfigPool; '' where none is known.
        machines: the machines on it.
        places: where those go that migrate.
        completes: whether it ends by itself; None where that is not known.
        seconds: how long its migrations take at least; None where that is not known.
    """

    node: str
    pool: str
    machines: tuple[Machine, ...]
    places: tuple[Place, ...]
    completes: bool | None
    seconds: Decimal | None


class Rollout(Struct, frozen=True):
    """The update of the nodes one after the other, as the pools do it.

    A node comes back empty, so machines move on into what was freed; those that a drain stops free
    what they had, and those that are started again take it elsewhere, after those that migrate.
    What one batch begins ends before the next.

    Attributes:
        order: nodes in the order in which they are drained, those at once together.
        drained: how many of these batches come to their end.
        waits_at: the nodes at which it stops; empty where it does not.
        waits_for: what keeps it there, one line each.
        down: machines that find no place to start again, or none before a node is back, one line
            each; no drain waits for them.
        unknown: what is not known and decides, one line each.
    """

    order: tuple[tuple[str, ...], ...]
    drained: int
    waits_at: tuple[str, ...]
    waits_for: tuple[str, ...]
    down: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def completes(self) -> bool | None:
        """Whether all nodes are drained; None where that is not known."""
        if self.waits_for:
            return False
        return None if self.unknown else True


class SpareMemory(Struct, frozen=True):
    """The documented product against what is free, in bytes.

    OpenShift documentation, 'Live migration requirements': the most nodes that drain in parallel
    times the highest total of VM memory requests on a node. It is about capacity: that each machine
    fits somewhere is another question, which the places answer.

    Attributes:
        parallel: how many nodes drain at once.
        because: what says so.
        highest: the highest total of requests of virt-launcher pods on a node; None if not known.
        highest_node: that node.
        free: what is free on all nodes that take machines; None if not known.
        estimated: whether some pods were not read, so that `highest` is the least that it can be,
            by KubeVirt's formula, and `free` the most.
    """

    parallel: int
    because: str
    highest: Decimal | None
    highest_node: str
    free: Decimal | None
    estimated: bool = False

    @property
    def suffices(self) -> bool | None:
        """Whether it is enough; None where an amount is not known, or not for certain."""
        if self.highest == 0:
            return True
        if self.highest is None or self.free is None:
            return None
        if self.parallel * self.highest > self.free:
            return False
        return None if self.estimated else True


class Readiness(Struct, frozen=True):
    """Whether the machines of a cluster are ready for their nodes to be drained.

    Attributes:
        machines: every machine that has not ended.
        drains: every node with machines, each drained by itself.
        rollout: all nodes drained one after the other.
        memory: spare memory.
        settings: settings of live migration by name.
        policies: the MigrationPolicy of each machine that has one.
        limits: the settings in force for each machine.
        timings: how long the migration of each machine takes.
        claims: the claims of running machines.
        gaps: what was not read.
    """

    machines: tuple[Machine, ...]
    drains: tuple[NodeDrain, ...]
    rollout: Rollout
    memory: SpareMemory
    settings: Mapping[str, Setting]
    policies: Mapping[ObjectKey, str]
    limits: Mapping[ObjectKey, Mapping[str, Setting]]
    timings: Mapping[ObjectKey, Timing]
    claims: tuple[Claim, ...]
    gaps: tuple[str, ...]

    @property
    def ready(self) -> bool | None:
        """Whether every drain completes; None where that is not known, or not all was read."""
        answers = {self.rollout.completes, *(each.completes for each in self.drains)}
        if False in answers:
            return False
        return None if None in answers or self.gaps else True


def judge(inventory: Inventory, link: Decimal | None = None) -> Readiness:
    """Judge every machine and every node.

    Args:
        inventory: what was read.
        link: bytes per second that a node's migration network carries, where somebody knows.
    """
    common = settings(inventory)
    policies = {}
    for key, machine in inventory.machines.items():
        policy = policy_of(machine, inventory)
        if policy is not None:
            policies[key] = policy.metadata.name
    by_policy = {name: in_force(common, policy) for name, policy in inventory.policies.items()}
    limits = {
        key: by_policy[policies[key]] if key in policies else common for key in inventory.machines
    }
    timings = {
        key: timing(machine, limits[key], link) for key, machine in inventory.machines.items()
    }
    found = machines(inventory)
    by_node: dict[str, list[Machine]] = {}
    for each in found:
        by_node.setdefault(each.node, []).append(each)
    by_node.pop("", None)
    cluster = Cluster.of(inventory)
    parallel = at_once(common)
    drains = tuple(
        _drain(inventory, cluster, node, here, timings, parallel)
        for node, here in sorted(by_node.items())
    )
    return Readiness(
        machines=found,
        drains=drains,
        rollout=_rollout(inventory, cluster, by_node),
        memory=_memory(inventory, cluster, by_node),
        settings=common,
        policies=policies,
        limits=limits,
        timings=timings,
        claims=claims(inventory),
        gaps=inventory.coverage.gaps(NEEDED),
    )


def _drain(
    inventory: Inventory,
    cluster: Cluster,
    node: str,
    here: list[Machine],
    timings: Mapping[ObjectKey, Timing],
    parallel: Decimal,
) -> NodeDrain:
    """Drain one node, all others staying as they are."""
    cluster = cluster.copy()
    moving = [each for each in here if each.drain is Drain.MIGRATES]
    # The largest is the hardest to place; those alike stay in order of name.
    moving.sort(key=lambda each: -_memory_of(cluster, each))
    places = [cluster.move(each.key) for each in moving]
    known = inventory.nodes.get(node)
    stuck = any(each.drain is Drain.BLOCKS for each in here)
    lost = any(not place.target and not place.unknown for place in places)
    unknown = any(each.drain in (Drain.UNKNOWN, Drain.WAITS) for each in here) or any(
        place.unknown for place in places
    )
    completes = False if stuck or lost else None if unknown else True
    pool = _pool(inventory, known) if known else ""
    seconds = drain_seconds((timings[each.key] for each in moving), parallel)
    return NodeDrain(node, pool, tuple(here), tuple(places), completes, seconds)


def _rollout(
    inventory: Inventory, cluster: Cluster, by_node: Mapping[str, list[Machine]]
) -> Rollout:
    """Drain all nodes in the pools' order, each batch after the one before."""
    batches = _batches(inventory)
    course = _Course(cluster.copy(), by_node, inventory.coverage.gaps(NEEDED))
    for number, batch in enumerate(batches):
        course.drain(batch)
        if course.waits_for:
            return course.rollout(batches, number, batch)
    return course.rollout(batches, len(batches))


class _Course:
    """Where machines are while node after node is drained, and what came of it."""

    def __init__(
        self, cluster: Cluster, by_node: Mapping[str, list[Machine]], gaps: Iterable[str]
    ) -> None:
        self._cluster = cluster
        self._drains = {each.key: each.drain for here in by_node.values() for each in here}
        self._here = {node: [each.key for each in found] for node, found in by_node.items()}
        self.waits_for: list[str] = []
        self._down: dict[ObjectKey, str] = {}
        self._unknown = list(gaps)

    def rollout(
        self, order: tuple[tuple[str, ...], ...], drained: int, waits_at: tuple[str, ...] = ()
    ) -> Rollout:
        """Return what came of it so far."""
        told = tuple(self.waits_for), tuple(self._down.values()), tuple(self._unknown)
        return Rollout(order, drained, waits_at, *told)

    def drain(self, nodes: Iterable[str]) -> None:
        """Drain these nodes at once, and open them again."""
        self._cluster.close(nodes)
        leaving = [(key, node) for node in nodes for key in self._here.pop(node, ())]
        # Those that migrate choose first, for a drain waits for them; the largest before others.
        leaving.sort(
            key=lambda each: (
                self._drains[each[0]] is Drain.RESTARTS,
                -_bytes_of(self._cluster, each[0]),
                each[0],
            )
        )
        down = []
        for key, node in leaving:
            name = f"{key.namespace}/{key.name} on {node}"
            match self._drains[key]:
                case Drain.BLOCKS:
                    self.waits_for.append(f"{name} blocks")
                case Drain.STOPS:
                    self._cluster.leave(key, node)
                case Drain.MIGRATES:
                    if self._settles(key, name, self._cluster.move(key, node)):
                        self._cluster.leave(key, node)
                    else:
                        self.waits_for.append(f"{name} finds no place")
                case Drain.RESTARTS:
                    self._cluster.leave(key, node)
                    if not self._settles(key, name, self._cluster.move(key, restart=True)):
                        down.append((key, name))
                case unclear:
                    self._unknown.append(f"{name}: {unclear.value}")
        self._cluster.close(())
        for key, name in down:
            again = self._settles(key, name, self._cluster.move(key, restart=True))
            what = (
                "starts again only when a node is back"
                if again
                else "finds no place to start again"
            )
            self._down[key] = f"{name} {what}"

    def _settles(self, key: ObjectKey, name: str, place: Place) -> bool:
        """Note where a machine went; False if it went nowhere."""
        if place.target:
            self._here.setdefault(place.target, []).append(key)
        elif place.unknown:
            self._unknown.append(f"{name}: {place.unknown}")
        return bool(place.target or place.unknown)


def _batches(inventory: Inventory) -> tuple[tuple[str, ...], ...]:
    """Return which nodes are drained at once, in order; those of paused pools are left out.

    A pool updates its nodes by zone, the oldest of a zone first, maxUnavailable at a time; pools
    go side by side (OpenShift documentation, 'About the Machine Config Operator').
    """
    members: dict[str, list[tuple[str, str, str]]] = {}
    for name, node in inventory.nodes.items():
        zone = (node.metadata.labels or {}).get(_ZONE, "")
        order = zone, node.metadata.creation_timestamp, name
        members.setdefault(_pool(inventory, node), []).append(order)
    lanes = []
    for pool, nodes in sorted(members.items()):
        found = inventory.pools.get(pool)
        if found and found.spec.paused:
            continue
        at_once = _at_once(inventory, pool, len(nodes)) if found else 1
        names = [name for _, _, name in sorted(nodes)]
        lanes.append([names[start : start + at_once] for start in range(0, len(names), at_once)])
    return tuple(
        tuple(name for lane in lanes if number < len(lane) for name in lane[number])
        for number in range(max(map(len, lanes), default=0))
    )


def _pool(inventory: Inventory, node: Node) -> str:
    """Return a node's pool: a custom one before `worker`, whose nodes it takes."""
    labels = node.metadata.labels or {}
    found = [
        name
        for name, pool in inventory.pools.items()
        if pool.spec.node_selector is not None
        and (pool.spec.node_selector.match_labels or {}).items() <= labels.items()
    ]
    return min(found, key=lambda name: (name == "worker", name), default="")


def _memory(
    inventory: Inventory, cluster: Cluster, by_node: dict[str, list[Machine]]
) -> SpareMemory:
    highest: Decimal | None = Decimal()
    highest_node = ""
    for node, here in sorted(by_node.items()):
        total = _total(cluster, here)
        if total is None or highest is None:
            highest, highest_node = None, node
        elif total > highest:
            highest, highest_node = total, node
    if inventory.coverage.gaps(["VirtualMachineInstance"]):
        highest, highest_node = None, ""
    parallel, because = _parallel(inventory, by_node)
    free = cluster.free("memory") if inventory.nodes else None
    estimated = bool(inventory.coverage.gaps(["Pod"])) or any(
        cluster.estimated(each.key) for here in by_node.values() for each in here
    )
    return SpareMemory(parallel, because, highest, highest_node, free, estimated)


def _total(cluster: Cluster, here: list[Machine]) -> Decimal | None:
    if any(cluster.asked(each.key) is None for each in here):
        return None
    return sum((_memory_of(cluster, each) for each in here), Decimal())


def _memory_of(cluster: Cluster, machine: Machine) -> Decimal:
    return _bytes_of(cluster, machine.key)


def _bytes_of(cluster: Cluster, key: ObjectKey) -> Decimal:
    return (cluster.asked(key) or {}).get("memory", Decimal())


def _parallel(inventory: Inventory, by_node: Iterable[str]) -> tuple[int, str]:
    """Return how many nodes drain at once, over all pools that have machines."""
    members: dict[str, int] = {}
    for node in inventory.nodes.values():
        pool = _pool(inventory, node)
        members[pool] = members.get(pool, 0) + 1
    pools = {_pool(inventory, inventory.nodes[n]) for n in by_node if n in inventory.nodes} - {""}
    if not pools:
        return 1, "no MachineConfigPool was read, so one node at a time is assumed"
    counts = {name: _at_once(inventory, name, members[name]) for name in sorted(pools)}
    told = ", ".join(f"{count} of {name}" for name, count in counts.items())
    return sum(counts.values()), f"maxUnavailable of the pools: {told}"


def _at_once(inventory: Inventory, pool: str, nodes: int) -> int:
    """Return a pool's maxUnavailable; 1 by default, percentages rounded down, at least 1.

    openshift/machine-config-operator pkg/controller/node/node_controller.go, maxUnavailable.
    """
    value = inventory.pools[pool].spec.max_unavailable
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit():
        return max(nodes * int(value[:-1]) // 100, 1)
    if isinstance(value, str):
        value = int(value) if value.isdigit() else None
    return max(value or 1, 1)
