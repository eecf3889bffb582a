"""How subjects, objects and chains are called, in every format."""

from __future__ import annotations

from rbacguard.output import wire


def name(subject: wire.SubjectModel | wire.ObjectModel) -> str:
    """Return `User alice`, `ServiceAccount web/deployer` or `RoleBinding web/edit`."""
    prefix = f"{subject.namespace}/" if subject.namespace else ""
    return f"{subject.kind} {prefix}{subject.name}"


def chain(grant: wire.GrantModel) -> str:
    """Return `RoleBinding web/edit -> edit -> kubevirt.io:edit`."""
    return " -> ".join([name(grant.binding), *(role.name for role in grant.roles)])
