"""Where a cluster stands, and whether it is clean."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from conftest import (
    AGGREGATE_ADMIN,
    ROOT,
    binding,
    group,
    objects,
    role,
    rule,
    state,
    user,
)

from rbacguard import Snapshot
from rbacguard.approvals.check import check_approvals, warning_messages
from rbacguard.approvals.model import MigrationAccess, load_approvals, parse_approvals
from rbacguard.approvals.resolve import Decisions
from rbacguard.errors import InputError
from rbacguard.snapshot import AggregateMode
from rbacguard.sources import from_objects
from rbacguard.update.status import Step, status
from rbacguard.update.verify import Result, Verification, VerifyCheck, verify

TODAY = datetime.date(2026, 11, 23)
VMIM = "virtualmachineinstancemigrations"
APPROVALS = str(ROOT / "examples" / "approvals.yaml")


def approvals() -> MigrationAccess:
    return load_approvals(APPROVALS)


def verified(snapshot: Snapshot, before: str | None = "A", **options: Any) -> Verification:
    return verify(
        snapshot,
        options.get("access") or approvals(),
        before=state(before) if before else None,
        today=options.get("today", TODAY),
    )


def doubts(found: MigrationAccess, snapshot: Snapshot) -> tuple[str, ...]:
    return warning_messages(check_approvals(found, snapshot, today=TODAY))


def failed(found: Verification) -> set[str]:
    return {check.id for check in found.checks if check.result is Result.FAILED}


@pytest.mark.parametrize(
    ("letter", "step"),
    [
        ("A", Step.BEFORE),
        ("B", Step.TEMPORARY_ROLE),
        ("C", Step.NOT_BOUND),
        ("D", Step.DONE),
        ("E", Step.NOT_BOUND),
        ("F", Step.REVERTED),
    ],
)
def test_each_of_the_six_states_is_named(letter: str, step: Step) -> None:
    found = status(state(letter))
    assert step is found.step
    assert ("kubevirt.io:upgrademigrate" in found.temporary_roles) == (letter in "BC")
    titles = {status(state(each)).title for each in "ABCDEF"}
    assert len(titles) == 6


def with_objects(letter: str, *more: dict[str, Any], without: tuple[str, ...] = ()) -> Snapshot:
    kept = [o for o in objects(letter) if o["metadata"]["name"] not in without]
    return from_objects([*kept, *more])


def test_bound_with_the_temporary_role_left_is_not_cleaned_up() -> None:
    bound = binding("m", "kubevirt.io:migrate", user("alice"), namespace="payments")
    assert status(with_objects("C", bound)).step is Step.NOT_CLEANED_UP


def test_migrate_written_last_means_that_the_update_is_under_way() -> None:
    assert status(with_objects("E", without=("kubevirt.io:migrate",))).step is Step.UPDATING


@pytest.mark.parametrize(
    "change",
    [
        {"KubeVirt": {"observedDeploymentID": "a", "targetDeploymentID": "b", "phase": "Deployed"}},
        {"KubeVirt": {"observedKubeVirtVersion": "v1.4.1", "targetKubeVirtVersion": "v1.5.3"}},
        {
            "HyperConverged": {
                "conditions": [{"type": "Progressing", "status": "True", "reason": "HCOUpgrading"}]
            }
        },
    ],
)
def test_an_update_under_way_is_seen_in_the_status(change: dict[str, Any]) -> None:
    items = objects("A")
    for item in items:
        if item["kind"] in change:
            item["status"] = change[item["kind"]]
    assert status(from_objects(items)).step is Step.UPDATING


def test_a_reconcile_that_progresses_is_no_update() -> None:
    items = objects("D")
    for item in items:
        if item["kind"] == "HyperConverged":
            item["status"] = {
                "conditions": [{"type": "Progressing", "status": "True", "reason": "Other"}],
                "versions": [{"name": "operator", "version": "4.20.1"}],
            }
        if item["kind"] == "KubeVirt":
            item["status"] = {
                "observedKubeVirtVersion": "v1.6.2",
                "targetKubeVirtVersion": "v1.6.2",
                "observedDeploymentID": "a",
                "targetDeploymentID": "a",
                "conditions": [{"type": "Degraded", "status": "True"}],
            }
    found = status(from_objects(items))
    assert found.step is Step.DONE
    assert found.installed.update_in_progress is False
    assert found.installed.release is not None
    assert found.installed.release.cnv == (4, 20)


def test_roles_of_two_versions_and_backups_mean_an_update() -> None:
    mixed = role("x", annotations={"kubevirt.io/install-strategy-version": "v1.4.1"})
    other = role("y", annotations={"kubevirt.io/install-strategy-version": "v1.5.3"})
    assert status(with_objects("A", mixed, other)).step is Step.UPDATING
    backup = role(
        "kubevirt.io:adminabc12",
        rule("create delete", "kubevirt.io", VMIM),
        annotations={"kubevirt.io/ephemeral-backup-object": "uid"},
    )
    found = status(with_objects("E", backup))
    assert found.step is Step.UPDATING
    assert found.temporary_roles == ()


def test_done_is_not_said_of_an_incomplete_input() -> None:
    items = [item for item in objects("D") if item["kind"] != "Role"]
    assert status(from_objects(items)).step is Step.UNKNOWN


@pytest.mark.parametrize("letter", "ABCDEF")
def test_only_the_clean_state_is_clean(letter: str) -> None:
    assert (letter == "D") == (verified(state(letter)).result is Result.PASSED)
    assert letter == "D" or verified(state(letter)).result is Result.FAILED


def test_without_a_dump_from_before_the_holders_are_listed() -> None:
    found = verified(state("D"), before=None)
    assert found.result is Result.FAILED
    listed = {need.subject.name for need in found.unaccepted}
    assert {"cluster-admins", "root", "forklift-controller", "platform-vm", "runner"} <= listed


def test_accepted_holders_are_not_questioned() -> None:
    access = approvals().model_dump(by_alias=True)
    access["holders"] = [
        {
            "subject": {
                "kind": need.subject.kind,
                "name": need.subject.name,
                "namespace": need.subject.namespace,
            },
            **({"namespaces": [need.namespace]} if need.namespace else {"clusterWide": True}),
            "accepted": True,
        }
        for need in verified(state("D"), before=None).unaccepted
    ]
    assert verified(state("D"), before=None, access=parse_approvals(access)).result is Result.PASSED
    access["holders"][0]["accepted"] = False
    assert verified(state("D"), before=None, access=parse_approvals(access)).result is Result.FAILED


@pytest.mark.parametrize("kind", ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"])
def test_a_partial_view_of_a_clean_cluster_is_never_clean(kind: str) -> None:
    items = [item for item in objects("D") if item["kind"] != kind]
    assert verified(from_objects(items)).result is not Result.PASSED


def test_a_partial_view_from_before_leaves_it_open() -> None:
    before = from_objects([o for o in objects("A") if o["kind"] != "Role"])
    found = verify(state("D"), approvals(), before=before, today=TODAY)
    assert found.result is not Result.PASSED


def test_a_dump_from_within_the_temporary_window_is_no_before() -> None:
    found = verify(state("D"), approvals(), before=state("B"), today=TODAY)
    assert found.result is Result.UNKNOWN


def test_a_wildcard_aggregated_into_admin_is_a_temporary_role() -> None:
    made = role("wide", rule("*", "kubevirt.io", "*"), labels={AGGREGATE_ADMIN: "true"})
    assert "temporary-role-gone" in failed(verified(with_objects("D", made)))


def test_no_partial_view_of_an_unclean_cluster_is_clean() -> None:
    for letter in "BCEF":
        kinds = {item["kind"] for item in objects(letter)}
        for kind in sorted(kinds):
            items = [item for item in objects(letter) if item["kind"] != kind]
            assert verified(from_objects(items)).result is not Result.PASSED, (letter, kind)


LAUNDERED = [
    pytest.param(
        [binding("friend", "kubevirt.io:migrate", user("mallory"), namespace="payments")],
        id="a binding to migrate",
    ),
    pytest.param(
        [
            role("mine", rule("create", "kubevirt.io", VMIM), kind="Role", namespace="payments"),
            binding("mine", "mine", user("mallory"), namespace="payments", role_kind="Role"),
        ],
        id="a Role of one's own",
    ),
    pytest.param(
        [
            role(
                "m",
                rule("update", "subresources.kubevirt.io", "*/migrate"),
                kind="Role",
                namespace="web",
            ),
            binding("m", "m", group("friends"), namespace="web", role_kind="Role"),
        ],
        id="half of it",
    ),
]


@pytest.mark.parametrize("made", LAUNDERED)
def test_what_tenants_handed_on_is_found(made: list[dict[str, Any]]) -> None:
    found = verified(with_objects("D", *made))
    assert found.result is Result.FAILED
    assert {"only-approved", "delegated-grants"} <= failed(found)


def checked(found: Verification, check_id: str) -> VerifyCheck:
    (check,) = [each for each in found.checks if each.id == check_id]
    return check


def test_a_binding_for_the_whole_cluster_serves_an_approval_for_a_namespace() -> None:
    wide = binding("m", "kubevirt.io:migrate", user("alice"))
    kept = [o for o in objects("D") if o.get("roleRef", {}).get("name") != "kubevirt.io:migrate"]
    found = parse_approvals(access())
    assert "approved-bound" in failed(verified(from_objects(kept), access=found))
    assert "approved-bound" not in failed(verified(from_objects([*kept, wide]), access=found))
    other = binding("m", "kubevirt.io:migrate", user("bob"))
    assert "approved-bound" in failed(verified(from_objects([*kept, other]), access=found))


def test_whoever_is_approved_in_one_namespace_is_questioned_in_the_next() -> None:
    made = [
        binding("m", "kubevirt.io:migrate", user("zoe"), namespace=namespace)
        for namespace in ("data", "payments", "web")
    ]
    found = access(subject={"kind": "User", "name": "zoe"}, namespaces=["data"])
    questioned = verified(with_objects("D", *made), access=parse_approvals(found)).unaccepted
    assert {each.namespace for each in questioned if each.subject.name == "zoe"} == {
        "payments",
        "web",
    }


@pytest.mark.parametrize("decision", ["approvals", "holders"])
@pytest.mark.parametrize("scope", [{"clusterWide": True}, {"namespaces": ["web"]}])
@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_who_is_decided_on_here_or_everywhere_hands_nothing_on(
    decision: str, scope: dict[str, Any], kind: str
) -> None:
    made = [binding("m", "kubevirt.io:migrate", user("zoe"), namespace="web")]
    if kind == "Role":
        own = role("own", rule("create", "kubevirt.io", VMIM), kind="Role", namespace="web")
        made = [own, binding("m", "own", user("zoe"), namespace="web", role_kind="Role")]
    file = approvals().model_dump(by_alias=True, mode="json")
    for each in file["approvals"]:
        each.pop("namespaceSelector", None)
    snapshot = with_objects("D", *made)
    assert {"delegated-grants", "only-approved"} <= failed(
        verified(snapshot, access=parse_approvals(file))
    )
    yes = {"approvals": "approved", "holders": "accepted"}[decision]
    file[decision] = [
        *file[decision],
        {"subject": {"kind": "User", "name": "zoe"}, yes: True, **scope},
    ]
    missing = {"approved-bound"} if decision == "approvals" and kind == "Role" else set()
    # Approved in the whole cluster, but bound in one namespace.
    if decision == "approvals" and "clusterWide" in scope:
        missing = {"approved-bound"}
    if decision == "holders" and kind == "ClusterRole" and "clusterWide" in scope:
        # His own grant is accepted everywhere; a binding to kubevirt.io:migrate is another one.
        missing = {"delegated-grants"}
    assert failed(verified(snapshot, access=parse_approvals(file))) == missing


@pytest.mark.parametrize(
    ("rules_then", "bound_then", "old"),
    [("same", True, True), ("same", False, False), ("other", True, False), (None, False, False)],
)
def test_a_role_of_a_namespace_is_of_old_with_its_rules_and_its_binding(
    rules_then: str | None, bound_then: bool, old: bool
) -> None:
    own = role("own", rule("create", "kubevirt.io", VMIM), kind="Role", namespace="web")
    less = role("own", rule("get", "core", "pods"), kind="Role", namespace="web")
    given = binding("m", "own", user("zoe"), namespace="web", role_kind="Role")
    then: list[dict[str, Any]] = [given] if bound_then else []
    if rules_then:
        then.append(own if rules_then == "same" else less)
    before = from_objects([*objects("A"), *then])
    found = verify(with_objects("D", own, given), approvals(), before=before, today=TODAY)
    assert ("delegated-grants" in failed(found)) is not old
    assert ("only-approved" in failed(found)) is not old


def test_what_is_found_twice_is_told_once() -> None:
    """Recorded and computed rules tell the same of who holds what, and each their own of roles."""
    twice = checked(verified(state("C")), "only-approved").details
    assert len(set(twice)) == len(twice)
    assert any(
        "(recorded rules)" in d for d in checked(verified(state("C")), "default-roles").details
    )
    left = [o for o in objects("C") if o["metadata"]["name"] != "kubevirt.io:upgrademigrate"]
    details = checked(verified(from_objects(left)), "default-roles").details
    assert {"(computed rules)" in detail for detail in details} == {False}


def test_a_temporary_role_that_reaches_nobody_is_told_as_it_is() -> None:
    bare = role("kubevirt.io:upgrademigrate", rule("create", "kubevirt.io", VMIM))
    assert checked(verified(with_objects("D", bare)), "temporary-role-gone").details == (
        "ClusterRole kubevirt.io:upgrademigrate still exists",
    )
    assert checked(verified(state("C")), "temporary-role-gone").details == (
        "ClusterRole kubevirt.io:upgrademigrate still exists, aggregated into admin",
    )


def test_a_self_made_binding_for_somebody_who_held_it_is_found_too() -> None:
    made = binding("keep", "kubevirt.io:migrate", user("frank"), namespace="legacy")
    assert "delegated-grants" in failed(verified(with_objects("D", made)))


def test_a_self_made_binding_to_a_role_that_was_there_is_found_too() -> None:
    # Frank held migration of old by a role of his company's; the second binding is his own.
    wide = role("vm-full", rule("*", "kubevirt.io subresources.kubevirt.io", "*"))
    made = binding("own", "vm-full", user("frank"), namespace="legacy")
    assert "only-approved" in failed(verified(with_objects("D", wide, made)))


def test_a_role_of_old_that_was_only_annotated_meanwhile_is_still_of_old() -> None:
    items = objects("D")
    for item in items:
        item["metadata"].setdefault("annotations", {})["example.com/seen"] = "today"
    assert verified(from_objects(items)).result is Result.PASSED


def test_an_approved_administrator_needs_no_binding() -> None:
    wide = access(subject={"kind": "User", "name": "root"})
    assert "approved-bound" not in failed(verified(state("E"), access=parse_approvals(wide)))


def test_the_version_is_read_from_the_operators_annotation() -> None:
    items = objects("E")
    for item in items:
        if item["metadata"]["name"] == "kubevirt.io:admin":
            item["metadata"]["annotations"]["kubevirt.io/install-strategy-version"] = "v1.5.3"
            item["rules"] = item["rules"][1:]
    found = status(from_objects(items)).installed
    assert found.release is not None
    assert found.release.kubevirt == (1, 5)


@pytest.mark.parametrize("value", ["True", "yes"])
def test_an_ineffective_label_does_not_restore_the_default(value: str) -> None:
    items = objects("D")
    for item in items:
        if item["metadata"]["name"] == "kubevirt.io:migrate":
            item["metadata"]["labels"][AGGREGATE_ADMIN] = value
    assert "previous-default" not in failed(verified(from_objects(items)))


@pytest.mark.parametrize("mode", ["as-recorded", "recompute"])
def test_rules_still_recorded_in_admin_are_not_clean(mode: AggregateMode) -> None:
    # The temporary role was deleted and the aggregation controller has not run yet.
    items = [o for o in objects("C") if o["metadata"]["name"] != "kubevirt.io:upgrademigrate"]
    found = verified(from_objects(items, aggregate=mode))
    assert "default-roles" in failed(found)
    assert "temporary-role-gone" not in failed(found)


def test_a_binding_to_the_temporary_role_is_left_over() -> None:
    made = binding("t", "kubevirt.io:upgrademigrate", user("x"), namespace="web")
    assert failed(verified(with_objects("D", made))) == {"dangling-bindings"}


def test_a_temporary_role_by_another_name_is_found() -> None:
    made = role("sneaky", rule("create", "kubevirt.io", VMIM), labels={AGGREGATE_ADMIN: "true"})
    assert "temporary-role-gone" in failed(verified(with_objects("D", made)))


def test_a_migrate_role_with_other_rules_is_not_kubevirts() -> None:
    made = role("kubevirt.io:migrate", rule("*", "*", "*"))
    found = verified(with_objects("D", made, without=("kubevirt.io:migrate",)))
    assert "migrate-role" in failed(found)


def access(**fields: Any) -> dict[str, Any]:
    entry = {
        "subject": {"kind": "User", "name": "alice"},
        "namespaces": ["payments"],
        "approved": True,
    }
    return {
        "apiVersion": "rbacguard.io/v1alpha1",
        "kind": "MigrationAccess",
        "approvals": [entry | fields],
    }


def test_an_approval_ends_with_its_day() -> None:
    found = parse_approvals(access(expires="2026-11-23"))
    assert len(Decisions(found, TODAY).required) == 1
    assert Decisions(found, TODAY + datetime.timedelta(days=1)).required == ()
    expired = verified(state("D"), access=found, today=TODAY + datetime.timedelta(days=1))
    assert any("its approval has expired" in d for c in expired.checks for d in c.details)


BROKEN: tuple[tuple[Any, str], ...] = (
    (
        access(subject={"kind": "User", "name": True}),
        "approvals[0].subject.name: input should be a valid string, found True; quote it",
    ),
    (
        access(subject={"kind": "User", "name": {}}),
        "approvals[0].subject.name: input should be a valid string",
    ),
    (
        access(subject={"kind": "Usr", "name": "a"}),
        (
            "approvals[0].subject.kind: input should be 'User', 'Group' or 'ServiceAccount', "
            "found 'Usr'"
        ),
    ),
    (
        access(subject={"kind": "ServiceAccount", "name": "a"}),
        "approvals[0].subject: a ServiceAccount must have a namespace",
    ),
    (
        access(subject={"kind": "User", "name": "a", "namespace": "b"}),
        "approvals[0].subject: a User must not have a namespace",
    ),
    (
        access(namespaces=[]),
        "approvals[0]: give one of namespaces, namespaceSelector, or clusterWide: true",
    ),
    (
        access(clusterWide=True),
        "approvals[0]: give one of namespaces, namespaceSelector, or clusterWide: true",
    ),
    (
        access(approved="yes"),
        "approvals[0].approved: input should be a valid boolean, found 'yes'",
    ),
    (access(wanted=1), "approvals[0].wanted: unknown field"),
    ({"kind": "MigrationAccess"}, "apiVersion: field required"),
    ([], "document: input should be a valid dictionary or instance of MigrationAccess"),
    (
        "text",
        "document: input should be a valid dictionary or instance of MigrationAccess, found 'text'",
    ),
    (None, "document: input should be a valid dictionary or instance of MigrationAccess"),
)


@pytest.mark.parametrize(("wrong", "expected"), BROKEN)
def test_a_broken_approvals_file_gets_one_line(wrong: Any, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_approvals(wrong, "approvals.yaml")
    assert str(caught.value) == f"approvals.yaml: {expected}"


def test_a_day_that_is_none_is_refused_with_its_field() -> None:
    with pytest.raises(InputError, match=r"^approvals: approvals\[0\]\.expires: .*'soon'$"):
        parse_approvals(access(expires="soon"))


def test_decisions_that_contradict_each_other_are_refused() -> None:
    both = access()
    both["approvals"].append(both["approvals"][0] | {"approved": False})
    with pytest.raises(InputError, match="approved in one entry and not approved in another"):
        parse_approvals(both)


def test_names_that_nobody_knows_are_warned_of() -> None:
    wrong = access(subject={"kind": "User", "name": "alcie"}, namespaces=["paymnets"])
    assert doubts(parse_approvals(wrong), state("D")) == (
        "User alcie was not found in the input; check the spelling",
        "namespace paymnets was not found in the input",
    )
    assert doubts(approvals(), state("D")) == ()


def test_an_approval_wider_than_what_is_held_is_warned_of() -> None:
    wide = access(namespaces=[], clusterWide=True)
    assert doubts(parse_approvals(wide), state("A")) == (
        "User alice is approved cluster-wide, but has the permission only in namespace payments",
    )
    root = access(subject={"kind": "User", "name": "root"}, namespaces=[], clusterWide=True)
    assert doubts(parse_approvals(root), state("A")) == ()
