"""Hints about a question name what might be wrong with it."""

from __future__ import annotations

from typing import Any

from conftest import account, binding, group, objects, role, rule, state, user

from rbacguard import Attributes, Snapshot
from rbacguard.queries.hints import hints, unknown_subject_hint
from rbacguard.rbac import Subject
from rbacguard.sources import from_objects

VMIM = "virtualmachineinstancemigrations"

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


def own(*rules: Any) -> Snapshot:
    return from_objects([*objects("A"), role("own", *rules)])


def hints_for(snapshot: Snapshot | None = None, **fields: Any) -> list[str]:
    cluster = snapshot or from_objects([*objects("A"), *MORE])
    verb, resource = fields.pop("verb", "create"), fields.pop("resource", VMIM)
    api_group = fields.pop("api_group", "kubevirt.io")
    all_namespaces = fields.pop("all_namespaces", False)
    unread = fields.pop("unread_groups", ())
    attributes = Attributes(verb=verb, resource=resource, api_group=api_group, **fields)
    return list(hints(cluster, attributes, unread, all_namespaces=all_namespaces))


def test_a_clear_question_has_no_hints() -> None:
    assert hints_for(namespace="payments") == []
    assert hints_for(all_namespaces=True) == []
    assert hints_for(user="alice", namespace="web") == []
    assert hints_for(user="system:serviceaccount:web:gone", namespace="web") == []
    escalate = hints_for(verb="escalate", resource="roles", api_group="", namespace="web")
    in_group = "rules contain it in rbac.authorization.k8s.io"
    assert escalate == [f"no rule in the input contains roles in the core group; {in_group}"]


def test_unknown_verbs_and_resources_are_reported() -> None:
    assert hints_for(verb="Creat", namespace="web") == [
        "no rule in the input contains the verb Creat; did you mean create?"
    ]
    assert hints_for(verb="delet", namespace="web") == [
        "no rule in the input contains the verb delet; did you mean delete?"
    ]
    assert hints_for(own(rule("shine", "*", "bars")), verb="shine", namespace="web") == []
    anywhere = own(rule("get", "*", "bars"), rule("get", "b.io a.io", "foos"))
    assert hints_for(anywhere, resource="bars", namespace="web") == []
    assert hints_for(anywhere, resource="*", api_group="", namespace="web") == []
    others = "rules contain it in a.io, b.io"
    assert hints_for(anywhere, resource="foos", namespace="web") == [
        f"no rule in the input contains foos in API group kubevirt.io; {others}"
    ]
    assert hints_for(resource="foos", api_group="example.com", namespace="web") == [
        "no rule in the input contains foos in API group example.com"
    ]
    found = hints_for(resource="virtualmachines", subresource="migrate", namespace="web")
    target = "virtualmachines/migrate in API group kubevirt.io"
    in_group = "rules contain it in subresources.kubevirt.io"
    assert found == [f"no rule in the input contains {target}; {in_group}"]


def test_an_unknown_namespace_is_reported() -> None:
    assert hints_for(namespace="pay") == ["namespace pay was not found in the input"]
    items = [each for each in objects("A") if each["kind"] != "Namespace"]
    assert hints_for(from_objects(items), namespace="pay") == []


def test_namespaces_where_rolebindings_allow_it_are_reported() -> None:
    cluster = "without a namespace, RoleBindings do not count; they allow it in "
    assert hints_for(user="zed") == [cluster + "web"]
    assert hints_for(user="nina", groups=("ring",)) == [
        "User nina was not found in the input",
        cluster + "batch",
    ]
    assert hints_for(user="frank", verb="deletecollection") == [cluster + "legacy"]
    assert hints_for() == [cluster + "batch, data, legacy, payments, web"]
    anybody = Attributes(verb="create", resource=VMIM, api_group="kubevirt.io")
    assert list(hints(state("A"), anybody)) == hints_for()
    many = [
        *objects("A"),
        *(binding("m", "edit", user("zed"), namespace=f"n{number}") for number in range(7)),
    ]
    assert hints_for(from_objects(many), user="zed") == [cluster + "n0, n1, n2, n3, n4 and 2 more"]


def test_allowed_groups_that_are_not_in_the_input_are_reported() -> None:
    assert hints_for(namespace="web", unread_groups=("ring",)) == [
        "Group ring is allowed, but the members are not in the input"
    ]
    assert hints_for(namespace="web", unread_groups=("ring", "zoo")) == [
        "Groups ring, zoo are allowed, but the members are not in the input"
    ]
    assert hints_for(namespace="web", unread_groups=tuple("abcdef")) == [
        "Groups a, b, c, d, e and 1 more are allowed, but the members are not in the input"
    ]


def test_an_unknown_subject_is_reported() -> None:
    cluster = from_objects([*objects("A"), *MORE])

    def hint(kind: str, name: str, namespace: str = "") -> str:
        return unknown_subject_hint(cluster, Subject(kind, name, namespace))

    # Named by a binding, by a Group, or by a RoleBinding without the namespace of the account.
    assert hint("User", "zed") == hint("User", "dev1") == hint("Group", "ring") == ""
    assert hint("Group", "payments-devs") == hint("ServiceAccount", "bot", "web") == ""
    assert hint("Group", "idle") == hint("ServiceAccount", "idle", "x") == ""
    assert hint("User", "system:admin") == ""
    unknown = " was not found in the input"
    for kind, name, namespace in (
        ("ServiceAccount", "idle", "web"),
        ("ServiceAccount", "bot", "batch"),
        ("User", "ring", ""),
    ):
        assert hint(kind, name, namespace) == f"{Subject(kind, name, namespace)}{unknown}"
    for kind, name, near in (
        ("User", "zoey3", "zoey2"),
        ("User", "DUP", "Dup"),
        ("User", "Zed", "zed"),
        ("Group", "payment-devs", "payments-devs"),
    ):
        assert hint(kind, name) == f"{kind} {name}{unknown}; did you mean {kind} {near}?"
    assert hint("ServiceAccount", "bots", "web") == (
        f"ServiceAccount web/bots{unknown}; did you mean ServiceAccount web/bot?"
    )
