"""The subjects that are allowed a request, with the grants behind it."""

from __future__ import annotations

from typing import Any

from conftest import binding, objects, role, rule, state, user

from rbacguard import Attributes
from rbacguard.queries.hints import hints
from rbacguard.queries.who_can import who_can
from rbacguard.rbac import Subject
from rbacguard.sources import from_objects

MASTERS = Subject("Group", "system:masters")
SNAPSHOT = from_objects(
    [
        role("pods", rule("get", "core", "pods")),
        binding("here", "pods", user("ann"), user("bob"), namespace="web"),
        binding("once-more", "pods", user("ann"), namespace="web"),
        binding("there", "pods", user("zoe"), namespace="data"),
        binding("wide", "pods", user("root")),
    ]
)


def request(**fields: Any) -> Attributes:
    return Attributes(**{"verb": "get", "resource": "pods", "namespace": "web", **fields})


def names(*, all_namespaces: bool = False, **fields: Any) -> list[str]:
    found = who_can(SNAPSHOT, request(**fields), all_namespaces=all_namespaces)
    assert found.subjects[0] == MASTERS
    assert {each.subject for each in found.grants} == {*found.subjects[1:]}
    return [each.name for each in found.subjects[1:]]


def test_a_namespace_includes_cluster_wide_grants() -> None:
    assert names() == ["root", "ann", "bob"]
    assert names(namespace="data") == ["root", "zoe"]
    assert names(verb="list") == []


def test_without_a_namespace_only_cluster_role_bindings_count() -> None:
    assert names(namespace="") == ["root"]
    assert set(names(namespace="", all_namespaces=True)) == {"ann", "bob", "root", "zoe"}


def test_an_answer_has_gaps_and_hints() -> None:
    items = [each for each in objects("A") if each["kind"] != "ClusterRole"]
    found = who_can(from_objects(items), request())
    assert [gap.partition(":")[0] for gap in found.gaps] == ["ClusterRole"]
    odd = request(verb="gett", namespace="wep")
    found = who_can(state("A"), odd)
    assert found.gaps == ()
    assert list(found.hints) == list(hints(state("A"), odd))
    assert len(found.hints) == 2
