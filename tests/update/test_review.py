"""Approvals are held against a cluster, resolved by its labels, and brought up to date."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    ROOT,
    STATES,
    Run,
    account,
    binding,
    group,
    objects,
    role,
    rule,
    state,
    user,
)

from rbacguard import Snapshot
from rbacguard.approvals import model as approvals
from rbacguard.approvals.check import review
from rbacguard.approvals.model import MigrationAccess, load_approvals, parse_approvals
from rbacguard.errors import InputError
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, bound_to_migrate
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.kubevirt.releases import parse_release
from rbacguard.rbac import Subject
from rbacguard.sources import from_objects
from rbacguard.update.plan import make_plan
from rbacguard.update.propose import new_entries, propose_approvals
from rbacguard.update.verify import Result, verify

TODAY = datetime.date(2026, 11, 23)
APPROVALS = str(ROOT / "examples" / "approvals.yaml")
A = str(STATES["A"].relative_to(ROOT))


def access(*entries: dict[str, Any], **more: Any) -> MigrationAccess:
    value = {"apiVersion": "rbacguard.io/v1alpha1", "kind": "MigrationAccess"}
    return parse_approvals({**value, "approvals": list(entries), **more})


def entry(who: dict[str, str], **more: Any) -> dict[str, Any]:
    subject = {key: value for key, value in who.items() if key != "apiGroup"}
    scope = {} if {"clusterWide", "namespaceSelector"} & more.keys() else {"namespaces": ["web"]}
    return {"subject": subject, "approved": True, **scope, **more}


def remarks(found: MigrationAccess, letter: str = "A") -> dict[str, str]:
    return {r.id: r.message for r in review(found, state(letter), today=TODAY)}


def test_the_example_has_nothing_odd() -> None:
    assert review(load_approvals(APPROVALS), state("A"), today=TODAY) == ()


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown-name": (
        entry(user("allice")),
        "User allice is named nowhere in the input; is it spelt right?",
    ),
    "unknown-namespace": (
        entry(user("carol"), namespaces=["wep"]),
        "namespace wep is not in the input",
    ),
    "expired": (
        entry(user("carol"), expires="2026-11-22"),
        "the approval of User carol has expired on 2026-11-22",
    ),
    "ends-soon": (
        entry(user("carol"), expires="2026-12-07"),
        "the approval of User carol ends on 2026-12-07, in 14 days",
    ),
    "broader-than-held": (
        entry(user("carol"), clusterWide=True),
        "User carol is approved in the whole cluster, but holds migration in 1 namespaces only",
    ),
    "granted-anew": (
        entry(user("carol"), namespaces=["data"]),
        "User carol holds no migration in data now: this grants it anew",
    ),
    "group-of-everybody": (
        entry(group("system:authenticated"), clusterWide=True),
        "Group system:authenticated is everybody",
    ),
    "group-of-accounts": (
        entry(group("system:serviceaccounts:batch"), namespaces=["batch"]),
        "Group system:serviceaccounts:batch is every service account, of today and to come",
    ),
    "held-otherwise": (
        entry(user("root")),
        "User root holds it in web already, by ClusterRoleBinding cluster-admins to cluster-admin",
    ),
    "selects-nothing": (
        entry(user("carol"), namespaceSelector={"matchLabels": {"no": "such"}}),
        "the selector of User carol selects no namespace",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_said(kind: str) -> None:
    found, message = ODD[kind]
    assert remarks(access(found))[kind] == message


def test_a_day_that_is_not_over_counts_and_a_later_end_is_no_news() -> None:
    today = access(entry(user("carol"), expires="2026-11-23"))
    assert remarks(today)["ends-soon"].endswith("ends on 2026-11-23, today")
    later = access(entry(user("carol"), expires="2026-12-08"))
    assert remarks(later) == {}


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
def test_a_name_is_known_as_what_it_is(who: dict[str, str], known: bool) -> None:
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
    found = review(access(entry(who, approved=False)), snapshot, today=TODAY)
    assert ("unknown-name" in {each.id for each in found}) is not known


def test_without_accounts_in_the_input_their_namespace_has_to_be_there() -> None:
    known = review(access(entry(account("any", "web"), approved=False)), state("A"), today=TODAY)
    assert known == ()
    lost = review(access(entry(account("any", "wep"), approved=False)), state("A"), today=TODAY)
    assert [each.id for each in lost] == ["unknown-name"]


def test_a_selector_among_namespaces_that_are_not_all_known_is_told_with_the_reason() -> None:
    kept = [each for each in objects("A") if each["kind"] != "Namespace"]
    found = access(entry(user("carol"), namespaceSelector={"matchLabels": {"a": "b"}}))
    said = {r.id: r.message for r in review(found, from_objects(kept), today=TODAY)}
    assert said["selection-unknown"] == (
        "which namespaces are selected is not all known: Namespace: not in the input"
    )


def test_a_remark_says_where_it_stands() -> None:
    holder = {"subject": {"kind": "User", "name": "nobody"}, "clusterWide": True, "accepted": True}
    twice = {"subject": {"kind": "User", "name": "carol"}, "clusterWide": True, "approved": True}
    found = review(access(twice, twice, holders=[holder, holder]), state("A"), today=TODAY)
    said = [(each.id, each.place, each.message) for each in found]
    unknown = "User nobody is named nowhere in the input; is it spelt right?"
    assert ("unknown-name", "holders[0]", unknown) in said
    assert ("unknown-name", "holders[1]", unknown) in said
    again = "User carol in the whole cluster stands in approvals[0] too"
    assert ("given-twice", "approvals[1]", again) in said
    other = "User nobody in the whole cluster stands in holders[0] too"
    assert ("given-twice", "holders[1]", other) in said


def test_a_file_that_is_none_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "approvals.yaml"

    def refused(data: bytes) -> str:
        file.write_bytes(data)
        with pytest.raises(InputError) as caught:
            load_approvals(str(file))
        return str(caught.value).replace(str(file), "FILE")

    head = b"apiVersion: rbacguard.io/v1alpha1\nkind: MigrationAccess\n"
    assert refused(b"a: 1\nb: [\n") == (
        "FILE, line 3: not well-formed YAML: did not find expected node content"
    )
    assert refused(b"\xff").startswith("FILE: not well-formed YAML: unacceptable character #")
    assert refused(b"") == "FILE: expected one MigrationAccess document, found 0"
    assert refused(head + b"---\n" + head) == (
        "FILE: expected one MigrationAccess document, found 2"
    )
    assert refused(head + b"kind: MigrationAccess\napiVersion: x\n") == (
        "FILE, line 3: key 'kind' is given twice"
    )
    assert refused(b"kind: MigrationAccess\n") == "FILE: apiVersion: field required"
    with pytest.raises(InputError, match=r"^none: No such file or directory$"):
        load_approvals("none")


def test_a_file_of_too_many_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "approvals.yaml"
    file.write_text("apiVersion: rbacguard.io/v1alpha1\nkind: MigrationAccess\n")
    size = file.stat().st_size
    monkeypatch.setattr(approvals, "MAX_BYTES", size)
    assert load_approvals(str(file)).approvals == []
    monkeypatch.setattr(approvals, "MAX_BYTES", size - 1)
    with pytest.raises(InputError, match=f"larger than {size - 1} bytes, expected an approvals"):
        load_approvals(str(file))


def test_decisions_that_contradict_each_other_name_the_place() -> None:
    yes = entry(user("carol"), clusterWide=True)
    no = entry(user("carol"), clusterWide=True, approved=False)
    with pytest.raises(InputError) as caught:
        access(yes, no)
    assert str(caught.value) == (
        "approvals: approvals[1]: User carol in the whole cluster is approved in one entry and not "
        "in another; keep one of them"
    )
    with pytest.raises(InputError, match=r"^approvals: approvals\[1\]: User carol in web is"):
        access(entry(user("carol")), entry(user("carol"), approved=False))


def test_an_account_of_the_bindings_own_namespace_is_bound_there() -> None:
    more = [
        binding("here", "kubevirt.io:migrate", account("bot"), user("gina"), namespace="web"),
        binding("there", "kubevirt.io:migrate", account("bot", "ci"), namespace="data"),
        binding("other", "view", user("gino"), namespace="web"),
    ]
    snapshot = from_objects(more)
    bot, far = Subject("ServiceAccount", "bot", "web"), Subject("ServiceAccount", "bot", "ci")
    assert set(bound_to_migrate(snapshot)) == {
        RequiredBinding("web", bot),
        RequiredBinding("web", Subject("User", "gina")),
        RequiredBinding("data", far),
    }


def test_many_namespaces_are_cut_short() -> None:
    def anew(*namespaces: str) -> str:
        return remarks(access(entry(user("root2"), namespaces=list(namespaces))))["granted-anew"]

    assert "no migration in batch, data, legacy now" in anew("batch", "data", "legacy")
    assert "no migration in batch, data, legacy and 1 more now" in anew(
        "batch", "data", "legacy", "web"
    )
    assert "no migration in batch, data, legacy and 2 more now" in anew(
        "batch", "data", "legacy", "payments", "web"
    )


def test_who_holds_it_in_the_whole_cluster_is_granted_nothing_anew() -> None:
    found = remarks(access(entry(user("root"), namespaces=["web"])))
    assert "granted-anew" not in found


def held_otherwise(who: dict[str, str], *more: dict[str, Any], **scope: Any) -> str | None:
    snapshot = from_objects([*objects("D"), *more])
    found = review(access(entry(who, **scope)), snapshot, today=TODAY)
    return {each.id: each.message for each in found}.get("held-otherwise")


def test_a_binding_for_the_whole_cluster_makes_one_for_a_namespace_needless() -> None:
    wide = binding("wide", "kubevirt.io:migrate", user("gina"))
    assert held_otherwise(user("gina"), wide) == (
        "User gina holds it in web already, by ClusterRoleBinding wide"
    )
    assert held_otherwise(user("gino"), wide) is None
    here = binding("here", "kubevirt.io:migrate", user("gina"), namespace="web")
    assert held_otherwise(user("gina"), here) is None
    assert held_otherwise(user("gina"), wide, clusterWide=True) is None
    assert held_otherwise(group("gina"), wide) is None


def test_what_is_held_by_two_roles_together_is_told_by_the_first() -> None:
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
    assert held_otherwise(user("zoe"), *parts) == (
        "User zoe holds it in web already, by RoleBinding web/by-one to one"
    )
    assert held_otherwise(user("zoe"), *parts[1:]) is None


def test_a_grant_of_ones_own_for_the_whole_cluster_is_told_as_such() -> None:
    assert held_otherwise(user("root"), clusterWide=True) == (
        "User root holds it in the whole cluster already, by ClusterRoleBinding cluster-admins to "
        "cluster-admin"
    )


@pytest.mark.parametrize("namespace", ["", "web"])
def test_a_members_group_may_be_bound_here_or_everywhere(namespace: str) -> None:
    members = {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": "ops"},
        "users": ["gina"],
    }
    bound = binding("ops", "kubevirt.io:migrate", group("ops"), namespace=namespace)
    told = "User gina holds it in web already, as a member of Group ops"
    assert held_otherwise(user("gina"), members, bound) == told
    elsewhere = binding("ops", "kubevirt.io:migrate", group("ops"), namespace="data")
    assert held_otherwise(user("gina"), members, elsewhere) is None


def test_what_ends_within_a_time_is_told_by_its_days() -> None:
    cases: dict[str, dict[str, Any]] = {
        "past": {"expires": "2026-11-22"},
        "today": {"expires": "2026-11-23"},
        "last": {"expires": "2026-12-03"},
        "later": {"expires": "2026-12-04"},
        "never": {},
        "refused": {"expires": "2026-11-24", "approved": False},
    }
    found = access(*(entry(user(name), **more) for name, more in cases.items()))
    ending = found.ending(TODAY, datetime.timedelta(days=10))
    assert [each.subject.name for each in ending] == ["today", "last"]


def test_what_is_not_approved_raises_no_doubt_but_of_its_spelling() -> None:
    refused = entry(group("system:authenticated"), clusterWide=True, approved=False)
    assert remarks(access(refused)) == {}


def test_a_member_of_an_approved_group_has_it_already() -> None:
    member = objects("D")
    found = [
        o for o in member if o["kind"] == "Group" and o["metadata"]["name"] == "payments-admins"
    ]
    bound = access(entry(user(found[0]["users"][0]), namespaces=["payments"]))
    assert "as a member of Group payments-admins" in remarks(bound, "D")["held-otherwise"]


def test_given_twice_is_said() -> None:
    twice = access(entry(user("carol")), entry(user("carol"), namespaces=["data", "web"]))
    assert remarks(twice)["given-twice"] == "User carol in web stands in approvals[0] too"


def labelled(*names: str) -> Snapshot:
    items = objects("D")
    for item in items:
        if item["kind"] == "Namespace" and item["metadata"]["name"] in names:
            item["metadata"]["labels"] = {"team": "vm"}
    return from_objects(items)


SELECTED = entry(user("carol"), namespaceSelector={"matchLabels": {"team": "vm"}})


def test_a_selector_approves_in_the_namespaces_that_it_selects() -> None:
    found = access(SELECTED).resolved(labelled("web", "data"))
    carol = Subject("User", "carol")
    assert found.approved(TODAY) == (RequiredBinding("data", carol), RequiredBinding("web", carol))
    assert access(SELECTED).resolved(labelled()).approved(TODAY) == ()
    expression = {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["x"]}]}
    everywhere = access(entry(user("carol"), namespaceSelector=expression)).resolved(
        labelled("web")
    )
    assert {need.namespace for need in everywhere.approved(TODAY)} >= {"web", "data", "payments"}


def test_verify_goes_by_the_namespaces_of_today() -> None:
    file = load_approvals(APPROVALS)
    others = [each.model_dump(mode="json", by_alias=True) for each in file.approvals[:2]]
    for other in others:
        other.pop("namespaceSelector")
    found = access(*others, SELECTED)
    clean = verify(labelled("web"), found, before=state("A"), today=TODAY)
    assert clean.result is Result.PASSED
    missing = verify(labelled("web", "data"), found, before=state("A"), today=TODAY)
    assert "User carol is approved in data but not bound" in str(missing.checks)


def test_a_selection_among_namespaces_that_were_not_read_is_not_known() -> None:
    partial = from_objects([o for o in objects("D") if o["kind"] != "Namespace"])
    assert verify(partial, access(SELECTED), today=TODAY).result is not Result.PASSED
    (check,) = [
        c for c in verify(partial, access(SELECTED), today=TODAY).checks if c.id == "input-complete"
    ]
    assert "Namespace: not in the input" in check.details
    assert "selection-unknown" in {r.id for r in review(access(SELECTED), partial, today=TODAY)}


def test_a_selector_that_contradicts_a_decision_is_refused() -> None:
    both = access(SELECTED, entry(user("carol"), approved=False))
    with pytest.raises(InputError) as caught:
        both.resolved(labelled("web"))
    assert str(caught.value) == (
        "approvals: approvals[1]: User carol in web is approved in one entry and not in another; "
        "keep one of them"
    )


def test_a_holder_may_be_accepted_by_selector() -> None:
    holder = {key: value for key, value in SELECTED.items() if key != "approved"}
    found = access(holders=[{**holder, "accepted": True}])
    assert found.accepted_needs() == frozenset()
    assert found.resolved(labelled("web", "data")).accepted_needs() == {
        RequiredBinding("web", Subject("User", "carol")),
        RequiredBinding("data", Subject("User", "carol")),
    }


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "values"),
        ({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}, "operator"),
        ({"namespaceSelector": {"matchLabels": {"a": 1}}}, "valid string"),
        ({"namespaceSelector": {}, "clusterWide": True}, "give one of"),
        ({"namespaceSelector": {}, "namespaces": ["a"]}, "give one of"),
    ],
)
def test_a_selector_that_cannot_be_is_refused(scope: dict[str, Any], expected: str) -> None:
    value = {"subject": {"kind": "User", "name": "a"}, "approved": True, **scope}
    with pytest.raises(InputError, match=expected):
        access(value)


def proposed() -> MigrationAccess:
    return propose_approvals(state("A"), make_plan(state("A"), parse_release("4.20")))


def test_new_entries_are_those_in_no_decision() -> None:
    decided = load_approvals(APPROVALS)
    added = new_entries(decided, proposed())
    known = {need for each in decided.approvals for need in each.needs}
    wanted = {need for each in proposed().approvals for need in each.needs}
    assert {need for each in added.approvals for need in each.needs} == wanted - known
    assert not any(each.approved for each in added.approvals)
    everywhere = access(entry(user("alice"), clusterWide=True, approved=False))
    again = new_entries(everywhere, proposed())
    assert not any(each.subject.name == "alice" for each in again.approvals)


def test_merge_keeps_every_line_and_adds_only_once(run: Run, tmp_path: Path) -> None:
    before = Path(APPROVALS).read_text("utf-8")
    path = tmp_path / "approvals.yaml"
    path.write_text(before, "utf-8")
    first = run("approvals", "merge", str(path), "-f", A, "--to", "4.20")
    assert first.returncode == 0, first.stderr
    after = path.read_text("utf-8")
    assert after.startswith(before)
    merged = load_approvals(str(path))
    assert merged.approvals[: len(load_approvals(APPROVALS).approvals)] == (
        load_approvals(APPROVALS).approvals
    )
    assert new_entries(merged, proposed()) == access()
    second = run("approvals", "merge", str(path), "-f", A, "--to", "4.20")
    assert "0 to decide on were added" in second.stderr
    assert path.read_text("utf-8") == after


def test_init_writes_what_generate_would_and_check_finds_nothing_to_object(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "approvals.yaml"
    made = run("approvals", "init", "-f", A, "--to", "4.20", "-o", str(path))
    assert made.returncode == 0, made.stderr
    assert load_approvals(str(path)) == proposed()
    assert run("approvals", "init", "-f", A, "--to", "4.20", "-o", str(path)).returncode == 2
    checked = run("approvals", "check", str(path), "-f", A, "--today", "2026-11-23")
    assert checked.returncode == 0, checked.stdout


def test_check_exits_1_on_what_weighs_and_3_on_gaps(run: Run, tmp_path: Path) -> None:
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
    assert "the approval of User alice ends on 2026-12-01, in 8 days" in announced.stdout
