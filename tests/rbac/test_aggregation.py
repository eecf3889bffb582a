"""Roles that take up other roles: rings, and the way by which a role comes by a rule."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from conftest import role, rule, selecting
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import examples

from rbacguard import Snapshot
from rbacguard.rbac import ObjectKey
from rbacguard.sources import from_objects
from rbacguard.update.temporary_role import aggregated_into

RULE = rule("create", "kubevirt.io", "virtualmachineinstancemigrations")
NUMBERS = range(7)
Edges = dict[int, set[int]]
"""By role, the roles that it takes up; nothing is no aggregated role."""
edges = st.dictionaries(st.sampled_from(NUMBERS), st.sets(st.sampled_from(NUMBERS)))


def key(number: int) -> ObjectKey:
    return ObjectKey("ClusterRole", "", f"r{number}")


def taking_up(label: str, *, some: bool = True) -> dict[str, Any]:
    """Return what makes a role aggregated, of the roles with a label."""
    return {"aggregationRule": selecting({label: "true"})} if some else {}


def cluster(selected: Edges, holding: set[int]) -> Snapshot:
    """Return roles that select each other, with the rule recorded in some of them."""
    return from_objects(
        role(
            f"r{number}",
            *([RULE] if number in holding else []),
            labels={f"by/r{taker}": "true" for taker, below in selected.items() if number in below},
            **taking_up(f"by/r{number}", some=number in selected),
        )
        for number in NUMBERS
    )


def reached(selected: Edges, start: int) -> set[int]:
    """Return every role that a role takes up, directly or through others, by brute force."""
    found: set[int] = set()
    for _ in NUMBERS:
        found |= {below for each in {start, *found} for below in selected.get(each, ())}
    return found


@examples(300)
@given(edges)
def test_rings_are_the_groups_of_roles_that_reach_each_other(selected: Edges) -> None:
    selected = {number: below - {number} for number, below in selected.items()}
    inner = {number: below & selected.keys() for number, below in selected.items()}
    far = {number: reached(inner, number) for number in inner}
    expected = {
        tuple(
            f"r{other}" for other in sorted(inner) if other in far[number] and number in far[other]
        )
        for number in inner
        if number in far[number]
    }
    assert cluster(selected, set()).aggregation.cycles == tuple(sorted(expected))


@examples(300)
@given(edges, st.sets(st.sampled_from(NUMBERS), min_size=1), st.data())
def test_the_way_to_a_rule_is_the_shortest_to_a_role_that_has_it_of_no_other(
    selected: Edges, holding: set[int], data: st.DataObject
) -> None:
    snapshot = cluster(selected, holding)
    start = data.draw(st.sampled_from(sorted(holding)))
    below = {number: (selected.get(number, set()) - {number}) & holding for number in holding}
    path = snapshot.resolved_roles.chain(key(start), snapshot.rules[key(start)][0])
    found = [int(each.name.removeprefix("r")) for each in path]
    assert found[0] == start
    assert len(set(found)) == len(found)
    assert all(after in below[before] for before, after in pairwise(found))
    away = {start: 0}
    for distance in NUMBERS:
        for number in [each for each, at in away.items() if at == distance]:
            away |= {each: distance + 1 for each in below[number] if each not in away}
    origins = {number: distance for number, distance in away.items() if not below[number]}
    if origins:
        assert found[-1] in origins
        assert len(found) - 1 == min(origins.values())


@examples(300)
@given(edges)
# What a ring takes up in the second pass, of roles that do not have it any more in the third.
@example({0: set(), 1: {2, 5}, 2: {3}, 3: {1}, 5: {6}, 6: set()})
def test_aggregated_roles_hold_what_the_controller_makes_of_them_again_and_again(
    selected: Edges,
) -> None:
    """It goes from role to role in order of name, and round and round where roles select a ring."""
    selected = {number: below - {number} for number, below in selected.items()}
    items = [
        role(
            f"r{number}",
            rule("get", "example.com", f"things{number}"),
            labels={f"by/r{taker}": "true" for taker, below in selected.items() if number in below},
            **taking_up(f"by/r{number}", some=number in selected),
        )
        for number in NUMBERS
    ]
    holds = {number: {number} for number in NUMBERS}
    lately: list[dict[int, set[int]]] = []
    for _ in range(6 * len(NUMBERS)):
        for number, below in sorted(selected.items()):
            holds[number] = set().union(*(holds[each] for each in below))
        lately.append(dict(holds))
    expected = {
        f"r{number}": {f"things{n}" for each in lately[len(lately) // 2 :] for n in each[number]}
        for number in selected
    }
    found = from_objects(items).aggregation.rules
    assert {
        name: {resource for each in rules for resource in each.resources}
        for name, rules in found.items()
    } == expected


@examples(100)
@given(edges, st.sampled_from(NUMBERS))
def test_who_takes_up_a_role_is_who_comes_by_it(selected: Edges, source: int) -> None:
    takers: Edges = {}
    for taker, below in selected.items():
        for each in below - {taker}:
            takers.setdefault(each, set()).add(taker)
    expected = sorted(f"r{each}" for each in reached(takers, source) if each != source)
    assert aggregated_into(cluster(selected, set()), f"r{source}") == tuple(expected)


def chain(length: int, width: int) -> list[dict[str, Any]]:
    """Return layers of roles, each of which takes up all roles of the next layer."""
    return [
        role(
            f"l{layer:04}-{place}",
            RULE,
            labels={f"layer/l{layer}": "true"},
            **taking_up(f"layer/l{layer + 1}", some=layer + 1 < length),
        )
        for layer in range(length)
        for place in range(width)
    ]


def test_chains_may_be_of_any_length_and_split_at_every_role() -> None:
    for length, width in ((3_000, 1), (60, 3)):
        snapshot = from_objects(chain(length, width), aggregate="recompute")
        first = ObjectKey("ClusterRole", "", "l0000-0")
        path = snapshot.resolved_roles.chain(first, snapshot.rules[first][0])
        assert [each.name for each in path] == [f"l{layer:04}-0" for layer in range(length)]
        assert snapshot.aggregation.cycles == ()


def test_a_ring_that_turns_its_rules_round_ends_with_all_of_them() -> None:
    """What the controller would do for ever: role after role takes what the next one had."""
    size = 3_000
    ring = [
        role(
            f"r{number:04}",
            rule("get", "example.com", f"things{number}"),
            labels={"ring": f"r{number:04}"},
            aggregationRule=selecting({"ring": f"r{(number + 1) % size:04}"}),
        )
        for number in range(size)
    ]
    outside = role("outside", aggregationRule=selecting({"ring": "r0000"}))
    found = from_objects([*ring, outside]).aggregation
    (everything,) = {frozenset(rules) for rules in found.rules.values()}
    assert len(found.cycles[0]) == size
    assert {each.resources for each in everything} <= {(f"things{n}",) for n in range(size)}
    assert len(everything) > 1
