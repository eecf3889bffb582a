"""The whole update on a real control plane, where KUBEBUILDER_ASSETS names its programs.

The cluster gets the objects of state A and then, step by step, what an administrator and the
KubeVirt operator would do. Each step is read back with the tool, and what the tool says is compared
with what the server itself answers.
"""

from __future__ import annotations

import datetime
import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    AGGREGATE_ADMIN,
    DATA,
    ROOT,
    STATES,
    account,
    binding,
    environment,
    flat_verdicts,
    objects,
    role,
    rule,
    user,
)
from control_plane import CUSTOM_RESOURCES, ControlPlane, assets, cleaned, write_kubeconfig

from rbacguard.manifests.cronjob import Publish, publish_command
from rbacguard.manifests.render import manifest
from rbacguard.queries.cross_check import mismatches, sample_requests
from rbacguard.queries.preflight import check_apply
from rbacguard.rbac import ClusterRoleBinding, ObjectMeta, RoleBinding, RoleRef, Subject
from rbacguard.rbac.identity import identify
from rbacguard.rbac.types import RBAC_GROUP
from rbacguard.sources import load, snapshot_of, yaml
from rbacguard.sources.live import NEEDS, Connection, Overrides, find_config, read_cluster
from rbacguard.sources.live.reviews import review_access
from rbacguard.update.temporary_role import temporary_role

PROGRAMS, MISSING = assets()
pytestmark = [
    pytest.mark.skipif(PROGRAMS is None, reason=f"no real control plane: {MISSING}"),
    pytest.mark.xdist_group("control-plane"),
]

APPROVALS = str(ROOT / "examples" / "approvals.yaml")
BEFORE = str(STATES["A"])
VMIM = "virtualmachineinstancemigrations.kubevirt.io"

Tool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Start a control plane with the objects of state A; it is stopped whatever happens."""
    assert PROGRAMS is not None
    found = ControlPlane(PROGRAMS, tmp_path_factory.mktemp("control-plane"))
    try:
        found.start()
        found.apply(CUSTOM_RESOURCES)
        for resource in CUSTOM_RESOURCES:
            established = found.kubectl(
                *("wait", "--for=condition=Established", "--timeout=60s"),
                f"crd/{resource['metadata']['name']}",
            )
            assert established.returncode == 0, established.stderr
        to_state(found, "A")
        yield found
    finally:
        found.stop()


def to_state(plane: ControlPlane, letter: str) -> None:
    """Make the cluster hold what one of the six states holds, and nothing of the others."""
    wanted = [cleaned(item) for item in objects(letter)]
    present = {identity(item) for item in wanted}
    for other in "ABCDEF":
        for item in objects(other):
            if identity(item) not in present:
                kind, namespace, name = identity(item)
                where = ["-n", namespace] if namespace else []
                plane.kubectl("delete", kind, name, *where, "--ignore-not-found")
    # What a bundle of an earlier test left, whatever its names.
    own = ("-A", "-l", "app.kubernetes.io/name=rbacguard")
    gone = plane.kubectl("delete", "rolebindings,clusterrolebindings,clusterroles", *own)
    assert gone.returncode == 0, gone.stderr
    plane.apply(item for item in wanted if item["kind"] == "Namespace")
    plane.apply(item for item in wanted if item["kind"] != "Namespace")
    # Server-side apply merges labels: those that a state does not have go by name.
    roles = {o["metadata"]["name"]: o for o in wanted if o["kind"] == "ClusterRole"}
    for tier in ("admin", "edit"):
        label = f"rbac.authorization.k8s.io/aggregate-to-{tier}"
        migrate = roles.get("kubevirt.io:migrate")
        if migrate and label not in (migrate["metadata"].get("labels") or {}):
            plane.kubectl("label", "clusterrole", "kubevirt.io:migrate", f"{label}-")
    plane.await_aggregation()


def identity(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


@pytest.fixture
def tool(plane: ControlPlane, tmp_path: Path) -> Tool:
    """Run the tool as a process that is logged in as the administrator, or with another token."""

    def start(*arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
        who = ["--token", token] if token else []
        return subprocess.run(
            [sys.executable, "-m", "rbacguard", *arguments, *who],
            cwd=ROOT,
            env=environment(tmp_path, KUBECONFIG=str(plane.kubeconfig)),
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=180,
        )

    return start


def report(done: subprocess.CompletedProcess[str], code: int) -> Any:
    assert done.returncode == code, done.stderr + done.stdout[:2000]
    return json.loads(done.stdout)


def disagreeing(plane: ControlPlane, tool: Tool, folder: Path) -> list[str]:
    """Return the requests that the server answers otherwise, of all that can be asked."""
    file = folder / "state.zst"
    done = tool("snapshot", "-o", str(file), "--force", "--consistent")
    assert done.returncode == 0, done.stderr
    snapshot = load([str(file)])
    access = find_config(Overrides(kubeconfig=str(plane.kubeconfig)), {}, folder)
    with Connection(access) as connection:
        reviews = review_access(connection, sample_requests(snapshot, limit=None))
    assert reviews.by == "SubjectAccessReview"
    assert len(reviews.answers) > 2000
    assert not reviews.note
    return [str(each.review) for each in mismatches(snapshot, reviews.answers)]


def test_the_audit_of_the_cluster_is_that_of_its_dump(tool: Tool) -> None:
    found = report(tool("audit", "--today", "2026-11-23", "-o", "json"), 1)
    assert found["coverage"]["complete"]
    versions = found["coverage"]["origin"]["resourceVersions"]
    assert len({versions[kind] for kind in ("ClusterRole", "ClusterRoleBinding", "Role")}) == 1
    dumped = report(tool("audit", "-f", BEFORE, "--today", "2026-11-23", "-o", "json"), 1)
    for key in ("holders", "policies"):
        assert found[key] == dumped[key]
    assert [f["fingerprint"] for f in found["findings"]] == [
        f["fingerprint"] for f in dumped["findings"]
    ]


def test_the_cross_check_of_the_command_agrees(tool: Tool) -> None:
    found = report(tool("audit", "--cross-check", "-o", "json"), 1)["crossCheck"]
    assert found == {"by": "SubjectAccessReview", "asked": 200, "disagreed": 0, "note": ""}


@pytest.mark.parametrize("letter", STATES)
def test_no_answer_differs_from_the_servers_in_any_state(
    letter: str, plane: ControlPlane, tool: Tool, tmp_path: Path
) -> None:
    to_state(plane, letter)
    assert disagreeing(plane, tool, tmp_path) == []


@pytest.mark.parametrize("letter", STATES)
def test_who_can_gives_the_verdicts_that_were_recorded(
    letter: str, plane: ControlPlane, tool: Tool
) -> None:
    to_state(plane, letter)
    request = f"create {VMIM}"
    expected = {v for v in flat_verdicts(letter) if v[1] == request and v[0] == "payments"}
    found = report(tool("who-can", "create", VMIM, "-n", "payments", "-o", "json"), 0)
    assert {
        ("payments", request, s["kind"], s.get("namespace", ""), s["name"])
        for s in found["subjects"]
    } == expected


@pytest.mark.parametrize("command", NEEDS)
def test_the_permissions_printed_are_taken_and_suffice(
    command: str, plane: ControlPlane, tool: Tool, tmp_path: Path
) -> None:
    to_state(plane, "A")
    refused = tool("status", token="auditor-token")
    assert refused.returncode == 3
    assert "nothing of RBAC can be read: forbidden" in refused.stderr
    printed = tool("permissions", command, "--subject", "user/auditor").stdout
    applied = plane.kubectl("apply", "-f", "-", stdin=printed)
    assert applied.returncode == 0, applied.stderr
    out = str(tmp_path / "out")
    arguments: dict[str, tuple[list[str], int]] = {
        "audit": (["audit"], 1),
        "plan": (["plan", "--to", "4.20"], 1),
        "generate": (["generate", "--to", "4.20", "--out", out], 0),
        "snapshot": (["snapshot", "-o", out], 0),
        "status": (["status"], 0),
        "verify": (["verify", "--approvals", APPROVALS], 1),
        "watch": (["watch", "--approvals", APPROVALS, "--deadline", "0s"], 1),
        "diff": (["diff", BEFORE], 0),
        "who-can": (["who-can", "create", VMIM, "-A"], 0),
        "can-i": (["can-i", "create", VMIM, "--as", "alice", "-n", "payments"], 0),
        "explain": (["explain", "alice"], 0),
        "approvals": (["approvals", "init", "--to", "4.20", "-o", out], 0),
        "readiness": (["readiness"], 0),
        "migrations": (["migrations"], 0),
    }
    given, code = arguments[command]
    try:
        done = tool(*given, token="auditor-token")
    finally:
        plane.kubectl("delete", "-f", "-", stdin=printed)
    assert done.returncode == code, done.stderr + done.stdout[:2000]
    assert "forbidden" not in done.stdout + done.stderr


def test_the_permission_to_ask_reviews_suffices(plane: ControlPlane, tool: Tool) -> None:
    to_state(plane, "A")
    printed = tool("permissions", "audit", "--cross-check", "--subject", "user/auditor").stdout
    assert plane.kubectl("apply", "-f", "-", stdin=printed).returncode == 0
    try:
        done = tool("audit", "--cross-check", "-o", "json", token="auditor-token")
    finally:
        plane.kubectl("delete", "-f", "-", stdin=printed)
    assert report(done, 1)["crossCheck"]["disagreed"] == 0


def test_one_who_may_ask_for_nobody_else_asks_for_himself(plane: ControlPlane, tool: Tool) -> None:
    to_state(plane, "A")
    printed = tool("permissions", "audit", "--subject", "user/auditor").stdout
    assert plane.kubectl("apply", "-f", "-", stdin=printed).returncode == 0
    try:
        done = tool("audit", "--cross-check", "-o", "json", token="auditor-token")
    finally:
        plane.kubectl("delete", "-f", "-", stdin=printed)
    found = report(done, 1)["crossCheck"]
    assert (found["by"], found["disagreed"]) == ("SelfSubjectAccessReview", 0)


def test_a_namespace_is_read_where_the_cluster_is_forbidden(
    plane: ControlPlane, tool: Tool
) -> None:
    to_state(plane, "A")
    printed = tool("permissions", "can-i", "--subject", "user/tenant", "-n", "payments").stdout
    assert plane.kubectl("apply", "-f", "-", stdin=printed).returncode == 0
    asked = ["can-i", "create", VMIM, "--as", "zoe", "--as-group", "x", "-n"]
    try:
        inside = tool(*asked, "payments", token="tenant-token")
        outside = tool(*asked, "web", token="tenant-token")
    finally:
        plane.kubectl("delete", "-f", "-", stdin=printed)
    assert (inside.returncode, outside.returncode) == (1, 3)


def test_impersonation_and_client_certificates_reach_the_server(
    plane: ControlPlane, tool: Tool, tmp_path: Path
) -> None:
    refused = tool("status", "--as", "alice", "--as-group", "devs")
    assert refused.returncode == 3
    assert 'User "alice" cannot list' in refused.stderr
    allowed = tool("status", "--as", "alice", "--as-group", "devs", "--as-group", "system:masters")
    assert allowed.returncode == 0
    certified = write_kubeconfig(
        tmp_path / "config",
        plane.server,
        plane.ca,
        {
            "client-certificate": str(plane.work / "client.crt"),
            "client-key": str(plane.work / "client.key"),
        },
    )
    assert tool("status", "--kubeconfig", str(certified)).returncode == 0
    old = tool("status", token="no-such-token")
    assert old.returncode == 3
    assert "the credentials have expired or are wrong" in old.stderr


def test_pages_and_expired_lists_are_as_a_real_server_has_them(
    plane: ControlPlane, tmp_path: Path
) -> None:
    """Read in pages of five while the cluster changes; all of a kind is of one version."""
    to_state(plane, "A")
    access = find_config(Overrides(kubeconfig=str(plane.kubeconfig)), {}, tmp_path)
    stop = threading.Event()

    def disturb() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            plane.apply([binding("disturbing", "view", user(f"u{number}"), namespace="web")])

    thread = threading.Thread(target=disturb)
    thread.start()
    from rbacguard.sources.live import lists as module

    page, module.PAGE = module.PAGE, 5
    try:
        with Connection(access) as connection:
            found = module.read_cluster(connection, NEEDS["who-can"])
    finally:
        module.PAGE = page
        stop.set()
        thread.join()
        plane.kubectl("delete", "rolebinding", "disturbing", "-n", "web", "--ignore-not-found")
    assert found.coverage().is_complete()
    assert found.origin is not None
    assert len(set(found.origin.resource_versions.values())) == 1
    assert sum(key.kind == "ClusterRole" for key in found.objects) == sum(
        item["kind"] == "ClusterRole" for item in objects("A")
    )


def test_the_readiness_of_the_cluster_is_that_of_its_dump(
    plane: ControlPlane, tool: Tool, tmp_path: Path
) -> None:
    dump = tmp_path / "vms.json"
    dump.write_bytes(gzip.decompress((DATA / "vms-3-20-v1beta1.json.gz").read_bytes()))
    items = [cleaned(item) for item in json.loads(dump.read_bytes())["items"]]
    with_status = [item for item in items if item["apiVersion"] == "v1" and "status" in item]
    namespace = next(item for item in items if item["kind"] == "Namespace")
    others = [item for item in items if item is not namespace]
    name = namespace["metadata"]["name"]
    launcher = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": name},
    }
    try:
        plane.apply([namespace])
        plane.apply([launcher])
        plane.apply(others)
        plane.apply(with_status, "--subresource=status")
        # Who made a node has yet to tell that it is ready; nobody does here.
        plane.kubectl("taint", "nodes", "--all", "node.kubernetes.io/not-ready-")
        live = report(tool("readiness", "-o", "json"), 1)
    finally:
        # The namespace stays: it is a state's too, and nobody here would end its deletion.
        left = json.dumps({"apiVersion": "v1", "kind": "List", "items": others})
        plane.kubectl("delete", "--force", "--wait=false", "-f", "-", stdin=left)
    dumped = report(tool("readiness", "-f", str(dump), "-o", "json"), 1)
    assert dumped["findings"]
    for key in ("nodes", "rollout", "vmis", "memory", "settings", "claims", "policies"):
        assert live[key] == dumped[key]
    assert [f["fingerprint"] for f in live["findings"]] == [
        f["fingerprint"] for f in dumped["findings"]
    ]


def generated(out: Path) -> list[str]:
    return [str(path) for path in sorted(out.rglob("*.yaml")) if path.name != "approvals.yaml"]


@pytest.mark.parametrize("strategy", ["prebind", "temporary-role"])
def test_what_is_generated_is_taken_by_the_server(
    strategy: str, plane: ControlPlane, tool: Tool, tmp_path: Path
) -> None:
    to_state(plane, "A")
    out = tmp_path / "bundle"
    arguments = ["--to", "4.20", "--out", str(out), "--approvals", APPROVALS]
    made = tool("generate", *arguments, "--strategy", strategy)
    assert made.returncode == 0, made.stderr
    assert generated(out)
    for path in generated(out):
        plane_answer = plane.kubectl(
            "create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", path
        )
        assert plane_answer.returncode == 0, f"{path}: {plane_answer.stderr}"


def operator_updates(plane: ControlPlane) -> None:
    """Do what KubeVirt's operator does: its roles' rules are replaced, labels are merged."""
    after = {identity(o): o for o in objects("E")}
    updated = [
        cleaned(item)
        for key, item in after.items()
        if key[0] in ("KubeVirt", "HyperConverged")
        or (key[0] == "ClusterRole" and key[2].startswith("kubevirt.io:"))
    ]
    plane.apply(updated)
    plane.await_aggregation()


def test_the_whole_update_from_plan_to_clean(
    plane: ControlPlane, tool: Tool, tmp_path: Path
) -> None:
    to_state(plane, "A")
    out = tmp_path / "bundle"
    before = str(tmp_path / "before.zst")
    assert tool("snapshot", "-o", before).returncode == 0
    planned = report(tool("plan", "--to", "4.20", "-o", "json"), 1)
    lost = {
        (c["subject"]["kind"], c["subject"]["name"], place["namespace"])
        for c in planned["changes"]
        for place in c["places"]
        if c["change"] == "lost" and not c["reading"]
    }
    made = tool(
        *("generate", "--to", "4.20", "--out", str(out), "--approvals", APPROVALS),
        *("--strategy", "temporary-role"),
    )
    assert made.returncode == 0, made.stderr

    for path in generated(out):
        if path.startswith(f"{out}/10-before-update"):
            assert plane.kubectl("apply", "-f", path).returncode == 0
    plane.await_aggregation()
    assert report(tool("status", "-o", "json"), 0)["step"] == "temporary-role-in-place"
    assert disagreeing(plane, tool, tmp_path) == []

    operator_updates(plane)
    assert report(tool("status", "-o", "json"), 0)["step"] == "updated-not-bound"
    not_clean = report(
        tool("verify", "--approvals", APPROVALS, "--before", before, "-o", "json"), 1
    )
    failed = {c["id"] for c in not_clean["checks"] if c["result"] == "failed"}
    assert {"temporary-role-gone", "approved-bound", "default-roles"} <= failed

    with (tmp_path / "watch.out").open("w", encoding="utf-8") as output:
        watching = subprocess.Popen(
            [
                *(sys.executable, "-m", "rbacguard", "watch", "--approvals", APPROVALS),
                *("--before", before, "--interval", "0.5s", "--deadline", "120s"),
            ],
            cwd=ROOT,
            env=environment(tmp_path, KUBECONFIG=str(plane.kubeconfig)),
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        time.sleep(2)
        for path in generated(out):
            if path.startswith(f"{out}/20-after-update"):
                assert plane.kubectl("apply", "-f", path).returncode == 0
        gone = plane.kubectl("delete", "clusterrole", "kubevirt.io:upgrademigrate")
        assert gone.returncode == 0, gone.stderr
        if not plane.aggregates:
            # Nobody recomputes admin here; the controller's result is put in its place.
            defaults = ("admin", "edit", "view", "tenant-admin")
            done = [o for o in objects("D") if o["metadata"]["name"] in defaults]
            plane.apply(cleaned(o) for o in done if o["kind"] == "ClusterRole")
        _, missing = watching.communicate(timeout=180)
    assert watching.returncode == 0, (tmp_path / "watch.out").read_text("utf-8") + missing
    assert missing.splitlines()[-1].endswith("clean")
    assert "Verdict:   clean" in (tmp_path / "watch.out").read_text("utf-8")

    clean = tool("verify", "--approvals", APPROVALS, "--before", before)
    assert clean.returncode == 0, clean.stdout
    assert report(tool("status", "-o", "json"), 0)["step"] == "done"
    assert disagreeing(plane, tool, tmp_path) == []
    changes = report(tool("diff", before, "-o", "json"), 1)["changes"]
    approved = {
        (e["subject"]["kind"], e["subject"]["name"], namespace)
        for e in approved_entries()
        for namespace in e.get("namespaces", [None])
    }
    really_lost = {
        (c["subject"]["kind"], c["subject"]["name"], place["namespace"])
        for c in changes
        for place in c["places"]
        if c["change"] == "lost" and not c["reading"]
    }
    assert really_lost == lost - approved


def test_a_rollback_takes_each_step_back(plane: ControlPlane, tool: Tool, tmp_path: Path) -> None:
    to_state(plane, "E")
    out = tmp_path / "bundle"
    made = tool(
        *("generate", "--out", str(out), "--approvals", APPROVALS, "--restore-default", "admin"),
    )
    assert made.returncode == 0, made.stderr

    def migrate() -> Any:
        found = plane.kubectl("get", "clusterrole", "kubevirt.io:migrate", "-o", "json")
        value = json.loads(found.stdout)
        return value["metadata"].get("labels", {}), value["rules"]

    def bound() -> str:
        return plane.kubectl("get", "rolebindings", "-A", "-o", "name").stdout

    before, bindings = migrate(), bound()
    step, back = out / "20-after-update", out / "90-rollback" / "20-after-update"
    # The role was applied by kubectl's own manager: only another one leaves its fields alone.
    mine = ("apply", "--server-side", "--field-manager=rbacguard", "-f")
    assert plane.kubectl(*mine, str(step)).returncode == 0
    labels, rules = migrate()
    assert labels["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"
    assert bound() != bindings
    for arguments in (
        ("delete", "-f", str(back / "delete.yaml")),
        (*mine, str(back / "apply.yaml")),
    ):
        done = plane.kubectl(*arguments)
        assert done.returncode == 0, done.stderr
    assert (migrate(), bound()) == (before, bindings)
    assert rules == before[1]
    assert " ".join(mine) in (out / "README.md").read_text("utf-8")


def approved_entries() -> list[dict[str, Any]]:
    (document,) = yaml.documents(Path(APPROVALS).read_bytes())
    value: Any = document.value
    return [entry for entry in value["approvals"] if entry.get("approved")]


def tried(plane: ControlPlane, item: dict[str, Any], *who: str, verb: str = "create") -> str:
    """Return why the server refuses an object in a dry run, or '' where it takes it."""
    done = plane.kubectl(
        *(verb, "--dry-run=server", "--validate=strict", "-f", "-", *who), stdin=json.dumps(item)
    )
    return done.stderr if done.returncode else ""


OTHER = ("--token", "other-admin-token")
SNEAKY = role("s", rule("create", "kubevirt.io", VMIM.partition(".")[0]))
UNAPPROVED = binding("x", "kubevirt.io:migrate", user("mallory"), namespace="web")


def take_away(plane: ControlPlane, guard: Path) -> None:
    """Delete a guard, and wait until the server does not ask it any more."""
    plane.kubectl("delete", "-f", str(guard))
    until = time.monotonic() + 60
    while any(tried(plane, item, *OTHER) for item in (SNEAKY, UNAPPROVED)):
        assert time.monotonic() < until, "the guard is asked although it is gone"
        time.sleep(0.5)


@pytest.fixture
def guarded(plane: ControlPlane, tool: Tool, tmp_path: Path) -> Iterator[ControlPlane]:
    """State D with the guard in place, `admin` being the only manager."""
    to_state(plane, "D")
    out = tmp_path / "bundle"
    made = tool(
        *("generate", "--to", "4.21", "--out", str(out), "--approvals", APPROVALS),
        *("--guard", "--guard-namespace", "default", "--manager", "admin"),
    )
    assert made.returncode == 0, made.stderr
    applied = plane.kubectl("apply", "-f", str(out / "30-clean-up"))
    assert applied.returncode == 0, applied.stderr
    try:
        until = time.monotonic() + 60
        temporary = role("kubevirt.io:upgrademigrate", rule("get", "core", "pods"))
        while not all(tried(plane, item, *OTHER) for item in (temporary, UNAPPROVED, SNEAKY)):
            assert time.monotonic() < until, "the guard does not take effect"
            time.sleep(0.5)
        yield plane
    finally:
        take_away(plane, out / "30-clean-up")


def test_the_guard_refuses_what_would_hand_migration_out(guarded: ControlPlane) -> None:
    vmim = VMIM.partition(".")[0]
    aggregate = "rbac.authorization.k8s.io/aggregate-to-admin"
    migrate = next(o for o in objects("D") if o["metadata"]["name"] == "kubevirt.io:migrate")
    labelled = cleaned(migrate)
    labelled["metadata"]["labels"] = {**labelled["metadata"]["labels"], aggregate: "true"}
    known = next(o for o in objects("D") if o["metadata"]["name"] == "mig-runner")
    annotated = cleaned(known)
    annotated["metadata"]["annotations"] = {"example.com/seen": "today"}
    harmless = next(o for o in objects("D") if o["metadata"]["name"] == "kubevirt.io:view")
    grown = cleaned(harmless)
    grown["rules"] = [*grown["rules"], rule("*", "kubevirt.io", "*")]
    roles = "only managers make roles that grant live migration"
    others = "may be bound to those only whom the approvals name for here"
    managers = "only managers bind kubevirt.io:migrate"
    to = "kubevirt.io:migrate"
    alice, carol, mallory = user("alice"), user("carol"), user("mallory")
    cases: list[tuple[dict[str, Any], tuple[str, ...], str, str]] = [
        (role("kubevirt.io:upgrademigrate"), (), "create", "may not be made any more"),
        (role("kubevirt.io:upgrademigrate-edit"), OTHER, "create", "may not be made any more"),
        (role("s", rule("create", "kubevirt.io", vmim)), OTHER, "create", roles),
        (role("s", rule("*", "*", vmim)), OTHER, "create", roles),
        (role("s", rule("create", "kubevirt.io", "*")), OTHER, "create", roles),
        (
            role(
                "s",
                rule("update", "subresources.kubevirt.io", "*/migrate"),
                kind="Role",
                namespace="web",
            ),
            OTHER,
            "create",
            roles,
        ),
        (role("s", rule("create", "kubevirt.io", vmim)), (), "create", ""),
        (role("s", rule("get", "kubevirt.io", vmim)), OTHER, "create", ""),
        (role("s", rule("*", "*", "*")), OTHER, "create", ""),
        (role("s", rule("create", "core", "pods")), OTHER, "create", ""),
        (role("s"), OTHER, "create", ""),
        (labelled, OTHER, "apply", roles),
        (annotated, OTHER, "apply", ""),
        (grown, OTHER, "apply", roles),
        (binding("b", to, alice, namespace="payments"), (), "create", ""),
        (binding("b", to, alice, namespace="payments"), OTHER, "create", managers),
        (binding("b", to, alice, mallory, namespace="payments"), (), "create", others),
        (binding("b", to, alice, namespace="web"), (), "create", others),
        (binding("b", to, carol, namespace="web"), (), "create", ""),
        (binding("b", to, carol), (), "create", others),
        (binding("b", to, account("carol"), namespace="web"), (), "create", others),
        (binding("b", to, namespace="web"), (), "create", ""),
        (binding("b", "view", mallory, namespace="web"), OTHER, "create", ""),
        (binding("b", "view", mallory), OTHER, "create", ""),
    ]
    for item, who, verb, expected in cases:
        refusal = tried(guarded, item, *who, verb=verb)
        assert (expected in refusal) if expected else not refusal, f"{item}: {refusal}"


def test_the_guard_leaves_the_cluster_as_it_works(guarded: ControlPlane, tool: Tool) -> None:
    """The aggregation controller and the operator's own writes go on, and verify stays clean."""
    guarded.apply([role("extra", rule("get", "core", "pods"), labels={AGGREGATE_ADMIN: "true"})])
    guarded.await_aggregation()
    guarded.kubectl("delete", "clusterrole", "extra")
    guarded.await_aggregation()
    clean = tool("verify", "--approvals", APPROVALS, "--before", BEFORE)
    assert clean.returncode == 0, clean.stdout


def test_a_dated_guard_lets_the_temporary_role_be_made_until_then(
    plane: ControlPlane, tool: Tool, tmp_path: Path
) -> None:
    to_state(plane, "D")
    temporary = role("kubevirt.io:upgrademigrate", rule("get", "core", "pods"))
    today = datetime.datetime.now(datetime.UTC).date()
    for days, expected in ((0, ""), (-1, "may not be made any more after")):
        out = tmp_path / f"bundle{days}"
        last = (today + datetime.timedelta(days=days)).isoformat()
        made = tool(
            *("generate", "--to", "4.21", "--out", str(out), "--approvals", APPROVALS),
            *("--guard", "--guard-namespace", "default", "--expires", last),
        )
        assert made.returncode == 0, made.stderr
        assert plane.kubectl("apply", "-f", str(out / "30-clean-up")).returncode == 0
        try:
            until = time.monotonic() + 30
            while not tried(plane, SNEAKY) or (expected and not tried(plane, temporary)):
                assert time.monotonic() < until, "the guard does not take effect"
                time.sleep(0.5)
            assert (
                (expected in tried(plane, temporary)) if expected else not tried(plane, temporary)
            )
        finally:
            take_away(plane, out / "30-clean-up")


GITOPS: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "write": [rule("create get patch", RBAC_GROUP, "*")],
    "bind": [
        rule("create get patch", RBAC_GROUP, "*"),
        rule("bind", RBAC_GROUP, "clusterroles", resourceNames=["kubevirt.io:migrate"]),
    ],
    "escalate": [
        rule("create get patch", RBAC_GROUP, "*"),
        rule("escalate", RBAC_GROUP, "clusterroles"),
    ],
    "holds": [
        rule("create get patch", RBAC_GROUP, "*"),
        rule("*", "kubevirt.io subresources.kubevirt.io", "*"),
    ],
}


@pytest.mark.parametrize("letter", ["A", "D"])
def test_what_hinders_the_applier_is_what_the_server_refuses(
    letter: str, plane: ControlPlane, tmp_path: Path
) -> None:
    to_state(plane, letter)
    migrate = RoleRef("ClusterRole", "kubevirt.io:migrate")
    alice = (Subject("User", "alice"),)
    values: list[Any] = [
        RoleBinding(ObjectMeta(name="try", namespace="payments"), migrate, alice),
        RoleBinding(ObjectMeta(name="try", namespace="web"), migrate, alice),
        ClusterRoleBinding(ObjectMeta(name="try"), migrate, alice),
        temporary_role("admin"),
        temporary_role("edit"),
    ]
    people = ["root", "alice", "carol", "frank", "nobody"]
    accounts = ["openshift-gitops:argocd-application-controller", "web:deployer", "batch:runner"]
    asked = [*people, *(f"system:serviceaccount:{name}" for name in accounts)]
    for name, rules in GITOPS.items():
        if rules:
            plane.apply(
                [role(f"gitops-{name}", *rules), binding(name, f"gitops-{name}", user(name))]
            )
        asked.append(name)
    access = find_config(Overrides(kubeconfig=str(plane.kubeconfig)), {}, tmp_path)
    compared = 0
    try:
        with Connection(access) as connection:
            snapshot = snapshot_of(read_cluster(connection, NEEDS["generate"]))
        for who in asked:
            applier = identify(who, members=snapshot.groups)
            impersonated = ["--as", who, *(f"--as-group={g}" for g in applier.groups)]
            for value in values:
                found = check_apply(snapshot, [value], applier)
                # `create` is tried; `get` and `patch` are for those who apply again later.
                predicted = [
                    o for o in found if not o.message.startswith(("cannot get", "cannot patch"))
                ]
                refusal = tried(plane, manifest(value, {}, {}), *impersonated)
                assert bool(predicted) == bool(refusal), (who, value, predicted, refusal)
                compared += 1
    finally:
        for name in GITOPS:
            plane.kubectl("delete", "clusterrole", f"gitops-{name}", "--ignore-not-found")
            plane.kubectl("delete", "clusterrolebinding", name, "--ignore-not-found")
    assert compared == len(asked) * len(values)


def test_the_job_of_the_cluster_may_do_its_work_and_no_more(
    plane: ControlPlane, tool: Tool, tmp_path: Path
) -> None:
    """Its two containers' commands, as its service account."""
    to_state(plane, "A")
    out = tmp_path / "job"
    assert (
        tool("generate", "--layout", "cronjob", "--image", "x", "--out", str(out)).returncode == 0
    )
    # The namespace has to be there before what is in it.
    for _ in range(2):
        applied = plane.kubectl("apply", "-k", str(out))
    assert applied.returncode == 0, applied.stderr
    asked = plane.kubectl("create", "token", "rbacguard", "-n", "rbacguard")
    assert asked.returncode == 0, asked.stderr
    token = asked.stdout.strip()
    report = tmp_path / "summary.md"
    audit = ("audit", "--exit-zero", "--quiet", "-o", f"markdown={report}")
    done = tool(*audit, token=token)
    assert (done.returncode, done.stderr) == (0, "")
    assert "loses migration" in report.read_text()

    config = write_kubeconfig(tmp_path / "config", plane.server, plane.ca, {"token": token})
    for _ in range(2):  # made, then brought up to date
        subprocess.run(
            ["/bin/sh", "-ec", publish_command(Publish.CONFIG_MAP, "rbacguard", str(tmp_path))],
            check=True,
            env={
                "PATH": f"{plane.programs}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "KUBECONFIG": str(config),
            },
        )
    found = plane.kubectl("get", "configmap", "rbacguard-audit", "-n", "rbacguard", "-o", "json")
    assert json.loads(found.stdout)["data"] == {"summary.md": report.read_text()}
    for refused in (
        ("delete", "configmap", "rbacguard-audit", "-n", "rbacguard"),
        ("create", "configmap", "another", "-n", "rbacguard"),
        ("get", "secrets", "-n", "rbacguard"),
    ):
        tried = plane.kubectl(*refused, "--kubeconfig", str(config))
        assert "forbidden" in tried.stderr
    plane.kubectl("delete", "-k", str(out), "--wait=false")


def test_everything_is_stopped_in_the_end(tmp_path: Path) -> None:
    assert PROGRAMS is not None
    plane = ControlPlane(PROGRAMS, tmp_path)
    plane.start()
    running = [process.pid for process in plane.processes]
    plane.stop()
    for pid in running:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
