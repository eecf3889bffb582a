"""The drain of all nodes, one batch after the other."""

from __future__ import annotations

from assessments import TWO, Object, assessed, rollout, without
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from workload_objects import GIB, MODELS, OVERHEAD, node, pool, vmi


def small(*names: str) -> list[Object]:
    """Return nodes with enough memory for one VM of 6 GiB, but not for two."""
    return [node(name, memory="10Gi") for name in names]


def test_a_node_is_empty_after_its_drain() -> None:
    vms = [vmi("one", "a", memory=6 * GIB), vmi("two", "b", memory=6 * GIB)]
    found = rollout(small("a", "b", "c"), pool(), *vms)
    assert found.batches == (("a",), ("b",), ("c",))
    assert (found.drained, found.completes, found.blockers) == (3, True, ())


def test_nodes_that_drain_in_parallel_need_more_free_nodes() -> None:
    vms = [vmi("one", "a", memory=6 * GIB), vmi("two", "b", memory=6 * GIB)]
    found = rollout(small("a", "b", "c"), pool(unavailable=2), *vms)
    assert found.batches == (("a", "b"), ("c",))
    assert (found.drained, found.completes, found.blocked_at) == (0, False, ("a", "b"))
    assert found.blockers == ("web/two on b has no target node",)
    assert rollout(small("a", "b", "c", "d"), pool(unavailable="50%"), *vms).completes is True


def test_a_vmi_moves_to_resources_that_an_earlier_drain_freed() -> None:
    """`early` migrates to b and back to a. Then `late` can migrate to b when c is drained."""
    nodes = [
        node("a", memory="12Gi", side="left"),
        node("b", memory="12Gi", side="left", late="yes"),
        node("c", memory="12Gi"),
    ]
    early = vmi("early", "a", memory=10 * GIB, selector={"side": "left"})
    late = vmi("late", "c", memory=10 * GIB, selector={"late": "yes"})
    assert rollout(nodes, pool(), early, late).completes is True
    stays = vmi("early", "a", memory=10 * GIB, selector={"late": "yes"})
    found = rollout(nodes, pool(), stays, late)
    assert (found.drained, found.blocked_at) == (1, ("b",))
    assert found.blockers == ("web/early on b has no target node",)


def test_vmis_of_a_batch_are_placed_by_size_and_name() -> None:
    nodes = [node("a", memory="64Gi"), node("b", memory="64Gi"), node("c", memory="9Gi")]
    vms = [vmi("alpha", "a", memory=2 * GIB), vmi("zeta", "b", memory=8 * GIB)]
    found = rollout(nodes, pool(unavailable=2), *vms)
    assert found.blockers == ("web/alpha on a has no target node",)
    equal = [vmi("alpha", "b", memory=8 * GIB), vmi("zeta", "a", memory=8 * GIB)]
    found = rollout(nodes, pool(unavailable=2), *equal)
    assert found.blockers == ("web/zeta on a has no target node",)


def test_the_rollout_stops_at_a_blocked_vmi() -> None:
    blocked = vmi("vm", "b", reason="DisksNotLiveMigratable", message="no")
    found = rollout(small("a", "b", "c"), pool(), blocked)
    assert (found.drained, found.blocked_at) == (1, ("b",))
    assert found.blockers == ("web/vm on b blocks the drain",)


def test_unknown_results_name_the_vmi() -> None:
    unread = without(vmi("vm", "a"), "Pod")
    found = rollout(TWO, pool(), unread, vmi("odd", "b", strategy="External"))
    assert found.completes is None
    assert "web/vm on a: the virt-launcher pod was not read" in found.unknown
    assert "web/odd on b: an external controller handles the eviction" in found.unknown
    odd = vmi("vm", "a", strategy="None")
    odd[1]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "lots"
    found = rollout(TWO, pool(), odd)
    assert found.unknown[-1] == "web/vm on a: the resource requests cannot be parsed"


def test_restarting_vmis_are_placed_after_migrating_vmis() -> None:
    restarts = vmi("restarts", "a", memory=6 * GIB, strategy="None")
    migrates = vmi("migrates", "b", memory=6 * GIB)
    found = rollout(small("a", "b", "c"), pool(), restarts, migrates)
    assert (found.completes, found.unavailable) == (True, ())
    # In a batch of two nodes, the drain waits for the migration, not for the restart.
    found = rollout(small("a", "b", "c"), pool(unavailable=2), restarts, migrates)
    assert (found.completes, found.drained) == (True, 2)
    waiting = ("web/restarts on a starts again only after a node is back",)
    assert found.unavailable == waiting
    assert rollout(small("a", "b"), pool(), restarts).unavailable == ()
    assert rollout(small("a"), pool(), restarts).unavailable == waiting


def test_a_restarting_vmi_without_a_target_cannot_start_again() -> None:
    cordoned = [*small("a"), node("b", memory="1Gi")]
    cordoned[0]["spec"]["unschedulable"] = True
    found = rollout(cordoned, pool(), vmi("vm", "a", memory=6 * GIB, strategy="None"))
    assert found.unavailable == ("web/vm on a cannot start again",)


def test_a_stopped_vm_frees_its_resources_and_a_restarted_one_does_not() -> None:
    migrates = vmi("migrates", "b", memory=6 * GIB)
    stops = vmi("vm", "a", memory=6 * GIB, strategy="None", run="Manual")
    assert rollout(small("a", "b"), pool(), stops, migrates).blockers == ()
    restarts = vmi("vm", "a", memory=6 * GIB, strategy="None")
    found = rollout(small("a", "b"), pool(), restarts, migrates)
    assert found.blockers == ("web/migrates on b has no target node",)


def test_a_restarting_vmi_can_start_with_another_cpu() -> None:
    cascade, _, epyc = MODELS
    nodes = [node("a", cascade, memory="512Gi"), node("b", epyc), node("c", cascade)]
    label = {f"cpu-model-migration.node.kubevirt.io/{cascade}": "true"}
    full = vmi("full", "c", memory=250 * GIB, selector=label)
    restarts = vmi("vm", "a", memory=6 * GIB, strategy="None", selector=label)
    found = rollout(nodes, pool(), full, restarts)
    assert (found.completes, found.unavailable) == (True, ())
    migrates = vmi("vm", "a", memory=6 * GIB, selector=label)
    found = rollout(nodes, pool(), full, migrates)
    assert found.blockers == ("web/vm on a has no target node",)


def test_without_vmis_in_the_input_the_result_is_unknown() -> None:
    found = assessed(pool(), TWO)
    assert (found.rollout.completes, found.is_ready) == (None, None)
    assert "VirtualMachineInstance: not in the input" in found.rollout.unknown


@examples(40)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    nodes=st.integers(2, 4),
    unavailable=st.integers(1, 2),
)
def test_no_batch_completes_without_enough_memory(
    sizes: list[int], nodes: int, unavailable: int
) -> None:
    """The used memory must fit into the nodes outside the batch.

    No node starts with more than it has, because a VM that does not fit can stay where it is.
    """
    free = {f"n{number}": 10 * GIB for number in range(nodes)}
    vms = []
    for number, size in enumerate(sizes):
        name, needed = f"n{number % nodes}", size * GIB + OVERHEAD
        if needed <= free[name]:
            free[name] -= needed
            vms.append(vmi(f"vm{number}", name, memory=size * GIB))
    found = rollout(small(*free), pool(unavailable=unavailable), *vms)
    for batch in found.batches[: found.drained]:
        assert sum(free.values()) >= len(batch) * 10 * GIB
