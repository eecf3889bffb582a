"""Each layout as a golden folder, built by the real kubectl, and what each is careful about."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from conftest import ROOT, STATES, Run, binding, group, objects, user, write_dump

from rbacguard.approvals.model import load_approvals
from rbacguard.sources import from_objects
from rbacguard.update.verify import Result, verify

APPROVALS = str(ROOT / "examples" / "approvals.yaml")
GOLDEN = Path(__file__).parent / "golden"
STEPS = ("10-before-update", "20-after-update", "30-clean-up")
LAYOUTS = ("plain", "kustomize", "argocd", "flux", "acm")
OPTIONS = [
    *("--strategy", "temporary-role", "--temporary-role", "edit", "--expires", "2026-12-31"),
    *("--guard", "--manager", "admin", "--today", "2026-11-23"),
    *("--repo-url", "https://git.example.com/fleet.git", "--repo-path", "clusters/prod"),
]


def generate(run: Run, out: Path, layout: str, *options: str, dump: str = "") -> Any:
    return run(
        *("generate", "-f", dump or str(STATES["A"]), "--to", "4.20", "--out", str(out)),
        *("--layout", layout, "--approvals", APPROVALS, *options),
    )


def manifests(folder: Path) -> list[dict[str, Any]]:
    """Return every object in the YAML files of a folder."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.rglob("*.yaml")):
        found += [d for d in yaml.safe_load_all(path.read_text("utf-8")) if d]
    return found


def built(kubectl: str, folder: Path) -> list[dict[str, Any]]:
    """Return what the real kubectl makes of a kustomization."""
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={"HOME": str(folder), "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    return cast("list[dict[str, Any]]", list(yaml.safe_load_all(done.stdout)))


def kinds(found: list[dict[str, Any]]) -> dict[str, int]:
    names = [each["kind"] for each in found if each]
    return {name: names.count(name) for name in sorted(set(names))}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_whole_folder_is_as_expected(
    layout: str, run: Run, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    out = tmp_path / "out"
    assert generate(run, out, layout, *OPTIONS).returncode == 0
    written = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    for name in written:
        text = (out / name).read_text("utf-8").replace("rbacguard 0.1.0", "rbacguard 0.0.0")
        golden(GOLDEN / f"layout-{layout}" / name, text)
    kept = GOLDEN / f"layout-{layout}"
    assert written == sorted(p.relative_to(kept) for p in kept.rglob("*") if p.is_file())


@pytest.mark.parametrize("layout", ["kustomize", "argocd"])
def test_kubectl_builds_every_step(layout: str, kubectl: str, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(run, out, layout, *OPTIONS)
    before, after, clean = (kinds(built(kubectl, out / step)) for step in STEPS)
    assert before == {"ClusterRole": 2}
    assert after == {"ClusterRole": 2, "RoleBinding": 2}
    assert clean == {
        "ConfigMap": 1,
        "RoleBinding": 2,
        "ValidatingAdmissionPolicy": 3,
        "ValidatingAdmissionPolicyBinding": 3,
    }
    assert built(kubectl, out) == built(kubectl, out / STEPS[0])
    names = [each["metadata"]["name"] for each in built(kubectl, out)]
    assert names == ["kubevirt.io:upgrademigrate", "kubevirt.io:upgrademigrate-edit"]


@pytest.mark.parametrize("layout", ["flux", "acm"])
def test_kubectl_builds_what_other_controllers_read(
    layout: str, kubectl: str, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    generate(run, out, layout, *OPTIONS)
    for folder in sorted(path.parent for path in out.rglob("kustomization.yaml")):
        nothing_before = folder.parts[-2:] == ("90-rollback", "10-before-update")
        assert built(kubectl, folder) or (nothing_before and layout == "flux")


def test_bindings_in_advance_stand_in_every_step(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(run, out, "kustomize")
    for step in STEPS:
        (value,) = manifests(out / step)
        assert value["resources"] == ["../bindings"]


def test_the_top_names_the_step_that_the_cluster_is_at(run: Run, tmp_path: Path) -> None:
    for letter, step in (("A", STEPS[0]), ("B", STEPS[0]), ("C", STEPS[1]), ("D", STEPS[2])):
        out = tmp_path / letter
        done = generate(run, out, "kustomize", dump=str(STATES[letter]))
        assert done.returncode == 0, done.stderr
        top = yaml.safe_load((out / "kustomization.yaml").read_text("utf-8"))
        assert top["resources"] == [step]
    out = tmp_path / "forced"
    generate(run, out, "kustomize", "--step", STEPS[2])
    assert yaml.safe_load((out / "kustomization.yaml").read_text("utf-8"))["resources"] == [
        STEPS[2]
    ]


def test_argo_prunes_the_temporary_role_and_asks_before_a_binding_goes(
    run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    generate(run, out, "argocd", *OPTIONS)
    waves = {}
    for each in manifests(out):
        annotations = each.get("metadata", {}).get("annotations", {})
        wave = annotations.get("argocd.argoproj.io/sync-wave")
        if wave is not None:
            assert isinstance(wave, str)
            waves[each["kind"]] = int(wave)
        options = annotations.get("argocd.argoproj.io/sync-options", "")
        if each["kind"] == "ClusterRole":
            assert options == ""
        if each["kind"] == "RoleBinding":
            assert options == "Prune=confirm"
    assert waves["ClusterRole"] < waves["RoleBinding"] < waves["ValidatingAdmissionPolicy"]
    application = yaml.safe_load((out / "application.yaml").read_text("utf-8"))
    assert application["spec"]["source"]["path"] == "clusters/prod"
    assert application["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}


@pytest.mark.parametrize(
    ("layout", "key", "value"),
    [
        ("argocd", "argocd.argoproj.io/sync-options", "Prune=false"),
        ("flux", "kustomize.toolkit.fluxcd.io/prune", "disabled"),
    ],
)
def test_kubevirts_own_role_is_never_pruned(
    layout: str, key: str, value: str, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = generate(run, out, layout, "--restore-default", "admin", dump=str(STATES["E"]))
    assert done.returncode == 0, done.stderr
    roles = [each for each in manifests(out) if each["kind"] == "ClusterRole"]
    # The second is the rollback's: the same without the label.
    assert [set(role["metadata"]) for role in roles] == [
        {"name", "annotations"},
        {"name", "annotations", "labels"},
    ]
    for role in roles:
        assert role["metadata"]["name"] == "kubevirt.io:migrate"
        assert role["metadata"]["annotations"][key] == value
        assert "rules" not in role


def identities(found: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (e["kind"], e["metadata"].get("namespace", ""), e["metadata"]["name"]) for e in found if e
    }


@pytest.mark.parametrize("layout", ["kustomize", "argocd"])
def test_a_rollback_builds_what_stood_in_the_step_before(
    layout: str, kubectl: str, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    generate(run, out, layout, *OPTIONS)
    before: list[dict[str, Any]] = []
    for step in STEPS:
        assert built(kubectl, out / "90-rollback" / step) == before
        before = built(kubectl, out / step)
    done = generate(run, out, layout, *OPTIONS, "--step", f"90-rollback/{STEPS[2]}")
    assert done.returncode == 0, done.stderr
    assert built(kubectl, out) == built(kubectl, out / STEPS[1])


def test_in_the_plain_layout_a_rollback_names_each_object_of_its_step(
    run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    generate(run, out, "plain", *OPTIONS)
    for step in STEPS:
        undone = manifests(out / "90-rollback" / step)
        again = identities(manifests(out / STEPS[0])) if step == STEPS[2] else set()
        assert identities(undone) == identities(manifests(out / step)) | again
    assert (out / "90-rollback" / STEPS[2] / "apply.yaml").exists()


def test_a_restored_default_is_taken_back_by_the_label_alone(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(run, out, "plain", "--restore-default", "admin", dump=str(STATES["E"]))
    folder = out / "90-rollback" / STEPS[1]
    (role,) = yaml.safe_load_all((folder / "apply.yaml").read_text())
    assert (role["metadata"], "rules" in role) == ({"name": "kubevirt.io:migrate"}, False)
    kept = list(yaml.safe_load_all((folder / "delete.yaml").read_text()))
    assert "kubevirt.io:migrate" not in {each["metadata"]["name"] for each in kept}


def test_acm_rolls_back_with_policies_of_what_must_not_be_there(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(run, out, "acm", *OPTIONS, "--remediation", "enforce")
    for step, part in zip(STEPS, ("temporary-role", "bindings", "guard"), strict=True):
        found = manifests(out / "90-rollback" / step)
        names = [e["metadata"]["name"] for e in found if e["kind"] == "Policy"]
        assert names == [f"live-migration-{part}-absent"]
        (placed,) = [e for e in found if e["kind"] == "PlacementBinding"]
        assert [s["name"] for s in placed["subjects"]] == names


def test_flux_waits_for_the_parts_before(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(run, out, "flux", *OPTIONS)

    def depends(step: str) -> dict[str, list[str]]:
        return {
            each["metadata"]["name"]: [d["name"] for d in each["spec"].get("dependsOn", [])]
            for each in manifests(out / step)
            if each["apiVersion"].startswith("kustomize.toolkit")
        }

    assert depends(STEPS[0]) == {"live-migration-temporary-role": []}
    assert depends(STEPS[1]) == {
        "live-migration-temporary-role": [],
        "live-migration-bindings": ["live-migration-temporary-role"],
    }
    assert depends(STEPS[2]) == {
        "live-migration-bindings": [],
        "live-migration-guard": ["live-migration-bindings"],
    }
    for each in manifests(out):
        if each["apiVersion"].startswith("kustomize.toolkit"):
            assert each["spec"]["prune"] is True
            part = each["spec"]["path"].rpartition("/")[2]
            assert each["spec"]["path"] == f"./clusters/prod/{part}"
            assert (out / part / "kustomization.yaml").exists()


def test_acm_informs_and_never_enforces_what_would_delete_kubevirts_role(
    run: Run, tmp_path: Path
) -> None:
    for remediation in ("inform", "enforce"):
        out = tmp_path / remediation
        generate(run, out, "acm", *OPTIONS, "--remediation", remediation)
        policies = {
            each["metadata"]["name"]: each
            for each in manifests(out / STEPS[2])
            if each["kind"] == "Policy"
        }
        for name, policy in policies.items():
            (template,) = policy["spec"]["policy-templates"]
            inner = template["objectDefinition"]["spec"]
            deletes_migrate = any(
                t["complianceType"] == "mustnothave"
                and t["objectDefinition"]["metadata"]["name"] == "kubevirt.io:migrate"
                for t in inner["object-templates"]
            )
            expected = "inform" if deletes_migrate else remediation
            assert policy["spec"]["remediationAction"] == expected, name
            assert inner["remediationAction"] == expected
        absent = policies["live-migration-temporary-role-absent"]["spec"]["policy-templates"][0]
        assert [
            t["objectDefinition"]["metadata"]["name"]
            for t in absent["objectDefinition"]["spec"]["object-templates"]
        ] == ["kubevirt.io:upgrademigrate", "kubevirt.io:upgrademigrate-edit"]
        (placed,) = [e for e in manifests(out / STEPS[2]) if e["kind"] == "PlacementBinding"]
        assert {s["name"] for s in placed["subjects"]} == set(policies)


def hostile(tmp_path: Path, name: str) -> tuple[str, str]:
    """Return a dump and approvals with a name, who is bound to admin in namespace web."""
    items = [*objects("A"), binding("x", "admin", user(name), namespace="web")]
    subject = {"kind": "User", "name": name}
    entry = {"subject": subject, "namespaces": ["web"], "approved": True}
    value = {"apiVersion": "rbacguard.io/v1alpha1", "kind": "MigrationAccess", "approvals": [entry]}
    approvals = tmp_path / "approvals.json"
    approvals.write_text(json.dumps(value), "utf-8")
    return write_dump(tmp_path / "dump.json", items), str(approvals)


@pytest.mark.parametrize(
    "name", ["{{ fromSecret }}", 'a"b', "yes", "a: b # c", "<script>", "${HOME}", "é\u202e", "'"]
)
def test_a_hostile_name_stays_a_name_in_every_layout(name: str, run: Run, tmp_path: Path) -> None:
    dump, approvals = hostile(tmp_path, name)
    for layout in LAYOUTS:
        out = tmp_path / layout
        done = run(
            *("generate", "-f", dump, "--to", "4.20", "--out", str(out), "--layout", layout),
            *("--approvals", approvals, "--guard"),
        )
        if layout == "acm" and "{{" in name:
            assert done.returncode == 2
            assert "would be read as a template" in done.stderr
            assert not out.exists()
            continue
        assert done.returncode == 0, done.stderr
        text = json.dumps(manifests(out), default=str, ensure_ascii=False)
        assert json.dumps(name, ensure_ascii=False) in text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_generating_again_changes_nothing_and_one_decision_changes_little(
    layout: str, run: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    approvals = tmp_path / "approvals.yaml"
    text = Path(APPROVALS).read_text("utf-8")
    approvals.write_text(text, "utf-8")
    arguments = [
        *("generate", "-f", str(STATES["A"]), "--to", "4.20", "--out", str(out)),
        *("--layout", layout, "--approvals", str(approvals), "--today", "2026-11-23"),
    ]
    run(*arguments)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = run(*arguments)
    assert "nothing changed" in again.stdout
    approvals.write_text(text.replace("hot-plugs network interfaces", "another reason"), "utf-8")
    run(*arguments)
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert before.keys() == after.keys()
    readme = out / "README.md"
    # The digest of the input, which stands in the first line.
    assert before[readme].split(b"\n")[1:] == after[readme].split(b"\n")[1:]
    changed = [path.name for path in before if before[path] != after[path] and path != readme]
    limit = 3 if layout == "acm" else 1
    assert 0 < len(changed) <= limit, changed
    assert any("web" in name or "polic" in name for name in changed)


def test_what_the_tool_applied_before_is_generated_again_and_hand_made_bindings_are_not(
    run: Run, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    generate(run, first, "kustomize")
    own = [each for each in manifests(first / "bindings") if each["kind"] == "RoleBinding"]
    assert len(own) == 2
    applied = write_dump(tmp_path / "applied.json", [*objects("A"), *own])
    second = tmp_path / "second"
    generate(run, second, "kustomize", dump=applied)
    assert manifests(second / "bindings") == manifests(first / "bindings")
    by_hand = binding("mine", "kubevirt.io:migrate", user("carol"), namespace="web")
    third = tmp_path / "third"
    hand_made = write_dump(tmp_path / "hand.json", [*objects("A"), by_hand])
    generate(run, third, "kustomize", dump=hand_made)
    made = [each for each in manifests(third / "bindings") if each["kind"] == "RoleBinding"]
    assert [each["metadata"]["namespace"] for each in made] == ["payments"]


def test_a_name_taken_by_somebody_elses_binding_is_left_to_him(run: Run, tmp_path: Path) -> None:
    """A roleRef cannot be changed, so the binding gets another name instead."""
    other = binding("rbacguard-live-migration", "view", group("x"), namespace="web")
    dump = write_dump(tmp_path / "dump.json", [*objects("A"), other])
    out = tmp_path / "out"
    generate(run, out, "kustomize", dump=dump)
    names = {
        each["metadata"]["namespace"]: each["metadata"]["name"]
        for each in manifests(out / "bindings")
        if each["kind"] == "RoleBinding"
    }
    assert names == {
        "payments": "rbacguard-live-migration",
        "web": "rbacguard-live-migration-2",
    }


def test_a_controller_that_would_bring_the_temporary_role_back_is_warned_of(
    run: Run, tmp_path: Path
) -> None:
    items = objects("C")
    for item in items:
        if item["metadata"]["name"] == "kubevirt.io:upgrademigrate":
            item["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "app:x"}
    dump = write_dump(tmp_path / "dump.json", items)
    done = generate(run, tmp_path / "out", "argocd", dump=dump)
    assert "kubevirt.io:upgrademigrate is managed by Argo CD: deleted by hand it comes back" in (
        done.stdout
    )


def test_the_bundle_of_clean_up_makes_a_clean_cluster(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(run, out, "kustomize", dump=str(STATES["E"]))
    made = [each for each in manifests(out / "bindings") if each["kind"] == "RoleBinding"]
    after = from_objects([*objects("E"), *made])
    before = from_objects(objects("A"))
    import datetime

    today = datetime.date(2026, 11, 23)
    found = verify(after, load_approvals(APPROVALS), before=before, today=today)
    assert found.result is Result.PASSED, found.next_steps


def test_five_thousand_namespaces_fit_in_one_bundle(run: Run, tmp_path: Path) -> None:
    """A namespace more is a file more, and no other file changes but the lists."""
    approvals, out = tmp_path / "approvals.json", tmp_path / "out"

    def made(count: int) -> dict[str, bytes]:
        spaces = [f"team-{number:04}" for number in range(count)]
        subject = {"kind": "Group", "name": "vm"}
        entry = {"subject": subject, "namespaces": spaces, "approved": True}
        head = {"apiVersion": "rbacguard.io/v1alpha1", "kind": "MigrationAccess"}
        approvals.write_text(json.dumps({**head, "approvals": [entry]}), "utf-8")
        done = run(
            *("generate", "-f", str(STATES["A"]), "--to", "4.20", "--out", str(out)),
            *("--layout", "kustomize", "--approvals", str(approvals)),
        )
        assert done.returncode == 0, done.stderr
        return {path.name: path.read_bytes() for path in (out / "bindings").iterdir()}

    before, after = made(5000), made(5001)
    assert (len(before), len(after)) == (5001, 5002)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        "kustomization.yaml",
        "rolebinding-team-5000-rbacguard-live-migration.yaml",
    }


def test_the_steps_of_a_summary_are_numbered_without_gaps() -> None:
    lengths = set()
    for path in sorted(GOLDEN.glob("*/README.md")):
        numbers = re.findall(r"^(\d+)\. ", path.read_text("utf-8"), re.MULTILINE)
        assert [int(each) for each in numbers] == list(range(1, len(numbers) + 1)), path
        lengths.add(len(numbers))
    assert len(lengths) > 2


@pytest.mark.parametrize(("letter", "printed"), [("A", ""), ("B", '["virtualmachines/migrate"]\n')])
def test_what_the_summary_expects_is_seen_with_the_temporary_role_alone(
    letter: str, printed: str, kubectl: str, tmp_path: Path
) -> None:
    """Before the update `admin` grants migration anyway, so that alone tells nothing."""
    (command,) = re.findall(
        r"^ +\$ oc get clusterrole admin (.*)$",
        (GOLDEN / "temporary-role" / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    (admin,) = [
        each
        for each in objects(letter)
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] == "admin"
    ]
    path = tmp_path / "admin.json"
    path.write_text(json.dumps(admin))
    local = (
        f"{shlex.quote(kubectl)} patch --local -f {shlex.quote(str(path))} --type merge -p '{{}}'"
    )
    done = subprocess.run(
        ["sh", "-c", f"{local} {command}"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (printed, "")
