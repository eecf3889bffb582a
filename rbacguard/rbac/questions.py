"""Several requests asked of many roles at once: each distinct list of rules is looked at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from rbacguard.rbac.attributes import Attributes
from rbacguard.rbac.rules import rules_allow
from rbacguard.rbac.types import PolicyRule

Answers: TypeAlias = tuple[PolicyRule | None, ...]
"""For each request, the first rule that allows it."""


class Questions:
    """Requests for resources, in a fixed order; number n is bit n of a mask.

    Args:
        requests: `user`, `groups` and `namespace` are not looked at.
    """

    def __init__(self, requests: Iterable[Attributes]) -> None:
        """Note what a rule must name to matter at all."""
        self.requests: Sequence[Attributes] = tuple(requests)
        self._groups = frozenset({"*", *(each.api_group for each in self.requests)})
        self._resources = frozenset(
            {"*"}
            | {each.combined_resource for each in self.requests}
            | {f"*/{each.subresource}" for each in self.requests if each.subresource}
        )
        self._nothing: Answers = (None,) * len(self.requests)
        # By identity: the rules are kept, so that no other tuple can come to stand at the same
        # place, and they never change.
        self._known: dict[int, tuple[tuple[PolicyRule, ...], Answers, int]] = {}

    def ask(self, rules: tuple[PolicyRule, ...]) -> tuple[Answers, int]:
        """Return the answers of a role with these rules, and the mask of those that are allowed."""
        known = self._known.get(id(rules))
        if known is None:
            known = self._known[id(rules)] = (rules, *self._ask(rules))
        return known[1], known[2]

    def _ask(self, rules: tuple[PolicyRule, ...]) -> tuple[Answers, int]:
        groups, resources = self._groups, self._resources
        some = [
            rule
            for rule in rules
            if not (groups.isdisjoint(rule.api_groups) or resources.isdisjoint(rule.resources))
        ]
        if not some:
            return self._nothing, 0
        answers = tuple(rules_allow(request, some) for request in self.requests)
        return answers, sum(1 << number for number, rule in enumerate(answers) if rule is not None)
