"""What a machine costs besides its memory, against the cases that KubeVirt's own tests name.

kubevirt/kubevirt v1.9 pkg/hypervisor/kvm/hypervisorbackend_test.go: a guest that asks for 1 GiB
costs 2 MiB of page tables, 248 MiB of programs, 8 MiB for its vCPU and 32 MiB for its video.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import machine, node

from rbacguard.kubevirt.releases import RELEASES
from rbacguard.rbac import ObjectMeta
from rbacguard.readiness import overhead
from rbacguard.readiness.drain import judge
from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.objects import KubeVirt
from rbacguard.snapshot.workloads import VirtualMachineInstance

MIB = 2**20
PLAIN = (2 + 248 + 8 + 32) * MIB
Object = dict[str, Any]


def vmi(domain: Object, status: Object | None = None, **spec: Any) -> VirtualMachineInstance:
    """Return a machine that asks for 1 GiB, unless its domain says otherwise."""
    written = {
        "metadata": {"name": "vm", "namespace": "web"},
        "spec": {"domain": {"resources": {"requests": {"memory": "1Gi"}}} | domain, **spec},
        "status": status or {},
    }
    return msgspec.convert(written, VirtualMachineInstance)


def kubevirt(**configuration: Any) -> KubeVirt:
    """Return the KubeVirt resource with a configuration."""
    return KubeVirt(ObjectMeta("kubevirt"), spec={"configuration": configuration})


def sizes(**requests: str) -> Object:
    """Return resources that ask for this, limits being prefixed by `limit_`."""
    limits = {k.removeprefix("limit_"): v for k, v in requests.items() if k.startswith("limit_")}
    asked = {k: v for k, v in requests.items() if not k.startswith("limit_")}
    return {"resources": {"requests": {"memory": "1Gi", **asked}, "limits": limits}}


EXEC = {"exec": {"command": ["true"]}}


@pytest.mark.parametrize(
    ("domain", "spec", "mebibytes"),
    [
        ({}, {}, 0),
        ({"cpu": {"cores": 2, "threads": 2, "sockets": 2}}, {}, 7 * 8),
        ({"cpu": {"sockets": 3}}, {}, 2 * 8),
        (sizes(cpu="3"), {}, 2 * 8),
        (sizes(cpu="3", limit_cpu="5"), {}, 4 * 8),
        ({"devices": {"autoattachGraphicsDevice": False}}, {}, -32),
        ({"devices": {"autoattachGraphicsDevice": True}}, {}, 0),
        ({}, {"architecture": "arm64"}, 128),
        ({"devices": {"hostDevices": [{"name": "test"}]}}, {}, 1024),
        ({"devices": {"gpus": [{"name": "test"}]}}, {}, 1024),
        ({"devices": {"interfaces": [{"name": "test", "sriov": {}}]}}, {}, 1024),
        ({"devices": {"interfaces": [{"name": "test", "passtBinding": {}}]}}, {}, 250),
        ({"devices": {"tpm": {}}}, {}, 53),
        ({"devices": {"tpm": {"enabled": False}}}, {}, 0),
        ({"launchSecurity": {"sev": {}}}, {}, 256),
        ({"launchSecurity": {"snp": {}}}, {}, 256),
        ({"launchSecurity": {"tdx": {}}}, {}, 0),
        ({"cpu": {"cores": 1, "dedicatedCpuPlacement": True}}, {}, 100),
        (sizes(cpu="4", limit_cpu="4", limit_memory="1Gi") | {"cpu": {"cores": 1}}, {}, 100),
        (sizes(cpu="4", limit_cpu="4", limit_memory="2Gi") | {"cpu": {"cores": 1}}, {}, 0),
        ({"memory": {"reservedOverhead": {"addedOverhead": "100Mi"}}}, {}, 100),
        ({}, {"volumes": [{"name": "m", "downwardMetrics": {}}]}, 1),
        ({}, {"livenessProbe": EXEC}, 110),
        ({}, {"readinessProbe": EXEC}, 110),
        ({}, {"livenessProbe": EXEC, "readinessProbe": EXEC}, 120),
        ({}, {"livenessProbe": {"httpGet": {"port": 80}}}, 0),
    ],
)
def test_what_a_machine_costs_besides_its_memory(
    domain: Object, spec: Object, mebibytes: int
) -> None:
    assert overhead.overhead(vmi(domain, **spec), None) == PLAIN + mebibytes * MIB


@pytest.mark.parametrize(
    ("minor", "mebibytes"), [(0, -46), (4, -46), (5, -36), (6, -20), (8, -20), (9, 0)]
)
def test_releases_count_differently(minor: int, mebibytes: int) -> None:
    release = next(each for each in RELEASES if each.kubevirt == (1, minor))
    assert overhead.overhead(vmi({}), None, release) == PLAIN + mebibytes * MIB


def test_a_cluster_can_add_to_it() -> None:
    # 290 MiB are 304,088 thousands of bytes, rounded up; a fifth of that is 60,817 thousands.
    assert overhead.overhead(
        vmi({}), kubevirt(additionalGuestMemoryOverheadRatio="1.2")
    ) == PLAIN + Decimal(60_817_000)
    odd = kubevirt(additionalGuestMemoryOverheadRatio="a lot")
    assert overhead.overhead(vmi({}), odd) == PLAIN
    plugin = {"computeResourceOverhead": {"requests": {"memory": "30Mi"}}}
    plugged = kubevirt(network={"binding": {"p": plugin}})
    interfaces = [{"name": name, "binding": {"name": "p"}} for name in "ab"]
    with_plugin = vmi({"devices": {"interfaces": interfaces}})
    assert overhead.overhead(with_plugin, plugged) == PLAIN + 30 * MIB
    assert overhead.overhead(with_plugin, None) == PLAIN


def test_where_the_cluster_reports_it_that_is_taken() -> None:
    reported = vmi({}, status={"memory": {"memoryOverhead": "271Mi"}})
    assert overhead.overhead(reported, None) == 271 * MIB


@pytest.mark.parametrize(
    ("domain", "configuration", "expected"),
    [
        # The guest's memory without requests has no page tables counted.
        (
            {"resources": {}, "memory": {"guest": "2Gi"}, "cpu": {"cores": 2}},
            {},
            {"memory": (2048 + 288 + 8) * MIB, "cpu": Decimal("0.2")},
        ),
        (
            {"resources": {}, "memory": {"guest": "3Gi"}},
            {"developerConfiguration": {"memoryOvercommit": 150, "cpuAllocationRatio": 4}},
            {"memory": (2048 + 288) * MIB, "cpu": Decimal("0.25")},
        ),
        (sizes(cpu="1500m"), {}, {"memory": 1024 * MIB + PLAIN + 8 * MIB, "cpu": Decimal("1.5")}),
        (
            {"cpu": {"cores": 2, "threads": 2, "dedicatedCpuPlacement": True}},
            {},
            {"memory": 1024 * MIB + PLAIN + (100 + 24) * MIB, "cpu": Decimal(4)},
        ),
        (
            {"resources": {"requests": {"memory": "1Gi"}, "overcommitGuestOverhead": True}},
            {},
            {"memory": 1024 * MIB, "cpu": Decimal("0.1")},
        ),
        (
            {"memory": {"guest": "768Mi", "hugepages": {"pageSize": "2Mi"}}},
            {},
            {
                "memory": 256 * MIB + PLAIN,
                "hugepages-2Mi": 768 * MIB,
                "cpu": Decimal("0.1"),
            },
        ),
        (
            {"resources": {}, "memory": {"hugepages": {"pageSize": "1Gi"}}},
            {},
            {"memory": 288 * MIB, "hugepages-1Gi": 1024 * MIB, "cpu": Decimal("0.1")},
        ),
        (
            {"resources": {"limits": {"memory": "1Gi"}}},
            {},
            {"memory": (1024 + 288) * MIB, "cpu": Decimal("0.1")},
        ),
        ({"resources": {}}, {}, None),
        ({"memory": {"guest": "lots", "hugepages": {"pageSize": "2Mi"}}}, {}, None),
        (
            {"resources": {}, "memory": {"guest": "1e999"}},
            {},
            {"memory": Decimal(2**63 - 1 + 288 * MIB), "cpu": Decimal("0.1")},
        ),
        ({"resources": {"requests": {"memory": "lots"}}}, {}, None),
        ({"resources": {"requests": {"memory": "-1Gi"}}}, {}, None),
    ],
)
def test_what_its_pod_asks_for_at_least(
    domain: Object, configuration: Object, expected: Object | None
) -> None:
    assert overhead.requests(vmi(domain), kubevirt(**configuration)) == expected


@given(st.integers(1, 2**42), st.integers(0, 2**40))
def test_more_memory_never_costs_less(size: int, more: int) -> None:
    def cost(asked: int) -> Decimal:
        found = overhead.requests(vmi(sizes(memory=str(asked))), None)
        assert found is not None
        assert found["memory"] > asked
        return found["memory"]

    assert cost(size) <= cost(size + more)


def test_without_launchers_the_documented_product_is_a_bound() -> None:
    nodes = node("a", memory="8Gi"), node("b", memory="4Gi")
    made = [each for name in "xy" for each in machine(name, "a") if each["kind"] != "Pod"]
    found = judge(Inventory.from_objects([*nodes, *made])).memory
    # Two guests of 4 GiB, two vCPUs each; nothing asks, so there are no page tables.
    each = 4096 + 248 + 16 + 32
    assert found.highest == 2 * each * MIB
    assert found.free == (12 * 1024 - 2 * each) * MIB
    assert found.suffices is False, "even the least does not fit into the most"
    small = [each for each in machine("x", "a", memory=2**30) if each["kind"] != "Pod"]
    assert judge(Inventory.from_objects([*nodes, *small])).memory.suffices is None


def test_pods_that_were_read_are_taken_as_they_are() -> None:
    nodes = node("a"), node("b")
    found = judge(Inventory.from_objects([*nodes, *machine("x", "a")])).memory
    assert not found.estimated
    assert found.highest == (4096 + 300) * MIB
    assert found.suffices is True
