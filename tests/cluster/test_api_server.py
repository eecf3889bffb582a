"""The test server answers as a real one did, and the real kubectl can talk to it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import urllib3
from api_server import KINDS, ApiServer, User
from conftest import DATA, objects

RECORDINGS: list[dict[str, Any]] = json.loads(
    gzip.decompress((DATA / "api-recordings.json.gz").read_bytes())
)
TOKENS = {
    "admin (system:masters)": "admin-token",
    "auditor (no permissions)": "auditor-token",
    "a token that the server does not know": "unknown-token",
    "anonymous": "",
}
# Left out: writes, which the tool never asks for, and that server's tokens; paging has its test.
COMPARED = [
    recording
    for recording in RECORDINGS
    if recording["name"] != "self subject rules review"
    and not any(part in recording["request"]["path"] for part in ("dryRun", "continue=ey"))
]


@cache
def recorded_cluster() -> tuple[dict[str, Any], ...]:
    """Return every object that the recordings show, as the server would hold it."""
    found = {place(o): o for o in objects("D") if o["kind"].startswith("ClusterRole")}
    for recording in RECORDINGS:
        body = recording["response"]["body"]
        if isinstance(body, dict) and "items" in body:
            for item in body["items"]:
                kind = body["kind"].removesuffix("List")
                whole = {**item, "kind": kind, "apiVersion": body["apiVersion"]}
                found[place(whole)] = whole
    for extra in (admin_of("heidi", "eta", "super"), admin_of("ken", "theta", "am")):
        found[place(extra)] = extra
    return tuple(found.values())


def place(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def admin_of(user: str, namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "cluster-admin",
        },
        "subjects": [{"kind": "User", "name": user}],
    }


def server() -> ApiServer:
    tokens = {
        "admin-token": User("admin", ("system:masters",)),
        "auditor-token": User("auditor"),
    }
    return ApiServer(recorded_cluster(), tokens=tokens)


def ask(api: ApiServer, recording: dict[str, Any]) -> tuple[int, Any]:
    asked = recording["request"]
    body = asked.get("body")
    headers = urllib3.HTTPHeaderDict()
    for name, value in asked["headers"]:
        headers.add(name, value)
    token = TOKENS[asked["as"]]
    if token:
        headers.add("Authorization", f"Bearer {token}")
    with urllib3.PoolManager(ca_cert_data=api.authority.cert_pem.bytes().decode()) as pool:
        response = pool.request(
            asked["method"],
            api.url + asked["path"],
            headers=headers,
            body=None if body is None else json.dumps(body),
        )
    try:
        return response.status, response.json()
    except ValueError:
        return response.status, response.data.decode()


def ask_as_admin(api: ApiServer, path: str) -> tuple[int, Any]:
    request = {"path": path, "method": "GET", "headers": [], "as": "admin (system:masters)"}
    return ask(api, {"request": request})


READ = frozenset(
    {
        *("kind", "apiVersion", "metadata", "items", "resourceVersion", "continue"),
        *("remainingItemCount", "status", "reason", "code", "groups", "name", "versions"),
        *("allowed", "userInfo", "username", "gitVersion"),
    }
)
"""The fields that the tool, or kubectl for it, looks at."""


def shape(value: Any) -> Any:
    """Return what kind of value it is, as far as the fields go that are read."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items() if key in READ and item != ""}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def no_names(text: str) -> str:
    """Return a message without what only the real server's version words differently."""
    return text.partition("invalid character")[0].partition(" impersonate")[0]


@pytest.fixture(scope="module")
def running() -> Iterator[ApiServer]:
    with server() as api:
        yield api


@pytest.mark.parametrize("recording", COMPARED, ids=lambda r: r["name"])
def test_it_answers_as_the_real_server_did(recording: dict[str, Any], running: ApiServer) -> None:
    expected = recording["response"]
    code, body = ask(running, recording)
    assert code == expected["status"]
    assert shape(body) == shape(expected["body"])
    if isinstance(body, dict) and body.get("kind") == "Status":
        for field in ("reason", "code"):
            assert body[field] == expected["body"][field]
        real = no_names(expected["body"]["message"])
        assert no_names(body["message"]).startswith(real.partition("continue key")[0])
    if isinstance(body, dict) and "Review" in body.get("kind", ""):
        allowed = expected["body"].get("status", {}).get("allowed")
        assert body.get("status", {}).get("allowed") == allowed


def pages(api: ApiServer, limit: int) -> list[dict[str, Any]]:
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles?limit={limit}"
    found, token = [], ""
    while True:
        _, body = ask_as_admin(api, path + token)
        found.append(body)
        if "continue" not in body["metadata"]:
            return found
        token = f"&continue={body['metadata']['continue']}"


def test_pages_hold_each_object_once_and_tokens_are_made_as_the_real_ones() -> None:
    first = next(r for r in RECORDINGS if r["name"] == "list, first page")["response"]["body"]
    with server() as api:
        found = pages(api, 5)
        whole = pages(api, 0)
    names = [item["metadata"]["name"] for page in found for item in page["items"]]
    assert names == [item["metadata"]["name"] for item in whole[0]["items"]]
    assert len(names) == len(set(names))
    assert found[0]["metadata"]["continue"].startswith("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6")
    assert set(found[0]["metadata"]) == set(first["metadata"])
    assert found[0]["metadata"]["remainingItemCount"] == len(names) - 5


def test_an_expired_token_is_refused_as_the_real_server_refused_it() -> None:
    name = "continue token that has expired (410)"
    expected = next(r for r in RECORDINGS if r["name"] == name)["response"]["body"]
    with server() as api:
        token = pages(api, 5)[0]["metadata"]["continue"]
        api.change()
        api.compact()
        path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles?limit=5&continue={token}"
        code, body = ask_as_admin(api, path)
    assert code == 410
    assert body["message"] == expected["message"]
    assert set(body["metadata"]) == set(expected["metadata"])


def test_the_real_kubectl_reads_the_same_objects(kubectl: str, tmp_path: Path) -> None:
    with ApiServer(objects("A")) as api:
        config = api.kubeconfig(tmp_path / "config")
        done = subprocess.run(
            [
                kubectl,
                f"--kubeconfig={config}",
                "get",
                ",".join(plural for _, plural in KINDS),
                "--all-namespaces",
                "--chunk-size=7",
                "-o",
                "json",
            ],
            capture_output=True,
            encoding="utf-8",
            check=False,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)["items"]
    expected = {
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects("A")
    }
    assert {
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in read
    } == expected
