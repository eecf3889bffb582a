"""Ways to get RBAC wrong, one test each, with what should pass beside what should fail."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import account, binding, group, role, rule, selecting, user

from rbacguard import Attributes, PolicyRule, Subject
from rbacguard.rbac import covers, rule_allows
from rbacguard.rbac.aggregation import ResolvedRoles
from rbacguard.rbac.authorizer import Authorizer
from rbacguard.sources import from_objects

VMIM: dict[str, Any] = {"api_group": "kubevirt.io", "resource": "virtualmachineinstancemigrations"}
MIGRATE = {
    "api_group": "subresources.kubevirt.io",
    "resource": "virtualmachines",
    "subresource": "migrate",
}


def allowed(objects: list[dict[str, Any]], who: str = "alice", **asked: Any) -> bool:
    mode = asked.pop("aggregate", "as-recorded")
    snapshot = from_objects(objects, aggregate=mode)
    return snapshot.authorizer.authorize(Attributes(user=who, **asked)).allowed


def matches(written: dict[str, Any], **asked: Any) -> bool:
    fields = {
        "verbs": written.get("verbs", ()),
        "api_groups": written.get("apiGroups", ()),
        "resources": written.get("resources", ()),
        "resource_names": written.get("resourceNames", ()),
        "non_resource_urls": written.get("nonResourceURLs", ()),
    }
    return rule_allows(
        Attributes(**asked), PolicyRule(**{name: tuple(value) for name, value in fields.items()})
    )


def test_one_rule_must_match_in_every_part() -> None:
    rules = [
        rule("create", "kubevirt.io", "virtualmachines"),
        rule("get", "kubevirt.io", "virtualmachineinstancemigrations"),
    ]
    objects = [role("r", *rules), binding("b", "r", user("alice"))]
    assert allowed(objects, verb="get", **VMIM)
    assert not allowed(objects, verb="create", **VMIM)


@pytest.mark.parametrize(
    "written",
    [
        rule("GET", "core", "pods"),
        rule("get*", "core", "pods"),
        rule("get", "core", "Pods"),
        rule("get", "core", "pod"),
        rule("get", "kube*", "pods"),
        {"verbs": ["get"], "resources": ["pods"]},
        {"verbs": ["get"], "apiGroups": [], "resources": ["pods"]},
    ],
)
def test_comparisons_are_exact(written: dict[str, Any]) -> None:
    assert not matches(written, verb="get", resource="pods")
    assert matches(rule("get", "core", "pods"), verb="get", resource="pods")


@pytest.mark.parametrize("verb", ["bind", "escalate", "impersonate", "deletecollection", "use"])
def test_the_verb_star_covers_every_verb(verb: str) -> None:
    assert matches(rule("*", "core", "pods"), verb=verb, resource="pods")


def test_the_core_group_is_the_empty_name_and_star_is_all() -> None:
    assert not matches(rule("get", "core", "pods"), verb="get", api_group="apps", resource="pods")
    assert matches(rule("get", "*", "pods"), verb="get", api_group="apps", resource="pods")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("*", True),
        ("virtualmachines/migrate", True),
        ("*/migrate", True),
        ("virtualmachines", False),
        ("virtualmachines/*", False),
        ("*/*", False),
        ("migrate", False),
        ("*/evacuate", False),
    ],
)
def test_subresources_match_exactly_or_by_star_slash(written: str, expected: bool) -> None:
    found = matches(rule("update", "subresources.kubevirt.io", written), verb="update", **MIGRATE)
    assert expected == found


def test_a_literal_star_slash_star_needs_a_subresource_called_star() -> None:
    written = rule("get", "core", "*/*")
    assert matches(written, verb="get", resource="pods", subresource="*")
    assert not matches(written, verb="get", resource="pods", subresource="log")


def test_star_slash_needs_a_subresource_in_the_request() -> None:
    assert not matches(rule("get", "core", "*/"), verb="get", resource="pods")


def test_a_subresource_of_two_parts_is_one_name() -> None:
    asked = {"verb": "update", **MIGRATE, "subresource": "evacuate/cancel"}
    group_name = "subresources.kubevirt.io"
    assert matches(rule("update", group_name, "virtualmachines/evacuate/cancel"), **asked)
    assert matches(rule("update", group_name, "*/evacuate/cancel"), **asked)
    assert not matches(rule("update", group_name, "virtualmachines/evacuate"), **asked)
    assert not matches(rule("update", group_name, "*/cancel"), **asked)


def test_the_same_plural_in_another_group_is_another_resource() -> None:
    written = rule("update", "kubevirt.io", "virtualmachines/migrate")
    assert not matches(written, verb="update", **MIGRATE)


def test_resource_names_limit_to_named_requests() -> None:
    named = rule("get delete", "core", "pods", resourceNames=["a"])
    assert matches(named, verb="get", resource="pods", name="a")
    assert not matches(named, verb="get", resource="pods", name="b")
    assert not matches(named, verb="delete", resource="pods")
    assert matches(
        rule("get", "core", "pods", resourceNames=[]), verb="get", resource="pods", name="b"
    )


def test_an_empty_resource_name_matches_exactly_the_nameless_request() -> None:
    written = rule("get", "core", "pods", resourceNames=[""])
    assert matches(written, verb="get", resource="pods")
    assert not matches(written, verb="get", resource="pods", name="a")


def test_migrate_with_a_resource_name_is_for_that_machine_only() -> None:
    written = rule(
        "update", "subresources.kubevirt.io", "virtualmachines/migrate", resourceNames=["vm-1"]
    )
    assert matches(written, verb="update", **MIGRATE, name="vm-1")
    assert not matches(written, verb="update", **MIGRATE, name="vm-2")


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("*", "/healthz", True),
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/ping", False),
        ("/healthz/*", "/healthz/ping", True),
        ("/healthz/*", "/healthz", False),
        ("/healthz**", "/healthz/ping", True),
        ("/h*z", "/healthz", False),
        ("/h*z", "/h*z", True),
        ("/healthX*", "/health", False),
    ],
)
def test_urls_match_exactly_or_by_a_trailing_star(url: str, path: str, expected: bool) -> None:
    assert expected == matches({"verbs": ["get"], "nonResourceURLs": [url]}, verb="get", path=path)


def test_url_rules_do_not_match_resources_nor_the_reverse() -> None:
    both = {"verbs": ["get"], "nonResourceURLs": ["*"]}
    assert not matches(both, verb="get", resource="pods")
    assert not matches(rule("get", "*", "*"), verb="get", path="/healthz")


def test_url_rules_count_only_by_a_cluster_role_binding() -> None:
    urls = role("urls", {"verbs": ["get"], "nonResourceURLs": ["/metrics"]})
    by_role_binding = [urls, binding("b", "urls", user("alice"), namespace="web")]
    assert not allowed(by_role_binding, verb="get", path="/metrics")
    assert allowed([urls, binding("b", "urls", user("alice"))], verb="get", path="/metrics")


@pytest.mark.parametrize("nothing", [{"rules": None}, {"rules": []}, {}])
def test_roles_without_rules_and_bindings_without_subjects_grant_nothing(
    nothing: dict[str, Any],
) -> None:
    empty = {k: v for k, v in role("r").items() if k != "rules"} | nothing
    bound = binding("b", "r", user("alice"))
    nobody = binding("n", "r") | {"subjects": None}
    assert not allowed([empty, bound, nobody], verb="get", resource="pods")


def test_a_role_binding_grants_in_its_namespace_only() -> None:
    objects = [
        role("r", rule("create", "kubevirt.io", "*")),
        binding("b", "r", user("alice"), namespace="web"),
    ]
    assert allowed(objects, verb="create", **VMIM, namespace="web")
    assert not allowed(objects, verb="create", **VMIM, namespace="db")
    assert not allowed(objects, verb="create", **VMIM)


def test_a_role_is_looked_up_in_the_bindings_namespace() -> None:
    mover = role("r", rule("create", "kubevirt.io", "*"), kind="Role", namespace="db")
    in_web = binding("b", "r", user("alice"), namespace="web", role_kind="Role")
    in_db = binding("b", "r", user("alice"), namespace="db", role_kind="Role")
    assert not allowed([mover, in_web], verb="create", **VMIM, namespace="web")
    assert not allowed([mover, in_web], verb="create", **VMIM, namespace="db")
    assert allowed([mover, in_db], verb="create", **VMIM, namespace="db")


def test_the_kind_of_role_ref_decides_between_roles_of_one_name() -> None:
    objects = [
        role("r", rule("get", "core", "pods")),
        role("r", rule("create", "kubevirt.io", "*"), kind="Role", namespace="web"),
        binding("b", "r", user("alice"), namespace="web"),
    ]
    assert not allowed(objects, verb="create", **VMIM, namespace="web")
    assert allowed(objects, verb="get", resource="pods", namespace="web")


def test_a_cluster_role_binding_to_a_role_grants_nothing() -> None:
    objects = [
        role("r", rule("*", "*", "*"), kind="Role", namespace="web"),
        binding("b", "r", user("alice"), role_kind="Role"),
    ]
    assert not allowed(objects, verb="get", resource="pods", namespace="web")
    assert not allowed(objects, verb="get", resource="pods")


def test_a_named_namespace_may_be_granted_by_a_role_binding_in_it() -> None:
    objects = [
        role("r", rule("get", "core", "namespaces")),
        binding("b", "r", user("alice"), namespace="web"),
    ]
    assert allowed(objects, verb="get", resource="namespaces", name="web", namespace="web")


def test_a_missing_role_grants_nothing_and_other_bindings_still_count() -> None:
    objects = [
        binding("gone", "was-deleted", user("alice"), namespace="web"),
        role("r", rule("create", "kubevirt.io", "*")),
        binding("b", "r", user("bob"), namespace="web"),
    ]
    assert not allowed(objects, verb="create", **VMIM, namespace="web")
    assert allowed(objects, who="bob", verb="create", **VMIM, namespace="web")
    decision = from_objects(objects).authorizer.authorize(
        Attributes(user="alice", verb="create", **VMIM, namespace="web")
    )
    assert [str(key) for key in decision.unread] == ["ClusterRole was-deleted"]


def test_a_refusal_names_the_roles_of_the_asker_that_were_not_read() -> None:
    snapshot = from_objects(
        [
            role("there", rule("get", "core", "nodes")),
            binding("his", "gone", user("alice"), namespace="web"),
            binding("bots", "lost", account("bot"), role_kind="Role", namespace="web"),
            binding("there", "there", user("alice"), namespace="web"),
            binding("others", "away", user("bob"), namespace="web"),
            binding("wide", "far", group("devs")),
            binding("odd", "odd", {"kind": "Robot", "name": "alice"}, namespace="web"),
        ]
    )

    def unread(who: str, *groups: str, namespace: str = "web") -> list[str]:
        asked = Attributes(
            user=who, groups=groups, verb="get", resource="pods", namespace=namespace
        )
        decision = snapshot.authorizer.authorize(asked)
        assert (decision.allowed, decision.reason) == (False, "no RBAC rule allows it")
        return [str(each) for each in decision.unread]

    assert unread("alice") == ["ClusterRole gone"]
    assert unread("alice", "devs") == ["ClusterRole far", "ClusterRole gone"]
    assert unread("system:serviceaccount:web:bot") == ["Role web/lost"]
    assert unread("system:serviceaccount:data:bot") == []
    assert unread("alice", namespace="") == []
    assert unread("nobody") == []


def test_a_request_for_the_cluster_is_not_granted_by_an_empty_namespace() -> None:
    authorizer = from_objects(
        [role("get", rule("get", "core", "pods")), binding("b", "get", user("alice"))]
    ).authorizer
    asked = Attributes(user="alice", verb="get", resource="pods")
    # Once by the cluster's binding, not once for each scope that is looked into.
    assert len(authorizer.authorize(asked).grants) == 1


def test_a_role_that_selects_no_other_is_the_source_of_its_rules() -> None:
    snapshot = from_objects(
        [role("get", rule("get", "core", "pods")), binding("b", "get", user("alice"))]
    )
    bare = Authorizer(snapshot.bindings_in, ResolvedRoles(snapshot.rules, {}))
    asked = Attributes(user="alice", verb="get", resource="pods")
    (grant,) = bare.authorize(asked).grants
    assert [str(each) for each in grant.role_chain] == ["ClusterRole get"]


def test_the_api_group_of_a_subject_makes_no_second_user() -> None:
    without = {"kind": "User", "name": "alice"}
    objects = [
        role("r", rule("get", "core", "pods")),
        binding("a", "r", user("alice"), namespace="web"),
        binding("b", "r", without, namespace="web"),
    ]
    subjects = from_objects(objects).authorizer.allowed_subjects(
        Attributes(verb="get", resource="pods", namespace="web")
    )
    assert subjects == [Subject("Group", "system:masters"), Subject("User", "alice")]


@pytest.mark.parametrize("kind", ["user", "Users", "SystemUser", ""])
def test_other_kinds_of_subjects_never_apply(kind: str) -> None:
    objects = [
        role("r", rule("get", "core", "pods")),
        binding("b", "r", {"kind": kind, "name": "alice"}),
    ]
    assert not allowed(objects, verb="get", resource="pods")


def test_nobody_is_listed_whom_no_user_can_be_and_a_person_has_no_namespace() -> None:
    objects = [
        role("r", rule("get", "core", "pods")),
        binding(
            "b",
            "r",
            {"kind": "User", "name": "alice", "namespace": "web"},
            {"kind": "Group", "name": "devs", "namespace": "web"},
            {"kind": "Robot", "name": "r2"},
            user(""),
            account("bot"),
            account("bot", "web"),
        ),
    ]
    asked = Attributes(verb="get", resource="pods")
    authorizer = from_objects(objects).authorizer
    wanted = [
        Subject("User", "alice"),
        Subject("Group", "devs"),
        Subject("ServiceAccount", "bot", "web"),
    ]
    assert authorizer.allowed_subjects(asked)[1:] == wanted
    assert [grant.subject for grant in authorizer.grants(asked)] == wanted


def test_a_service_account_without_namespace_is_the_bindings_own() -> None:
    granting = role("r", rule("get", "core", "pods"))
    in_web = binding("b", "r", account("bot"), namespace="web")
    everywhere = binding("b", "r", account("bot"))
    who = "system:serviceaccount:web:bot"
    assert allowed([granting, in_web], who=who, verb="get", resource="pods", namespace="web")
    assert not allowed([granting, everywhere], who=who, verb="get", resource="pods")


def test_a_service_account_is_also_a_user_and_in_its_groups() -> None:
    granting = role("r", rule("get", "core", "pods"))
    who = "system:serviceaccount:web:bot"
    asked = {"verb": "get", "resource": "pods", "namespace": "db"}
    as_user = binding("b", "r", user(who), namespace="db")
    as_account = binding("b", "r", account("bot", "web"), namespace="db")
    as_group = binding("b", "r", group("system:serviceaccounts:web"), namespace="db")
    assert allowed([granting, as_user], who=who, **asked)
    assert allowed([granting, as_account], who=who, **asked)
    assert not allowed([granting, as_group], who=who, **asked)
    assert allowed([granting, as_group], who=who, groups=("system:serviceaccounts:web",), **asked)
    assert not allowed([granting, as_account], who="system:serviceaccount:db:bot", **asked)


def test_system_masters_is_allowed_before_rbac_is_asked() -> None:
    snapshot = from_objects([role("r")])
    decision = snapshot.authorizer.authorize(
        Attributes(user="root", groups=("system:masters",), verb="create", **VMIM)
    )
    assert decision.allowed
    assert decision.grants == ()
    assert decision.reason == "allowed to Group system:masters before RBAC is asked"


def test_the_controllers_result_replaces_what_is_written() -> None:
    objects = [
        role("sum", rule("get", "core", "secrets"), aggregationRule=selecting({"to": "sum"})),
        role("part", rule("get", "core", "pods"), labels={"to": "sum"}),
        binding("b", "sum", user("alice")),
    ]
    asked = {"aggregate": "recompute", "verb": "get"}
    assert allowed(objects, resource="pods", **asked)
    assert not allowed(objects, resource="secrets", **asked)
    assert allowed(objects, resource="secrets", verb="get")
    assert set(from_objects(objects).drift) == {"sum"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "tier", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "tier", "operator": "In", "values": ["b"]}, False),
        ({"key": "tier", "operator": "NotIn", "values": ["b"]}, True),
        ({"key": "other", "operator": "NotIn", "values": ["b"]}, True),
        ({"key": "tier", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "other", "operator": "DoesNotExist"}, True),
        ({"key": "tier", "operator": "DoesNotExist"}, False),
    ],
)
def test_selectors_take_expressions(expression: dict[str, Any], expected: bool) -> None:
    objects = [
        role("sum", aggregationRule={"clusterRoleSelectors": [{"matchExpressions": [expression]}]}),
        role("part", rule("get", "core", "pods"), labels={"tier": "a"}),
        binding("b", "sum", user("alice")),
    ]
    assert expected == allowed(objects, aggregate="recompute", verb="get", resource="pods")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (
            {"key": "tier", "operator": "Like", "values": ["a"]},
            "operator 'Like', expected one of In, NotIn, Exists, DoesNotExist",
        ),
        ({"key": "tier", "operator": "In"}, "operator In with 0 values: at least one value"),
        ({"key": "tier", "operator": "NotIn"}, "operator NotIn with 0 values: at least one value"),
        (
            {"key": "tier", "operator": "Exists", "values": ["a"]},
            "operator Exists with 1 values: none",
        ),
        (
            {"key": "tier", "operator": "DoesNotExist", "values": ["a", "b"]},
            "operator DoesNotExist with 2 values: none",
        ),
    ],
)
def test_a_selector_that_the_controller_refuses_leaves_the_role_alone(
    expression: dict[str, Any], reason: str
) -> None:
    objects = [
        role(
            "sum",
            rule("get", "core", "secrets"),
            aggregationRule={"clusterRoleSelectors": [{"matchExpressions": [expression]}]},
        ),
        binding("b", "sum", user("alice")),
    ]
    assert allowed(objects, aggregate="recompute", verb="get", resource="secrets")
    assert from_objects(objects).aggregation.invalid == {"sum": reason}


def test_several_selectors_are_ored_and_labels_of_one_are_anded() -> None:
    parts = [
        role("a", rule("get", "core", "pods"), labels={"x": "1"}),
        role("b", rule("get", "core", "nodes"), labels={"y": "1"}),
        role("c", rule("get", "core", "events"), labels={"x": "1", "z": "1"}),
    ]
    either = role("sum", aggregationRule=selecting({"x": "1"}, {"y": "1"}))
    both = role("sum", aggregationRule=selecting({"x": "1", "z": "1"}))
    bound = binding("b", "sum", user("alice"))
    asked = {"aggregate": "recompute", "verb": "get"}
    assert allowed([*parts, either, bound], resource="nodes", **asked)
    assert not allowed([*parts, both, bound], resource="pods", **asked)
    assert allowed([*parts, both, bound], resource="events", **asked)


def test_an_empty_selector_selects_all_but_the_role_itself() -> None:
    objects = [
        role("sum", rule("get", "core", "secrets"), aggregationRule={"clusterRoleSelectors": [{}]}),
        role("part", rule("get", "core", "pods")),
        binding("b", "sum", user("alice")),
    ]
    assert allowed(objects, aggregate="recompute", verb="get", resource="pods")
    assert not allowed(objects, aggregate="recompute", verb="get", resource="secrets")


@pytest.mark.parametrize("value", ["True", "yes", "1", "", "false"])
def test_only_the_label_value_true_aggregates(value: str) -> None:
    label = "rbac.authorization.k8s.io/aggregate-to-admin"
    objects = [
        role("admin", aggregationRule=selecting({label: "true"})),
        role("part", rule("get", "core", "pods"), labels={label: value}),
        binding("b", "admin", user("alice")),
    ]
    assert not allowed(objects, aggregate="recompute", verb="get", resource="pods")


def test_chains_are_followed_to_the_end_in_any_order() -> None:
    chain = [
        role("c3", aggregationRule=selecting({"to": "c3"})),
        role("c2", labels={"to": "c3"}, aggregationRule=selecting({"to": "c2"})),
        role("c1", labels={"to": "c2"}, aggregationRule=selecting({"to": "c1"})),
        role("c0", rule("get", "core", "pods"), labels={"to": "c1"}),
        binding("b", "c3", user("alice")),
    ]
    for objects in (chain, chain[::-1]):
        snapshot = from_objects(objects, aggregate="recompute")
        decision = snapshot.authorizer.authorize(
            Attributes(user="alice", verb="get", resource="pods")
        )
        assert [role.name for role in decision.grants[0].role_chain] == ["c3", "c2", "c1", "c0"]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_roles_that_select_each_other_never_lose_a_rule(size: int) -> None:
    ring = [
        role(
            f"r{i}",
            *([rule("get", "core", "pods")] if i == 1 else []),
            labels={"ring": str(i)},
            aggregationRule=selecting({"ring": str((i + 1) % size)}),
        )
        for i in range(size)
    ]
    snapshot = from_objects(ring, aggregate="recompute")
    assert snapshot.aggregation.cycles == (tuple(f"r{i}" for i in range(size)),)
    # Who is only taken up by the ring is no part of it.
    below = role("below", labels={"ring": "1"}, aggregationRule=selecting({"no": "such"}))
    assert from_objects([*ring, below]).aggregation.cycles == snapshot.aggregation.cycles
    source = role("s", rule("get", "core", "nodes"), labels={"ring": "0"})
    fed = from_objects([*ring, source], aggregate="recompute")
    for i in range(size):
        found = {r for rules in fed.aggregation.rules[f"r{i}"] for r in rules.resources}
        assert "nodes" in found


@pytest.mark.parametrize(
    ("owner", "wanted", "expected"),
    [
        (rule("*", "*", "*"), rule("get", "apps", "deployments"), True),
        (rule("get list", "core", "pods"), rule("*", "core", "pods"), False),
        (rule("*", "core", "pods"), rule("*", "core", "pods"), True),
        (rule("get", "core", "pods", resourceNames=["a"]), rule("get", "core", "pods"), False),
        (rule("get", "core", "pods"), rule("get", "core", "pods", resourceNames=["a"]), True),
        (
            rule("get", "core", "pods", resourceNames=["a", "b"]),
            rule("get", "core", "pods", resourceNames=["b"]),
            True,
        ),
        (
            rule("get", "core", "pods", resourceNames=["a"]),
            rule("get", "core", "pods", resourceNames=["b"]),
            False,
        ),
        (rule("get", "core", "*/log"), rule("get", "core", "pods/log"), True),
        (rule("get", "core", "pods/*"), rule("get", "core", "pods/log"), False),
        (rule("get", "core", "pods"), rule("get", "core apps", "pods"), False),
    ],
)
def test_covers_goes_by_atoms(
    owner: dict[str, Any], wanted: dict[str, Any], expected: bool
) -> None:
    def made(written: dict[str, Any]) -> PolicyRule:
        return PolicyRule(
            tuple(written["verbs"]),
            tuple(written["apiGroups"]),
            tuple(written["resources"]),
            tuple(written.get("resourceNames", ())),
        )

    assert expected == covers([made(owner)], [made(wanted)])[0]


def test_covers_needs_one_owner_rule_for_each_atom_but_not_for_the_whole() -> None:
    halves = [
        PolicyRule(("get",), ("",), ("pods",)),
        PolicyRule(("list",), ("",), ("pods",)),
    ]
    whole = PolicyRule(("get", "list"), ("",), ("pods",))
    assert covers(halves, [whole]) == (True, ())
    missing = PolicyRule(("watch",), ("",), ("pods",))
    assert covers(halves, [whole, missing]) == (False, (missing,))


def test_covers_knows_urls() -> None:
    owner = PolicyRule(("get",), non_resource_urls=("/api/*",))
    assert covers([owner], [PolicyRule(("get",), non_resource_urls=("/api/v1",))])[0]
    assert not covers([owner], [PolicyRule(("get",), non_resource_urls=("/api",))])[0]
    other = PolicyRule(("post",), non_resource_urls=("/api/v1",))
    assert covers([owner], [other]) == (False, (other,))
    odd = PolicyRule(("get",), non_resource_urls=("/apiX*",))
    assert not covers([odd], [PolicyRule(("get",), non_resource_urls=("/api",))])[0]
    assert covers([PolicyRule(("get",), non_resource_urls=("*",))], [owner])[0]


def test_covers_takes_all_after_the_first_slash_for_the_subresource() -> None:
    nested = PolicyRule(("get",), ("",), ("pods/a/b",))
    assert covers([PolicyRule(("get",), ("",), ("*/a/b",))], [nested])[0]
    assert not covers([PolicyRule(("get",), ("",), ("*/b",))], [nested])[0]


def test_a_request_is_for_a_path_or_a_resource() -> None:
    with pytest.raises(ValueError, match="not for both"):
        Attributes(verb="get", path="/healthz", resource="pods")
    for field in ("resource", "subresource", "api_group", "namespace"):
        both: dict[str, Any] = {"path": "/healthz", field: "a"}
        with pytest.raises(ValueError, match=r"^a request is for .*, not for both$"):
            Attributes(verb="get", **both)
    assert Attributes(verb="get", path="/healthz", name="a").path == "/healthz"
    with pytest.raises(TypeError, match="groups"):
        Attributes(verb="get", resource="pods", groups="devs")  # type: ignore[arg-type]
    assert Attributes(verb="get", resource="pods", groups=["devs"]).groups == ("devs",)
