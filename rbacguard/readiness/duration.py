"""How long migrations and drains take at least, and how long they may take.

KubeVirt gives a migration `completionTimeoutPerGiB` seconds for each gigabyte (10^9 bytes, rounded
up) of what it copies: the guest's memory, and disks that are not shared (kubevirt/kubevirt v1.9
pkg/virt-launcher/virtwrap/manager.go, getVMIMigrationDataSize, and live-migration-source.go). A
guest that writes while it is copied takes longer than what is worked out here; how fast it writes
is in no object of the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal

from msgspec import Struct

from rbacguard.readiness.quantity import amount
from rbacguard.readiness.settings import Setting
from rbacguard.snapshot.workloads import VirtualMachineInstance

GIGABYTE = Decimal(10) ** 9
_BLOCK = "BlockMigration"


class Timing(Struct, frozen=True):
    """How long one migration takes.

    Attributes:
        data: bytes to copy; None where that is not known.
        rate: bytes per second that it gets; None where nothing limits it and no link is known.
        seconds: at that rate, for a guest that writes nothing; None where something is not known.
        timeout: seconds until KubeVirt gives up; None where that is not known.
    """

    data: Decimal | None
    rate: Decimal | None
    seconds: Decimal | None
    timeout: int | None

    @property
    def too_slow(self) -> bool | None:
        """Whether it cannot end in time even if the guest writes nothing; None if not known."""
        if self.seconds is None or self.timeout is None:
            return None
        return self.seconds > self.timeout


def data_size(machine: VirtualMachineInstance) -> Decimal | None:
    """Return the bytes that a migration copies at least; None where that is not known."""
    domain = machine.spec.domain
    asked = (domain.resources.requests if domain.resources else None) or {}
    written = domain.memory.guest if domain.memory else None
    if machine.status.migration_method == _BLOCK:
        # How large its own disks are is in no object.
        return None
    return amount(asked.get("memory") if written is None else written)


def timing(
    machine: VirtualMachineInstance, limits: Mapping[str, Setting], link: Decimal | None = None
) -> Timing:
    """Return how long a machine's migration takes.

    Args:
        machine: which one.
        limits: the settings in force for it.
        link: bytes per second that a node's migration network carries, where somebody knows.
    """
    data = data_size(machine)
    rate = _rate(limits, link)
    timeout = None
    per_gigabyte = amount(limits["completionTimeoutPerGiB"].value)
    if data is not None and per_gigabyte is not None:
        timeout = int(per_gigabyte * rounded_up(data / GIGABYTE))
    seconds = data / rate if data is not None and rate else None
    return Timing(data, rate, seconds, timeout)


def _rate(limits: Mapping[str, Setting], link: Decimal | None) -> Decimal | None:
    """Return what one of the migrations that leave a node at once gets."""
    limit = amount(limits["bandwidthPerMigration"].value)
    share = None if link is None else link / at_once(limits)
    known = [each for each in (limit, share) if each]
    return min(known, default=None)


def rounded_up(number: Decimal) -> int:
    """Return the next whole number."""
    return int(number.to_integral_value(ROUND_CEILING))


def at_once(limits: Mapping[str, Setting]) -> Decimal:
    """Return how many machines leave a node at once."""
    found = amount(limits["parallelOutboundMigrationsPerNode"].value)
    return found if found is not None and found > 0 else Decimal(1)


def drain_seconds(times: Iterable[Timing], parallel: Decimal) -> Decimal | None:
    """Return how long it takes at least until machines have left a node; None if not known.

    The sum of their times, shared out evenly, or the longest one, whichever is more.

    Args:
        times: of each machine that leaves.
        parallel: how many leave at once.
    """
    found = [each.seconds for each in times]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return None
    return max([sum(known, Decimal()) / parallel, *known])
