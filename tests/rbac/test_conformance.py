"""Kubernetes' own authorizer is the reference: no disagreement on its recorded answers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
import pytest
from conftest import DATA, STATES, verdicts

from rbacguard import Attributes
from rbacguard.rbac import PolicyRule, covers
from rbacguard.rbac.types import ObjectKey
from rbacguard.sources import from_objects, load

SCENARIOS: list[dict[str, Any]] = json.loads(
    gzip.decompress((DATA / "authorizer-vectors.json.gz").read_bytes())
)
ODD: list[dict[str, Any]] = json.loads(
    gzip.decompress((DATA / "rbac-vectors.json.gz").read_bytes())
)
"""Odd on purpose: wildcards in strange places, `*/a/b`, empty names, roles and rings of roles that
select by expressions, roles that are missing; every question is about what is there."""
_FIELDS = {"apiGroup": "api_group"}


def asked(query: dict[str, Any]) -> Attributes:
    return Attributes(
        **{_FIELDS.get(k, k): v for k, v in query.items() if k not in ("whoCan", "expect")}
    )


def test_there_are_300_scenarios_of_24_queries() -> None:
    assert [len(scenario["queries"]) for scenario in SCENARIOS] == [24] * 300


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["id"])
def test_every_query_is_answered_as_kubernetes_does(scenario: dict[str, Any]) -> None:
    snapshot = from_objects(scenario["objects"], aggregate="recompute")
    for query in scenario["queries"]:
        expected = query["expect"]
        if "subjects" in expected:
            subjects = snapshot.authorizer.allowed_subjects(asked(query))
            assert {
                (s["kind"], s.get("namespace", ""), s["name"]) for s in expected["subjects"]
            } == {(s.kind, s.namespace, s.name) for s in subjects}, query
        else:
            decision = snapshot.authorizer.authorize(asked(query))
            assert expected["allowed"] == decision.allowed, query


def made(rules: list[dict[str, Any]]) -> set[PolicyRule]:
    return {msgspec.convert(rule, PolicyRule) for rule in rules}


@pytest.mark.parametrize("number", range(len(ODD)))
def test_what_is_odd_is_answered_as_kubernetes_does(number: int) -> None:
    scenario = ODD[number]
    snapshot = from_objects(scenario["objects"], aggregate="recompute")
    for name, expected in scenario["settled"].items():
        assert set(snapshot.rules[ObjectKey("ClusterRole", "", name)]) == made(expected), name
    for query in scenario["queries"]:
        request, expected = (
            asked({k: v for k, v in query.items() if k != "expect"}),
            query["expect"],
        )
        assert snapshot.authorizer.authorize(request).allowed == expected["allowed"], query
        subjects = snapshot.authorizer.allowed_subjects(request)
        found = {(each.kind, each.namespace, each.name) for each in subjects}
        assert found == {tuple(each) for each in expected["subjects"]}, query


@pytest.mark.parametrize("number", range(len(ODD)))
def test_what_is_covered_is_what_kubernetes_says(number: int) -> None:
    vector = ODD[number]["covers"]
    found, missing = covers(made(vector["owner"]), made(vector["servant"]))
    assert found == vector["expect"]
    assert set(missing) == made(vector["missing"])


@pytest.mark.parametrize("aggregate", ["as-recorded", "recompute"])
@pytest.mark.parametrize("letter", "ABCDEF")
def test_verdicts_of_the_six_states_agree(letter: str, aggregate: Any) -> None:
    snapshot = load([str(STATES[letter])], aggregate=aggregate)
    asked_for = 0
    for namespace, requests in verdicts()[letter].items():
        for request, expected in requests.items():
            verb, _, rest = request.partition(" ")
            plural, _, subresource = rest.partition("/")
            resource, _, api_group = plural.partition(".")
            subjects = snapshot.authorizer.allowed_subjects(
                Attributes(
                    verb=verb,
                    api_group=api_group,
                    resource=resource,
                    subresource=subresource,
                    namespace="" if namespace == "(cluster)" else namespace,
                )
            )
            assert {(s["kind"], s.get("namespace", ""), s["name"]) for s in expected} == {
                (s.kind, s.namespace, s.name) for s in subjects
            }, (namespace, request)
            asked_for += 1
    assert asked_for == 105


@pytest.mark.parametrize("letter", "ABCDEF")
def test_the_real_controllers_rules_are_those_that_are_computed(letter: str) -> None:
    assert load([str(STATES[letter])]).drift == {}
