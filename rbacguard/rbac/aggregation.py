"""What the aggregation controller writes into a ClusterRole.

Behaviour of kubernetes pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go:
the result replaces `rules`, sources are taken in order of name, a role never selects itself, and
since the result of one role may feed another, it is computed to a fixed point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from rbacguard.rbac.objects import ClusterRole, LabelSelector, LabelSelectorRequirement, PolicyRule

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def _requirement_matches(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case _:
            return value is None


def selector_matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether a selector selects these labels; an empty selector selects everything."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _requirement_matches(requirement, labels) for requirement in selector.match_expressions
    )


def selector_error(selector: LabelSelector) -> str | None:
    """Return why the API server would not evaluate a selector (LabelSelectorAsSelector)."""
    for requirement in selector.match_expressions:
        if requirement.operator not in OPERATORS:
            return f"operator {requirement.operator!r}, expected one of {', '.join(OPERATORS)}"
        if (requirement.operator in ("In", "NotIn")) != bool(requirement.values):
            wanted = "at least one value" if requirement.operator in ("In", "NotIn") else "none"
            return (
                f"operator {requirement.operator} with {len(requirement.values)} values: {wanted}"
            )
    return None


class Aggregation(Struct, frozen=True):
    """The outcome for a set of ClusterRoles.

    Attributes:
        rules: for each aggregated role, the rules that the controller would write.
        sources: for each aggregated role, the roles that it selects, in order of name.
        cycles: groups of aggregated roles that select each other. They never lose a rule again,
            and which rules they hold depends on the order of past events, so what is computed for
            them starts from their recorded rules.
        invalid: aggregated roles whose selector the controller refuses (it leaves them alone), and
            why.
    """

    rules: Mapping[str, tuple[PolicyRule, ...]]
    sources: Mapping[str, tuple[str, ...]]
    cycles: tuple[tuple[str, ...], ...]
    invalid: Mapping[str, str]


def aggregate(cluster_roles: Iterable[ClusterRole]) -> Aggregation:
    """Compute every aggregated ClusterRole to a fixed point."""
    roles = {role.metadata.name: role for role in sorted(cluster_roles, key=lambda r: r.key)}
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
    cycles = _cycles(sources)
    rules = _settled(roles, sources)
    return Aggregation(
        rules={name: rules[name] for name in sources},
        sources=sources,
        cycles=cycles,
        invalid=invalid,
    )


def _settled(
    roles: Mapping[str, ClusterRole], sources: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[PolicyRule, ...]]:
    rules = {name: role.rules for name, role in roles.items()}
    # From the recorded rules, one role after the other in order of name, as the controller's first
    # pass over a new cluster goes. Without cycles the order makes no difference.
    passes = 0
    changed = set(roles)
    while changed:
        passes += 1
        before, changed = changed, set()
        for name, selected in sources.items():
            if passes > 1 and before.isdisjoint(selected) and changed.isdisjoint(selected):
                continue
            union = _union(rules, selected)
            if passes > len(sources) + 1:
                # Only a ring of roles is still turning its rules round; it never drops one.
                union = tuple(dict.fromkeys((*rules[name], *union)))
            if set(union) != set(rules[name]):
                changed.add(name)
            rules[name] = union
    return rules


def _select(
    name: str,
    selectors: Sequence[LabelSelector],
    roles: Mapping[str, ClusterRole],
    by_label: Mapping[tuple[str, str], list[str]],
) -> tuple[str, ...]:
    selected: set[str] = set()
    for selector in selectors:
        first = next(iter(selector.match_labels.items()), None)
        candidates: Iterable[str] = roles if first is None else by_label.get(first, ())
        if len(selector.match_labels) == 1 and not selector.match_expressions:
            selected.update(candidates)
            selected.discard(name)
            continue
        selected.update(
            other
            for other in candidates
            if other != name and selector_matches(selector, roles[other].metadata.labels)
        )
    return tuple(sorted(selected))


def _union(
    rules: Mapping[str, tuple[PolicyRule, ...]], names: Iterable[str]
) -> tuple[PolicyRule, ...]:
    return tuple(dict.fromkeys(rule for name in names for rule in rules[name]))


def _reach(start: str, sources: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return every role that a role selects, directly or through others."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        found = set(sources[todo.pop()]) - seen
        seen |= found
        todo.extend(found)
    return seen


def _cycles(sources: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of aggregated roles that reach each other, in order of name."""
    # Only an aggregated role can be part of one.
    inner = {
        name: tuple(other for other in selected if other in sources)
        for name, selected in sources.items()
    }
    reached = {name: _reach(name, inner) for name in inner}
    groups = {
        tuple(sorted(other for other in seen if name in reached[other]))
        for name, seen in reached.items()
        if name in seen
    }
    return tuple(sorted(groups))
