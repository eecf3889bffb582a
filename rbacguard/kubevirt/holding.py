"""Who holds which actions where, and by which grants."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeAlias

from rbacguard.kubevirt.access import Access
from rbacguard.kubevirt.names import ADMIN, EDIT, MIGRATE
from rbacguard.kubevirt.permissions import Action, live_migration
from rbacguard.kubevirt.places import Bound
from rbacguard.rbac import Grant, ObjectKey, PolicyRule, Subject
from rbacguard.rbac.questions import Questions
from rbacguard.snapshot import Snapshot


class Held(NamedTuple):
    """Somebody and something that may be done."""

    subject: Subject
    action: Action


Holdings: TypeAlias = Mapping[Held, Mapping[str, tuple[Grant, ...]]]
"""For each subject and action, the scopes in which it is held ('' = everywhere), and the grants."""


class Combined(NamedTuple):
    """What some roles grant that are bound side by side, whoever is bound and wherever.

    Attributes:
        actions: those that are granted at all, in order.
        chains: by the place of the binding: the role down to its source, and the rule, each once.
        places: for each of the actions, the places of its chains.
        allows: for each of the chains, the places of its actions.
    """

    actions: tuple[Action, ...]
    chains: tuple[tuple[int, tuple[ObjectKey, ...], PolicyRule], ...]
    places: tuple[tuple[int, ...], ...]
    allows: tuple[tuple[int, ...], ...]


class Holding(NamedTuple):
    """What a subject holds in one scope ('' = the whole cluster).

    Attributes:
        subject: as bindings name it.
        scope: where.
        grants: by what he holds any of it, each once, those of the first action first.
        combined: which of it, and which grants are behind each; one for all who hold alike.
    """

    subject: Subject
    scope: str
    grants: tuple[Grant, ...]
    combined: Combined

    @property
    def by_action(self) -> Iterator[tuple[Action, tuple[Grant, ...]]]:
        """Every action that is held, and its grants."""
        for action, places in zip(self.combined.actions, self.combined.places, strict=True):
            yield action, tuple([self.grants[place] for place in places])


def holders(
    snapshot: Snapshot,
    actions: Iterable[Action],
    subjects: Iterable[Subject] | None = None,
    without: Container[ObjectKey] = (),
) -> Iterator[Holding]:
    """Yield who holds any of these actions, by the bindings of the snapshot.

    Args:
        snapshot: the cluster.
        actions: in the order in which they are to be told.
        subjects: those asked about, in order; by default everybody, in order.
        without: roles that are passed over.
    """
    asked = tuple(actions)
    access = Access(snapshot, Questions(action.attributes for action in asked), without)
    table = access.table
    known: dict[tuple[int, ...], Combined] = {}
    for subject in table.subjects if subjects is None else subjects:
        for scope, entries in table.bound(subject).items():
            bits = tuple([each.bit for each in entries])
            combined = known.get(bits)
            if combined is None:
                combined = known[bits] = _combined(access, asked, entries)
            grants = tuple(
                [
                    Grant(subject, scope, entries[place].binding, path, rule)
                    for place, path, rule in combined.chains
                ]
            )
            yield Holding(subject, scope, grants, combined)


def _combined(access: Access, asked: Sequence[Action], entries: Sequence[Bound]) -> Combined:
    chains: dict[tuple[int, PolicyRule], int] = {}
    found: dict[Action, tuple[int, ...]] = {}
    for number, action in enumerate(asked):
        rules = [(place, access.rules[each.role][number]) for place, each in enumerate(entries)]
        places = [
            chains.setdefault((place, rule), len(chains))
            for place, rule in rules
            if rule is not None
        ]
        if places:
            found[action] = tuple(places)
    told = tuple((place, access.path(entries[place].role, rule), rule) for place, rule in chains)
    allows = tuple(
        tuple(number for number, by in enumerate(found.values()) if chained in by)
        for chained in range(len(told))
    )
    return Combined(tuple(found), told, tuple(found.values()), allows)


def holdings(
    snapshot: Snapshot, actions: Iterable[Action], without: Container[ObjectKey] = ()
) -> Holdings:
    """Return who holds which of these actions, by action, subject and scope (see `holders`)."""
    asked = tuple(actions)
    found: dict[Action, dict[Held, dict[str, tuple[Grant, ...]]]] = {each: {} for each in asked}
    for each in holders(snapshot, asked, without=without):
        for action, grants in each.by_action:
            held = found[action].setdefault(Held(each.subject, action), {})
            held[each.scope] = grants
    return {held: scopes for by_held in found.values() for held, scopes in by_held.items()}


DEFAULT_ROLES = frozenset(
    ObjectKey("ClusterRole", "", name) for name in ("admin", "edit", "view", ADMIN, EDIT, MIGRATE)
)
"""Roles whose holders had migration by default, or have it by decision."""


def own_grants(snapshot: Snapshot) -> Mapping[Held, tuple[Grant, ...]]:
    """Return the grants by which subjects hold migration of their own, not by default.

    Such a grant binds a role that is neither a default one nor kubevirt.io:migrate: cluster
    administrators, controllers, roles that a customer wrote.
    """
    found = holdings(snapshot, live_migration().granting, without=DEFAULT_ROLES)
    return {held: tuple(chain.from_iterable(scopes.values())) for held, scopes in found.items()}
