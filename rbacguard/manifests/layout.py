"""How the files of a bundle are laid out, for people and for the controllers that apply them.

`plain` has a folder for each step. The others have one folder for each part, and for each step a
kustomization that lists the parts which the cluster is to have then: the kustomization at the top
names the step, so that a step is a merge of one line, and what a step does not list is pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rbacguard.manifests.acm import acm
from rbacguard.manifests.contents import (
    AFTER,
    BEFORE,
    CLEAN_UP,
    ROLLBACK,
    STEPS,
    Contents,
    Delivery,
    Layout,
    Manifest,
    Part,
    files,
    kustomization,
    to_delete,
)
from rbacguard.manifests.render import render_manifest


def lay_out(contents: Contents, delivery: Delivery) -> dict[str, str]:
    """Return files by name, relative to the bundle's folder.

    Raises:
        OutputError: a name would be read as a template by the controller.
    """
    found = _LAYOUTS[delivery.layout](contents, delivery)
    if delivery.layout is not Layout.PLAIN:
        found["kustomization.yaml"] = kustomization(contents.header, [delivery.step])
    return found


def _plain(contents: Contents, _delivery: Delivery) -> dict[str, str]:
    places = {
        Part.TEMPORARY_ROLE: BEFORE,
        Part.BINDINGS: BEFORE if contents.early else AFTER,
        Part.DEFAULT: AFTER,
        Part.GUARD: CLEAN_UP,
    }
    found: dict[str, str] = {}
    undo: dict[str, list[Manifest]] = {step: [] for step in STEPS}
    for part, manifests in contents.parts.items():
        found |= files(places[part], manifests, contents.header)
        if part is not Part.DEFAULT:
            undo[places[part]] += map(to_delete, manifests)
    again = {
        AFTER: contents.default_as_was,
        CLEAN_UP: contents.parts.get(Part.TEMPORARY_ROLE, ()),
    }
    for step in STEPS:
        for name, objects in (("delete", tuple(undo[step])), ("apply", again.get(step, ()))):
            if objects:
                parts = [render_manifest(contents.header, each) for each in objects]
                found[f"{ROLLBACK}/{step}/{name}.yaml"] = "---\n".join(parts)
    return found


def _parts(contents: Contents) -> dict[str, str]:
    """Return a folder for each part, with a kustomization that lists its files."""
    found: dict[str, str] = {}
    for part, manifests in contents.parts.items():
        if manifests:
            written = files(part, manifests, contents.header)
            names = [name.partition("/")[2] for name in written]
            found |= written
            found[f"{part}/kustomization.yaml"] = kustomization(contents.header, names)
    return found


def _rollbacks(contents: Contents) -> dict[str, str]:
    """Return a kustomization for each step that lists the step before it, and what that lacks."""
    found: dict[str, str] = {}
    for step, before in zip(STEPS, (None, *STEPS), strict=False):
        folder = f"{ROLLBACK}/{step}"
        own = contents.default_as_was if step == AFTER else ()
        written = files(folder, own, contents.header)
        names = [name.removeprefix(f"{folder}/") for name in written]
        names += [f"../../{before}"] if before else []
        found |= written
        found[f"{folder}/kustomization.yaml"] = kustomization(contents.header, names)
    return found


def _kustomize(contents: Contents, _delivery: Delivery) -> dict[str, str]:
    found = _parts(contents) | _rollbacks(contents)
    for step, parts in contents.steps().items():
        folders = [f"../{part}" for part in parts]
        found[f"{step}/kustomization.yaml"] = kustomization(contents.header, folders)
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
    found = _parts(contents) | _rollbacks(contents)
    for step, parts in contents.steps().items():
        written: dict[str, str] = {}
        for number, part in enumerate(parts):
            value = _flux_kustomization(part, parts[:number], delivery)
            written[f"{part}.yaml"] = render_manifest(contents.header, value)
        found |= {f"{step}/{name}": text for name, text in written.items()}
        found[f"{step}/kustomization.yaml"] = kustomization(contents.header, written)
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


_LAYOUTS: dict[Layout, Callable[[Contents, Delivery], dict[str, str]]] = {
    Layout.PLAIN: _plain,
    Layout.KUSTOMIZE: _kustomize,
    Layout.ARGOCD: _argocd,
    Layout.FLUX: _flux,
    Layout.ACM: acm,
}
