"""The project as a whole: layers, documentation, the wheel, the public API."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import ROOT, STATES

import rbacguard
from rbacguard import Attributes, Subject
from rbacguard.sources import load


def test_the_layers_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_generated_documentation_is_up_to_date() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    for path, text in pages.items():
        assert path.read_text("utf-8") == text, f"{path} is out of date: run 'make docs'"


def test_everything_public_can_be_imported() -> None:
    for name in rbacguard.__all__:
        assert getattr(rbacguard, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = rbacguard.nothing


def test_the_public_api_answers_as_documented() -> None:
    snapshot = load([str(STATES["A"])])
    decision = snapshot.authorizer.authorize(
        Attributes(
            user="alice",
            groups=["devs"],
            verb="create",
            api_group="kubevirt.io",
            resource="virtualmachineinstancemigrations",
            subresource="",
            name="",
            namespace="payments",
        )
    )
    assert decision.allowed
    assert decision.reason == (
        "allowed by RoleBinding payments/admin of ClusterRole admin to User alice"
    )
    assert decision.grants[0].source_role.name == "kubevirt.io:edit"
    listed = snapshot.authorizer.allowed_subjects(Attributes(verb="get", path="/healthz"))
    assert listed[0] == Subject("Group", "system:masters")


def test_the_commands_module_is_light_to_import() -> None:
    code = (
        "import sys, rbacguard.cli; "
        "print([m for m in ('kubernetes', 'pydantic', 'yaml', 'jinja2', 'rich', 'msgspec') "
        "if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into an empty environment elsewhere; return its tool."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=600)
    return folder / "env" / "bin" / "rbacguard"


def test_the_installed_wheel_does_the_main_job(installed: Path, tmp_path: Path) -> None:
    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(installed), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    dump, done = str(STATES["A"]), str(STATES["D"])
    approvals = str(ROOT / "examples" / "approvals.yaml")
    assert len(json.loads(start("rules", "-o", "json").stdout)["policies"]) > 40
    assert start("audit", "-f", dump).returncode == 1
    assert start("plan", "-f", dump, "--to", "4.20").returncode == 1
    made = start("generate", "-f", dump, "--to", "4.20", "--out", "pr", "--approvals", approvals)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "pr" / "README.md").exists()
    clean = start("verify", "-f", done, "--before", dump, "--approvals", approvals)
    assert clean.returncode == 0, clean.stdout
