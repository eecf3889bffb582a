"""Who somebody is, what he holds, and what the input does not tell about it."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from conftest import account, binding, group, objects, role, rule, state, user

from rbacguard import Attributes, Snapshot
from rbacguard.kubevirt.access import list_access
from rbacguard.kubevirt.permissions import permissions
from rbacguard.queries.can_i import check_access
from rbacguard.queries.explain import explain, identities
from rbacguard.rbac import Subject
from rbacguard.rbac.identity import service_account_groups
from rbacguard.rbac.rules import rules_allow
from rbacguard.snapshot.coverage import KindCoverage, State
from rbacguard.sources import from_objects, snapshot_of
from rbacguard.sources.decode import read_objects

EVERYBODY = Subject("Group", "system:authenticated")


def members(name: str, *users: str) -> dict[str, Any]:
    return {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": name},
        "users": list(users),
    }


MORE = [
    members("ops", "gina"),
    members("unbound", "gina"),
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "idle", "namespace": "web"},
    },
    binding("both", "view", user("twin"), group("twin"), namespace="web"),
    binding("bots", "view", account("bot", "ci"), account("bot", "web"), namespace="web"),
]


def cluster(*without: str, more: Any = MORE) -> Snapshot:
    kept = [each for each in objects("A") if each["kind"] not in without]
    return from_objects([*kept, *more])


def who(text: str, snapshot: Snapshot | None = None) -> list[str]:
    return [str(each) for each in identities(text, snapshot or cluster())]


def test_a_plain_name_is_whoever_is_called_so() -> None:
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


def test_a_name_that_nothing_bears_is_a_user() -> None:
    assert who("nobody") == ["User nobody", "Group system:authenticated"]
    assert who("gina") == [
        "User gina",
        "Group ops",
        "Group unbound",
        "Group system:authenticated",
    ]
    assert who("system:anonymous") == ["User system:anonymous", "Group system:unauthenticated"]


def test_a_group_without_a_binding_is_found_by_its_name() -> None:
    assert who("unbound") == ["Group unbound"]
    assert who("ops") == ["Group ops"]


@pytest.mark.parametrize("prefix", ["sa", "SA", "serviceaccount", "ServiceAccount"])
def test_a_prefix_says_of_what_kind_it_is(prefix: str) -> None:
    assert who(f"{prefix}/ci/bot")[:2] == [
        "ServiceAccount ci/bot",
        "User system:serviceaccount:ci:bot",
    ]


def test_a_name_may_hold_what_parts_others() -> None:
    assert who("sa/ci/a/b")[0] == "ServiceAccount ci/a/b"
    assert who("system:serviceaccount:ci:a:b")[:2] == [
        "User system:serviceaccount:ci:a:b",
        "ServiceAccount ci/a:b",
    ]


def test_an_accounts_name_is_all_after_its_namespace() -> None:
    assert identities("sa/web/a/b", cluster())[0] == Subject("ServiceAccount", "a/b", "web")


def test_a_prefix_is_taken_at_its_word() -> None:
    assert who("user/twin") == ["User twin", "Group system:authenticated"]
    assert who("group/twin") == ["Group twin"]
    assert who("group/a/b") == ["Group a/b"]
    assert who("user") == ["User user", "Group system:authenticated"]
    assert who("other/twin") == ["User other/twin", "Group system:authenticated"]


def test_an_account_by_its_user_name_is_the_account() -> None:
    name = "system:serviceaccount:ci:bot"
    assert who(name) == [
        f"User {name}",
        "ServiceAccount ci/bot",
        "Group system:serviceaccounts",
        "Group system:serviceaccounts:ci",
        "Group system:authenticated",
    ]


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        (
            "system:serviceaccount:web:bot",
            ("system:serviceaccounts", "system:serviceaccounts:web"),
        ),
        (
            "system:serviceaccount:web:a:b",
            ("system:serviceaccounts", "system:serviceaccounts:web"),
        ),
        ("system:serviceaccount:web", ()),
        ("system:serviceaccount:web:", ()),
        ("system:serviceaccount::bot", ()),
        ("web:bot", ()),
        ("alice", ()),
    ],
)
def test_an_accounts_groups_follow_from_its_name(name: str, groups: tuple[str, ...]) -> None:
    assert service_account_groups(name) == groups


def asked(name: str, namespace: str = "web", groups: tuple[str, ...] = ()) -> Attributes:
    return Attributes(
        user=name,
        groups=groups,
        verb="create",
        api_group="kubevirt.io",
        resource="virtualmachineinstancemigrations",
        namespace=namespace,
    )


def test_the_groups_of_the_input_and_of_the_server_are_added() -> None:
    found = check_access(cluster(), asked("gina"))
    assert found.attributes.groups == ("ops", "unbound", "system:authenticated")
    given = check_access(cluster(), asked("gina", groups=("own", "system:authenticated")))
    assert given.attributes.groups == ("own", "system:authenticated")
    nobody = check_access(cluster(), asked("system:anonymous"))
    assert nobody.attributes.groups == ("system:unauthenticated",)


def test_a_grant_has_no_gaps_and_a_refusal_names_what_it_rests_on() -> None:
    partial = cluster("ClusterRoleBinding", "RoleBinding", "Role", more=[])
    more = [binding("carol", "admin", user("carol"), namespace="web")]
    snapshot = cluster("ClusterRoleBinding", "Role", more=more)
    assert check_access(snapshot, asked("carol")).gaps == ()
    assert check_access(snapshot, asked("carol")).decision.allowed
    gaps = check_access(partial, asked("carol")).gaps
    assert [gap.partition(":")[0] for gap in gaps] == [
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    ]
    # Nothing in a namespace grants anything in the whole cluster.
    wide = check_access(partial, asked("carol", namespace="")).gaps
    assert [gap.partition(":")[0] for gap in wide] == ["ClusterRoleBinding"]


def test_an_answer_holds_the_question_and_the_decision() -> None:
    for namespace, allowed in (("payments", True), ("nowhere", False)):
        answer = check_access(cluster(), asked("alice", namespace))
        assert (answer.attributes.user, answer.attributes.namespace) == ("alice", namespace)
        assert answer.decision.allowed is allowed


def test_a_refusal_names_all_that_it_rests_on() -> None:
    more = [binding("g", "kubevirt.io:edit", group("friends"), namespace="nowhere")]
    snapshot = cluster("Role", "Group", more=more)
    gaps = check_access(snapshot, asked("zoe", "nowhere")).gaps
    assert gaps[0].startswith("Role: ")
    assert "the members of Group friends, which may do it, are not known" in gaps[1:]


def test_members_that_are_not_known_leave_a_refusal_open() -> None:
    allowing = [
        role("may", rule("create", "kubevirt.io", "virtualmachineinstancemigrations")),
        binding(
            "may",
            "may",
            group("zeta"),
            group("alpha"),
            group("system:nodes"),
            user("ada"),
            namespace="web",
        ),
    ]
    unknown = cluster("Group", more=allowing)
    told = [
        f"the members of Group {name}, which may do it, are not known"
        for name in ("alpha", "cluster-admins", "platform-vm", "zeta")
    ]
    found = check_access(unknown, asked("somebody")).gaps
    assert [gap for gap in found if gap.startswith("the members")] == told
    assert check_access(unknown, asked("somebody", groups=("own",))).gaps == ()
    assert check_access(unknown, asked("system:serviceaccount:ci:bot")).gaps == ()
    assert check_access(unknown, asked("system:anonymous")).gaps == ()
    assert check_access(cluster(more=[*MORE, *allowing]), asked("somebody")).gaps == ()


def test_a_group_that_is_not_in_the_input_is_named_beside_a_refusal() -> None:
    more = [binding("g", "kubevirt.io:edit", group("friends"), group("ops"), namespace="nowhere")]
    snapshot = cluster(more=[*MORE, *more])
    found = check_access(snapshot, asked("zoe", "nowhere"))
    assert not found.decision.allowed
    assert found.gaps == ()
    assert "friends" in found.unread_groups
    # Who is in it is read, or it is given who he is, or he is in no such group.
    assert "ops" not in found.unread_groups
    assert not any(name.startswith("system:") for name in found.unread_groups)
    assert check_access(snapshot, asked("zoe", "nowhere", ("own",))).unread_groups == ()
    assert check_access(snapshot, asked("system:serviceaccount:a:b", "nowhere")).unread_groups == ()
    assert check_access(snapshot, asked("gina", "nowhere")).unread_groups == ()
    assert check_access(cluster("Group", more=more), asked("zoe", "nowhere")).unread_groups == ()


def test_whoever_logs_in_by_oauth_is_in_a_group_of_its_own() -> None:
    oauth = "system:authenticated:oauth"
    more = [binding("all", "kubevirt.io:edit", group(oauth), namespace="nowhere")]
    snapshot = cluster(more=[*MORE, *more])
    open_ = f"the members of Group {oauth}, which may do it, are not known"
    assert check_access(snapshot, asked("zoe", "nowhere")).gaps == (open_,)
    assert check_access(snapshot, asked("zoe", "nowhere", (oauth,))).decision.allowed
    assert check_access(snapshot, asked("zoe", "nowhere", ("own",))).gaps == ()
    # Accounts, certificates of the cluster's own and kube:admin are not in it.
    for name in ("system:serviceaccount:ci:bot", "system:admin", "kube:admin"):
        found = check_access(snapshot, asked(name, "nowhere"))
        assert (found.decision.allowed, found.gaps) == (False, ())
    assert who("zoe", snapshot) == [
        "User zoe",
        "Group system:authenticated",
        f"Group {oauth}",
    ]
    assert f"Group {oauth}" not in who("sa/web/bot", snapshot)
    assert who("zoe") == ["User zoe", "Group system:authenticated"]


def test_kube_admin_is_a_cluster_administrator() -> None:
    bound = binding("cluster-admins-0", "cluster-admin", group("system:cluster-admins"))
    found = check_access(cluster(more=[bound]), asked("kube:admin"))
    assert found.decision.allowed
    assert found.attributes.groups == ("system:cluster-admins", "system:authenticated")
    assert who("user/kube:admin")[1:] == [
        "Group system:cluster-admins",
        "Group system:authenticated",
    ]


def test_a_namespace_that_was_read_whole_needs_no_other() -> None:
    reading = read_objects([each for each in objects("A") if each["kind"] != "RoleBinding"])
    reasons = ("only 1 namespace was read",)
    reading.reported["RoleBinding"] = KindCoverage(State.PARTIAL, 0, reasons, ("web",))
    snapshot = snapshot_of(reading)
    assert check_access(snapshot, asked("somebody", namespace="web")).gaps == ()
    assert check_access(snapshot, asked("somebody", namespace="data")).gaps == (
        "RoleBinding: only 1 namespace was read",
    )


def test_what_somebody_holds_is_told_with_what_was_not_read() -> None:
    found = explain(state("A"), "alice")
    assert found.identities == (Subject("User", "alice"), EVERYBODY)
    assert found.members is None
    assert found.gaps == ()
    verbs = {
        action.verb
        for held in found.holds
        if held.subject.name == "alice"
        for action in held.actions
    }
    assert {"create", "delete", "update"} <= verbs
    assert {held.subject for held in found.holds} <= set(found.identities)
    without = explain(cluster("Group", more=[]), "alice")
    assert without.gaps == ("Group: not in the input, so the groups of a user are not known",)


@pytest.mark.parametrize("letter", "ABCDEF")
def test_each_grant_is_told_with_what_its_rule_allows(letter: str) -> None:
    snapshot = state(letter)
    asked = [action for each in permissions().values() for action in each.granting]
    count = 0
    for held in list_access(snapshot, asked):
        for grant, allows in zip(held.grants, held.allows, strict=True):
            told = [held.actions[number] for number in allows]
            assert told
            assert all(rules_allow(each.attributes, [grant.rule]) for each in told)
            count += len(told)
        assert {*chain.from_iterable(held.allows)} == {*range(len(held.actions))}
        by_action = {
            number: [
                grant
                for grant, allows in zip(held.grants, held.allows, strict=True)
                if number in allows
            ]
            for number in range(len(held.actions))
        }
        assert [list(grants) for _, grants in held.grants_by_action] == list(by_action.values())
    assert count > len(asked)


def test_a_group_is_told_with_its_members() -> None:
    assert explain(cluster(), "group/ops").members == ("gina",)
    assert explain(cluster(), "group/none").members is None
    assert explain(cluster(), "user/ops").members is None
