"""The target nodes of VMs, and the reasons of kube-scheduler for nodes that cannot run them."""

from __future__ import annotations

from typing import Any

import pytest
from assessments import (
    TWO,
    Object,
    assessed,
    key,
    node_affinity,
    placement,
    scheduler,
    without,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from workload_objects import GIB, MODELS, OVERHEAD, node, pod, vmi

from rbacguard.readiness.scheduling import Placement

CPU_LABEL = "cpu-model-migration.node.kubevirt.io/"
SELECTOR = "node(s) didn't match Pod's node affinity/selector"
TAINTED = {"taints": [{"key": "gpu", "value": "x", "effect": "NoSchedule"}]}


def cordoned(name: str) -> Object:
    return {**node(name), "spec": {"unschedulable": True}}


def tainted(name: str, **labels: str) -> Object:
    return {**node(name, **labels), "spec": TAINTED}


def failures(*objects: Object | list[Object], **options: Any) -> dict[str, int]:
    """Return the filter failures of a VMI on node a, with these other objects."""
    found = placement(assessed(node("a"), *objects, vmi("vm", "a", **options)))
    return dict(found.filter_failures)


def target(*objects: Object | list[Object], **options: Any) -> str:
    """Return the target of a VMI on node a, with these other objects."""
    return placement(assessed(*objects, vmi("vm", "a", **options))).target


def unreadable(name: str) -> list[Object]:
    """Return a VMI whose requests cannot be parsed."""
    objects = vmi(name, "a")
    objects[1]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "lots"
    return objects


def test_a_placement_has_source_and_target() -> None:
    assert placement(assessed(TWO, vmi("vm", "a"))) == Placement(key("vm"), "a", "b")


def test_the_target_is_the_node_with_the_least_free_memory() -> None:
    nodes = [node("a"), node("b", memory="64Gi"), node("c", memory="32Gi")]
    assert target(nodes) == "c"


def test_memory_includes_the_overhead() -> None:
    size = 4 * GIB + OVERHEAD
    assert target(node("a"), node("b", memory=str(size))) == "b"
    assert failures(node("b", memory=str(size - 1))) == {
        "Insufficient memory (4.3 GiB requested)": 1
    }


@pytest.mark.parametrize(
    ("objects", "name", "reason"),
    [
        (without(vmi("vm", "a"), "Pod"), "a", "the virt-launcher pod was not read"),
        (vmi("vm", "ghost"), "ghost", "node ghost does not report its host-model CPU"),
        (unreadable("vm"), "a", "the resource requests cannot be parsed"),
    ],
)
def test_a_target_can_be_unknown(objects: list[Object], name: str, reason: str) -> None:
    found = assessed(TWO, objects)
    assert placement(found) == Placement(key("vm"), name, "", unknown=reason)
    assert found.is_ready is None


@pytest.mark.parametrize(
    ("other", "failure"),
    [
        (cordoned("b"), "node(s) were unschedulable"),
        (node("b", **{"kubevirt.io/schedulable": "false"}), "node(s) were unschedulable"),
        (tainted("b"), "node(s) had untolerated taint(s) (gpu:NoSchedule)"),
        ({**node("b"), "spec": {"taints": [{"key": "gpu", "effect": "PreferNoSchedule"}]}}, ""),
    ],
)
def test_cordons_and_taints(other: Object, failure: str) -> None:
    assert failures(other) == ({failure: 1} if failure else {})


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ({"conditions": [{"type": "Ready", "status": "Unknown"}]}, "node(s) were unschedulable"),
        ({"conditions": []}, ""),
        (
            {"allocatable": {"memory": "64Gi", "pods": "250"}},
            "Insufficient cpu (0.2 requested)",
        ),
        (
            {"allocatable": {"memory": "many", "cpu": "4"}},
            "node(s) had requests that cannot be parsed",
        ),
    ],
)
def test_node_status(status: Object, failure: str) -> None:
    other = node("b")
    other["status"] |= status
    assert failures(other) == ({failure: 1} if failure else {})


def test_filter_failures_are_counted_by_reason() -> None:
    small = [node("b", memory="1Gi"), node("c", memory="2Gi"), cordoned("d")]
    assert failures(small) == {
        "Insufficient memory (4.3 GiB requested)": 2,
        "node(s) were unschedulable": 1,
    }
    exists = node_affinity(matchExpressions=[{"key": "disk", "operator": "Exists"}])
    assert failures(node("b"), node("c"), affinity=exists) == {SELECTOR: 2}
    full = [node("b"), node("c")]
    full[0]["status"]["allocatable"]["pods"] = "0"
    del full[1]["status"]["allocatable"]["pods"]
    assert failures(full) == {"Too many pods": 2}


def test_the_cpu_label_is_reported_before_other_labels() -> None:
    assert failures(node("b", MODELS[2]), selector={"a-zone": "x"}) == {
        f"{SELECTOR} ({CPU_LABEL}{MODELS[0]})": 1
    }


@pytest.mark.parametrize(
    ("toleration", "is_tolerated"),
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
def test_tolerations(*, toleration: dict[str, str], is_tolerated: bool) -> None:
    found = target(node("a"), tainted("b"), tolerations=[toleration])
    assert bool(found) is is_tolerated


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}, True),
        ({"key": "disk", "operator": "In", "values": ["hdd"]}, False),
        ({"key": "disk", "operator": "NotIn", "values": ["ssd"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["ssd"]}, True),
        ({"key": "disk", "operator": "Exists"}, True),
        ({"key": "disk", "operator": "DoesNotExist"}, False),
        ({"key": "size", "operator": "Gt", "values": ["4"]}, True),
        ({"key": "size", "operator": "Gt", "values": ["8"]}, False),
        ({"key": "size", "operator": "Lt", "values": ["4"]}, False),
        ({"key": "size", "operator": "Lt", "values": ["8"]}, False),
        ({"key": "disk", "operator": "Gt", "values": ["4"]}, False),
        ({"key": "none", "operator": "Lt", "values": ["4"]}, False),
        ({"key": "disk", "operator": "Near", "values": ["ssd"]}, False),
    ],
)
def test_node_affinity(*, expression: Object, matches: bool) -> None:
    other = node("b", disk="ssd", size="8")
    affinity = node_affinity(matchExpressions=[expression])
    assert bool(target(node("a"), other, affinity=affinity)) is matches


@pytest.mark.parametrize(("name", "matches"), [("b", True), ("c", False)])
def test_node_affinity_can_select_by_node_name(*, name: str, matches: bool) -> None:
    field = {"key": "metadata.name", "operator": "In", "values": [name]}
    assert bool(target(TWO, affinity=node_affinity(matchFields=[field]))) is matches


def test_an_empty_node_selector_term_matches_no_node() -> None:
    assert not target(TWO, affinity=node_affinity())


def test_vms_with_other_tolerations_or_affinity_have_other_targets() -> None:
    equal = [{"key": "gpu", "operator": "Equal", "value": "x"}]
    cluster = scheduler(
        node("a"), tainted("b"), vmi("vm", "a"), vmi("peer", "a", tolerations=equal)
    )
    assert not cluster.place(key("vm")).target
    assert cluster.place(key("peer")).target == "b"

    def disk(value: str) -> Object:
        return node_affinity(
            matchExpressions=[{"key": "disk", "operator": "In", "values": [value]}]
        )

    vms = [vmi("vm", "a", affinity=disk("hdd")), vmi("peer", "a", affinity=disk("ssd"))]
    cluster = scheduler(node("a"), node("b", disk="ssd"), *vms)
    assert not cluster.place(key("vm")).target
    assert cluster.place(key("peer")).target == "b"


def test_a_host_model_vmi_migrates_only_to_a_node_with_its_cpu() -> None:
    cascade, ice, epyc = MODELS
    assert target(node("a", cascade), node("b", ice)) == "b"
    assert not target(node("a", cascade), node("b", epyc))
    found = placement(assessed(node("a", ice), node("b", cascade), vmi("vm", "a")))
    assert found.filter_failures == {f"{SELECTOR} ({CPU_LABEL}{ice})": 1}
    assert target(node("a", ice), node("b", cascade), model="Haswell") == "b"


def test_a_host_model_vmi_needs_the_required_features_of_its_node() -> None:
    source = node("a", **{"host-model-required-features.node.kubevirt.io/avx512": "true"})
    assert not target(source, node("b"))
    assert target(source, node("b", **{"cpu-feature.node.kubevirt.io/avx512": "true"})) == "b"


def test_a_vmi_that_migrated_before_keeps_its_first_cpu() -> None:
    cascade, ice, _ = MODELS
    first = {f"{CPU_LABEL}{cascade}": "true"}
    assert target(node("a", ice), node("b", cascade), selector=first) == "b"


def test_a_restarted_vmi_has_the_cpu_of_its_new_node() -> None:
    cascade, ice, _ = MODELS
    nodes = [
        node("a", cascade),
        node("b", ice, memory="64Gi"),
        node("c", cascade, memory="32Gi"),
        node("d", ice),
    ]
    cluster = scheduler(nodes, vmi("vm", "a"))
    assert cluster.copy().place(key("vm")).target == "c"
    cluster.evict(key("vm"), "a")
    cluster.cordon(["a", "c"])
    assert cluster.place(key("vm"), restart=True) == Placement(key("vm"), "a", "b")
    cluster.cordon(["b"])
    assert cluster.place(key("vm"), "b") == Placement(key("vm"), "b", "d")


def test_each_placement_changes_the_free_memory() -> None:
    """Each VM needs 6.3 GiB, so b has 20, 13.7, 7.4, and 1.1 GiB. Then only c has enough."""
    nodes = [node("a"), node("b", memory="20Gi"), node("c", memory="24Gi")]
    names = [f"vm-{number}" for number in range(4)]
    cluster = scheduler(nodes, *(vmi(name, "a", memory=6 * GIB) for name in names))
    assert [cluster.place(key(name)).target for name in names] == ["b", "b", "b", "c"]
    cluster.evict(key("vm-0"), "b")
    assert cluster.place(key("vm-0"), "a").target == "b"


def test_a_copy_does_not_change_the_cluster() -> None:
    cluster = scheduler(TWO, vmi("vm", "a"))
    free = cluster.free("memory")
    assert cluster.copy().place(key("vm")).target == "b"
    assert cluster.free("memory") == free


def test_cordoned_and_unschedulable_nodes_have_no_free_resources() -> None:
    cluster = scheduler(TWO, node("c", **{"kubevirt.io/schedulable": "false"}))
    assert cluster.free("memory") == 512 * GIB
    cluster.cordon(["a"])
    assert cluster.free("memory") == 256 * GIB
    full = scheduler(TWO, vmi("vm", "a", memory=512 * GIB))
    full.cordon(["b"])
    assert full.place(key("vm")).filter_failures == {}


def test_a_node_without_a_resource_has_none_free() -> None:
    small, bare = node("b"), node("a")
    del small["status"]["allocatable"]["memory"]
    assert scheduler(node("a"), small).free("memory") == 256 * GIB
    bare["status"]["allocatable"] = {"cpu": "4"}
    cluster = scheduler(bare, vmi("vm", "a"))
    cluster.evict(key("vm"), "a")
    assert cluster.free("memory") == cluster.free("devices.kubevirt.io/kvm") == 0


def test_quantities_that_cannot_be_parsed_make_free_resources_unknown() -> None:
    odd = node("b")
    odd["status"]["allocatable"]["memory"] = "lots"
    cluster = scheduler(node("a"), odd, vmi("vm", "b"), vmi("peer", "b"), pod("bare", "a"))
    assert cluster.free("memory") is None
    cluster.evict(key("vm"), "b")
    assert cluster.free("memory") is None
    assert cluster.place(key("peer"), "b").target == "a"


def test_the_source_node_can_be_missing_from_the_input() -> None:
    cluster = scheduler(TWO, vmi("vm", "ghost", model="Haswell"))
    assert cluster.place(key("vm")) == Placement(key("vm"), "ghost", "a")
    cluster.evict(key("vm"), "ghost")
    assert cluster.free("pods") == 499


def test_a_pod_without_containers_counts_as_a_pod() -> None:
    empty = pod("none", "b")
    empty["spec"]["containers"] = []
    assert scheduler(TWO, empty).free("pods") == 499


@examples(60)
@given(data=st.data())
def test_no_vmi_is_placed_on_a_node_that_cannot_run_it(data: st.DataObject) -> None:
    """Zones, tolerations, and memory are checked independently."""
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
        made += vmi(
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
    for drain in assessed(nodes, made).drains:
        load = {name: sum(sizes[vm] for vm in where if where[vm] == name) for name in names}
        for found in drain.placements:
            target, vm = found.target, found.key.name
            if not target:
                continue
            assert target != drain.node
            assert wants[vm] in ("", zones[target])
            assert tolerates[vm] or target not in tainted
            load[target] += sizes[vm]
            assert load[target] <= memory[target] * GIB
