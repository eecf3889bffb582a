"""The rules that the aggregation controller writes into ClusterRoles.

Behaviour of kubernetes pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go:
the result replaces `rules`, sources are read in order of name, and a role never selects itself. The
result of one role can be a source of another, so the rules are computed to a fixed point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from operator import attrgetter

from msgspec import Struct

from rbacguard.rbac.selectors import selector_error, selector_matches
from rbacguard.rbac.types import ClusterRole, LabelSelector, ObjectKey, PolicyRule

_name = attrgetter("metadata.name")


class Aggregation(Struct, frozen=True, dict=True):
    """The aggregation of a set of ClusterRoles.

    Attributes:
        rules: for each aggregated role, the rules that the controller writes.
        sources: for each aggregated role, the roles that it selects, in order of name.
        cycles: groups of aggregated roles that select each other. They never lose a rule. Their
            rules depend on the order of past events, so they are computed from the recorded rules.
        invalid: aggregated roles with a selector that the controller refuses, and the reason. The
            controller does not change these roles.
    """

    rules: Mapping[str, tuple[PolicyRule, ...]]
    sources: Mapping[str, tuple[str, ...]]
    cycles: tuple[tuple[str, ...], ...]
    invalid: Mapping[str, str]

    @cached_property
    def aggregated_by(self) -> Mapping[str, Sequence[str]]:
        """For each role that is selected, the aggregated roles that select it."""
        return _inverted(self.sources)


class ResolvedRoles:
    """The rules of every role, and the chain of roles that provides each rule.

    Args:
        rules: the rules of every role, with aggregation applied.
        sources: for each aggregated ClusterRole, the ClusterRoles that it selects.
    """

    def __init__(
        self,
        rules: Mapping[ObjectKey, tuple[PolicyRule, ...]],
        sources: Mapping[str, Sequence[str]],
    ) -> None:
        """Store the rules. Chains are computed lazily."""
        self.rules = rules
        self._sources = sources
        self._chains: dict[tuple[ObjectKey, PolicyRule], tuple[ObjectKey, ...]] = {}

    def chain(self, role: ObjectKey, rule: PolicyRule) -> tuple[ObjectKey, ...]:
        """Return the shortest chain of roles from a role to a source of one of its rules.

        A source has the rule without any role that it selects. Roles that select each other might
        have a rule only from one another. Then the chain ends at any of them.
        """
        known = self._chains.get((role, rule))
        if known is None:
            known = self._chains[role, rule] = self._shortest_chain(role, rule)
        return known

    def _shortest_chain(self, role: ObjectKey, rule: PolicyRule) -> tuple[ObjectKey, ...]:
        if role.kind != "ClusterRole":
            return (role,)
        parents: dict[ObjectKey, ObjectKey | None] = {role: None}
        for current in (queue := [role]):
            selected = [
                key
                for name in self._sources.get(current.name, ())
                if rule in self.rules.get(key := ObjectKey("ClusterRole", "", name), ())
            ]
            if not selected:
                break
            queue += [key for key in selected if key not in parents]
            for key in selected:
                parents.setdefault(key, current)
        chain = [current]
        while (parent := parents[chain[-1]]) is not None:
            chain.append(parent)
        return tuple(reversed(chain))


def aggregate(cluster_roles: Iterable[ClusterRole]) -> Aggregation:
    """Compute every aggregated ClusterRole to a fixed point."""
    roles = {role.metadata.name: role for role in sorted(cluster_roles, key=_name)}
    by_label: dict[tuple[str, str], list[str]] = {}
    for name, role in roles.items():
        for pair in role.metadata.labels.items():
            by_label.setdefault(pair, []).append(name)
    sources: dict[str, tuple[str, ...]] = {}
    invalid: dict[str, str] = {}
    for name, role in roles.items():
        if role.aggregation_rule is None:
            continue
        selectors = role.aggregation_rule.cluster_role_selectors
        error = next((e for e in map(selector_error, selectors) if e), None)
        if error:
            invalid[name] = error
        else:
            sources[name] = _select(name, selectors, roles, by_label)
    # Only aggregated roles can be part of a cycle, or change because another role changes.
    inner = {
        name: tuple(other for other in selected if other in sources)
        for name, selected in sources.items()
    }
    # The first pass of the controller over a new cluster is in order of name. Without cycles the
    # order makes no difference, and one pass is enough if sources come first.
    cycles: tuple[tuple[str, ...], ...] = ()
    try:
        order = tuple(TopologicalSorter(inner).static_order())
    except CycleError:
        cycles, order = _cycles(inner), tuple(sources)
    rules = _settled(roles, {name: sources[name] for name in order}, inner, cycles)
    return Aggregation(
        rules={name: rules[name] for name in sources},
        sources=sources,
        cycles=cycles,
        invalid=invalid,
    )


def _settled(
    roles: Mapping[str, ClusterRole],
    sources: Mapping[str, tuple[str, ...]],
    inner: Mapping[str, tuple[str, ...]],
    cycles: Sequence[Sequence[str]],
) -> Mapping[str, tuple[PolicyRule, ...]]:
    """Return the rules of every role at the fixed point.

    Args:
        roles: all roles, with their recorded rules.
        sources: the roles that each aggregated role selects, in the order of evaluation.
        inner: the same with aggregated sources only.
        cycles: the groups of roles that select each other.
    """
    rules = {name: role.rules for name, role in roles.items()}
    selected_by = _inverted(inner)
    in_cycles: frozenset[str] = frozenset()
    waiting = set(sources)
    while waiting:
        for name, selected in sources.items():
            if name not in waiting:
                continue
            waiting.remove(name)
            union = _union(rules, (name, *selected) if name in in_cycles else selected)
            if union != rules[name]:
                if name in selected_by and set(union) != set(rules[name]):
                    waiting.update(selected_by[name])
                rules[name] = union
        if cycles and not in_cycles:
            # After the first pass, no rule gets lost in a cycle: the next role has it before it is
            # replaced. Finally, all roles of a cycle have all rules, or exchange them for ever.
            in_cycles = frozenset(chain.from_iterable(cycles))
            for cycle in cycles:
                rules.update(dict.fromkeys(cycle, _union(rules, cycle)))
            waiting.update(sources)
    return rules


def _select(
    name: str,
    selectors: Sequence[LabelSelector],
    roles: Mapping[str, ClusterRole],
    by_label: Mapping[tuple[str, str], list[str]],
) -> tuple[str, ...]:
    found: list[Iterable[str]] = []
    for selector in selectors:
        first = next(iter(selector.match_labels.items()), None)
        candidates: Iterable[str] = roles if first is None else by_label.get(first, ())
        if len(selector.match_labels) != 1 or selector.match_expressions:
            candidates = [
                other
                for other in candidates
                if selector_matches(selector, roles[other].metadata.labels)
            ]
        found.append(candidates)
    # The candidates of one selector are already in order.
    selected = found[0] if len(found) == 1 else sorted(set().union(*found))
    return tuple([other for other in selected if other != name])


def _union(
    rules: Mapping[str, tuple[PolicyRule, ...]], names: Iterable[str]
) -> tuple[PolicyRule, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(map(rules.__getitem__, names))))


def _inverted(sources: Mapping[str, Iterable[str]]) -> Mapping[str, Sequence[str]]:
    """Return, for each role that is selected, the roles that select it."""
    found: dict[str, list[str]] = {}
    for name, selected in sources.items():
        for source in selected:
            found.setdefault(source, []).append(name)
    return found


def _cycles(inner: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of aggregated roles that reach each other, in order of name (Kosaraju)."""
    selected_by = _inverted(inner)
    groups = []
    seen: set[str] = set()
    for start in reversed(_postorder(inner)):
        group, todo = [], [start]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                group.append(name)
                todo.extend(selected_by.get(name, ()))
        if len(group) > 1:
            groups.append(tuple(sorted(group)))
    return tuple(sorted(groups))


def _postorder(inner: Mapping[str, Iterable[str]]) -> Sequence[str]:
    """Return aggregated roles after all roles that they select (depth-first)."""
    order: list[str] = []
    seen: set[str] = set()
    for start in inner:
        if start in seen:
            continue
        seen.add(start)
        walk = [(start, iter(inner[start]))]
        while walk:
            name, remaining = walk[-1]
            following = next((each for each in remaining if each not in seen), None)
            if following is None:
                walk.pop()
                order.append(name)
            else:
                seen.add(following)
                walk.append((following, iter(inner[following])))
    return order
