"""Who is bound to roles that matter, and where; places that are alike stand under one number.

A cluster has a hundred thousand bindings of a few hundred roles. Where the same roles are bound the
answer is the same, whatever is asked, so it is worked out once for each number, and what becomes of
a subject once for each pattern of numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import compress, count
from operator import itemgetter
from typing import NamedTuple, TypeAlias, TypeVar

from msgspec import Struct

from rbacguard.rbac import ObjectKey, Subject
from rbacguard.rbac.authorizer import applying_subject
from rbacguard.rbac.columns import Columns
from rbacguard.rbac.types import key_of

CLUSTER = ""
"""The scope of a grant that holds in the whole cluster."""
Roles: TypeAlias = tuple[ObjectKey, ...]
_T = TypeVar("_T")


class Bound(Struct, frozen=True, gc=False):
    """A binding, by name and scope, and the role that it gives, by its bit in the table too."""

    name: str
    scope: str
    role: ObjectKey
    bit: int

    @property
    def binding(self) -> ObjectKey:
        """The binding's identity."""
        return key_of((kind_in(self.scope), self.scope, self.name))


def kind_in(scope: str) -> str:
    """Return the kind of the bindings of a scope."""
    return "RoleBinding" if scope else "ClusterRoleBinding"


Entries: TypeAlias = Mapping[str, Sequence[Bound]]
"""By scope, in order, what binds somebody."""


class Shape(NamedTuple):
    """The roles that somebody is bound to in the whole cluster, and in one namespace.

    `local` is None where the whole cluster is the place.
    """

    cluster: Roles
    local: Roles | None

    @property
    def own(self) -> Roles:
        """What is bound in the place itself."""
        return self.cluster if self.local is None else self.local

    def with_role(self, role: ObjectKey, *, everywhere: bool) -> Shape:
        """Return it with a role bound besides, in the whole cluster or in the namespace."""
        cluster, local = self
        if everywhere:
            return Shape(tuple(sorted({*cluster, role})), local)
        return Shape(cluster, tuple(sorted({*(local or ()), role})))


Picker: TypeAlias = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Returns some of the scopes of a subject, in order."""


def picker(places: Sequence[int]) -> Picker:
    """Return what picks the scopes at these places, of which there is one at least, in order."""
    first, last = places[0], places[-1]
    # What stands together is cut out in one piece; all of it is not even copied.
    together = last - first + 1 == len(places)
    return itemgetter(slice(first, last + 1)) if together else itemgetter(*places)


class Places:
    """Every place in which somebody is bound.

    Args:
        shapes: for each number, what is bound in its places, before and after.
        patterns: for each pattern, the numbers of as many scopes, one by one.
        subjects: who is bound, in order.
        scopes: for each of them, where, in order.
        pattern_of: for each of them, the pattern of these scopes.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[Shape, Shape]],
        patterns: Sequence[tuple[int, ...]],
        subjects: Sequence[Subject],
        scopes: Sequence[tuple[str, ...]],
        pattern_of: Sequence[int],
    ) -> None:
        """Hold them."""
        self.shapes, self.patterns = shapes, patterns
        self.subjects, self.scopes, self.pattern_of = subjects, scopes, pattern_of
        self._known: dict[tuple[frozenset[int], bool], Mapping[Subject, tuple[str, ...]]] = {}

    def each(self, by_pattern: Sequence[_T]) -> Iterable[tuple[Subject, tuple[str, ...], _T]]:
        """Return every subject in order, his scopes, and what is given for their pattern."""
        return zip(
            self.subjects, self.scopes, map(by_pattern.__getitem__, self.pattern_of), strict=True
        )

    def where(
        self, numbers: Iterable[int], *, widest: bool = False
    ) -> Mapping[Subject, tuple[str, ...]]:
        """Return, by subject in order, the scopes of the places under any of these numbers.

        Args:
            numbers: those that are wanted.
            widest: whether the whole cluster, where it is one of them, stands for all.
        """
        wanted = frozenset(numbers)
        if not wanted:
            return {}
        known = (wanted, widest)
        if known not in self._known:
            picked = [self._picked(pattern, wanted, widest=widest) for pattern in self.patterns]
            self._known[known] = {
                subject: pick(scopes)
                for subject, scopes, pick in (self.each(picked) if any(picked) else ())
                if pick is not None
            }
        return self._known[known]

    def _picked(
        self, pattern: Sequence[int], wanted: Container[int], *, widest: bool
    ) -> Picker | None:
        """Return what picks a pattern's scopes under any of these numbers, if there are any."""
        places = [place for place, number in enumerate(pattern) if number in wanted]
        if widest and places and self._is_whole(pattern[places[0]]):
            del places[1:]
        return picker(places) if places else None

    def _is_whole(self, number: int) -> bool:
        """Whether the places of a number are the whole cluster."""
        return self.shapes[number][0].local is None

    def unchanged(self) -> Places:
        """Return the same places with what is bound before, after as well."""
        shapes = [(old, old) for old, _ in self.shapes]
        return Places(shapes, self.patterns, self.subjects, self.scopes, self.pattern_of)

    def with_role(
        self, role: ObjectKey, numbers: Container[int], but: Container[Subject] = ()
    ) -> Places:
        """Return them with a role bound besides, after, where it is needed.

        Args:
            role: which role.
            numbers: where it is needed; in the whole cluster it is enough there.
            but: who does not get it.
        """
        shapes, patterns = list(self.shapes), list(self.patterns)
        known: dict[tuple[int, bool], int] = {}

        def number(old: int, *, everywhere: bool) -> int:
            if (old, everywhere) not in known:
                known[old, everywhere] = len(shapes)
                before, after = shapes[old]
                shapes.append((before, after.with_role(role, everywhere=everywhere)))
            return known[old, everywhere]

        becomes = list(range(len(patterns)))
        for place, pattern in enumerate(self.patterns):
            wanted = [each in numbers for each in pattern]
            if any(wanted):
                # The whole cluster comes first among the scopes.
                everywhere = wanted[0] and self._is_whole(pattern[0])
                becomes[place] = len(patterns)
                patterns.append(
                    tuple(
                        number(each, everywhere=everywhere) if everywhere or needed else each
                        for each, needed in zip(pattern, wanted, strict=True)
                    )
                )
        pattern_of = [
            old if new == old or subject in but else new
            for old, new, subject in zip(
                self.pattern_of,
                map(becomes.__getitem__, self.pattern_of),
                self.subjects,
                strict=True,
            )
        ]
        return Places(shapes, patterns, self.subjects, self.scopes, pattern_of)


class Table:
    """Who is bound to roles that matter, and where.

    Args:
        columns: all bindings.
        roles: those that matter, each of which has the bit of its place here.
    """

    def __init__(self, columns: Columns, roles: Roles) -> None:
        """Leave out what does not matter."""
        self.roles = roles
        self._columns, self._bits = columns, _bits(columns, roles)
        rows = self._by_subject()
        # By subject, in order, the numbers of the bindings.
        self._rows = {subject: rows[subject] for subject in sorted(rows, key=in_text_order)}
        self._entries: dict[Subject, Entries] = {}
        self._known: dict[int, Roles] = {}

    def _by_subject(self) -> Mapping[Subject, list[int]]:
        """Return by which bindings everybody is bound, each once, in order."""
        rows: dict[Subject, list[int]] = {}
        several: set[Subject] = set()
        for subject, numbers in self._columns.naming(compress(count(), self._bits)):
            for applied, some in self._applied(subject, numbers):
                if applied in rows:
                    # Named in another way too.
                    rows[applied] += some
                    several.add(applied)
                elif applied is not None:
                    rows[applied] = some
        for subject in several:
            rows[subject] = sorted(set(rows[subject]))
        return rows

    def _applied(
        self, subject: Subject, numbers: list[int]
    ) -> Iterable[tuple[Subject | None, list[int]]]:
        """Return who a subject is to the authorizer, in which of these bindings."""
        if subject.kind != "ServiceAccount" or subject.namespace:
            return ((applying_subject(subject, CLUSTER), numbers),)
        # One without a namespace is of the namespace of each binding.
        scopes = self._columns.scopes
        return [(applying_subject(subject, scopes[number]), [number]) for number in numbers]

    @property
    def subjects(self) -> Collection[Subject]:
        """Everybody who is bound, in order."""
        return self._rows.keys()

    def bound(self, subject: Subject) -> Entries:
        """Return what binds a subject, by scope, both in order."""
        found = self._entries.get(subject)
        if found is None:
            found = self._entries[subject] = self._bound(subject)
        return found

    def _bound(self, subject: Subject) -> Entries:
        found: dict[str, list[Bound]] = {}
        for scope, name, bit in self.rows(subject):
            found.setdefault(scope, []).append(Bound(name, scope, self.role(bit), bit))
        return found

    def rows(self, subject: Subject) -> Iterable[tuple[str, str, int]]:
        """Return what binds a subject, in order: scope, name of the binding, bit of the role."""
        scopes, names, bits = self._columns.scopes, self._columns.names, self._bits
        return [(scopes[n], names[n], bits[n]) for n in self._rows.get(subject, ())]

    def role(self, bit: int) -> ObjectKey:
        """Return the role of a bit."""
        return self.roles[bit.bit_length() - 1]

    def _where(self, subject: Subject) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Return where a subject is bound, in order, and in each place the roles, by their bits."""
        rows, all_scopes, bits = self._rows.get(subject, ()), self._columns.scopes, self._bits
        if len(rows) == 1:
            return (all_scopes[rows[0]],), (bits[rows[0]],)
        scopes = tuple([all_scopes[number] for number in rows])
        if len(set(scopes)) == len(scopes):
            return scopes, tuple([bits[number] for number in rows])
        found: dict[str, int] = {}
        for scope, number in zip(scopes, rows, strict=True):
            found[scope] = found.get(scope, 0) | bits[number]
        return tuple(found), tuple(found.values())

    @cached_property
    def places(self) -> Places:
        """Where anybody is bound."""
        return self._both(self)

    def both(self, other: Table) -> Places:
        """Return where anybody is bound here, before, or there, after."""
        return self.places if other is self else self._both(other)

    def _both(self, other: Table) -> Places:
        subjects, places, pattern_of = [], [], []
        # By what is bound in each scope, before and after, and whether the first is the cluster.
        patterns: dict[tuple[tuple[int, ...], tuple[int, ...], bool], int] = {}
        for subject in self._beside(other):
            scopes, old = self._where(subject)
            new = old
            if other is not self:
                there = dict(zip(*other._where(subject), strict=True))
                here = dict(zip(scopes, old, strict=True))
                scopes = tuple(sorted(here.keys() | there.keys()))
                old, new = (tuple(each.get(s, 0) for s in scopes) for each in (here, there))
            alike = (old, new, scopes[0] == CLUSTER)
            subjects.append(subject)
            places.append(scopes)
            pattern_of.append(patterns.setdefault(alike, len(patterns)))
        # By what is bound in the whole cluster and in the namespace, before and after.
        numbers: dict[tuple[int, int | None, int, int | None], int] = {}
        told = []
        for old, new, whole in patterns:
            was, now = (old[0], new[0]) if whole else (0, 0)
            each: list[tuple[int, int | None, int, int | None]]
            each = [(was, before, now, after) for before, after in zip(old, new, strict=True)]
            if whole:
                each[0] = (was, None, now, None)
            told.append(tuple([numbers.setdefault(bits, len(numbers)) for bits in each]))
        shapes = [
            (self._shape(was, before), other._shape(now, after))
            for was, before, now, after in numbers
        ]
        return Places(shapes, told, subjects, places, pattern_of)

    def _beside(self, other: Table) -> Iterable[Subject]:
        """Return everybody who is bound here or there, in order."""
        if other is self:
            return self._rows
        return sorted(self._rows.keys() | other._rows.keys(), key=in_text_order)

    def _shape(self, cluster: int, local: int | None) -> Shape:
        return Shape(self._of(cluster), None if local is None else self._of(local))

    def _of(self, bits: int) -> Roles:
        if bits not in self._known:
            roles, left = [], bits
            while left:
                bit = left & -left
                roles.append(self.roles[bit.bit_length() - 1])
                left ^= bit
            self._known[bits] = tuple(sorted(roles))
        return self._known[bits]


def in_text_order(subject: Subject) -> str:
    """Return text by which subjects come in their own order; text is quicker to compare."""
    return f"{subject.kind}\0{subject.name}\0{subject.namespace}"


def _bits(columns: Columns, roles: Roles) -> Sequence[int]:
    """Return for each binding the bit of the role that it gives, 0 for one that does not matter."""
    # Plain tuples, which equal the keys, are quicker to make.
    matters: dict[tuple[str, str, str], int] = {
        role: 1 << place for place, role in enumerate(roles)
    }
    bit_of = [matters.get((kind, "", name), 0) for kind, name in columns.roles]
    bits = list(map(bit_of.__getitem__, columns.role_of))
    # A Role is one of the binding's own namespace.
    own = {role.name for role in roles if role.kind == "Role"}
    local = {
        place: name
        for place, (kind, name) in enumerate(columns.roles)
        if kind == "Role" and name in own
    }
    if local:
        for number, place in enumerate(columns.role_of):
            if place in local:
                bits[number] = matters.get(("Role", columns.scopes[number], local[place]), 0)
    return bits
