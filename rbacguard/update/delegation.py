"""Who can hand the permission on: the grants made this way outlive the temporary role.

A RoleBinding may be made by whoever may create RoleBindings and either holds every rule of the role
or may `bind` it (kubernetes pkg/registry/rbac/rolebinding/policybased/storage.go).
"""

from __future__ import annotations

from msgspec import Struct

from rbacguard.kubevirt.names import MIGRATE
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.rbac import Attributes, Grant, Subject
from rbacguard.rbac.authorizer import Reason
from rbacguard.snapshot import Snapshot

RBAC_GROUPS = ("rbac.authorization.k8s.io", "authorization.openshift.io")


class Delegation(Struct, frozen=True):
    """Somebody who can hand migration on.

    Attributes:
        subject: who.
        namespace: where; '' is everywhere.
        how: `holds` (every rule of kubevirt.io:migrate), or `bind` (may bind it regardless).
        grant: what lets him create RoleBindings there.
    """

    subject: Subject
    namespace: str
    how: str
    grant: Grant


_Scopes = dict[Subject, dict[str, Reason]]


def _holds(scopes: _Scopes, subject: Subject, namespace: str) -> bool:
    held = scopes.get(subject, {})
    return "" in held or namespace in held


def delegations(snapshot: Snapshot) -> tuple[Delegation, ...]:
    """Return who can hand migration on, by holding it or by the verb `bind`."""
    scopes_of = snapshot.authorizer.scopes_everywhere
    needed = [
        scopes_of(
            Attributes(
                verb=verb,
                api_group=rule.api_groups[0],
                resource=rule.resources[0].partition("/")[0],
                subresource=rule.resources[0].partition("/")[2],
            )
        )
        for rule in migrate_rules()
        for verb in rule.verbs
    ]
    bind = scopes_of(
        Attributes(verb="bind", api_group=RBAC_GROUPS[0], resource="clusterroles", name=MIGRATE)
    )
    found: dict[tuple[Subject, str], Delegation] = {}
    for group in RBAC_GROUPS:
        create = scopes_of(Attributes(verb="create", api_group=group, resource="rolebindings"))
        for subject, scopes in create.items():
            candidates = set(scopes)
            if "" in scopes:
                # He may create bindings anywhere: look where he holds the rest.
                candidates |= set(bind.get(subject, ())) | set.intersection(
                    *(set(held.get(subject, ())) | {""} for held in needed)
                )
            for namespace in candidates:
                if all(_holds(held, subject, namespace) for held in needed):
                    how = "holds"
                elif _holds(bind, subject, namespace):
                    how = "bind"
                else:
                    continue
                scope = namespace if namespace in scopes else ""
                binding, role, rule = scopes[scope]
                grant = Grant(subject, scope, binding, snapshot.path(role, rule), rule)
                found.setdefault((subject, namespace), Delegation(subject, namespace, how, grant))
    everywhere = {subject for subject, namespace in found if namespace == ""}
    return tuple(
        delegation
        for (subject, namespace), delegation in sorted(found.items(), key=lambda item: item[0])
        if namespace == "" or subject not in everywhere
    )
