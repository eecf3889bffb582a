"""The commands readiness, migrations, audit, and snapshot with VMs."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from assessments import Object
from conftest import STATES, Run, objects
from workload_objects import (
    cluster,
    event,
    kubevirt,
    migration,
    network,
    node,
    on_claim,
    ready,
    vmi,
)


def write(path: Path, items: list[Object]) -> str:
    """Write a list of objects, and return its path."""
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return str(path)


RBAC = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def rbac(state: str) -> list[Object]:
    """Return the RBAC objects of a state."""
    return [item for item in objects(state) if item["kind"] in RBAC]


def test_json_and_table_have_the_same_result(run: Run, dump: str) -> None:
    done = run("readiness", "-f", dump, "-o", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert found["ready"] is False
    assert [(each["name"], each["completes"]) for each in found["nodes"]] == [
        ("worker-000", True),
        ("worker-001", False),
        ("worker-002", True),
    ]
    blocked = [each for each in found["vmis"] if each["eviction"] == "blocked"]
    assert [each["name"] for each in blocked] == ["vm-00007"]
    table = run("readiness", "-f", dump).stdout
    assert table.startswith("Ready:     no, some node drains cannot complete\n")
    assert "web/vm-00007" in table
    assert run("readiness", "-f", dump, "--exit-zero", "-q").returncode == 0


def test_an_empty_input_is_an_error_and_one_without_vms_is_incomplete(
    run: Run, tmp_path: Path
) -> None:
    empty = write(tmp_path / "none.json", [])
    assert run("readiness", "-f", empty).returncode == 2
    done = run("readiness", "-f", "examples/clusters/A-before-4.18.yaml", "-o", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["ready"] is None


@pytest.fixture(name="dump")
def dump_file(tmp_path: Path) -> str:
    return write(tmp_path / "vms.json", cluster(3, 20))


def test_a_snapshot_with_vms_gives_the_same_reports(run: Run, dump: str, tmp_path: Path) -> None:
    saved, plain = tmp_path / "saved.zst", tmp_path / "plain.zst"
    whole = write(tmp_path / "whole.json", [*rbac("A"), *cluster(3, 20)])
    for file, more in ((saved, ("--include-vms",)), (plain, ())):
        done = run("snapshot", "-f", whole, "-o", str(file), *more)
        assert done.returncode == 0, done.stderr
    reports = []
    for path in (whole, str(saved)):
        at = ("--at", "2026-11-23")
        report = json.loads(run("readiness", "-f", path, "-o", "json", *at).stdout)
        moves = json.loads(run("migrations", "-f", path, "-o", "json", *at).stdout)
        for each in (report, moves):
            del each["coverage"]
            for finding in each["findings"]:
                del finding["locations"], finding["commands"]
        reports.append((report, moves))
    assert reports[0] == reports[1]
    assert len(reports[0][0]["vmis"]) == 20
    # An audit does not read them.
    audits = [
        json.loads(run("audit", "-f", str(path), "-o", "json", "--today", "2026-11-23").stdout)
        for path in (saved, plain)
    ]
    for audit in audits:
        del audit["coverage"]["inputs"], audit["status"]["coverage"]["inputs"]
        assert "Node" not in {kind["kind"] for kind in audit["coverage"]["kinds"]}
    fingerprints = [{f["fingerprint"] for f in audit["findings"]} for audit in audits]
    assert fingerprints[0] == fingerprints[1]
    refused = run("snapshot", "-f", whole, "-o", str(plain), "--include-vms", "--redact")
    assert refused.returncode == 2
    without = json.loads(run("readiness", "-f", str(plain), "-o", "json").stdout)
    assert without["ready"] is None
    assert "VirtualMachineInstance: not in the input" in without["coverage"]["gaps"]


def test_an_inspect_tree_gives_the_same_report_as_a_list(run: Run, tmp_path: Path) -> None:
    """`oc adm inspect` and must-gather write a folder for each namespace."""
    plurals = {"NetworkAttachmentDefinition": "network-attachment-definitions"}
    items = cluster(3, 20)
    for item in items:
        metadata, kind = item["metadata"], item["kind"]
        group = item["apiVersion"].rpartition("/")[0] or "core"
        plural = plurals.get(kind, kind.lower() + "s")
        namespace = metadata.get("namespace")
        place = f"namespaces/{namespace}" if namespace else "cluster-scoped-resources"
        path = tmp_path / "inspect" / place / group / plural / f"{metadata['name']}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n" + yaml.safe_dump(item))
    plain = write(tmp_path / "plain.json", items)
    found = [
        json.loads(run("readiness", "-f", path, "-o", "json").stdout)
        for path in (str(tmp_path / "inspect"), plain)
    ]
    for key in ("ready", "nodes", "vmis", "memory", "claims", "settings", "rollout"):
        assert found[0][key] == found[1][key], key


FORMS = ("json", "yaml", "sarif", "junit", "github", "gitlab", "csv", "markdown", "html")


@pytest.mark.parametrize("command", ["readiness", "migrations"])
@pytest.mark.parametrize("form", [*FORMS, "prometheus", "openreports"])
def test_all_formats(run: Run, dump: str, command: str, form: str) -> None:
    done = run(command, "-f", dump, "-o", form, "--at", "2026-11-23T09:00:00Z")
    assert not done.stderr, done.stderr
    assert done.returncode in (0, 1, 3)
    if command == "readiness" and form != "prometheus":
        assert "vm-00007" in done.stdout


@pytest.mark.parametrize("guest", ["1e999", 10**40, "9E", "-1e999"])
@pytest.mark.parametrize("rate", ["1n", "1e999", "512Mi"])
def test_an_extreme_size_does_not_prevent_the_report(
    guest: Any, rate: str, run: Run, tmp_path: Path
) -> None:
    items = [*ready(), *vmi("vm", "worker-a"), *vmi("other", "worker-a")]
    for item in items:
        if item["kind"] == "VirtualMachineInstance":
            item["spec"]["domain"]["memory"]["guest"] = guest
        if item["kind"] == "KubeVirt":
            item["spec"]["configuration"]["migrations"] = {"bandwidthPerMigration": rate}
    for left in (items, [item for item in items if item["kind"] != "Pod"]):
        path = write(tmp_path / "dump.json", left)
        done = run("readiness", "-f", path, "-o", "json")
        assert done.returncode in (0, 1, 3), done.stderr
        assert len(json.loads(done.stdout)["vmis"]) >= 2


def test_an_audit_can_include_readiness(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "all.json", [*rbac("E"), *cluster(3, 20)])

    def output(command: str, *more: str) -> str:
        done = run(command, "-f", path, *more)
        assert done.returncode == 1, done.stderr
        return done.stdout

    day = "2026-11-23"
    both = json.loads(output("audit", "--include-vms", "-o", "json", "--today", day))
    alone = json.loads(output("readiness", "-o", "json", "--at", f"{day}T00:00:00Z"))
    assert both["readiness"] == alone
    access = json.loads(output("audit", "-o", "json", "--today", day))
    assert access["readiness"] is None
    assert {k: v for k, v in both.items() if k not in ("readiness", "coverage", "status")} == {
        k: v for k, v in access.items() if k not in ("readiness", "coverage", "status")
    }
    # Formats for findings contain those of both reports. The page has a section for each table.
    rules = {
        result["ruleId"]
        for each in json.loads(output("audit", "--include-vms", "-o", "sarif"))["runs"]
        for result in each["results"]
    }
    assert {f["policy"] for f in (*alone["findings"], *access["findings"])} <= rules
    page = output("audit", "--include-vms", "-o", "html")
    assert "Ready: no, some node drains cannot complete." in page
    assert "VMs that cannot live-migrate</h2>" in page
    assert page.count('<h2 id="findings">') == 1
    assert page.count(">VirtualMachineInstances<") == page.count(">ClusterRoles<") == 1
    text = output("audit", "--include-vms")
    assert (
        text.index("WHO CAN MIGRATE TODAY") < text.index("READINESS") < text.index("SPARE MEMORY")
    )
    assert "READINESS" not in output("audit")


def test_an_audit_has_the_worse_exit_code_of_both_reports(run: Run, tmp_path: Path) -> None:
    def ended(*items: Object, more: tuple[str, ...] = ()) -> int:
        path = write(tmp_path / "dump.json", list(items))
        return run("audit", "-f", path, *more).returncode

    kept = [o for o in objects("D") if o["kind"] not in ("KubeVirt", "HyperConverged", "Namespace")]
    blocked = vmi("vm", "worker-a", reason="DisksNotLiveMigratable", message="no")
    at = ("--fail-on", "critical", "--include-vms")
    assert ended(*kept, *ready(), more=at) == 0
    assert ended(*kept, *ready(), *blocked, more=at) == 1
    assert ended(*kept, *ready(), *blocked, more=at[:2]) == 0
    assert ended(*kept, *(o for o in ready() if o["kind"] != "Pod"), more=at) == 3


def test_the_exit_code_depends_on_findings(run: Run, tmp_path: Path) -> None:
    def ended(items: list[Object], *more: str) -> int:
        done = run("readiness", "-f", write(tmp_path / "dump.json", items), *more)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode

    access = objects("A")
    kept = [o for o in access if o["kind"] not in ("KubeVirt", "HyperConverged", "Namespace")]
    everything = [*kept, *ready()]
    assert ended(everything) == 0
    insecure = kubevirt(migrations={"disableTLS": True, "bandwidthPerMigration": "512Mi"})
    worse = [insecure, *(o for o in everything if o["kind"] != "KubeVirt")]
    assert ended(worse) == 1
    assert ended(worse, "--exit-zero") == 0
    assert ended(worse, "--fail-on", "critical") == 0
    assert ended(worse, "--ignore", "migration-traffic-not-encrypted") == 0
    assert ended(worse, "--select", "no-such") == 2
    assert ended([o for o in everything if o["kind"] != "Pod"]) == 3


def test_migrations_lists_used_and_unused_permissions(run: Run, dump: str, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(event("create", "alice")) + "\n")
    state = str(STATES["A"])
    done = run("migrations", "-f", state, "-f", dump, "--audit-log", str(log), "-o", "json")
    assert done.returncode == 2
    assert "differs from the one" in done.stderr
    access = write(tmp_path / "access.json", rbac("A"))
    at = ("--at", "2026-11-23", "--days", "30")
    command = ("migrations", "-f", access, "-f", dump, "--audit-log", str(log), *at)
    report = json.loads(run(*command, "-o", "json").stdout)
    assert [(each["user"], each["count"]) for each in report["uses"]] == [("alice", 1)]
    names = {each["name"] for each in report["unused"]}
    assert "carol" in names
    assert "alice" not in names
    table = run(*command).stdout
    assert "USES OF THE PERMISSION" in table
    assert re.search(r"^User +carol *$", table, re.MULTILINE)
    later = run(*command[:-1], "1", "-o", "json").stdout
    assert json.loads(later)["uses"] == []


def test_invalid_objects_do_not_cause_a_traceback(run: Run, tmp_path: Path) -> None:
    """Empty, contradictory, or hostile objects."""
    odd = "<script>\x1b[31m=1+1\n{{ 7*7 }}"
    vm = on_claim(vmi("vm", "a"), odd, odd)
    vm[0]["spec"]["networks"] = [{"name": odd, "pod": {}}]
    vm[0]["spec"]["domain"]["devices"]["interfaces"] = [{"name": odd, "bridge": {}}]
    vm[0]["status"]["conditions"] = [{"type": "MigrationRequired", "status": "True"}]
    setting = kubevirt(
        migrations={
            "bandwidthPerMigration": "fast",
            "completionTimeoutPerGiB": odd,
            "parallelOutboundMigrationsPerNode": -1,
            "network": odd,
        }
    )
    setting["spec"]["workloadUpdateStrategy"] = {"workloadUpdateMethods": odd}
    moving = migration("m", odd, odd, created=odd)
    bare = [
        {"apiVersion": api, "kind": kind, "metadata": {"name": "bare", "namespace": "web"}}
        for api, kind in (
            ("v1", "PersistentVolumeClaim"),
            ("storage.k8s.io/v1", "StorageClass"),
            ("cdi.kubevirt.io/v1beta1", "StorageProfile"),
            ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
            ("kubevirt.io/v1", "VirtualMachineInstanceMigration"),
        )
    ]
    items = [node("a"), *vm, setting, moving, network(odd, odd), *bare]
    path = write(tmp_path / "odd.json", items)
    for command in (["readiness"], ["readiness", "--emit-tuning"], ["migrations"]):
        done = run(*command, "-f", path)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, 1, 3), done.stderr
        assert "\x1b" not in done.stdout
    page = run("readiness", "-f", path, "-o", "html").stdout
    assert "<script>\\x1b" not in page
    rows = run("readiness", "-f", path, "-o", "csv").stdout
    assert not any(cell.startswith("=") for row in csv.reader(io.StringIO(rows)) for cell in row)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--network-bandwidth", "fast", "is not a quantity (expected, for example, 1200M or 1Gi)"),
        ("--network-bandwidth", "0", "is not a quantity"),
        ("--at", "soon", "is no time; expected one like 2026-11-23"),
    ],
)
def test_an_invalid_option_is_an_error_of_one_line(
    run: Run, dump: str, option: str, value: str, expected: str
) -> None:
    done = run("readiness", "-f", dump, option, value)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
