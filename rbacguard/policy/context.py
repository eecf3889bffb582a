"""What checks read: the snapshot and parts that are computed lazily."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from rbacguard.kubevirt.installed import Installed, installed, suggested_target
from rbacguard.kubevirt.releases import FIRST_RESTRICTED, Release
from rbacguard.rbac import Reviews
from rbacguard.readiness.assessment import Readiness, assess
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.migrations import Migration, migrations
from rbacguard.snapshot import Snapshot
from rbacguard.update.plan import Plan, make_plan

if TYPE_CHECKING:
    # This module imports pydantic, which takes long to load.
    from rbacguard.approvals.model import MigrationAccess


class Workloads:
    """VMs and nodes, for readiness checks.

    Args:
        inventory: the objects of the cluster.
        now: the time at which ages of migrations are calculated.
        bandwidth: bandwidth of the migration network of a node in bytes per second, if known.
    """

    def __init__(
        self, inventory: Inventory, now: datetime.datetime, bandwidth: Decimal | None = None
    ) -> None:
        """Store the input."""
        self.inventory = inventory
        self.now, self._bandwidth = now, bandwidth

    @cached_property
    def readiness(self) -> Readiness:
        """Whether node drains can complete."""
        return assess(self.inventory, self._bandwidth)

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """All VirtualMachineInstanceMigrations."""
        return migrations(self.inventory, self.now)


class Context:
    """The input of all checks.

    Args:
        snapshot: the cluster.
        today: the date at which expiry is evaluated.
        target: the release to update to. With None, the update to 4.19 is simulated if the cluster
            runs 4.18 or older.
        approvals: the approvals file, if there is one.
        inputs: the arguments that select the input, for suggested commands.
        reviews: the access reviews of the API server, if there are any.
        workloads: VMs and nodes, if they were read.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        today: datetime.date,
        target: Release | None = None,
        approvals: MigrationAccess | None = None,
        inputs: Sequence[str] = ("-f", "cluster.json"),
        reviews: Reviews | None = None,
        workloads: Workloads | None = None,
    ) -> None:
        """Store the input."""
        self.snapshot = snapshot
        self.today = today
        self.approvals = approvals
        self.inputs = tuple(inputs)
        self.reviews = reviews
        self.workloads = workloads
        self._target = target

    @cached_property
    def installed(self) -> Installed:
        """The installed release."""
        return installed(self.snapshot)

    @cached_property
    def suggested_target(self) -> str:
        """The release to update to in suggested commands."""
        return (self._target or suggested_target(self.installed)).cnv_version

    @cached_property
    def plan(self) -> Plan | None:
        """The plan for the update, or None if there is no update to simulate."""
        target = self._target
        if target is None and self.installed.restricted is False:
            target = FIRST_RESTRICTED
        return None if target is None else make_plan(self.snapshot, target)
