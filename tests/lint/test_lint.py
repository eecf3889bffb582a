"""What lint says of files: each rule through its own cases, and what mending leaves alone."""

from __future__ import annotations

import datetime
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml as pyyaml
from conftest import ROOT, STATES, Run, binding, environment, role, rule, user
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rbacguard.errors import InputError, OutputError
from rbacguard.kubevirt.releases import parse_release
from rbacguard.lint import RULES, Linting, LintRequest, fixed, lint, write_fixed
from rbacguard.sources import yaml

CASES = sorted((Path(__file__).parent / "cases").glob("*/*.yaml"))
BY_RULE = {each.id: each for each in RULES}
TODAY = datetime.date(2026, 11, 23)
REQUEST = LintRequest(TODAY)
TEMPORARY = "temporary-role-in-git"
DOCUMENTED = next(case for case in CASES if case.stem == "fires-as-documented")


def request_of(case: Path) -> LintRequest:
    release = re.match(r"# release: (\S+)\n", case.read_text())
    return LintRequest(TODAY, parse_release(release[1]) if release else None)


def messages(linting: Linting) -> str:
    return "".join(
        f"{each.line}:{each.column}: {each.rule.severity}: {each.message} [{each.rule.id}]\n"
        for each in linting.findings
    )


@pytest.mark.parametrize("case", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_case_gives_exactly_these_findings_and_this_change(
    case: Path, golden: Callable[[Path, str], None]
) -> None:
    found = lint([str(case)], request_of(case))
    fires = case.stem.startswith("fires")
    assert fires == any(each.rule.id == case.parent.name for each in found.findings)
    assert fires or not found.findings
    changes = fixed(found, request_of(case))
    diff = "".join(line for each in changes for line in each.diff.splitlines(keepends=True)[2:])
    golden(case.with_suffix(".out"), messages(found) + diff)


@pytest.mark.parametrize("rule_id", BY_RULE)
def test_every_rule_has_a_firing_and_a_silent_case_and_says_why(rule_id: str) -> None:
    stems = [case.stem for case in CASES if case.parent.name == rule_id]
    assert any(stem.startswith("fires") for stem in stems)
    assert any(stem.startswith("silent") for stem in stems)
    assert len(BY_RULE[rule_id].rationale) > 40
    assert BY_RULE[rule_id].remediation.endswith(".")


@pytest.mark.parametrize("case", [c for c in CASES if c.stem.startswith("fires")], ids=str)
def test_mending_changes_only_what_was_found_and_nothing_is_left_to_mend(
    case: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "a.yaml"
    copy.write_bytes(case.read_bytes())
    copy.chmod(0o640)
    before = lint([str(copy)], REQUEST)
    changes = fixed(before, REQUEST)
    write_fixed(changes)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    after = lint([str(copy)], REQUEST)
    assert not [each for each in after.findings if each.edits]
    text, new = case.read_text(), copy.read_text()
    edits = [edit for each in before.findings for edit in each.edits]
    touched = {text.count("\n", 0, position) for e in edits for position in (e.start, e.end)}
    kept = new.splitlines()
    assert all(line in kept or n in touched for n, line in enumerate(text.splitlines()))
    assert re.findall("#.*", text) == re.findall("#.*", new)


def test_line_endings_a_byte_order_mark_and_the_last_line_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = DOCUMENTED.read_text().replace("\n", "\r\n").rstrip()
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + "\r\n# größer ✓".encode())
    write_fixed(fixed(lint([str(path)], REQUEST), REQUEST))
    expected = text.replace("admin=true", 'admin: "true"') + "\r\n# größer ✓"
    assert b"\xef\xbb\xbf" + expected.encode() == path.read_bytes()


def test_json_is_read_with_places_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = role("x", rule("create", "kubevirt.io", "pods"), labels={})
    value["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-admin": True}
    path.write_text(json.dumps(value, indent="\t"))
    found = lint([str(path)], REQUEST)
    (finding,) = found.findings
    line = path.read_text().splitlines()[finding.line - 1]
    assert line[finding.column - 1 :].startswith('"rbac.authorization')
    write_fixed(fixed(found, REQUEST))
    value["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}
    assert json.dumps(value, indent="\t") == path.read_text()


def test_json_that_yaml_cannot_read_is_checked_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = role("\U0001f600", labels={})
    value["metadata"]["labels"] = "a=b"
    path.write_text(json.dumps(value))
    (finding,) = lint([str(path)], REQUEST).findings
    assert (
        finding.rule.id,
        finding.line,
        finding.column,
        finding.edits,
    ) == ("labels-not-a-map", 1, 1, ())


def test_items_of_lists_have_their_own_places(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    items = [binding("a", "kubevirt.io/migrate", user("ann"), namespace="web"), role("b")]
    path.write_text(pyyaml.safe_dump({"kind": "List", "apiVersion": "v1", "items": items}))
    (finding,) = lint([str(path)], REQUEST).findings
    assert "kubevirt.io/migrate" in path.read_text().splitlines()[finding.line - 1]


def repository(root: Path) -> Path:
    """Write a repository as platform teams have them: a chart, an overlay, other files."""
    for name, text in {
        "chart/Chart.yaml": "name: x\nversion: 1.0.0\n",
        "chart/values.yaml": "name: x\n",
        "chart/templates/role.yaml": "kind: ClusterRole\nmetadata: {name: {{ .Values.name }}}\n",
        "chart/templates/plain.yaml": "kind: ClusterRole\nmetadata: {name: a}\n",
        "other/template.yaml": "kind: ClusterRole\nmetadata:\n  name: {{ name }}\n",
        "overlay/kustomization.yaml": "resources: [../base]\npatches:\n- path: ./labels.yaml\n",
        "overlay/labels.yaml": "kind: ClusterRole\nmetadata: {name: a, labels: {a: true}}\n",
        "base/kustomization.yaml": "resources: [role.yaml]\n",
        "base/role.yaml": DOCUMENTED.read_text(),
        "notes.yaml": "a: [1\n",
        "deploy.yaml": "kind: Deployment\napiVersion: apps/v1\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_templates_and_patches_are_passed_over_with_a_note(tmp_path: Path) -> None:
    found = lint([str(repository(tmp_path))], REQUEST)
    assert {"base/role.yaml"} == {
        os.path.relpath(each.file.name, tmp_path) for each in found.findings
    }
    passed = {os.path.relpath(each.file, tmp_path): each.reason for each in found.passed}
    helm = "a Helm template; lint what 'helm template' gives"
    assert passed == {
        "chart/templates/plain.yaml": helm,
        "chart/templates/role.yaml": helm,
        "notes.yaml": "not well-formed, and no RBAC by its words",
        "other/template.yaml": "a template; lint what it renders to",
        "overlay/labels.yaml": "a patch; lint what 'kustomize build' gives",
    }
    assert (found.objects, found.others) == (1, 1)


def test_a_single_template_of_a_chart_is_recognized_by_its_chart(tmp_path: Path) -> None:
    root = repository(tmp_path)
    found = lint([str(root / "chart/templates/plain.yaml")], REQUEST)
    assert [each.reason.partition(";")[0] for each in found.passed] == ["a Helm template"]


def test_rendered_input_comes_on_standard_input(run: Run, tmp_path: Path) -> None:
    done = run("lint", "-", input=DOCUMENTED.read_text())
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("-:7:3: high: ClusterRole kubevirt.io:upgrademigrate: metadata.")
    assert "not asked: whether it is time" in done.stdout
    fixing = run("lint", "--fix", "-", input=DOCUMENTED.read_text())
    assert fixing.returncode == 1
    assert "fixed" not in fixing.stdout


def test_what_helm_and_kustomize_render_is_taken_on_standard_input(
    run: Run, helm: str, kubectl: str, tmp_path: Path
) -> None:
    chart, overlay = tmp_path / "chart", tmp_path / "overlay"
    (chart / "templates").mkdir(parents=True)
    overlay.mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: x\nversion: 1.0.0\n")
    manifest = DOCUMENTED.read_text().replace("upgrademigrate", "{{ .Values.role }}")
    (chart / "templates/role.yaml").write_text(manifest)
    (chart / "values.yaml").write_text("role: mine\n")
    (overlay / "role.yaml").write_text(DOCUMENTED.read_text())
    (overlay / "kustomization.yaml").write_text("resources: [role.yaml]\n")
    assert not lint([str(chart)], REQUEST).objects
    for command in ([helm, "template", str(chart)], [kubectl, "kustomize", str(overlay)]):
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment(tmp_path)
        )
        found = run("lint", "-", input=done.stdout)
        assert "[labels-not-a-map]" in found.stdout, found.stdout + found.stderr


def test_fix_shows_the_change_first_and_diff_writes_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(DOCUMENTED.read_bytes())
    shown = run("lint", "--diff", str(path))
    assert (1, DOCUMENTED.read_bytes()) == (shown.returncode, path.read_bytes())
    assert subprocess.run(
        ["patch", "-p1", "--dry-run", "-d/"], input=shown.stdout, text=True, check=True,
        capture_output=True,
    ).returncode == 0  # fmt: skip
    done = run("lint", "--fix", str(path))
    assert (0, shown.stdout) == (done.returncode, done.stderr)
    assert "no findings; 1 fixed; 1 RBAC object in 1 file" in done.stdout
    assert DOCUMENTED.read_text().replace("admin=true", 'admin: "true"') == path.read_text()
    assert "give one of them" in run("lint", "--fix", "--diff", str(path)).stderr


def test_links_are_checked_but_never_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target.yaml"
    target.write_bytes(DOCUMENTED.read_bytes())
    link = tmp_path / "repo/link.yaml"
    link.parent.mkdir()
    link.symlink_to(target)
    found = lint([str(link.parent)], REQUEST)
    assert (len(found.findings), fixed(found, REQUEST)) == (1, ())


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(DOCUMENTED.read_bytes())
    changes = fixed(lint([str(path)], REQUEST), REQUEST)
    path.write_text("kind: other\n")
    with pytest.raises(OutputError, match="changed since it was read"):
        write_fixed(changes)
    assert path.read_text() == "kind: other\n"


def test_nothing_to_check_is_said_and_nothing_named_is_an_error(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "a.yaml"
    other.write_text("kind: Deployment\napiVersion: apps/v1\n")
    done = run("lint", str(other))
    assert (done.returncode, done.stdout) == (0, "No RBAC object in 1 file: nothing was checked\n")
    assert run("lint", str(tmp_path / "none.yaml")).returncode == 2
    assert run("lint").returncode == 2
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(InputError, match="no .yaml"):
        lint([str(folder)], REQUEST)


def test_the_exit_code_follows_the_severity(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(binding("a", "acme:thing", user("ann"), namespace="web")))
    assert run("lint", str(path)).returncode == 0
    assert run("lint", str(path), "--fail-on", "low").returncode == 1
    assert run("lint", str(path), "--fail-on", "low", "--known-role", "acme:*").returncode == 0
    assert run("lint", str(DOCUMENTED), "--exit-zero").returncode == 0
    wrong = run("lint", str(path), "--kubernetes", "1.2")
    assert wrong.returncode == 2
    assert "no schemas for Kubernetes 1.2" in wrong.stderr


@pytest.mark.parametrize("layout", ["plain", "kustomize", "argocd", "flux", "acm"])
def test_the_tools_own_bundle_is_clean(run: Run, tmp_path: Path, layout: str) -> None:
    out = tmp_path / "out"
    made = run(
        *("generate", "-f", str(STATES["A"]), "--to", "4.20", "--out", str(out)),
        *("--layout", layout, "--strategy", "temporary-role", "--temporary-role", "edit"),
        *("--approvals", str(ROOT / "examples/approvals.yaml"), "--expires", "2099-01-01"),
        *("--repo-url", "https://git.example/x"),
    )
    assert made.returncode == 0, made.stderr
    found = lint([str(out)], LintRequest(TODAY, parse_release("4.18")))
    assert messages(found) == ""


@pytest.mark.parametrize("letter", "AD")
def test_a_real_cluster_is_valid_and_nothing_in_it_would_be_mended(letter: str) -> None:
    found = lint([str(STATES[letter])], REQUEST)
    assert found.objects > 100
    wrong = [each for each in found.findings if each.rule.id in ("not-valid", "value-not-text")]
    assert [each.message for each in wrong] == []
    assert not [each for each in found.findings if each.edits]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=6), st.just("kubevirt.io/x")
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3),
    st.dictionaries(st.sampled_from(["name", "kind", "labels", "namespace", "verbs", "a=b"]), inner,
                    max_size=4)), max_leaves=8,
)  # fmt: skip


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"]),
    fields=st.dictionaries(
        st.sampled_from(["metadata", "rules", "roleRef", "subjects", "aggregationRule", "x"]),
        ANYTHING,
    ),
)
def test_whatever_stands_in_a_manifest_there_is_an_answer_and_mending_keeps_the_objects(
    tmp_path: Path, kind: str, fields: dict[str, Any]
) -> None:
    path = tmp_path / "a.yaml"
    value = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, **fields}
    path.write_text(pyyaml.safe_dump(value))
    found = lint([str(path)], REQUEST)
    assert found.objects == 1 or any(each.object is None for each in found.findings)
    for each in fixed(found, REQUEST):
        (document,) = yaml.documents(each.after)
        assert isinstance(document.value, dict)
        assert kind == document.value["kind"]
        assert set(value) == set(document.value)


def test_odd_names_are_harmless_on_a_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(role("\x1b[31mred\u202e", labels={"a": "\x1b]0;t\x07"})))
    done = run("lint", str(path))
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mred\\u202e" in done.stdout


def test_the_hook_runs_lint_as_pre_commit_would(tmp_path: Path) -> None:
    (hook,) = pyyaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (hook["id"], hook["language"]) == ("rbacguard-lint", "python")
    program, *arguments = hook["entry"].split()
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments, *hook.get("args", []), DOCUMENTED],
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path),
    )
    assert done.returncode == 1
    assert "labels-not-a-map" in done.stdout
    checked = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", ".pre-commit-hooks.yaml"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(tmp_path),
    )
    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.parametrize(("letter", "temporary"), [("A", 0), ("B", 1), ("C", 1), ("D", 0)])
def test_the_roles_of_a_cluster_are_no_temporary_ones(letter: str, temporary: int) -> None:
    """Up to 4.18 KubeVirt's own roles hand migration to namespace administrators, by labels."""
    before = lint([str(STATES[letter])], REQUEST)
    left = "whether it is time to delete the temporary role (1 found)"
    assert [each.partition(":")[0] for each in before.not_asked] == [left] * temporary
    after = lint([str(STATES[letter])], LintRequest(TODAY, parse_release("4.20")))
    named = [each.message.split()[0] for each in after.findings if each.rule.id == TEMPORARY]
    assert named == ["kubevirt.io:upgrademigrate"] * temporary
