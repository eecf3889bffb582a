"""How subjects, objects and chains are called, in every format."""

from __future__ import annotations

from collections.abc import Iterable

from rbacguard.output import wire


def name(subject: wire.SubjectModel | wire.ObjectModel) -> str:
    """Return `User alice`, `ServiceAccount web/deployer` or `RoleBinding web/edit`."""
    prefix = f"{subject.namespace}/" if subject.namespace else ""
    return f"{subject.kind} {prefix}{subject.name}"


def counted(number: int, what: str) -> str:
    """Return `1 node`, `2 nodes` or `no nodes`."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def first_of(chains: Iterable[str]) -> str:
    """Return the first of some texts, and how many others there are."""
    first, *more = dict.fromkeys(chains) or [""]
    return f"{first} (+{len(more)} more)" if more else first


def chain(grant: wire.GrantModel) -> str:
    """Return `RoleBinding web/edit -> edit -> kubevirt.io:edit`."""
    return " -> ".join([name(grant.binding), *(role.name for role in grant.roles)])
