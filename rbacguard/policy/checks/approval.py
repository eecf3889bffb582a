"""Subjects without approval, and approvals whose bindings would be rejected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.approvals.resolve import Decisions
from rbacguard.kubevirt.migrate_bindings import RequiredBinding
from rbacguard.policy.checks.base import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import FactClass, RestrictionFact, UnapprovedFact, subject_map
from rbacguard.update.verify import verify


class UnapprovedCheck(Check, frozen=True, tag="unapproved"):
    """Yields subjects that the approvals file neither approves nor accepts."""

    FACT: ClassVar[FactClass] = UnapprovedFact

    def skip_reason(self, context: Context) -> str:
        """Return why the check does not apply to the context, or ''."""
        return "" if context.approvals else "requires --approvals"

    def run(self, context: Context) -> Iterator[UnapprovedFact]:
        """Yield one fact for each subject and scope."""
        if context.approvals is None:
            return
        for need in verify(context.snapshot, context.approvals, today=context.today).unaccepted:
            yield UnapprovedFact(
                subject=subject_map(need.subject),
                group_key=str(need.subject),
                scope=need.namespace,
            )


class RestrictionCheck(Check, frozen=True, tag="restriction"):
    """Yields required RoleBindings that RoleBindingRestrictions reject.

    OpenShift's admission plugin rejects a RoleBinding in a namespace with restrictions if none of
    them matches the subject (openshift/kubernetes
    openshift-kube-apiserver/admission/authorization/restrictusers).
    """

    FACT: ClassVar[FactClass] = RestrictionFact

    def run(self, context: Context) -> Iterator[RestrictionFact]:
        """Yield one fact for each subject and namespace."""
        needs: list[RequiredBinding] = list(context.plan.needs) if context.plan else []
        if context.approvals is not None:
            approvals = context.approvals.resolved(context.snapshot)
            needs += Decisions(approvals, context.today).required
        groups = dict(context.snapshot.groups)
        for need in sorted(set(needs)):
            restrictions = context.snapshot.restrictions.get(need.namespace, ())
            if not restrictions or any(r.allows(need.subject, groups) for r in restrictions):
                continue
            yield RestrictionFact(
                subject=subject_map(need.subject),
                restrictions=[r.metadata.name for r in restrictions],
                by_label=any(r.has_selector for r in restrictions),
                group_key=need.namespace,
                scope=need.namespace,
            )
