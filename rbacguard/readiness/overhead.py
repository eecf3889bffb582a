"""What a machine's virt-launcher pod asks for, where the pod itself was not read.

As virt-controller works it out: kubevirt/kubevirt v1.9 pkg/hypervisor/kvm/hypervisorbackend.go,
GetMemoryOverhead; pkg/network/resources/memory.go; pkg/virt-controller/services/renderresources.go,
where the first stood until v1.7. Only what the main container asks for: hooks, virtiofs and the
console's log come on top, so it is the least that the pod asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from rbacguard.kubevirt.releases import Release
from rbacguard.readiness.quantity import amount
from rbacguard.snapshot.objects import KubeVirt, entries
from rbacguard.snapshot.workloads import Cpu, Domain, MachineSpec, VirtualMachineInstance

_MIB = 2**20
_LAUNCHER = (25 + 100) * _MIB
"""virt-launcher-monitor and virt-launcher."""


class _Sizes(NamedTuple):
    """What differs between releases, in MiB: virtlogd, virtqemud and QEMU, and video memory."""

    virtlogd: int
    virtqemud: int
    qemu: int
    video: int


_SIZES = {
    (1, 4): _Sizes(20, 35, 30, 16),
    (1, 5): _Sizes(25, 40, 30, 16),
    (1, 8): _Sizes(25, 40, 30, 32),
}
"""By the last minor release of KubeVirt of which it is true (tags v1.0.0 to v1.8.3)."""
_NEWEST = _Sizes(25, 40, 50, 32)
_IO_THREAD = 8 * _MIB
_PER_VCPU = 8 * _MIB
_ARM_FLASH = 128 * _MIB
_VFIO = 1024 * _MIB
_DOWNWARD_METRICS = _MIB
_PROBE, _ANY_PROBE = 10 * _MIB, 100 * _MIB
_SEV = 256 * _MIB
_TPM = 53 * _MIB
_PINNED = 100 * _MIB
_PASST = 250 * _MIB
_OVERCOMMIT = Decimal(100)
_CPU_RATIO = Decimal(10)
"""Defaults of KubeVirt (pkg/virt-config/virt-config.go)."""


def overhead(
    machine: VirtualMachineInstance, kubevirt: KubeVirt | None, release: Release | None = None
) -> Decimal:
    """Return what a machine costs besides the guest's memory, in bytes.

    Args:
        machine: which one; where its status tells the overhead, that is taken.
        kubevirt: the KubeVirt resource, for the ratio that it may set; None for the default.
        release: the release that runs; None for the newest.

    Raises:
        ValueError: a quantity cannot be read.
    """
    memory = machine.status.memory
    if memory and memory.memory_overhead is not None:
        return _read(memory.memory_overhead)
    domain, configuration = machine.spec.domain, _configured(kubevirt)
    found = _programs(domain, release) + _devices(machine.spec, release)
    if (domain.cpu and domain.cpu.dedicated_cpu_placement) or _guaranteed(domain):
        found += _PINNED
    reserved = domain.memory.reserved_overhead if domain.memory else None
    if reserved and reserved.added_overhead is not None:
        found += _read(reserved.added_overhead)
    ratio = amount(configuration.get("additionalGuestMemoryOverheadRatio"))
    if ratio is not None:
        # In binary fractions, as it is worked out there: 1.2 adds a little less than a fifth.
        found += int(_thousands(found) * (float(ratio) - 1.0)) * 1000
    return found + _networks(domain, entries(entries(configuration, "network"), "binding"))


def requests(
    machine: VirtualMachineInstance, kubevirt: KubeVirt | None, release: Release | None = None
) -> dict[str, Decimal] | None:
    """Return the least that a machine's virt-launcher pod asks for: bytes of memory, and cores.

    Args:
        machine: which one.
        kubevirt: the KubeVirt resource, for what it overcommits; None for the defaults.
        release: the release that runs; None for the newest.

    Returns:
        None where a quantity cannot be read, or nothing tells how much memory the guest has.
    """
    domain = machine.spec.domain
    developer = entries(_configured(kubevirt), "developerConfiguration")
    try:
        memory = _guest(domain, _ratio(developer.get("memoryOvercommit"), _OVERCOMMIT))
        if not memory:
            return None
        extra = overhead(machine, kubevirt, release)
        ratio = _ratio(developer.get("cpuAllocationRatio"), _CPU_RATIO)
        cpu = _cores(domain, ratio, _io_threads(domain, release))
        written = domain.memory.guest if domain.memory else None
        guest = memory if written is None else _read(written)
    except ValueError:
        return None
    if domain.memory and domain.memory.hugepages:
        # The guest is in huge pages; what was asked for beyond it stays ordinary memory.
        pages = min(memory, guest)
        size = domain.memory.hugepages.page_size
        return {"cpu": cpu, f"hugepages-{size}": pages, "memory": memory - pages + extra}
    if domain.resources and domain.resources.overcommit_guest_overhead:
        extra = Decimal()
    return {"cpu": cpu, "memory": memory + extra}


def _of(release: Release | None) -> _Sizes:
    for until, found in _SIZES.items():
        if release is not None and release.kubevirt <= until:
            return found
    return _NEWEST


def _programs(domain: Domain, release: Release | None) -> Decimal:
    """Return what the programs around a guest take, its page tables and its vCPUs."""
    # One byte for every 512, of thousands that are rounded up.
    tables = _thousands(_requested(domain, "memory")) * 1000 // 512
    own = _of(release)
    programs = (own.virtlogd + own.virtqemud + own.qemu) * _MIB + _LAUNCHER + _IO_THREAD
    return Decimal(tables + programs + _PER_VCPU * _vcpus(domain))


def _devices(spec: MachineSpec, release: Release | None) -> int:
    domain, devices = spec.domain, spec.domain.devices
    shared = any(each.sriov for each in devices.interfaces or ())
    security = domain.launch_security
    probes = sum(bool(each and each.exec) for each in (spec.liveness_probe, spec.readiness_probe))
    costs = (
        (_of(release).video * _MIB, devices.autoattach_graphics_device is not False),
        (_ARM_FLASH, spec.architecture == "arm64"),
        (_VFIO, devices.host_devices or devices.gpus or shared),
        (_DOWNWARD_METRICS, any(each.downward_metrics for each in spec.volumes or ())),
        (_PROBE * probes + _ANY_PROBE, probes),
        (_SEV, security and (security.sev or security.snp)),
        (_TPM, devices.tpm and devices.tpm.enabled is not False),
    )
    return sum(cost for cost, there in costs if there)


def _networks(domain: Domain, plugins: Mapping[str, Any]) -> Decimal:
    interfaces = domain.devices.interfaces or ()
    found = Decimal(_PASST if any(each.passt for each in interfaces) else 0)
    for name in {each.binding.name for each in interfaces if each.binding}:
        cost = entries(entries(entries(plugins, name), "computeResourceOverhead"), "requests")
        found += _read(cost.get("memory", 0))
    return found


def _configured(kubevirt: KubeVirt | None) -> Mapping[str, Any]:
    return entries(kubevirt.spec, "configuration") if kubevirt else {}


def _read(written: object) -> Decimal:
    found = amount(written)
    if found is None or found < 0:
        raise ValueError(written)
    return found


def _thousands(size: Decimal) -> int:
    return int((size / 1000).to_integral_value(ROUND_CEILING))


def _asked(domain: Domain) -> Mapping[str, Any]:
    return (domain.resources.requests if domain.resources else None) or {}


def _requested(domain: Domain, resource: str) -> Decimal:
    return _read(_asked(domain).get(resource, 0))


def _limit(domain: Domain, resource: str) -> Decimal:
    limits = (domain.resources.limits if domain.resources else None) or {}
    return _read(limits.get(resource, 0))


def _guest(domain: Domain, overcommit: Decimal) -> Decimal:
    """Return what the guest's memory comes to in requests; 0 where nothing tells."""
    asked = _requested(domain, "memory") or _limit(domain, "memory")
    if asked or "memory" in _asked(domain):
        return asked
    memory = domain.memory
    if memory and memory.guest is not None:
        size = _read(memory.guest)
    elif memory and memory.hugepages:
        size = _read(memory.hugepages.page_size)
    else:
        return Decimal()
    return (size * 100 / overcommit).to_integral_value(ROUND_FLOOR)


def _vcpus(domain: Domain) -> int:
    if domain.cpu is not None:
        return max(_topology(domain.cpu), 1)
    asked = _limit(domain, "cpu") or _requested(domain, "cpu")
    return max(int(asked.to_integral_value(ROUND_CEILING)), 1)


def _topology(cpu: Cpu) -> int:
    found = 0
    for count in (cpu.cores, cpu.sockets, cpu.threads):
        if count:
            found = found * count if found else count
    return found


def _io_threads(domain: Domain, release: Release | None) -> int:
    """Return how many threads for disks are counted like vCPUs, which v1.6 began with."""
    if domain.io_threads is None or (release is not None and release.kubevirt < (1, 6)):
        return 0
    return domain.io_threads.supplemental_pool_thread_count or 0


def _cores(domain: Domain, ratio: Decimal, io_threads: int) -> Decimal:
    """Return the cores that a pod asks for; the limit stands where it asks for none."""
    cpu, limit = domain.cpu, _limit(domain, "cpu")
    vcpus = _topology(cpu) if cpu else 1
    if cpu is None or not cpu.dedicated_cpu_placement:
        if "cpu" in _asked(domain):
            return _requested(domain, "cpu")
        return (vcpus + io_threads) / ratio or limit
    asked = Decimal(vcpus) or _requested(domain, "cpu") or limit
    return asked + bool(asked) * io_threads + bool(cpu.isolate_emulator_thread)


def _guaranteed(domain: Domain) -> bool:
    """Whether requests equal limits, of memory and of CPU."""
    memory, most = _requested(domain, "memory"), _limit(domain, "memory")
    cpu = _requested(domain, "cpu")
    return bool((most if not memory else memory == most) and cpu and cpu == _limit(domain, "cpu"))


def _ratio(written: object, default: Decimal) -> Decimal:
    found = amount(written)
    return found if found is not None and found > 0 else default
