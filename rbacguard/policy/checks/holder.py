"""Who holds a permission, and in what way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from rbacguard.kubevirt.holding import Holding, holders
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
        # By identity of what is combined, of which there is one for all who hold alike.
        known: dict[int, _Alike] = {}
        who: Subject | None = None
        about, name, whole = dict[str, Value](), "", frozenset[str]()
        for each in holders(context.snapshot, permissions()[self.permission].granting):
            alike = known.get(id(each.combined))
            if alike is None:
                alike = known[id(each.combined)] = _alike(each)
            if each.subject != who:
                # The whole cluster comes first.
                who, whole = each.subject, frozenset() if each.scope else alike.starts
                about, name = _about(who), str(who)
            starts = alike.starts | whole
            yield Fact(
                fields={
                    **alike.fields,
                    **about,
                    "scope": each.scope,
                    "place": place(each.scope),
                    "chain": chain(each.grants[0]) + alike.more,
                    "console_only": starts == {"create VMIM"},
                    "virtctl_only": starts == {"update virtualmachines/migrate"},
                },
                group=name,
                scope=each.scope,
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


class _Alike(NamedTuple):
    """What is the same for all who hold alike.

    Attributes:
        fields: fields of the fact.
        starts: the actions that start a migration.
        more: how many chains there are besides the first, in words.
    """

    fields: Mapping[str, Value]
    starts: frozenset[str]
    more: str


def _alike(each: Holding) -> _Alike:
    actions, role = each.combined.actions, each.grants[0].role
    rules = [rule for _, _, rule in each.combined.chains]
    fields: dict[str, Value] = {
        "actions": [action.short for action in actions],
        "tiers": sorted({action.tier.value for action in actions}),
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
    starts = frozenset(action.short for action in actions if action.tier is Tier.DIRECT)
    return _Alike(fields, starts, others(each.grants))
