"""Typed checks: how to find something. `AnyCheck` is their union, listed by hand."""

from typing import TypeAlias

from rbacguard.checks.access_change import AccessChangeCheck
from rbacguard.checks.approval import RestrictionCheck, UnapprovedCheck
from rbacguard.checks.authorizer import CrossCheck
from rbacguard.checks.base import Check, Context, Fact, FactType, MachineCheck, Machines
from rbacguard.checks.binding import BindingCheck
from rbacguard.checks.claim import ClaimCheck
from rbacguard.checks.delegation import DelegationCheck
from rbacguard.checks.holder import HolderCheck
from rbacguard.checks.journey import JourneyCheck
from rbacguard.checks.machine import MachineDrainCheck
from rbacguard.checks.migration import MigrationCheck
from rbacguard.checks.migration_settings import MigrationSettingsCheck
from rbacguard.checks.node_drain import NodeDrainCheck
from rbacguard.checks.recorded import DefectCheck, DriftCheck
from rbacguard.checks.role import RoleCheck

AnyCheck: TypeAlias = (
    AccessChangeCheck
    | BindingCheck
    | ClaimCheck
    | CrossCheck
    | DefectCheck
    | DelegationCheck
    | DriftCheck
    | HolderCheck
    | JourneyCheck
    | MachineDrainCheck
    | MigrationCheck
    | MigrationSettingsCheck
    | NodeDrainCheck
    | RestrictionCheck
    | RoleCheck
    | UnapprovedCheck
)

__all__ = ["AnyCheck", "Check", "Context", "Fact", "FactType", "MachineCheck", "Machines"]
