"""Proposed approvals: subjects that lose live migration, and subjects with roles of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

from rbacguard.approvals.model import AcknowledgedHolder, Approval, ApprovedSubject, MigrationAccess
from rbacguard.approvals.resolve import Decisions
from rbacguard.approvals.usage import UsageRecord, usage_summary
from rbacguard.kubevirt.access import explicit_access
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, without_covered
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.rbac import Grant, Subject
from rbacguard.rbac.access import Change
from rbacguard.snapshot import Snapshot
from rbacguard.update.plan import Plan


def propose_approvals(
    snapshot: Snapshot, plan: Plan, used: Iterable[UsageRecord] | None = None
) -> MigrationAccess:
    """Return entries for subjects that lose live migration, and for subjects with own roles.

    No entry is decided yet.

    Args:
        snapshot: the cluster.
        plan: the plan for the update.
        used: usage of the permission to report in each entry, or None if there is no audit log.
    """
    reasons = {
        RequiredBinding(scope, each.subject): _reason(
            next(iter(each.evidence(scope).values())).grants[0]
        )
        for each in reversed(plan.changes)
        if each.change is Change.LOST
        for scope in each.namespaces
    }
    needs = plan.needs
    required = frozenset(needs)
    holders = []
    for subject, access in explicit_access(snapshot).items():
        for each in access:
            need = RequiredBinding(each.namespace, subject)
            if not is_platform(subject) and need not in required:
                reasons.setdefault(need, _reason(each.grants[0]))
                holders.append(need)
    if used is not None:
        known = tuple(used)
        reasons = {
            need: f"{reason}; {usage_summary(need.subject, need.namespace, known)}"
            for need, reason in reasons.items()
        }
    return _undecided(needs, without_covered(holders), reasons)


def _reason(grant: Grant) -> str:
    return f"held by {grant.binding} to {grant.role.name}"


def new_entries(decisions: Decisions, proposed: MigrationAccess) -> MigrationAccess:
    """Return the proposed entries, without those that the approvals file has an entry for.

    Args:
        decisions: the decisions of the approvals file.
        proposed: the entries that are proposed for a cluster.
    """

    def new(needs: Iterable[RequiredBinding]) -> list[RequiredBinding]:
        return [n for n in needs if not decisions.decide(n.subject, n.namespace).has_entry]

    reasons = {
        need: entry.reason
        for entry in (*proposed.approvals, *proposed.holders)
        for need in entry.pairs
    }
    return _undecided(
        new(need for entry in proposed.approvals for need in entry.pairs),
        new(need for entry in proposed.holders for need in entry.pairs),
        reasons,
    )


def _undecided(
    needs: Iterable[RequiredBinding],
    holders: Iterable[RequiredBinding],
    reasons: Mapping[RequiredBinding, str],
) -> MigrationAccess:
    def grouped(items: Iterable[RequiredBinding]) -> dict[Subject, list[str]]:
        found: dict[Subject, list[str]] = {}
        for need in sorted(items, key=lambda n: (n.subject, n.namespace)):
            found.setdefault(need.subject, []).append(need.namespace)
        return found

    def entry(subject: Subject, scopes: list[str]) -> dict[str, Any]:
        named = ApprovedSubject(
            kind=cast("Literal['User', 'Group', 'ServiceAccount']", subject.kind),
            name=subject.name,
            namespace=subject.namespace,
        )
        if "" in scopes:
            return {"subject": named, "cluster_wide": True}
        return {"subject": named, "namespaces": scopes}

    return MigrationAccess(
        api_version="rbacguard.io/v1alpha1",
        kind="MigrationAccess",
        approvals=[
            Approval(
                approved=None, reason=reasons[RequiredBinding(scopes[0], s)], **entry(s, scopes)
            )
            for s, scopes in grouped(needs).items()
        ],
        holders=[
            AcknowledgedHolder(
                accepted=None, reason=reasons[RequiredBinding(scopes[0], s)], **entry(s, scopes)
            )
            for s, scopes in grouped(holders).items()
        ],
    )
