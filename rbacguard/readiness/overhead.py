"""Resource requests of the virt-launcher pod of a VMI, if the pod was not read.

Follows virt-controller: kubevirt/kubevirt v1.9 pkg/hypervisor/kvm/hypervisorbackend.go,
GetMemoryOverhead; pkg/network/resources/memory.go; pkg/virt-controller/services/renderresources.go,
which contains GetMemoryOverhead up to v1.7. The result is a lower bound, because it covers the
container `compute` only, not hooks, virtiofs, and the console log.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from rbacguard.kubevirt.releases import Release
from rbacguard.readiness.quantity import parse_quantity
from rbacguard.snapshot.objects import KubeVirt, dict_at
from rbacguard.snapshot.workloads import CPU, Domain, VirtualMachineInstance, VMISpec

_MIB = 2**20
_LAUNCHER = (25 + 100) * _MIB
"""virt-launcher-monitor and virt-launcher."""


class _Sizes(NamedTuple):
    """Overhead in MiB that differs between releases."""

    virtlogd: int
    virtqemud: int
    qemu: int
    video: int


_SIZES = {
    (1, 4): _Sizes(20, 35, 30, 16),
    (1, 5): _Sizes(25, 40, 30, 16),
    (1, 8): _Sizes(25, 40, 30, 32),
}
"""Overhead by the last minor release of KubeVirt that has it (tags v1.0.0 to v1.8.3)."""
_NEWEST = _Sizes(25, 40, 50, 32)
_IO_THREAD = 8 * _MIB
_PER_VCPU = 8 * _MIB
_ARM_FLASH = 128 * _MIB
_VFIO = 1024 * _MIB
_DOWNWARD_METRICS = _MIB
_EACH_PROBE, _ANY_PROBE = 10 * _MIB, 100 * _MIB
_SEV = 256 * _MIB
_TPM = 53 * _MIB
_DEDICATED_CPU = 100 * _MIB
_PASST = 250 * _MIB
_MEMORY_OVERCOMMIT = Decimal(100)
_CPU_ALLOCATION_RATIO = Decimal(10)
"""Defaults of KubeVirt (pkg/virt-config/virt-config.go)."""


def memory_overhead(
    vmi: VirtualMachineInstance, kubevirt: KubeVirt | None, release: Release | None = None
) -> Decimal:
    """Return the memory in bytes that a VMI needs in addition to the guest memory.

    Args:
        vmi: the VMI; an overhead in its status is returned as it is.
        kubevirt: the KubeVirt resource, which can set a ratio; None for the defaults.
        release: the release; None for the newest.

    Raises:
        ValueError: a quantity cannot be parsed.
    """
    reported = vmi.status.memory.memory_overhead
    if reported is not None:
        return _quantity(reported)
    domain, configuration = vmi.spec.domain, _configuration(kubevirt)
    overhead = _processes(domain, release) + _devices(vmi.spec, release)
    if (domain.cpu and domain.cpu.dedicated_cpu_placement) or _is_guaranteed(domain):
        overhead += _DEDICATED_CPU
    added = domain.memory.reserved_overhead.added_overhead
    if added is not None:
        overhead += _quantity(added)
    ratio = parse_quantity(configuration.get("additionalGuestMemoryOverheadRatio"))
    if ratio is not None:
        # KubeVirt calculates with binary fractions: 1.2 adds a little less than a fifth.
        overhead += int(_kilobytes(overhead) * (float(ratio) - 1.0)) * 1000
    return overhead + _networks(domain, dict_at(dict_at(configuration, "network"), "binding"))


def launcher_requests(
    vmi: VirtualMachineInstance, kubevirt: KubeVirt | None, release: Release | None = None
) -> dict[str, Decimal] | None:
    """Return the minimum requests of the virt-launcher pod of a VMI: bytes of memory, and cores.

    Args:
        vmi: the VMI.
        kubevirt: the KubeVirt resource, which can set overcommitment; None for the defaults.
        release: the release; None for the newest.

    Returns:
        None if a quantity cannot be parsed or the memory of the guest is unknown.
    """
    domain = vmi.spec.domain
    developer = dict_at(_configuration(kubevirt), "developerConfiguration")
    try:
        memory = _guest(domain, _ratio(developer.get("memoryOvercommit"), _MEMORY_OVERCOMMIT))
        if not memory:
            return None
        overhead = memory_overhead(vmi, kubevirt, release)
        ratio = _ratio(developer.get("cpuAllocationRatio"), _CPU_ALLOCATION_RATIO)
        cpu = _cores(domain, ratio, _io_threads(domain, release))
        guest = memory if domain.memory.guest is None else _quantity(domain.memory.guest)
    except ValueError:
        return None
    if domain.memory.hugepages:
        # The guest uses huge pages; requested memory beyond the guest memory does not.
        pages = min(memory, guest)
        size = domain.memory.hugepages.page_size
        return {"cpu": cpu, f"hugepages-{size}": pages, "memory": memory - pages + overhead}
    if domain.resources.overcommit_guest_overhead:
        overhead = Decimal()
    return {"cpu": cpu, "memory": memory + overhead}


def _sizes(release: Release | None) -> _Sizes:
    for last, sizes in _SIZES.items():
        if release is not None and release.kubevirt <= last:
            return sizes
    return _NEWEST


def _processes(domain: Domain, release: Release | None) -> Decimal:
    """Return the overhead of the processes in the pod, of page tables, and of vCPUs."""
    # Page tables take one byte for every 512, calculated in kilobytes.
    page_tables = _kilobytes(_requested(domain, "memory")) * 1000 // 512
    sizes = _sizes(release)
    processes = (sizes.virtlogd + sizes.virtqemud + sizes.qemu) * _MIB + _LAUNCHER + _IO_THREAD
    return Decimal(page_tables + processes + _PER_VCPU * _vcpus(domain))


def _devices(spec: VMISpec, release: Release | None) -> int:
    devices, security = spec.domain.devices, spec.domain.launch_security
    has_sriov = any(interface.sriov for interface in devices.interfaces)
    probes = sum(bool(probe.exec) for probe in (spec.liveness_probe, spec.readiness_probe))
    costs = (
        (_sizes(release).video * _MIB, devices.autoattach_graphics_device),
        (_ARM_FLASH, spec.architecture == "arm64"),
        (_VFIO, devices.host_devices or devices.gpus or has_sriov),
        (_DOWNWARD_METRICS, any(volume.downward_metrics for volume in spec.volumes)),
        (_EACH_PROBE * probes + _ANY_PROBE, probes),
        (_SEV, security.sev or security.snp),
        (_TPM, devices.tpm and devices.tpm.enabled),
    )
    return sum(cost for cost, is_present in costs if is_present)


def _networks(domain: Domain, plugins: Mapping[str, Any]) -> Decimal:
    interfaces = domain.devices.interfaces
    overhead = Decimal(_PASST if any(interface.passt for interface in interfaces) else 0)
    for name in {interface.binding.name for interface in interfaces if interface.binding}:
        cost = dict_at(dict_at(dict_at(plugins, name), "computeResourceOverhead"), "requests")
        overhead += _quantity(cost.get("memory", 0))
    return overhead


def _configuration(kubevirt: KubeVirt | None) -> Mapping[str, Any]:
    return dict_at(kubevirt.spec, "configuration") if kubevirt else {}


def _quantity(value: object) -> Decimal:
    quantity = parse_quantity(value)
    if quantity is None or quantity < 0:
        raise ValueError(value)
    return quantity


def _kilobytes(size: Decimal) -> int:
    return int((size / 1000).to_integral_value(ROUND_CEILING))


def _requested(domain: Domain, resource: str) -> Decimal:
    return _quantity(domain.resources.requests.get(resource, 0))


def _limit(domain: Domain, resource: str) -> Decimal:
    return _quantity(domain.resources.limits.get(resource, 0))


def _guest(domain: Domain, overcommit: Decimal) -> Decimal:
    """Return the memory request for the guest; 0 if it is unknown."""
    requested = _requested(domain, "memory") or _limit(domain, "memory")
    if requested or "memory" in domain.resources.requests:
        return requested
    if domain.memory.guest is not None:
        size = _quantity(domain.memory.guest)
    elif domain.memory.hugepages:
        size = _quantity(domain.memory.hugepages.page_size)
    else:
        return Decimal()
    return (size * 100 / overcommit).to_integral_value(ROUND_FLOOR)


def _vcpus(domain: Domain) -> int:
    if domain.cpu is not None:
        return max(_topology(domain.cpu), 1)
    cores = _limit(domain, "cpu") or _requested(domain, "cpu")
    return max(int(cores.to_integral_value(ROUND_CEILING)), 1)


def _topology(cpu: CPU) -> int:
    vcpus = 0
    for count in (cpu.cores, cpu.sockets, cpu.threads):
        if count:
            vcpus = vcpus * count if vcpus else count
    return vcpus


def _io_threads(domain: Domain, release: Release | None) -> int:
    """Return the number of disk threads that count like vCPUs, which is 0 before v1.6."""
    if release is not None and release.kubevirt < (1, 6):
        return 0
    return domain.io_threads.supplemental_pool_thread_count


def _cores(domain: Domain, ratio: Decimal, io_threads: int) -> Decimal:
    """Return the CPU request of the pod; a limit is used if there is no request."""
    cpu, limit = domain.cpu, _limit(domain, "cpu")
    vcpus = _topology(cpu) if cpu else 1
    if cpu is None or not cpu.dedicated_cpu_placement:
        if "cpu" in domain.resources.requests:
            return _requested(domain, "cpu")
        return (vcpus + io_threads) / ratio or limit
    cores = Decimal(vcpus) or _requested(domain, "cpu") or limit
    return cores + bool(cores) * io_threads + bool(cpu.isolate_emulator_thread)


def _is_guaranteed(domain: Domain) -> bool:
    """Whether memory and CPU have limits that are equal to the requests."""
    memory, memory_limit = _requested(domain, "memory"), _limit(domain, "memory")
    cpu = _requested(domain, "cpu")
    has_memory = memory_limit if not memory else memory == memory_limit
    return bool(has_memory and cpu and cpu == _limit(domain, "cpu"))


def _ratio(value: object, default: Decimal) -> Decimal:
    ratio = parse_quantity(value)
    return ratio if ratio is not None and ratio > 0 else default
