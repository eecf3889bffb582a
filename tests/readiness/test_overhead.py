"""Requests of a virt-launcher pod, with the cases of the tests of KubeVirt.

kubevirt/kubevirt v1.9 pkg/hypervisor/kvm/hypervisorbackend_test.go: a guest that asks for 1 GiB
needs 2 MiB for page tables, 248 MiB for processes, 8 MiB for its vCPU, and 32 MiB for video.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbacguard.kubevirt.releases import RELEASES, Release
from rbacguard.rbac import ObjectMeta
from rbacguard.readiness.overhead import launcher_requests, memory_overhead
from rbacguard.snapshot.objects import KubeVirt
from rbacguard.snapshot.workloads import VirtualMachineInstance

MIB = 2**20
PLAIN = (2 + 248 + 8 + 32) * MIB
Object = dict[str, Any]


def vmi(domain: Object, status: Object | None = None, **spec: Any) -> VirtualMachineInstance:
    """Return a VMI that requests 1 GiB unless its domain requests something else."""
    written = {
        "metadata": {"name": "vm", "namespace": "web"},
        "spec": {"domain": {"resources": {"requests": {"memory": "1Gi"}}} | domain, **spec},
        "status": status or {},
    }
    return msgspec.convert(written, VirtualMachineInstance)


def kubevirt(**configuration: Any) -> KubeVirt:
    """Return a KubeVirt resource with a configuration."""
    return KubeVirt(ObjectMeta("kubevirt"), spec={"configuration": configuration})


def sizes(**requests: str) -> Object:
    """Return resources with requests, and limits with the prefix `limit_`."""
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
def test_the_memory_overhead_depends_on_the_vmi(
    domain: Object, spec: Object, mebibytes: int
) -> None:
    assert memory_overhead(vmi(domain, **spec), None) == PLAIN + mebibytes * MIB


@pytest.mark.parametrize(
    ("minor", "mebibytes"), [(0, -46), (4, -46), (5, -36), (6, -20), (8, -20), (9, 0)]
)
def test_the_memory_overhead_depends_on_the_release(minor: int, mebibytes: int) -> None:
    assert memory_overhead(vmi({}), None, release(minor)) == PLAIN + mebibytes * MIB


def test_the_configuration_can_increase_the_memory_overhead() -> None:
    # 290 MiB are 304,088 kilobytes, rounded up. A fifth of this is 60,817 kilobytes.
    assert memory_overhead(
        vmi({}), kubevirt(additionalGuestMemoryOverheadRatio="1.2")
    ) == PLAIN + Decimal(60_817_000)
    odd = kubevirt(additionalGuestMemoryOverheadRatio="a lot")
    assert memory_overhead(vmi({}), odd) == PLAIN
    plugin = {"computeResourceOverhead": {"requests": {"memory": "30Mi"}}}
    plugged = kubevirt(network={"binding": {"p": plugin}})
    interfaces = [{"name": name, "binding": {"name": "p"}} for name in "ab"]
    with_plugin = vmi({"devices": {"interfaces": interfaces}})
    assert memory_overhead(with_plugin, plugged) == PLAIN + 30 * MIB
    assert memory_overhead(with_plugin, None) == PLAIN


def test_a_reported_memory_overhead_is_used() -> None:
    reported = vmi({}, status={"memory": {"memoryOverhead": "271Mi"}})
    assert memory_overhead(reported, None) == 271 * MIB


@pytest.mark.parametrize(
    ("domain", "configuration", "expected"),
    [
        # Without a memory request, page tables are not counted.
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
def test_the_minimum_requests_of_the_pod(
    domain: Object, configuration: Object, expected: Object | None
) -> None:
    assert launcher_requests(vmi(domain), kubevirt(**configuration)) == expected


@given(st.integers(1, 2**42), st.integers(0, 2**40))
def test_more_memory_never_reduces_the_request(size: int, more: int) -> None:
    def cost(asked: int) -> Decimal:
        found = launcher_requests(vmi(sizes(memory=str(asked))), None)
        assert found is not None
        assert found["memory"] > asked
        return found["memory"]

    assert cost(size) <= cost(size + more)


def release(minor: int) -> Release:
    return next(each for each in RELEASES if each.kubevirt == (1, minor))


def test_disk_threads_count_from_1_6_on() -> None:
    guest = {"memory": {"guest": "2Gi"}, "cpu": {"cores": 2}}
    with_threads = vmi({**guest, "ioThreads": {"supplementalPoolThreadCount": 10}})
    for minor, added in ((5, 0), (6, 1), (7, 1)):
        without = launcher_requests(vmi({**guest, "ioThreads": {}}), None, release(minor))
        found = launcher_requests(with_threads, None, release(minor))
        assert found is not None
        assert without is not None
        assert found["cpu"] - without["cpu"] == added


def test_a_memory_request_of_0_is_unknown() -> None:
    domain = {"memory": {"guest": "2Gi"}, "resources": {"requests": {"memory": "0"}}}
    assert launcher_requests(vmi(domain), None) is None


def test_a_fraction_of_a_core_is_a_vcpu() -> None:
    one, some, two = (
        memory_overhead(vmi(sizes(limit_cpu=cores)), None) for cores in ("1", "1200m", "2")
    )
    assert some == two > one


@pytest.mark.parametrize("ratio", [0, -5, "x"])
def test_an_invalid_ratio_is_the_default(ratio: Any) -> None:
    guest = vmi({"resources": {}, "memory": {"guest": "2Gi"}})
    odd = kubevirt(developerConfiguration={"memoryOvercommit": ratio})
    assert launcher_requests(guest, odd) == launcher_requests(guest, None)
