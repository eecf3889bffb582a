"""A second evaluator, written the obvious way, agrees on random clusters."""

from __future__ import annotations

from typing import Any

from conftest import account, binding, group, role, selecting, user
from hypothesis import given, settings
from hypothesis import strategies as st

from rbacguard import Attributes, Snapshot

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
LABELS: tuple[dict[str, str], ...] = ({}, {"to": "a"}, {"to": "b"})

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
        # A role selects only labels that no aggregated role bears: chains are tested by hand.
        if not extra["labels"] and draw(st.booleans()):
            extra["aggregationRule"] = selecting(draw(st.sampled_from(LABELS[1:])))
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


def oracle(objects: list[dict[str, Any]], request: dict[str, Any]) -> bool:
    """Say whether a request is allowed: slow, and with nothing of the production code."""

    def rules_of(ref: dict[str, str], namespace: str) -> list[dict[str, Any]]:
        for each in objects:
            meta = each["metadata"]
            if each["kind"] != ref["kind"] or meta["name"] != ref["name"]:
                continue
            if each["kind"] == "Role" and meta["namespace"] != namespace:
                continue
            if "aggregationRule" in each:
                wanted = each["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"]
                return [
                    r
                    for other in objects
                    if other["kind"] == "ClusterRole"
                    and wanted.items() <= other["metadata"].get("labels", {}).items()
                    for r in other["rules"]
                ]
            return list(each["rules"])
        return []

    def is_subject(subject: dict[str, str], namespace: str) -> bool:
        if subject["kind"] == "Group":
            return subject["name"] in request["groups"]
        if subject["kind"] == "User":
            return bool(subject["name"] == request["user"])
        home = subject.get("namespace") or namespace
        return bool(home) and request["user"] == f"system:serviceaccount:{home}:{subject['name']}"

    def allows(written: dict[str, Any]) -> bool:
        combined = (
            request["resource"] + ("/" if request["subresource"] else "") + request["subresource"]
        )
        names = written.get("resourceNames")
        found = (
            any(v in ("*", request["verb"]) for v in written["verbs"]),
            any(g in ("*", request["api_group"]) for g in written["apiGroups"]),
            any(
                r in ("*", combined)
                or (bool(request["subresource"]) and r == "*/" + request["subresource"])
                for r in written["resources"]
            ),
            not names or request["name"] in names,
        )
        return all(found)

    for each in objects:
        if not each["kind"].endswith("Binding"):
            continue
        namespace = each["metadata"].get("namespace", "")
        if namespace and namespace != request["namespace"]:
            continue
        if any(is_subject(s, namespace) for s in each["subjects"]) and any(
            allows(r) for r in rules_of(each["roleRef"], namespace)
        ):
            return True
    return False


@settings(max_examples=500, deadline=None)
@given(clusters(), asked)
def test_the_obvious_evaluator_agrees(
    objects: list[dict[str, Any]], request: dict[str, Any]
) -> None:
    snapshot = Snapshot.from_objects(objects, aggregate="recompute")
    decision = snapshot.authorizer.authorize(Attributes(**request))
    assert oracle(objects, request) == decision.allowed


@settings(max_examples=200, deadline=None)
@given(clusters(), asked, st.randoms(use_true_random=False))
def test_the_order_of_objects_makes_no_difference(
    objects: list[dict[str, Any]], request: dict[str, Any], random: Any
) -> None:
    shuffled = objects[:]
    random.shuffle(shuffled)
    answers = [
        Snapshot.from_objects(each, aggregate="recompute").authorizer.authorize(
            Attributes(**request)
        )
        for each in (objects, shuffled)
    ]
    assert answers[0].allowed == answers[1].allowed
    assert set(answers[0].grants) == set(answers[1].grants)


@settings(max_examples=200, deadline=None)
@given(clusters(), asked, subjects)
def test_a_further_binding_never_takes_access_away(
    objects: list[dict[str, Any]], request: dict[str, Any], subject: dict[str, str]
) -> None:
    more = [*objects, binding("more", "c0", subject)]
    before, after = (
        Snapshot.from_objects(each, aggregate="recompute").authorizer.authorize(
            Attributes(**request)
        )
        for each in (objects, more)
    )
    assert after.allowed or not before.allowed


@settings(max_examples=200, deadline=None)
@given(clusters(), asked)
def test_whoever_is_listed_is_allowed_and_whoever_is_allowed_is_listed(
    objects: list[dict[str, Any]], request: dict[str, Any]
) -> None:
    authorizer = Snapshot.from_objects(objects, aggregate="recompute").authorizer
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
