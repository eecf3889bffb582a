"""The documentation holds: links lead somewhere, and the tutorial does what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


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
