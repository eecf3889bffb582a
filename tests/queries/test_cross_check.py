"""Requests are sampled for access reviews, and the answers are compared."""

from __future__ import annotations

import pytest
from conftest import account, binding, group, role, rule, state, user

from rbacguard import Snapshot
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.queries.cross_check import PROBE_USER, SAMPLE, mismatches, sample_requests
from rbacguard.rbac import Review, Subject
from rbacguard.rbac.identity import User, identify_subject
from rbacguard.sources import from_objects


def small() -> Snapshot:
    return from_objects(
        [
            role("may", rule("create", "kubevirt.io", "virtualmachineinstancemigrations")),
            binding("a", "may", user("ann"), account("bot"), user(""), namespace="web"),
            binding("b", "may", group("devs"), account("lost"), account("far", "ci")),
            binding("c", "may", user("ann"), group("devs"), namespace="data"),
        ]
    )


def test_every_subject_is_evaluated_in_every_namespace_and_cluster_wide() -> None:
    found = sample_requests(small(), limit=None)
    users = {
        "ann",
        "system:serviceaccount:web:bot",
        "system:serviceaccount:ci:far",
        PROBE_USER,
    }
    actions = {
        (each.verb, each.api_group, each.resource, each.subresource)
        for each in live_migration().granting
    }
    asked = {
        (each.user, each.groups, each.namespace, each.verb, each.api_group, each.resource,
         each.subresource)
        for each in found
    }  # fmt: skip
    assert len(asked) == len(found)
    assert {each.user for each in found} == users
    assert {each.namespace for each in found} == {"", "data", "web"}
    identities = {(each.user, each.groups) for each in found}
    assert (PROBE_USER, ("devs", "system:authenticated")) in identities
    assert (PROBE_USER, ("system:authenticated",)) in identities
    assert asked == {
        (name, groups, scope, *action)
        for name, groups in identities
        for scope in ("", "data", "web")
        for action in actions
    }


def test_a_sample_is_balanced_and_stable() -> None:
    whole = state("A")
    assert len(sample_requests(whole, limit=None)) > SAMPLE
    found = sample_requests(whole)
    assert len(found) == SAMPLE
    answers = [whole.authorizer.authorize(each).allowed for each in found]
    assert answers.count(True) == answers.count(False) == SAMPLE // 2
    assert sample_requests(whole) == found
    everything = sample_requests(whole, limit=None)
    assert set(found) <= set(everything)
    # Not simply the first ones, of a few subjects.
    assert len({each.user for each in found}) > len({each.user for each in everything[:SAMPLE]})
    assert sample_requests(whole, limit=len(everything)) == everything
    assert len(sample_requests(whole, limit=7)) == 7


def test_the_more_frequent_decision_fills_the_sample() -> None:
    one = from_objects(
        [
            role("may", rule("create", "kubevirt.io", "virtualmachineinstancemigrations")),
            binding("a", "may", user("ann"), namespace="web"),
        ]
    )
    everything = sample_requests(one, limit=None)
    allowed = [each for each in everything if one.authorizer.authorize(each).allowed]
    assert len(allowed) == 1
    found = sample_requests(one, limit=len(everything) - 1)
    assert len(found) == len(everything) - 1
    assert allowed[0] in found
    most = from_objects(
        [role("all", rule("*", "*", "*")), binding("a", "all", group("system:authenticated"))]
    )
    assert len(sample_requests(most, limit=10)) == 10
    assert len(sample_requests(most, limit=len(sample_requests(most, limit=None)))) > 10


def test_only_different_answers_are_mismatches() -> None:
    snapshot = small()
    asked = sample_requests(snapshot, limit=None)
    right = [Review(each, snapshot.authorizer.authorize(each).allowed) for each in asked]
    assert mismatches(snapshot, right) == ()
    wrong = [Review(each.attributes, not each.allowed) for each in right]
    found = mismatches(snapshot, [right[0], *wrong])
    assert [each.review for each in found] == wrong
    assert [each.decision for each in found] == [snapshot.authorizer.authorize(a) for a in asked]


def test_a_sample_of_a_large_cluster_does_not_build_every_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 3000
    rules = rule("create", "kubevirt.io", "virtualmachineinstancemigrations")
    objects = [role("migrate", rules)]
    objects += [
        binding("b", "migrate", user(f"user-{number}"), namespace=f"ns-{number}")
        for number in range(count)
    ]
    large = from_objects(objects)
    pairs: list[Subject] = []

    def counted(subject: Subject, *, nobody: str) -> User:
        pairs.append(subject)
        return identify_subject(subject, nobody=nobody)

    monkeypatch.setattr("rbacguard.queries.cross_check.identify_subject", counted)
    found = sample_requests(large)
    assert len(pairs) < 11 * SAMPLE < count * count
    assert len(found) == len(set(found)) == SAMPLE
    assert found == sample_requests(large)
    allowed = sum(large.authorizer.authorize(each).allowed for each in found)
    assert allowed == SAMPLE // 2
