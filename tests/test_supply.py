"""What the tool is made of: locked, built the same twice, and silent on the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, STATES, environment
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
APPROVALS = str(ROOT / "examples/approvals.yaml")
STATE = str(STATES["A"])

OFFLINE = """
import socket, sys

def refuse(event, arguments):
    network = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
    if event in ("socket.connect", "socket.bind", "socket.sendto"):
        network = arguments[0].family != socket.AF_UNIX
    if event == "socket.bind" and arguments[1][:2] == ("::1", 0):
        network = False  # how urllib3 finds out whether there is IPv6
    if network:
        raise SystemExit(f"the network is used: {event} {arguments}")

sys.addaudithook(refuse)
"""
RUN = OFFLINE + "from rbacguard.cli import main\nmain()\n"
COMMANDS = {
    "audit": ["audit", "-f", STATE],
    "audit, every format": ["audit", "-f", STATE]
    + [f"-o{form}=out.{form}" for form in ("json", "html", "sarif", "junit", "dot", "markdown")],
    "plan": ["plan", "-f", STATE, "--to", "4.20"],
    "generate": ["generate", "-f", STATE, "--to", "4.20", "--approvals", APPROVALS, "--out", "out"],
    "verify": ["verify", "-f", str(STATES["D"]), "--approvals", APPROVALS],
    "status": ["status", "-f", STATE],
    "who-can": ["who-can", "-f", STATE, "create", "virtualmachineinstancemigrations"],
    "diff": ["diff", STATE, str(STATES["E"])],
    "snapshot": ["snapshot", "-f", STATE, "-o", "saved.json"],
    "lint": ["lint", str(ROOT / "tests/lint/cases")],
    "fleet": ["fleet", "plan", str(ROOT / "examples/clusters"), "--to", "4.20"],
    "rules": ["rules"],
    "nothing": [],
}


def offline(code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_files_are_read_and_reports_written_without_the_network(
    tmp_path: Path, command: str
) -> None:
    done = offline(RUN, tmp_path, *COMMANDS[command])
    assert "the network is used" not in done.stderr
    assert done.returncode in (0, 1), done.stderr


def test_nothing_reaches_the_network_when_it_is_imported(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "rbacguard").rglob("*.py"))
        if path.stem != "__main__"
    ]
    code = OFFLINE + "".join(f"import {module}\n" for module in modules)
    done = offline(code, ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_guard_of_these_tests_works(tmp_path: Path) -> None:
    code = OFFLINE + "socket.create_connection(('127.0.0.1', 9))"
    assert "the network is used" in offline(code, tmp_path).stderr
    # And live reading does use it.
    live = offline(RUN, tmp_path, "status", "-s", "https://127.0.0.1:9", "--token", "x")
    assert "the network is used" in live.stderr


def build(source: Path, out: Path, what: str) -> bytes:
    command = [sys.executable, "-m", "build", "--no-isolation", what, "--outdir", str(out)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = out.iterdir()
    return made.read_bytes()


@pytest.mark.parametrize("what", ["--wheel", "--sdist"])
def test_it_is_built_the_same_byte_for_byte(tmp_path: Path, what: str) -> None:
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = files.stdout.split("\0")[:-1]
    if not names:
        pytest.skip("no git repository: which files belong to the project is not known")
    built = []
    for number, stamp in enumerate((1_000_000_000, 1_700_000_000)):
        copy = tmp_path / f"copy-{number}" / ("x" * number * 20) / "rbacguard"
        for name in names:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
            os.utime(copy / name, (stamp, stamp))
        built.append(build(copy, tmp_path / f"out-{number}", what))
    assert built[0] == built[1]


def locked() -> dict[str, tuple[Version, int]]:
    """Return every locked package: its version and how many hashes it has."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    found = {}
    for entry in re.split(r"\n(?=[a-z0-9])", text):
        match = re.match(r"([a-z0-9._-]+)==([^ ;\\]+)", entry)
        if match:
            found[match[1]] = (Version(match[2]), entry.count("--hash=sha256:"))
    return found


def test_everything_is_locked_with_hashes_and_within_bounds() -> None:
    found = locked()
    assert min(hashes for _, hashes in found.values()) > 0
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
        *PROJECT["dependency-groups"]["dev"],
    ]
    for text in wanted:
        requirement = Requirement(text)
        version, _ = found[requirement.name.replace("_", "-")]
        assert version in requirement.specifier, f"{text}: locked is {version}; run 'make lock'"


def test_every_dependency_is_accounted_for() -> None:
    text = (ROOT / "docs/dependencies.md").read_text("utf-8")
    project = PROJECT["project"]
    extras = [each for extra in project["optional-dependencies"].values() for each in extra]
    names = sorted({Requirement(each).name for each in (*project["dependencies"], *extras)})
    told = sorted(re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE))
    assert told == names


def test_nothing_secret_or_foreign_is_in_what_is_published(tmp_path: Path) -> None:
    build(ROOT, tmp_path / "out", "--sdist")
    (archive,) = (tmp_path / "out").iterdir()
    with tarfile.open(archive) as opened:
        names = [member.name.partition("/")[2] for member in opened]
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    assert set(names) - set(tracked) <= {"PKG-INFO"}
