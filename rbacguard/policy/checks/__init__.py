"""Typed checks: how to find something. `AnyCheck` is their union, listed by hand."""

from typing import TypeAlias

from rbacguard.policy.checks.access_change import AccessChangeCheck
from rbacguard.policy.checks.approval import RestrictionCheck, UnapprovedCheck
from rbacguard.policy.checks.authorizer import CrossCheck
from rbacguard.policy.checks.base import Check, Context, Fact, FactType, MachineCheck, Machines
from rbacguard.policy.checks.binding import BindingCheck
from rbacguard.policy.checks.claim import ClaimCheck
from rbacguard.policy.checks.delegation import DelegationCheck
from rbacguard.policy.checks.holder import HolderCheck
from rbacguard.policy.checks.machine import MachineDrainCheck
from rbacguard.policy.checks.migration import MigrationCheck
from rbacguard.policy.checks.migration_settings import MigrationSettingsCheck
from rbacguard.policy.checks.node_drain import NodeDrainCheck
from rbacguard.policy.checks.recorded import DefectCheck, DriftCheck
from rbacguard.policy.checks.role import RoleCheck
from rbacguard.policy.checks.status import JourneyCheck

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
