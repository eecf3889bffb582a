"""A user applies objects; the denials are known before."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
from conftest import DATA, account, binding, objects, role, rule, state, user

from rbacguard.queries.preflight import Denial, check_apply
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


def denials(letter: str, who: str, *values: Any, more: Any = ()) -> tuple[Denial, ...]:
    snapshot = from_objects([*objects(letter), *more])
    return check_apply(snapshot, values, identify(who, members=snapshot.groups))


def messages(found: tuple[Denial, ...]) -> list[str]:
    return [each.message for each in found]


def allowing(*rules: dict[str, Any], namespace: str = "") -> list[dict[str, Any]]:
    """Return a role and a binding that allow rules to user gitops, cluster-wide by default."""
    return [
        role("gitops", *rules),
        binding("gitops", "gitops", user("gitops"), namespace=namespace),
    ]


WRITE = rule("create get patch", RBAC, "roles rolebindings clusterroles clusterrolebindings")


def test_a_cluster_administrator_has_no_denials() -> None:
    values = (bind(), bind(""), temporary_role("admin"), temporary_role("edit"))
    assert denials("D", "root", *values) == ()
    argo = "system:serviceaccount:openshift-gitops:argocd-application-controller"
    assert denials("A", argo, *values) == ()


def test_a_user_without_permissions_lacks_all_rules() -> None:
    *rights, lacks = messages(denials("D", "nobody", bind()))
    assert rights == [f"cannot {verb} rolebindings" for verb in ("create", "get", "patch")]
    assert lacks.startswith("does not have all rules of kubevirt.io:migrate; missing: ")
    assert "update virtualmachines/migrate.subresources.kubevirt.io" in lacks
    assert "create,update,patch,deletecollection virtualmachineinstancemigrations.kubevirt" in lacks


def test_the_rule_of_a_denial_helps() -> None:
    found = denials("D", "gitops", bind(), more=allowing(WRITE))
    (only,) = found
    assert only.rule == PolicyRule(("bind",), (RBAC,), ("clusterroles",), ("kubevirt.io:migrate",))
    assert only.namespace == "web"
    helps = rule("bind", RBAC, "clusterroles", resourceNames=["kubevirt.io:migrate"])
    assert denials("D", "gitops", bind(), more=allowing(WRITE, helps)) == ()


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
def test_similar_rules_do_not_help(wrong: dict[str, Any]) -> None:
    assert denials("D", "gitops", bind(), more=allowing(WRITE, wrong))


def test_rules_count_in_the_namespace_of_the_binding() -> None:
    everything = rule("*", "*", "*")
    here = allowing(everything, namespace="web")
    assert denials("D", "gitops", bind("web"), more=here) == ()
    assert denials("D", "gitops", bind("data"), more=here) != ()
    assert denials("D", "gitops", bind(""), more=here) != ()


def test_a_missing_role_can_be_bound_only_with_the_verb_bind() -> None:
    own = rule(
        "create update patch delete deletecollection",
        "kubevirt.io",
        "virtualmachineinstancemigrations",
    )
    second = rule("update", "subresources.kubevirt.io", "virtualmachines/migrate")
    found = denials("A", "gitops", bind(), more=allowing(WRITE, own, second))
    assert messages(found) == [
        "kubevirt.io:migrate does not exist yet, so only the verb bind allows the binding"
    ]
    assert denials("D", "gitops", bind(), more=allowing(WRITE, own, second)) == ()


def test_a_role_needs_its_rules_or_the_verb_escalate() -> None:
    role_of = temporary_role("admin")
    assert (
        "does not have all rules of the role"
        in messages(denials("A", "gitops", role_of, more=allowing(WRITE)))[0]
    )
    may = rule("escalate", RBAC, "clusterroles")
    assert denials("A", "gitops", role_of, more=allowing(WRITE, may)) == ()
    named = rule("escalate", RBAC, "clusterroles", resourceNames=[role_of.metadata.name])
    # A request that makes a role has no name that the rule could be limited to.
    assert denials("A", "gitops", role_of, more=allowing(WRITE, named)) != ()


def test_a_label_on_an_existing_role_needs_only_the_update() -> None:
    label = ClusterRole(ObjectMeta(name="kubevirt.io:migrate", labels={"a": "true"}))
    assert denials("D", "gitops", label, more=allowing(WRITE)) == ()


def test_service_accounts_are_in_their_groups() -> None:
    more = [
        role("all", rule("*", "*", "*")),
        binding("sas", "all", {"kind": "Group", "name": "system:serviceaccounts:ci"}),
    ]
    assert denials("D", "system:serviceaccount:ci:deploy", bind(), more=more) == ()
    assert denials("D", "system:serviceaccount:cd:deploy", bind(), more=more) != ()
    here = [role("all", rule("*", "*", "*")), binding("sa", "all", account("bot"), namespace="web")]
    assert denials("D", "system:serviceaccount:web:bot", bind("web"), more=here) == ()


def restriction(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "authorization.openshift.io/v1",
        "kind": "RoleBindingRestriction",
        "metadata": {"name": "only", "namespace": "web"},
        "spec": spec,
    }


def test_role_binding_restrictions_apply_to_administrators() -> None:
    others = restriction(userrestriction={"users": ["bob"]})
    (found,) = denials("D", "root", bind(), more=[others])
    assert found.message == "User alice matches none of the RoleBindingRestrictions only"
    assert found.rule is None
    assert denials("D", "root", bind("data"), more=[others]) == ()
    fits = restriction(userrestriction={"users": ["alice"]})
    assert denials("D", "root", bind(), more=[fits]) == ()


def test_a_denial_equals_the_answer_of_a_real_server() -> None:
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
    (found,) = denials("D", who, bind("zeta"), more=admin)
    lacks = found.message.partition("missing: ")[2]
    predicted = {
        (group, resource, verb)
        for part in lacks.split("; ")
        for verbs, _, whole in [part.partition(" ")]
        for resource, _, group in [whole.partition(".")]
        for verb in verbs.split(",")
    }
    assert predicted == recorded


def test_the_snapshot_is_not_changed() -> None:
    before = state("A")
    check_apply(before, [temporary_role("admin"), bind()], identify("root", members=before.groups))
    assert "kubevirt.io:upgrademigrate" not in before.cluster_roles


def key(kind: str, name: str, namespace: str = "") -> ObjectKey:
    return ObjectKey(kind, namespace, name)


def grants(verb: str, resource: str, *names: str) -> PolicyRule:
    return PolicyRule((verb,), (RBAC,), (resource,), names)


def test_every_denial_has_object_rule_and_namespace() -> None:
    own = ClusterRole(ObjectMeta(name="own"), (PolicyRule(("get",), ("",), ("pods", "nodes")),))
    local = Role(
        ObjectMeta(name="own", namespace="web"),
        (
            PolicyRule(("get", "list"), ("apps",), ("deployments",)),
            PolicyRule(("x",), ("",), ("y",)),
        ),
    )
    found = denials("D", "nobody", own, local, bind("web"), bind(""))
    verbs = ("create", "get", "patch")
    made = [
        (key("ClusterRole", "own"), "clusterroles", ""),
        (key("Role", "own", "web"), "roles", "web"),
        (key("RoleBinding", "b", "web"), "rolebindings", "web"),
        (key("ClusterRoleBinding", "b"), "clusterrolebindings", ""),
    ]
    rights = [
        Denial(each, f"cannot {verb} {plural}", grants(verb, plural), namespace)
        for each, plural, namespace in made
        for verb in verbs
    ]
    assert [each for each in found if each.message.startswith("cannot")] == rights
    lacking = [each for each in found if not each.message.startswith("cannot")]
    bound = grants("bind", "clusterroles", "kubevirt.io:migrate")
    assert [(each.object, each.rule, each.namespace) for each in lacking] == [
        (key("ClusterRole", "own"), grants("escalate", "clusterroles"), ""),
        (key("Role", "own", "web"), grants("escalate", "roles"), "web"),
        (key("RoleBinding", "b", "web"), bound, "web"),
        (key("ClusterRoleBinding", "b"), bound, ""),
    ]
    assert [each.message for each in lacking[:2]] == [
        "does not have all rules of the role; missing: get pods; get nodes",
        "does not have all rules of the role; missing: get,list deployments.apps; x y",
    ]


def test_rules_in_one_namespace_do_not_count_elsewhere() -> None:
    may = allowing(
        WRITE,
        rule("bind escalate", RBAC, "roles clusterroles"),
        rule("get", "core", "pods"),
        namespace="web",
    )
    local = ClusterRole(ObjectMeta(name="own"), (PolicyRule(("get",), ("",), ("pods",)),))
    assert denials("D", "gitops", bind("web"), more=may) == ()
    assert [each.rule for each in denials("D", "gitops", bind("data"), more=may)][-1] == grants(
        "bind", "clusterroles", "kubevirt.io:migrate"
    )
    (*_, last) = denials("D", "gitops", local, more=may)
    assert (last.rule, last.namespace) == (grants("escalate", "clusterroles"), "")
    inside = Role(ObjectMeta(name="own", namespace="web"), local.rules)
    assert denials("D", "gitops", inside, more=may) == ()


def test_a_role_is_in_the_namespace_of_its_binding() -> None:
    here = RoleRef("Role", "helper")
    may = [
        *allowing(WRITE, rule("get", "core", "pods")),
        role("helper", rule("get", "core", "pods"), kind="Role", namespace="web"),
        role("helper", rule("get", "core", "secrets"), kind="Role", namespace="data"),
    ]
    assert denials("D", "gitops", bind("web", reference=here), more=may) == ()
    (found,) = denials("D", "gitops", bind("data", reference=here), more=may)
    assert found == Denial(
        key("RoleBinding", "b", "data"),
        "does not have all rules of helper; missing: get secrets",
        grants("bind", "roles", "helper"),
        "data",
    )


def test_a_role_needs_its_rules_or_escalate_in_its_namespace() -> None:
    made = Role(ObjectMeta(name="own", namespace="web"), (PolicyRule(("get",), ("",), ("pods",)),))
    here = allowing(WRITE, rule("get", "core", "pods"), namespace="web")
    assert denials("D", "gitops", made, more=here) == ()
    there = [
        *allowing(WRITE),
        role("pods", rule("get", "core", "pods")),
        binding("pods", "pods", user("gitops"), namespace="data"),
    ]
    assert messages(denials("D", "gitops", made, more=there)) == [
        "does not have all rules of the role; missing: get pods"
    ]
    may = [
        *allowing(WRITE),
        role("may", rule("escalate", RBAC, "roles")),
        binding("may", "may", user("gitops"), namespace="web"),
    ]
    assert denials("D", "gitops", made, more=may) == ()
    nameless = allowing(WRITE, rule("escalate", RBAC, "roles", resourceNames=[""]))
    assert denials("D", "gitops", made, more=nameless) == ()


def test_a_create_request_has_no_name() -> None:
    nameless = rule("create", RBAC, "rolebindings", resourceNames=[""])
    rest = [rule("get patch", RBAC, "rolebindings"), rule("bind", RBAC, "clusterroles")]
    assert denials("D", "gitops", bind(), more=allowing(nameless, *rest)) == ()


def test_a_user_with_the_rules_of_a_role_can_bind_it_there() -> None:
    more = [
        binding("m", "kubevirt.io:migrate", user("gitops"), namespace="web"),
        role("write", WRITE),
        binding("w", "write", user("gitops"), namespace="web"),
        binding("w", "write", user("gitops"), namespace="data"),
    ]
    assert denials("D", "gitops", bind(), more=more) == ()
    (there,) = messages(denials("D", "gitops", bind("data"), more=more))
    assert there.startswith("does not have all rules of kubevirt.io:migrate; missing: ")


def test_rules_come_from_every_relevant_binding() -> None:
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
    assert messages(denials("D", robot, made, more=more)) == [
        "does not have all rules of the role; missing: get secrets"
    ]


def test_a_missing_role_is_a_denial_with_rule_and_namespace() -> None:
    assert denials("A", "gitops", bind(), more=allowing(WRITE)) == (
        Denial(
            key("RoleBinding", "b", "web"),
            "kubevirt.io:migrate does not exist yet, so only the verb bind allows the binding",
            grants("bind", "clusterroles", "kubevirt.io:migrate"),
            "web",
        ),
    )


def test_only_the_user_name_of_a_service_account_is_one() -> None:
    account = service_account_of("system:serviceaccount:web:bot")
    assert account == Subject("ServiceAccount", "bot", "web")
    assert service_account_of("alice") is None


def test_an_object_counts_for_the_objects_after_it() -> None:
    own = ClusterRole(ObjectMeta(name="own"), (PolicyRule(("get",), ("",), ("pods",)),))
    after = bind("web", reference=RoleRef("ClusterRole", "own"))
    may = allowing(WRITE, rule("get", "core", "pods"))
    assert denials("D", "gitops", own, after, more=may) == ()
    (found,) = denials("D", "gitops", after, more=may)
    assert found.message == "own does not exist yet, so only the verb bind allows the binding"
    # Of a role that is there a label is applied: it keeps its rules.
    label = ClusterRole(ObjectMeta(name="kubevirt.io:migrate", labels={"a": "true"}))
    (still,) = denials("D", "gitops", label, bind(), more=may)
    assert still.message.startswith("does not have all rules of kubevirt.io:migrate; missing: ")


def test_get_and_patch_can_be_limited_to_a_name_but_not_create() -> None:
    everything = rule("*", "*", "*")
    named = rule("get patch", RBAC, "rolebindings", resourceNames=["b"])
    made = rule("create", RBAC, "rolebindings", resourceNames=["b"])
    bindable = rule("bind", RBAC, "clusterroles")
    (found,) = denials("D", "gitops", bind(), more=allowing(named, made, bindable))
    assert found == Denial(
        key("RoleBinding", "b", "web"),
        "cannot create rolebindings",
        grants("create", "rolebindings"),
        "web",
    )
    assert denials("D", "gitops", bind(), more=allowing(everything)) == ()


def test_a_user_is_in_openshift_groups() -> None:
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
    assert denials("D", "gina", bind(), more=more) == ()
    assert denials("D", "gino", bind(), more=more) != ()
    snapshot = from_objects([*objects("D"), *more])
    assert identify("gina", members=snapshot.groups).groups == ("platform", "system:authenticated")
    assert str(identify("gina", members=snapshot.groups)) == "gina"


def test_no_check_applies_to_system_masters() -> None:
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
    assert denials("D", "root2", bind(), more=root) == ()


def test_a_restriction_is_reported_for_each_subject() -> None:
    two = (*ALICE, Subject("Group", "devs"))
    made = RoleBinding(ObjectMeta(name="b", namespace="web"), MIGRATE, two)
    only = restriction(userrestriction={"users": [], "labels": [{"matchLabels": {"a": "b"}}]})
    more = restriction(grouprestriction={"groups": ["others"]})
    more["metadata"]["name"] = "second"
    assert denials("D", "root", made, more=[only, more]) == (
        Denial(
            key("RoleBinding", "b", "web"),
            "User alice matches none of the RoleBindingRestrictions only, second"
            " (label selectors were not evaluated)",
        ),
        Denial(
            key("RoleBinding", "b", "web"),
            "Group devs matches none of the RoleBindingRestrictions only, second"
            " (label selectors were not evaluated)",
        ),
    )
    group = restriction(userrestriction={"groups": ["devs"]})
    member = {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": "devs"},
        "users": ["alice"],
    }
    assert denials("D", "root", bind(), more=[group, member]) == ()
    assert denials("D", "root", bind(), more=[group]) != ()
