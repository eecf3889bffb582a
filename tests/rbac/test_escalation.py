"""The escalation checks, as tables of the rules of a user, an object, and the expected result."""

from __future__ import annotations

import pytest

from rbacguard.rbac import PolicyRule, RoleRef
from rbacguard.rbac.escalation import (
    binding_authorized,
    confirm_no_escalation,
    escalation_allowed,
    missing_to_bind,
    missing_to_create_role,
    role_escalation_authorized,
)

RBAC = "rbac.authorization.k8s.io"
GET_PODS = PolicyRule(("get",), ("",), ("pods",))
GET_BOTH = PolicyRule(("get",), ("",), ("pods", "nodes"))
GET_NODES = PolicyRule(("get",), ("",), ("nodes",))
EVERYTHING = PolicyRule(("*",), ("*",), ("*",))
VIEW = RoleRef("ClusterRole", "view")
LOCAL = RoleRef("Role", "view")


def verb(name: str, resource: str, *names: str) -> PolicyRule:
    return PolicyRule((name,), (RBAC,), (resource,), names)


@pytest.mark.parametrize(
    ("rules", "kind", "expected"),
    [
        ([], "ClusterRole", False),
        ([EVERYTHING], "ClusterRole", True),
        ([verb("escalate", "clusterroles")], "ClusterRole", True),
        ([verb("escalate", "clusterroles")], "Role", False),
        ([verb("escalate", "roles")], "Role", True),
        ([verb("escalate", "roles", "view")], "Role", False),
        ([verb("bind", "roles")], "Role", False),
    ],
)
def test_escalate_allows_a_role_with_any_rules(
    rules: list[PolicyRule], kind: str, expected: bool
) -> None:
    assert role_escalation_authorized(rules, kind) is expected
    assert (missing_to_create_role(rules, kind, [GET_PODS]) == ()) is expected


@pytest.mark.parametrize(
    ("rules", "role_ref", "expected"),
    [
        ([], VIEW, False),
        ([EVERYTHING], VIEW, True),
        ([verb("bind", "clusterroles")], VIEW, True),
        ([verb("bind", "clusterroles", "view")], VIEW, True),
        ([verb("bind", "clusterroles", "edit")], VIEW, False),
        ([verb("bind", "clusterroles")], LOCAL, False),
        ([verb("bind", "roles", "view")], LOCAL, True),
        ([verb("escalate", "clusterroles")], VIEW, False),
    ],
)
def test_bind_allows_a_binding_to_a_role(
    rules: list[PolicyRule], role_ref: RoleRef, expected: bool
) -> None:
    assert binding_authorized(rules, role_ref) is expected
    assert (missing_to_bind(rules, role_ref, [GET_PODS]) == ()) is expected


@pytest.mark.parametrize(
    ("rules", "wanted", "missing"),
    [
        ([GET_PODS], [GET_PODS], ()),
        ([GET_PODS], [GET_BOTH], (GET_NODES,)),
        ([GET_PODS, GET_NODES], [GET_BOTH], ()),
        ([GET_BOTH], [GET_PODS], ()),
        ([], [], ()),
    ],
)
def test_a_user_needs_all_rules_of_the_role(
    rules: list[PolicyRule], wanted: list[PolicyRule], missing: tuple[PolicyRule, ...]
) -> None:
    assert confirm_no_escalation(rules, wanted) == missing
    assert missing_to_create_role(rules, "Role", wanted) == missing
    assert missing_to_bind(rules, VIEW, wanted) == missing


def test_no_check_applies_to_system_masters() -> None:
    assert escalation_allowed(("system:masters", "system:authenticated"))
    assert not escalation_allowed(("system:cluster-admins",))
