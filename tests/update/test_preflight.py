"""What hinders the identity that applies is told before it tries."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
from conftest import DATA, account, binding, objects, role, rule, state, user

from rbacguard.queries.preflight import Obstacle, obstacles
from rbacguard.rbac import (
    ClusterRole,
    ClusterRoleBinding,
    ObjectKey,
    ObjectMeta,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)
from rbacguard.rbac.identity import identify, service_account_of
from rbacguard.sources import from_objects
from rbacguard.update.temporary_role import temporary_role

MIGRATE = RoleRef("ClusterRole", "kubevirt.io:migrate")
RBAC = "rbac.authorization.k8s.io"
ALICE = (Subject("User", "alice"),)


def bind(namespace: str = "web", name: str = "b", reference: RoleRef = MIGRATE) -> Any:
    metadata = ObjectMeta(name=name, namespace=namespace)
    make = RoleBinding if namespace else ClusterRoleBinding
    return make(metadata, reference, ALICE)


def hindered(letter: str, who: str, *values: Any, more: Any = ()) -> tuple[Obstacle, ...]:
    snapshot = from_objects([*objects(letter), *more])
    return obstacles(snapshot, values, identify(who, members=snapshot.groups))


def messages(found: tuple[Obstacle, ...]) -> list[str]:
    return [each.message for each in found]


def allowing(*rules: dict[str, Any], namespace: str = "") -> list[dict[str, Any]]:
    """Return what lets user gitops do something, in one namespace or everywhere."""
    return [
        role("gitops", *rules),
        binding("gitops", "gitops", user("gitops"), namespace=namespace),
    ]


WRITE = rule("create get patch", RBAC, "roles rolebindings clusterroles clusterrolebindings")


def test_a_cluster_administrator_meets_nothing() -> None:
    values = (bind(), bind(""), temporary_role("admin"), temporary_role("edit"))
    assert hindered("D", "root", *values) == ()
    argo = "system:serviceaccount:openshift-gitops:argocd-application-controller"
    assert hindered("A", argo, *values) == ()


def test_who_may_nothing_lacks_everything() -> None:
    *rights, lacks = messages(hindered("D", "nobody", bind()))
    assert rights == [f"may not {verb} rolebindings" for verb in ("create", "get", "patch")]
    assert lacks.startswith("holds less than kubevirt.io:migrate: lacks ")
    assert "update virtualmachines/migrate.subresources.kubevirt.io" in lacks
    assert "create,update,patch,deletecollection virtualmachineinstancemigrations.kubevirt" in lacks


def test_what_is_missing_is_a_rule_that_helps() -> None:
    found = hindered("D", "gitops", bind(), more=allowing(WRITE))
    (only,) = found
    assert only.rule == PolicyRule(("bind",), (RBAC,), ("clusterroles",), ("kubevirt.io:migrate",))
    assert only.namespace == "web"
    helps = rule("bind", RBAC, "clusterroles", resourceNames=["kubevirt.io:migrate"])
    assert hindered("D", "gitops", bind(), more=allowing(WRITE, helps)) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        rule("bind", RBAC, "clusterroles", resourceNames=["kubevirt.io:admin"]),
        rule("bind", RBAC, "roles"),
        rule("bind", RBAC, "rolebindings clusterrolebindings"),
        rule("escalate", RBAC, "clusterroles"),
        rule("create", "kubevirt.io", "virtualmachineinstancemigrations"),
    ],
)
def test_rights_that_look_alike_do_not_help(wrong: dict[str, Any]) -> None:
    assert hindered("D", "gitops", bind(), more=allowing(WRITE, wrong))


def test_rights_count_where_the_binding_is_made() -> None:
    everything = rule("*", "*", "*")
    here = allowing(everything, namespace="web")
    assert hindered("D", "gitops", bind("web"), more=here) == ()
    assert hindered("D", "gitops", bind("data"), more=here) != ()
    assert hindered("D", "gitops", bind(""), more=here) != ()


def test_a_role_that_is_not_there_yet_can_be_bound_by_who_may_bind_it_only() -> None:
    own = rule(
        "create update patch delete deletecollection",
        "kubevirt.io",
        "virtualmachineinstancemigrations",
    )
    second = rule("update", "subresources.kubevirt.io", "virtualmachines/migrate")
    found = hindered("A", "gitops", bind(), more=allowing(WRITE, own, second))
    assert messages(found) == [
        "kubevirt.io:migrate does not exist yet, so only who may bind it can be let do so"
    ]
    assert hindered("D", "gitops", bind(), more=allowing(WRITE, own, second)) == ()


def test_a_role_needs_its_rules_or_escalate() -> None:
    role_of = temporary_role("admin")
    assert (
        "holds less than the role"
        in messages(hindered("A", "gitops", role_of, more=allowing(WRITE)))[0]
    )
    may = rule("escalate", RBAC, "clusterroles")
    assert hindered("A", "gitops", role_of, more=allowing(WRITE, may)) == ()
    named = rule("escalate", RBAC, "clusterroles", resourceNames=[role_of.metadata.name])
    # A request that makes a role has no name that the rule could be limited to.
    assert hindered("A", "gitops", role_of, more=allowing(WRITE, named)) != ()


def test_a_label_on_a_role_that_is_there_needs_no_more_than_the_update() -> None:
    label = ClusterRole(ObjectMeta(name="kubevirt.io:migrate", labels={"a": "true"}))
    assert hindered("D", "gitops", label, more=allowing(WRITE)) == ()


def test_members_of_a_group_and_service_accounts_have_their_groups() -> None:
    more = [
        role("all", rule("*", "*", "*")),
        binding("sas", "all", {"kind": "Group", "name": "system:serviceaccounts:ci"}),
    ]
    assert hindered("D", "system:serviceaccount:ci:deploy", bind(), more=more) == ()
    assert hindered("D", "system:serviceaccount:cd:deploy", bind(), more=more) != ()
    here = [role("all", rule("*", "*", "*")), binding("sa", "all", account("bot"), namespace="web")]
    assert hindered("D", "system:serviceaccount:web:bot", bind("web"), more=here) == ()


def restriction(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "authorization.openshift.io/v1",
        "kind": "RoleBindingRestriction",
        "metadata": {"name": "only", "namespace": "web"},
        "spec": spec,
    }


def test_openshifts_restrictions_hinder_even_an_administrator() -> None:
    others = restriction(userrestriction={"users": ["bob"]})
    (found,) = hindered("D", "root", bind(), more=[others])
    assert found.message == "User alice fits none of the RoleBindingRestrictions only"
    assert found.rule is None
    assert hindered("D", "root", bind("data"), more=[others]) == ()
    fits = restriction(userrestriction={"users": ["alice"]})
    assert hindered("D", "root", bind(), more=[fits]) == ()


def test_it_predicts_what_a_real_server_answered() -> None:
    """A namespace administrator after the update, who lacks what the recorded refusal lists."""
    recordings = json.loads(gzip.decompress((DATA / "api-recordings.json.gz").read_bytes()))
    refused = next(r for r in recordings if r["name"] == "server dry run, privilege escalation")
    message = refused["response"]["body"]["message"]
    assert refused["response"]["status"] == 403
    recorded = {
        (group, resource, verb)
        for group, resource, verbs in re.findall(
            r'APIGroups:\["([^"]*)"\], Resources:\["([^"]*)"\], Verbs:\[([^\]]*)\]', message
        )
        for verb in re.findall(r'"([^"]+)"', verbs)
    }
    who = dict(refused["request"]["headers"])["Impersonate-User"]
    admin = [binding("zeta-admin", "admin", user(who), namespace="zeta")]
    (found,) = hindered("D", who, bind("zeta"), more=admin)
    lacks = found.message.partition("lacks ")[2]
    predicted = {
        (group, resource, verb)
        for part in lacks.split("; ")
        for verbs, _, whole in [part.partition(" ")]
        for resource, _, group in [whole.partition(".")]
        for verb in verbs.split(",")
    }
    assert predicted == recorded


def test_the_snapshot_stays_as_it_is() -> None:
    before = state("A")
    obstacles(before, [temporary_role("admin"), bind()], identify("root", members=before.groups))
    assert "kubevirt.io:upgrademigrate" not in before.cluster_roles


def key(kind: str, name: str, namespace: str = "") -> ObjectKey:
    return ObjectKey(kind, namespace, name)


def grants(verb: str, resource: str, *names: str) -> PolicyRule:
    return PolicyRule((verb,), (RBAC,), (resource,), names)


def test_every_obstacle_names_object_rule_and_place() -> None:
    own = ClusterRole(ObjectMeta(name="own"), (PolicyRule(("get",), ("",), ("pods", "nodes")),))
    local = Role(
        ObjectMeta(name="own", namespace="web"),
        (
            PolicyRule(("get", "list"), ("apps",), ("deployments",)),
            PolicyRule(("x",), ("",), ("y",)),
        ),
    )
    found = hindered("D", "nobody", own, local, bind("web"), bind(""))
    verbs = ("create", "get", "patch")
    made = [
        (key("ClusterRole", "own"), "clusterroles", ""),
        (key("Role", "own", "web"), "roles", "web"),
        (key("RoleBinding", "b", "web"), "rolebindings", "web"),
        (key("ClusterRoleBinding", "b"), "clusterrolebindings", ""),
    ]
    rights = [
        Obstacle(each, f"may not {verb} {plural}", grants(verb, plural), namespace)
        for each, plural, namespace in made
        for verb in verbs
    ]
    assert [each for each in found if each.message.startswith("may not")] == rights
    lacking = [each for each in found if not each.message.startswith("may not")]
    bound = grants("bind", "clusterroles", "kubevirt.io:migrate")
    assert [(each.object, each.rule, each.namespace) for each in lacking] == [
        (key("ClusterRole", "own"), grants("escalate", "clusterroles"), ""),
        (key("Role", "own", "web"), grants("escalate", "roles"), "web"),
        (key("RoleBinding", "b", "web"), bound, "web"),
        (key("ClusterRoleBinding", "b"), bound, ""),
    ]
    assert [each.message for each in lacking[:2]] == [
        "holds less than the role: lacks get pods; get nodes",
        "holds less than the role: lacks get,list deployments.apps; x y",
    ]


def test_rights_in_one_namespace_do_not_reach_another_or_the_cluster() -> None:
    may = allowing(
        WRITE,
        rule("bind escalate", RBAC, "roles clusterroles"),
        rule("get", "core", "pods"),
        namespace="web",
    )
    local = ClusterRole(ObjectMeta(name="own"), (PolicyRule(("get",), ("",), ("pods",)),))
    assert hindered("D", "gitops", bind("web"), more=may) == ()
    assert [each.rule for each in hindered("D", "gitops", bind("data"), more=may)][-1] == grants(
        "bind", "clusterroles", "kubevirt.io:migrate"
    )
    (*_, last) = hindered("D", "gitops", local, more=may)
    assert (last.rule, last.namespace) == (grants("escalate", "clusterroles"), "")
    inside = Role(ObjectMeta(name="own", namespace="web"), local.rules)
    assert hindered("D", "gitops", inside, more=may) == ()


def test_a_role_of_the_bindings_own_namespace_is_found_there() -> None:
    here = RoleRef("Role", "helper")
    may = [
        *allowing(WRITE, rule("get", "core", "pods")),
        role("helper", rule("get", "core", "pods"), kind="Role", namespace="web"),
        role("helper", rule("get", "core", "secrets"), kind="Role", namespace="data"),
    ]
    assert hindered("D", "gitops", bind("web", reference=here), more=may) == ()
    (found,) = hindered("D", "gitops", bind("data", reference=here), more=may)
    assert found == Obstacle(
        key("RoleBinding", "b", "data"),
        "holds less than helper: lacks get secrets",
        grants("bind", "roles", "helper"),
        "data",
    )


def test_a_role_of_a_namespace_needs_what_is_held_there_or_escalate_there() -> None:
    made = Role(ObjectMeta(name="own", namespace="web"), (PolicyRule(("get",), ("",), ("pods",)),))
    here = allowing(WRITE, rule("get", "core", "pods"), namespace="web")
    assert hindered("D", "gitops", made, more=here) == ()
    there = [
        *allowing(WRITE),
        role("pods", rule("get", "core", "pods")),
        binding("pods", "pods", user("gitops"), namespace="data"),
    ]
    assert messages(hindered("D", "gitops", made, more=there)) == [
        "holds less than the role: lacks get pods"
    ]
    may = [
        *allowing(WRITE),
        role("may", rule("escalate", RBAC, "roles")),
        binding("may", "may", user("gitops"), namespace="web"),
    ]
    assert hindered("D", "gitops", made, more=may) == ()
    nameless = allowing(WRITE, rule("escalate", RBAC, "roles", resourceNames=[""]))
    assert hindered("D", "gitops", made, more=nameless) == ()


def test_a_request_to_create_has_no_name_at_all() -> None:
    nameless = rule("create", RBAC, "rolebindings", resourceNames=[""])
    rest = [rule("get patch", RBAC, "rolebindings"), rule("bind", RBAC, "clusterroles")]
    assert hindered("D", "gitops", bind(), more=allowing(nameless, *rest)) == ()


def test_who_holds_a_roles_rules_in_the_namespace_may_bind_it_there() -> None:
    more = [
        binding("m", "kubevirt.io:migrate", user("gitops"), namespace="web"),
        role("write", WRITE),
        binding("w", "write", user("gitops"), namespace="web"),
        binding("w", "write", user("gitops"), namespace="data"),
    ]
    assert hindered("D", "gitops", bind(), more=more) == ()
    (there,) = messages(hindered("D", "gitops", bind("data"), more=more))
    assert there.startswith("holds less than kubevirt.io:migrate: lacks ")


def test_what_is_held_is_gathered_from_every_binding_that_counts() -> None:
    """A binding elsewhere comes first, one names a role that is missing, one a Role."""
    made = Role(
        ObjectMeta(name="own", namespace="web"),
        (PolicyRule(("get",), ("",), ("pods", "nodes", "secrets")),),
    )
    robot = "system:serviceaccount:web:bot"
    more = [
        binding("a-far", "far", account("bot", "web"), namespace="data"),
        role("far", rule("*", "*", "*")),
        binding("b-gone", "gone", account("bot"), namespace="web"),
        role("pods", rule("get", "core", "pods"), kind="Role", namespace="web"),
        binding("c-local", "pods", account("bot"), namespace="web", role_kind="Role"),
        role("pods", rule("get", "core", "events"), kind="Role", namespace="data"),
        role("nodes", rule("get", "core", "nodes")),
        binding("d-wide", "nodes", account("bot", "web")),
        role("write", WRITE),
        binding("e-write", "write", account("bot"), namespace="web"),
    ]
    assert messages(hindered("D", robot, made, more=more)) == [
        "holds less than the role: lacks get secrets"
    ]


def test_a_role_that_is_missing_is_an_obstacle_with_its_rule_and_place() -> None:
    assert hindered("A", "gitops", bind(), more=allowing(WRITE)) == (
        Obstacle(
            key("RoleBinding", "b", "web"),
            "kubevirt.io:migrate does not exist yet, so only who may bind it can be let do so",
            grants("bind", "clusterroles", "kubevirt.io:migrate"),
            "web",
        ),
    )


def test_only_an_accounts_user_name_is_that_of_one() -> None:
    account = service_account_of("system:serviceaccount:web:bot")
    assert account == Subject("ServiceAccount", "bot", "web")
    assert service_account_of("alice") is None


def test_what_is_made_first_counts_for_what_comes_after() -> None:
    own = ClusterRole(ObjectMeta(name="own"), (PolicyRule(("get",), ("",), ("pods",)),))
    after = bind("web", reference=RoleRef("ClusterRole", "own"))
    may = allowing(WRITE, rule("get", "core", "pods"))
    assert hindered("D", "gitops", own, after, more=may) == ()
    (found,) = hindered("D", "gitops", after, more=may)
    assert found.message == "own does not exist yet, so only who may bind it can be let do so"
    # Of a role that is there a label is applied: it keeps its rules.
    label = ClusterRole(ObjectMeta(name="kubevirt.io:migrate", labels={"a": "true"}))
    (still,) = hindered("D", "gitops", label, bind(), more=may)
    assert still.message.startswith("holds less than kubevirt.io:migrate: lacks ")


def test_a_right_to_change_may_be_limited_to_a_name_but_not_one_to_create() -> None:
    everything = rule("*", "*", "*")
    named = rule("get patch", RBAC, "rolebindings", resourceNames=["b"])
    made = rule("create", RBAC, "rolebindings", resourceNames=["b"])
    bindable = rule("bind", RBAC, "clusterroles")
    (found,) = hindered("D", "gitops", bind(), more=allowing(named, made, bindable))
    assert found == Obstacle(
        key("RoleBinding", "b", "web"),
        "may not create rolebindings",
        grants("create", "rolebindings"),
        "web",
    )
    assert hindered("D", "gitops", bind(), more=allowing(everything)) == ()


def test_a_persons_groups_are_those_of_openshift() -> None:
    members = {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": "platform"},
        "users": ["gina"],
    }
    more = [
        members,
        role("all", rule("*", "*", "*")),
        binding("platform", "all", {"kind": "Group", "name": "platform"}),
    ]
    assert hindered("D", "gina", bind(), more=more) == ()
    assert hindered("D", "gino", bind(), more=more) != ()
    snapshot = from_objects([*objects("D"), *more])
    assert identify("gina", members=snapshot.groups).groups == ("platform", "system:authenticated")
    assert str(identify("gina", members=snapshot.groups)) == "gina"


def test_masters_meet_no_escalation_check() -> None:
    root = [
        role("all", rule("create get patch", RBAC, "rolebindings")),
        binding("all", "all", user("root2")),
        {
            "apiVersion": "user.openshift.io/v1",
            "kind": "Group",
            "metadata": {"name": "system:masters"},
            "users": ["root2"],
        },
    ]
    assert hindered("D", "root2", bind(), more=root) == ()


def test_a_restriction_is_told_for_each_subject_with_its_name() -> None:
    two = (*ALICE, Subject("Group", "devs"))
    made = RoleBinding(ObjectMeta(name="b", namespace="web"), MIGRATE, two)
    only = restriction(userrestriction={"users": [], "labels": [{"matchLabels": {"a": "b"}}]})
    more = restriction(grouprestriction={"groups": ["others"]})
    more["metadata"]["name"] = "second"
    assert hindered("D", "root", made, more=[only, more]) == (
        Obstacle(
            key("RoleBinding", "b", "web"),
            "User alice fits none of the RoleBindingRestrictions only, second"
            " (their labels were not looked at)",
        ),
        Obstacle(
            key("RoleBinding", "b", "web"),
            "Group devs fits none of the RoleBindingRestrictions only, second"
            " (their labels were not looked at)",
        ),
    )
    group = restriction(userrestriction={"groups": ["devs"]})
    member = {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": "devs"},
        "users": ["alice"],
    }
    assert hindered("D", "root", bind(), more=[group, member]) == ()
    assert hindered("D", "root", bind(), more=[group]) != ()
