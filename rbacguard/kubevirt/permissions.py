"""Permissions that are related to live migration, read from policies/permissions/*.yaml."""

from __future__ import annotations

from enum import StrEnum
from functools import cache

import msgspec
from msgspec import Struct

from rbacguard.bundled import bundled, read_bundled
from rbacguard.rbac import Attributes
from rbacguard.rbac.attributes import format_action


class Directness(StrEnum):
    """How an action is related to live migration."""

    DIRECT = "direct"
    """It starts a migration."""
    CANCEL = "cancel"
    """It cancels or changes a migration."""
    INDIRECT = "indirect"
    """It makes KubeVirt start a migration."""
    ADMINISTRATIVE = "administrative"
    """It allows a subject to obtain the permission."""
    READ = "read"
    """It shows migrations."""


class Action(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    cache_hash=True,
):
    """A verb on a resource, optionally limited to one object name."""

    verb: str
    api_group: str
    resource: str
    subresource: str = ""
    name: str = ""
    directness: Directness
    does: str

    def __str__(self) -> str:
        """Return `create virtualmachineinstancemigrations.kubevirt.io`, as kubectl writes it."""
        return format_action(self.verb, self.resource, self.api_group, self.subresource)

    @property
    def short(self) -> str:
        """`create VMIM` or `update virtualmachines/migrate`, for tables."""
        if self.resource == "virtualmachineinstancemigrations":
            return f"{self.verb} VMIM"
        return f"{self.verb} {self.resource}{'/' if self.subresource else ''}{self.subresource}"

    @property
    def attributes(self) -> Attributes:
        """The request for this action, without a user and cluster-wide."""
        return Attributes(
            verb=self.verb,
            api_group=self.api_group,
            resource=self.resource,
            subresource=self.subresource,
            name=self.name,
        )


class Permission(Struct, frozen=True, forbid_unknown_fields=True):
    """A named set of actions.

    Attributes:
        id: the name of the file.
        title: what the permission allows.
        why: why the permission matters.
        source: the upstream files that define or use it.
        actions: the actions, the most important first.
    """

    id: str
    title: str
    why: str
    source: str
    actions: tuple[Action, ...]

    @property
    def granting(self) -> tuple[Action, ...]:
        """All actions except those that only read."""
        return tuple(action for action in self.actions if action.directness is not Directness.READ)

    def of(self, *directness: Directness) -> tuple[Action, ...]:
        """Return the actions with one of these values of `directness`."""
        return tuple(action for action in self.actions if action.directness in directness)


@cache
def permissions() -> dict[str, Permission]:
    """Return all permissions by ID."""
    files = sorted((bundled("policies") / "permissions").glob("*.yaml"))
    found = (msgspec.convert(read_bundled(path), Permission) for path in files)
    return {permission.id: permission for permission in found}


def live_migration() -> Permission:
    """Return the permission to live-migrate virtual machines."""
    return permissions()["live-migration"]
