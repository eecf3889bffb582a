"""What hinders the identity that applies is told before it tries."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
from conftest import DATA, account, binding, objects, role, rule, state, user

from rbacguard import Snapshot
from rbacguard.rbac import (
    ClusterRole,
    ClusterRoleBinding,
    ObjectMeta,
    PolicyRule,
    RoleBinding,
    RoleRef,
    Subject,
)
from rbacguard.update.preflight import Obstacle, find_applier, obstacles
from rbacguard.update.temporary import temporary_role

MIGRATE = RoleRef("ClusterRole", "kubevirt.io:migrate")
RBAC = "rbac.authorization.k8s.io"
ALICE = (Subject("User", "alice"),)


def bind(namespace: str = "web", name: str = "b", reference: RoleRef = MIGRATE) -> Any:
    metadata = ObjectMeta(name=name, namespace=namespace)
    make = RoleBinding if namespace else ClusterRoleBinding
    return make(metadata, reference, ALICE)


def hindered(letter: str, who: str, *values: Any, more: Any = ()) -> tuple[Obstacle, ...]:
    snapshot = Snapshot.from_objects([*objects(letter), *more])
    return obstacles(snapshot, values, find_applier(who, snapshot))


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
    obstacles(before, [temporary_role("admin"), bind()], find_applier("root", before))
    assert "kubevirt.io:upgrademigrate" not in before.cluster_roles
