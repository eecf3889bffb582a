"""Who holds a permission, and in what way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.access import ActionAccess, list_access
from rbacguard.kubevirt.permissions import Tier, is_platform, known_holder, permissions
from rbacguard.policy.checks.base import (
    Check,
    Context,
    Fact,
    FactType,
    Value,
    chain,
    evidence,
    is_broad,
    others,
    place,
    subject_fields,
)
from rbacguard.rbac import Subject


class HolderCheck(Check, frozen=True, tag="holder"):
    """Every subject that holds some of a permission, once for each scope and bound role."""

    permission: str = "live-migration"

    FACTS: ClassVar[Mapping[str, FactType]] = {
        "subject": FactType.MAP,
        "scope": FactType.STRING,
        "place": FactType.STRING,
        "actions": FactType.LIST,
        "tiers": FactType.LIST,
        "bound_role": FactType.MAP,
        "chain": FactType.STRING,
        "broad": FactType.BOOL,
        "wildcard": FactType.BOOL,
        "everything": FactType.BOOL,
        "console_only": FactType.BOOL,
        "virtctl_only": FactType.BOOL,
        "platform": FactType.BOOL,
        "known": FactType.STRING,
    }

    def __post_init__(self) -> None:
        """Refuse a permission that there is none of.

        Raises:
            ValueError: with those that there are.
        """
        if self.permission not in permissions():
            raise ValueError(
                f"permission: no such permission; known are {', '.join(permissions())}"
            )

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield one fact for each subject and scope, with every grant."""
        who: Subject | None = None
        about, name, cluster_wide = dict[str, Value](), "", frozenset[str]()
        for each in list_access(context.snapshot, permissions()[self.permission].granting):
            starting = frozenset(a.short for a in each.actions if a.tier is Tier.DIRECT)
            if each.subject != who:
                # Cluster-wide access comes first.
                who, cluster_wide = each.subject, frozenset() if each.namespace else starting
                about, name = _about(who), str(who)
            starting |= cluster_wide
            yield Fact(
                fields={
                    **_fields(each),
                    **about,
                    "scope": each.namespace,
                    "place": place(each.namespace),
                    "chain": chain(each.grants[0]) + others(each.grants),
                    "console_only": starting == {"create VMIM"},
                    "virtctl_only": starting == {"update virtualmachines/migrate"},
                },
                group=name,
                scope=each.namespace,
                grants=each.grants,
                objects=evidence(each.grants),
            )


def _about(subject: Subject) -> dict[str, Value]:
    """Return the fields that tell of the subject alone."""
    holder = known_holder(subject)
    return {
        "subject": subject_fields(subject),
        "broad": is_broad(subject),
        "platform": is_platform(subject),
        "known": holder.label if holder else "",
    }


def _fields(access: ActionAccess) -> dict[str, Value]:
    """Return the fields about the actions and the rules that allow them."""
    role = access.grants[0].role
    rules = {grant.rule for grant in access.grants}
    return {
        "actions": [action.short for action in access.actions],
        "tiers": sorted({action.tier.value for action in access.actions}),
        "bound_role": {"kind": role.kind, "name": role.name},
        "wildcard": any(
            "*" in (*rule.verbs, *rule.resources, *rule.api_groups)
            or any(resource.startswith("*/") for resource in rule.resources)
            for rule in rules
        ),
        "everything": any(
            "*" in rule.verbs and "*" in rule.resources and "*" in rule.api_groups for rule in rules
        ),
    }
