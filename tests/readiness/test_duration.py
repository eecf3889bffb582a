"""Duration and timeout of migrations and drains."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from assessments import Object, bare_inventory, key
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from workload_objects import GIB, kubevirt, node, vmi

from rbacguard.readiness.assessment import assess
from rbacguard.readiness.duration import Duration, drain_duration, migration_duration
from rbacguard.readiness.settings import cluster_settings

MIB = 2**20


def duration(objects: list[Object], bandwidth: Decimal | None = None, **settings: Any) -> Duration:
    """Return the duration of the migration of a VMI with these settings of the cluster."""
    found = bare_inventory(objects, kubevirt(migrations=settings))
    (only,) = found.vmis.values()
    return migration_duration(only, cluster_settings(found), bandwidth)


def test_the_timeout_counts_gigabytes_rounded_up() -> None:
    """4 GiB are 4.29 GB, which count as 5, with 150 s each."""
    found = duration(vmi("vm", "a", memory=4 * GIB))
    assert found.data == 4 * GIB
    assert found.timeout == 750
    exact, more = vmi("vm", "a"), vmi("vm", "a")
    exact[0]["spec"]["domain"]["memory"]["guest"] = "1G"
    more[0]["spec"]["domain"]["memory"]["guest"] = "1000000001"
    assert (duration(exact).timeout, duration(more).timeout) == (150, 300)


def test_the_duration_is_the_memory_divided_by_the_bandwidth() -> None:
    vm = vmi("vm", "a", memory=4 * GIB)
    found = duration(vm, bandwidthPerMigration="64Mi")
    assert found.bandwidth == 64 * MIB
    assert found.seconds == 64
    assert found.exceeds_timeout is False
    slow = duration(vm, bandwidthPerMigration="5Mi")
    assert (slow.seconds, slow.exceeds_timeout) == (Decimal(4 * GIB) / (5 * MIB), True)


def test_outbound_migrations_share_the_bandwidth_of_the_network() -> None:
    """Two migrations leave a node at the same time by default."""
    vm = vmi("vm", "a", memory=4 * GIB)
    shared = duration(vm, Decimal(64 * MIB))
    assert shared.bandwidth == 32 * MIB
    assert shared.seconds == 128
    assert duration(vm, Decimal(2**40), bandwidthPerMigration="64Mi").seconds == 64
    assert duration(vm, Decimal(64 * MIB), bandwidthPerMigration="1Gi").seconds == 128
    assessed = assess(bare_inventory(node("a"), vm, kubevirt()), Decimal(64 * MIB))
    assert assessed.durations[key("vm")] == shared


def test_without_a_bandwidth_the_duration_is_unknown() -> None:
    found = duration(vmi("vm", "a"))
    assert (found.bandwidth, found.seconds, found.exceeds_timeout) == (None, None, None)


def test_the_guest_memory_wins_over_the_memory_request() -> None:
    vm = vmi("vm", "a", memory=2 * GIB)
    vm[0]["spec"]["domain"]["resources"] = {"requests": {"memory": "8Gi"}}
    assert duration(vm).data == 2 * GIB
    del vm[0]["spec"]["domain"]["memory"]
    assert duration(vm).data == 8 * GIB
    vm[0]["spec"]["domain"]["resources"] = {"requests": {"memory": "lots"}}
    assert duration(vm) == Duration(None, None, None, None)
    vm[0]["status"]["migrationMethod"] = "BlockMigration"
    assert duration(vm).data is None


def test_a_drain_takes_the_average_or_the_longest_duration() -> None:
    def of(*seconds: int | None) -> list[Duration]:
        return [Duration(None, None, None if s is None else Decimal(s), None) for s in seconds]

    assert drain_duration(of(60, 60, 60, 60), Decimal(2)) == 120
    assert drain_duration(of(10, 10, 100), Decimal(2)) == 100
    assert drain_duration(of(), Decimal(2)) == 0
    assert drain_duration(of(10, None), Decimal(2)) is None


@examples(60)
@given(
    sizes=st.lists(st.integers(1, 64), min_size=1, max_size=6),
    more=st.integers(1, 64),
    limit=st.integers(1, 2000),
)
def test_more_memory_never_makes_a_drain_shorter(sizes: list[int], more: int, limit: int) -> None:
    def seconds(found: list[int]) -> Decimal:
        vms = [vmi(f"vm{n}", "a", memory=size * GIB) for n, size in enumerate(found)]
        setting = kubevirt(migrations={"bandwidthPerMigration": f"{limit}Mi"})
        nodes = [node("a"), node("b", memory="1000Gi")]
        (drain,) = assess(bare_inventory(nodes, setting, *vms)).drains
        assert drain.seconds is not None
        return drain.seconds

    assert seconds([*sizes, more]) >= seconds(sizes)
    assert seconds([sizes[0] + more, *sizes[1:]]) >= seconds(sizes)
