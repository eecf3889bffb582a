"""What is asked of the server itself, and how often a cluster is looked at until it is clean."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import account, binding, group, objects, role, rule, state, user
from msgspec import to_builtins
from test_review import APPROVALS, TODAY

from rbacguard import Snapshot
from rbacguard.approvals.model import load_approvals
from rbacguard.errors import ClusterError
from rbacguard.kubevirt.access import in_order
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.queries.cross_check import NOBODY, SAMPLE, disagreements, questions
from rbacguard.queries.diff import compare
from rbacguard.rbac import Review, Subject
from rbacguard.rbac.access import Change
from rbacguard.rbac.identity import User, identify_subject
from rbacguard.sources import from_objects
from rbacguard.update.delegation import delegations
from rbacguard.update.verify import Result, Verification, verify
from rbacguard.update.watch import poll_until_passed


@pytest.mark.parametrize(
    ("subject", "name", "groups"),
    [
        (Subject("User", "alice"), "alice", ("system:authenticated",)),
        (
            Subject("User", "system:serviceaccount:web:bot"),
            "system:serviceaccount:web:bot",
            ("system:serviceaccounts", "system:serviceaccounts:web", "system:authenticated"),
        ),
        (
            Subject("ServiceAccount", "bot", "web"),
            "system:serviceaccount:web:bot",
            ("system:serviceaccounts", "system:serviceaccounts:web", "system:authenticated"),
        ),
        (Subject("Group", "devs"), NOBODY, ("devs", "system:authenticated")),
        (Subject("Group", "system:authenticated"), NOBODY, ("system:authenticated",)),
    ],
)
def test_a_subject_asks_as_the_server_would_see_it(
    subject: Subject, name: str, groups: tuple[str, ...]
) -> None:
    assert identify_subject(subject, nobody=NOBODY) == User(name, groups)


def small() -> Snapshot:
    return from_objects(
        [
            role("may", rule("create", "kubevirt.io", "virtualmachineinstancemigrations")),
            binding("a", "may", user("ann"), account("bot"), user(""), namespace="web"),
            binding("b", "may", group("devs"), account("lost"), account("far", "ci")),
            binding("c", "may", user("ann"), group("devs"), namespace="data"),
        ]
    )


def test_every_subject_is_asked_for_in_every_namespace_and_the_cluster() -> None:
    found = questions(small(), limit=None)
    users = {
        "ann",
        "system:serviceaccount:web:bot",
        "system:serviceaccount:ci:far",
        NOBODY,
    }
    actions = {
        (each.verb, each.api_group, each.resource, each.subresource)
        for each in live_migration().granting
    }
    asked = {
        (each.user, each.groups, each.namespace, each.verb, each.api_group, each.resource,
         each.subresource)
        for each in found
    }  # fmt: skip
    assert len(asked) == len(found)
    assert {each.user for each in found} == users
    assert {each.namespace for each in found} == {"", "data", "web"}
    identities = {(each.user, each.groups) for each in found}
    assert (NOBODY, ("devs", "system:authenticated")) in identities
    assert (NOBODY, ("system:authenticated",)) in identities
    assert asked == {
        (name, groups, scope, *action)
        for name, groups in identities
        for scope in ("", "data", "web")
        for action in actions
    }


def test_a_sample_has_both_answers_and_is_the_same_each_time() -> None:
    whole = state("A")
    assert len(questions(whole, limit=None)) > SAMPLE
    found = questions(whole)
    assert len(found) == SAMPLE
    answers = [whole.authorizer.authorize(each).allowed for each in found]
    assert answers.count(True) == answers.count(False) == SAMPLE // 2
    assert questions(whole) == found
    everything = questions(whole, limit=None)
    assert set(found) <= set(everything)
    # Not simply the first ones, of a few subjects.
    assert len({each.user for each in found}) > len({each.user for each in everything[:SAMPLE]})
    assert questions(whole, limit=len(everything)) == everything
    assert len(questions(whole, limit=7)) == 7


def test_where_one_answer_is_rare_the_other_fills_the_sample() -> None:
    one = from_objects(
        [
            role("may", rule("create", "kubevirt.io", "virtualmachineinstancemigrations")),
            binding("a", "may", user("ann"), namespace="web"),
        ]
    )
    everything = questions(one, limit=None)
    allowed = [each for each in everything if one.authorizer.authorize(each).allowed]
    assert len(allowed) == 1
    found = questions(one, limit=len(everything) - 1)
    assert len(found) == len(everything) - 1
    assert allowed[0] in found
    most = from_objects(
        [role("all", rule("*", "*", "*")), binding("a", "all", group("system:authenticated"))]
    )
    assert len(questions(most, limit=10)) == 10
    assert len(questions(most, limit=len(questions(most, limit=None)))) > 10


def test_only_what_differs_is_a_disagreement() -> None:
    snapshot = small()
    asked = questions(snapshot, limit=None)
    right = [Review(each, snapshot.authorizer.authorize(each).allowed) for each in asked]
    assert disagreements(snapshot, right) == ()
    wrong = [Review(each.attributes, not each.allowed) for each in right]
    found = disagreements(snapshot, [right[0], *wrong])
    assert [each.review for each in found] == wrong
    assert [each.decision for each in found] == [snapshot.authorizer.authorize(a) for a in asked]


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def verification(letter: str) -> Verification:
    return verify(state(letter), load_approvals(APPROVALS), before=state("A"), today=TODAY)


def looks(*answers: Verification | ClusterError) -> Callable[[], Verification]:
    left = list(answers)

    def look() -> Verification:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, ClusterError):
            raise found
        return found

    return look


def watched(clock: Clock, deadline: float, *answers: Verification | ClusterError) -> list[object]:
    return list(
        poll_until_passed(
            looks(*answers), deadline=deadline, interval=30, clock=clock, sleep=clock.sleep
        )
    )


def test_it_looks_until_the_cluster_is_clean() -> None:
    clock, clean, dirty = Clock(), verification("D"), verification("C")
    assert (clean.result, dirty.result) == (Result.PASSED, Result.FAILED)
    lost = ClusterError("gone")
    assert watched(clock, 600, dirty, lost, clean, dirty) == [dirty, lost, clean]
    assert clock.slept == [30, 30]


def test_the_last_look_is_at_the_deadline() -> None:
    clock, dirty = Clock(), verification("C")
    assert watched(clock, 70, dirty) == [dirty] * 4
    assert clock.slept == [30, 30, 10]
    assert watched(Clock(), 0, dirty) == [dirty]
    clock = Clock()
    assert watched(clock, 61, dirty) == [dirty] * 4
    assert clock.slept == [30, 30, 1]


def test_who_can_hand_on_is_proved_by_the_grant_of_the_namespace_if_there_is_one() -> None:
    everything = role("all", rule("*", "*", "*"))
    binder = role("bind", rule("create", "rbac.authorization.k8s.io", "rolebindings"))
    local = [everything, binder, binding("here", "all", user("ann"), namespace="web")]
    wide = binding("wide", "bind", user("ann"))
    (only,) = delegations(from_objects([*local, wide]))
    assert (only.namespace, only.how, str(only.grant.binding)) == (
        "web",
        "holds",
        "RoleBinding web/here",
    )
    may = [
        binder,
        wide,
        role("held", *to_builtins(migrate_rules())),
        binding("held", "held", user("ann"), namespace="web"),
    ]
    (other,) = delegations(from_objects(may))
    assert (other.namespace, str(other.grant.binding)) == ("web", "ClusterRoleBinding wide")


def test_a_role_for_a_request_without_a_name_and_one_for_every_migration_count() -> None:
    rbac = "rbac.authorization.k8s.io"
    odd = role(
        "odd",
        rule("create", rbac, "rolebindings", resourceNames=[""]),
        rule("*", "kubevirt.io", "virtualmachineinstancemigrations"),
        rule("update", "subresources.kubevirt.io", "*/migrate"),
    )
    (only,) = delegations(from_objects([odd, binding("b", "odd", user("ann"), namespace="web")]))
    assert (str(only.subject), only.namespace, only.how) == ("User ann", "web", "holds")


def test_a_comparison_holds_both_sides_and_what_was_asked() -> None:
    found = compare(state("A"), state("E"))
    assert (found.before.restricted, found.after.restricted) == (False, True)
    assert found.origins == (None, None)
    assert found.asked == in_order(found.asked)
    assert {str(action) for action in found.asked} > {
        str(action) for action in live_migration().actions
    }
    assert {change.change for change in found.changes} == {Change.LOST}


def test_a_comparison_tells_what_was_not_read_of_either() -> None:
    some = from_objects([each for each in objects("A") if each["kind"] != "Role"])
    other = from_objects([each for each in objects("E") if each["kind"] != "ClusterRole"])
    assert [gap[:22] for gap in compare(some, other).gaps] == [
        "before: Role: not in t",
        "after: ClusterRole: no",
    ]
