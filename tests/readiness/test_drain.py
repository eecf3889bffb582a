"""The drain of a single node."""

from __future__ import annotations

from assessments import TWO, assessed, key, placement, without
from workload_objects import GIB, node, vmi


def test_vmis_of_one_node_share_the_free_resources() -> None:
    """Two VMs of 4.3 GiB fit into 9 GiB, three do not."""
    vms = [vmi(f"vm-{number}", "a") for number in range(3)]
    (drain,) = assessed(node("a"), node("b", memory="9Gi"), *vms).drains
    assert [each.target for each in drain.placements] == ["b", "b", ""]
    assert drain.unschedulable == (key("vm-2"),)
    assert drain.completes is False


def test_the_largest_vmi_is_placed_first() -> None:
    small, large = vmi("small", "a", memory=2 * GIB), vmi("vm", "a", memory=8 * GIB)
    found = assessed(node("a"), node("b", memory="9Gi"), small, large)
    assert (placement(found).target, placement(found, "small").target) == ("b", "")


def test_of_two_equal_vmis_the_first_by_name_is_placed() -> None:
    found = assessed(node("a"), node("b", memory="5Gi"), vmi("zeta", "a"), vmi("alpha", "a"))
    assert (placement(found, "alpha").target, placement(found, "zeta").target) == ("b", "")


def test_a_blocked_vmi_blocks_the_drain() -> None:
    (drain,) = assessed(TWO, vmi("vm", "a", reason="DisksNotLiveMigratable")).drains
    assert (drain.blocked, drain.completes) == ((key("vm"),), False)


def test_unknown_outcomes_and_targets_make_a_drain_unknown() -> None:
    external = assessed(TWO, vmi("vm", "a", strategy="External"))
    unread = assessed(TWO, without(vmi("vm", "a"), "Pod"), vmi("other", "b"))
    starting = vmi("vm", "a")
    starting[0]["status"]["conditions"] = []
    for found in (external, unread, assessed(TWO, starting)):
        assert found.drains[0].completes is None
    assert assessed(TWO, vmi("vm", "a")).drains[0].completes is True
