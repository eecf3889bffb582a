"""Checks: each yields the facts of one type. `CHECKS` lists all of them."""

import operator
from functools import reduce
from typing import TYPE_CHECKING, Final, TypeAlias

from rbacguard.policy.checks.access import AccessCheck
from rbacguard.policy.checks.access_change import AccessChangeCheck
from rbacguard.policy.checks.approval import RestrictionCheck, UnapprovedCheck
from rbacguard.policy.checks.authorizer import CrossCheck
from rbacguard.policy.checks.base import Check, ReadinessCheck
from rbacguard.policy.checks.binding import BindingCheck
from rbacguard.policy.checks.claim import ClaimCheck
from rbacguard.policy.checks.delegation import DelegationCheck
from rbacguard.policy.checks.migration import MigrationCheck
from rbacguard.policy.checks.migration_settings import MigrationSettingsCheck
from rbacguard.policy.checks.node_drain import NodeDrainCheck
from rbacguard.policy.checks.recorded import InvalidFieldCheck, OutdatedRoleCheck
from rbacguard.policy.checks.role import RoleCheck
from rbacguard.policy.checks.status import StatusCheck
from rbacguard.policy.checks.vmi import VMICheck

CHECKS: Final[tuple[type[Check], ...]] = (
    AccessCheck,
    AccessChangeCheck,
    BindingCheck,
    ClaimCheck,
    CrossCheck,
    DelegationCheck,
    InvalidFieldCheck,
    MigrationCheck,
    MigrationSettingsCheck,
    NodeDrainCheck,
    OutdatedRoleCheck,
    RestrictionCheck,
    RoleCheck,
    StatusCheck,
    UnapprovedCheck,
    VMICheck,
)
"""All checks."""

if TYPE_CHECKING:
    AnyCheck: TypeAlias = Check
else:
    AnyCheck = reduce(operator.or_, CHECKS)
    """The union of all checks, which msgspec decodes by their tags."""

__all__ = ["CHECKS", "AnyCheck", "Check", "ReadinessCheck"]
