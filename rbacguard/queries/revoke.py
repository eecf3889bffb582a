"""How to revoke live migration from a subject, with the least effect on other access."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from rbacguard.kubevirt.access import ActionAccess
from rbacguard.kubevirt.names import ADMIN, AGGREGATE_TO, EDIT, MIGRATE
from rbacguard.kubevirt.permissions import Directness
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.kubevirt.subjects import CLUSTER_ADMIN, is_cluster_admin_grant, is_platform
from rbacguard.rbac import Grant, ObjectKey, Subject, covers
from rbacguard.shell import UnsafeNameError, argument, object_reference
from rbacguard.snapshot import Snapshot
from rbacguard.update.temporary_role import aggregated_into


class Revocation(Struct, frozen=True):
    """How to end a grant that lets the subject start migrations.

    Attributes:
        binding: the binding of the grant.
        other_subjects: the other subjects of the binding, which also lose the access.
        advice: what to change, as imperative sentences, and what else the change removes.
        command: the command for it, or '' if the change needs a decision or a safe name.
    """

    binding: ObjectKey
    other_subjects: tuple[Subject, ...]
    advice: str
    command: str


def revocations(
    snapshot: Snapshot, identities: Sequence[Subject], access: Iterable[ActionAccess]
) -> tuple[Revocation, ...]:
    """Return how to end each grant that lets a subject start migrations, each advice once.

    Args:
        snapshot: the cluster.
        identities: the subject itself, then the other subjects of bindings that apply to it.
        access: the access of these subjects.
    """
    first, *more = identities
    # A group has other members, which lose the access too.
    own = {first, *(each for each in more if each.kind != "Group")}
    grants = (
        grant
        for each in access
        for action, grants in each.grants_by_action
        if action.directness is Directness.DIRECT
        for grant in grants
    )
    found: dict[Revocation, None] = {}
    # Another action of the same chain of roles leads to the same advice.
    for grant in {(each.binding, each.role_chain, each.subject): each for each in grants}.values():
        found |= dict.fromkeys(_revocations(snapshot, own, grant))
    return tuple(found)


def _revocations(snapshot: Snapshot, own: set[Subject], grant: Grant) -> Iterator[Revocation]:
    binding = snapshot.binding(grant.binding)
    others = tuple(each for each in (binding.subjects if binding else ()) if each not in own)
    if is_cluster_admin_grant(grant):
        advice = f"Keep the access: {grant.subject} is a cluster administrator ({grant.role})."
        yield Revocation(grant.binding, (), advice, "")
    elif is_platform(grant.subject):
        advice = f"Keep the access: {grant.subject} belongs to the platform."
        yield Revocation(grant.binding, (), advice, "")
    else:
        advice, command = _advice(snapshot, grant)
        yield Revocation(grant.binding, others, advice, command)


def _advice(snapshot: Snapshot, grant: Grant) -> tuple[str, str]:
    """Return what to change, and the command for it or ''."""
    role, source = grant.role, grant.source_role
    if source.name in (ADMIN, EDIT):
        update = f"The update to 4.19 or later removes the permission from {role}."
        return f"{update} {_caution(grant)}", ""
    if len(grant.role_chain) > 1:
        return _aggregated_advice(snapshot, grant)
    if _is_narrow(snapshot, role):
        return _with_command(
            f"Delete {grant.binding}, which grants only live migration ({role}).",
            "oc delete {}",
            grant.binding,
        )
    change = f"Remove the rules for live migration from {role}."
    if role.name == CLUSTER_ADMIN or "*" in (*grant.rule.resources, *grant.rule.verbs):
        change = f"Replace {grant.binding} with a binding to a role without live migration."
    return f"{change} {_caution(grant)}", ""


def _aggregated_advice(snapshot: Snapshot, grant: Grant) -> tuple[str, str]:
    source, target = grant.source_role, grant.role_chain[-2]
    roles = ", ".join(aggregated_into(snapshot, source.name))
    effect = f"All subjects of the roles that aggregate it lose the permission: {roles}."
    if source.name != MIGRATE:
        if _is_narrow(snapshot, source):
            advice = f"Delete {source}. {effect}"
            return _with_command(advice, "oc delete {}", source)
        return f"Remove the rules for live migration from {source}. {effect}", ""
    labels = snapshot.cluster_roles[MIGRATE].metadata.labels
    removals = [
        f"{key}-"
        for key, value in sorted(labels.items())
        if key.startswith(AGGREGATE_TO) and value == "true"
    ]
    if not removals:
        change = f"Change the aggregation rule of {target} so that it does not select {source}."
        return f"{change} {effect}", ""
    advice = f"Remove the aggregation labels from {source}. {effect}"
    return _with_command(advice, f"oc label {{}} {' '.join(map(argument, removals))}", source)


def _caution(grant: Grant) -> str:
    """Return what else goes if the binding is deleted."""
    return f"Caution: if you delete {grant.binding}, all other rights of {grant.role} go too."


def _is_narrow(snapshot: Snapshot, role: ObjectKey) -> bool:
    """Return whether a role grants nothing but rules of kubevirt.io:migrate."""
    return covers(migrate_rules(), snapshot.rules[role])[0]


def _with_command(advice: str, command: str, key: ObjectKey) -> tuple[str, str]:
    try:
        reference = object_reference(key.kind, [key.name], key.namespace)
        return advice, command.replace("{}", reference)
    except UnsafeNameError as error:
        return f"{advice} {error}", ""
