"""Whether rules allow requests (kubernetes pkg/apis/rbac/v1/evaluation_helpers.go).

All comparisons are exact and case-sensitive. `*` is the only wildcard, and `*/subresource` is the
only pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rbacguard.rbac.attributes import Attributes
from rbacguard.rbac.types import PolicyRule


def verb_matches(rule: PolicyRule, verb: str) -> bool:
    """Return whether a rule contains a verb (VerbMatches)."""
    return "*" in rule.verbs or verb in rule.verbs


def api_group_matches(rule: PolicyRule, api_group: str) -> bool:
    """Return whether a rule contains an API group (APIGroupMatches)."""
    return "*" in rule.api_groups or api_group in rule.api_groups


def resource_matches(rule: PolicyRule, combined_resource: str, subresource: str) -> bool:
    """Return whether a rule contains a resource (ResourceMatches).

    `virtualmachines/*` and `*/*` are not patterns.
    """
    return (
        "*" in rule.resources
        or combined_resource in rule.resources
        or (bool(subresource) and f"*/{subresource}" in rule.resources)
    )


def resource_name_matches(rule: PolicyRule, name: str) -> bool:
    """Return whether a rule contains a name (ResourceNameMatches). No names means all names."""
    return not rule.resource_names or name in rule.resource_names


def non_resource_url_matches(rule: PolicyRule, path: str) -> bool:
    """Return whether a rule contains a URL path, or a prefix of it before `*`.

    The prefix can be empty (NonResourceURLMatches).
    """
    return any(
        url == path or (url.endswith("*") and path.startswith(url.rstrip("*")))
        for url in rule.non_resource_urls
    )


def rule_allows(attributes: Attributes, rule: PolicyRule) -> bool:
    """Return whether a rule allows a request.

    Source: plugin/pkg/auth/authorizer/rbac/rbac.go, RuleAllows.
    """
    if not verb_matches(rule, attributes.verb):
        return False
    if attributes.is_resource_request:
        return (
            api_group_matches(rule, attributes.api_group)
            and resource_matches(rule, attributes.combined_resource, attributes.subresource)
            and resource_name_matches(rule, attributes.name)
        )
    return non_resource_url_matches(rule, attributes.path)


def rules_allow(attributes: Attributes, rules: Iterable[PolicyRule]) -> PolicyRule | None:
    """Return the first rule that allows the request, or None."""
    return next((rule for rule in rules if rule_allows(attributes, rule)), None)


class RequestSet:
    """Several resource requests that are evaluated together. Request number n is bit n of a mask.

    Args:
        requests: `user`, `groups`, and `namespace` do not count.
    """

    def __init__(self, requests: Iterable[Attributes]) -> None:
        """Store the requests, and which API groups and resources a relevant rule contains."""
        self.requests: Sequence[Attributes] = tuple(requests)
        self._groups = frozenset({"*", *(each.api_group for each in self.requests)})
        self._resources = frozenset(
            {"*"}
            | {each.combined_resource for each in self.requests}
            | {f"*/{each.subresource}" for each in self.requests if each.subresource}
        )

    def evaluate(self, rules: Iterable[PolicyRule]) -> tuple[PolicyRule | None, ...]:
        """Return for each request the first rule that allows it. Empty if no rule allows any."""
        relevant = [
            rule
            for rule in rules
            if not self._groups.isdisjoint(rule.api_groups)
            and not self._resources.isdisjoint(rule.resources)
        ]
        if not relevant:
            return ()
        found = tuple(rules_allow(request, relevant) for request in self.requests)
        return found if any(found) else ()
