"""Lower bounds for the duration of migrations and drains, and the timeouts of migrations.

KubeVirt gives a migration completionTimeoutPerGiB seconds for each gigabyte (10^9 bytes, rounded
up) that it copies: the guest memory, and disks that are not shared (kubevirt/kubevirt v1.9
pkg/virt-launcher/virtwrap/manager.go, getVMIMigrationDataSize, and live-migration-source.go). A
guest that writes to its memory during the migration takes longer. The API does not show how fast it
writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from msgspec import Struct

from rbacguard.readiness.quantity import parse_quantity
from rbacguard.readiness.settings import Settings, outbound_limit
from rbacguard.snapshot.workloads import VirtualMachineInstance

GIGABYTE = Decimal(10) ** 9


class Duration(Struct, frozen=True):
    """The duration of one migration.

    Attributes:
        data: bytes to copy; None if unknown.
        bandwidth: bytes per second; None if there is no limit and the network is unknown.
        seconds: the time to copy the data once; None if unknown.
        timeout: seconds until KubeVirt cancels the migration; None if unknown.
    """

    data: Decimal | None
    bandwidth: Decimal | None
    seconds: Decimal | None
    timeout: int | None

    @property
    def exceeds_timeout(self) -> bool | None:
        """Whether the migration cannot finish before its timeout; None if unknown."""
        if self.seconds is None or self.timeout is None:
            return None
        return self.seconds > self.timeout


def data_size(vmi: VirtualMachineInstance) -> Decimal | None:
    """Return the minimum number of bytes that a migration copies; None if unknown."""
    if vmi.status.migration_method == "BlockMigration":
        # The size of disks that are not shared is not in the API.
        return None
    domain = vmi.spec.domain
    guest = domain.memory.guest
    return parse_quantity(domain.resources.requests.get("memory") if guest is None else guest)


def migration_duration(
    vmi: VirtualMachineInstance, settings: Settings, bandwidth: Decimal | None = None
) -> Duration:
    """Return the duration of the migration of a VMI.

    Args:
        vmi: the VMI.
        settings: the effective settings of the VMI.
        bandwidth: bandwidth of the migration network of a node in bytes per second, if known.
    """
    data = data_size(vmi)
    share = None if bandwidth is None else bandwidth / outbound_limit(settings)
    limits = (parse_quantity(settings["bandwidthPerMigration"].value), share)
    rate = min((limit for limit in limits if limit), default=None)
    per_gigabyte = parse_quantity(settings["completionTimeoutPerGiB"].value)
    timeout = None
    if data is not None and per_gigabyte is not None:
        timeout = int(per_gigabyte * round_up(data / GIGABYTE))
    return Duration(data, rate, data / rate if data is not None and rate else None, timeout)


def drain_duration(durations: Iterable[Duration], parallel: Decimal) -> Decimal | None:
    """Return the minimum number of seconds until VMIs have left a node; None if unknown.

    This is the larger one of the longest duration and the sum divided by the number of parallel
    migrations.

    Args:
        durations: the duration of each migration.
        parallel: how many migrations can leave the node at the same time.
    """
    seconds: list[Decimal] = []
    for duration in durations:
        if duration.seconds is None:
            return None
        seconds.append(duration.seconds)
    return max([sum(seconds, Decimal()) / parallel, *seconds])


def round_up(number: Decimal) -> int:
    """Return the smallest integer that is not less than a number."""
    return int(number.to_integral_value(ROUND_CEILING))
