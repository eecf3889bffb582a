"""The commands on a live cluster, as processes: what they ask, what they say, how they end."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from api_server import ADMIN, Answer, ApiServer, Request, User, identity, status
from conftest import (
    ROOT,
    STATES,
    Run,
    binding,
    environment,
    objects,
    role,
    rule,
    user,
    write_dump,
)
from workload_objects import cluster, ready

from rbacguard.snapshot.coverage import RBAC_KINDS
from rbacguard.sources import yaml
from rbacguard.sources.live import NEEDS, Connection, Overrides, find_config, read_cluster

APPROVALS = str(ROOT / "examples" / "approvals.yaml")
BEFORE = str(STATES["A"])
VMIM = "virtualmachineinstancemigrations.kubevirt.io"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
AUDITOR = {"auditor-token": User("auditor")}

LiveRun = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def live(run: Run, tmp_path: Path) -> LiveRun:
    """Run the tool as a process that is logged in to a server."""

    def start(api: ApiServer, *arguments: str, token: str = ADMIN) -> Any:
        config = api.kubeconfig(tmp_path / "config", token=token)
        return run(*arguments, env=environment(tmp_path, KUBECONFIG=str(config)))

    return start


COMMANDS: dict[str, tuple[str, list[str], int]] = {
    "audit": ("A", ["audit", "--today", "2026-11-23"], 1),
    "plan": ("A", ["plan", "--to", "4.20"], 1),
    "generate": ("A", ["generate", "--to", "4.20", "--out", "OUT"], 0),
    "status": ("C", ["status"], 0),
    "verify": ("D", ["verify", "--approvals", APPROVALS, "--before", BEFORE], 0),
    "watch": ("D", ["watch", "--approvals", APPROVALS, "--before", BEFORE], 0),
    "diff": ("B", ["diff", BEFORE], 0),
    "who-can": ("A", ["who-can", "create", VMIM, "-n", "payments"], 0),
    "can-i": ("A", ["can-i", "create", VMIM, "-n", "payments", "--as", "alice"], 0),
    "explain": ("A", ["explain", "alice"], 0),
    "snapshot": ("A", ["snapshot", "-o", "OUT"], 0),
    "approvals": ("A", ["approvals", "check", APPROVALS, "--today", "2026-11-23"], 0),
    "readiness": ("A", ["readiness"], 0),
    "migrations": ("A", ["migrations"], 0),
}


def test_every_command_that_reads_has_a_case() -> None:
    assert set(COMMANDS) == set(NEEDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_file_it_reads_the_cluster_and_only_by_get_and_list(
    command: str, live: LiveRun, tmp_path: Path
) -> None:
    letter, arguments, code = COMMANDS[command]
    out = str(tmp_path / "out")
    with ApiServer(objects(letter)) as api:
        done = live(api, *(out if each == "OUT" else each for each in arguments))
    assert done.returncode == code, done.stderr + done.stdout
    assert {request.method for request in api.requests} == {"GET"}
    asked = {r.path.rpartition("/")[2] for r in api.requests} - {"version", "apis"}
    assert asked == {resource.plural for resource in NEEDS[command]}
    assert not done.stderr or command in ("watch", "snapshot")


@pytest.mark.parametrize("command", ["audit", "plan", "who-can", "verify"])
def test_the_answer_is_that_of_the_dump(command: str, live: LiveRun, run: Run) -> None:
    letter, arguments, _ = COMMANDS[command]
    with ApiServer(objects(letter)) as api:
        lived = json.loads(live(api, *arguments, "-o", "json").stdout)
    dumped = json.loads(run(*arguments, "-f", str(STATES[letter]), "-o", "json").stdout)
    for report in (lived, dumped):
        for key in ("coverage", "origin"):
            report.pop(key, None)
        for key in ("coverage", "commands"):
            report.get("status", {}).pop(key, None)
        for finding in report.get("findings", []):
            finding.pop("locations")
            finding.pop("commands")
    assert lived == dumped


def test_vms_of_a_cluster_are_assessed_like_those_of_its_dump(
    live: LiveRun, run: Run, tmp_path: Path
) -> None:
    access = [each for each in objects("A") if each["kind"] in RBAC_KINDS]
    items = [*access, *cluster(3, 20)]
    path = write_dump(tmp_path / "vms.json", items)
    with ApiServer(items) as api:
        lived = json.loads(live(api, "readiness", "-o", "json").stdout)
        file = str(tmp_path / "saved.zst")
        assert live(api, "snapshot", "--include-vms", "-o", file).returncode == 0
    saved = json.loads(run("readiness", "-f", file, "-o", "json").stdout)
    dumped = json.loads(run("readiness", "-f", path, "-o", "json").stdout)
    for key in ("ready", "nodes", "vmis", "memory", "claims", "settings"):
        assert lived[key] == dumped[key] == saved[key]
    assert lived["coverage"]["gaps"] == []


def test_the_report_says_what_was_read_and_when(live: LiveRun) -> None:
    with ApiServer(objects("A")) as api:
        origin = json.loads(live(api, "status", "-o", "json").stdout)["coverage"]["origin"]
        text = live(api, "status").stdout
    assert origin["context"] == "test"
    assert origin["server"] == api.url
    assert origin["serverVersion"] == "v1.36.2"
    assert set(origin["resourceVersions"].values()) == {"1000"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", origin["finished"])
    assert f"Cluster:   test ({api.url}), Kubernetes v1.36.2" in text
    assert re.search(r"Read:      \S+Z at resource version 1000 as test", text)


def granted(text: str) -> list[dict[str, Any]]:
    """Return the objects that `permissions` prints."""
    return [cast("dict[str, Any]", d.value) for d in yaml.documents(text.encode())]


@pytest.mark.parametrize("command", NEEDS)
def test_the_permissions_printed_suffice_and_none_can_be_spared(
    command: str, run: Run, tmp_path: Path
) -> None:
    printed = run("permissions", command, "--subject", "user/auditor")
    assert printed.returncode == 0, printed.stderr
    allowed = granted(printed.stdout)
    # KubeVirt lets everybody who is logged in list KubeVirts, and so does a binding of state A.
    open_to_all = ("kubevirt.io:default", "all-authenticated-view")
    bare = [o for o in objects("A") if o["metadata"]["name"] not in open_to_all]
    # Whatever is not installed needs no permission.
    kinds = {each["kind"] for each in bare}
    bare += [each for each in ready() if each["kind"] not in kinds]

    def gaps(more: list[dict[str, Any]]) -> set[str]:
        with ApiServer([*bare, *more], tokens=AUDITOR) as api:
            config = api.kubeconfig(tmp_path / "config", token="auditor-token")
            found = find_config(Overrides(kubeconfig=str(config)), {}, tmp_path)
            with Connection(found) as connection:
                known = read_cluster(connection, NEEDS[command]).reported
        return {kind for kind, each in known.items() if each.reasons}

    assert gaps(allowed) == set()
    (cluster_role,) = [o for o in allowed if o["kind"] == "ClusterRole"]
    assert {verb for r in cluster_role["rules"] for verb in r["verbs"]} == {"list"}
    for rule_of in cluster_role["rules"]:
        for resource in list(rule_of["resources"]):
            rule_of["resources"].remove(resource)
            assert len(gaps(allowed)) == 1, resource
            rule_of["resources"].append(resource)


def test_permissions_for_one_namespace_suffice_for_it(run: Run, live: LiveRun) -> None:
    text = run("permissions", "audit", "--subject", "user/auditor", "-n", "payments").stdout
    with ApiServer([*objects("A"), *granted(text)], tokens=AUDITOR) as api:
        token = "auditor-token"
        asked = ["can-i", "create", VMIM, "-n", "payments", "--as", "nobody", "--as-group", "x"]
        assert live(api, *asked, token=token).returncode == 1
        elsewhere = [each if each != "payments" else "web" for each in asked]
        assert live(api, *elsewhere, token=token).returncode == 3
        everywhere = live(api, "status", token=token)
        inside = live(api, "audit", "-n", "payments", "-o", "json", token=token)
    assert everywhere.returncode == 0
    assert "RoleBinding: forbidden" in everywhere.stdout
    coverage = json.loads(inside.stdout)["coverage"]
    assert "RoleBinding: read in namespace payments only" in coverage["gaps"]


def test_what_may_not_be_read_is_unknown_and_never_clean(live: LiveRun, run: Run) -> None:
    allowed = granted(run("permissions", "verify", "--subject", "user/auditor").stdout)
    for rule_of in allowed[0]["rules"]:
        if "rolebindings" in rule_of["resources"]:
            rule_of["resources"].remove("rolebindings")
    with ApiServer([*objects("D"), *allowed], tokens=AUDITOR) as api:
        done = live(
            api,
            *("verify", "--approvals", APPROVALS, "--before", BEFORE),
            token="auditor-token",
        )
        asked = live(
            api, "can-i", "create", VMIM, "-n", "web", "--as", "zoe", token="auditor-token"
        )
        audited = live(api, "audit", "--fail-on", "critical", token="auditor-token")
    assert (done.returncode, asked.returncode, audited.returncode) == (3, 3, 3)
    assert "not known: the input does not suffice" in done.stdout
    assert "unknown" in asked.stdout


def test_without_openshifts_groups_an_answer_that_rests_on_them_is_unknown(live: LiveRun) -> None:
    plain = ("user.openshift.io", "authorization.openshift.io")
    with ApiServer(objects("A"), without=plain) as api:
        done = live(api, "can-i", "create", VMIM, "-n", "payments", "--as", "zoe")
        known = live(api, "can-i", "create", VMIM, "-n", "payments", "--as", "alice")
    assert (done.returncode, known.returncode) == (3, 0)
    assert "the members of Group payments-admins, which is allowed, are not known" in done.stdout


def test_a_cluster_without_kubevirt_is_unknown_not_clean(live: LiveRun) -> None:
    bare = [o for o in objects("A") if "kubevirt" not in o["metadata"]["name"]]
    with ApiServer(bare, without=("kubevirt.io", "hco.kubevirt.io")) as api:
        assert live(api, "status").returncode == 3
        assert live(api, "verify", "--approvals", APPROVALS).returncode in (1, 3)


def line(done: Any) -> str:
    """Return the only line that a refusal has."""
    assert "Traceback" not in done.stderr
    (found,) = [each for each in done.stderr.splitlines() if "warning" not in each]
    return str(found)


def test_bad_situations_are_one_line_each(live: LiveRun, run: Run, tmp_path: Path) -> None:
    def at(server: str, *more: str) -> Any:
        return live(api, "status", "--server", server, *more)

    with ApiServer(
        objects("A"), tokens={**AUDITOR, "admin-token": User("a", ("system:masters",))}
    ) as api:
        situations = [
            (run("status"), 2, "no kubeconfig found"),
            (live(api, "status", "--context", "none"), 2, "context 'none' is not in"),
            (live(api, "status", "--kubeconfig", "/none"), 2, "/none: no such file"),
            (at("https://127.0.0.1:1"), 3, "cannot be reached: Connection refused"),
            (at("https://no-such-host.invalid"), 3, "there is no host no-such-host.invalid"),
            (at(api.url.replace("https", "http")), 3, "the connection broke half-way"),
            (at("https://["), 2, "Invalid IPv6 URL"),
            (
                live(api, "status", token="old"),
                3,
                "the credentials have expired or are wrong",
            ),
            (
                live(api, "status", token="auditor-token"),
                3,
                "nothing of RBAC can be read: forbidden",
            ),
            (live(api, "status", "--as-group", "g"), 2, "--as-group and --as-uid need --as"),
            (live(api, "status", "--as", "bob", token="auditor-token"), 3, "cannot impersonate"),
        ]
    for done, code, expected in situations:
        assert done.returncode == code, done.stderr
        assert expected in line(done)
        assert not done.stdout


def test_a_certificate_that_is_not_trusted_and_the_flag_that_skips_the_check(
    live: LiveRun, tmp_path: Path
) -> None:
    other = trustme.CA()
    with ApiServer(objects("A"), certificate=other.issue_cert("127.0.0.1")) as api:
        done = live(api, "status")
        assert done.returncode == 3
        assert "is not trusted by the kubeconfig's certificate authority" in line(done)
        other.cert_pem.write_to_path(tmp_path / "ca")
        assert live(api, "status", "--certificate-authority", str(tmp_path / "ca")).returncode == 0
        skipped = live(api, "status", "--insecure-skip-tls-verify")
    assert skipped.returncode == 0
    assert "warning: the certificate of" in skipped.stderr


def test_several_kubeconfigs_are_read_as_kubectl_reads_them(run: Run, tmp_path: Path) -> None:
    with ApiServer(objects("A")) as one, ApiServer(objects("C")) as two:
        paths = one.kubeconfig(tmp_path / "1"), two.kubeconfig(tmp_path / "2")
        listed = ":".join(map(str, paths))
        done = run("status", env=environment(tmp_path, KUBECONFIG=listed))
    assert one.url in done.stdout
    assert two.requests == []


def test_a_progress_bar_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    def slow(request: Request, _count: int) -> None:
        time.sleep(0.15)

    with ApiServer(objects("A"), fault=slow) as api:
        config = api.kubeconfig(tmp_path / "config")
        parent, child = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "rbacguard", "status"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=child,
            env=environment(tmp_path, KUBECONFIG=str(config), TERM="xterm"),
        )
        os.close(child)
        shown = b""
        while True:
            try:
                part = os.read(parent, 4096)
            except OSError:
                break
            if not part:
                break
            shown += part
        out, _ = process.communicate(timeout=60)
        os.close(parent)
    assert process.returncode == 0
    assert b"ClusterRoleBinding" in shown
    assert b"\x1b" not in out


def test_the_shell_completes_namespaces_of_the_cluster_or_gives_up_soon(tmp_path: Path) -> None:
    def hangs(request: Request, _count: int) -> None:
        time.sleep(20)

    def names(api: ApiServer) -> list[str]:
        words = ["rbacguard", "explain", "-n", "pay"]
        config = api.kubeconfig(tmp_path / "config")
        done = subprocess.run(
            [Path(sys.executable).with_name("rbacguard")],
            cwd=ROOT,
            capture_output=True,
            encoding="utf-8",
            check=False,
            env=environment(
                tmp_path,
                KUBECONFIG=str(config),
                _RBACGUARD_COMPLETE="bash_complete",
                COMP_WORDS=" ".join(words),
                COMP_CWORD="3",
            ),
        )
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    with ApiServer(objects("A")) as api:
        assert names(api) == ["payments"]
        assert {request.path for request in api.requests} == {"/api/v1/namespaces"}
    with ApiServer(objects("A"), fault=hangs) as api:
        started = time.monotonic()
        assert names(api) == []
        assert time.monotonic() - started < 15


def test_ctrl_c_during_a_list_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    reached = threading.Event()

    def hangs(request: Request, _count: int) -> None:
        if request.path.endswith("/rolebindings"):
            reached.set()
            time.sleep(30)

    out = tmp_path / "made"
    out.mkdir()
    with ApiServer(objects("A"), fault=hangs) as api:
        config = api.kubeconfig(tmp_path / "config")
        process = subprocess.Popen(
            [sys.executable, "-m", "rbacguard", "snapshot", "-o", str(out / "s")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment(tmp_path, KUBECONFIG=str(config), TMPDIR=str(out)),
        )
        assert reached.wait(30)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert error.strip() == "rbacguard: interrupted"
    assert time.monotonic() - started < 15
    assert list(out.iterdir()) == []


def test_a_snapshot_answers_as_the_cluster_did(live: LiveRun, run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "s.zst")
    with ApiServer(objects("A")) as api:
        made = live(api, "snapshot", "-o", file)
        assert live(api, "snapshot", "-o", file).returncode == 2
        assert live(api, "snapshot", "-o", file, "--force").returncode == 0
        lived = live(api, "audit", "--today", "2026-11-23").stdout
        piped = live(api, "snapshot", "-o", str(tmp_path)).stderr
    assert made.returncode == 0
    assert "objects" in made.stderr
    assert "is a folder, expected a file" in piped
    saved = run("audit", "-f", file, "--today", "2026-11-23").stdout

    def told(text: str) -> list[str]:
        # Commands have -f there and not here; and between the two readings time has gone on.
        lines = text.splitlines()
        return [
            line for line in lines if not re.match(r"Read: |Snapshot: | +(\$ )?rbacguard ", line)
        ]

    assert told(saved) == told(lived)
    redacted = live_redacted(run, file, tmp_path)
    assert "alice" not in redacted
    assert "user-" in redacted


def live_redacted(run: Run, file: str, tmp_path: Path) -> str:
    """Return the audit of a redacted copy."""
    copy = str(tmp_path / "r.zst")
    assert run("snapshot", "-f", file, "-o", copy, "--redact").returncode == 0
    return run("audit", "-f", copy, "--today", "2026-11-23").stdout


@pytest.fixture
def updating() -> Iterator[ApiServer]:
    """A cluster that comes clean after it was looked at twice, and fails in between."""

    def goes_on(request: Request, count: int) -> Answer | None:
        if request.path != "/version":
            return None
        if count == 1:
            return status(500, "InternalError", "restarting")
        if count == 7:
            clean = {identity(o): o for o in objects("D")}
            gone = {identity(o) for o in objects("C")} - set(clean)
            api.change(*clean.values(), remove=gone)
        return None

    with ApiServer(objects("C"), fault=goes_on) as api:
        yield api


def test_watch_goes_on_until_the_cluster_is_clean(updating: ApiServer, live: LiveRun) -> None:
    done = live(
        updating,
        *("watch", "--approvals", APPROVALS, "--before", BEFORE),
        *("--interval", "0.1s", "--deadline", "60s"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert "failed: " in lines[0]
    assert "Temporary role is deleted" in lines[0]
    assert lines[-1].endswith(" passed")
    assert "Verdict:   clean" in done.stdout


def test_watch_gives_up_at_its_deadline_and_says_what_is_missing(live: LiveRun) -> None:
    with ApiServer(objects("C")) as api:
        arguments = ["watch", "--approvals", APPROVALS, "--interval", "0.1", "--deadline", "0.5s"]
        done = live(api, *arguments)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Temporary role is deleted" in done.stdout


def test_watch_of_a_cluster_that_never_answers_is_unknown(live: LiveRun) -> None:
    with ApiServer(objects("D")) as api:
        arguments = ["watch", "--approvals", APPROVALS, "--interval", "0.1", "--deadline", "0.3s"]
        done = live(api, *arguments, "--server", "https://127.0.0.1:1")
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr


def reviews(api: ApiServer) -> list[str]:
    return [r.path for r in api.requests if r.method != "GET"]


def test_the_server_is_asked_only_when_wanted_and_only_by_reviews(live: LiveRun) -> None:
    with ApiServer(objects("A")) as api:
        done = live(api, "audit", "--cross-check", "-o", "json")
        everything = live(api, "audit", "--cross-check", "all", "-o", "json")
    assert "asking 200 access reviews, which create nothing" in done.stderr
    found = json.loads(done.stdout)["crossCheck"]
    assert found == {"by": "SubjectAccessReview", "asked": 200, "disagreed": 0, "note": ""}
    assert json.loads(everything.stdout)["crossCheck"]["asked"] > 2000
    assert set(reviews(api)) == {"/apis/authorization.k8s.io/v1/subjectaccessreviews"}


def test_a_server_that_disagrees_is_a_finding(live: LiveRun) -> None:
    def generous(request: Request, count: int) -> Answer | None:
        if request.path.endswith("/subjectaccessreviews") and count % 2:
            return Answer(201, {"status": {"allowed": True, "reason": "webhook: everybody"}})
        return None

    with ApiServer(objects("E"), fault=generous) as api:
        done = live(api, "audit", "--cross-check")
    assert done.returncode == 1
    assert "the API server disagrees with" in done.stdout
    assert "API server: webhook: everybody" in done.stdout
    assert "[api-server-decision-differs]" in done.stdout


def cross_checker(*extra: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what lets user auditor audit, and these objects."""
    everything = rule("list", "*", "*")
    return [role("reads", everything), binding("reads", "reads", user("auditor")), *extra]


def test_where_only_one_namespace_may_be_asked_only_it_is(live: LiveRun) -> None:
    asks = rule("create", "authorization.k8s.io", "localsubjectaccessreviews")
    local = [
        role("asks", asks, kind="Role", namespace="web"),
        binding("asks", "asks", user("auditor"), namespace="web", role_kind="Role"),
    ]
    with ApiServer([*objects("A"), *cross_checker(*local)], tokens=AUDITOR) as api:
        done = live(api, "audit", "--cross-check", "all", "-o", "json", token="auditor-token")
    found = json.loads(done.stdout)["crossCheck"]
    assert found["by"] == "LocalSubjectAccessReview"
    assert found["asked"] > 100
    assert found["disagreed"] == 0
    assert "questions were not allowed" in found["note"]


def test_where_nobody_else_may_be_asked_for_the_user_himself_is(live: LiveRun) -> None:
    with ApiServer([*objects("A"), *cross_checker()], tokens=AUDITOR) as api:
        done = live(api, "audit", "--cross-check", "-o", "json", token="auditor-token")
    found = json.loads(done.stdout)["crossCheck"]
    assert found["by"] == "SelfSubjectAccessReview"
    assert found["note"] == "only auditor could be asked for"
    assert found["asked"] > 7
    assert found["disagreed"] == 0


def test_where_no_review_is_allowed_the_cross_check_is_undetermined(live: LiveRun) -> None:
    def refuses(request: Request, _count: int) -> Answer | None:
        return status(403, "Forbidden", "no reviews") if request.method == "POST" else None

    with ApiServer(objects("A"), fault=refuses) as api:
        done = live(api, "audit", "--cross-check", "-o", "json")
    report = json.loads(done.stdout)
    assert report["crossCheck"]["asked"] == 0
    (result,) = [
        r for r in report["policies"] if r["policy"]["id"] == "api-server-decision-differs"
    ]
    assert result["outcome"] == "unknown"


def test_nothing_secret_reaches_the_output(live: LiveRun) -> None:
    with ApiServer(objects("A")) as api:
        for arguments in (["status", "-o", "json"], ["audit", "-v"], ["status", "--context", "x"]):
            done = live(api, *arguments)
            assert "admin-token" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("status",), 0), (("who-can", "create", VMIM), 0), (("status", "-o", "sarif"), 2)],
)
def test_keys_of_a_kubeconfig_are_gone_when_a_command_ends(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    """The client writes them to files, where TLS reads them, and clears up at the end."""
    authority = trustme.CA()
    client = authority.issue_cert(common_name="certified", organization_name="system:masters")
    data = {
        "client-certificate-data": client.cert_chain_pems[0].bytes(),
        "client-key-data": client.private_key_pem.bytes(),
    }
    folder = tmp_path / "temporary"
    folder.mkdir()
    with ApiServer(objects("A"), authority=authority) as api:
        login = {key: base64.b64encode(value).decode() for key, value in data.items()}
        config = api.kubeconfig(tmp_path / "config", **login)
        env = environment(tmp_path, KUBECONFIG=str(config), TMPDIR=str(folder))
        done = run(*arguments, env=env)
        assert any(each.user and each.user.name == "certified" for each in api.requests)
    assert done.returncode == code, done.stderr
    assert list(folder.iterdir()) == []


def test_a_server_that_hangs_up_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        arguments = ["status", "--server", f"https://127.0.0.1:{port}", "--request-timeout", "0.3s"]
        done = run(*arguments)
    assert done.returncode == 3
    assert "no answer within 0.3 s" in line(done) or "no connection in time" in line(done)
