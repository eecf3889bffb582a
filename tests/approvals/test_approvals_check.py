"""The issues of an approvals file, found by comparison with a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from approval_files import APPROVALS, TODAY, access, entry
from conftest import ROOT, STATES, Run, account, binding, group, objects, role, rule, state, user

from rbacguard.approvals.check import check_approvals
from rbacguard.approvals.model import MigrationAccess, load_approvals
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.sources import from_objects

A = str(STATES["A"].relative_to(ROOT))


def messages(found: MigrationAccess, letter: str = "A") -> dict[str, str]:
    return {r.id: r.message for r in check_approvals(found, state(letter), today=TODAY)}


def test_the_example_has_no_issues() -> None:
    assert check_approvals(load_approvals(APPROVALS), state("A"), today=TODAY) == ()


ISSUES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown-name": (
        entry(user("allice")),
        "User allice was not found in the input; check the spelling",
    ),
    "unknown-namespace": (
        entry(user("carol"), namespaces=["wep"]),
        "namespace wep was not found in the input",
    ),
    "expired": (
        entry(user("carol"), expires="2026-11-22"),
        "the approval of User carol expired on 2026-11-22",
    ),
    "expires-soon": (
        entry(user("carol"), expires="2026-12-07"),
        "the approval of User carol expires on 2026-12-07, in 14 days",
    ),
    "wider-than-now": (
        entry(user("carol"), clusterWide=True),
        "User carol is approved cluster-wide, but has the permission only in namespace web",
    ),
    "new-grant": (
        entry(user("carol"), namespaces=["data"]),
        "User carol does not have the permission in namespace data now; the approval grants it",
    ),
    "group-of-all-users": (
        entry(group("system:authenticated"), clusterWide=True),
        "Group system:authenticated includes all users",
    ),
    "group-of-service-accounts": (
        entry(group("system:serviceaccounts:batch"), namespaces=["batch"]),
        "Group system:serviceaccounts:batch includes current and future service accounts",
    ),
    "already-granted": (
        entry(user("root")),
        (
            "User root already has the permission in namespace web, through "
            "ClusterRoleBinding cluster-admins to cluster-admin"
        ),
    ),
    "selects-nothing": (
        entry(user("carol"), namespaceSelector={"matchLabels": {"no": "such"}}),
        "the selector of User carol selects no namespace",
    ),
}


@pytest.mark.parametrize("kind", ISSUES)
def test_an_issue_has_a_message(kind: str) -> None:
    found, message = ISSUES[kind]
    assert messages(access(found))[kind] == message


def test_an_approval_includes_its_last_day_and_a_later_expiry_is_not_reported() -> None:
    today = access(entry(user("carol"), expires="2026-11-23"))
    assert messages(today)["expires-soon"].endswith("expires on 2026-11-23, today")
    later = access(entry(user("carol"), expires="2026-12-08"))
    assert messages(later) == {}


@pytest.mark.parametrize(
    ("who", "known"),
    [
        (user("gerda"), True),
        (group("gerda"), False),
        (group("ops"), True),
        (user("ops"), False),
        (user("system:admin"), True),
        (group("system:cluster-admins"), True),
        (user("carol"), True),
        (group("carol"), False),
        (account("idle", "web"), True),
        (account("gone", "web"), False),
        (account("idle", "data"), False),
    ],
)
def test_a_name_is_known_for_its_kind_only(who: dict[str, str], known: bool) -> None:
    more = [
        {
            "apiVersion": "user.openshift.io/v1",
            "kind": "Group",
            "metadata": {"name": "ops"},
            "users": ["gerda"],
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "idle", "namespace": "web"},
        },
    ]
    snapshot = from_objects([*objects("A"), *more])
    found = check_approvals(access(entry(who, approved=False)), snapshot, today=TODAY)
    assert ("unknown-name" in {each.id for each in found}) is not known


def test_without_service_accounts_in_the_input_their_namespace_must_exist() -> None:
    known = check_approvals(
        access(entry(account("any", "web"), approved=False)), state("A"), today=TODAY
    )
    assert known == ()
    lost = check_approvals(
        access(entry(account("any", "wep"), approved=False)), state("A"), today=TODAY
    )
    assert [each.id for each in lost] == ["unknown-name"]


def test_a_selector_is_unknown_if_namespaces_were_not_read() -> None:
    kept = [each for each in objects("A") if each["kind"] != "Namespace"]
    found = access(entry(user("carol"), namespaceSelector={"matchLabels": {"a": "b"}}))
    said = {r.id: r.message for r in check_approvals(found, from_objects(kept), today=TODAY)}
    assert said["selection-unknown"] == (
        "the selected namespaces are not all known: Namespace: not in the input"
    )


def test_an_issue_names_its_entry() -> None:
    holder = {"subject": {"kind": "User", "name": "nobody"}, "clusterWide": True, "accepted": True}
    twice = {"subject": {"kind": "User", "name": "carol"}, "clusterWide": True, "approved": True}
    found = check_approvals(access(twice, twice, holders=[holder, holder]), state("A"), today=TODAY)
    said = [(each.id, each.entry, each.message) for each in found]
    unknown = "User nobody was not found in the input; check the spelling"
    assert ("unknown-name", "holders[0]", unknown) in said
    assert ("unknown-name", "holders[1]", unknown) in said
    again = "User carol cluster-wide is also in approvals[0]"
    assert ("duplicate-entry", "approvals[1]", again) in said
    other = "User nobody cluster-wide is also in holders[0]"
    assert ("duplicate-entry", "holders[1]", other) in said


def test_a_long_list_of_namespaces_is_truncated() -> None:
    def anew(*namespaces: str) -> str:
        return messages(access(entry(user("root2"), namespaces=list(namespaces))))["new-grant"]

    assert "not have the permission in namespaces batch, data, legacy now" in anew(
        "batch", "data", "legacy"
    )
    assert "not have the permission in namespaces batch, data, legacy and 1 more now" in anew(
        "batch", "data", "legacy", "web"
    )
    assert "not have the permission in namespaces batch, data, legacy and 2 more now" in anew(
        "batch", "data", "legacy", "payments", "web"
    )


def test_an_approval_of_a_cluster_wide_subject_is_no_new_grant() -> None:
    found = messages(access(entry(user("root"), namespaces=["web"])))
    assert "new-grant" not in found


def other_source(who: dict[str, str], *more: dict[str, Any], **scope: Any) -> str | None:
    snapshot = from_objects([*objects("D"), *more])
    found = check_approvals(access(entry(who, **scope)), snapshot, today=TODAY)
    return {each.id: each.message for each in found}.get("already-granted")


def test_a_cluster_wide_binding_covers_a_namespace() -> None:
    wide = binding("wide", "kubevirt.io:migrate", user("gina"))
    assert other_source(user("gina"), wide) == (
        "User gina already has the permission in namespace web, through ClusterRoleBinding wide"
    )
    assert other_source(user("gino"), wide) is None
    here = binding("here", "kubevirt.io:migrate", user("gina"), namespace="web")
    assert other_source(user("gina"), here) is None
    assert other_source(user("gina"), wide, clusterWide=True) is None
    assert other_source(group("gina"), wide) is None


def test_access_through_two_roles_names_the_first() -> None:
    machines = "virtualmachineinstancemigrations"
    parts = [
        role("one", rule("create", "kubevirt.io", machines)),
        role(
            "two",
            rule("update delete deletecollection patch", "kubevirt.io", machines),
            rule("update", "subresources.kubevirt.io", "virtualmachines/migrate"),
        ),
        binding("by-one", "one", user("zoe"), namespace="web"),
        binding("by-two", "two", user("zoe"), namespace="web"),
    ]
    assert str(live_migration().granting[0]).startswith("create ")
    assert other_source(user("zoe"), *parts) == (
        "User zoe already has the permission in namespace web, through "
        "RoleBinding web/by-one to one"
    )
    assert other_source(user("zoe"), *parts[1:]) is None


def test_an_explicit_cluster_wide_grant_is_named() -> None:
    assert other_source(user("root"), clusterWide=True) == (
        "User root already has the permission cluster-wide, through "
        "ClusterRoleBinding cluster-admins to cluster-admin"
    )


@pytest.mark.parametrize("namespace", ["", "web"])
def test_a_group_of_a_user_can_be_bound_in_the_namespace_or_cluster_wide(namespace: str) -> None:
    members = {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": "ops"},
        "users": ["gina"],
    }
    bound = binding("ops", "kubevirt.io:migrate", group("ops"), namespace=namespace)
    told = "User gina already has the permission in namespace web, as a member of Group ops"
    assert other_source(user("gina"), members, bound) == told
    elsewhere = binding("ops", "kubevirt.io:migrate", group("ops"), namespace="data")
    assert other_source(user("gina"), members, elsewhere) is None


def test_an_entry_that_is_not_approved_is_checked_for_names_only() -> None:
    refused = entry(group("system:authenticated"), clusterWide=True, approved=False)
    assert messages(access(refused)) == {}


def test_a_member_of_an_approved_group_already_has_access() -> None:
    member = objects("D")
    found = [
        o for o in member if o["kind"] == "Group" and o["metadata"]["name"] == "payments-admins"
    ]
    bound = access(entry(user(found[0]["users"][0]), namespaces=["payments"]))
    assert "as a member of Group payments-admins" in messages(bound, "D")["already-granted"]


def test_a_duplicate_entry_is_reported() -> None:
    twice = access(entry(user("carol")), entry(user("carol"), namespaces=["data", "web"]))
    assert (
        messages(twice)["duplicate-entry"] == "User carol in namespace web is also in approvals[0]"
    )


def test_check_exits_1_on_errors_and_warnings(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = Path(APPROVALS).read_text("utf-8")
    path.write_text(text.replace("name: alice", "name: allice"), "utf-8")
    odd = run("approvals", "check", str(path), "-f", A)
    assert odd.returncode == 1
    assert "unknown-name" in odd.stdout
    assert run("approvals", "check", str(path), "-f", A, "--exit-zero").returncode == 0
    path.write_text(
        text.replace("approved: true", 'approved: true\n  expires: "2026-12-01"'), "utf-8"
    )
    soon = ["approvals", "check", str(path), "-f", A, "--today", "2026-11-23"]
    assert run(*soon).returncode == 1
    assert run(*soon, "--warn-before", "5d").returncode == 0
    announced = run(
        *("verify", "-f", str(STATES["D"]), "--before", A, "--approvals", str(path)),
        *("--today", "2026-11-23"),
    )
    assert announced.returncode == 0
    assert "the approval of User alice expires on 2026-12-01, in 8 days" in announced.stdout
