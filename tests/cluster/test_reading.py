"""A cluster is read whole, of one version, whatever happens on the way; or the coverage says so."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme
from api_server import Answer, ApiServer, Request, User, status
from conftest import binding, objects, role, rule, user
from msgspec import structs

from rbacguard.errors import ClusterError, InputError
from rbacguard.snapshot.coverage import RBAC_KINDS, State
from rbacguard.sources import InputCollection, from_objects, snapshot_of
from rbacguard.sources.live import (
    NEEDS,
    ClusterConfig,
    Connection,
    Impersonation,
    Overrides,
    find_config,
    read_cluster,
)

RBAC_GROUP = "rbac.authorization.k8s.io"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/rolebindings"
ALL = NEEDS["audit"]


def access(api: ApiServer, tmp_path: Path, **how: Any) -> ClusterConfig:
    overrides = how.pop("overrides", Overrides())
    path = api.kubeconfig(tmp_path / "config", **how)
    return find_config(overrides, {"KUBECONFIG": str(path)}, tmp_path)


@contextmanager
def connected(api: ApiServer, tmp_path: Path, **how: Any) -> Iterator[Connection]:
    timeout = how.pop("timeout", 20.0)
    with Connection(access(api, tmp_path, **how), timeout=timeout) as connection:
        yield connection


def read(api: ApiServer, tmp_path: Path, **options: Any) -> InputCollection:
    how = {k: options.pop(k) for k in ("token", "overrides", "timeout") if k in options}
    with connected(api, tmp_path, **how) as connection:
        return read_cluster(connection, ALL, **options)


def many(count: int) -> list[dict[str, Any]]:
    return [
        *objects("A"),
        *(binding(f"b{n:06}", "edit", user(f"u{n}"), namespace="web") for n in range(count)),
    ]


@pytest.fixture(autouse=True)
def _quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait as long as is asked for, but a hundred times faster."""
    wait = Connection._wait  # noqa: SLF001

    def quick(self: Connection, seconds: float) -> None:
        WAITS.append(seconds)
        wait(self, seconds / 100)

    WAITS.clear()
    monkeypatch.setattr(Connection, "_wait", quick)


WAITS: list[float] = []


def test_a_cluster_reads_as_its_dump_does(tmp_path: Path) -> None:
    with ApiServer(objects("A")) as api:
        reading = read(api, tmp_path)
    dumped = from_objects(objects("A"))
    live = snapshot_of(reading)
    assert live.cluster_roles == dumped.cluster_roles
    assert live.bindings == dumped.bindings
    assert live.groups == dumped.groups
    assert live.hyperconvergeds == dumped.hyperconvergeds
    assert live.coverage.is_complete()
    assert live.coverage.origin is not None
    assert live.coverage.origin.server_version == "v1.36.2"
    assert live.coverage.origin.cluster_id == next(
        o["metadata"]["uid"] for o in objects("A") if o["metadata"]["name"] == "kube-system"
    )


def test_only_get_and_list_are_asked(tmp_path: Path) -> None:
    with ApiServer(objects("A")) as api:
        read(api, tmp_path, consistent=True)
    assert {request.method for request in api.requests} == {"GET"}
    paths = {request.path for request in api.requests} - {"/version", "/apis"}
    assert {path.rpartition("/")[2] for path in paths} == {resource.plural for resource in ALL}


def test_lists_come_in_pages_of_one_version(tmp_path: Path) -> None:
    with ApiServer(many(1200)) as api:
        reading = read(api, tmp_path)
    pages = [r for r in api.requests if r.path == BINDINGS]
    assert [r.query["limit"] for r in pages] == ["500"] * 3
    assert [bool(r.query.get("continue")) for r in pages] == [False, True, True]
    assert sum(key.kind == "RoleBinding" for key in reading.objects) == 1219
    assert reading.origin is not None
    assert set(reading.origin.resource_versions.values()) == {"1000"}


def test_rbac_is_read_of_one_moment_though_the_cluster_goes_on(tmp_path: Path) -> None:
    def changes(request: Request, count: int) -> None:
        if request.path == ROLES and count == 0:
            api.change(binding("late", "edit", user("late"), namespace="web"))

    with ApiServer(objects("A"), fault=changes) as api:
        reading = read(api, tmp_path)
    assert reading.origin is not None
    versions = {reading.origin.resource_versions[kind] for kind in RBAC_KINDS}
    assert versions == {"1000"}
    assert not any(key.name == "late" for key in reading.objects)
    assert reading.origin.notes == ()


def test_a_server_without_old_versions_is_read_as_it_is_and_that_is_said(tmp_path: Path) -> None:
    def no_exact(request: Request, _count: int) -> Answer | None:
        if "resourceVersionMatch" in request.query:
            return status(400, "BadRequest", "resourceVersionMatch is not supported")
        api.change()
        return None

    with ApiServer(objects("A"), fault=no_exact) as api:
        reading = read(api, tmp_path)
        confirmed = read(api, tmp_path, consistent=True)
    assert reading.origin is not None
    assert confirmed.origin is not None
    assert "read at different resource versions" in reading.origin.notes[0]
    assert reading.coverage().is_complete()
    assert (confirmed.origin.passes, confirmed.origin.notes) == (2, ())


def test_an_expired_list_begins_anew_and_mixes_no_versions(tmp_path: Path) -> None:
    def expires(request: Request, count: int) -> None:
        if request.path == BINDINGS and count == 1:
            api.change(remove=[("RoleBinding", "web", "b000001")])
            api.compact()

    with ApiServer(many(1200), fault=expires) as api:
        reading = read(api, tmp_path)
    tokens = [r.query.get("continue", "") for r in api.requests if r.path == BINDINGS]
    assert [bool(token) for token in tokens] == [False, True, False, True, True]
    assert not any(key.name == "b000001" for key in reading.objects)
    assert reading.coverage().is_complete()
    assert reading.origin is not None
    assert reading.origin.resource_versions["RoleBinding"] == "1001"
    assert "read at different resource versions" in reading.origin.notes[0]


def test_a_list_that_keeps_expiring_is_no_whole_list(tmp_path: Path) -> None:
    def expires(request: Request, _count: int) -> Answer | None:
        if request.path == BINDINGS and "continue" in request.query:
            fresh = {"continue": "another"}
            return status(410, "Expired", "too old", metadata=fresh)
        return None

    with ApiServer(many(600), fault=expires) as api:
        coverage = read(api, tmp_path).coverage()
    assert coverage.kinds["RoleBinding"].state is State.PARTIAL
    assert coverage.missing() == ("RoleBinding: the list expired 4 times before its end (410)",)
    assert "another" not in {r.query.get("continue") for r in api.requests}


def test_a_page_of_another_version_is_not_taken(tmp_path: Path) -> None:
    def other(request: Request, count: int) -> Answer | None:
        if request.path == BINDINGS and "continue" in request.query and count == 1:
            empty = {
                "kind": "RoleBindingList",
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "metadata": {"resourceVersion": "2000"},
                "items": [],
            }
            return Answer(200, empty)
        return None

    with ApiServer(many(600), fault=other) as api:
        reading = read(api, tmp_path)
    assert sum(key.kind == "RoleBinding" for key in reading.objects) == 619
    assert reading.coverage().is_complete()


@pytest.mark.parametrize(("code", "after"), [(429, "3"), (503, ""), (500, ""), (504, "0")])
def test_a_busy_server_is_asked_again_when_it_says(code: int, after: str, tmp_path: Path) -> None:
    def busy(request: Request, count: int) -> Answer | None:
        if request.path == BINDINGS and count < 2:
            headers = {"Retry-After": after} if after else {}
            return status(code, "Busy", "try later")._replace(headers=headers)
        return None

    with ApiServer(objects("A"), fault=busy) as api:
        reading = read(api, tmp_path)
    assert reading.coverage().is_complete()
    expected = [float(after)] * 2 if after else [0.2, 0.4]
    assert expected == WAITS


def test_retry_after_may_be_a_date(tmp_path: Path) -> None:
    def busy(request: Request, count: int) -> Answer | None:
        if request.path == BINDINGS and count == 0:
            until = datetime.now(UTC) + timedelta(seconds=30)
            headers = {"Retry-After": until.strftime("%a, %d %b %Y %H:%M:%S GMT")}
            return status(429, "Busy", "later")._replace(headers=headers)
        return None

    with ApiServer(objects("A"), fault=busy) as api:
        read(api, tmp_path)
    assert 20 < WAITS[0] <= 30


def test_a_server_that_stays_broken_leaves_a_gap(tmp_path: Path) -> None:
    def broken(request: Request, _count: int) -> Answer | None:
        if request.path == BINDINGS:
            return status(500, "InternalError", "etcdserver: request timed out")
        return None

    with ApiServer(objects("A"), fault=broken) as api:
        coverage = read(api, tmp_path).coverage()
    assert coverage.missing() == (
        "RoleBinding: the server answers 500: etcdserver: request timed out",
    )
    assert len(WAITS) == 5


@pytest.mark.parametrize("encoding", ["whole", "gzip"])
def test_a_connection_that_breaks_half_way_is_made_again(encoding: str, tmp_path: Path) -> None:
    def cuts(request: Request, count: int) -> Callable[[Any], None] | None:
        if request.path == BINDINGS and count < 2:
            body = {"padding": "x" * (200 if encoding == "whole" else 400_000)}
            return lambda handler: handler.reply(Answer(200, body), cut=50)
        return None

    with ApiServer(objects("A"), fault=cuts) as api:
        reading = read(api, tmp_path)
    assert reading.coverage().is_complete()
    assert len([r for r in api.requests if r.path == BINDINGS]) >= 3


def test_a_slow_answer_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    def slow(request: Request, count: int) -> Answer | None:
        if request.path == BINDINGS and count == 0:
            time.sleep(1.5)
        return None

    with ApiServer(objects("A"), fault=slow) as api:
        reading = read(api, tmp_path, timeout=0.5)
    assert reading.coverage().is_complete()
    assert len([r for r in api.requests if r.path == BINDINGS]) >= 2


GARBAGE = {
    "no JSON": b"<html>login</html>",
    "another list": b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"}}',
    "no version": b'{"kind":"RoleBindingList","apiVersion":"v1","metadata":{},"items":[]}',
    "not UTF-8": b'{"kind":"\xff"}',
    "empty": b"",
    "a number": b"7",
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_a_gap_and_no_empty_list(body: bytes, tmp_path: Path) -> None:
    with ApiServer(
        objects("A"), fault=lambda r, _: Answer(200, body) if r.path == BINDINGS else None
    ) as api:
        coverage = read(api, tmp_path).coverage()
    assert coverage.missing() == (
        f"RoleBinding: what {BINDINGS} answers is no list of rolebindings",
    )


def test_one_odd_object_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    odd = binding("odd", "edit", namespace="web") | {"subjects": "everybody"}
    with ApiServer([*objects("A"), odd]) as api:
        reading = read(api, tmp_path)
    assert sum(key.kind == "RoleBinding" for key in reading.objects) == 19
    assert "RoleBinding web/odd: subjects: expected array" in reading.coverage().missing()[0]


def test_what_is_not_installed_is_absent_and_is_asked_for_once(tmp_path: Path) -> None:
    plain = ("user.openshift.io", "authorization.openshift.io", "kubevirt.io", "hco.kubevirt.io")
    with ApiServer(objects("A"), without=plain) as api:
        coverage = read(api, tmp_path).coverage()
    assert coverage.is_complete()
    for kind in ("Group", "KubeVirt", "HyperConverged", "RoleBindingRestriction"):
        assert coverage.kinds[kind].state is State.ABSENT
        assert "not installed on this cluster (no API group" in coverage.kinds[kind].reasons[0]
    assert not any("openshift" in request.path for request in api.requests)


def reader_of(*plurals: str, namespace: str = "") -> list[dict[str, Any]]:
    """Return what lets user auditor list some resources, in one namespace or everywhere."""
    kind = "Role" if namespace else "ClusterRole"
    place = {"namespace": namespace} if namespace else {}
    return [
        role(
            "read", rule("list", "rbac.authorization.k8s.io", " ".join(plurals)), kind=kind, **place
        ),
        binding("read", "read", user("auditor"), namespace=namespace, role_kind=kind),
    ]


AUDITOR = {"auditor-token": User("auditor")}


def test_what_is_forbidden_is_a_gap_with_the_servers_words(tmp_path: Path) -> None:
    allowed = reader_of("clusterroles", "clusterrolebindings", "roles")
    with ApiServer([*objects("A"), *allowed], tokens=AUDITOR) as api:
        coverage = read(api, tmp_path, token="auditor-token").coverage()
    assert coverage.kinds["ClusterRole"].state is State.READ
    (gap,) = coverage.missing()
    assert gap.startswith("RoleBinding: forbidden: rolebindings.rbac.authorization.k8s.io is forb")
    assert 'User "auditor" cannot list resource "rolebindings"' in gap


def test_a_namespace_can_be_read_where_the_cluster_cannot(tmp_path: Path) -> None:
    allowed = [
        *reader_of("clusterroles", "clusterrolebindings"),
        *reader_of("roles", "rolebindings", namespace="payments"),
    ]
    with ApiServer([*objects("A"), *allowed], tokens=AUDITOR) as api:
        reading = read(api, tmp_path, token="auditor-token", namespaces=["payments", "web"])
    coverage = reading.coverage()
    spaces = {key.namespace for key in reading.objects if key.kind == "RoleBinding"}
    assert spaces == {"payments"}
    assert coverage.missing(namespace="payments") == ()
    assert coverage.missing(namespace="web") != ()
    gaps = coverage.missing()
    assert gaps[0] == "Role: read in namespace payments only"
    assert gaps[1].startswith("Role: web: forbidden:")


def test_nothing_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    with (
        ApiServer(objects("A"), tokens=AUDITOR) as api,
        pytest.raises(ClusterError, match="nothing of RBAC can be read: forbidden"),
    ):
        read(api, tmp_path, token="auditor-token")


def test_two_passes_have_to_agree(tmp_path: Path) -> None:
    def changes(request: Request, count: int) -> None:
        if request.path == BINDINGS and count < 2:
            api.change(binding(f"new{count}", "edit", user("x"), namespace="web"))

    with ApiServer(objects("A"), fault=changes) as api:
        reading = read(api, tmp_path, consistent=True)
    assert reading.origin is not None
    assert reading.origin.passes > 2
    assert reading.coverage().is_complete()
    assert {k.name for k in reading.objects} >= {"new0", "new1"}


def test_passes_that_never_agree_are_a_gap(tmp_path: Path) -> None:
    def changes(request: Request, count: int) -> None:
        if request.path == BINDINGS:
            api.change(binding(f"new{count}", "edit", user("x"), namespace="web"))

    with ApiServer(objects("A"), fault=changes) as api:
        reading = read(api, tmp_path, consistent=True)
    assert "changed during each of 5 passes" in reading.coverage().missing()[0]


def test_several_groups_are_impersonated_as_several(tmp_path: Path) -> None:
    as_ = Impersonation("bob,x", "uid-7", ("devs", "a,b"), (("Scopes.Example", ("one", "two")),))
    with ApiServer(objects("A")) as api:
        found = structs.replace(access(api, tmp_path), impersonate=as_)
        with Connection(found) as connection:
            connection.get("/version")
    sent = [(k, v) for k, v in api.requests[0].headers if k.startswith("Impersonate")]
    assert sent == [
        ("Impersonate-User", "bob,x"),
        ("Impersonate-Uid", "uid-7"),
        ("Impersonate-Group", "devs"),
        ("Impersonate-Group", "a,b"),
        ("Impersonate-Extra-scopes.example", "one"),
        ("Impersonate-Extra-scopes.example", "two"),
    ]
    assert api.requests[0].user == User("bob,x", ("devs", "a,b", "system:authenticated"))


def test_a_client_certificate_is_a_user(tmp_path: Path) -> None:
    authority = trustme.CA()
    client = authority.issue_cert(common_name="certified", organization_name="system:masters")
    client.cert_chain_pems[0].write_to_path(tmp_path / "crt")
    client.private_key_pem.write_to_path(tmp_path / "key")
    with ApiServer(objects("A"), authority=authority) as api:
        how = {"client-certificate": str(tmp_path / "crt"), "client-key": str(tmp_path / "key")}
        with connected(api, tmp_path, **how) as connection:
            reading = read_cluster(connection, ALL)
    assert reading.coverage().is_complete()
    assert api.requests[0].user == User("certified", ("system:masters", "system:authenticated"))


def plugin(path: Path, *tokens: str) -> dict[str, Any]:
    """Return the user of an exec plugin that gives these tokens, one after the other."""
    (path / "tokens").write_text("\n".join(tokens), "utf-8")
    script = path / "plugin"
    script.write_text(
        f"""#!{sys.executable}
import json, pathlib
file = pathlib.Path({str(path / "tokens")!r})
first, *rest = file.read_text().split()
file.write_text("\\n".join(rest or [first]))
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                   "status": {{"token": first}}}}))
""",
        "utf-8",
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(script),
            "interactiveMode": "Never",
        }
    }


def test_a_plugin_is_asked_again_when_its_token_ends(tmp_path: Path) -> None:
    with (
        ApiServer(objects("A")) as api,
        connected(api, tmp_path, **plugin(tmp_path, "old-token", "admin-token")) as connection,
    ):
        reading = read_cluster(connection, ALL)
    assert reading.coverage().is_complete()
    assert api.requests[0].user is None
    assert all(request.user is not None for request in api.requests[1:])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("no-such-plugin-here", "the plugin no-such-plugin-here is not installed; apt it"),
        ("false", "the plugin false failed: exec: process returned 1"),
        ("true", "the plugin true failed: exec: failed to decode process output"),
    ],
)
def test_a_plugin_that_fails_is_no_anonymous_reading(
    command: str, expected: str, tmp_path: Path
) -> None:
    how = {"exec": {"apiVersion": "v1", "command": command, "installHint": "apt\nit"}}
    with ApiServer(objects("A")) as api, pytest.raises(InputError) as caught:
        read_with(api, tmp_path, how)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert api.requests == []


def read_with(api: ApiServer, tmp_path: Path, how: dict[str, Any]) -> InputCollection:
    with connected(api, tmp_path, **how) as connection:
        return read_cluster(connection, ALL)


def test_the_kubeconfig_is_never_written(tmp_path: Path) -> None:
    with ApiServer(objects("A")) as api:
        path = api.kubeconfig(tmp_path / "config", **plugin(tmp_path, "admin-token"))
        before = (path.read_bytes(), path.stat().st_mtime_ns)
        found = find_config(Overrides(kubeconfig=str(path)), {}, tmp_path)
        with Connection(found) as connection:
            read_cluster(connection, ALL)
    assert before == (path.read_bytes(), path.stat().st_mtime_ns)


def leaf(**how: Any) -> tuple[trustme.CA, trustme.LeafCert]:
    authority = trustme.CA()
    return authority, authority.issue_cert(*how.pop("names", ("127.0.0.1",)), **how)


OTHER_TIMES = {
    "its certificate has expired, or the local clock is wrong": {
        "not_after": datetime.now(UTC) - timedelta(days=1)
    },
    "its certificate is not valid yet, or the local clock is wrong": {
        "not_before": datetime.now(UTC) + timedelta(days=1)
    },
    "its certificate is for another name": {"names": ("elsewhere.test",)},
}


@pytest.mark.parametrize(("expected", "how"), OTHER_TIMES.items())
def test_a_certificate_that_does_not_hold(
    expected: str, how: dict[str, Any], tmp_path: Path
) -> None:
    authority, certificate = leaf(**dict(how))
    with (
        ApiServer(objects("A"), authority=authority, certificate=certificate) as api,
        pytest.raises(ClusterError) as caught,
    ):
        read(api, tmp_path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_certificate_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    _, certificate = leaf()
    with (
        ApiServer(objects("A"), certificate=certificate) as api,
        pytest.raises(ClusterError, match="not trusted by the kubeconfig's certificate authority"),
    ):
        read(api, tmp_path)
    with ApiServer(objects("A"), certificate=certificate) as api:
        overrides = Overrides(insecure_skip_tls_verify=True)
        reading = read(api, tmp_path, overrides=overrides)
    assert reading.origin is not None
    assert "is not checked" in reading.origin.warnings[0]


def test_a_server_name_of_the_kubeconfig_is_the_one_that_counts(tmp_path: Path) -> None:
    authority, certificate = leaf(names=("api.example.test",))
    with ApiServer(objects("A"), authority=authority, certificate=certificate) as api:
        found = access(api, tmp_path)
        cluster = {**found.cluster, "tls-server-name": "api.example.test"}
        with Connection(ClusterConfig("c", cluster, "u", found.user)) as connection:
            assert read_cluster(connection, ALL).coverage().is_complete()


def test_a_proxy_of_the_kubeconfig_is_used_and_one_of_the_environment_not_for_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with ApiServer(objects("A")) as api:
        found = access(api, tmp_path)
        with Connection(found) as connection:
            connection.check_server()
        cluster = {**found.cluster, "proxy-url": "http://user:secret@127.0.0.1:9"}
        with (
            Connection(ClusterConfig("c", cluster, "u", found.user)) as connection,
            pytest.raises(ClusterError, match="the proxy cannot be used") as caught,
        ):
            connection.check_server()
    assert "secret" not in str(caught.value)


class _Proxy(socketserver.StreamRequestHandler):
    """Connects to where a client wants to go, and passes on what both say."""

    wanted: ClassVar[list[str]] = []

    def handle(self) -> None:
        target = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        self.wanted.append(target)
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self._pass, args=(far, self.connection), daemon=True)
            back.start()
            self._pass(self.connection, far)
            back.join(5)

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def test_a_cluster_is_read_through_a_proxy(tmp_path: Path) -> None:
    with (
        ApiServer(objects("A")) as api,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Proxy) as proxy,
    ):
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        found = access(api, tmp_path)
        cluster = {**found.cluster, "proxy-url": f"http://127.0.0.1:{proxy.server_address[1]}"}
        with Connection(ClusterConfig("c", cluster, "u", found.user)) as connection:
            assert read_cluster(connection, ALL).coverage().is_complete()
        proxy.shutdown()
    assert {f"https://{target}" for target in _Proxy.wanted} == {api.url}


@pytest.mark.parametrize(
    ("off", "told"), [(-180, "180 min ahead of"), (100 * 1440, "143999 min behind")]
)
def test_a_clock_that_is_off_is_told(tmp_path: Path, off: int, told: str) -> None:
    def other(request: Request, _count: int) -> Answer | None:
        if request.path == "/version":
            now = datetime.now(UTC) + timedelta(minutes=off)
            date = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
            return Answer(200, {"gitVersion": "v1.36.2"}, {"Date": date})
        return None

    with ApiServer(objects("A"), fault=other) as api:
        reading = read(api, tmp_path)
    assert reading.origin is not None
    assert f"the local clock is {told} the cluster's" in reading.origin.warnings[0]
    # A clock that is behind would let what has expired count: the cluster's own is noted then.
    theirs = datetime.now(UTC) + timedelta(minutes=max(off, 0))
    assert reading.origin.finished[:10] == theirs.date().isoformat()


def test_a_server_that_is_none_of_kubernetes_is_said_to_be_none(tmp_path: Path) -> None:
    for body in (b"<html>", b"{}", b'{"gitVersion": ""}'):
        with (
            ApiServer(objects("A"), fault=lambda *_, body=body: Answer(200, body)) as api,
            pytest.raises(ClusterError, match="is not a Kubernetes API server"),
        ):
            read(api, tmp_path)


def test_a_redirect_is_not_followed_with_the_token(tmp_path: Path) -> None:
    elsewhere = {"Location": "https://127.0.0.1:1/login"}
    with (
        ApiServer(objects("A"), fault=lambda *_: Answer(302, b"", elsewhere)) as api,
        pytest.raises(ClusterError, match="is not a Kubernetes API server"),
    ):
        read(api, tmp_path)
    assert len(api.requests) == 1


def test_kinds_are_read_side_by_side(tmp_path: Path) -> None:
    meeting = threading.Barrier(3, timeout=10)

    def meets(request: Request, count: int) -> None:
        # The second asking for bindings is the list itself; the first tells the version.
        if request.path in (ROLES, BINDINGS) or (request.path.endswith("/roles") and not count):
            meeting.wait()

    with ApiServer(objects("A"), fault=meets) as api:
        assert read(api, tmp_path).coverage().is_complete()


MEASURE = """
import re, sys
from pathlib import Path
from rbacguard.sources.live import Connection, NEEDS, Overrides, find_config, read_cluster
access = find_config(Overrides(kubeconfig=sys.argv[1]), {}, Path("/"))
with Connection(access) as connection:
    reading = read_cluster(connection, NEEDS["who-can"])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(len(reading.objects), int(peak[1]) * 1024)
"""


def test_a_hundred_thousand_objects_take_bounded_memory(tmp_path: Path) -> None:
    """What was read is kept, not how it came: a page at a time, without managed fields."""
    ballast = {"managedFields": [{"manager": "kubectl", "fieldsV1": {"f:subjects": "x" * 1500}}]}

    def measured(count: int) -> tuple[int, int, int]:
        items = many(count)
        for item in items:
            item["metadata"] = {**item["metadata"], **ballast}
        raw = len(json.dumps(items))
        with ApiServer(items) as api:
            config = api.kubeconfig(tmp_path / "config")
            done = subprocess.run(
                [sys.executable, "-c", MEASURE, str(config)],
                capture_output=True,
                encoding="utf-8",
                check=False,
                env={**os.environ, "HOME": str(tmp_path)},
                timeout=300,
            )
        assert done.returncode == 0, done.stderr
        read_count, peak = done.stdout.split()
        return int(read_count), int(peak), raw

    _, small, small_raw = measured(1_000)
    count, large, large_raw = measured(100_000)
    assert count > 100_000
    # Who kept the pages as well would need as much as they are long, and the objects on top.
    assert large - small < large_raw - small_raw
