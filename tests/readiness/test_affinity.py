"""Pod affinity and anti-affinity of VMs."""

from __future__ import annotations

from typing import Any

import pytest
from assessments import REQUIRED, TWO, Object, assessed, key, placement, scheduler
from workload_objects import node, pod, vmi

NAME = "vm.kubevirt.io/name"
HOST = "kubernetes.io/hostname"
ZONES = [node(name, zone=zone) for name, zone in (("a", "1"), ("b", "2"), ("c", "1"))]


def term(labels: dict[str, str], by: str = HOST, **more: Any) -> Object:
    return {"topologyKey": by, "labelSelector": {"matchLabels": labels}, **more}


def affinity(*terms: Object) -> Object:
    return {"podAffinity": {REQUIRED: list(terms)}}


def anti_affinity(*terms: Object) -> Object:
    return {"podAntiAffinity": {REQUIRED: list(terms)}}


def test_a_violated_rule_is_reported_with_its_topology_key() -> None:
    own = vmi("vm", "a", affinity=anti_affinity(term({"app": "db"})))
    others = [pod(f"db-{n}", on, app="db") for n, on in enumerate(["b", "c", "", "ghost"])]
    found = assessed(TWO, node("c"), own, others)
    assert placement(found).filter_failures == {
        f"node(s) didn't match pod anti-affinity rules ({HOST})": 2
    }
    existing = pod("db-0", "b")
    existing["spec"]["affinity"] = anti_affinity(term({NAME: "vm"}))
    found = assessed(TWO, vmi("vm", "a"), existing)
    assert placement(found).filter_failures == {
        f"node(s) didn't satisfy existing pods anti-affinity rules ({HOST})": 1
    }
    found = assessed(TWO, vmi("vm", "a", affinity=affinity(term({"app": "db"}))))
    assert placement(found).filter_failures == {
        f"node(s) didn't match pod affinity rules ({HOST})": 1
    }


def test_anti_affinity_is_symmetric() -> None:
    apart = anti_affinity(term({NAME: "peer"}))
    assert not placement(assessed(TWO, vmi("vm", "a", affinity=apart), vmi("peer", "b"))).target
    existing = anti_affinity(term({NAME: "vm"}))
    assert not placement(assessed(TWO, vmi("vm", "a"), vmi("peer", "b", affinity=existing))).target


def test_terms_select_pods_in_their_namespaces() -> None:
    elsewhere = anti_affinity(term({NAME: "peer"}, namespaces=["data"]))
    found = assessed(TWO, vmi("vm", "a", affinity=elsewhere), vmi("peer", "b"))
    assert placement(found).target == "b"


@pytest.mark.parametrize(
    ("labels", "is_selected"), [({"team": "x"}, True), ({}, False), (None, False)]
)
def test_a_namespace_selector_selects_namespaces_by_label(
    *, labels: dict[str, str] | None, is_selected: bool
) -> None:
    """A namespace that was not read (None) has no labels."""
    selector = {"matchLabels": {"team": "x"}}
    apart = anti_affinity(term({"app": "db"}, namespaceSelector=selector))
    metadata = {"name": "data", "labels": labels}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    found = assessed(
        TWO,
        vmi("vm", "a", affinity=apart),
        pod("db", "b", "data", app="db"),
        [namespace] if labels is not None else [],
    )
    assert bool(placement(found).target) is not is_selected


def test_vmis_that_leave_a_node_together_keep_their_anti_affinity() -> None:
    apart = anti_affinity(term({"kubevirt.io": "virt-launcher"}))
    found = assessed(
        TWO, node("c"), vmi("vm", "a", affinity=apart), vmi("peer", "a", affinity=apart)
    )
    assert {each.target for each in found.drains[0].placements} == {"b", "c"}


def test_affinity_needs_a_node_with_the_selected_pod() -> None:
    together = affinity(term({NAME: "peer"}))
    nodes = [*TWO, node("c", memory="64Gi")]
    found = assessed(nodes, vmi("vm", "a", affinity=together), vmi("peer", "b"))
    assert placement(found).target == "b"
    assert not placement(assessed(nodes, vmi("vm", "a", affinity=together))).target


def test_affinity_needs_a_pod_that_all_terms_select() -> None:
    both = affinity(term({"app": "db"}), term({"tier": "gold"}))
    others = [pod("half", "b", app="db"), pod("whole", "c", app="db", tier="gold")]
    found = assessed(TWO, node("c"), vmi("vm", "a", affinity=both), others)
    assert placement(found).target == "c"


@pytest.mark.parametrize(("rule", "by_zone"), [(affinity, "c"), (anti_affinity, "b")])
def test_a_migrating_vmi_matches_its_own_terms(rule: Any, by_zone: str) -> None:
    """Its pod on the source node runs until the migration ends."""
    own = rule(term({NAME: "vm"}, "zone"))
    assert placement(assessed(ZONES, vmi("vm", "a", affinity=own))).target == by_zone
    by_host = rule(term({NAME: "vm"}))
    found = placement(assessed(ZONES, vmi("vm", "a", affinity=by_host)))
    assert bool(found.target) is (rule is anti_affinity)


def test_a_restarting_vmi_can_be_the_first_that_matches_its_affinity() -> None:
    own = affinity(term({NAME: "vm"}, "zone"))
    cluster = scheduler(ZONES, vmi("vm", "a", model="Haswell", affinity=own))
    cluster.evict(key("vm"), "a")
    cluster.cordon(["a", "c"])
    assert cluster.place(key("vm"), restart=True).target == "b"


def test_an_evicted_vmi_does_not_count_for_anti_affinity() -> None:
    apart = anti_affinity(term({NAME: "peer"}))
    cluster = scheduler(TWO, vmi("vm", "a", affinity=apart), vmi("peer", "b"))
    assert not cluster.copy().place(key("vm")).target
    cluster.evict(key("peer"), "b")
    assert cluster.place(key("vm")).target == "b"


def test_a_migrating_vmi_is_on_both_nodes_until_it_is_evicted() -> None:
    apart = anti_affinity(term({NAME: "vm"}, "zone"))
    cluster = scheduler(
        ZONES, vmi("vm", "a", selector={"zone": "2"}), vmi("peer", "a", affinity=apart)
    )
    assert cluster.place(key("vm")).target == "b"
    assert not cluster.place(key("peer")).target
    cluster.evict(key("vm"), "a")
    assert cluster.place(key("peer")).target == "c"
