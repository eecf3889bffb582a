"""What stands between an approval and its binding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.migrate_bindings import Need
from rbacguard.policy.checks.base import Check, Context, Fact, FactType, place, subject_fields
from rbacguard.update.verify import verify


class UnapprovedCheck(Check, frozen=True, tag="unapproved"):
    """Holders that the approvals file neither approves nor accepts; asked only with one."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "subject": FactType.MAP,
        "scope": FactType.STRING,
        "place": FactType.STRING,
    }

    def not_asked(self, context: Context) -> str:
        """Return why there is nothing to compare with."""
        return "" if context.access else "only with --approvals"

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each holder."""
        if context.access is None:
            return
        for need in verify(context.snapshot, context.access, today=context.today).unaccepted:
            yield Fact(
                fields={
                    "subject": subject_fields(need.subject),
                    "scope": need.namespace,
                    "place": place(need.namespace),
                },
                group=str(need.subject),
                scope=need.namespace,
            )


class RestrictionCheck(Check, frozen=True, tag="restriction"):
    """OpenShift RoleBindingRestrictions that would refuse a binding that is needed."""

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "subject": FactType.MAP,
        "scope": FactType.STRING,
        "restrictions": FactType.LIST,
        "by_label": FactType.BOOL,
    }

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each subject and namespace."""
        needs: list[Need] = list(context.plan.needs) if context.plan else []
        if context.access is not None:
            needs += context.access.resolved(context.snapshot).approved(context.today)
        groups = dict(context.snapshot.groups)
        for need in sorted(set(needs)):
            restrictions = context.snapshot.restrictions.get(need.namespace, ())
            if not restrictions or any(r.allows(need.subject, groups) for r in restrictions):
                continue
            yield Fact(
                fields={
                    "subject": subject_fields(need.subject),
                    "scope": need.namespace,
                    "restrictions": [r.metadata.name for r in restrictions],
                    "by_label": any(r.has_selector for r in restrictions),
                },
                group=need.namespace,
                scope=need.namespace,
            )
