"""The cluster and the user are chosen as kubectl chooses them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rbacguard.errors import InputError
from rbacguard.sources.live import ClusterConfig, Impersonation, Overrides, find_config
from rbacguard.sources.live.transport import authorization

KUBECTL = shutil.which("kubectl")


def config(**parts: Any) -> str:
    """Return a kubeconfig with one cluster, user and context of a name, or with these parts."""
    name = parts.pop("name", "a")
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": {"token": f"token-{name}"}}],
    }
    return json.dumps(made | {key.replace("_", "-"): value for key, value in parts.items()})


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return str(path)


def find(tmp_path: Path, listed: str = "", **flags: Any) -> ClusterConfig:
    return find_config(Overrides(**flags), {"KUBECONFIG": listed}, tmp_path)


def test_the_first_file_to_name_something_wins_whole(tmp_path: Path) -> None:
    one = write(tmp_path / "1", config(name="a"))
    two = write(
        tmp_path / "2",
        config(
            current_context="b",
            clusters=[
                {"name": "a", "cluster": {"server": "https://other", "tls-server-name": "x"}},
                {"name": "b", "cluster": {"server": "https://b"}},
            ],
            contexts=[{"name": "b", "context": {"cluster": "b", "user": "a"}}],
        ),
    )
    found = find(tmp_path, f"{one}:{tmp_path / 'none'}:{two}")
    assert (found.context, found.server, dict(found.cluster)) == (
        "a",
        "https://a:6443",
        {"server": "https://a:6443"},
    )
    assert found.warnings == (f"{tmp_path / 'none'}: no such kubeconfig",)
    assert find(tmp_path, f"{two}:{one}").server == "https://b"
    assert find(tmp_path, f"{one}:{two}", context="b").server == "https://b"


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
@pytest.mark.parametrize("order", list(itertools.permutations("123")))
def test_kubectl_merges_the_same_way(order: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path / "1", config(name="a", current_context=""))
    write(
        tmp_path / "2",
        config(
            name="b",
            clusters=[
                {"name": "a", "cluster": {"server": "https://other", "proxy-url": "http://p"}},
                {"name": "b", "cluster": {"server": "https://b"}},
            ],
        ),
    )
    write(tmp_path / "3", config(name="b", users=[{"name": "b", "user": {"username": "u"}}]))
    listed = ":".join(str(tmp_path / name) for name in order)
    done = subprocess.run(
        [str(KUBECTL), "config", "view", "--raw", "--minify", "-o", "json"],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={"KUBECONFIG": listed, "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
    )
    theirs = json.loads(done.stdout)
    ours = find(tmp_path, listed)
    assert ours.context == theirs["current-context"]
    assert dict(ours.cluster) == theirs["clusters"][0]["cluster"]
    assert dict(ours.user) == theirs["users"][0]["user"]


def test_a_flag_names_the_file_and_beats_the_environment(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1", config(name="a")), write(tmp_path / "2", config(name="b"))
    assert find(tmp_path, one, kubeconfig=two).context == "b"
    with pytest.raises(InputError, match="none: no such file; give a kubeconfig"):
        find(tmp_path, one, kubeconfig=str(tmp_path / "none"))


def test_the_home_folder_is_the_default(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", config(name="home"))
    assert find(tmp_path).context == "home"


def test_flags_replace_single_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path / "1",
        config(users=[{"name": "a", "user": {"token": "t"}}, {"name": "z", "user": {}}]),
    )
    found = find(tmp_path, path, server="api.test:6443", user="z", token="flag")
    assert (found.server, found.user_name, dict(found.user)) == (
        "https://api.test:6443",
        "z",
        {"token": "flag"},
    )


def test_paths_are_relative_to_their_own_file(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "token", "secret\n")
    one = write(
        tmp_path / "deep" / "1",
        config(
            clusters=[
                {"name": "a", "cluster": {"server": "https://a", "certificate-authority": "ca"}}
            ],
            users=[
                {
                    "name": "a",
                    "user": {
                        "tokenFile": "token",
                        "client-certificate": "crt",
                        "exec": {"command": "bin/plugin", "apiVersion": "v"},
                    },
                }
            ],
        ),
    )
    found = find(tmp_path, one)
    assert found.cluster["certificate-authority"] == str(tmp_path / "deep" / "ca")
    assert found.user["client-certificate"] == str(tmp_path / "deep" / "crt")
    assert found.user["exec"]["command"] == str(tmp_path / "deep" / "bin" / "plugin")
    assert found.user["token"] == "secret"


def test_impersonation_comes_from_the_file_and_flags_replace_it(tmp_path: Path) -> None:
    user = {
        "token": "t",
        "as": "alice",
        "as-groups": ["devs", "ops"],
        "as-uid": "7",
        "as-user-extra": {"Scope": ["x"]},
    }
    path = write(tmp_path / "1", config(users=[{"name": "a", "user": user}]))
    expected = Impersonation("alice", "7", ("devs", "ops"), (("Scope", ("x",)),))
    assert find(tmp_path, path).impersonate == expected
    flags = Impersonation("bob", groups=("admins",))
    replaced = Impersonation("bob", "7", ("admins",), (("Scope", ("x",)),))
    assert find(tmp_path, path, impersonate=flags).impersonate == replaced


def test_a_pod_uses_its_service_account_only_without_a_context(tmp_path: Path) -> None:
    folder = tmp_path / "serviceaccount"
    write(folder / "token", "pod-token")
    pod = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    found = find_config(Overrides(), pod, tmp_path, service_account=folder)
    assert (found.context, found.server) == ("in-cluster", "https://[fd00::1]:443")
    assert found.cluster["certificate-authority"] == str(folder / "ca.crt")
    assert found.user["token"] == "pod-token"
    path = write(tmp_path / "1", config(name="a"))
    there = find_config(Overrides(), {**pod, "KUBECONFIG": path}, tmp_path, service_account=folder)
    assert there.context == "a"


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "1", config(name="a"))
    assert "token-a" not in repr(find(tmp_path, path))


def test_skipping_the_check_is_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path / "1", config(name="a"))
    found = find(tmp_path, path, insecure_skip_tls_verify=True)
    assert "is not checked (insecure-skip-tls-verify)" in found.warnings[0]


BAD = {
    "no kubeconfig found: log in": {},
    "no current-context; give --context, there are: a": {"current_context": ""},
    "context 'b' is not in": {"current_context": "b"},
    "cluster 'gone' is not in": {
        "contexts": [{"name": "a", "context": {"cluster": "gone", "user": "a"}}]
    },
    "user 'gone' is not in": {
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "gone"}}]
    },
    "cluster 'a' has no server": {"clusters": [{"name": "a", "cluster": {}}]},
    "cluster 'a': the server's URL holds a user name or password": {
        "clusters": [{"name": "a", "cluster": {"server": "https://me:token-a@host:6443/path"}}]
    },
    "cluster 'a': server: Expected str, got int": {
        "clusters": [{"name": "a", "cluster": {"server": 1}}]
    },
    "user 'a': token: Expected str": {"users": [{"name": "a", "user": {"token": 5}}]},
    "not a kubeconfig: contexts: Expected": {"contexts": "a"},
    "remove one of them": {
        "clusters": [
            {
                "name": "a",
                "cluster": {
                    "server": "https://a",
                    "certificate-authority": "ca",
                    "insecure-skip-tls-verify": True,
                },
            }
        ]
    },
    "the token cannot be read": {"users": [{"name": "a", "user": {"tokenFile": "none"}}]},
    "--as-group and --as-uid need --as": {"users": [{"name": "a", "user": {"as-groups": ["g"]}}]},
}


@pytest.mark.parametrize(("expected", "parts"), BAD.items())
def test_what_is_wrong_is_one_line(expected: str, parts: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "1", config(**parts)) if parts else ""
    with pytest.raises(InputError) as caught:
        find(tmp_path, path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "token-a" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "\t", "- 1", "&a [*a]", "a: \x00", "{" * 2000])
def test_what_is_no_kubeconfig_is_one_line(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "1", text)
    with pytest.raises(InputError) as caught:
        find(tmp_path, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_break_at_the_end_of_a_token_is_removed(tmp_path: Path, end: str) -> None:
    found = find(tmp_path, write(tmp_path / "config", config()))
    assert authorization({"token": f"token-a{end}"}, found) == "Bearer token-a"


@pytest.mark.parametrize("token", ["token-a\nX: y", "token-a b", "token-a\x00", "tok\u00e9n-a"])
def test_a_token_that_is_no_header_is_an_error_without_its_value(
    tmp_path: Path, token: str
) -> None:
    found = find(tmp_path, write(tmp_path / "config", config()))
    with pytest.raises(ValueError, match="the token contains") as caught:
        authorization({"token": token}, found)
    assert "token-a" not in str(caught.value)
