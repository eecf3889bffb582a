"""A bundle as policies of Open Cluster Management (ACM), for a hub and its clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rbacguard.errors import OutputError
from rbacguard.kubevirt.names import MIGRATE
from rbacguard.manifests.contents import (
    CLEAN_UP,
    ROLLBACK,
    Contents,
    Delivery,
    Manifest,
    Part,
    files,
    kustomization,
)
from rbacguard.rbac.types import RBAC_GROUP

_POLICY = {
    "policy.open-cluster-management.io/standards": "NIST SP 800-53",
    "policy.open-cluster-management.io/categories": "AC Access Control",
    "policy.open-cluster-management.io/controls": "AC-6 Least Privilege",
}


def acm(contents: Contents, delivery: Delivery) -> dict[str, str]:
    """Return policies for each step and each rollback; what is compliant is seen per cluster.

    Raises:
        OutputError: a name would be read as a template by the hub.
    """
    for manifests in contents.parts.values():
        for each in manifests:
            _refuse_templates(each)
    temporary = contents.parts.get(Part.TEMPORARY_ROLE, ())
    must: dict[Part, Manifest] = {
        part: _policy(f"{part}-present", "musthave", manifests, delivery, delivery.remediation)
        for part, manifests in contents.parts.items()
        if manifests
    }
    gone = [_identity(each) for each in temporary] or [_identity(_named("upgrademigrate"))]
    absent = _absent(Part.TEMPORARY_ROLE, gone, delivery)
    # Enforced, `mustnothave` deletes the whole object, which is KubeVirt's own.
    restored = _policy("default-not-restored", "mustnothave", _labelled(), delivery, "inform")
    found: dict[str, str] = {}
    for step, parts in contents.steps().items():
        policies = [must[part] for part in parts]
        if step == CLEAN_UP:
            policies += [absent] if contents.parts.get(Part.DEFAULT) else [absent, restored]
        found |= _folder(step, policies, contents, delivery)
    before = ""
    for step, undone in contents.undone().items():
        policies = []
        for part in undone:
            identities = [_identity(each) for each in contents.parts[part]]
            policies += [restored if part is Part.DEFAULT else _absent(part, identities, delivery)]
        found |= _folder(f"{ROLLBACK}/{step}", policies, contents, delivery, before)
        before = f"../../{step}"
    return found


def _folder(
    folder: str, policies: list[Manifest], contents: Contents, delivery: Delivery, before: str = ""
) -> dict[str, str]:
    """Return policies as files of a folder, in a rollback with the folder of the step before."""
    name = "live-migration-rollback" if folder.startswith(ROLLBACK) else "live-migration-access"
    placed = [*policies, *(_placed(policies, delivery, name) if policies else ())]
    found = files(folder, placed, contents.header)
    names = [*([before] if before else []), *(name.removeprefix(f"{folder}/") for name in found)]
    found[f"{folder}/kustomization.yaml"] = kustomization(contents.header, names)
    return found


def _absent(part: Part, identities: Iterable[Manifest], delivery: Delivery) -> Manifest:
    return _policy(f"{part}-absent", "mustnothave", identities, delivery, delivery.remediation)


def _refuse_templates(value: object) -> None:
    """The hub and the cluster read `{{` in a policy as a template, wherever it stands."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_templates(key)
            _refuse_templates(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_templates(item)
    elif isinstance(value, str) and "{{" in value:
        raise OutputError(f"{value!r}: '{{{{' would be read as a template; use another layout")


def _named(name: str) -> dict[str, Any]:
    metadata = {"name": f"kubevirt.io:{name}"}
    return {"apiVersion": f"{RBAC_GROUP}/v1", "kind": "ClusterRole", "metadata": metadata}


def _identity(found: Manifest) -> dict[str, Any]:
    return {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {
            key: found["metadata"][key] for key in ("name", "namespace") if key in found["metadata"]
        },
    }


def _labelled() -> list[dict[str, Any]]:
    """Return the operator's role with each label that gives the old default back."""
    labels = [f"{RBAC_GROUP}/aggregate-to-{tier}" for tier in ("admin", "edit")]
    role = _named(MIGRATE.partition(":")[2])
    return [{**role, "metadata": {"name": MIGRATE, "labels": {label: "true"}}} for label in labels]


def _policy(
    name: str,
    compliance: str,
    objects: Iterable[Manifest],
    delivery: Delivery,
    remediation: str,
) -> dict[str, Any]:
    templates = [{"complianceType": compliance, "objectDefinition": dict(each)} for each in objects]
    configuration = {
        "apiVersion": "policy.open-cluster-management.io/v1",
        "kind": "ConfigurationPolicy",
        "metadata": {"name": f"live-migration-{name}"},
        "spec": {
            "remediationAction": remediation,
            "severity": "high",
            "evaluationInterval": {"compliant": "10m", "noncompliant": "1m"},
            "object-templates": templates,
        },
    }
    return {
        "apiVersion": "policy.open-cluster-management.io/v1",
        "kind": "Policy",
        "metadata": {
            "name": f"live-migration-{name}",
            "namespace": delivery.policy_namespace,
            "annotations": dict(_POLICY),
        },
        "spec": {
            "remediationAction": remediation,
            "disabled": False,
            "policy-templates": [{"objectDefinition": configuration}],
        },
    }


def _placed(policies: Iterable[Manifest], delivery: Delivery, name: str) -> list[dict[str, Any]]:
    """Return where the policies hold: on every OpenShift cluster of the cluster sets."""
    metadata = {"name": name, "namespace": delivery.policy_namespace}
    unreachable = [
        {"key": f"cluster.open-cluster-management.io/{state}", "operator": "Exists"}
        for state in ("unreachable", "unavailable")
    ]
    selector = {"matchExpressions": [{"key": "vendor", "operator": "In", "values": ["OpenShift"]}]}
    return [
        {
            "apiVersion": "cluster.open-cluster-management.io/v1beta1",
            "kind": "Placement",
            "metadata": dict(metadata),
            "spec": {
                "predicates": [{"requiredClusterSelector": {"labelSelector": selector}}],
                "tolerations": unreachable,
            },
        },
        {
            "apiVersion": "policy.open-cluster-management.io/v1",
            "kind": "PlacementBinding",
            "metadata": dict(metadata),
            "placementRef": {
                "apiGroup": "cluster.open-cluster-management.io",
                "kind": "Placement",
                "name": metadata["name"],
            },
            "subjects": [
                {
                    "apiGroup": "policy.open-cluster-management.io",
                    "kind": "Policy",
                    "name": each["metadata"]["name"],
                }
                for each in policies
            ],
        },
    ]
