"""The bindings of a saved snapshot: in columns, and each distinct thing in them once.

A cluster has a hundred thousand bindings, and few names, roles and labels among them. Read like
this they take a part of the time and memory of as many objects; those are made when somebody asks.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property
from itertools import accumulate, chain, compress, count, groupby, islice, pairwise, repeat
from operator import ge, itemgetter
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from rbacguard.rbac.columns import Columns
from rbacguard.rbac.objects import (
    AnyBinding,
    ClusterRoleBinding,
    ObjectKey,
    ObjectMeta,
    OwnerReference,
    RoleBinding,
    RoleRef,
    Subject,
    key_of,
)

KINDS = ("ClusterRoleBinding", "RoleBinding")

_Count: TypeAlias = Annotated[int, Meta(ge=1)]
_Place: TypeAlias = Annotated[int, Meta(ge=0)]


class PackedMeta(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What the metadata of a binding say besides its name and namespace."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    owner_references: tuple[OwnerReference, ...] = ()


class PackedSubjects(Struct, frozen=True, gc=False, omit_defaults=True):
    """The names of subjects of one kind, in one namespace where they name one; in order."""

    kind: str
    names: list[str]
    namespace: str = ""


class PackedColumns(Struct, frozen=True, rename="camel"):
    """For each binding, in order of scope and name, the places of what it consists of.

    `count` is how many subjects each names; in `subjects` those of all follow one another.
    """

    name: list[_Place]
    role_ref: list[_Place]
    metadata: list[_Place]
    count: list[_Place]
    subjects: list[_Place]


class PackedBindings(Struct, frozen=True, rename="camel"):
    """All bindings.

    Attributes:
        scopes: how many are in each namespace, '' is ClusterRoleBindings; in order.
        names: their names, each once, in order.
        role_refs: what they point at, each once.
        subjects: whom they name, each once, in order of kind, namespace and name.
        metadata: what else their metadata say, each once.
        columns: what each consists of.
    """

    scopes: dict[str, _Count]
    names: list[str]
    role_refs: list[RoleRef]
    subjects: list[PackedSubjects]
    metadata: list[PackedMeta]
    columns: PackedColumns


def pack(bindings: Iterable[AnyBinding]) -> dict[str, Any]:
    """Return bindings, in order of scope and name, as plain values for `PackedBindings`."""
    kept = list(bindings)
    scopes: dict[str, int] = {}
    for each in kept:
        scopes[each.scope] = scopes.get(each.scope, 0) + 1
    metadata = [msgspec.json.encode(_meta(each)) for each in kept]
    names = _places(each.metadata.name for each in kept)
    role_refs = _places((r.kind, r.name, r.api_group) for r in (each.role_ref for each in kept))
    subjects = _places(_as_packed(subject) for each in kept for subject in each.subjects)
    metadatas = _places(metadata)
    return {
        "scopes": scopes,
        "names": list(names),
        "roleRefs": [RoleRef(*each) for each in role_refs],
        "subjects": [
            PackedSubjects(kind, [name for *_, name in same], namespace)
            for (kind, namespace), same in groupby(subjects, key=itemgetter(0, 1))
        ],
        "metadata": [msgspec.Raw(each) for each in metadatas],
        "columns": PackedColumns(
            [names[each.metadata.name] for each in kept],
            [role_refs[r.kind, r.name, r.api_group] for r in (each.role_ref for each in kept)],
            [metadatas[each] for each in metadata],
            [len(each.subjects) for each in kept],
            [subjects[_as_packed(subject)] for each in kept for subject in each.subjects],
        ),
    }


def _places(values: Iterable[Any]) -> Mapping[Any, int]:
    """Return distinct values, in order, and the place of each."""
    return {value: place for place, value in enumerate(sorted(set(values)))}


def _meta(binding: AnyBinding) -> PackedMeta:
    found = binding.metadata
    return PackedMeta(
        found.labels, found.annotations, found.creation_timestamp, found.owner_references
    )


def _as_packed(subject: Subject) -> tuple[str, str, str]:
    return subject.kind, subject.namespace, subject.name


class ColumnsInFile(Columns):
    """Columns of bindings as they stand in a file."""

    def __init__(self, packed: PackedBindings) -> None:
        """Put what is told by number in its place."""
        columns, places = packed.columns, packed.columns.subjects
        self.scopes = list(chain.from_iterable(map(repeat, packed.scopes, packed.scopes.values())))
        self.names = list(map(packed.names.__getitem__, columns.name))
        self.roles = [(ref.kind, ref.name) for ref in packed.role_refs]
        self.role_of = columns.role_ref
        self.subjects = [
            Subject(each.kind, name, each.namespace)
            for each in packed.subjects
            for name in each.names
        ]
        self.named = [places[a:b] for a, b in pairwise(accumulate(columns.count, initial=0))]

    def naming(self, numbers: Iterable[int]) -> Iterable[tuple[Subject, list[int]]]:
        """Return whom some bindings name."""
        named = self.named
        found: list[list[int] | None] = [None] * len(self.subjects)
        for number in numbers:
            for place in named[number]:
                known = found[place]
                if known is None:
                    found[place] = [number]
                elif known[-1] != number:
                    known.append(number)
        return ((who, known) for who, known in zip(self.subjects, found, strict=True) if known)


class Unpacked:
    """Bindings that were saved; objects are made when somebody asks for one."""

    def __init__(self, packed: PackedBindings) -> None:
        """Look whether they are whole.

        Raises:
            ValueError: they are not, in a few words.
        """
        self._packed = packed
        self._refuse_broken()
        self.columns = ColumnsInFile(packed)

    def _refuse_broken(self) -> None:
        packed, columns = self._packed, self._packed.columns
        expected = sum(packed.scopes.values())
        of_each = (columns.name, columns.role_ref, columns.metadata, columns.count)
        if any(len(each) != expected for each in of_each):
            raise ValueError(f"expected {expected} bindings")
        if len(columns.subjects) != sum(columns.count):
            raise ValueError(f"expected {sum(columns.count)} subjects")
        for places, values in (
            (columns.name, len(packed.names)),
            (columns.role_ref, len(packed.role_refs)),
            (columns.metadata, len(packed.metadata)),
            (columns.subjects, sum(len(each.names) for each in packed.subjects)),
        ):
            if max(places, default=-1) >= values:
                raise ValueError("a part of a binding is not in the file")
        if "" in packed.names:
            raise ValueError("a binding has no name")
        # In order each is there once, and answers are told in the order in which they always are.
        starts = accumulate(packed.scopes.values())
        kinds = [(each.kind, each.namespace) for each in packed.subjects]
        pools: list[Sequence[Any]] = [packed.names, [*packed.scopes], kinds]
        pools += [each.names for each in packed.subjects]
        is_ordered = not any(any(_descents(each)) for each in pools)
        if not (is_ordered and set(starts).issuperset(_descents(columns.name))):
            raise ValueError("bindings are not in order")

    def count(self, kind: str) -> int:
        """Return how many of a kind there are."""
        everywhere = self._packed.scopes.get("", 0)
        return len(self.columns.names) - everywhere if kind == "RoleBinding" else everywhere

    @cached_property
    def objects(self) -> Mapping[str, dict[ObjectKey, AnyBinding]]:
        """The objects themselves, by kind."""
        found: dict[str, dict[ObjectKey, AnyBinding]] = {kind: {} for kind in KINDS}
        packed, columns = self._packed, self.columns
        subject = columns.subjects.__getitem__
        for scope, name, role_ref, place, named in zip(
            columns.scopes,
            columns.names,
            packed.columns.role_ref,
            packed.columns.metadata,
            columns.named,
            strict=True,
        ):
            more = packed.metadata[place]
            metadata = ObjectMeta(
                name,
                scope,
                more.labels,
                more.annotations,
                more.creation_timestamp,
                more.owner_references,
            )
            make = RoleBinding if scope else ClusterRoleBinding
            made = make(metadata, packed.role_refs[role_ref], tuple(map(subject, named)))
            found[make.kind][key_of((make.kind, scope, name))] = made
        return found


def _descents(values: Sequence[Any]) -> Iterator[int]:
    """Yield the places of values that are not greater than the one before."""
    return compress(count(1), map(ge, values, islice(values, 1, None)))


class Late(Mapping[ObjectKey, AnyBinding]):
    """Saved bindings of one kind, by identity; objects are made when somebody asks for one."""

    def __init__(self, source: Unpacked, kind: str) -> None:
        """Make nothing yet."""
        self.source, self._kind = source, kind

    def __len__(self) -> int:
        """Return how many there are."""
        return self.source.count(self._kind)

    def __iter__(self) -> Iterator[ObjectKey]:
        """Iterate over their identities."""
        return iter(self._made)

    def __getitem__(self, key: ObjectKey) -> AnyBinding:
        """Return one."""
        return self._made[key]

    def items(self) -> ItemsView[ObjectKey, AnyBinding]:
        """Return all of them, with their identities."""
        return self._made.items()

    def values(self) -> ValuesView[AnyBinding]:
        """Return all of them."""
        return self._made.values()

    @property
    def _made(self) -> dict[ObjectKey, AnyBinding]:
        return self.source.objects[self._kind]


def unpack(packed: PackedBindings) -> Mapping[str, Late]:
    """Return bindings by kind.

    Raises:
        ValueError: they are not whole, in a few words.
    """
    source = Unpacked(packed)
    return {kind: Late(source, kind) for kind in KINDS}
