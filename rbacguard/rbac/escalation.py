"""Is one set of rules a superset of another (component-helpers auth/rbac/validation).

Port of Covers in policy_comparator.go: the question that the escalation check asks before
somebody may create a role or a binding.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from rbacguard.rbac.types import PolicyRule


def _atoms(rule: PolicyRule) -> Iterable[PolicyRule]:
    """Split a rule into rules of one verb, group, resource and name each (BreakdownRule)."""
    names: tuple[tuple[str, ...], ...] = tuple((name,) for name in rule.resource_names) or ((),)
    for verb in rule.verbs:
        for group, resource, name in product(rule.api_groups, rule.resources, names):
            yield PolicyRule((verb,), (group,), (resource,), name)
        for url in rule.non_resource_urls:
            yield PolicyRule((verb,), non_resource_urls=(url,))


def _covers_atom(owner: PolicyRule, atom: PolicyRule) -> bool:
    """Port of ruleCovers for a sub-rule of one atom."""

    def has(owned: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
        return "*" in owned or all(value in owned for value in wanted)

    if not has(owner.verbs, atom.verbs):
        return False
    if atom.non_resource_urls:
        (url,) = atom.non_resource_urls
        return any(
            own == url or (own.endswith("*") and url.startswith(own.rstrip("*")))
            for own in owner.non_resource_urls
        )
    (resource,) = atom.resources
    _, slash, subresource = resource.partition("/")
    return (
        has(owner.api_groups, atom.api_groups)
        and (
            has(owner.resources, atom.resources)
            or (bool(slash) and f"*/{subresource}" in owner.resources)
        )
        and (not owner.resource_names or _names_covered(owner, atom))
    )


def _names_covered(owner: PolicyRule, atom: PolicyRule) -> bool:
    return bool(atom.resource_names) and atom.resource_names[0] in owner.resource_names


def covers(
    owner_rules: Iterable[PolicyRule], servant_rules: Iterable[PolicyRule]
) -> tuple[bool, tuple[PolicyRule, ...]]:
    """Return whether the owner's rules cover the servant's, and the atoms that are not covered.

    Each atom must be covered by one owner rule. `*` is an atom of its own: a list of all verbs
    does not cover it, and a rule with names never covers one without.
    """
    owners = tuple(owner_rules)
    missing = tuple(
        atom
        for rule in servant_rules
        for atom in _atoms(rule)
        if not any(_covers_atom(owner, atom) for owner in owners)
    )
    return not missing, missing
