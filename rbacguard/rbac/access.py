"""Effective access: what each subject can do in each namespace, in several states of a cluster.

The states have bindings in common and differ in what the roles contain: today, after an update,
after an update with one more role. One pass over the bindings serves all of them. A cluster has
many bindings and few roles, so each role is evaluated once for each state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from rbacguard.rbac.aggregation import ResolvedRoles
from rbacguard.rbac.authorizer import Grant
from rbacguard.rbac.rules import RequestSet
from rbacguard.rbac.types import (
    CLUSTER_WIDE,
    AnyBinding,
    ObjectKey,
    PolicyRule,
    Subject,
    can_apply,
)

Bindings: TypeAlias = Mapping[str, Sequence[AnyBinding]]
"""By namespace, the bindings there; `CLUSTER_WIDE` for ClusterRoleBindings."""
Masks: TypeAlias = int
"""The requests that are allowed in each state: bit `state * width + request`."""
Namespaces: TypeAlias = Mapping[Subject, tuple[str, ...]]
"""By subject, namespaces, both in order."""


class Change(StrEnum):
    """What happens to access from one state to another."""

    KEPT = "kept"
    LOST = "lost"
    GAINED = "gained"


class RuleGrant(NamedTuple):
    """A rule by which a bound role allows some requests."""

    role_chain: tuple[ObjectKey, ...]
    rule: PolicyRule
    requests: int


class AccessEntry(NamedTuple):
    """The access of one subject in one namespace, by bindings of that namespace alone.

    Attributes:
        subject: as in bindings, normalised.
        namespace: `CLUSTER_WIDE` for access by ClusterRoleBindings.
        requests: the mask of the requests that are allowed.
        grants: every grant, with the mask of the requests that it allows.
    """

    subject: Subject
    namespace: str
    requests: int
    grants: tuple[tuple[Grant, int], ...]


class AccessChange(NamedTuple):
    """One change of the same requests for one subject in one or more namespaces.

    Attributes:
        subject: as in bindings, normalised.
        change: kept, lost, or gained.
        requests: the mask of the requests.
        namespaces: in order. `CLUSTER_WIDE` includes every namespace that has no change of its own
            for this subject.
        state: the state whose grants explain the change: the old one for lost access, otherwise
            the new one.
    """

    subject: Subject
    change: Change
    requests: int
    namespaces: tuple[str, ...]
    state: int


class AccessRow(NamedTuple):
    """The access of a subject in one namespace, in all states.

    Attributes:
        width: the number of requests.
        cluster: what ClusterRoleBindings allow.
        local: what RoleBindings allow, or None for cluster-wide access.
    """

    width: int
    cluster: Masks
    local: Masks | None

    def allowed(self, state: int) -> int:
        """Return the mask of the requests that are allowed in a state."""
        return self._in_state(self.cluster | (self.local or 0), state)

    def changed(self, change: Change, before: int, after: int) -> int:
        """Return the mask of the requests with a change from one state to another.

        A change that happens cluster-wide is not repeated for a namespace.
        """
        old, new = self._in_state(self.cluster, before), self._in_state(self.cluster, after)
        everywhere = _changed(change, old, new)
        if self.local is None:
            return everywhere
        old_local, new_local = self._in_state(self.local, before), self._in_state(self.local, after)
        here = _changed(change, old | old_local, new | new_local)
        return here & (old_local | new_local) & ~everywhere

    def _in_state(self, masks: Masks, state: int) -> int:
        return masks >> state * self.width & (1 << self.width) - 1


_Table: TypeAlias = tuple[list[tuple[Subject, tuple[str, ...], int]], list[list[AccessRow]]]


def _changed(change: Change, old: int, new: int) -> int:
    match change:
        case Change.KEPT:
            return old & new
        case Change.LOST:
            return old & ~new
        case Change.GAINED:
            return new & ~old


class EffectiveAccess:
    """Which requests the bindings of a cluster allow to each subject, in each namespace and state.

    Args:
        requests: the requests, evaluated together.
        states: the roles in each state, aggregation applied.
        bindings: the bindings that all states have.
        without: roles that do not count.
    """

    def __init__(
        self,
        requests: RequestSet,
        states: Sequence[ResolvedRoles],
        bindings: Bindings,
        *,
        without: Collection[ObjectKey] = (),
    ) -> None:
        """Evaluate each role once for each state, and iterate over the bindings once."""
        self._states = states
        self._width = len(requests.requests)
        self._rules = [
            {
                role: found
                for role, rules in roles.rules.items()
                if (found := requests.evaluate(rules)) and role not in without
            }
            for roles in states
        ]
        self._rule_grants: dict[tuple[int, ObjectKey], tuple[RuleGrant, ...]] = {}
        self._masks: dict[Subject, dict[str, Masks]] = {}
        self._known_table: _Table | None = None
        self._layers: list[tuple[Collection[int], dict[Subject, list[AnyBinding]]]] = []
        self.add(bindings, range(len(states)))

    def add(self, bindings: Bindings, states: Collection[int]) -> None:
        """Add bindings that exist in some of the states."""
        self._known_table = None
        layer: defaultdict[Subject, list[AnyBinding]] = defaultdict(list)
        self._layers.append((states, layer))
        masks: defaultdict[tuple[str, str, str], Masks] = defaultdict(int)
        for state in states:
            for role, rules in self._rules[state].items():
                masks[role] |= _mask(rules) << state * self._width
        for namespace, some in bindings.items():
            for binding in some:
                ref = binding.role_ref
                mask = masks.get((ref.kind, namespace if ref.kind == "Role" else "", ref.name))
                if mask is None:
                    continue
                for subject in binding.subjects:
                    there = self._masks.get(subject)
                    if there is None:
                        if not can_apply(subject):
                            continue
                        there = self._masks[subject] = {}
                    there[namespace] = there.get(namespace, 0) | mask
                    known = layer[subject]
                    # A binding can contain a subject twice.
                    if not known or known[-1] is not binding:
                        known.append(binding)

    def add_role(self, role: ObjectKey, namespaces: Namespaces, state: int) -> None:
        """Bind a ClusterRole in one state, in these namespaces of each subject.

        The bindings are assumed. They do not appear in grants.
        """
        mask = _mask(self._rules[state].get(role, ())) << state * self._width
        self._known_table = None
        for subject, some in namespaces.items():
            there = self._masks.setdefault(subject, {})
            for namespace in some:
                there[namespace] = there.get(namespace, 0) | mask

    def subjects(self) -> list[Subject]:
        """Return all subjects that a relevant role is bound to, in order."""
        return sorted(self._masks, key=_order)

    def bindings_of(self, subject: Subject, state: int = 0) -> Sequence[AnyBinding]:
        """Return the bindings of relevant roles to a subject, in order of namespace and name."""
        found = [
            binding
            for states, layer in self._layers
            if state in states
            for binding in layer.get(subject, ())
        ]
        return found if len(self._layers) == 1 else sorted(found, key=_binding_order)

    def rule_grants(self, role: ObjectKey, state: int = 0) -> tuple[RuleGrant, ...]:
        """Return by which rules a role allows the requests, and where it has these rules from."""
        known = self._rule_grants.get((state, role))
        if known is None:
            masks: dict[PolicyRule, int] = {}
            for number, rule in enumerate(self._rules[state].get(role, ())):
                if rule is not None:
                    masks[rule] = masks.get(rule, 0) | 1 << number
            known = self._rule_grants[state, role] = tuple(
                RuleGrant(self._states[state].chain(role, rule), rule, mask)
                for rule, mask in masks.items()
            )
        return known

    def entries(
        self, subjects: Iterable[Subject] | None = None, *, state: int = 0
    ) -> Iterator[AccessEntry]:
        """Yield the access of subjects, by default of all subjects, in order of namespace."""
        for subject in self.subjects() if subjects is None else subjects:
            for namespace, group in groupby(self.bindings_of(subject, state), attrgetter("scope")):
                grants = self._grants(subject, group, state)
                # Grants of the first requests come first.
                grants.sort(key=lambda grant: grant[1] & -grant[1])
                requests = 0
                for _, mask in grants:
                    requests |= mask
                if requests:
                    yield AccessEntry(subject, namespace, requests, tuple(grants))

    def grants(
        self, subject: Subject, namespace: str, *, state: int = 0, requests: int = -1
    ) -> list[tuple[Grant, int]]:
        """Return every grant that counts in a namespace, cluster-wide grants first.

        Each comes with the mask of those `requests` that it allows.
        """
        relevant = (CLUSTER_WIDE, namespace)
        bindings = [each for each in self.bindings_of(subject, state) if each.scope in relevant]
        return [
            (grant, mask & requests)
            for grant, mask in self._grants(subject, bindings, state)
            if mask & requests
        ]

    def _grants(
        self, subject: Subject, bindings: Iterable[AnyBinding], state: int
    ) -> list[tuple[Grant, int]]:
        return [
            (
                Grant(subject, binding.scope, binding.ref, found.role_chain, found.rule),
                found.requests,
            )
            for binding in bindings
            for found in self.rule_grants(binding.role_ref.key(binding.scope), state)
        ]

    def allowed(self, subject: Subject, namespace: str, *, state: int = 0) -> int:
        """Return the mask of the requests that a subject is allowed in a namespace."""
        masks = self._masks.get(subject, {})
        return AccessRow(self._width, masks.get(CLUSTER_WIDE, 0), masks.get(namespace, 0)).allowed(
            state
        )

    def select(self, tests: Sequence[Callable[[AccessRow], object]]) -> list[Namespaces]:
        """Return for each test where the access of each subject passes it.

        Args:
            tests: receive the access of a subject in one namespace.
        """
        subjects, patterns = self._table()
        picked: list[list[tuple[int, list[int]]]] = []
        passed: dict[AccessRow, list[bool]] = {}
        for rows in patterns:
            for row in rows:
                if row not in passed:
                    passed[row] = [bool(test(row)) for test in tests]
            indexes = [
                [index for index, row in enumerate(rows) if passed[row][number]]
                for number in range(len(tests))
            ]
            picked.append([(number, found) for number, found in enumerate(indexes) if found])
        selected: list[dict[Subject, tuple[str, ...]]] = [{} for _ in tests]
        for subject, namespaces, pattern in subjects:
            for number, indexes_of_test in picked[pattern]:
                selected[number][subject] = _pick(namespaces, indexes_of_test)
        return list(selected)

    def compare(
        self, before: int, after: int, parts: Mapping[int, Iterable[Change]]
    ) -> Iterator[AccessChange]:
        """Yield what is kept, lost, and gained from one state to another, by subject in order.

        Args:
            before: the old state.
            after: the new state.
            parts: masks of requests, with the changes to report. Changes of different parts are
                reported separately.
        """
        subjects, patterns = self._table()
        changed: dict[AccessRow, list[tuple[int, Change]]] = {}
        changes = []
        for rows in patterns:
            found: defaultdict[tuple[int, Change], list[int]] = defaultdict(list)
            for index, row in enumerate(rows):
                if row not in changed:
                    changed[row] = [
                        (mask, change)
                        for part, reported in parts.items()
                        for change in reported
                        if (mask := row.changed(change, before, after) & part)
                    ]
                for each in changed[row]:
                    found[each].append(index)
            changes.append(sorted(found.items()))
        for subject, namespaces, pattern in subjects:
            for (requests, change), indexes in changes[pattern]:
                state = before if change is Change.LOST else after
                yield AccessChange(subject, change, requests, _pick(namespaces, indexes), state)

    def _table(self) -> _Table:
        """Return each subject with its namespaces and the number of its pattern, and all patterns.

        Subjects with the same access, in whatever namespaces, have one pattern: a row for each
        namespace. A cluster has many subjects and few patterns, so that a question is decided once
        for each pattern. That halves the time of a plan for a large cluster.
        """
        if self._known_table is None:
            numbers: dict[tuple[bool, tuple[Masks, ...]], int] = {}
            subjects = []
            for subject in self.subjects():
                masks = self._masks[subject]
                namespaces = tuple(sorted(masks))
                pattern = (CLUSTER_WIDE in masks, tuple(map(masks.__getitem__, namespaces)))
                subjects.append((subject, namespaces, numbers.setdefault(pattern, len(numbers))))
            self._known_table = subjects, [self._rows(*pattern) for pattern in numbers]
        return self._known_table

    def _rows(self, is_wide: bool, masks: Sequence[Masks]) -> list[AccessRow]:
        if not is_wide:
            return [AccessRow(self._width, 0, mask) for mask in masks]
        cluster = AccessRow(self._width, masks[0], None)
        return [cluster, *(AccessRow(self._width, masks[0], mask) for mask in masks[1:])]


def widest(found: Namespaces) -> Namespaces:
    """Return subjects and namespaces, with `CLUSTER_WIDE` in place of all others of a subject."""
    return {
        subject: namespaces[:1] if namespaces[0] == CLUSTER_WIDE else namespaces
        for subject, namespaces in found.items()
    }


def _pick(namespaces: tuple[str, ...], indexes: Sequence[int]) -> tuple[str, ...]:
    if len(indexes) == len(namespaces):
        return namespaces
    return tuple([namespaces[index] for index in indexes])


def _mask(rules: Iterable[PolicyRule | None]) -> int:
    return sum(1 << number for number, rule in enumerate(rules) if rule is not None)


def _binding_order(binding: AnyBinding) -> tuple[str, str]:
    return binding.scope, binding.metadata.name


def _order(subject: Subject) -> tuple[str, str, str]:
    return subject.kind, subject.name, subject.namespace
