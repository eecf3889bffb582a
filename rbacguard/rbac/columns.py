"""Bindings in columns: of each what a question about everybody needs.

A cluster has a hundred thousand bindings. Gone through one by one each is waited for in memory;
what stands in a row is not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from rbacguard.rbac.types import AnyBinding, Subject


class Columns(ABC):
    """All bindings of a cluster, numbered in order of scope and name.

    Attributes:
        scopes: for each binding, where it grants; '' is the whole cluster.
        names: for each binding, its name.
        roles: kind and name of what bindings point at.
        role_of: for each binding, the place of what it points at.
    """

    scopes: Sequence[str]
    names: Sequence[str]
    roles: Sequence[tuple[str, str]]
    role_of: Sequence[int]

    @abstractmethod
    def naming(self, numbers: Iterable[int]) -> Iterable[tuple[Subject, list[int]]]:
        """Return whom some bindings name, as they do, and which of them do, each once, in order.

        Args:
            numbers: of the bindings, in order.
        """


class ColumnsOfObjects(Columns):
    """Columns of bindings that are there as objects.

    Args:
        bindings: by scope, both in order, the bindings there.
    """

    def __init__(self, bindings: Mapping[str, Iterable[AnyBinding]]) -> None:
        """Look at every binding once."""
        self.scopes, self.names, self.role_of = scopes, names, role_of = [], [], []
        self._subjects: list[tuple[Subject, ...]] = []
        roles: dict[tuple[str, str], int] = {}
        for scope, there in bindings.items():
            for binding in there:
                ref = binding.role_ref
                scopes.append(scope)
                names.append(binding.metadata.name)
                role_of.append(roles.setdefault((ref.kind, ref.name), len(roles)))
                self._subjects.append(binding.subjects)
        self.roles = tuple(roles)

    def naming(self, numbers: Iterable[int]) -> Iterable[tuple[Subject, list[int]]]:
        """Return whom some bindings name."""
        found: dict[Subject, list[int]] = {}
        for number in numbers:
            for subject in self._subjects[number]:
                # Most are named once: no empty lists are made to be thrown away.
                known = found.get(subject)
                if known is None:
                    found[subject] = [number]
                elif known[-1] != number:
                    # A binding may name somebody twice, with and without an apiGroup.
                    known.append(number)
        return found.items()
