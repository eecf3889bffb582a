"""How the files of a bundle are laid out, for people and for the controllers that apply them.

`plain` has a folder for each step. The others have one folder for each part, and for each step a
kustomization that lists the parts which the cluster is to have then: the kustomization at the top
names the step, so that a step is a merge of one line, and what a step does not list is pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from rbacguard.errors import OutputError
from rbacguard.kubevirt.names import MIGRATE
from rbacguard.manifests.render import render_manifest
from rbacguard.rbac.objects import RBAC_GROUP

BEFORE, AFTER, CLEAN_UP = "10-before-update", "20-after-update", "30-clean-up"
"""The steps, in order."""

Manifest = Mapping[str, Any]


class Layout(StrEnum):
    """For whom the files are laid out."""

    PLAIN = "plain"
    KUSTOMIZE = "kustomize"
    ARGOCD = "argocd"
    FLUX = "flux"
    ACM = "acm"


class Part(StrEnum):
    """What belongs together, because it comes and goes together."""

    TEMPORARY_ROLE = "temporary-role"
    BINDINGS = "bindings"
    DEFAULT = "restored-default"
    GUARD = "guard"


class Delivery(Struct, frozen=True):
    """How a bundle is delivered.

    Attributes:
        layout: for whom.
        step: which of the steps the kustomization at the top names.
        repository: URL of the Git repository, for Argo CD's Application; '' writes none.
        path: path of this folder in the repository.
        revision: branch or tag that Argo CD follows.
        flux_source: name of Flux's GitRepository.
        policy_namespace: namespace of Open Cluster Management's policies on the hub.
        remediation: `inform`, or `enforce` where nothing that belongs to KubeVirt could be deleted.
    """

    layout: Layout = Layout.PLAIN
    step: str = BEFORE
    repository: str = ""
    path: str = "."
    revision: str = "HEAD"
    flux_source: str = "flux-system"
    policy_namespace: str = "rbacguard-policies"
    remediation: str = "inform"


class Contents(Struct, frozen=True):
    """The manifests of a bundle.

    Attributes:
        parts: by part, in the order in which they are applied.
        early: whether bindings are made before the update.
        header: the first line of every file.
    """

    parts: Mapping[Part, tuple[Manifest, ...]]
    early: bool
    header: str

    def steps(self) -> dict[str, tuple[Part, ...]]:
        """Return which parts the cluster is to have at each step, but for empty ones."""
        temporary, bindings, default = Part.TEMPORARY_ROLE, Part.BINDINGS, Part.DEFAULT
        wanted = {
            BEFORE: (temporary, *((bindings,) if self.early else ())),
            AFTER: (temporary, bindings, default),
            CLEAN_UP: (bindings, default, Part.GUARD),
        }
        return {
            step: tuple(part for part in parts if self.parts.get(part))
            for step, parts in wanted.items()
        }


def lay_out(contents: Contents, delivery: Delivery) -> dict[str, str]:
    """Return files by name, relative to the bundle's folder.

    Raises:
        OutputError: a name would be read as a template by the controller.
    """
    return _LAYOUTS[delivery.layout](contents, delivery)


def file_name(found: Manifest) -> str:
    """Return a file name; what is no plain character in it is percent-encoded."""
    import hashlib

    metadata = found["metadata"]
    parts = [found["kind"].lower(), metadata.get("namespace"), metadata["name"]]
    stem = "-".join(quote(part, safe="") for part in parts if part)
    if len(stem) > 180:  # noqa: PLR2004 - well below the 255 bytes of a file name
        stem = f"{stem[:140]}-{hashlib.sha256(stem.encode()).hexdigest()[:16]}"
    return f"{stem}.yaml"


def _files(folder: str, manifests: Iterable[Manifest], header: str) -> dict[str, str]:
    return {f"{folder}/{file_name(m)}": render_manifest(header, m) for m in manifests}


def _kustomization(header: str, resources: Iterable[str]) -> str:
    return render_manifest(
        header,
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": list(resources),
        },
    )


def _plain(contents: Contents, _delivery: Delivery) -> dict[str, str]:
    places = {
        Part.TEMPORARY_ROLE: BEFORE,
        Part.BINDINGS: BEFORE if contents.early else AFTER,
        Part.DEFAULT: AFTER,
        Part.GUARD: CLEAN_UP,
    }
    found: dict[str, str] = {}
    for part, manifests in contents.parts.items():
        found |= _files(places[part], manifests, contents.header)
    return found


def _parts(contents: Contents) -> dict[str, str]:
    """Return a folder for each part, with a kustomization that lists its files."""
    found: dict[str, str] = {}
    for part, manifests in contents.parts.items():
        if manifests:
            files = _files(part, manifests, contents.header)
            names = [name.partition("/")[2] for name in files]
            found |= files
            found[f"{part}/kustomization.yaml"] = _kustomization(contents.header, names)
    return found


def _top(contents: Contents, delivery: Delivery) -> dict[str, str]:
    return {"kustomization.yaml": _kustomization(contents.header, [delivery.step])}


def _kustomize(contents: Contents, delivery: Delivery) -> dict[str, str]:
    found = _parts(contents) | _top(contents, delivery)
    for step, parts in contents.steps().items():
        folders = [f"../{part}" for part in parts]
        found[f"{step}/kustomization.yaml"] = _kustomization(contents.header, folders)
    return found


_WAVES = {
    Part.TEMPORARY_ROLE: "0",
    Part.BINDINGS: "5",
    Part.DEFAULT: "5",
    Part.GUARD: "10",
}


_PRUNING = {
    Part.BINDINGS: "Prune=confirm",
    # The role is KubeVirt's own: only its label is ours.
    Part.DEFAULT: "Prune=false",
}


def _argocd(contents: Contents, delivery: Delivery) -> dict[str, str]:
    """Kustomize, with waves; the temporary role is pruned, a binding once that is confirmed."""
    parts = {
        part: tuple(_waved(each, part) for each in manifests)
        for part, manifests in contents.parts.items()
    }
    found = _kustomize(Contents(parts, contents.early, contents.header), delivery)
    if delivery.repository:
        found["application.yaml"] = render_manifest(contents.header, _application(delivery))
    return found


def _waved(found: Manifest, part: Part) -> dict[str, Any]:
    annotations = {"argocd.argoproj.io/sync-wave": _WAVES[part]}
    if part in _PRUNING:
        annotations["argocd.argoproj.io/sync-options"] = _PRUNING[part]
    return _annotated(found, annotations)


def _annotated(found: Manifest, more: Mapping[str, str]) -> dict[str, Any]:
    annotations = {**(found["metadata"].get("annotations") or {}), **more}
    metadata = {**found["metadata"], "annotations": dict(sorted(annotations.items()))}
    return {**found, "metadata": metadata}


def _application(delivery: Delivery) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "live-migration-access", "namespace": "openshift-gitops"},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": delivery.repository,
                "targetRevision": delivery.revision,
                "path": delivery.path,
            },
            "destination": {"server": "https://kubernetes.default.svc"},
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "syncOptions": ["ServerSideApply=true"],
            },
        },
    }


def _flux(contents: Contents, delivery: Delivery) -> dict[str, str]:
    """A Kustomization of Flux's for each part; each waits for those that stand before it."""
    kept = {"kustomize.toolkit.fluxcd.io/prune": "disabled"}
    own = tuple(_annotated(each, kept) for each in contents.parts.get(Part.DEFAULT, ()))
    parts_of = {**contents.parts, Part.DEFAULT: own}
    contents = Contents(parts_of, contents.early, contents.header)
    found = _parts(contents) | _top(contents, delivery)
    for step, parts in contents.steps().items():
        files: dict[str, str] = {}
        for number, part in enumerate(parts):
            value = _flux_kustomization(part, parts[:number], delivery)
            files[f"{part}.yaml"] = render_manifest(contents.header, value)
        found |= {f"{step}/{name}": text for name, text in files.items()}
        found[f"{step}/kustomization.yaml"] = _kustomization(contents.header, files)
    return found


def _flux_kustomization(part: Part, earlier: Iterable[Part], delivery: Delivery) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "interval": "10m",
        "path": f"./{delivery.path}/{part}".replace("/./", "/"),
        "prune": True,
        "wait": True,
        "sourceRef": {"kind": "GitRepository", "name": delivery.flux_source},
    }
    depends = [{"name": f"live-migration-{each}"} for each in earlier]
    if depends:
        spec["dependsOn"] = depends
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": f"live-migration-{part}", "namespace": "flux-system"},
        "spec": spec,
    }


_POLICY = {
    "policy.open-cluster-management.io/standards": "NIST SP 800-53",
    "policy.open-cluster-management.io/categories": "AC Access Control",
    "policy.open-cluster-management.io/controls": "AC-6 Least Privilege",
}


def _acm(contents: Contents, delivery: Delivery) -> dict[str, str]:
    """Policies of Open Cluster Management for a hub; what is compliant is seen for each cluster."""
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
    absent = _policy("temporary-role-absent", "mustnothave", gone, delivery, delivery.remediation)
    # Enforced, `mustnothave` deletes the whole object, which is KubeVirt's own.
    restored = _policy("default-not-restored", "mustnothave", _labelled(), delivery, "inform")
    found: dict[str, str] = {}
    for step, parts in contents.steps().items():
        policies = [must[part] for part in parts]
        if step == CLEAN_UP:
            policies += [absent] if contents.parts.get(Part.DEFAULT) else [absent, restored]
        placed = [*policies, *(_placed(policies, delivery) if policies else ())]
        files = _files(step, placed, contents.header)
        found |= files
        names = [name.partition("/")[2] for name in files]
        found[f"{step}/kustomization.yaml"] = _kustomization(contents.header, names)
    return found | _top(contents, delivery)


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
        "metadata": {"name": found["metadata"]["name"]},
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


def _placed(policies: Iterable[Manifest], delivery: Delivery) -> list[dict[str, Any]]:
    """Return where the policies hold: on every OpenShift cluster of the cluster sets."""
    metadata = {"name": "live-migration-access", "namespace": delivery.policy_namespace}
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


_LAYOUTS: dict[Layout, Callable[[Contents, Delivery], dict[str, str]]] = {
    Layout.PLAIN: _plain,
    Layout.KUSTOMIZE: _kustomize,
    Layout.ARGOCD: _argocd,
    Layout.FLUX: _flux,
    Layout.ACM: _acm,
}
