"""Typed checks: how to find something. `AnyCheck` is their union, listed by hand."""

from typing import Annotated, TypeAlias

from pydantic import Field

from rbacguard.checks.access_change import AccessChangeCheck
from rbacguard.checks.approval import RestrictionCheck, UnapprovedCheck
from rbacguard.checks.authorizer import CrossCheck
from rbacguard.checks.base import Check, Context, Fact, FactType
from rbacguard.checks.binding import BindingCheck
from rbacguard.checks.delegation import DelegationCheck
from rbacguard.checks.holder import HolderCheck
from rbacguard.checks.journey import JourneyCheck
from rbacguard.checks.recorded import DefectCheck, DriftCheck
from rbacguard.checks.role import RoleCheck

AnyCheck: TypeAlias = Annotated[
    AccessChangeCheck
    | BindingCheck
    | CrossCheck
    | DefectCheck
    | DelegationCheck
    | DriftCheck
    | HolderCheck
    | JourneyCheck
    | RestrictionCheck
    | RoleCheck
    | UnapprovedCheck,
    Field(discriminator="type"),
]

__all__ = ["AnyCheck", "Check", "Context", "Fact", "FactType"]
