"""Who holds which actions where, and the difference between two snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from rbacguard.kubevirt.names import ADMIN, EDIT, MIGRATE
from rbacguard.kubevirt.permissions import Action, Tier, live_migration
from rbacguard.rbac import Grant, Subject
from rbacguard.snapshot import Snapshot

CLUSTER = ""
"""The scope of a grant that holds in the whole cluster."""


class Held(NamedTuple):
    """Somebody and something that may be done."""

    subject: Subject
    action: Action


Holdings: TypeAlias = Mapping[Held, Mapping[str, tuple[Grant, ...]]]
"""For each subject and action, the scopes in which it is held ('' = everywhere), and the grants."""


class Change(StrEnum):
    """What happens to one permission."""

    KEPT = "kept"
    LOST = "lost"
    GAINED = "gained"


class AccessChange(Struct, frozen=True):
    """What happens to one action of one subject in one scope.

    Attributes:
        subject: as bindings name it.
        namespace: where; '' is every namespace without a row of its own for the same subject and
            action, and requests for the whole cluster.
        action: what may be done.
        change: kept, lost or gained.
        before: the grants that allow it before.
        after: the grants that allow it after.
    """

    subject: Subject
    namespace: str
    action: Action
    change: Change
    before: tuple[Grant, ...]
    after: tuple[Grant, ...]

    @property
    def because(self) -> tuple[Grant, ...]:
        """The grants that the row rests on: those lost, or those that allow it afterwards."""
        return self.before if self.change is Change.LOST else self.after


def holdings(snapshot: Snapshot, actions: Iterable[Action]) -> Holdings:
    """Return who holds which of these actions, by the bindings of the snapshot."""
    found: dict[Held, dict[str, list[Grant]]] = {}
    for action in actions:
        for grant in snapshot.authorizer.grants_everywhere(action.attributes):
            scopes = found.setdefault(Held(grant.subject, action), {})
            scopes.setdefault(grant.namespace, []).append(grant)
    return {
        held: {scope: tuple(grants) for scope, grants in sorted(scopes.items())}
        for held, scopes in found.items()
    }


def effective(held: Mapping[str, tuple[Grant, ...]], scope: str) -> tuple[Grant, ...]:
    """Return the grants that count in a scope: its own and those for the whole cluster."""
    if scope == CLUSTER:
        return held.get(CLUSTER, ())
    return (*held.get(CLUSTER, ()), *held.get(scope, ()))


def differences(before: Holdings, after: Holdings) -> tuple[AccessChange, ...]:
    """Compare two states; a namespace has a row only where it differs from the cluster's."""
    rows = []
    for held in sorted(before.keys() | after.keys(), key=_order):
        old, new = before.get(held, {}), after.get(held, {})
        whole = _row(held, CLUSTER, old, new) if CLUSTER in old or CLUSTER in new else None
        if whole is not None:
            rows.append(whole)
        for scope in sorted((old.keys() | new.keys()) - {CLUSTER}):
            row = _row(held, scope, old, new)
            if whole is None or row.change is not whole.change:
                rows.append(row)
    return tuple(rows)


def _row(
    held: Held,
    scope: str,
    old: Mapping[str, tuple[Grant, ...]],
    new: Mapping[str, tuple[Grant, ...]],
) -> AccessChange:
    before, after = effective(old, scope), effective(new, scope)
    changed = Change.LOST if before else Change.GAINED
    change = Change.KEPT if before and after else changed
    return AccessChange(held.subject, scope, held.action, change, before, after)


DEFAULT_ROLES = frozenset({"admin", "edit", "view", ADMIN, EDIT, MIGRATE})
"""Roles whose holders had migration by default, or have it by decision."""


def own_grants(snapshot: Snapshot) -> Mapping[Held, tuple[Grant, ...]]:
    """Return the grants by which subjects hold migration of their own, not by default.

    Such a grant binds a role that is neither a default one nor kubevirt.io:migrate: cluster
    administrators, controllers, roles that a customer wrote.
    """
    found = {
        held: tuple(
            grant
            for grants in scopes.values()
            for grant in grants
            if grant.role.kind == "Role" or grant.role.name not in DEFAULT_ROLES
        )
        for held, scopes in holdings(snapshot, live_migration().granting).items()
    }
    return {held: grants for held, grants in found.items() if grants}


_TIERS = tuple(Tier)


def _order(held: Held) -> tuple[Subject, int, str]:
    return held.subject, _TIERS.index(held.action.tier), str(held.action)


def summary(changes: Iterable[AccessChange], change: Change) -> dict[Subject, tuple[str, ...]]:
    """Return, by subject, the scopes in which anything but reading has this change."""
    found: dict[Subject, dict[str, None]] = {}
    for row in changes:
        if row.change is change and row.action.tier is not Tier.READ:
            found.setdefault(row.subject, {})[row.namespace] = None
    return {subject: tuple(sorted(scopes)) for subject, scopes in sorted(found.items())}
