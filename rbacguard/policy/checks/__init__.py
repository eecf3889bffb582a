"""Typed checks: how to find something. `AnyCheck` is their union, listed by hand."""

from typing import TypeAlias

from rbacguard.policy.checks.access_change import AccessChangeCheck
from rbacguard.policy.checks.approval import RestrictionCheck, UnapprovedCheck
from rbacguard.policy.checks.authorizer import CrossCheck
from rbacguard.policy.checks.base import Check, Context, Fact, FactType, ReadinessCheck, Workloads
from rbacguard.policy.checks.binding import BindingCheck
from rbacguard.policy.checks.claim import ClaimCheck
from rbacguard.policy.checks.delegation import DelegationCheck
from rbacguard.policy.checks.holder import HolderCheck
from rbacguard.policy.checks.migration import MigrationCheck
from rbacguard.policy.checks.migration_settings import MigrationSettingsCheck
from rbacguard.policy.checks.node_drain import NodeDrainCheck
from rbacguard.policy.checks.recorded import DefectCheck, DriftCheck
from rbacguard.policy.checks.role import RoleCheck
from rbacguard.policy.checks.status import JourneyCheck
from rbacguard.policy.checks.vmi import VMICheck

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
    | MigrationCheck
    | MigrationSettingsCheck
    | NodeDrainCheck
    | RestrictionCheck
    | RoleCheck
    | UnapprovedCheck
    | VMICheck
)

__all__ = ["AnyCheck", "Check", "Context", "Fact", "FactType", "ReadinessCheck", "Workloads"]
