"""Findings that somebody answers for, or that were there before: shown, and not counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import ROOT, STATES, Run, binding, environment, objects, user, write_dump

C = str(STATES["C"])
TODAY = ("--today", "2026-11-23")


def audit(run: Run, *arguments: str, code: int = 1) -> dict[str, Any]:
    done = run("audit", *TODAY, *arguments, "-o", "json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def configured(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "rbacguard.toml"
    path.write_text(text, "utf-8")
    return ["--config", str(path)]


def exemption(rule: str, expires: str = "2026-12-31", more: str = "") -> str:
    return (
        f'[[exemptions]]\nrule = "{rule}"\nowner = "team-vm"\nreason = "known to us"\n'
        f"expires = {expires}\n{more}"
    )


def test_with_a_baseline_only_new_findings_fail(run: Run, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    run("audit", "-f", C, *TODAY, "-o", f"json={baseline}")
    same = audit(run, "-f", C, "--baseline", str(baseline), code=0)
    assert {f["suppressed"]["by"] for f in same["findings"]} == {"baseline"}
    new = binding("all", "kubevirt.io:migrate", {**user("x"), "kind": "Group",
                  "name": "system:authenticated"})  # fmt: skip
    dump = write_dump(tmp_path / "dump.json", [*objects("C"), new])
    found = audit(run, "-f", dump, "--baseline", str(baseline))
    counting = [f for f in found["findings"] if f["suppressed"] is None]
    assert counting
    assert all("system:authenticated" in f["message"] for f in counting)


def test_an_exempt_finding_is_shown_with_owner_and_day_and_does_not_count(
    run: Run, tmp_path: Path
) -> None:
    every = audit(run, "-f", C)["findings"]
    rules = sorted({f["policy"] for f in every})
    options = configured(tmp_path, "".join(map(exemption, rules)))
    found = audit(run, "-f", C, *options, code=0)
    assert [f["fingerprint"] for f in found["findings"]] == [f["fingerprint"] for f in every]
    assert {f["suppressed"]["owner"] for f in found["findings"]} == {"team-vm"}
    text = run("audit", "-f", C, *TODAY, *options).stdout
    assert f"Findings:  none; {len(every)} suppressed" in text
    assert "exemption by team-vm until 2026-12-31: known to us" in text


def test_an_exemption_narrows_by_namespace_subject_and_fingerprint(
    run: Run, tmp_path: Path
) -> None:
    rule = "migrate-delegation-by-holder"
    options = configured(tmp_path, exemption(rule, more='namespace = "leg*"\nabout = "User *"\n'))
    found = audit(run, "-f", C, *options)["findings"]
    for finding in found:
        fits = (
            finding["policy"] == rule
            and finding["namespace"] == "legacy"
            and finding["group"].startswith("User ")
        )
        assert (finding["suppressed"] is not None) == fits
    assert any(f["suppressed"] for f in found)
    one = found[0]["fingerprint"]
    options = configured(tmp_path, exemption("*", more=f'fingerprint = "{one}"\n'))
    left = audit(run, "-f", C, *options)["findings"]
    assert [f["fingerprint"] for f in left if f["suppressed"]] == [one]


def test_an_exemption_that_ended_suppresses_nothing_and_one_that_fits_nothing_is_named(
    run: Run, tmp_path: Path
) -> None:
    ended = exemption("temporary-role-left", "2026-11-22")
    options = configured(tmp_path, ended + exemption("migration-through-wildcards"))
    found = audit(run, "-f", C, *options)
    assert not [f for f in found["findings"] if f["suppressed"]]
    assert found["exemptions"] == [
        "the exemption of team-vm for temporary-role-left ended on 2026-11-22: its findings count",
        "the exemption of team-vm for migration-through-wildcards fits no finding: delete it",
    ]
    last = configured(tmp_path, exemption("temporary-role-left", "2026-11-23"))
    assert any(f["suppressed"] for f in audit(run, "-f", C, *last)["findings"])


def test_programs_are_told_of_suppressed_findings_without_failing(run: Run, tmp_path: Path) -> None:
    rules = {f["policy"] for f in audit(run, "-f", C)["findings"]}
    options = configured(tmp_path, "".join(map(exemption, sorted(rules))))

    def made(form: str) -> str:
        return str(run("audit", "-f", C, *TODAY, *options, "-o", form).stdout)

    (sarif,) = json.loads(made("sarif"))["runs"]
    assert all(result["suppressions"] for result in sarif["results"])
    assert made("github") == ""
    assert json.loads(made("gitlab")) == []
    junit = ElementTree.fromstring(made("junit"))  # noqa: S314
    assert (junit.attrib["failures"], len(junit.findall(".//skipped")) > len(rules)) == ("0", True)
    assert 'rbacguard_suppressed{report="audit"} 59.0' in made("prometheus")
    assert "  fail: 0\n" in made("policyreport")
    assert "<summary>suppressed: 59</summary>" in made("markdown")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--select", "temporary-role-*"], {"temporary-role-left"}),
        (["--select", "high"], {"migrate-delegation-by-holder", "temporary-role-left"}),
        (["--select", "high", "--ignore", "delegation"], {"temporary-role-left"}),
        (["--select", "after-update", "--ignore", "info", "--ignore", "high"], None),
    ],
)
def test_policies_are_selected_by_id_severity_stage_and_check(
    options: list[str], expected: set[str] | None, run: Run
) -> None:
    done = run("audit", "-f", C, *TODAY, *options, "-o", "json", "--exit-zero")
    report = json.loads(done.stdout)
    found = {f["policy"] for f in report["findings"]}
    if expected is not None:
        assert found == expected
    asked = [r for r in report["policies"] if r["reason"] != "not selected"]
    assert found <= {r["policy"]["id"] for r in asked}
    assert len(asked) < len(report["policies"])
    if expected is None:
        assert {r["policy"]["stage"] for r in asked} == {"after-update"}
        assert not {r["policy"]["severity"] for r in asked} & {"info", "high"}


def test_lint_knows_the_same_options(run: Run, tmp_path: Path) -> None:
    case = "tests/lint/cases/labels-not-a-map"
    assert run("lint", case).returncode == 1
    # What no rule of its own says, the general one does.
    assert run("lint", case, "--ignore", "labels-not-a-map").returncode == 1
    assert run("lint", case, "--ignore", "high").returncode == 0
    baseline = tmp_path / "baseline.json"
    run("lint", case, "-o", f"json={baseline}")
    done = run("lint", case, "--baseline", str(baseline))
    assert (done.returncode, "SUPPRESSED" in done.stdout) == (0, True)


def test_the_nearest_configuration_of_the_repository_counts_and_options_go_before(
    run: Run, tmp_path: Path
) -> None:
    inner = tmp_path / "repo" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "rbacguard.toml").write_text('fail-on = "critical"\n')
    case = ROOT / "tests/lint/cases/labels-not-a-map"
    home = environment(tmp_path, PYTHONPATH=str(ROOT))

    def code(*options: str) -> int:
        return run("lint", str(case), *options, cwd=inner, env=home).returncode

    assert code() == 0
    (tmp_path / "repo" / ".git").mkdir()
    assert code() == 1
    project = '[project]\nname = "x"\n[tool.rbacguard]\nselect = ["duplicate-key"]\n'
    (tmp_path / "repo" / "pyproject.toml").write_text(project)
    assert code() == 0
    assert code("--select", "labels-*") == 1


def test_folders_of_policies_are_relative_to_the_configuration(run: Run, tmp_path: Path) -> None:
    done = run("audit", "-f", C, *configured(tmp_path, 'policies = ["ours"]\n'))
    assert (done.returncode, f"{tmp_path / 'ours'}: no such directory" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exclude = 1", "exclude: unknown key"),
        ("fail_onn = 'high'", "fail_onn: unknown key; did you mean fail-on"),
        ("fail-on = 'awful'", "fail-on: input should be 'info'"),
        ("select = 'x'", "select: input should be a valid"),
        ("select = [", "invalid TOML"),
        ("[[exemptions]]\nrule = 'a'\nreason = 'b'\nexpires = 2026-01-01", "exemptions[0].owner"),
        ("[[exemptions]]\nowner='a'\nreason='b'\nexpires=2026-01-01", "rule or fingerprint"),
        (exemption("a", '"soon"'), "exemptions[0].expires: input should be"),
        (exemption("a", more="rules = 'b'"), "exemptions[0].rules: unknown key; did you mean rule"),
    ],
)
def test_a_wrong_configuration_is_one_line(
    text: str, expected: str, run: Run, tmp_path: Path
) -> None:
    done = run("audit", "-f", C, *configured(tmp_path, text))
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--select", "highh"], "'highh' matches no ID, severity, stage, or check; did you mean"),
        (["--baseline", "no-such.json"], "No such file"),
        (["--baseline", "README.md"], "not well-formed JSON"),
        (["--baseline", "LIST"], "expected a report of 'audit -o json'"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], expected: str, run: Run, tmp_path: Path
) -> None:
    other = tmp_path / "list.json"
    other.write_text("[1]")
    done = run("audit", "-f", C, *[str(other) if a == "LIST" else a for a in arguments])
    assert done.returncode == 2
    assert expected in done.stderr


def test_two_audits_compared_show_what_is_new_and_gone(run: Run, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    run("audit", "-f", C, *TODAY, "-o", f"json={old}")
    run("audit", "-f", str(STATES["D"]), *TODAY, "-o", f"json={new}")
    done = run("compare", str(old), str(new), "-o", "json")
    report = json.loads(done.stdout)
    before = {f["fingerprint"] for f in json.loads(old.read_text())["findings"]}
    after = {f["fingerprint"] for f in json.loads(new.read_text())["findings"]}
    assert {f["fingerprint"] for f in report["new"]} == after - before
    assert {f["fingerprint"] for f in report["gone"]} == before - after
    assert report["same"] == len(before & after)
    assert done.returncode == (1 if after - before or report["holdersNew"] else 0)
    assert "temporary-role-left" in {f["policy"] for f in report["gone"]}
    same = run("compare", str(old), str(old))
    assert same.returncode == 0
    assert "no new findings, 0 gone, " in same.stdout
    wrong = run("compare", str(old), str(ROOT / "README.md"))
    assert (wrong.returncode, "expected a report of" in wrong.stderr) == (2, True)
