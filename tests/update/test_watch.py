"""A cluster is verified until it is clean."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from conftest import ROOT, binding, role, rule, state, user
from msgspec import to_builtins

from rbacguard.approvals.model import load_approvals
from rbacguard.errors import ClusterError
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.sources import from_objects
from rbacguard.update.delegation import delegations
from rbacguard.update.verify import Result, Verification, verify
from rbacguard.update.watch import poll_until_passed

TODAY = datetime.date(2026, 11, 23)
APPROVALS = str(ROOT / "examples" / "approvals.yaml")


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
