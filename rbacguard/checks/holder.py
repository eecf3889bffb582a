"""Who holds a permission, and in what way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.checks.base import (
    Check,
    Context,
    Fact,
    FactType,
    chain,
    evidence,
    is_broad,
    place,
    subject_fields,
)
from rbacguard.kubevirt.permissions import Tier, is_platform, known_holder, permissions
from rbacguard.rbac import Grant, Subject
from rbacguard.update.access import holdings


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
        actions = permissions()[self.permission].granting
        found: dict[tuple[Subject, str], dict[str, tuple[Grant, ...]]] = {}
        tiers: dict[str, str] = {}
        for held, scopes in holdings(context.snapshot, actions).items():
            tiers[held.action.short] = held.action.tier.value
            for scope, grants in scopes.items():
                found.setdefault((held.subject, scope), {})[held.action.short] = grants
        for (subject, scope), by_action in sorted(found.items(), key=lambda item: item[0]):
            grants = tuple(dict.fromkeys(g for each in by_action.values() for g in each))
            everywhere = found.get((subject, ""), {})
            starts = {
                short for short in (*by_action, *everywhere) if tiers[short] == Tier.DIRECT.value
            }
            holder = known_holder(subject)
            yield Fact(
                fields={
                    "subject": subject_fields(subject),
                    "scope": scope,
                    "place": place(scope),
                    "actions": list(by_action),
                    "tiers": sorted({tiers[short] for short in by_action}),
                    "bound_role": {"kind": grants[0].role.kind, "name": grants[0].role.name},
                    "chain": chain(grants[0]),
                    "broad": is_broad(subject),
                    "wildcard": any(
                        "*" in (*g.rule.verbs, *g.rule.resources, *g.rule.api_groups)
                        or any(r.startswith("*/") for r in g.rule.resources)
                        for g in grants
                    ),
                    "everything": any(
                        "*" in g.rule.verbs and "*" in g.rule.resources and "*" in g.rule.api_groups
                        for g in grants
                    ),
                    "console_only": starts == {"create VMIM"},
                    "virtctl_only": starts == {"update virtualmachines/migrate"},
                    "platform": is_platform(subject),
                    "known": holder.label if holder else "",
                },
                group=str(subject),
                scope=scope,
                grants=grants,
                objects=evidence(grants),
            )
