"""Entries for an approvals file are proposed from a plan, and merged into a file."""

from __future__ import annotations

from pathlib import Path

from approval_files import APPROVALS, TODAY, access, entry
from conftest import ROOT, STATES, Run, account, binding, state, user

from rbacguard.approvals.model import MigrationAccess, load_approvals
from rbacguard.approvals.resolve import Decisions
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, bound_to_migrate
from rbacguard.kubevirt.releases import parse_release
from rbacguard.rbac import Subject
from rbacguard.sources import from_objects
from rbacguard.update.plan import make_plan
from rbacguard.update.propose import new_entries, propose_approvals

A = str(STATES["A"].relative_to(ROOT))


def test_a_service_account_without_namespace_is_bound_in_that_of_the_binding() -> None:
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


def proposed() -> MigrationAccess:
    return propose_approvals(state("A"), make_plan(state("A"), parse_release("4.20")))


def test_new_entries_are_not_in_the_file() -> None:
    decided = load_approvals(APPROVALS)
    added = new_entries(Decisions(decided, TODAY), proposed())
    known = {pair for each in decided.approvals for pair in each.pairs}
    wanted = {pair for each in proposed().approvals for pair in each.pairs}
    assert {pair for each in added.approvals for pair in each.pairs} == wanted - known
    assert not any(each.approved for each in added.approvals)
    everywhere = access(entry(user("alice"), clusterWide=True, approved=False))
    again = new_entries(Decisions(everywhere, TODAY), proposed())
    assert not any(each.subject.name == "alice" for each in again.approvals)


def test_merge_keeps_every_line_and_adds_each_entry_once(run: Run, tmp_path: Path) -> None:
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
    assert new_entries(Decisions(merged, TODAY), proposed()) == access()
    second = run("approvals", "merge", str(path), "-f", A, "--to", "4.20")
    assert "0 to decide on were added" in second.stderr
    assert path.read_text("utf-8") == after


def test_init_writes_the_proposal_and_check_finds_no_issues(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "approvals.yaml"
    made = run("approvals", "init", "-f", A, "--to", "4.20", "-o", str(path))
    assert made.returncode == 0, made.stderr
    assert load_approvals(str(path)) == proposed()
    assert run("approvals", "init", "-f", A, "--to", "4.20", "-o", str(path)).returncode == 2
    checked = run("approvals", "check", str(path), "-f", A, "--today", "2026-11-23")
    assert checked.returncode == 0, checked.stdout
