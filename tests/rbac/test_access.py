"""Effective access of all subjects agrees with decisions about single requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from conftest import account, binding, group, objects, role, rule, state, user
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from rbacguard import Snapshot
from rbacguard.kubevirt.access import (
    ActionChange,
    changed_namespaces,
    changes,
    explicit_access,
    in_order,
    list_access,
    requests_of,
)
from rbacguard.kubevirt.permissions import Directness, live_migration
from rbacguard.rbac import Grant, ObjectKey, Subject
from rbacguard.rbac.access import Change, EffectiveAccess, widest
from rbacguard.sources import from_objects

ASKED = in_order(live_migration().actions)
REQUESTS = requests_of(ASKED)
SUBJECTS = [user("alice"), group("devs"), account("bot", "web"), account("bot")]
ROLES = ["admin", "edit", "view", "kubevirt.io:migrate", "half", "missing"]
HALF = role("half", rule("create", "kubevirt.io", "virtualmachineinstancemigrations"))
NAMESPACES = ["", "web", "data"]

bound = st.builds(
    lambda name, role_name, subjects, namespace: binding(
        f"b-{name}", role_name, *subjects, namespace=namespace
    ),
    st.integers(0, 10**6),
    st.sampled_from(ROLES),
    st.lists(st.sampled_from(SUBJECTS), max_size=3),
    st.sampled_from(NAMESPACES),
)
some_bindings = st.lists(bound, max_size=8, unique_by=lambda each: each["metadata"]["name"])
Grants = dict[tuple[Subject, int, str], set[Grant]]
Rows = set[tuple[Subject, int, str, Change]]


def single_grants(snapshot: Snapshot) -> Grants:
    """Return the grants by subject, number of the action, and namespace, by single requests."""
    found: Grants = defaultdict(set)
    for number, action in enumerate(ASKED):
        for grant in snapshot.authorizer.grants_everywhere(action.attributes):
            found[grant.subject, number, grant.namespace].add(grant)
    return found


def single_changes(before: Grants, after: Grants) -> Rows:
    """Return the changes, compared for each subject, action, and namespace on its own."""
    rows = set()
    for subject, number, namespace in before.keys() | after.keys():
        everywhere, here = (subject, number, ""), (subject, number, namespace)
        was = bool(before.get(everywhere) or before.get(here))
        now = bool(after.get(everywhere) or after.get(here))
        change = Change.KEPT if was and now else Change.LOST if was else Change.GAINED
        was_wide, now_wide = bool(before.get(everywhere)), bool(after.get(everywhere))
        wide = Change.KEPT if was_wide and now_wide else Change.LOST if was_wide else Change.GAINED
        differs = namespace == "" or not (was_wide or now_wide) or change is not wide
        if differs and (
            change is not Change.KEPT or ASKED[number].directness is not Directness.READ
        ):
            rows.add((subject, number, namespace, change))
    return rows


def rows_of(found: Iterable[ActionChange]) -> Rows:
    rows = [
        (each.subject, number, namespace, each.change)
        for each in found
        for number in range(len(ASKED))
        if each.requests >> number & 1
        for namespace in each.namespaces
    ]
    assert len(rows) == len(set(rows))
    return set(rows)


def two_states(before: Snapshot, after: Snapshot) -> EffectiveAccess:
    access = EffectiveAccess(REQUESTS, [before.resolved_roles, after.resolved_roles], {})
    access.add(before.bindings_in, [0])
    access.add(after.bindings_in, [1])
    return access


@examples(120)
@given(first=some_bindings, second=some_bindings)
def test_differences_agree_with_single_requests(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    before = from_objects([*objects("A"), HALF, *first])
    after = from_objects([*objects("D"), HALF, *second])
    found = tuple(changes(two_states(before, after), ASKED, 0, 1))
    old, new = single_grants(before), single_grants(after)
    rows = single_changes(old, new)
    assert rows_of(found) == rows
    for each in found:
        grants = old if each.change is Change.LOST else new
        for row in each.rows():
            number = ASKED.index(row.action)
            expected = {
                grant
                for namespace in ("", row.namespace)
                for grant in grants[row.subject, number, namespace]
            }
            assert set(row.grants) == expected
            assert len(row.grants) == len(expected)
        for namespace in each.namespaces:
            by_role: dict[ObjectKey, set[tuple[int, Grant]]] = defaultdict(set)
            for action in each.actions:
                number = ASKED.index(action)
                for where in ("", namespace):
                    for grant in grants[each.subject, number, where]:
                        by_role[grant.role].add((number, grant))
            evidence = each.evidence(namespace)
            assert evidence.keys() == by_role.keys()
            for key, pairs in by_role.items():
                numbers = sorted({number for number, _ in pairs})
                assert evidence[key].actions == tuple(ASKED[number] for number in numbers)
                assert set(evidence[key].grants) == {grant for _, grant in pairs}
                assert len(evidence[key].grants) == len({grant for _, grant in pairs})
    for change in Change:
        namespaces: dict[Subject, set[str]] = defaultdict(set)
        for subject, number, namespace, what in rows:
            if what is change and ASKED[number].directness is not Directness.READ:
                namespaces[subject].add(namespace)
        changed = changed_namespaces(found, change)
        assert {subject: set(where) for subject, where in changed.items()} == namespaces


@examples(80)
@given(first=some_bindings, more=some_bindings)
def test_bindings_of_one_state_count_in_that_state_alone(
    first: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    base = from_objects([*objects("D"), HALF, *first])
    known = {each.ref for each in base.bindings}
    planned = [
        each for each in from_objects([*objects("D"), *more]).bindings if each.ref not in known
    ]
    whole = base.replace(planned)
    roles = base.resolved_roles
    access = EffectiveAccess(REQUESTS, [roles, roles, roles], base.bindings_in)
    access.add({each.scope: [b for b in planned if b.scope == each.scope] for each in planned}, [1])
    assert rows_of(changes(access, ASKED, 0, 1)) == rows_of(
        changes(two_states(base, whole), ASKED, 0, 1)
    )
    assert {each.change for each in changes(access, ASKED, 0, 2)} <= {Change.KEPT}
    for number, snapshot in enumerate((base, whole, base)):
        expected = single_grants(snapshot)
        found: Grants = defaultdict(set)
        for entry in access.entries(state=number):
            for grant, mask in entry.grants:
                for request in range(len(ASKED)):
                    if mask >> request & 1:
                        found[entry.subject, request, entry.namespace].add(grant)
        assert found == {key: grants for key, grants in expected.items() if grants}


@examples(80)
@given(first=some_bindings)
def test_allowed_requests_agree_with_single_requests(first: list[dict[str, Any]]) -> None:
    snapshot = from_objects([*objects("A"), HALF, *first])
    access = EffectiveAccess(REQUESTS, [snapshot.resolved_roles], snapshot.bindings_in)
    grants = single_grants(snapshot)
    subjects = sorted({subject for subject, _, _ in grants})
    assert access.subjects() == subjects
    for subject in subjects:
        for namespace in (*NAMESPACES, "payments"):
            expected = sum(
                1 << number
                for number in range(len(ASKED))
                if grants.get((subject, number, "")) or grants.get((subject, number, namespace))
            )
            assert access.allowed(subject, namespace) == expected
    found, none = access.select([lambda row: row.allowed(0) & 1, lambda _: False])
    assert none == {}
    for subject in subjects:
        everywhere = bool(grants.get((subject, 0, "")))
        bound_in = {where for who, _, where in grants if who == subject}
        assert set(found.get(subject, ())) == {
            where for where in bound_in if everywhere or grants.get((subject, 0, where))
        }
    for subject, namespaces in found.items():
        assert widest(found)[subject] == (("",) if "" in namespaces else namespaces)


def test_each_grant_of_a_subject_that_is_listed_twice_is_reported_once() -> None:
    without_group = {key: text for key, text in user("zoe").items() if key != "apiGroup"}
    given = binding("b", "admin", user("zoe"), without_group, user("zoe"), namespace="web")
    snapshot = from_objects([*objects("A"), given])
    (found,) = list_access(snapshot, ASKED, [Subject("User", "zoe")])
    assert len(set(found.grants)) == len(found.grants)
    assert [len(grants) for _, grants in found.grants_by_action] == [1] * len(found.actions)


def test_subjects_are_normalised_when_a_binding_is_decoded() -> None:
    """A ServiceAccount has the binding's namespace by default. A User has none."""
    odd = {**user("zoe"), "namespace": "anywhere"}
    given = [
        binding("c", "admin", account("bot", "web"), odd, namespace="web"),
        binding("b", "edit", account("bot"), user("zoe"), namespace="web"),
        binding("d", "edit", account("bot"), user("zoe"), namespace="data"),
        binding("e", "edit", account("bot")),
    ]
    snapshot = from_objects([*objects("D"), *given])
    access = EffectiveAccess(REQUESTS, [snapshot.resolved_roles], snapshot.bindings_in)
    bot, zoe = Subject("ServiceAccount", "bot", "web"), Subject("User", "zoe")
    for subject in (bot, zoe):
        found = [str(each.ref) for each in access.bindings_of(subject)]
        assert found[-2:] == ["RoleBinding web/b", "RoleBinding web/c"]
    assert {each.scope for each in access.bindings_of(bot)} == {"web"}
    assert [each.scope for each in access.bindings_of(zoe)] == ["data", "web", "web"]
    other = Subject("ServiceAccount", "bot", "data")
    assert [str(each.ref) for each in access.bindings_of(other)] == ["RoleBinding data/d"]
    # A ClusterRoleBinding has no namespace to give, so no user is this service account.
    assert Subject("ServiceAccount", "bot") not in access.subjects()


def test_evidence_of_a_change_is_grouped_by_bound_role() -> None:
    given = [
        binding("a", "admin", user("zoe"), namespace="web"),
        binding("m", "kubevirt.io:migrate", user("zoe")),
    ]
    before, after = (from_objects([*objects(letter), *given]) for letter in "AE")
    access = two_states(before, after)
    found = [
        each
        for each in changes(access, ASKED, 0, 1)
        if each.subject.name == "zoe" and not each.is_reading
    ]
    (kept,) = [each for each in found if "web" in each.namespaces]
    assert {
        key.name: [grant.namespace for grant in evidence.grants]
        for key, evidence in kept.evidence("web").items()
    } == {"kubevirt.io:migrate": ["", ""]}
    (gained,) = [each for each in found if "" in each.namespaces]
    assert [key.name for key in gained.evidence("")] == ["kubevirt.io:migrate"]
    admin = ObjectKey("ClusterRole", "", "admin")
    chains = {tuple(key.name for key in each.role_chain) for each in access.rule_grants(admin)}
    assert ("admin", "kubevirt.io:admin") in chains
    assert access.rule_grants(ObjectKey("ClusterRole", "", "nothing")) == ()


def test_a_role_of_a_namespace_with_the_name_of_a_default_role_is_explicit_access() -> None:
    own = {**HALF, "kind": "Role", "metadata": {"name": "admin", "namespace": "web"}}
    given = binding("b", "admin", user("zoe"), namespace="web", role_kind="Role")
    default = binding("c", "admin", user("yan"), namespace="web")
    found = explicit_access(from_objects([*objects("B"), own, given, default]))
    (entry,) = found[Subject("User", "zoe")]
    assert {str(grant.binding) for grant in entry.grants} == {"RoleBinding web/b"}
    assert Subject("User", "yan") not in found


def test_excluded_roles_grant_nothing() -> None:
    snapshot = state("D")
    migrate = ObjectKey("ClusterRole", "", "kubevirt.io:migrate")
    granting = live_migration().granting
    kept = {(each.subject, each.namespace) for each in list_access(snapshot, granting)}
    without = {
        (each.subject, each.namespace)
        for each in list_access(snapshot, granting, without=[migrate])
    }
    assert without < kept
