"""The documented memory requirement."""

from __future__ import annotations

from decimal import Decimal

from assessments import TWO, assessed, bare_inventory, without
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import examples
from workload_objects import GIB, OVERHEAD, kubevirt, node, pool, vmi

from rbacguard.readiness.assessment import assess
from rbacguard.readiness.spare_memory import SpareMemory

MIB = 2**20
NO_POOL = "no MachineConfigPool was read; one node at a time is assumed"


def test_the_required_memory_is_the_documented_product() -> None:
    """VMs on a need 4.3 + 8.3 GiB, on b 2.3 GiB. Free are 2 x 20 GiB - 14.9 GiB = 25.1 GiB."""
    nodes = [node("a", memory="20Gi"), node("b", memory="20Gi")]
    vms = [
        vmi("one", "a", memory=4 * GIB),
        vmi("two", "a", memory=8 * GIB),
        vmi("three", "b", memory=2 * GIB),
    ]
    found = assessed(*nodes, pool(unavailable=1), *vms).memory
    assert found.highest_node == "a"
    assert found.highest == found.required == 12 * GIB + 2 * OVERHEAD
    assert found.free == 40 * GIB - 14 * GIB - 3 * OVERHEAD
    assert found.is_sufficient is True
    twice = assessed(*nodes, pool(unavailable=2), *vms).memory
    assert twice.required == 2 * (12 * GIB + 2 * OVERHEAD)
    assert twice.is_sufficient is False


def test_of_two_equal_nodes_the_first_by_name_is_reported() -> None:
    size = 4 * GIB + OVERHEAD
    found = assessed(TWO, vmi("one", "b"), vmi("two", "a")).memory
    free = Decimal(512 * GIB - 2 * size)
    assert found == SpareMemory(1, NO_POOL, Decimal(size), "a", free)


def test_the_number_of_parallel_drains_has_a_source() -> None:
    nodes = [node("a"), node("b", gold="yes")]
    pools = [pool(unavailable=2), pool("gold", 1, gold="yes")]
    found = assessed(nodes, pools, vmi("vm", "a"), vmi("peer", "b")).memory
    assert found.source == "maxUnavailable of the pools: 1 of gold, 2 of worker"


def test_without_vmis_on_nodes_no_memory_is_required() -> None:
    found = assessed(TWO, vmi("vm", "")).memory
    assert found == SpareMemory(1, NO_POOL, Decimal(), "", Decimal(512 * GIB))
    assert found.is_sufficient is True


def test_incomplete_input_makes_the_memory_unknown() -> None:
    assert assessed(vmi("vm", "a")).memory.free is None
    unread = assessed(TWO).memory
    assert (unread.highest, unread.highest_node, unread.is_estimated) == (None, "", True)
    assert unread.is_sufficient is None


def test_without_pods_the_requirement_is_a_lower_bound() -> None:
    """Each VM has 4 GiB of memory, 2 vCPUs, and no requests, so no overhead of page tables."""
    nodes = [node("a", memory="8Gi"), node("b", memory="4Gi")]
    vms = without([*vmi("x", "a"), *vmi("y", "a")], "Pod")
    found = assess(bare_inventory(nodes, vms)).memory
    each = 4096 + 248 + 16 + 32
    assert found.highest == 2 * each * MIB
    assert found.free == (12 * 1024 - 2 * each) * MIB
    assert found.is_sufficient is False
    small = without(vmi("x", "a", memory=GIB), "Pod")
    assert assess(bare_inventory(nodes, small)).memory.is_sufficient is None
    some = assessed(TWO, without(vmi("vm", "a"), "Pod"), vmi("other", "b")).memory
    assert some.is_estimated


def test_the_requests_of_pods_are_used_if_they_were_read() -> None:
    found = assess(bare_inventory(TWO, vmi("x", "a"))).memory
    assert not found.is_estimated
    assert found.highest == 4 * GIB + OVERHEAD


def test_without_pods_the_requests_depend_on_release_and_overcommitment() -> None:
    vms = without(vmi("vm", "a", memory=4 * GIB), "Pod")
    overcommitted = kubevirt(developerConfiguration={"memoryOvercommit": 200})
    other_release = kubevirt()
    other_release["status"]["observedKubeVirtVersion"] = "v1.8.0"
    default, half, newer = (
        assessed(TWO, vms, setting=setting).memory.highest
        for setting in (kubevirt(), overcommitted, other_release)
    )
    assert default is not None
    assert half == default - 2 * GIB
    assert newer != default


@examples(100)
@given(
    sizes=st.lists(st.integers(1, 32), min_size=1, max_size=8),
    memory=st.integers(16, 96),
    more=st.integers(0, 64),
    parallel=st.integers(1, 3),
)
def test_more_memory_never_makes_the_memory_insufficient(
    sizes: list[int], memory: int, more: int, parallel: int
) -> None:
    def is_sufficient(size: int) -> bool | None:
        vms = [vmi(f"vm-{n}", "ab"[n % 2], memory=s * GIB) for n, s in enumerate(sizes)]
        nodes = [node("a", memory="96Gi"), node("b", memory=f"{size}Gi")]
        return assessed(*nodes, pool(unavailable=parallel), *vms).memory.is_sufficient

    assume(is_sufficient(memory))
    assert is_sufficient(memory + more)
