"""What is said of machines, word for word, and the edges of each rule."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from judging import TWO, Object, inventory, judged, key, one, place, placing
from machines import (
    GIB,
    MODELS,
    OVERHEAD,
    claim,
    hyperconverged,
    kubevirt,
    machine,
    migration,
    node,
    on_claim,
    policy,
    pool,
    storage,
)

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.drain import Rollout, SpareMemory, judge
from rbacguard.readiness.duration import at_once
from rbacguard.readiness.eviction import Drain, Remark, condition, wants_host_model
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.migrations import AskedBy, Migration, made_by_people, migrations
from rbacguard.readiness.overhead import requests
from rbacguard.readiness.quantity import amount, shown
from rbacguard.readiness.scheduling import Place
from rbacguard.readiness.settings import Setting, in_force, release, settings
from rbacguard.readiness.volumes import Claim, claims

# What a drain does.

NONE = Remark(
    "eviction-strategy-none",
    "nothing asks for a migration: its eviction strategy is None, by the machine",
    "set evictionStrategy: LiveMigrate, if it is to move",
)
RESTARTS = Remark("restarts", "it is stopped and started again elsewhere (runStrategy Always)")
STOPS = Remark(
    "stays-stopped",
    "it is stopped, and nothing starts it again (runStrategy Halted)",
    "start it again after the update",
)


def without(made: list[Object], kind: str) -> list[Object]:
    return [each for each in made if each["kind"] != kind]


def running(made: list[Object], *, is_running: bool | None) -> list[Object]:
    """Give a VirtualMachine the field that runStrategy came after."""
    del made[2]["spec"]["runStrategy"]
    if is_running is not None:
        made[2]["spec"]["running"] = is_running
    return made


@pytest.mark.parametrize(
    ("strategy", "drain", "remarks"),
    [
        (
            "External",
            Drain.WAITS,
            [
                Remark(
                    "eviction-is-external",
                    "its eviction is left to a controller of its own (External)",
                    "make sure that the controller that it waits for is at work",
                )
            ],
        ),
        ("None", Drain.RESTARTS, [NONE, RESTARTS]),
        (
            "Sideways",
            Drain.UNKNOWN,
            [
                Remark(
                    "eviction-strategy-unknown",
                    "eviction strategy 'Sideways' is not known to this version",
                )
            ],
        ),
    ],
)
def test_an_eviction_strategy_is_told_with_what_to_do(
    strategy: str, drain: Drain, remarks: list[Remark]
) -> None:
    found = one(judged(TWO, machine("vm", "a", strategy=strategy)))
    assert (found.drain, list(found.remarks)) == (drain, remarks)
    assert (found.strategy, found.set_by, found.node) == (strategy, "the machine", "a")


@pytest.mark.parametrize(
    ("is_running", "drain", "remark"),
    [(True, Drain.RESTARTS, RESTARTS), (False, Drain.STOPS, STOPS), (None, Drain.STOPS, STOPS)],
)
def test_a_virtual_machine_may_say_running_instead(
    *, is_running: bool | None, drain: Drain, remark: Remark
) -> None:
    made = running(machine("vm", "a", strategy="None"), is_running=is_running)
    found = one(judged(TWO, made))
    assert (found.drain, found.remarks) == (drain, (NONE, remark))


def test_a_machine_of_nobody_stays_stopped_and_says_so() -> None:
    found = judged(TWO, machine("vm", "a", strategy="None", run=None), machine("other", "b"))
    (told,) = [each for each in found.machines if each.key.name == "vm"]
    assert told.remarks[-1] == Remark(
        "no-virtual-machine",
        "it is stopped, and nothing starts it again: it has no VirtualMachine",
        "make a VirtualMachine of it",
    )
    unread = one(judged(TWO, machine("vm", "a", strategy="None", run=None)))
    assert unread.remarks[-1] == Remark(
        "run-strategy-unknown",
        "whether something starts it again is not known: VirtualMachine not read",
    )


def test_the_clusters_strategy_is_not_known_without_kubevirt() -> None:
    found = one(judge(Inventory.from_objects([*TWO, *machine("vm", "a", strategy=None)])))
    assert (found.drain, found.strategy, found.set_by) == (
        Drain.UNKNOWN,
        "",
        "KubeVirt was not read",
    )
    assert found.remarks == (
        Remark(
            "eviction-strategy-unknown",
            "KubeVirt was not read, so its eviction strategy is not known",
        ),
    )


@pytest.mark.parametrize("odd", ["", 5, [], {"a": 1}])
def test_an_odd_strategy_of_the_cluster_is_none(odd: Any) -> None:
    found = one(
        judged(TWO, machine("vm", "a", strategy=None), setting=kubevirt(evictionStrategy=odd))
    )
    assert (found.strategy, found.set_by) == ("None", "KubeVirt's default")


def test_a_machine_that_is_on_no_node_is_in_no_drain() -> None:
    found = judged(TWO, machine("vm", ""), machine("other", "a"))
    (told,) = [each for each in found.machines if each.key.name == "vm"]
    assert told.remarks == (Remark("not-on-a-node", "it runs on no node yet"),)
    assert [each.node for each in found.drains] == ["a"]


@pytest.mark.parametrize("strategy", ["LiveMigrate", "LiveMigrateIfPossible"])
def test_what_kubevirt_does_not_say_is_not_known(strategy: str) -> None:
    made = machine("vm", "a", strategy=strategy)
    made[0]["status"]["conditions"] = []
    found = one(judged(TWO, made))
    assert found.drain is Drain.UNKNOWN
    assert found.remarks[0] == Remark(
        "not-determined",
        "KubeVirt does not say whether it can migrate, as while it starts",
        "look again when it runs",
    )
    (instance,) = inventory(made).machines.values()
    assert condition(instance, "LiveMigratable") == ("", "", "")


def test_a_condition_may_have_no_reason() -> None:
    made = machine("vm", "a")
    made[0]["status"]["conditions"] = [{"type": "LiveMigratable", "status": "False"}]
    (remark,) = one(judged(TWO, made)).remarks
    assert remark.reason == "no-reason"


def test_a_claim_that_is_not_shared_is_told_with_its_modes() -> None:
    made = machine("vm", "a", reason="DisksNotLiveMigratable")
    on_claim(made, "disk", "ReadWriteOnce", "ReadOnlyMany")
    assert one(judged(TWO, made)).remarks[1:] == (
        Remark(
            "claim-not-shared",
            "volume root: claim disk has ReadWriteOnce, ReadOnlyMany",
            "use a claim with ReadWriteMany",
        ),
    )


@pytest.mark.parametrize(
    ("cpu", "wants"),
    [
        (None, True),
        ({"cores": 2}, True),
        ({"model": "host-model"}, True),
        ({"model": "host-passthrough"}, False),
        ({"model": "Haswell"}, False),
    ],
)
def test_without_a_model_it_has_the_nodes(*, cpu: Object | None, wants: bool) -> None:
    made = machine("vm", "a")
    del made[0]["spec"]["domain"]["cpu"]
    if cpu is not None:
        made[0]["spec"]["domain"]["cpu"] = cpu
    (instance,) = inventory(made).machines.values()
    assert wants_host_model(instance) is wants


# Where it goes.


def test_a_place_is_told_whole() -> None:
    found = judged(node("a"), node("b"), machine("vm", "a"))
    assert place(found) == Place(key("vm"), "a", "b")
    nowhere = judged(
        node("a"), node("b", memory="1Gi"), node("c", memory="2Gi"), machine("vm", "a")
    )
    assert place(nowhere) == Place(key("vm"), "a", "", {"has too little memory: 4.3 GiB needed": 2})
    for made, unknown in (
        (without(machine("vm", "a"), "Pod"), "its virt-launcher pod was not read"),
        (machine("vm", "ghost"), "node ghost does not tell its host-model CPU"),
    ):
        source = made[0]["status"]["nodeName"]
        found = judged(TWO, made, machine("other", "b"))
        assert place(found) == Place(key("vm"), source, "", unknown=unknown)
    odd = machine("vm", "a")
    odd[1]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "lots"
    assert place(judged(TWO, odd)) == Place(
        key("vm"), "a", "", unknown="its requests cannot be read"
    )


def test_every_reason_is_counted_by_node() -> None:
    def refusals(others: list[Object], **pod: Any) -> dict[str, int]:
        return dict(place(judged(node("a"), *others, machine("vm", "a", **pod))).refusals)

    gone = [node(name, **{"kubevirt.io/schedulable": "false"}) for name in "bc"]
    assert refusals(gone) == {"takes no machines now": 2}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    term = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    affinity: Object = {"nodeAffinity": {required: {"nodeSelectorTerms": [term]}}}
    assert refusals([node("b"), node("c")], affinity=affinity) == {
        "is none that its node affinity asks for": 2
    }
    full = [node("b"), node("c")]
    for each in full:
        each["status"]["allocatable"]["pods"] = "0"
    assert refusals(full) == {"has too little pods: 1 needed": 2}
    del full[0]["status"]["allocatable"]["pods"]
    assert refusals(full) == {"has too little pods: 1 needed": 2}
    # A label of the CPU is told before others.
    assert refusals([node("b", MODELS[2])], selector={"a-zone": "x"}) == {
        f"lacks label cpu-model-migration.node.kubevirt.io/{MODELS[0]}": 1
    }


def pod(name: str, on: str = "", namespace: str = "web", **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": on, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running"},
    }


def term(selector: dict[str, str], *, by: str = "kubernetes.io/hostname", **more: Any) -> Object:
    return {"topologyKey": by, "labelSelector": {"matchLabels": selector}, **more}


def beside(*terms: Object, anti: bool) -> Object:
    name = "podAntiAffinity" if anti else "podAffinity"
    return {name: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}


def test_who_keeps_it_off_is_told() -> None:
    shuns = machine("vm", "a", affinity=beside(term({"app": "db"}), anti=True))
    others = [pod(f"db-{n}", on, app="db") for n, on in enumerate(["b", "c", "", "ghost"])]
    found = judged(node("a"), node("b"), node("c"), shuns, others)
    assert dict(place(found).refusals) == {
        "has a pod that it must not run beside (kubernetes.io/hostname)": 2
    }
    shunning = pod("db-0", "b")
    own = {"vm.kubevirt.io/name": "vm"}
    shunning["spec"]["affinity"] = beside(term(own), anti=True)
    found = judged(node("a"), node("b"), machine("vm", "a"), shunning)
    assert dict(place(found).refusals) == {
        "has a pod that wants no such one beside it (kubernetes.io/hostname)": 1
    }


def test_a_neighbour_is_one_whom_all_terms_select() -> None:
    wanted = beside(term({"app": "db"}), term({"tier": "gold"}), anti=False)
    three = [node("a"), node("b"), node("c")]
    others = [pod("half", "b", app="db"), pod("whole", "c", app="db", tier="gold")]
    assert place(judged(three, machine("vm", "a", affinity=wanted), others)).target == "c"


@pytest.mark.parametrize(
    ("labels", "kept_off"), [({"team": "x"}, True), ({}, False), (None, False)]
)
def test_terms_may_select_namespaces(*, labels: dict[str, str] | None, kept_off: bool) -> None:
    """One that was not read has no labels, and so has its pods in none that is selected."""
    selector = {"matchLabels": {"team": "x"}}
    shuns = beside(term({"app": "db"}, namespaceSelector=selector), anti=True)
    other = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "data", "labels": labels},
    }
    objects = [other] if labels is not None else []
    found = judged(
        TWO, machine("vm", "a", affinity=shuns), pod("db", "b", "data", app="db"), objects
    )
    assert bool(place(found).target) is not kept_off


def test_a_machine_has_left_the_node_that_it_leaves() -> None:
    shuns = machine("vm", "a", affinity=beside(term({"vm.kubevirt.io/name": "peer"}), anti=True))
    found = placing(TWO, shuns, machine("peer", "b"))
    assert not found.copy().move(key("vm")).target
    found.leave(key("peer"), "b")
    assert found.move(key("vm")).target == "b"
    # Of one whose node was not read there is nothing to free.
    lost = placing(TWO, machine("vm", "ghost"))
    lost.leave(key("vm"), "ghost")
    assert lost.free("memory") == 2 * 256 * GIB


def test_a_machine_that_migrates_is_at_both_ends_until_it_has_left() -> None:
    zones = [node(name, zone=zone) for name, zone in (("a", "1"), ("b", "2"), ("c", "1"))]
    apart = beside(term({"vm.kubevirt.io/name": "vm"}, by="zone"), anti=True)
    found = placing(
        zones, machine("vm", "a", selector={"zone": "2"}), machine("peer", "a", affinity=apart)
    )
    assert found.move(key("vm")).target == "b"
    assert not found.move(key("peer")).target
    found.leave(key("vm"), "a")
    assert found.move(key("peer")).target == "c"


def test_one_that_starts_again_has_the_cpu_of_its_new_node() -> None:
    cascade, ice, _ = MODELS
    nodes = [
        node("a", cascade),
        node("b", ice, memory="64Gi"),
        node("c", cascade, memory="32Gi"),
        node("d", ice),
    ]
    found = placing(nodes, machine("vm", "a"))
    assert found.copy().move(key("vm")).target == "c"
    found.leave(key("vm"), "a")
    found.close(["a", "c"])
    assert found.move(key("vm"), restart=True) == Place(key("vm"), "a", "b")
    found.close(["b"])
    assert found.move(key("vm"), "b") == Place(key("vm"), "b", "d")


def test_what_a_node_refuses_is_told_apart_by_all_that_a_pod_asks() -> None:
    tainted = node("b", disk="ssd")
    tainted["spec"] = {"taints": [{"key": "gpu", "value": "x", "effect": "NoSchedule"}]}
    equal = [{"key": "gpu", "operator": "Equal", "value": "x"}]
    other = [{"key": "other", "operator": "Exists"}]
    found = placing(
        *(node("a"), tainted),
        *(machine("vm", "a", tolerations=other), machine("peer", "a", tolerations=equal)),
    )
    assert found.move(key("vm")).refusals == {"has taint gpu:NoSchedule": 1}
    assert found.move(key("peer")).target == "b"

    def wants(disk: str) -> Object:
        term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": [disk]}]}
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        return {"nodeAffinity": {required: {"nodeSelectorTerms": [term]}}}

    made = [machine("vm", "a", affinity=wants("hdd")), machine("peer", "a", affinity=wants("ssd"))]
    found = placing(node("a"), node("b", disk="ssd"), *made)
    assert not found.move(key("vm")).target
    assert found.move(key("peer")).target == "b"


@pytest.mark.parametrize(("name", "fits"), [("b", True), ("c", False)])
def test_node_affinity_may_name_the_node(*, name: str, fits: bool) -> None:
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]}]
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity = {"nodeAffinity": {required: {"nodeSelectorTerms": [{"matchFields": fields}]}}}
    assert bool(place(judged(TWO, machine("vm", "a", affinity=affinity))).target) is fits


@pytest.mark.parametrize("operator", ["Gt", "Lt"])
def test_more_is_not_as_much(operator: str) -> None:
    terms = [{"matchExpressions": [{"key": "size", "operator": operator, "values": ["8"]}]}]
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity: Object = {"nodeAffinity": {required: {"nodeSelectorTerms": terms}}}
    found = judged(node("a"), node("b", size="8"), machine("vm", "a", affinity=affinity))
    assert not place(found).target


def test_a_node_that_tells_little() -> None:
    quiet = node("b")
    del quiet["status"]["conditions"]
    assert place(judged(node("a"), quiet, machine("vm", "a"))).target == "b"
    # What one that does not tell its memory has free is none, and what cannot be read is not known.
    small, odd = node("b"), node("b")
    del small["status"]["allocatable"]["memory"]
    odd["status"]["allocatable"]["memory"] = "lots"
    assert placing(node("a"), small).free("memory") == 256 * GIB
    crowded = placing(node("a"), odd, machine("vm", "b"), machine("peer", "b"), pod("bare", "a"))
    assert crowded.free("memory") is None
    crowded.leave(key("vm"), "b")
    assert crowded.move(key("peer"), "b").target == "a"
    alone = placing(odd, machine("vm", "b"))
    alone.leave(key("vm"), "b")
    assert alone.free("memory") is None


def test_what_a_machine_leaves_is_free_even_where_there_was_none() -> None:
    bare = node("a")
    bare["status"]["allocatable"] = {"cpu": "4"}
    found = placing(bare, machine("vm", "a"))
    found.leave(key("vm"), "a")
    assert found.free("memory") == 0
    assert found.free("devices.kubevirt.io/kvm") == 0


def test_a_machine_may_come_from_a_node_that_was_not_read() -> None:
    found = placing(TWO, machine("vm", "ghost", model="Haswell"))
    assert found.move(key("vm")) == Place(key("vm"), "ghost", "a")
    found.leave(key("vm"), "ghost")
    assert found.free("pods") == 499
    empty = pod("none", "b")
    empty["spec"]["containers"] = []
    assert placing(TWO, empty).free("pods") == 499


def test_closed_nodes_and_those_that_take_nothing_are_not_free() -> None:
    found = placing(node("a"), node("b"), node("c", **{"kubevirt.io/schedulable": "false"}))
    assert found.free("memory") == 512 * GIB
    found.close(["a"])
    assert found.free("memory") == 256 * GIB
    nothing = placing(TWO, machine("vm", "a", memory=512 * GIB))
    nothing.close(["b"])
    assert nothing.move(key("vm")).refusals == {}


def test_the_tightest_node_is_known_after_each_move() -> None:
    nodes = [node("a"), node("b", memory="20Gi"), node("c", memory="24Gi")]
    names = [f"vm-{number}" for number in range(4)]
    found = placing(nodes, [each for name in names for each in machine(name, "a", memory=6 * GIB)])
    # By 6.3 GiB each: b has 20, 13.7, 7.4, 1.1 left, and then only c has enough.
    assert [found.move(key(name)).target for name in names] == ["b", "b", "b", "c"]
    found.leave(key("vm-0"), "b")
    assert found.move(key("vm-0"), "a").target == "b"
    # Where most is free again is no longer the tightest.
    large, small = machine("large", "a", memory=7 * GIB), machine("small", "a", memory=GIB // 4)
    found = placing(node("a"), node("b", memory="8Gi"), node("c", memory="5Gi"), large, small)
    assert found.move(key("large")).target == "b"
    found.leave(key("large"), "b")
    assert found.move(key("small")).target == "c"


def test_machines_whose_pods_were_not_read_cost_what_the_cluster_says() -> None:
    made = without(machine("vm", "a", memory=4 * GIB), "Pod")
    half = kubevirt(developerConfiguration={"memoryOvercommit": 200})
    objects = [*TWO, *made]
    asked = []
    for setting in (kubevirt(), half):
        found = inventory(objects, setting=setting)
        (instance,) = found.machines.values()
        least = requests(instance, found.kubevirt, release(found))
        assert least is not None
        assert Inventory.from_objects([setting, *objects]).machines.keys() == {key("vm")}
        memory = judge(found).memory
        assert memory.highest == least["memory"]
        assert memory.estimated
        asked.append(least["memory"])
    assert asked[0] - asked[1] == 2 * GIB
    # Of an older KubeVirt the programs around a guest took less.
    newer = kubevirt()
    newer["status"]["observedKubeVirtVersion"] = "v1.8.0"
    found = inventory(objects, setting=newer)
    assert judge(found).memory.highest != asked[0]


# A drain, and all of them.


def test_of_two_alike_the_first_by_name_is_placed() -> None:
    made = [machine("zeta", "a"), machine("alpha", "a")]
    found = judged(node("a"), node("b", memory="5Gi"), *made)
    assert [(each.key.name, each.target) for each in found.drains[0].places] == [
        ("alpha", "b"),
        ("zeta", ""),
    ]


def test_what_is_not_known_leaves_a_drain_open() -> None:
    waits = judged(TWO, machine("vm", "a", strategy="External")).drains[0]
    unread = judged(TWO, without(machine("vm", "a"), "Pod"), machine("other", "b")).drains[0]
    silent = machine("vm", "a")
    silent[0]["status"]["conditions"] = []
    unknown = judged(TWO, silent).drains[0]
    assert [each.completes for each in (waits, unread, unknown)] == [None, None, None]
    assert judged(TWO, machine("vm", "a")).drains[0].completes is True


def test_a_node_that_was_not_read_is_in_no_pool() -> None:
    found = judged(TWO, pool(), machine("vm", "ghost"), machine("other", "a"))
    assert {each.node: each.pool for each in found.drains} == {"a": "worker", "ghost": ""}


def test_a_link_shortens_no_less_than_it_is_told() -> None:
    objects = inventory(TWO, machine("vm", "a", memory=4 * GIB))
    assert judge(objects).timings[key("vm")].seconds is None
    slow = judge(objects, Decimal(GIB)).timings[key("vm")]
    assert slow.rate == Decimal(GIB) / 2
    assert slow.seconds == 8


def rollout(*objects: Object | list[Object]) -> Rollout:
    return judged(*objects).rollout


def test_machines_move_on_into_what_was_freed() -> None:
    """`early` goes to b and back to a, so that `late` finds room on b when c is drained."""
    nodes = [
        node("a", memory="12Gi", side="left"),
        node("b", memory="12Gi", side="left", late="yes"),
        node("c", memory="12Gi"),
    ]
    early = machine("early", "a", memory=10 * GIB, selector={"side": "left"})
    late = machine("late", "c", memory=10 * GIB, selector={"late": "yes"})
    found = rollout(nodes, pool(), early, late)
    assert found.order == (("a",), ("b",), ("c",))
    assert (found.completes, found.drained, found.waits_for) == (True, 3, ())
    stays = machine("early", "a", memory=10 * GIB, selector={"late": "yes"})
    found = rollout(nodes, pool(), stays, late)
    assert (found.drained, found.waits_at) == (1, ("b",))
    assert found.waits_for == ("web/early on b finds no place",)


def test_those_drained_at_once_choose_by_size() -> None:
    nodes = [node("a", memory="64Gi"), node("b", memory="64Gi"), node("c", memory="9Gi")]
    made = [machine("alpha", "a", memory=2 * GIB), machine("zeta", "b", memory=8 * GIB)]
    found = rollout(nodes, pool(unavailable=2), *made)
    assert found.order == (("a", "b"), ("c",))
    assert found.waits_for == ("web/alpha on a finds no place",)
    same = [machine("alpha", "b", memory=8 * GIB), machine("zeta", "a", memory=8 * GIB)]
    assert rollout(nodes, pool(unavailable=2), *same).waits_for == ("web/zeta on a finds no place",)


def test_what_a_rollout_does_not_know_names_the_machine() -> None:
    unread = without(machine("vm", "a"), "Pod")
    found = rollout(TWO, pool(), unread, machine("odd", "b", strategy="External"))
    assert "web/vm on a: its virt-launcher pod was not read" in found.unknown
    assert "web/odd on b: waits" in found.unknown
    assert found.completes is None
    odd = machine("vm", "a", strategy="None")
    odd[1]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "lots"
    found = rollout(TWO, pool(), odd)
    assert found.unknown[-1] == "web/vm on a: its requests cannot be read"


def test_nodes_without_a_zone_come_first() -> None:
    zone = "topology.kubernetes.io/zone"
    nodes = [node("a", **{zone: "1"}), node("b"), node("c", **{zone: "0"})]
    assert rollout(nodes, pool(), machine("vm", "b")).order == (("b",), ("c",), ("a",))
    assert rollout(machine("vm", "a")).order == ()


def test_a_custom_pool_takes_its_nodes_whatever_it_is_called() -> None:
    gold = node("b", gold="yes")
    gold["metadata"]["labels"] = {"gold": "yes", "node-role.kubernetes.io/worker": ""}
    found = judged(
        *(gold, pool(), pool("zeta", gold="yes"), pool("alpha", gold="no")), machine("vm", "b")
    )
    assert [each.pool for each in found.drains] == ["zeta"]
    # A pool may select by all the labels that a node has.
    alone = pool("alone", **{"gold": "yes", "node-role.kubernetes.io/worker": ""})
    assert judged(gold, alone, machine("vm", "b")).drains[0].pool == "alone"


def test_spare_memory_is_told_whole() -> None:
    four = 4 * GIB + OVERHEAD
    one_at_a_time = "no MachineConfigPool was read, so one node at a time is assumed"
    alike = judged(TWO, machine("one", "b"), machine("two", "a")).memory
    assert alike == SpareMemory(1, one_at_a_time, Decimal(four), "a", Decimal(512 * GIB - 2 * four))
    assert judged(TWO, machine("vm", "")).memory == SpareMemory(
        1, one_at_a_time, Decimal(), "", Decimal(512 * GIB)
    )
    pools = [pool(unavailable=2), pool("gold", 1, gold="yes")]
    two = judged(node("a"), node("b", gold="yes"), *pools, machine("vm", "a"), machine("p", "b"))
    assert two.memory.because == "maxUnavailable of the pools: 1 of gold, 2 of worker"
    assert judged(machine("vm", "a")).memory.free is None
    unread = judged(TWO).memory
    assert (unread.highest, unread.highest_node, unread.estimated) == (None, "", True)
    some = judged(TWO, without(machine("vm", "a"), "Pod"), machine("other", "b")).memory
    assert some.estimated


@pytest.mark.parametrize(
    ("unavailable", "nodes", "parallel"),
    [("100%", 5, 5), ("5%", 40, 2), ("1x%", 5, 1), ("%", 5, 1), ("33%", 100, 33)],
)
def test_maxunavailable_may_be_a_share(unavailable: str, nodes: int, parallel: int) -> None:
    made = [node(f"n{number}") for number in range(nodes)]
    found = judged(*made, pool(unavailable=unavailable), machine("vm", "n0"))
    assert found.memory.parallel == parallel


# Storage.


def test_a_claim_is_told_with_its_class() -> None:
    objects = [*storage("shared", "ReadWriteMany"), claim("disk")]
    (found,) = claims(inventory(objects, on_claim(machine("vm", "a"), "disk")))
    assert found == Claim(
        ObjectKey("PersistentVolumeClaim", "web", "disk"),
        ("ReadWriteMany",),
        "shared",
        "rbd.csi.ceph.com",
        class_shares=True,
        used_by=("web/vm",),
    )
    (unread,) = claims(inventory(on_claim(machine("vm", "a"), "disk", "ReadWriteOnce")))
    assert unread == Claim(found.key, ("ReadWriteOnce",), "", "", None, ("web/vm",))
    bare = claim("disk", storageClassName=None)
    (default,) = claims(inventory(objects[:2], bare, on_claim(machine("vm", "a"), "disk")))
    assert (default.storage_class, default.provisioner) == ("", "")


@pytest.mark.parametrize(
    ("of_claim", "of_class", "shares"),
    [
        (None, None, True),
        ("Filesystem", None, True),
        (None, "Filesystem", True),
        ("Block", None, False),
        (None, "Block", False),
    ],
)
def test_a_volume_is_a_file_system_unless_told(
    *, of_claim: str | None, of_class: str | None, shares: bool
) -> None:
    disk, (_, profile) = claim("disk"), storage("shared", "ReadWriteMany")
    offered = profile["status"]["claimPropertySets"][0]
    for where, mode in ((disk["spec"], of_claim), (offered, of_class)):
        where["volumeMode"] = mode
        if mode is None:
            del where["volumeMode"]
    (found,) = claims(inventory(disk, profile, on_claim(machine("vm", "a"), "disk")))
    assert found.class_shares is shares


# Migrations.

NOW = datetime.datetime(2026, 11, 23, 9, tzinfo=datetime.UTC)


def moved(*made: Object) -> list[Migration]:
    return list(migrations(inventory(*made), NOW))


def test_a_migration_is_told_whole() -> None:
    assert moved(migration("move", "vm")) == [
        Migration(
            key=ObjectKey("VirtualMachineInstanceMigration", "web", "move"),
            machine="vm",
            phase="Running",
            asked_by=AskedBy.SOMEBODY,
            manager="virtctl",
            created="2026-11-23T08:00:00Z",
            age=3600,
            source="a",
            target="b",
            reason="",
            deleted=False,
        )
    ]
    early = migration("move", "vm", "", created="2026-11-23T10:00:00Z")
    del early["status"]
    (found,) = moved(early)
    assert (found.age, found.source, found.target, found.reason) == (0, "", "", "")


def test_the_manager_that_wrote_first_made_it() -> None:
    made = migration("move", "vm")
    (first,) = made["metadata"]["managedFields"]
    status = {**first, "manager": "aaa", "subresource": "status", "time": "2026-11-23T07:00:00Z"}
    later = {**first, "manager": "bbb", "time": "2026-11-23T08:30:00Z"}
    made["metadata"]["managedFields"] = [status, later, first]
    assert moved(made)[0].manager == "virtctl"


@pytest.mark.parametrize(
    ("metadata", "asked_by"),
    [
        ({"generateName": "kubevirt-workload-update-"}, AskedBy.UPDATE),
        ({"annotations": {"kubevirt.io/workloadUpdateMigration": ""}}, AskedBy.UPDATE),
        ({"generateName": "kubevirt-evacuation-"}, AskedBy.DRAIN),
        ({"annotations": {"kubevirt.io/evacuationMigration": "a"}}, AskedBy.DRAIN),
        ({"generateName": "mine-"}, AskedBy.SOMEBODY),
    ],
)
def test_for_what_a_migration_was_made_is_known(metadata: Object, asked_by: AskedBy) -> None:
    assert moved(migration("move", "vm", **metadata))[0].asked_by is asked_by


def conditions(*found: tuple[str, str, str, str]) -> list[Object]:
    names = ("type", "status", "reason", "message")
    return [dict(zip(names, each, strict=True)) for each in found]


def test_what_a_migration_waits_for_is_told() -> None:
    held = conditions(
        ("quota", "True", "Exceeded", "no quota is left"),
        ("gate", "True", "Closed", ""),
        ("odd", "True", "", ""),
        ("past", "False", "Over", "it is over"),
        ("migrationAbortRequested", "True", "Asked", "it was asked for"),
    )
    waits = migration("move", "vm", "Pending")
    waits["status"]["conditions"] = held
    assert moved(waits)[0].reason == "no quota is left; Closed; odd"
    over = migration("move", "vm", "Succeeded")
    over["status"]["conditions"] = held
    assert moved(over)[0].reason == ""
    failed = migration("move", "vm", "Running")
    failed["status"]["conditions"] = held
    failed["status"]["migrationState"]["failureReason"] = "it broke"
    assert moved(failed)[0].reason == "it broke"


def test_a_migration_that_is_cancelled_is_told() -> None:
    aborted = migration("move", "vm")
    aborted["status"]["migrationState"]["abortRequested"] = True
    deleted = migration("move", "vm", deletionTimestamp="2026-11-23T08:30:00Z")
    assert [moved(each)[0].deleted for each in (aborted, deleted)] == [True, True]


def test_what_the_platform_asks_for_is_not_made_by_people() -> None:
    made = [
        migration("own", "vm"),
        migration("drain", "vm", node="a"),
        migration("operator", "vm", manager="virt-operator"),
        migration("typed", "vm", annotations={"kubevirt.io/evacuationMigration": "a"}),
    ]
    assert made_by_people(moved(*made)) == {"web": 1}


# Settings and amounts.


def test_what_sets_a_setting_is_told() -> None:
    of_kubevirt = "KubeVirt spec.configuration.migrations"
    written = kubevirt(migrations={"allowPostCopy": True})
    written["status"]["observedKubeVirtVersion"] = "v1.7.0"
    found = settings(inventory(setting=written))
    assert found["allowPostCopy"] == Setting(True, of_kubevirt)
    follows = f"follows allowPostCopy ({of_kubevirt})"
    assert found["allowWorkloadDisruption"] == Setting(True, follows)
    alone = settings(Inventory.from_objects([hyperconverged(progressTimeout=99)]))
    assert alone["progressTimeout"] == Setting(99, "HyperConverged liveMigrationConfig")


def test_kubevirts_version_is_not_read_as_that_of_hyperconverged() -> None:
    odd = kubevirt()
    odd["status"]["observedKubeVirtVersion"] = "v1.14.0"
    assert release(inventory(setting=odd)) is None


@pytest.mark.parametrize(
    ("written", "found"),
    [(3, 3), (1, 1), (Decimal("0.5"), 1), (0, 1), (-2, 1), ("x", 1), (None, 1)],
)
def test_at_least_one_machine_leaves_at_once(written: Any, found: int) -> None:
    common = settings(inventory())
    name = "parallelOutboundMigrationsPerNode"
    assert at_once({**common, name: Setting(written, "a test")}) == found
    assert at_once(in_force(common, next(iter(inventory(policy("p")).policies.values())))) == 2


@pytest.mark.parametrize(
    ("text", "found"), [("0" * 39 + "1", 1), ("0" * 40 + "1", None), ("1" * 40, 2**63 - 1)]
)
def test_a_quantity_has_at_most_forty_characters(text: str, found: int | None) -> None:
    assert amount(text) == found


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (2**10, "1 KiB"),
        (2**10 - 1, "1023 B"),
        (2**20, "1 MiB"),
        (2**20 - 2**9, "1023.5 KiB"),
        (2**30, "1 GiB"),
        (-(2**20) * 3, "-3 MiB"),
    ],
)
def test_bytes_change_their_unit_where_they_reach_it(size: int, text: str) -> None:
    assert shown(size) == text


def least(domain: Object, setting: Object | None = None, version: str = "") -> Any:
    made = machine("vm", "a")
    made[0]["spec"]["domain"] = {"devices": {}, **domain}
    found = inventory(made, setting=setting)
    if version:
        assert found.kubevirt is not None
        assert found.kubevirt.status is not None
        changed = kubevirt()
        changed["status"]["observedKubeVirtVersion"] = version
        found = inventory(made, setting=changed)
    (instance,) = found.machines.values()
    return requests(instance, found.kubevirt, release(found))


def test_threads_for_disks_count_from_1_6_on() -> None:
    guest = {"memory": {"guest": "2Gi"}, "cpu": {"cores": 2}}
    threads = {**guest, "ioThreads": {"supplementalPoolThreadCount": 10}}
    assert least(threads, version="v1.5.0")["cpu"] == least(guest, version="v1.5.0")["cpu"]
    for version in ("v1.6.0", "v1.7.0"):
        added = least(threads, version=version)["cpu"] - least(guest, version=version)["cpu"]
        assert added == 1
        none = {**guest, "ioThreads": {}}
        assert least(none, version=version) == least(guest, version=version)


def test_what_is_asked_for_by_name_counts_even_if_it_is_nothing() -> None:
    none = {"memory": {"guest": "2Gi"}, "resources": {"requests": {"memory": "0"}}}
    assert least(none) is None


def test_a_part_of_a_core_is_a_vcpu_of_its_own() -> None:
    def memory(cores: str) -> Decimal:
        guest = {"memory": {"guest": "2Gi"}, "resources": {"limits": {"cpu": cores}}}
        found: Decimal = least(guest)["memory"]
        return found

    assert memory("1200m") == memory("2") > memory("1")


@pytest.mark.parametrize("ratio", [0, -5, "x"])
def test_a_ratio_that_cannot_be_is_the_default(ratio: Any) -> None:
    guest = {"memory": {"guest": "2Gi"}}
    odd = kubevirt(developerConfiguration={"memoryOvercommit": ratio})
    assert least(guest, odd) == least(guest)
