"""The access of one subject, with its identities, grants, and gaps."""

from __future__ import annotations

from itertools import chain

import pytest
from conftest import binding, group, role, rule, state, user
from query_inputs import cluster

from rbacguard import Snapshot
from rbacguard.kubevirt.access import list_access
from rbacguard.kubevirt.permissions import permissions
from rbacguard.queries.explain import explain, identities
from rbacguard.rbac import Subject
from rbacguard.rbac.rules import rules_allow

AUTHENTICATED = Subject("Group", "system:authenticated")


def who(text: str, snapshot: Snapshot | None = None) -> list[str]:
    return [str(each) for each in identities(text, snapshot or cluster())]


def test_a_plain_name_is_every_subject_with_this_name() -> None:
    assert who("twin") == [
        "Group twin",
        "User twin",
        "Group system:authenticated",
    ]
    assert who("bot") == [
        "ServiceAccount ci/bot",
        "User system:serviceaccount:ci:bot",
        "Group system:serviceaccounts",
        "Group system:serviceaccounts:ci",
        "Group system:authenticated",
        "ServiceAccount web/bot",
        "User system:serviceaccount:web:bot",
        "Group system:serviceaccounts:web",
    ]
    assert who("idle") == [
        "ServiceAccount web/idle",
        "User system:serviceaccount:web:idle",
        "Group system:serviceaccounts",
        "Group system:serviceaccounts:web",
        "Group system:authenticated",
    ]


def test_an_unknown_name_is_a_user() -> None:
    assert who("nobody") == ["User nobody", "Group system:authenticated"]
    assert who("gina") == [
        "User gina",
        "Group ops",
        "Group unbound",
        "Group system:authenticated",
    ]
    assert who("system:anonymous") == ["User system:anonymous", "Group system:unauthenticated"]


def test_a_group_without_a_binding_is_found() -> None:
    assert who("unbound") == ["Group unbound"]
    assert who("ops") == ["Group ops"]


@pytest.mark.parametrize("prefix", ["sa", "SA", "serviceaccount", "ServiceAccount"])
def test_a_prefix_is_the_kind(prefix: str) -> None:
    assert who(f"{prefix}/ci/bot")[:2] == [
        "ServiceAccount ci/bot",
        "User system:serviceaccount:ci:bot",
    ]


def test_a_name_can_contain_separators() -> None:
    assert who("sa/ci/a/b")[0] == "ServiceAccount ci/a/b"
    assert who("system:serviceaccount:ci:a:b")[:2] == [
        "User system:serviceaccount:ci:a:b",
        "ServiceAccount ci/a:b",
    ]


def test_the_name_of_a_service_account_is_all_after_its_namespace() -> None:
    assert identities("sa/web/a/b", cluster())[0] == Subject("ServiceAccount", "a/b", "web")


def test_a_prefix_selects_one_kind() -> None:
    assert who("user/twin") == ["User twin", "Group system:authenticated"]
    assert who("group/twin") == ["Group twin"]
    assert who("group/a/b") == ["Group a/b"]
    assert who("user") == ["User user", "Group system:authenticated"]
    assert who("other/twin") == ["User other/twin", "Group system:authenticated"]


def test_a_service_account_is_found_by_its_user_name() -> None:
    name = "system:serviceaccount:ci:bot"
    assert who(name) == [
        f"User {name}",
        "ServiceAccount ci/bot",
        "Group system:serviceaccounts",
        "Group system:serviceaccounts:ci",
        "Group system:authenticated",
    ]


def test_an_explanation_has_access_and_gaps() -> None:
    found = explain(state("A"), "alice")
    assert found.identities == (Subject("User", "alice"), AUTHENTICATED)
    assert found.members is None
    assert found.gaps == ()
    verbs = {
        action.verb
        for access in found.access
        if access.subject.name == "alice"
        for action in access.actions
    }
    assert {"create", "delete", "update"} <= verbs
    assert {access.subject for access in found.access} <= set(found.identities)
    without = explain(cluster("Group", more=[]), "alice")
    assert without.gaps == ("Group: not in the input, so the groups of a user are not known",)


@pytest.mark.parametrize("letter", "ABCDEF")
def test_each_grant_has_the_actions_that_its_rule_allows(letter: str) -> None:
    snapshot = state(letter)
    asked = [action for each in permissions().values() for action in each.granting]
    count = 0
    for access in list_access(snapshot, asked):
        for grant, allows in zip(access.grants, access.allows, strict=True):
            allowed = [access.actions[number] for number in allows]
            assert allowed
            assert all(rules_allow(each.attributes, [grant.rule]) for each in allowed)
            count += len(allowed)
        assert {*chain.from_iterable(access.allows)} == {*range(len(access.actions))}
        by_action = {
            number: [
                grant
                for grant, allows in zip(access.grants, access.allows, strict=True)
                if number in allows
            ]
            for number in range(len(access.actions))
        }
        assert [list(grants) for _, grants in access.grants_by_action] == list(by_action.values())
    assert count > len(asked)


def test_an_explanation_has_the_bindings_to_delete() -> None:
    more = [
        role("may", rule("create", "kubevirt.io", "virtualmachineinstancemigrations")),
        binding("both", "may", user("zoe"), user("zed"), namespace="web"),
        binding("ops", "may", group("ops"), user("zoe"), namespace="web"),
        binding("read", "view", user("zoe"), namespace="web"),
    ]
    found = explain(cluster(more=more), "zoe").revocations
    assert [(each.binding.name, [str(s) for s in each.other_subjects]) for each in found] == [
        ("both", ["User zed"]),
        ("ops", ["Group ops"]),
    ]
    assert [each.command for each in found] == [
        "oc delete rolebinding -n web -- both",
        "oc delete rolebinding -n web -- ops",
    ]


def test_a_binding_with_an_unsafe_name_has_no_command() -> None:
    more = [
        role("may", rule("create", "kubevirt.io", "virtualmachineinstancemigrations")),
        binding("--all", "may", user("zoe"), namespace="web"),
    ]
    (found,) = explain(cluster(more=more), "zoe").revocations
    assert found.command == ""
    assert "No command is suggested: the name '--all' begins with a hyphen." in found.advice


def test_rules_are_removed_from_a_role_that_also_grants_other_access() -> None:
    migrate = rule("create", "kubevirt.io", "virtualmachineinstancemigrations")
    more = [
        role("wide", migrate, rule("get", "core", "secrets")),
        role("all", rule("*", "*", "*")),
        binding("one", "wide", user("zoe"), namespace="web"),
        binding("two", "all", user("zoe"), namespace="web"),
    ]
    wide, everything = explain(cluster(more=more), "zoe").revocations
    assert wide.advice == (
        "Remove the rules for live migration from ClusterRole wide. Caution: if you delete "
        "RoleBinding web/one, all other rights of ClusterRole wide go too."
    )
    assert everything.advice == (
        "Replace RoleBinding web/two with a binding to a role without live migration. Caution: if "
        "you delete RoleBinding web/two, all other rights of ClusterRole all go too."
    )


def test_an_unknown_name_has_a_hint() -> None:
    assert explain(state("A"), "alice").hint == ""
    assert explain(state("A"), "alicee").hint == (
        "User alicee was not found in the input; did you mean User alice?"
    )


def test_a_group_has_its_members() -> None:
    assert explain(cluster(), "group/ops").members == ("gina",)
    assert explain(cluster(), "group/none").members is None
    assert explain(cluster(), "user/ops").members is None
