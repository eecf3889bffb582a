"""What other controllers read, against their own published schemas.

`RBACGUARD_CRDS` names a folder of CustomResourceDefinitions: Argo CD's Application
(argoproj/argo-cd, manifests/crds), Flux's Kustomization (fluxcd/kustomize-controller,
config/crd/bases), and Open Cluster Management's Placement (open-cluster-management-io/api), Policy
and PlacementBinding (governance-policy-propagator, deploy/crds) and ConfigurationPolicy
(config-policy-controller, deploy/crds); for reports, ClusterPolicyReport
(kubernetes-sigs/wg-policy-prototypes, policy-report/crd/v1alpha2) and ClusterReport
(openreports/reports-api, config/crd); for VMs, HyperConverged and CDI's StorageProfile
(kubevirt/hyperconverged-cluster-operator, deploy/crds), and KubeVirt's own kinds as a cluster with
KubeVirt has them (`kubectl get crd NAME -o yaml`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import ROOT, STATES, Run
from workload_objects import dump as vm_dump

CRDS = os.environ.get("RBACGUARD_CRDS", "")
pytestmark = pytest.mark.skipif(not CRDS, reason="RBACGUARD_CRDS names no folder of CRDs")
OPTIONS = [
    *("--strategy", "temporary-role", "--temporary-role", "edit", "--expires", "2026-12-31"),
    *("--guard", "--manager", "admin", "--today", "2026-11-23", "--remediation", "enforce"),
    *("--repo-url", "https://git.example.com/fleet.git", "--repo-path", "clusters/prod"),
]


def strict(schema: Any) -> Any:
    """Return a structural schema in which a field that it does not name is wrong."""
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        found["properties"] = {k: strict(v) for k, v in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    return found


@cache
def schemas() -> dict[tuple[str, str], Any]:
    found = {}
    for path in Path(CRDS).glob("*.yaml"):
        for crd in yaml.safe_load_all(path.read_text("utf-8")):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            for version in crd["spec"]["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                metadata = {"type": "object", "required": ["name"]}
                schema["properties"] |= {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": metadata,
                }
                name = f"{crd['spec']['group']}/{version['name']}"
                found[(name, crd["spec"]["names"]["kind"])] = schema
    return found


def nested(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an object, and those that a policy holds."""
    inner = [
        template["objectDefinition"]
        for template in found.get("spec", {}).get("policy-templates", [])
    ]
    return [found, *inner]


@pytest.mark.parametrize("layout", ["argocd", "flux", "acm"])
def test_every_object_fits_its_schema_and_names_no_other_field(
    layout: str, run: Run, tmp_path: Path
) -> None:
    known = schemas()
    out = tmp_path / "out"
    done = run(
        *("generate", "-f", str(STATES["A"]), "--to", "4.20", "--out", str(out)),
        *("--layout", layout, "--approvals", str(ROOT / "examples" / "approvals.yaml"), *OPTIONS),
    )
    assert done.returncode == 0, done.stderr
    checked = set()
    for path in sorted(out.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text("utf-8")):
            for each in nested(document):
                place = (each["apiVersion"], each["kind"])
                if place in known:
                    jsonschema.Draft7Validator(known[place]).validate(each)
                    checked.add(each["kind"])
    assert (
        checked
        == {
            "argocd": {"Application"},
            "flux": {"Kustomization"},
            "acm": {"Policy", "ConfigurationPolicy", "Placement", "PlacementBinding"},
        }[layout]
    )


@pytest.mark.parametrize(
    ("form", "kind"), [("policyreport", "ClusterPolicyReport"), ("openreports", "ClusterReport")]
)
@pytest.mark.parametrize("letter", STATES)
def test_reports_for_clusters_that_collect_them_fit_theirs(
    form: str, kind: str, letter: str, run: Run
) -> None:
    approvals = str(ROOT / "examples" / "approvals.yaml")
    for command in (("audit",), ("verify", "--approvals", approvals)):
        (report,) = yaml.safe_load_all(run(*command, "-f", str(STATES[letter]), "-o", form).stdout)
        assert report["kind"] == kind
        jsonschema.Draft7Validator(schemas()[report["apiVersion"], kind]).validate(report)


def fits(found: dict[str, Any]) -> bool:
    """Whether there is a schema for an object; it fits it, or the test ends."""
    schema = schemas().get((found["apiVersion"], found["kind"]))
    if schema is not None:
        jsonschema.Draft7Validator(schema).validate(found)
    return schema is not None


def merged(value: Any, patch: Any) -> Any:
    """Return a value with a JSON merge patch (RFC 7386) applied."""
    if not isinstance(patch, Mapping):
        return patch
    value = value if isinstance(value, Mapping) else {}
    changed = {key: merged(value.get(key), each) for key, each in patch.items() if each is not None}
    return {**{key: each for key, each in value.items() if key not in patch}, **changed}


@pytest.mark.parametrize("new", [False, True])
def test_vms_and_the_tuning_patch_fit_the_crds_of_kubevirt(
    new: bool, run: Run, tmp_path: Path
) -> None:
    items = json.loads(vm_dump(3, 20, new=new))["items"]
    kinds = {item["kind"] for item in items if fits(item)}
    assert kinds >= {
        *("HyperConverged", "KubeVirt", "MigrationPolicy", "VirtualMachine"),
        *("VirtualMachineInstance", "VirtualMachineInstanceMigration"),
    }
    (settings,) = (item for item in items if item["kind"] == "HyperConverged")
    (installed,) = (item for item in items if item["kind"] == "KubeVirt")
    installed["spec"]["configuration"]["migrations"] = {"parallelMigrationsPerCluster": 1}
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    done = run("readiness", "-f", str(dump), "--network-bandwidth", "1.2G", "--emit-tuning")
    patch = yaml.safe_load(done.stdout)
    assert patch["spec"]
    assert fits(merged(settings, patch))
