"""A second evaluator, written the obvious way (`tests/oracle.py`), agrees on random clusters."""

from __future__ import annotations

from typing import Any

from conftest import account, binding, group, role, user
from hypothesis import assume, event, given
from hypothesis import strategies as st
from oracle import is_allowed, is_circular
from strategies import clusters as real_clusters
from strategies import examples

from rbacguard import Attributes
from rbacguard.sources import from_objects

NAMESPACES = ("web", "db")
VERBS = ("get", "create", "update", "*")
GROUPS = ("", "kubevirt.io", "subresources.kubevirt.io", "*")
RESOURCES = (
    "pods",
    "virtualmachines",
    "virtualmachines/migrate",
    "*/migrate",
    "*",
    "virtualmachines/*",
)
LABELS: tuple[dict[str, str], ...] = ({}, {"to": "a"}, {"to": "b"}, {"to": "a", "of": "x"})
SELECTORS: tuple[dict[str, Any], ...] = (
    {"matchLabels": {"to": "a"}},
    {"matchLabels": {"to": "b"}},
    {"matchLabels": {"to": "a", "of": "x"}},
    {"matchExpressions": [{"key": "to", "operator": "In", "values": ["a", "b"]}]},
    {"matchExpressions": [{"key": "to", "operator": "NotIn", "values": ["a"]}]},
    {"matchExpressions": [{"key": "of", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "to", "operator": "DoesNotExist"}]},
    {
        "matchLabels": {"to": "a"},
        "matchExpressions": [{"key": "of", "operator": "DoesNotExist", "values": []}],
    },
    {"matchLabels": {"to": "nobody"}},
    {},
)

some = st.lists(st.sampled_from(VERBS), max_size=2)
rules = st.fixed_dictionaries(
    {
        "verbs": some,
        "apiGroups": st.lists(st.sampled_from(GROUPS), max_size=2),
        "resources": st.lists(st.sampled_from(RESOURCES), max_size=2),
    },
    optional={"resourceNames": st.lists(st.sampled_from(["vm-1", ""]), max_size=2)},
)
subjects = st.sampled_from(
    [
        user("alice"),
        user("system:serviceaccount:web:bot"),
        group("devs"),
        account("bot"),
        account("bot", "web"),
        group("system:serviceaccounts:web"),
    ]
)
asked = st.fixed_dictionaries(
    {
        "user": st.sampled_from(["alice", "system:serviceaccount:web:bot", "nobody"]),
        "groups": st.lists(st.sampled_from(["devs", "system:serviceaccounts:web"]), max_size=2),
        "verb": st.sampled_from(VERBS[:3]),
        "api_group": st.sampled_from(GROUPS[:3]),
        "resource": st.sampled_from(["pods", "virtualmachines"]),
        "subresource": st.sampled_from(["", "migrate"]),
        "name": st.sampled_from(["", "vm-1", "vm-2"]),
        "namespace": st.sampled_from(["", *NAMESPACES]),
    }
)


@st.composite
def clusters(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for index in range(draw(st.integers(0, 4))):
        extra: dict[str, Any] = {"labels": draw(st.sampled_from(LABELS))}
        if draw(st.booleans()):
            selectors = draw(st.lists(st.sampled_from(SELECTORS), max_size=2))
            extra["aggregationRule"] = {"clusterRoleSelectors": selectors}
        found.append(role(f"c{index}", *draw(st.lists(rules, max_size=2)), **extra))
    for namespace in NAMESPACES:
        for index in range(draw(st.integers(0, 2))):
            found.append(
                role(
                    f"r{index}",
                    *draw(st.lists(rules, max_size=2)),
                    kind="Role",
                    namespace=namespace,
                )
            )
    for index in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["ClusterRole", "Role"]))
        name = f"{'c' if kind == 'ClusterRole' else 'r'}{draw(st.integers(0, 4))}"
        found.append(
            binding(
                f"b{index}",
                name,
                *draw(st.lists(subjects, max_size=2)),
                namespace=draw(st.sampled_from(["", *NAMESPACES])),
                role_kind=kind,
            )
        )
    return found


@examples(500)
@given(clusters(), asked)
def test_the_obvious_evaluator_agrees(
    objects: list[dict[str, Any]], request: dict[str, Any]
) -> None:
    snapshot = from_objects(objects, aggregate="recompute")
    # Roles that select each other keep what they once had: no function of the objects alone.
    assert is_circular(objects) == bool(snapshot.aggregation.cycles)
    assume(not is_circular(objects))
    decision = snapshot.authorizer.authorize(Attributes(**request))
    event(f"allowed: {decision.allowed}")
    assert is_allowed(objects, request) == decision.allowed


MIGRATIONS = [
    ("create", "kubevirt.io", "virtualmachineinstancemigrations", ""),
    ("delete", "kubevirt.io", "virtualmachineinstancemigrations", ""),
    ("update", "subresources.kubevirt.io", "virtualmachines", "migrate"),
]


@examples(150)
@given(
    real_clusters(),
    st.sampled_from(MIGRATIONS),
    st.sampled_from(["", "payments", "web", "legacy"]),
    st.sampled_from(["", "one"]),
    st.sampled_from(
        [
            ("alice", ()),
            ("mallory", ("system:authenticated",)),
            ("system:serviceaccount:web:deployer", ("system:serviceaccounts:web",)),
            ("nobody", ("payments-admins", "system:serviceaccounts:batch")),
        ]
    ),
)
def test_it_agrees_on_clusters_with_kubevirt(
    objects: list[dict[str, Any]],
    what: tuple[str, str, str, str],
    namespace: str,
    name: str,
    who: tuple[str, tuple[str, ...]],
) -> None:
    assume(not is_circular(objects))
    request: dict[str, Any] = {
        **dict(zip(("verb", "api_group", "resource", "subresource"), what, strict=True)),
        "namespace": namespace,
        "name": name,
        "user": who[0],
        "groups": who[1],
    }
    decision = from_objects(objects, aggregate="recompute").authorizer.authorize(
        Attributes(**request)
    )
    event(f"allowed: {decision.allowed}")
    assert is_allowed(objects, request) == decision.allowed


@examples(200)
@given(clusters(), asked, st.randoms(use_true_random=False))
def test_the_order_of_objects_makes_no_difference(
    objects: list[dict[str, Any]], request: dict[str, Any], random: Any
) -> None:
    shuffled = objects[:]
    random.shuffle(shuffled)
    answers = [
        from_objects(each, aggregate="recompute").authorizer.authorize(Attributes(**request))
        for each in (objects, shuffled)
    ]
    assert answers[0].allowed == answers[1].allowed
    assert set(answers[0].grants) == set(answers[1].grants)


@examples(200)
@given(clusters(), asked, subjects)
def test_a_further_binding_never_takes_access_away(
    objects: list[dict[str, Any]], request: dict[str, Any], subject: dict[str, str]
) -> None:
    more = [*objects, binding("more", "c0", subject)]
    before, after = (
        from_objects(each, aggregate="recompute").authorizer.authorize(Attributes(**request))
        for each in (objects, more)
    )
    assert after.allowed or not before.allowed


@examples(200)
@given(clusters(), asked)
def test_whoever_is_listed_is_allowed_and_whoever_is_allowed_is_listed(
    objects: list[dict[str, Any]], request: dict[str, Any]
) -> None:
    authorizer = from_objects(objects, aggregate="recompute").authorizer
    attributes = Attributes(**request)
    listed = {grant.subject for grant in authorizer.grants(attributes)}
    grants = authorizer.authorize(attributes).grants
    assert {grant.subject for grant in grants} <= listed
    everywhere = {
        grant
        for grant in authorizer.grants_everywhere(attributes)
        if grant.namespace in ("", attributes.namespace)
    }
    assert everywhere == set(authorizer.grants(attributes))
