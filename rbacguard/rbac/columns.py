"""Bindings in columns: of each what a question about everybody needs.

A cluster has a hundred thousand bindings. Gone through one by one each is waited for in memory;
what stands in a row is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rbacguard.rbac.objects import AnyBinding, Subject


class Columns(NamedTuple):
    """All bindings of a cluster, in order of scope and name.

    Attributes:
        scopes: for each binding, where it grants; '' is the whole cluster.
        names: for each binding, its name.
        roles: kind and name of what bindings point at, each once.
        role_of: for each binding, the place of what it points at.
        subjects: for each binding, whom it names, as it does.
    """

    scopes: Sequence[str]
    names: Sequence[str]
    roles: Sequence[tuple[str, str]]
    role_of: Sequence[int]
    subjects: Sequence[tuple[Subject, ...]]


def in_columns(bindings: Mapping[str, Iterable[AnyBinding]]) -> Columns:
    """Return bindings in columns.

    Args:
        bindings: by scope, both in order, the bindings there.
    """
    scopes: list[str] = []
    names: list[str] = []
    role_of: list[int] = []
    roles: dict[tuple[str, str], int] = {}
    subjects: list[tuple[Subject, ...]] = []
    for scope, there in bindings.items():
        for binding in there:
            ref = binding.role_ref
            scopes.append(scope)
            names.append(binding.metadata.name)
            role_of.append(roles.setdefault((ref.kind, ref.name), len(roles)))
            subjects.append(binding.subjects)
    return Columns(scopes, names, tuple(roles), role_of, subjects)
