"""What a drain does to each machine, where it goes, and what is not known."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from hypothesis import assume, given
from hypothesis import strategies as st
from judging import TWO, Object, judged, only, place
from kubernetes.utils.quantity import parse_quantity
from machines import GIB, MODELS, OVERHEAD, cluster, kubevirt, machine, node, policy, pool
from strategies import examples

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.drain import judge
from rbacguard.readiness.eviction import Drain
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import amount, shown
from rbacguard.readiness.reasons import REASONS
from rbacguard.readiness.scheduling import Cluster
from rbacguard.readiness.settings import policy_of, settings

DISKS: dict[str, Any] = {"reason": "DisksNotLiveMigratable", "message": "PVC x is not shared"}


@pytest.mark.parametrize(
    ("options", "drain", "reasons"),
    [
        ({}, Drain.MIGRATES, []),
        (DISKS, Drain.BLOCKS, ["DisksNotLiveMigratable"]),
        ({"strategy": "LiveMigrateIfPossible"}, Drain.MIGRATES, []),
        (
            {"strategy": "LiveMigrateIfPossible", **DISKS},
            Drain.RESTARTS,
            ["DisksNotLiveMigratable", "restarts"],
        ),
        (
            {"strategy": "LiveMigrateIfPossible", "run": "Manual", **DISKS},
            Drain.STOPS,
            ["DisksNotLiveMigratable", "stays-stopped"],
        ),
        ({"strategy": "None"}, Drain.RESTARTS, ["eviction-strategy-none", "restarts"]),
        (
            {"strategy": "None", "run": "RerunOnFailure"},
            Drain.RESTARTS,
            ["eviction-strategy-none", "restarts"],
        ),
        (
            {"strategy": "None", "run": "Halted"},
            Drain.STOPS,
            ["eviction-strategy-none", "stays-stopped"],
        ),
        ({"strategy": "External"}, Drain.WAITS, ["eviction-is-external"]),
        ({"strategy": "Sideways"}, Drain.UNKNOWN, ["eviction-strategy-unknown"]),
        ({"strategy": None}, Drain.MIGRATES, []),
        ({"reason": "SomethingNew"}, Drain.BLOCKS, ["SomethingNew"]),
    ],
)
def test_what_a_drain_does_follows_from_eviction_strategy_and_condition(
    options: dict[str, Any], drain: Drain, reasons: list[str]
) -> None:
    assert only(judged(TWO, machine("vm", "a", **options))) == (drain, reasons)


def test_a_machine_without_a_virtual_machine_stays_stopped() -> None:
    other = machine("other", "b")
    found = judged(TWO, other, machine("vm", "a", strategy="None", run=None))
    by_name = {each.key.name: each for each in found.machines}
    assert by_name["vm"].drain is Drain.STOPS
    assert [each.reason for each in by_name["vm"].remarks][-1] == "no-virtual-machine"


def test_where_no_virtual_machine_was_read_it_is_not_known_what_starts_again() -> None:
    found = judged(TWO, machine("vm", "a", strategy="None", run=None))
    assert only(found) == (Drain.UNKNOWN, ["eviction-strategy-none", "run-strategy-unknown"])


@pytest.mark.parametrize(
    ("strategy", "drain", "set_by"),
    [
        ("LiveMigrate", Drain.MIGRATES, "KubeVirt"),
        ("None", Drain.RESTARTS, "KubeVirt"),
        (None, Drain.RESTARTS, "KubeVirt's default"),
    ],
)
def test_the_clusters_strategy_counts_for_machines_without_one(
    strategy: str | None, drain: Drain, set_by: str
) -> None:
    setting = kubevirt(evictionStrategy=strategy)
    found = judged(TWO, machine("vm", "a", strategy=None), setting=setting)
    assert (found.machines[0].drain, found.machines[0].set_by) == (drain, set_by)


def test_without_kubevirt_the_clusters_strategy_is_not_known() -> None:
    found = judge(Inventory.from_objects([*TWO, *machine("vm", "a", strategy=None)]))
    assert only(found) == (Drain.UNKNOWN, ["eviction-strategy-unknown"])
    assert "KubeVirt: not in the input" in found.gaps
    assert found.ready is None


@pytest.mark.parametrize("status", ["Unknown", ""])
def test_a_machine_of_which_kubevirt_says_nothing_is_not_known(status: str) -> None:
    made = machine("vm", "a")
    made[0]["status"]["conditions"] = [{"type": "LiveMigratable", "status": status}]
    assert only(judged(TWO, made)) == (Drain.UNKNOWN, ["not-determined"])
    made[0]["status"]["conditions"] = []
    assert only(judged(TWO, made)) == (Drain.UNKNOWN, ["not-determined"])


def test_every_reason_of_kubevirts_is_explained_with_what_to_do() -> None:
    assert len(REASONS) == 14
    for reason, explained in REASONS.items():
        (found,) = judged(TWO, machine("vm", "a", reason=reason)).machines
        (remark,) = found.remarks
        assert (remark.message, remark.advice) == explained
        assert all(explained)


def test_claims_that_are_not_shared_are_named() -> None:
    made = machine("vm", "a", **DISKS)
    made[0]["status"]["volumeStatus"] = [
        {"name": name, "persistentVolumeClaimInfo": claim} if claim else {"name": name}
        for name, claim in {
            "root": {"claimName": "r", "accessModes": ["ReadWriteOnce"]},
            "data": {"claimName": "d", "accessModes": ["ReadWriteMany"]},
            "odd": {"claimName": "o"},
            "config": None,
        }.items()
    ]
    (found,) = judged(TWO, made).machines
    assert [each.message for each in found.remarks[1:]] == [
        "volume root: claim r has ReadWriteOnce",
        "volume odd: claim o has no access mode",
    ]


def test_a_machine_that_has_ended_is_none() -> None:
    made = machine("vm", "a")
    made[0]["status"]["phase"] = "Succeeded"
    assert judged(TWO, made).machines == ()


# Where a machine goes.


def test_it_goes_where_it_leaves_the_least_memory_free() -> None:
    found = judged(
        node("a"), node("b", memory="64Gi"), node("c", memory="32Gi"), machine("vm", "a")
    )
    assert place(found).target == "c"
    assert found.ready is True


def test_memory_is_counted_with_what_a_machine_costs_besides() -> None:
    size = 4 * GIB
    exactly = str(size + OVERHEAD)
    assert place(judged(node("a"), node("b", memory=exactly), machine("vm", "a"))).target == "b"
    less = str(size + OVERHEAD - 1)
    found = judged(node("a"), node("b", memory=less), machine("vm", "a"))
    assert place(found).target == ""
    assert dict(place(found).refusals) == {"has too little memory: 4.3 GiB needed": 1}
    assert found.ready is False


def test_machines_of_one_node_share_what_is_free_elsewhere() -> None:
    # 4.3 GiB each: two fit into 9 GiB, three do not.
    three = [machine(f"vm-{number}", "a") for number in range(3)]
    found = judged(node("a"), node("b", memory="9Gi"), *three)
    assert [bool(each.target) for each in found.drains[0].places] == [True, True, False]
    assert found.drains[0].completes is False


def test_the_largest_is_placed_first() -> None:
    small, large = machine("small", "a", memory=2 * GIB), machine("vm", "a", memory=8 * GIB)
    found = judged(node("a"), node("b", memory="9Gi"), small, large)
    assert (place(found).target, place(found, "small").target) == ("b", "")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"spec": {"unschedulable": True}}, "takes no machines now"),
        ({"labels": {"kubevirt.io/schedulable": "false"}}, "takes no machines now"),
        (
            {"conditions": [{"type": "Ready", "status": "Unknown"}]},
            "takes no machines now",
        ),
        (
            {"spec": {"taints": [{"key": "gpu", "value": "x", "effect": "NoSchedule"}]}},
            "has taint gpu:NoSchedule",
        ),
        ({"spec": {"taints": [{"key": "gpu", "effect": "PreferNoSchedule"}]}}, ""),
        ({"allocatable": {"memory": "64Gi", "pods": "250"}}, "has too little cpu: 0.2 needed"),
        ({"allocatable": {"memory": "many", "cpu": "4"}}, "has requests that cannot be read"),
    ],
)
def test_a_node_refuses_for_a_reason(change: dict[str, Any], refusal: str) -> None:
    other = node("b", **change.get("labels", {}))
    other["spec"] = change.get("spec", {})
    for field in ("conditions", "allocatable"):
        if field in change:
            other["status"][field] = change[field]
    found = place(judged(node("a"), other, machine("vm", "a")))
    assert dict(found.refusals) == ({refusal: 1} if refusal else {})
    assert bool(found.target) is not bool(refusal)


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "value": "x"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "y"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "cpu", "operator": "Exists"}, False),
    ],
)
def test_a_taint_is_tolerated_as_the_scheduler_does(
    toleration: dict[str, str], tolerated: bool
) -> None:
    other = node("b")
    other["spec"] = {"taints": [{"key": "gpu", "value": "x", "effect": "NoSchedule"}]}
    found = place(judged(node("a"), other, machine("vm", "a", tolerations=[toleration])))
    assert bool(found.target) is tolerated


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}, True),
        ({"key": "disk", "operator": "In", "values": ["hdd"]}, False),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["ssd"]}, True),
        ({"key": "disk", "operator": "Exists"}, True),
        ({"key": "disk", "operator": "DoesNotExist"}, False),
        ({"key": "size", "operator": "Gt", "values": ["4"]}, True),
        ({"key": "size", "operator": "Lt", "values": ["4"]}, False),
        ({"key": "disk", "operator": "Gt", "values": ["4"]}, False),
        ({"key": "disk", "operator": "Near", "values": ["ssd"]}, False),
    ],
)
def test_node_affinity_is_read_as_the_scheduler_does(
    expression: dict[str, Any], fits: bool
) -> None:
    terms = [{"matchExpressions": [expression]}]
    affinity = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
        }
    }
    other = node("b", disk="ssd", size="8")
    found = place(judged(node("a"), other, machine("vm", "a", affinity=affinity)))
    assert bool(found.target) is fits


def beside(
    key: str, value: str, *, anti: bool, namespace: str = "", by: str = "kubernetes.io/hostname"
) -> dict[str, Any]:
    term: dict[str, Any] = {
        "topologyKey": by,
        "labelSelector": {"matchLabels": {key: value}},
    }
    if namespace:
        term["namespaces"] = [namespace]
    name = "podAntiAffinity" if anti else "podAffinity"
    return {name: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_pods_that_must_not_meet_do_not_meet_whichever_says_so() -> None:
    name = "vm.kubevirt.io/name"
    apart: dict[str, Any] = {"affinity": beside(name, "peer", anti=True)}
    assert not place(judged(TWO, machine("vm", "a", **apart), machine("peer", "b"))).target
    wants: dict[str, Any] = {"affinity": beside(name, "vm", anti=True)}
    assert not place(judged(TWO, machine("vm", "a"), machine("peer", "b", **wants))).target
    elsewhere: dict[str, Any] = {"affinity": beside(name, "peer", anti=True, namespace="data")}
    assert place(judged(TWO, machine("vm", "a", **elsewhere), machine("peer", "b"))).target == "b"
    # And two that leave one node together do not meet on the next.
    both: dict[str, Any] = {"affinity": beside("kubevirt.io", "virt-launcher", anti=True)}
    three = [*TWO, node("c")]
    found = judged(three, machine("vm", "a", **both), machine("peer", "a", **both))
    assert {each.target for each in found.drains[0].places} == {"b", "c"}


def test_pods_that_must_meet_stay_together() -> None:
    together: dict[str, Any] = {"affinity": beside("vm.kubevirt.io/name", "peer", anti=False)}
    three = [*TWO, node("c", memory="64Gi")]
    found = judged(three, machine("vm", "a", **together), machine("peer", "b"))
    assert place(found).target == "b"
    # There is no such pod, and it is none itself: it was let in when there was one.
    assert not place(judged(three, machine("vm", "a", **together))).target


def test_a_machine_that_migrates_is_beside_itself() -> None:
    """Its launcher is there until the new one has taken over, and counts like any other's."""
    zones = [node(name, zone=zone) for name, zone in (("a", "1"), ("b", "2"), ("c", "1"))]
    for anti, target in ((False, "c"), (True, "b")):
        own = beside("vm.kubevirt.io/name", "vm", anti=anti, by="zone")
        assert place(judged(zones, machine("vm", "a", affinity=own))).target == target
        host = beside("vm.kubevirt.io/name", "vm", anti=anti)
        assert bool(place(judged(zones, machine("vm", "a", affinity=host))).target) == anti
    # One that is stopped and started again is alone, and may be the first of its kind.
    own = beside("vm.kubevirt.io/name", "vm", anti=False, by="zone")
    alone = [*zones, *machine("vm", "a", model="Haswell", affinity=own)]
    stopped = Cluster.of(Inventory.from_objects(alone))
    key = ObjectKey("VirtualMachineInstance", "web", "vm")
    stopped.leave(key, "a")
    stopped.close(["a", "c"])
    assert stopped.move(key, restart=True).target == "b"


def test_a_host_model_machine_goes_only_where_its_cpu_can_be_had() -> None:
    cascade, ice, epyc = MODELS
    assert place(judged(node("a", cascade), node("b", ice), machine("vm", "a"))).target == "b"
    back = judged(node("a", ice), node("b", cascade), machine("vm", "a"))
    assert dict(place(back).refusals) == {
        f"lacks label cpu-model-migration.node.kubevirt.io/{ice}": 1
    }
    assert not place(judged(node("a", cascade), node("b", epyc), machine("vm", "a"))).target
    # One with a model of its own asks for that by its pod's selector.
    own = machine("vm", "a", model="Haswell")
    assert place(judged(node("a", ice), node("b", cascade), own)).target == "b"
    needs = {"host-model-required-features.node.kubevirt.io/avx512": "true"}
    source = node("a", cascade, **needs)
    assert not place(judged(source, node("b", cascade), machine("vm", "a"))).target
    has = node("b", cascade, **{"cpu-feature.node.kubevirt.io/avx512": "true"})
    assert place(judged(source, has, machine("vm", "a"))).target == "b"


def test_a_machine_that_has_migrated_before_keeps_its_first_cpu() -> None:
    cascade, ice, _ = MODELS
    first = {f"cpu-model-migration.node.kubevirt.io/{cascade}": "true"}
    found = judged(node("a", ice), node("b", cascade), machine("vm", "a", selector=first))
    assert place(found).target == "b"


def test_what_is_not_known_of_a_machine_leaves_its_drain_open() -> None:
    without = [each for each in machine("vm", "a") if each["kind"] != "Pod"]
    found = judged(TWO, without, machine("other", "b"))
    assert place(found).unknown == "its virt-launcher pod was not read"
    odd = machine("vm", "a")
    odd[1]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "lots"
    assert place(judged(TWO, odd)).unknown == "its requests cannot be read"
    bare = node("a")
    bare["metadata"]["labels"] = {"kubevirt.io/schedulable": "true"}
    blind = judged(bare, node("b"), machine("vm", "a"))
    assert place(blind).unknown == "node a does not tell its host-model CPU"
    for each in (found, judged(TWO, odd), blind):
        assert each.ready is None


# The documented product.


@pytest.mark.parametrize(
    ("unavailable", "nodes", "parallel"),
    [(None, 4, 1), (2, 4, 2), ("50%", 5, 2), ("10%", 5, 1), ("3", 5, 3), (0, 5, 1), ("x", 5, 1)],
)
def test_the_pool_says_how_many_nodes_drain_at_once(
    unavailable: int | str | None, nodes: int, parallel: int
) -> None:
    made = [node(f"n{number}") for number in range(nodes)]
    found = judged(*made, pool(unavailable=unavailable), machine("vm", "n0"))
    assert found.memory.parallel == parallel


def test_pools_drain_side_by_side_and_a_custom_one_takes_its_nodes_from_worker() -> None:
    gold = node("b", gold="yes")
    pools = [pool(unavailable=2), pool("gold", 1, gold="yes")]
    found = judged(node("a"), gold, node("c"), *pools, machine("vm", "a"), machine("peer", "b"))
    assert {each.node: each.pool for each in found.drains} == {"a": "worker", "b": "gold"}
    assert found.memory.parallel == 3


def test_the_product_is_worked_out_by_hand() -> None:
    """On a 4.3 + 8.3 GiB, on b 2.3 GiB; free are 2 x 20 GiB less all of it: 25.1 GiB."""
    nodes = [node("a", memory="20Gi"), node("b", memory="20Gi")]
    made = [
        machine("one", "a", memory=4 * GIB),
        machine("two", "a", memory=8 * GIB),
        machine("three", "b", memory=2 * GIB),
    ]
    found = judged(*nodes, pool(unavailable=1), *made).memory
    assert found.highest_node == "a"
    assert found.highest == 12 * GIB + 2 * OVERHEAD
    assert found.free == 40 * GIB - 14 * GIB - 3 * OVERHEAD
    assert found.suffices is True
    twice = judged(*nodes, pool(unavailable=2), *made).memory
    assert twice.parallel * (12 * GIB + 2 * OVERHEAD) > 26 * GIB - 3 * OVERHEAD
    assert twice.suffices is False


@examples(100)
@given(
    sizes=st.lists(st.integers(1, 32), min_size=1, max_size=8),
    memory=st.integers(16, 96),
    more=st.integers(0, 64),
    parallel=st.integers(1, 3),
)
def test_more_memory_never_makes_the_product_worse(
    sizes: list[int], memory: int, more: int, parallel: int
) -> None:
    def suffices(size: int) -> bool | None:
        made = [machine(f"vm-{n}", "ab"[n % 2], memory=s * GIB) for n, s in enumerate(sizes)]
        nodes = [node("a", memory="96Gi"), node("b", memory=f"{size}Gi")]
        return judged(*nodes, pool(unavailable=parallel), *made).memory.suffices

    assume(suffices(memory))
    assert suffices(memory + more)


@examples(60)
@given(data=st.data())
def test_no_machine_is_put_where_it_may_not_be(data: st.DataObject) -> None:
    """Everything is looked at again here, in another way."""
    names = [f"n{number}" for number in range(data.draw(st.integers(2, 5)))]
    memory = {name: data.draw(st.integers(4, 24)) for name in names}
    zones = {name: data.draw(st.sampled_from("xy")) for name in names}
    tainted = {name for name in names if data.draw(st.integers(0, 3)) == 0}
    made, sizes, wants, tolerates, where = [], {}, {}, {}, {}
    for number in range(data.draw(st.integers(1, 9))):
        name = f"vm{number}"
        sizes[name] = data.draw(st.integers(1, 8)) * GIB + OVERHEAD
        wants[name] = data.draw(st.sampled_from(["x", "y", ""]))
        tolerates[name] = data.draw(st.booleans())
        where[name] = data.draw(st.sampled_from(names))
        made += machine(
            name,
            where[name],
            memory=sizes[name] - OVERHEAD,
            selector={"zone": wants[name]} if wants[name] else None,
            tolerations=[{"key": "t", "operator": "Exists"}] if tolerates[name] else [],
        )
    nodes = []
    for name in names:
        each = node(name, memory=f"{memory[name]}Gi", zone=zones[name])
        if name in tainted:
            each["spec"] = {"taints": [{"key": "t", "effect": "NoSchedule"}]}
        nodes.append(each)
    for drain in judged(*nodes, made).drains:
        load = {name: sum(sizes[vm] for vm in where if where[vm] == name) for name in names}
        for found in drain.places:
            target, vm = found.target, found.key.name
            if not target:
                continue
            assert target != drain.node
            assert wants[vm] in ("", zones[target])
            assert tolerates[vm] or target not in tainted
            load[target] += sizes[vm]
            assert load[target] <= memory[target] * GIB


# Settings.


def test_settings_come_from_kubevirt_then_hyperconverged_then_the_defaults() -> None:
    def hyperconverged(spec: Any, version: str) -> Object:
        return {
            "apiVersion": f"hco.kubevirt.io/{version}",
            "kind": "HyperConverged",
            "metadata": {"name": "kubevirt-hyperconverged", "namespace": "openshift-cnv"},
            "spec": spec,
        }

    written = {"parallelMigrationsPerCluster": 20, "allowPostCopy": True}
    old = hyperconverged({"liveMigrationConfig": {"progressTimeout": 99}}, "v1beta1")
    new = hyperconverged({"virtualization": {"liveMigrationConfig": {"network": "mig"}}}, "v1")
    both = settings(Inventory.from_objects([*TWO, old, kubevirt(migrations=written)]))
    assert (both["parallelMigrationsPerCluster"].value, both["allowPostCopy"].value) == (20, True)
    timeout = both["progressTimeout"]
    assert (timeout.value, timeout.set_by) == (150, "default of KubeVirt")
    without = settings(Inventory.from_objects([*TWO, old]))
    assert without["progressTimeout"].value == 99
    assert settings(Inventory.from_objects([*TWO, new]))["network"].value == "mig"
    odd = kubevirt(migrations="none")
    assert settings(Inventory.from_objects([*TWO, odd]))["network"].set_by == "default of KubeVirt"


GOLD, PROD = {"tier": "gold"}, {"env": "prod"}


@pytest.mark.parametrize(
    ("policies", "chosen"),
    [
        ([policy("one", machine=GOLD)], "one"),
        ([policy("one", machine={"tier": "iron"})], None),
        ([policy("one", machine=GOLD), policy("two", machine=GOLD | {"os": "x"})], "two"),
        ([policy("b", machine=GOLD), policy("a", machine={"os": "x"})], "a"),
        ([policy("one", namespace=PROD), policy("two", machine=GOLD)], "two"),
        ([policy("one", machine=GOLD, namespace=PROD), policy("two", machine=GOLD)], "one"),
        ([policy("one", namespace={"env": "test"})], None),
        ([policy("all")], "all"),
        ([{**policy("none"), "spec": {}}], None),
    ],
)
def test_the_policy_with_the_most_labels_counts(policies: list[Object], chosen: str | None) -> None:
    made = machine("vm", "a")
    made[0]["metadata"]["labels"] |= {"tier": "gold", "os": "x"}
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "web", "labels": {"env": "prod"}},
    }
    inventory = Inventory.from_objects([*TWO, *made, namespace, *policies])
    (instance,) = inventory.machines.values()
    found = policy_of(instance, inventory)
    assert (found.metadata.name if found else None) == chosen


# Quantities.

VALID = ["4Gi", "500m", "1e9", "2", 2, 1.5, "1.5Gi", "100n", "3E", "3Ei", "1E3", "1e-3", ".5", "5."]
INVALID = ["", "x", "1K", "1 Gi", "0x10", "1e", "1e5Ki", True, None, [], {}, "9" * 50, "-", "Ki"]


@pytest.mark.parametrize("text", [*VALID, "+1", "-2k", "12u", "1Pi", "1P", "1T", "1Ti", "1M"])
def test_a_quantity_is_what_the_kubernetes_client_reads(text: object) -> None:
    assert amount(text) == parse_quantity(text)


@pytest.mark.parametrize(("text", "sign"), [("1e999", 1), ("10E", 1), ("-9e99", -1)])
def test_a_quantity_has_64_bits_as_in_kubernetes(text: str, sign: int) -> None:
    assert amount(text) == sign * (2**63 - 1)


@pytest.mark.parametrize("text", INVALID)
def test_what_is_no_quantity_is_none(text: object) -> None:
    assert amount(text) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (100, "100 B"),
        (1536, "1.5 KiB"),
        (4 * GIB, "4 GiB"),
        (Decimal("1.25") * GIB, "1.2 GiB"),
    ],
)
def test_bytes_are_shown_for_people(size: Decimal | int, text: str) -> None:
    assert shown(size) == text


# The command.


@pytest.fixture
def dump(tmp_path: Path) -> str:
    path = tmp_path / "machines.json"
    items = cluster(3, 20)
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return str(path)


def test_the_command_says_the_same_in_every_form(run: Run, dump: str) -> None:
    done = run("readiness", "-f", dump, "-o", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert found["ready"] is False
    assert [(each["name"], each["completes"]) for each in found["nodes"]] == [
        ("worker-000", True),
        ("worker-001", False),
        ("worker-002", True),
    ]
    blocked = [each for each in found["machines"] if each["drain"] == "blocks"]
    assert [each["name"] for each in blocked] == ["vm-00007"]
    table = run("readiness", "-f", dump).stdout
    assert table.startswith("Ready:     not every drain completes\n")
    assert "web/vm-00007" in table
    assert run("readiness", "-f", dump, "--exit-zero", "-q").returncode == 0


def test_an_input_without_machines_is_refused_and_one_of_rbac_is_incomplete(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "none.json"
    path.write_text('{"apiVersion": "v1", "kind": "List", "items": []}')
    assert run("readiness", "-f", str(path)).returncode == 2
    rbac = run("readiness", "-f", "examples/clusters/A-before-4.18.yaml", "-o", "json")
    assert rbac.returncode == 3
    assert json.loads(rbac.stdout)["ready"] is None
