"""The audit that a cluster runs of itself may read what it needs, and write one object."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import STATES, Run, objects, write_dump

from rbacguard import Attributes
from rbacguard.manifests.cronjob import Publish, publish_command
from rbacguard.sources import load
from rbacguard.sources.live import NEEDS

ACCOUNT = "system:serviceaccount:rbacguard:rbacguard"
IMAGE = "registry.example.com/rbacguard:0.1"
WRITTEN = {
    "configmap": ("", "configmaps", "rbacguard"),
    "policyreport": ("wgpolicyk8s.io", "clusterpolicyreports", ""),
    "openreports": ("openreports.io", "clusterreports", ""),
}


def made(run: Run, out: Path, *options: str) -> list[dict[str, Any]]:
    done = run("generate", "--layout", "cronjob", "--image", IMAGE, "--out", str(out), *options)
    assert (done.returncode, done.stderr) == (0, "")
    files = [path for path in sorted(out.iterdir()) if path.name != "kustomization.yaml"]
    return [yaml.safe_load(path.read_text("utf-8")) for path in files]


@pytest.mark.parametrize("publish", WRITTEN)
def test_the_account_may_read_what_an_audit_needs_and_write_one_object(
    publish: str, run: Run, tmp_path: Path
) -> None:
    found = made(run, tmp_path / "job", "--publish", publish)
    dump = write_dump(tmp_path / "dump.json", [*objects("D"), *found])
    snapshot = load([dump])
    bare = load([str(STATES["D"])])

    def may(verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        request = Attributes(
            user=ACCOUNT,
            groups=["system:serviceaccounts", "system:authenticated"],
            verb=verb,
            api_group=group,
            resource=resource,
            namespace=namespace,
            name=name,
        )
        # What everybody may is not what was given.
        assert not bare.authorizer.authorize(request).allowed
        return snapshot.authorizer.authorize(request).allowed

    assert all(may("list", r.group, r.plural) for r in NEEDS["audit"] if r.kind != "KubeVirt")
    group, resource, namespace = WRITTEN[publish]
    assert all(
        may(verb, group, resource, namespace, "rbacguard-audit")
        for verb in ("create", "get", "patch")
    )
    assert not any(
        may(verb, group, resource, namespace, name)
        for verb in ("create", "get", "patch", "update", "delete", "list", "watch")
        for name in ("", "another")
    )
    assert not may("delete", group, resource, namespace, "rbacguard-audit")
    assert not any(may(v, "", "secrets", "rbacguard", "x") for v in ("get", "list", "create"))
    assert not any(may("get", r.group, r.plural) for r in NEEDS["audit"] if r.kind != "KubeVirt")


@pytest.mark.parametrize("publish", WRITTEN)
def test_the_job_runs_the_tool_without_rights_on_its_node(
    publish: str, run: Run, tmp_path: Path
) -> None:
    options = ("--publish", publish, "--schedule", "*/30 1-5 * * mon-fri", "--job-namespace", "sec")
    found = {each["kind"]: each for each in made(run, tmp_path / "job", *options)}
    job = found["CronJob"]
    assert job["metadata"]["namespace"] == "sec"
    assert job["spec"]["schedule"] == "*/30 1-5 * * mon-fri"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    containers = [*pod["initContainers"], *pod["containers"]]
    for each in containers:
        context = each["securityContext"]
        assert not context["allowPrivilegeEscalation"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}
    audit, _ = containers
    assert audit["image"] == IMAGE
    folder = tmp_path / "report"
    folder.mkdir()
    arguments = [each.replace("=/report/", f"={folder}/") for each in audit["args"]]
    done = run(*arguments, "-f", str(STATES["A"]))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (written,) = folder.iterdir()
    assert written.stat().st_size > 1000


def test_what_is_published_is_what_the_audit_wrote(run: Run, tmp_path: Path, kubectl: str) -> None:
    """The first half of the command, which asks no server, by the real kubectl."""
    report = tmp_path / "summary.md"
    run("audit", "--exit-zero", "-o", f"markdown={report}", "-f", str(STATES["A"]))
    create = publish_command(Publish.CONFIG_MAP, "rbacguard", str(tmp_path)).splitlines()[0]
    command = create.replace("kubectl", shlex.quote(kubectl), 1)
    subprocess.run(
        ["/bin/sh", "-ec", command], check=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    published = yaml.safe_load((tmp_path / "configmap.yaml").read_text())
    assert published["metadata"]["name"] == "rbacguard-audit"
    assert published["data"]["summary.md"] == report.read_text()


def test_kubectl_builds_it(run: Run, tmp_path: Path, kubectl: str) -> None:
    found = made(run, tmp_path / "job")
    built = subprocess.run(
        [kubectl, "kustomize", str(tmp_path / "job")], capture_output=True, check=True, text=True
    )
    kinds = sorted(each["kind"] for each in yaml.safe_load_all(built.stdout))
    assert kinds == sorted(each["kind"] for each in found)


def test_generating_again_changes_nothing_and_check_sees_what_was_changed(
    run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "job"
    made(run, out)
    command = ["generate", "--layout", "cronjob", "--image", IMAGE, "--out", str(out)]
    assert "nothing changed" in run(*command).stdout
    assert run(*command, "--check").returncode == 0
    assert run(*command, "--check", "--schedule", "0 0 * * *").returncode == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "needs --image"),
        (["--image", IMAGE, "--schedule", "daily"], "expected five fields"),
        (["--image", IMAGE, "--schedule", "* * * * *\nx: y"], "expected five fields"),
        (["--image", IMAGE, "--job-namespace", "Not A Name"], "expected a name of a namespace"),
        (
            ["--image", IMAGE, "--to", "4.20", "-f", "a.yaml", "--guard"],
            "--layout cronjob does not look at --filename, --to, --guard; leave that out",
        ),
    ],
)
def test_what_would_make_no_difference_or_be_refused_is_refused(
    options: list[str], said: str, run: Run, tmp_path: Path
) -> None:
    done = run("generate", "--layout", "cronjob", "--out", str(tmp_path / "job"), *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "job").exists()


def test_options_of_the_job_are_refused_elsewhere(run: Run, tmp_path: Path) -> None:
    done = run("generate", "-f", "a.yaml", "--out", str(tmp_path / "x"), "--image", IMAGE)
    assert done.returncode == 2
    assert "only --layout cronjob looks at --image; leave that out" in done.stderr
