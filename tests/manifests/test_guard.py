"""The guard's policies: what they hold, and that they are taken by the schema."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, STATES, Run

from rbacguard.errors import OutputError
from rbacguard.kubevirt.migrate_bindings import RequiredBinding
from rbacguard.manifests.guard import guard
from rbacguard.rbac import Subject
from rbacguard.validation import problems

ALICE = Subject("User", "alice")
APPROVALS = str(ROOT / "examples" / "approvals.yaml")
A = str(STATES["A"])


def made(
    *needs: RequiredBinding, managers: tuple[str, ...] = (), **more: Any
) -> dict[str, dict[str, Any]]:
    found = guard(needs, managers, until=more.pop("until", None), **more)
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


def test_the_approvals_stand_in_a_config_map_by_namespace() -> None:
    found = made(
        RequiredBinding("web", ALICE),
        RequiredBinding("web", Subject("ServiceAccount", "bot", "ci")),
        RequiredBinding("", Subject("Group", "vm-admins")),
        namespace="guards",
    )
    params = found["ConfigMap/rbacguard-live-migration-approvals"]
    assert params["metadata"]["namespace"] == "guards"
    assert params["data"] == {
        "_cluster": "Group//vm-admins",
        "web": "ServiceAccount/ci/bot\nUser//alice",
    }
    reference = found["ValidatingAdmissionPolicyBinding/rbacguard-live-migration-bindings"]
    assert reference["spec"]["paramRef"] == {
        "name": "rbacguard-live-migration-approvals",
        "namespace": "guards",
        "parameterNotFoundAction": "Deny",
    }


def test_every_object_passes_the_strict_schema() -> None:
    found = made(
        RequiredBinding("web", ALICE), managers=("argo",), until=datetime.date(2026, 12, 31)
    )
    for name, each in found.items():
        assert problems(each, "1.33") == [], name
    broken = found["ValidatingAdmissionPolicy/rbacguard-live-migration-roles"]
    broken["spec"]["unknown"] = 1
    assert problems(broken, "1.33")


def test_the_last_day_is_the_last_on_which_the_role_may_be_made() -> None:
    name = "ValidatingAdmissionPolicy/rbacguard-live-migration-temporary-role"
    dated = made(until=datetime.date(2026, 12, 31))[name]["spec"]["validations"][0]
    assert dated["expression"] == (
        "timestamp(object.metadata.creationTimestamp) < timestamp('2027-01-01T00:00:00Z')"
    )
    assert dated["message"].endswith("after 2026-12-31")
    assert made()[name]["spec"]["validations"][0]["expression"] == "false"


def test_names_reach_cel_as_strings_only() -> None:
    evil = "x'] || true || ['\" \\ \u2028"
    found = made(managers=(evil,))
    policy = found["ValidatingAdmissionPolicy/rbacguard-live-migration-bindings"]
    assert json.dumps([evil]) in policy["spec"]["validations"][1]["expression"]


def test_a_name_with_a_line_break_cannot_pass_for_two() -> None:
    with pytest.raises(OutputError, match="cannot be guarded"):
        made(RequiredBinding("web", Subject("User", "a\nUser//root")))


def test_more_approvals_than_a_config_map_holds_are_refused() -> None:
    with pytest.raises(OutputError, match="more than a ConfigMap holds"):
        made(
            *(
                RequiredBinding("web", Subject("User", f"{number:07}-{'x' * 200}"))
                for number in range(6000)
            )
        )


def test_the_command_writes_them_and_check_knows_them(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "pr"
    arguments = [
        *("generate", "-f", A, "--to", "4.20", "--out", str(out), "--approvals", APPROVALS),
        *("--guard", "--manager", "argo", "--expires", "2026-12-31", "--today", "2026-11-23"),
    ]
    assert run(*arguments).returncode == 0
    assert len(list((out / "30-clean-up").iterdir())) == 7
    same = run(*arguments, "--check")
    assert same.returncode == 0, same.stdout
    assert "as they would be generated" in same.stdout
    changed = out / "10-before-update" / "rolebinding-web-rbacguard-live-migration.yaml"
    changed.write_text(changed.read_text("utf-8").replace("carol", "mallory"), "utf-8")
    (out / "notes.txt").write_text("somebody's own", "utf-8")
    differs = run(*arguments, "--check")
    assert differs.returncode == 1
    assert f"! {changed.relative_to(out)}: differs" in differs.stdout
    assert "notes.txt" not in differs.stdout
    assert "mallory" in changed.read_text("utf-8")
    without = [each for each in arguments if each != "--guard"]
    left = run(*without, "--check", "-o", "json")
    # The seven, and the file that takes them away again.
    assert sum("not generated any more" in d for d in json.loads(left.stdout)["differences"]) == 8
    gone = run(*arguments[:6], str(tmp_path / "none"), *arguments[7:], "--check")
    assert gone.returncode == 1
    assert not (tmp_path / "none").exists()


def test_the_applier_is_told_what_he_lacks(run: Run, tmp_path: Path) -> None:
    arguments = [
        *("generate", "-f", A, "--to", "4.20", "--out", str(tmp_path / "pr")),
        *("--approvals", APPROVALS, "-o", "json", "--as-applier"),
    ]
    refused = run(*arguments, "carol")
    assert refused.returncode == 1
    obstacles = json.loads(refused.stdout)["applier"]["obstacles"]
    assert {o["object"]["namespace"] for o in obstacles} == {"payments", "web"}
    assert any(o["rule"] and "bind" in o["rule"]["verbs"] for o in obstacles)
    assert "identity provider" in str(json.loads(refused.stdout)["warnings"])
    assert "Not as things are: `carol` would be refused." in (
        tmp_path / "pr" / "README.md"
    ).read_text("utf-8")
    argo = "system:serviceaccount:openshift-gitops:argocd-application-controller"
    allowed = run(*arguments, argo)
    assert allowed.returncode == 0, allowed.stdout
    assert json.loads(allowed.stdout)["applier"]["obstacles"] == []
    assert "identity provider" not in allowed.stdout
