"""What somebody means who asks by hand, and what is said of a question that is odd."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import account, binding, group, objects, role, rule, state, user

from rbacguard import Attributes, Snapshot
from rbacguard.errors import QuestionError
from rbacguard.queries.request import meant, remarks, unnamed
from rbacguard.rbac import Subject
from rbacguard.sources import from_objects

VMIM = "virtualmachineinstancemigrations"


def asked(resource: str, subresource: str = "", **more: Any) -> Attributes:
    fields = {"verb": "get", "resource": resource, "subresource": subresource}
    return Attributes(**{**fields, **more})


def names(text: str, subresource: str = "", snapshot: Snapshot | None = None) -> tuple[str, str]:
    found = meant(snapshot or state("A"), asked(text, subresource))
    assert found.subresource == subresource
    return found.resource, found.api_group


@pytest.mark.parametrize(
    ("text", "subresource", "resource", "group"),
    [
        (VMIM, "", VMIM, "kubevirt.io"),
        ("vmim", "", VMIM, "kubevirt.io"),
        ("VMIMs", "", VMIM, "kubevirt.io"),
        ("VirtualMachineInstanceMigration", "", VMIM, "kubevirt.io"),
        (f"{VMIM}.kubevirt.io", "", VMIM, "kubevirt.io"),
        ("vmim.kubevirt.io", "", VMIM, "kubevirt.io"),
        ("vmim.example.com", "", "vmim", "example.com"),
        ("vmim.", "", "vmim", ""),
        ("vm", "", "virtualmachines", "kubevirt.io"),
        ("vm", "migrate", "virtualmachines", "subresources.kubevirt.io"),
        ("vm.kubevirt.io", "migrate", "virtualmachines", "kubevirt.io"),
        ("vm.subresources.kubevirt.io", "migrate", "virtualmachines", "subresources.kubevirt.io"),
        ("virtualmachines.kubevirt.io", "migrate", "virtualmachines", "kubevirt.io"),
        ("vmi", "evacuate/cancel", "virtualmachineinstances", "subresources.kubevirt.io"),
        ("vm", "status", "virtualmachines", "kubevirt.io"),
        ("vmim", "status", VMIM, "kubevirt.io"),
        ("migrationpolicy", "", "migrationpolicies", "migrations.kubevirt.io"),
        ("pods", "", "pods", ""),
        ("pods", "eviction", "pods", ""),
        ("pods", "nothing-of-that-name", "pods", ""),
        ("pods.metrics.k8s.io", "", "pods", "metrics.k8s.io"),
        ("deployments", "", "deployments", "apps"),
        ("deployments", "scale", "deployments", "apps"),
        ("roles", "", "roles", "rbac.authorization.k8s.io"),
        ("foos.example.com", "", "foos", "example.com"),
        ("*", "", "*", ""),
    ],
)
def test_a_resource_is_found_as_kubectl_would(
    text: str, subresource: str, resource: str, group: str
) -> None:
    assert names(text, subresource) == (resource, group)


def test_a_path_is_asked_as_it_is() -> None:
    path = Attributes(verb="get", path="/healthz")
    assert meant(state("A"), path) == path
    assert list(remarks(state("A"), path)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pod", "'pod': no rule in the input names such a resource; did you mean pods"),
        ("deploymnts", "did you mean deployments.apps"),
        ("xyzzy", "'xyzzy': no rule in the input names such a resource (xyzzy.GROUP"),
    ],
)
def test_what_no_rule_names_is_not_asked(text: str, said: str) -> None:
    with pytest.raises(QuestionError) as error:
        names(text)
    assert said in str(error.value)
    assert "in the core group" in str(error.value)


def own(*rules: Any) -> Snapshot:
    return from_objects([*objects("A"), role("own", *rules)])


def refused(text: str, snapshot: Snapshot) -> str:
    with pytest.raises(QuestionError) as error:
        names(text, snapshot=snapshot)
    return str(error.value).partition(" (")[0]


def test_what_may_be_meant_is_told_as_it_can_be_asked() -> None:
    start = "'abcd': no rule in the input names such a resource; did you mean "
    many = own(rule("get", "core x.io", "abcd1"), rule("get", "x.io", "abcd2 abcd3 abcd4 abcd/5"))
    near = "abcd4.x.io or abcd3.x.io or abcd2.x.io?"
    assert refused("abcd", many) == start + near
    assert refused("abcd", own(rule("get", "core x.io", "abcd1"))) == start + "abcd1?"
    assert refused("abcd", own(rule("get", "*", "abcd1"))) == start + "abcd1?"
    assert refused("abcd", own(rule("get", "", "abcd1"))) == start + "abcd1?"


def test_that_roles_are_missing_is_said_where_no_rule_names_a_resource() -> None:
    items = [each for each in objects("A") if each["kind"] != "ClusterRole"]
    told = refused("daemonsets", from_objects(items))
    assert told == (
        "'daemonsets': no rule in the input names such a resource, and not all roles were read"
    )
    assert names("vmim", snapshot=from_objects(items)) == (VMIM, "kubevirt.io")


def test_a_subresource_may_be_in_a_group_of_its_own() -> None:
    rules = [rule("get", "a.io", "foos"), rule("update", "sub.a.io", "foos/run")]
    assert names("foos", snapshot=own(*rules)) == ("foos", "a.io")
    assert names("foos", "run", own(*rules)) == ("foos", "sub.a.io")
    assert names("foos", "stop", own(*rules)) == ("foos", "a.io")
    assert names("olds", snapshot=own(rule("get", "extensions", "olds"))) == ("olds", "extensions")


def test_what_is_in_several_groups_is_not_guessed() -> None:
    rules = [rule("get", "b.example.com a.example.com", "foos"), rule("get", "*", "bars")]
    snapshot = from_objects([*objects("A"), role("own", *rules)])
    with pytest.raises(QuestionError) as error:
        names("foos", snapshot=snapshot)
    assert str(error.value).endswith("give foos.a.example.com or foos.b.example.com")
    assert names("foos.b.example.com", snapshot=snapshot) == ("foos", "b.example.com")
    # A rule of all groups tells of none.
    with pytest.raises(QuestionError, match="no rule in the input names such a resource"):
        names("bars", snapshot=snapshot)


MORE = [
    {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": "idle"},
        "users": ["Dup", "dup", "zoey1", "zoey2"],
    },
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "idle", "namespace": "x"}},
    binding("others", "edit", user("zed"), account("bot"), namespace="web"),
    binding("theirs", "edit", group("ring"), namespace="batch"),
]


def said(snapshot: Snapshot | None = None, **fields: Any) -> list[str]:
    cluster = snapshot or from_objects([*objects("A"), *MORE])
    verb, resource = fields.pop("verb", "create"), fields.pop("resource", VMIM)
    api_group = fields.pop("api_group", "kubevirt.io")
    everywhere = fields.pop("everywhere", False)
    unread = fields.pop("unread_groups", ())
    attributes = Attributes(verb=verb, resource=resource, api_group=api_group, **fields)
    return list(remarks(cluster, attributes, unread, everywhere=everywhere))


def test_nothing_is_said_of_a_question_that_is_clear() -> None:
    assert said(namespace="payments") == []
    assert said(everywhere=True) == []
    assert said(user="alice", namespace="web") == []
    assert said(user="system:serviceaccount:web:gone", namespace="web") == []
    escalate = said(verb="escalate", resource="roles", api_group="", namespace="web")
    in_group = "they name it in rbac.authorization.k8s.io"
    assert escalate == [f"no rule in the input names roles in the core group; {in_group}"]


def test_words_that_no_rule_names_are_told() -> None:
    assert said(verb="Creat", namespace="web") == [
        "no rule in the input names the verb Creat; did you mean create?"
    ]
    assert said(verb="delet", namespace="web") == [
        "no rule in the input names the verb delet; did you mean delete?"
    ]
    assert said(own(rule("shine", "*", "bars")), verb="shine", namespace="web") == []
    anywhere = own(rule("get", "*", "bars"), rule("get", "b.io a.io", "foos"))
    assert said(anywhere, resource="bars", namespace="web") == []
    assert said(anywhere, resource="*", api_group="", namespace="web") == []
    assert said(anywhere, resource="foos", namespace="web") == [
        "no rule in the input names foos in API group kubevirt.io; they name it in a.io, b.io"
    ]
    assert said(resource="foos", api_group="example.com", namespace="web") == [
        "no rule in the input names foos in API group example.com"
    ]
    found = said(resource="virtualmachines", subresource="migrate", namespace="web")
    target = "virtualmachines/migrate in API group kubevirt.io"
    in_group = "they name it in subresources.kubevirt.io"
    assert found == [f"no rule in the input names {target}; {in_group}"]


def test_a_namespace_that_is_not_there_is_told() -> None:
    assert said(namespace="pay") == ["namespace pay is not in the input"]
    items = [each for each in objects("A") if each["kind"] != "Namespace"]
    assert said(from_objects(items), namespace="pay") == []


def test_where_rolebindings_allow_it_is_told_where_none_counts() -> None:
    cluster = "without a namespace only ClusterRoleBindings count; others allow it in "
    assert said(user="zed") == [cluster + "web"]
    assert said(user="nina", groups=("ring",)) == [
        "the input names no User nina",
        cluster + "batch",
    ]
    assert said(user="frank", verb="deletecollection") == [cluster + "legacy"]
    assert said() == [cluster + "batch, data, legacy, payments, web"]
    anybody = Attributes(verb="create", resource=VMIM, api_group="kubevirt.io")
    assert list(remarks(state("A"), anybody)) == said()
    many = [
        *objects("A"),
        *(binding("m", "edit", user("zed"), namespace=f"n{number}") for number in range(7)),
    ]
    assert said(from_objects(many), user="zed") == [cluster + "n0, n1, n2, n3, n4 and 2 more"]


def test_groups_that_are_not_in_the_input_are_told() -> None:
    assert said(namespace="web", unread_groups=("ring",)) == [
        "who is in Group ring, which may do it, is not in the input"
    ]
    assert said(namespace="web", unread_groups=("ring", "zoo")) == [
        "who is in Groups ring, zoo, which may do it, is not in the input"
    ]
    assert said(namespace="web", unread_groups=tuple("abcdef")) == [
        "who is in Groups a, b, c, d, e and 1 more, which may do it, is not in the input"
    ]


def test_somebody_whom_nothing_names_is_told() -> None:
    cluster = from_objects([*objects("A"), *MORE])

    def of(kind: str, name: str, namespace: str = "") -> list[str]:
        return list(unnamed(cluster, Subject(kind, name, namespace)))

    # By a binding, by a group, as an account that a RoleBinding names without its namespace.
    assert of("User", "zed") == of("User", "dev1") == of("Group", "ring") == []
    assert of("Group", "payments-devs") == of("ServiceAccount", "bot", "web") == []
    assert of("Group", "idle") == of("ServiceAccount", "idle", "x") == []
    assert of("ServiceAccount", "idle", "web") == ["the input names no ServiceAccount web/idle"]
    assert of("User", "zoey3") == ["the input names no User zoey3; did you mean User zoey2?"]
    assert of("User", "DUP") == ["the input names no User DUP; did you mean User Dup?"]
    assert of("User", "system:admin") == []
    assert of("User", "Zed") == ["the input names no User Zed; did you mean User zed?"]
    assert of("User", "ring") == ["the input names no User ring"]
    assert of("Group", "payment-devs") == [
        "the input names no Group payment-devs; did you mean Group payments-devs?"
    ]
    assert of("ServiceAccount", "bot", "batch") == ["the input names no ServiceAccount batch/bot"]
    assert of("ServiceAccount", "bots", "web") == [
        "the input names no ServiceAccount web/bots; did you mean ServiceAccount web/bot?"
    ]
