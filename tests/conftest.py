"""Shared by all tests: the six real states, and golden files."""

from __future__ import annotations

import gc
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from programs import program, sarif_validator

from rbacguard import Snapshot, Subject
from rbacguard.kubevirt.permissions import Action
from rbacguard.sources import load

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
STATES = {path.name[0]: path for path in sorted((ROOT / "examples" / "clusters").glob("*.yaml"))}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write expected outputs anew")


@cache
def state(letter: str) -> Snapshot:
    """Return one of the six states, A to F."""
    return load([str(STATES[letter])])


def access_of(snapshot: Snapshot, actions: Iterable[Action]) -> set[tuple[Subject, Action, str]]:
    """Return which subject has which action in which namespace, by single requests."""
    return {
        (grant.subject, action, grant.namespace)
        for action in actions
        for grant in snapshot.authorizer.grants_everywhere(action.attributes)
    }


@cache
def verdicts() -> dict[str, dict[str, dict[str, list[dict[str, str]]]]]:
    """Return what Kubernetes' own authorizer said, by the first letter of the state."""
    data = json.loads(gzip.decompress((DATA / "verdicts.json.gz").read_bytes()))
    return {name[0]: value for name, value in data.items()}


def flat_verdicts(letter: str) -> set[tuple[str, str, str, str, str]]:
    """Return verdicts as (namespace or '', request, kind, subject's namespace, name)."""
    return {
        (
            "" if namespace == "(cluster)" else namespace,
            request,
            subject["kind"],
            subject.get("namespace", ""),
            subject["name"],
        )
        for namespace, requests in verdicts()[letter].items()
        for request, subjects in requests.items()
        for subject in subjects
    }


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare text with a file, or write the file with --update-golden."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        assert path.exists(), f"{path} is missing; 'make golden' writes it"
        assert path.read_text("utf-8") == text

    return compare


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return this environment without the clusters that its owner may be logged in to."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KUBE", "RBACGUARD_"))}
    return {**kept, "HOME": str(home), **more}


def run_here(
    arguments: Sequence[str], *, cwd: Path, env: dict[str, str], given: str
) -> subprocess.CompletedProcess[str]:
    """Run the tool in this process, for mutation testing, which has to see what a test runs."""
    from rbacguard.cli import run

    before = Path.cwd(), dict(os.environ), sys.argv, sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code: Any = 0
    try:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["rbacguard", *arguments]
        sys.stdin = io.TextIOWrapper(io.BytesIO(given.encode()), "utf-8")
        sys.stdout, sys.stderr = out, err
        code = run()
    finally:
        os.chdir(before[0])
        os.environ.clear()
        os.environ.update(before[1])
        sys.argv, sys.stdin, sys.stdout, sys.stderr = before[2:]
        gc.enable()
    text = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, code, *text)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the tool as a process of its own, in the project's folder, logged in nowhere."""

    def start(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        if "RBACGUARD_IN_PROCESS" in os.environ and not options.keys() - {"cwd", "env", "input"}:
            return run_here(
                arguments,
                cwd=options.get("cwd", ROOT),
                env=options.get("env", environment(tmp_path)),
                given=options.get("input", ""),
            )
        return subprocess.run(
            [sys.executable, "-m", "rbacguard", *arguments],
            cwd=options.pop("cwd", ROOT),
            env=options.pop("env", environment(tmp_path)),
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
            **options,
        )

    return start


@pytest.fixture(scope="session")
def kubectl() -> str:
    """Return the path of a real kubectl."""
    return program("kubectl")


@pytest.fixture(scope="session")
def helm() -> str:
    """Return the path of a real helm."""
    return program("helm")


@pytest.fixture(scope="session")
def sarif_multitool() -> str:
    """Return the path of the reference validator of SARIF."""
    return sarif_validator()


def role(
    name: str, *rules: dict[str, Any], kind: str = "ClusterRole", **extra: Any
) -> dict[str, Any]:
    """Return a role as plain values; `labels`, `namespace`, `annotations` go into its metadata."""
    metadata = {"name": name}
    for key in ("labels", "namespace", "annotations", "creationTimestamp"):
        if key in extra:
            metadata[key] = extra.pop(key)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "rules": list(rules),
        **extra,
    }


def rule(verbs: str, groups: str, resources: str, **extra: Any) -> dict[str, Any]:
    """Return a rule; lists are given as words, the core group as `core`."""
    return {
        "verbs": verbs.split(),
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
        **extra,
    }


def user(name: str) -> dict[str, str]:
    """Return a User subject."""
    return {"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


def group(name: str) -> dict[str, str]:
    """Return a Group subject."""
    return {"kind": "Group", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


def account(name: str, namespace: str = "") -> dict[str, str]:
    """Return a ServiceAccount subject."""
    found = {"kind": "ServiceAccount", "name": name}
    return {**found, "namespace": namespace} if namespace else found


def binding(
    name: str,
    to: str,
    *subjects: dict[str, str],
    namespace: str = "",
    role_kind: str = "ClusterRole",
    **metadata: Any,
) -> dict[str, Any]:
    """Return a RoleBinding, or without a namespace a ClusterRoleBinding."""
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    place = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, **place, **metadata},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": to},
        "subjects": list(subjects),
    }


AGGREGATE_ADMIN = "rbac.authorization.k8s.io/aggregate-to-admin"
AGGREGATE_EDIT = "rbac.authorization.k8s.io/aggregate-to-edit"


def selecting(*labels: dict[str, str]) -> dict[str, Any]:
    """Return an aggregation rule that selects by any of these labels."""
    return {"clusterRoleSelectors": [{"matchLabels": each} for each in labels]}


@cache
def dump(letter: str) -> str:
    """Return one of the six states as JSON text, for tests that change it."""
    from rbacguard.sources import yaml

    (document,) = yaml.documents(STATES[letter].read_bytes())
    return json.dumps(document.value)


def objects(letter: str) -> list[dict[str, Any]]:
    """Return the objects of a state, fresh each time."""
    items: list[dict[str, Any]] = json.loads(dump(letter))["items"]
    return items


def write_dump(path: Path, items: list[dict[str, Any]]) -> str:
    """Write objects as a list and return the path."""
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), "utf-8")
    return str(path)
