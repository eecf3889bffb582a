"""Permissions as data (policies/permissions/*.yaml) and subjects that are known by name."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct, field

from rbacguard.bundled import bundled, read_bundled
from rbacguard.rbac import Attributes, Subject
from rbacguard.rbac.attributes import format_action

_Form = TypeVar("_Form")


class Tier(StrEnum):
    """How directly an action leads to a migration."""

    DIRECT = "direct"
    CANCEL = "cancel"
    INDIRECT = "indirect"
    ADMINISTRATIVE = "administrative"
    READ = "read"


class Action(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    cache_hash=True,
):
    """One thing that can be done: a verb on a resource."""

    verb: str
    api_group: str
    resource: str
    subresource: str = ""
    name: str = ""
    tier: Tier
    does: str

    def __str__(self) -> str:
        """Return `create virtualmachineinstancemigrations.kubevirt.io`, as kubectl writes it."""
        return format_action(self.verb, self.resource, self.api_group, self.subresource)

    @property
    def short(self) -> str:
        """Return `create VMIM` or `update virtualmachines/migrate`, for tables."""
        if self.resource == "virtualmachineinstancemigrations":
            return f"{self.verb} VMIM"
        return f"{self.verb} {self.resource}{'/' if self.subresource else ''}{self.subresource}"

    @property
    def attributes(self) -> Attributes:
        """The request that asks for it, for nobody in particular and in no namespace."""
        return Attributes(
            verb=self.verb,
            api_group=self.api_group,
            resource=self.resource,
            subresource=self.subresource,
            name=self.name,
        )


class Permission(Struct, frozen=True, forbid_unknown_fields=True):
    """A permission: the actions that make it up, and why it matters."""

    id: str
    title: str
    why: str
    source: str
    actions: tuple[Action, ...]

    @property
    def granting(self) -> tuple[Action, ...]:
        """The actions that do something: all but reading."""
        return tuple(action for action in self.actions if action.tier is not Tier.READ)

    def of(self, *tiers: Tier) -> tuple[Action, ...]:
        """Return the actions of some tiers."""
        return tuple(action for action in self.actions if action.tier in tiers)


class KnownHolder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subject that holds migration on every cluster of its kind."""

    kind: str
    name: str
    namespace: str = ""
    label: str
    holder_class: Literal["platform", "product"] = field(name="class")


def _read(path: Path, form: type[_Form]) -> _Form:
    return msgspec.convert(read_bundled(path), form)


@cache
def permissions() -> dict[str, Permission]:
    """Return every permission by id."""
    folder = bundled("policies") / "permissions"
    found = (_read(path, Permission) for path in sorted(folder.glob("*.yaml")))
    return {permission.id: permission for permission in found}


def live_migration() -> Permission:
    """Return the permission that this project is about."""
    return permissions()["live-migration"]


@cache
def _known_holders() -> dict[Subject, KnownHolder]:
    holders = _read(bundled("policies") / "known-holders.yaml", list[KnownHolder])
    return {Subject(h.kind, h.name, h.namespace): h for h in holders}


def known_holder(subject: Subject) -> KnownHolder | None:
    """Return what is known of a subject by its name, or None."""
    return _known_holders().get(subject)


def is_platform(subject: Subject) -> bool:
    """Whether a subject belongs to the platform: named in reports, but never proposed a binding."""
    holder = known_holder(subject)
    return holder is not None and holder.holder_class == "platform"
