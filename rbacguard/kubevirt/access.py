"""What roles grant to whom, and the difference between two snapshots.

Each role is asked once, and what follows is worked out once for each combination of roles that
somebody is bound to (`places`), not for each subject and namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from msgspec import Struct

from rbacguard.kubevirt.permissions import Action, Tier
from rbacguard.kubevirt.places import (
    CLUSTER,
    Bound,
    Places,
    Roles,
    Shape,
    Table,
    picker,
)
from rbacguard.rbac import Grant, ObjectKey, PolicyRule, Subject
from rbacguard.rbac.questions import Answers, Questions
from rbacguard.rbac.types import AnyBinding
from rbacguard.snapshot import Snapshot


class Change(StrEnum):
    """What happens to one permission."""

    KEPT = "kept"
    LOST = "lost"
    GAINED = "gained"


class Chain(NamedTuple):
    """How a bound role comes by a rule, and the numbers of the questions that it allows."""

    path: tuple[ObjectKey, ...]
    rule: PolicyRule
    allows: tuple[int, ...]


class ByRole(NamedTuple):
    """Which actions a bound role grants somebody in a place, and by which grants, each once."""

    actions: tuple[Action, ...]
    grants: tuple[Grant, ...]


class Access:
    """What the roles of one snapshot grant of some actions, and who is bound to them.

    Args:
        snapshot: the cluster.
        questions: the actions' requests, in order.
        without: roles that are passed over.
    """

    def __init__(
        self, snapshot: Snapshot, questions: Questions, without: Container[ObjectKey] = ()
    ) -> None:
        """Ask every role."""
        self._snapshot, self._questions = snapshot, questions
        self._base: Access | None = None
        self._added: Callable[[], Iterable[AnyBinding]] = tuple
        self.rules: dict[ObjectKey, Answers] = {}
        self.masks: dict[ObjectKey, int] = {}
        self._chains: dict[ObjectKey, tuple[Chain, ...]] = {}
        self._granting: dict[
            tuple[ObjectKey, tuple[int, ...]], tuple[tuple[Chain, ...], tuple[int, ...]]
        ] = {}
        for role, rules in snapshot.rules.items():
            answers, mask = questions.ask(rules)
            if mask and role not in without:
                self.rules[role], self.masks[role] = answers, mask

    @cached_property
    def table(self) -> Table:
        """Who is bound; several states of the same bindings share one (`share`)."""
        if self._base is None:
            return Table(self._snapshot.columns, tuple(self.masks))
        return Table(self._snapshot.replace(self._added()).columns, self._base.table.roles)

    @staticmethod
    def share(states: Sequence[Access], more: Iterable[ObjectKey] = ()) -> None:
        """Give states that have the same bindings one table, of the roles that matter in any.

        Args:
            states: these.
            more: roles that matter whatever they grant.
        """
        roles = dict.fromkeys(chain(*(state.masks for state in states), more))
        table = Table(states[0]._snapshot.columns, tuple(roles))  # noqa: SLF001 - its own class
        for state in states:
            state.__dict__["table"] = table

    def with_bindings(self, make: Callable[[], Iterable[AnyBinding]]) -> Access:
        """Return this state with bindings added.

        Args:
            make: returns them; called when somebody asks what binds whom.
        """
        made = Access(self._snapshot, self._questions)
        made._base, made._added = self, make
        return made

    def mask(self, roles: Roles | None) -> int:
        """Return what these roles grant together."""
        mask = 0
        for role in roles or ():
            mask |= self.masks.get(role, 0)
        return mask

    def bound(self, subject: Subject, scope: str) -> Iterator[tuple[str, Bound]]:
        """Yield what counts in a scope: what binds the subject in the whole cluster, and there."""
        scopes = self.table.bound(subject)
        for each in (CLUSTER, scope) if scope else (CLUSTER,):
            yield from ((each, entry) for entry in scopes.get(each, ()))

    def path(self, role: ObjectKey, rule: PolicyRule) -> tuple[ObjectKey, ...]:
        """Return the roles through which a role comes by a rule."""
        return self._snapshot.path(role, rule)

    def chains(self, role: ObjectKey) -> tuple[Chain, ...]:
        """Return by which roles and rules a bound role grants what was asked, each once."""
        found = self._chains.get(role)
        if found is None:
            allowed: dict[PolicyRule, list[int]] = {}
            for number, rule in enumerate(self.rules.get(role, ())):
                if rule is not None:
                    allowed.setdefault(rule, []).append(number)
            found = self._chains[role] = tuple(
                Chain(self.path(role, rule), rule, tuple(numbers))
                for rule, numbers in allowed.items()
            )
        return found

    def granting(
        self, role: ObjectKey, numbers: tuple[int, ...]
    ) -> tuple[tuple[Chain, ...], tuple[int, ...]]:
        """Return by which chains a bound role grants any of these, and the places of those here."""
        known = self._granting.get((role, numbers))
        if known is None:
            wanted = set(numbers)
            chains = tuple(c for c in self.chains(role) if not wanted.isdisjoint(c.allows))
            allowed = set(chain.from_iterable(c.allows for c in chains))
            places = tuple(place for place, number in enumerate(numbers) if number in allowed)
            known = self._granting[role, numbers] = chains, places
        return known

    def grants(self, subject: Subject, scope: str, number: int) -> Iterator[Grant]:
        """Yield every grant of one action that counts in a scope."""
        for where, each in self.bound(subject, scope):
            answers = self.rules.get(each.role)
            rule = answers[number] if answers else None
            if rule is not None:
                yield Grant(subject, where, each.binding, self.path(each.role, rule), rule)


class Masks(NamedTuple):
    """What is kept, lost and gained in a place, one bit an action."""

    kept: int
    lost: int
    gained: int

    def of(self, change: Change) -> int:
        """Return that of one change."""
        return {
            Change.KEPT: self.kept,
            Change.LOST: self.lost,
            Change.GAINED: self.gained,
        }[change]


def _compare(before: Access, old: Shape, after: Access, new: Shape) -> Masks:
    """Compare what two shapes grant; a namespace tells only where it differs from the cluster."""
    was, now = before.mask(old.cluster), after.mask(new.cluster)
    whole = Masks(was & now, was & ~now, now & ~was)
    if old.local is None:
        return whole
    old_local, new_local = before.mask(old.local), after.mask(new.local)
    was, now, present = was | old_local, now | new_local, old_local | new_local
    return Masks(
        was & now & present & ~whole.kept,
        was & ~now & present & ~whole.lost,
        now & ~was & present & ~whole.gained,
    )


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


class Transition(Struct, frozen=True):
    """What happens alike to some actions of one subject in some scopes.

    Attributes:
        subject: as bindings name it.
        change: kept, lost or gained.
        actions: all of them reading, or none of them.
        namespaces: where, in order; '' as in `AccessChange`.
        numbers: the numbers of the actions among the questions.
        before: what the subject is bound to before.
        after: what he is bound to after.
    """

    subject: Subject
    change: Change
    actions: tuple[Action, ...]
    namespaces: tuple[str, ...]
    numbers: tuple[int, ...]
    before: Access
    after: Access

    @property
    def is_reading(self) -> bool:
        """Whether it is about looking on alone."""
        return self.actions[0].tier is Tier.READ

    @property
    def because(self) -> Access:
        """The state that the change rests on: what is lost was held before."""
        return self.before if self.change is Change.LOST else self.after

    def by_role(self, scope: str) -> Mapping[ObjectKey, ByRole]:
        """Return, by role that is bound, what the change rests on."""
        state, found = self.because, dict[ObjectKey, ByRole]()
        for where, each in state.bound(self.subject, scope):
            chains, places = state.granting(each.role, self.numbers)
            if chains:
                known = found.get(each.role)
                actions = known.actions if known else tuple([self.actions[p] for p in places])
                grants = [Grant(self.subject, where, each.binding, c.path, c.rule) for c in chains]
                found[each.role] = ByRole(actions, (*(known.grants if known else ()), *grants))
        return found

    def rows(self) -> Iterator[AccessChange]:
        """Yield it action by action and place by place."""
        for number, action in zip(self.numbers, self.actions, strict=True):
            for scope in self.namespaces:
                yield AccessChange(
                    self.subject,
                    scope,
                    action,
                    self.change,
                    tuple(self.before.grants(self.subject, scope, number)),
                    tuple(self.after.grants(self.subject, scope, number)),
                )


class Compared:
    """Two states of access, compared once for each combination of roles.

    Args:
        actions: those that it is about, in order (`in_order`).
        before: the state before.
        after: the state after.
        first: the place of the first of these actions among the questions.
        places: where to compare; by default where anybody is bound in either state.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        before: Access,
        after: Access,
        *,
        first: int = 0,
        places: Places | None = None,
    ) -> None:
        """Compare."""
        self._actions, self._before, self._after = actions, before, after
        self._first = first
        self._reading = sum(1 << n for n, a in enumerate(actions) if a.tier is Tier.READ)
        self._places = places or before.table.both(after.table)
        asked = (1 << len(actions)) - 1
        self._found: dict[int, Masks] = {}
        for number, (old, new) in enumerate(self._places.shapes):
            masks = Masks(*(m >> first & asked for m in _compare(before, old, after, new)))
            if any(masks):
                self._found[number] = masks

    def numbers(self, change: Change) -> frozenset[int]:
        """Return the numbers of the places in which anything but reading has this change."""
        return frozenset(
            number for number, masks in self._found.items() if masks.of(change) & ~self._reading
        )

    def summary(self, change: Change) -> Mapping[Subject, tuple[str, ...]]:
        """Return, by subject, the scopes in which anything but reading has this change."""
        return self._places.where(self.numbers(change))

    def transitions(self, changes: Iterable[Change] = Change) -> tuple[Transition, ...]:
        """Return what happens, those of a subject together; that somebody goes on reading is none.

        Args:
            changes: those that are wanted.
        """
        wanted = tuple(changes)
        happens = {number: self._happens(masks, wanted) for number, masks in self._found.items()}
        # In the order in which they are told of a subject.
        kinds = sorted({what for each in happens.values() for what in each})
        told = [self._told(part) for part, _ in kinds]
        patterns = [
            [
                (change, *told[rank], picker(places))
                for rank, (part, change) in enumerate(kinds)
                if (
                    places := [
                        place
                        for place, number in enumerate(pattern)
                        if (part, change) in happens.get(number, ())
                    ]
                )
            ]
            for pattern in self._places.patterns
        ]
        return tuple(
            Transition(subject, change, actions, pick(scopes), numbers, self._before, self._after)
            for subject, scopes, happening in self._places.each(patterns)
            for change, actions, numbers, pick in happening
        )

    def _happens(self, masks: Masks, wanted: Iterable[Change]) -> list[tuple[int, Change]]:
        """Return which actions, by bit, have which change; reading apart."""
        found = []
        for change in wanted:
            mask = masks.of(change)
            reading = 0 if change is Change.KEPT else mask & self._reading
            # Reading comes last among the actions, so its bits are the highest.
            found += [(part, change) for part in (mask & ~self._reading, reading) if part]
        return found

    def _told(self, part: int) -> tuple[tuple[Action, ...], tuple[int, ...]]:
        numbers = [number for number in range(part.bit_length()) if part >> number & 1]
        actions = tuple(self._actions[number] for number in numbers)
        return actions, tuple(self._first + number for number in numbers)


def summary(changes: Iterable[Transition], change: Change) -> dict[Subject, tuple[str, ...]]:
    """Return, by subject, the scopes in which anything but reading has this change."""
    found: dict[Subject, dict[str, None]] = {}
    for each in changes:
        if each.change is change and not each.is_reading:
            found.setdefault(each.subject, {}).update(dict.fromkeys(each.namespaces))
    return {subject: tuple(sorted(scopes)) for subject, scopes in sorted(found.items())}


def differences(
    before: Snapshot, after: Snapshot, asked: Sequence[Action]
) -> tuple[Transition, ...]:
    """Return what is lost and gained from one snapshot to the other."""
    questions = Questions(action.attributes for action in asked)
    compared = Compared(asked, Access(before, questions), Access(after, questions))
    return compared.transitions((Change.LOST, Change.GAINED))


_TIERS = tuple(Tier)


def in_order(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Return actions in the order in which they are told: the most direct first."""
    return tuple(sorted(actions, key=lambda each: (_TIERS.index(each.tier), str(each))))
