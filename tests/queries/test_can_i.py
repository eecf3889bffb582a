"""The decision about one request, and the reasons why a denial might be wrong."""

from __future__ import annotations

from conftest import binding, group, objects, role, rule, user
from query_inputs import MORE, cluster

from rbacguard import Attributes, Snapshot
from rbacguard.queries.can_i import check_access
from rbacguard.queries.explain import identities
from rbacguard.snapshot.coverage import KindCoverage, State
from rbacguard.sources import snapshot_of
from rbacguard.sources.decode import read_objects


def who(text: str, snapshot: Snapshot | None = None) -> list[str]:
    return [str(each) for each in identities(text, snapshot or cluster())]


def request(name: str, namespace: str = "web", groups: tuple[str, ...] = ()) -> Attributes:
    return Attributes(
        user=name,
        groups=groups,
        verb="create",
        api_group="kubevirt.io",
        resource="virtualmachineinstancemigrations",
        namespace=namespace,
    )


def test_groups_of_the_input_and_of_the_server_are_added() -> None:
    found = check_access(cluster(), request("gina"))
    assert found.request.groups == ("ops", "unbound", "system:authenticated")
    given = check_access(cluster(), request("gina", groups=("own", "system:authenticated")))
    assert given.request.groups == ("own", "system:authenticated")
    anonymous = check_access(cluster(), request("system:anonymous"))
    assert anonymous.request.groups == ("system:unauthenticated",)


def test_a_grant_has_no_gaps_and_a_denial_names_what_was_not_read() -> None:
    partial = cluster("ClusterRoleBinding", "RoleBinding", "Role", more=[])
    more = [binding("carol", "admin", user("carol"), namespace="web")]
    snapshot = cluster("ClusterRoleBinding", "Role", more=more)
    assert check_access(snapshot, request("carol")).gaps == ()
    assert check_access(snapshot, request("carol")).decision.allowed
    gaps = check_access(partial, request("carol")).gaps
    assert [gap.partition(":")[0] for gap in gaps] == [
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    ]
    # RoleBindings do not grant cluster-wide access.
    wide = check_access(partial, request("carol", namespace="")).gaps
    assert [gap.partition(":")[0] for gap in wide] == ["ClusterRoleBinding"]


def test_an_answer_has_the_request_and_the_decision() -> None:
    for namespace, allowed in (("payments", True), ("nowhere", False)):
        answer = check_access(cluster(), request("alice", namespace))
        assert (answer.request.user, answer.request.namespace) == ("alice", namespace)
        assert answer.decision.allowed is allowed


def test_a_denial_names_all_gaps() -> None:
    more = [binding("g", "kubevirt.io:edit", group("friends"), namespace="nowhere")]
    snapshot = cluster("Role", "Group", more=more)
    gaps = check_access(snapshot, request("zoe", "nowhere")).gaps
    assert gaps[0].startswith("Role: ")
    assert "the members of Group friends, which is allowed, are not known" in gaps[1:]


def test_a_denial_is_uncertain_if_members_of_a_group_are_unknown() -> None:
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
    expected = [
        f"the members of Group {name}, which is allowed, are not known"
        for name in ("alpha", "cluster-admins", "platform-vm", "zeta")
    ]
    found = check_access(unknown, request("somebody")).gaps
    assert [gap for gap in found if gap.startswith("the members")] == expected
    assert check_access(unknown, request("somebody", groups=("own",))).gaps == ()
    assert check_access(unknown, request("system:serviceaccount:ci:bot")).gaps == ()
    assert check_access(unknown, request("system:anonymous")).gaps == ()
    assert check_access(cluster(more=[*MORE, *allowing]), request("somebody")).gaps == ()


def test_an_allowed_group_that_is_not_in_the_input_is_named() -> None:
    more = [binding("g", "kubevirt.io:edit", group("friends"), group("ops"), namespace="nowhere")]
    snapshot = cluster(more=[*MORE, *more])
    found = check_access(snapshot, request("zoe", "nowhere"))
    assert not found.decision.allowed
    assert found.gaps == ()
    assert "friends" in found.unread_groups
    # The members of the Group were read, or the groups of the user are known.
    assert "ops" not in found.unread_groups
    assert not any(name.startswith("system:") for name in found.unread_groups)
    for name, groups in (("zoe", ("own",)), ("system:serviceaccount:a:b", ()), ("gina", ())):
        assert check_access(snapshot, request(name, "nowhere", groups)).unread_groups == ()
    assert check_access(cluster("Group", more=more), request("zoe", "nowhere")).unread_groups == ()


def test_users_of_the_oauth_server_are_in_a_group() -> None:
    oauth = "system:authenticated:oauth"
    more = [binding("all", "kubevirt.io:edit", group(oauth), namespace="nowhere")]
    snapshot = cluster(more=[*MORE, *more])
    unknown = f"the members of Group {oauth}, which is allowed, are not known"
    assert check_access(snapshot, request("zoe", "nowhere")).gaps == (unknown,)
    assert check_access(snapshot, request("zoe", "nowhere", (oauth,))).decision.allowed
    assert check_access(snapshot, request("zoe", "nowhere", ("own",))).gaps == ()
    # Service accounts, users of certificates, and kube:admin are not in the group.
    for name in ("system:serviceaccount:ci:bot", "system:admin", "kube:admin"):
        found = check_access(snapshot, request(name, "nowhere"))
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
    found = check_access(cluster(more=[bound]), request("kube:admin"))
    assert found.decision.allowed
    assert found.request.groups == ("system:cluster-admins", "system:authenticated")
    assert who("user/kube:admin")[1:] == [
        "Group system:cluster-admins",
        "Group system:authenticated",
    ]


def test_a_complete_namespace_has_no_gaps() -> None:
    reading = read_objects([each for each in objects("A") if each["kind"] != "RoleBinding"])
    reasons = ("only 1 namespace was read",)
    reading.reported["RoleBinding"] = KindCoverage(State.PARTIAL, 0, reasons, ("web",))
    snapshot = snapshot_of(reading)
    assert check_access(snapshot, request("somebody", namespace="web")).gaps == ()
    assert check_access(snapshot, request("somebody", namespace="data")).gaps == (
        "RoleBinding: only 1 namespace was read",
    )
