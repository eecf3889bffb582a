"""MachineConfigPools: pool of a node, maxUnavailable, and the order of updates."""

from __future__ import annotations

import pytest
from assessments import assessed, rollout
from workload_objects import node, pool, vmi

ZONE = "topology.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("unavailable", "nodes", "parallel"),
    [
        (None, 4, 1),
        (2, 4, 2),
        (0, 5, 1),
        ("3", 5, 3),
        ("x", 5, 1),
        ("50%", 5, 2),
        ("10%", 5, 1),
        ("100%", 5, 5),
        ("33%", 100, 33),
        ("1x%", 5, 1),
        ("%", 5, 1),
    ],
)
def test_max_unavailable_is_a_number_or_a_percentage(
    unavailable: int | str | None, nodes: int, parallel: int
) -> None:
    names = [f"n{number}" for number in range(nodes)]
    found = assessed(*map(node, names), pool(unavailable=unavailable), vmi("vm", "n0"))
    assert found.memory.parallel_nodes == parallel


def test_pools_drain_in_parallel() -> None:
    pools = [pool(unavailable=2), pool("gold", 1, gold="yes")]
    nodes = [node("a"), node("b", gold="yes"), node("c")]
    found = assessed(nodes, pools, vmi("vm", "a"), vmi("peer", "b"))
    assert {each.node: each.pool for each in found.drains} == {"a": "worker", "b": "gold"}
    assert found.memory.parallel_nodes == 3


def test_a_custom_pool_wins_over_worker() -> None:
    labels = {"gold": "yes", "node-role.kubernetes.io/worker": ""}
    gold = node("b")
    gold["metadata"]["labels"] = labels
    pools = [pool(), pool("zeta", gold="yes"), pool("alpha", gold="no")]
    assert [each.pool for each in assessed(gold, pools, vmi("vm", "b")).drains] == ["zeta"]
    all_labels = assessed(gold, pool("alone", **labels), vmi("vm", "b"))
    assert all_labels.drains[0].pool == "alone"


def test_a_node_that_was_not_read_has_no_pool() -> None:
    found = assessed(node("a"), pool(), vmi("vm", "ghost"), vmi("other", "a"))
    assert {each.node: each.pool for each in found.drains} == {"a": "worker", "ghost": ""}


def test_nodes_are_updated_by_zone_and_age_without_paused_pools() -> None:
    nodes = [
        node("d", **{ZONE: "1"}),
        node("c", **{ZONE: "2"}),
        node("b", **{ZONE: "1"}),
        node("infra", **{"node-role.kubernetes.io/infra": ""}),
    ]
    nodes[0]["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    nodes[2]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    infra = pool("infra", **{"node-role.kubernetes.io/infra": ""})
    assert rollout(nodes, pool(), infra).batches == (("infra", "b"), ("d",), ("c",))
    infra["spec"]["paused"] = True
    assert rollout(nodes, pool(), infra).batches == (("b",), ("d",), ("c",))


def test_nodes_without_a_zone_are_updated_first() -> None:
    nodes = [node("a", **{ZONE: "1"}), node("b"), node("c", **{ZONE: "0"})]
    assert rollout(nodes, pool(), vmi("vm", "b")).batches == (("b",), ("c",), ("a",))


def test_without_nodes_there_is_nothing_to_update() -> None:
    assert rollout(vmi("vm", "a")).batches == ()
