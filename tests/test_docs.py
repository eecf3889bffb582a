"""The documentation holds: links lead somewhere, and the tutorial does what it says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import click
import pytest
from conftest import ROOT, environment

from rbacguard.cli.commands import cli
from rbacguard.lint import RULES
from rbacguard.policy import load_policies

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

# Values of --strategy and the like, and steps.
OTHER_NAMES = {
    *("temporary-role", "temporary-role-tiers", "temporary-role-in-place"),
    "migration-settings",
}


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_is_one_that_the_tool_takes(page: Path) -> None:
    for line in re.findall(r"^ *\$ (rbacguard .*)$", page.read_text("utf-8"), re.MULTILINE):
        words = shlex.split(re.split(r" (?:>|<|\||&&) ?", line)[0])[1:]
        context, command = click.Context(cli, **cli.context_settings), cast("click.Command", cli)
        while isinstance(command, click.Group) and not words[0].startswith("-"):
            name, found, words = command.resolve_command(context, words)
            assert found is not None
            context, command = click.Context(found, context, name), found
        # Raises click.UsageError for an option or a value that there is not.
        command.parse_args(context, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_policy_and_rule_that_is_named_exists(page: Path) -> None:
    known = {policy.id for policy in load_policies()} | {rule.id for rule in RULES}
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    named = set(
        re.findall(r"`((?:temporary-role|migrat|labels|operators)[a-z]*(?:-[a-z]+)+)`", text)
    )
    assert named - known <= OTHER_NAMES


@pytest.mark.parametrize("builder", ["mkdocs", "zensical"])
def test_the_site_builds_without_a_warning(builder: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    done = subprocess.run(
        [Path(sys.executable).with_name(builder), "build", "--strict"],
        cwd=tmp_path,
        env=environment(tmp_path, NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = {page.relative_to(tmp_path / "build/site") for page in tmp_path.rglob("index.html")}
    for page in (ROOT / "docs").rglob("*.md"):
        path = page.relative_to(ROOT / "docs").with_suffix("")
        assert (path.parent if path.name == "index" else path) / "index.html" in built


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    text = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    blocks = re.findall(r"<!-- exit: (\w+) -->\n```console\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == text.count("```console")
    tool = str(Path(sys.executable).with_name("rbacguard"))
    ran = 0
    for expected, commands in blocks:
        for line in commands.splitlines():
            program, *arguments = shlex.split(line.removeprefix("$ "))
            assert program == "rbacguard"
            done = subprocess.run(
                [tool, *arguments],
                cwd=tmp_path,
                env=environment(tmp_path),
                capture_output=True,
                text=True,
                check=False,
            )
            assert "Traceback" not in done.stderr
            assert done.stderr == "", line
            assert expected in ("any", str(done.returncode)), f"{line}: {done.returncode}"
            ran += 1
    assert ran > 10
    assert "Twelve subjects lose" in text
    assert "12 subjects in 5 places lose migration" in subprocess.run(
        [tool, "plan", "--to", "4.20", "-f", "examples/clusters/A-before-4.18.yaml"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    ).stdout  # fmt: skip


def test_every_test_that_the_threat_model_names_is_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    shown = [line.rpartition(" | ")[2] for line in text.splitlines() if "`tests/" in line]
    assert len(shown) > 30
    for cell in shown:
        for file, names in re.findall(r"`(tests/\S+\.py)`((?:,? ?`\w+`)*)", cell):
            source = (ROOT / file).read_text("utf-8")
            for name in re.findall(r"`(\w+)`", names):
                assert f"def test_{name}(" in source, f"{file}: {name}"
