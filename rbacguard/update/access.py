"""Who holds which actions where, and the difference between two snapshots.

A cluster has a hundred thousand bindings of a few hundred roles. So each role is asked once, and
what follows is worked out once for each combination of roles that somebody is bound to, not for
each subject and namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from rbacguard.kubevirt.names import ADMIN, EDIT, MIGRATE
from rbacguard.kubevirt.permissions import Action, Tier, live_migration
from rbacguard.rbac import Grant, ObjectKey, PolicyRule, Subject
from rbacguard.rbac.authorizer import can_apply, effective_subject
from rbacguard.rbac.objects import AnyBinding
from rbacguard.rbac.questions import Answers, Questions
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


class Bound(NamedTuple):
    """A binding, and the role that it gives."""

    binding: ObjectKey
    role: ObjectKey


Roles: TypeAlias = tuple[ObjectKey, ...]
Place: TypeAlias = tuple[Subject, str]


class Shape(NamedTuple):
    """The roles that somebody is bound to in the whole cluster, and in one namespace.

    `local` is None where the whole cluster is the place.
    """

    cluster: Roles
    local: Roles | None


Subjects: TypeAlias = Mapping[Subject, Mapping[str, Sequence[Bound]]]
"""For each subject, by scope, what binds him."""


def _subjects(bindings: Iterable[AnyBinding], roles: Iterable[ObjectKey]) -> Subjects:
    by_name = {(role.kind, role.namespace, role.name): role for role in roles}
    found: dict[Subject, dict[str, list[Bound]]] = {}
    for binding in bindings:
        scope, ref = binding.scope, binding.role_ref
        role = by_name.get((ref.kind, scope if ref.kind == "Role" else "", ref.name))
        if role is not None:
            entry = Bound(binding.ref, role)
            for each in binding.subjects:
                subject = effective_subject(each, scope)
                if can_apply(subject):
                    found.setdefault(subject, {}).setdefault(scope, []).append(entry)
    return found


class Table:
    """Who is bound to roles that matter, and where.

    Args:
        bindings: all of them.
        roles: those that matter.
        base: a table to which these bindings are added.
    """

    def __init__(
        self,
        bindings: Iterable[AnyBinding],
        roles: Iterable[ObjectKey],
        base: Table | None = None,
    ) -> None:
        """Look at every binding once."""
        self._own = _subjects(bindings, roles)
        self._base = base

    @cached_property
    def subjects(self) -> Subjects:
        """Everybody who is bound."""
        if self._base is None:
            return self._own
        found = dict(self._base.subjects)
        for subject, scopes in self._own.items():
            merged = dict(found.get(subject, {}))
            for scope, entries in scopes.items():
                merged[scope] = [*merged.get(scope, ()), *entries]
            found[subject] = merged
        return found

    @cached_property
    def rank(self) -> Mapping[Subject, int]:
        """The place of each subject in their order."""
        base = self._base
        if base is not None and all(subject in base.subjects for subject in self._own):
            return base.rank
        return {subject: number for number, subject in enumerate(sorted(self.subjects))}

    @cached_property
    def shapes(self) -> Mapping[Shape, Sequence[Place]]:
        """The places in which the same roles are bound, together."""
        shapes: dict[Shape, list[Place]] = {}
        if self._base is not None:
            for _, shape, places in self._grown:
                shapes.setdefault(shape, []).extend(places)
            return shapes
        found: dict[tuple[Roles, Roles | None], list[Place]] = {}
        for subject, scopes in self.subjects.items():
            cluster = _roles(scopes.get(CLUSTER, ()))
            for scope, entries in scopes.items():
                local = _roles(entries) if scope else None
                found.setdefault((cluster, local), []).append((subject, scope))
        return {Shape(*roles): places for roles, places in found.items()}

    @cached_property
    def _grown(self) -> Sequence[tuple[Shape, Shape, Sequence[Place]]]:
        """What the base's shapes become by the bindings that were added."""
        found: dict[tuple[Shape, Roles, Roles], list[Place]] = {}
        base = self._base or self
        for shape, places in base.shapes.items():
            for place in places:
                subject, scope = place
                added = self._own.get(subject)
                cluster = _roles(added.get(CLUSTER, ())) if added else ()
                local = _roles(added.get(scope, ())) if added and scope else ()
                found.setdefault((shape, cluster, local), []).append(place)
        for subject, scopes in self._own.items():
            known = base.subjects.get(subject, {})
            shape = Shape(_roles(known.get(CLUSTER, ())), ())
            for scope, entries in scopes.items():
                if scope not in known:
                    roles = (_roles(scopes.get(CLUSTER, ())), _roles(entries) if scope else ())
                    old = shape if scope else Shape(shape.cluster, None)
                    found.setdefault((old, *roles), []).append((subject, scope))
        return [
            (shape, _with_roles(shape, cluster, local), places)
            for (shape, cluster, local), places in found.items()
        ]

    def both(self, other: Table) -> Iterator[tuple[Shape, Shape, Sequence[Place]]]:
        """Yield the places in which the same roles are bound here, and the same there."""
        if other is self:
            yield from ((shape, shape, places) for shape, places in self.shapes.items())
            return
        if other._base is self:
            yield from other._grown
            return
        found: dict[tuple[Shape, Shape], list[Place]] = {}
        for subject in dict.fromkeys((*self.subjects, *other.subjects)):
            here, there = self.subjects.get(subject, {}), other.subjects.get(subject, {})
            scopes = dict.fromkeys((*here, *there))
            for (scope, old), (_, new) in zip(
                _shapes(here, scopes), _shapes(there, scopes), strict=True
            ):
                found.setdefault((old, new), []).append((subject, scope))
        yield from ((old, new, places) for (old, new), places in found.items())


def _with_roles(shape: Shape, cluster: Roles, local: Roles) -> Shape:
    if not (cluster or local):
        return shape
    return Shape(
        tuple(sorted({*shape.cluster, *cluster})),
        None if shape.local is None else tuple(sorted({*shape.local, *local})),
    )


def _shapes(
    bound: Mapping[str, Sequence[Bound]], scopes: Iterable[str]
) -> Iterator[tuple[str, Shape]]:
    cluster = _roles(bound.get(CLUSTER, ()))
    for scope in scopes:
        yield scope, Shape(cluster, _roles(bound.get(scope, ())) if scope else None)


def _roles(entries: Sequence[Bound]) -> Roles:
    if len(entries) == 1:
        return (entries[0].role,)
    return tuple(sorted({entry.role for entry in entries}))


class Chain(NamedTuple):
    """How a bound role comes by a rule, and the numbers of the questions that it allows."""

    path: tuple[ObjectKey, ...]
    rule: PolicyRule
    allows: tuple[int, ...]


class Access:
    """What the roles of one snapshot grant of some actions, and who is bound to them.

    Args:
        snapshot: the cluster.
        questions: the actions' requests, in order.
        more: roles to ask, besides those that are bound.
    """

    def __init__(
        self, snapshot: Snapshot, questions: Questions, more: Iterable[ObjectKey] = ()
    ) -> None:
        """Ask every role that is bound."""
        self._snapshot, self._questions = snapshot, questions
        self.rules: dict[ObjectKey, Answers] = {}
        self.masks: dict[ObjectKey, int] = {}
        rules = snapshot.rules
        for role in snapshot.bound_roles.union(more):
            answers, mask = questions.ask(rules.get(role, ()))
            if mask:
                self.rules[role], self.masks[role] = answers, mask

    @cached_property
    def table(self) -> Table:
        """Who is bound; several states of the same bindings share one (`share`)."""
        return Table(self._snapshot.bindings, self.masks)

    @staticmethod
    def share(states: Sequence[Access]) -> None:
        """Give states that have the same bindings one table, of the roles that matter in any."""
        roles = frozenset(role for state in states for role in state.masks)
        table = Table(states[0]._snapshot.bindings, roles)  # noqa: SLF001 - its own class
        for state in states:
            state.__dict__["table"] = table

    def with_bindings(self, more: Iterable[AnyBinding]) -> Access:
        """Return this state with bindings added."""
        added = tuple(more)
        made = Access(self._snapshot, self._questions, [b.role_ref.key(b.scope) for b in added])
        made.__dict__["table"] = Table(added, made.masks, self.table)
        return made

    def mask(self, roles: Roles | None) -> int:
        """Return what these roles grant together."""
        mask = 0
        for role in roles or ():
            mask |= self.masks.get(role, 0)
        return mask

    def bound(self, subject: Subject, scope: str) -> Iterator[tuple[str, Bound]]:
        """Yield what counts in a scope: what binds the subject in the whole cluster, and there."""
        scopes = self.table.subjects.get(subject, {})
        for each in (CLUSTER, scope) if scope else (CLUSTER,):
            yield from ((each, entry) for entry in scopes.get(each, ()))

    def path(self, role: ObjectKey, rule: PolicyRule) -> tuple[ObjectKey, ...]:
        """Return the roles through which a role comes by a rule."""
        return self._snapshot.path(role, rule)

    def chains(self, role: ObjectKey) -> tuple[Chain, ...]:
        """Return by which roles and rules a bound role grants what was asked, each once."""
        allowed: dict[PolicyRule, list[int]] = {}
        for number, rule in enumerate(self.rules.get(role, ())):
            if rule is not None:
                allowed.setdefault(rule, []).append(number)
        return tuple(
            Chain(self.path(role, rule), rule, tuple(numbers)) for rule, numbers in allowed.items()
        )

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

    def by_role(self, scope: str) -> Mapping[ObjectKey, Grant]:
        """Return one grant for each role that is bound, before or after, and grants any of it."""
        found = {}
        for state in (self.before, self.after):
            for where, each in state.bound(self.subject, scope):
                answers = state.rules.get(each.role)
                rules = [answers[number] for number in self.numbers] if answers else ()
                rule = next((rule for rule in reversed(rules) if rule is not None), None)
                if rule is not None:
                    path = state.path(each.role, rule)
                    found[each.role] = Grant(self.subject, where, each.binding, path, rule)
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
    """

    def __init__(
        self, actions: Sequence[Action], before: Access, after: Access, *, first: int = 0
    ) -> None:
        """Compare."""
        self._actions, self._before, self._after = actions, before, after
        self._first = first
        self._reading = sum(1 << n for n, a in enumerate(actions) if a.tier is Tier.READ)
        asked = (1 << len(actions)) - 1
        self._rank = after.table.rank
        if not before.table.subjects.keys() <= self._rank.keys():
            subjects = {*before.table.subjects, *after.table.subjects}
            self._rank = {subject: number for number, subject in enumerate(sorted(subjects))}
        self._found: list[tuple[Masks, Sequence[Place]]] = []
        for old, new, places in before.table.both(after.table):
            masks = Masks(*(m >> first & asked for m in _compare(before, old, after, new)))
            if any(masks):
                self._found.append((masks, places))

    def summary(self, change: Change) -> dict[Subject, tuple[str, ...]]:
        """Return, by subject, the scopes in which anything but reading has this change."""
        found: dict[Subject, list[str]] = {}
        for masks, places in self._found:
            if masks.of(change) & ~self._reading:
                for subject, scope in places:
                    found.setdefault(subject, []).append(scope)
        return {s: tuple(sorted(found[s])) for s in sorted(found, key=self._rank.__getitem__)}

    def transitions(self, changes: Iterable[Change] = Change) -> tuple[Transition, ...]:
        """Return what happens, those of a subject together; that somebody goes on reading is none.

        Args:
            changes: those that are wanted.
        """
        folded: dict[tuple[Subject, int, Change], list[str]] = {}
        wanted = tuple(changes)
        for masks, places in self._found:
            for change in wanted:
                reading = 0 if change is Change.KEPT else self._reading
                mask = masks.of(change)
                for part in (mask & ~self._reading, mask & reading):
                    if part:
                        for subject, scope in places:
                            folded.setdefault((subject, part, change), []).append(scope)
        parts = {part: _numbers(part) for _, part, _ in folded}
        actions = {
            part: tuple(self._actions[n] for n in numbers) for part, numbers in parts.items()
        }
        numbers = {part: tuple(self._first + n for n in found) for part, found in parts.items()}
        return tuple(
            Transition(
                subject,
                change,
                actions[part],
                tuple(sorted(scopes)),
                numbers[part],
                self._before,
                self._after,
            )
            for (subject, part, change), scopes in sorted(folded.items(), key=self._order)
        )

    def _order(
        self, item: tuple[tuple[Subject, int, Change], list[str]]
    ) -> tuple[int, int, Change]:
        # Reading comes last among the actions, so its bits are the highest.
        subject, part, change = item[0]
        return self._rank[subject], part, change


def _numbers(mask: int) -> tuple[int, ...]:
    return tuple(number for number in range(mask.bit_length()) if mask >> number & 1)


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


def holdings(snapshot: Snapshot, actions: Iterable[Action]) -> Holdings:
    """Return who holds which of these actions, by the bindings of the snapshot."""
    asked = tuple(actions)
    access = Access(snapshot, Questions(action.attributes for action in asked))
    found: dict[Held, dict[str, tuple[Grant, ...]]] = {}
    for number, action in enumerate(asked):
        for subject, scopes in access.table.subjects.items():
            for scope, entries in sorted(scopes.items()):
                grants = tuple(
                    Grant(subject, scope, each.binding, access.path(each.role, rule), rule)
                    for each in entries
                    if (rule := access.rules[each.role][number]) is not None
                )
                if grants:
                    found.setdefault(Held(subject, action), {})[scope] = grants
    return found


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
