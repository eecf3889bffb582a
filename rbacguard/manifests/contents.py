"""What a bundle consists of: parts that come and go together, and the steps that list them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from rbacguard.manifests.render import render_manifest

BEFORE, AFTER, CLEAN_UP = "10-before-update", "20-after-update", "30-clean-up"
"""The steps, in order."""
STEPS = (BEFORE, AFTER, CLEAN_UP)
ROLLBACK = "90-rollback"
"""The folder with a folder for each step, which takes the cluster back to before it."""

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
        step: which folder the kustomization at the top names: a step, or its rollback.
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

    def undone(self) -> dict[str, tuple[Part, ...]]:
        """Return for each step the parts that have to go again, to be back before it."""
        found: dict[str, tuple[Part, ...]] = {}
        earlier: tuple[Part, ...] = ()
        for step, parts in self.steps().items():
            found[step] = tuple(part for part in parts if part not in earlier)
            earlier = parts
        return found

    @property
    def default_as_was(self) -> tuple[Manifest, ...]:
        """KubeVirt's own role without our label; applied by the same manager, it takes it off."""
        return tuple(_without(each, "labels") for each in self.parts.get(Part.DEFAULT, ()))


def to_delete(found: Manifest) -> Manifest:
    """Return a manifest for `kubectl delete`, without what changes more often than its name."""
    return _without(found, "labels", "annotations")


def _without(found: Manifest, *fields: str) -> Manifest:
    metadata = {key: value for key, value in found["metadata"].items() if key not in fields}
    return {**found, "metadata": metadata}


def file_name(found: Manifest) -> str:
    """Return a file name; what is no plain character in it is percent-encoded."""
    metadata = found["metadata"]
    parts = [found["kind"].lower(), metadata.get("namespace"), metadata["name"]]
    stem = "-".join(quote(part, safe="") for part in parts if part)
    if len(stem) > 180:  # noqa: PLR2004 - well below the 255 bytes of a file name
        stem = f"{stem[:140]}-{hashlib.sha256(stem.encode()).hexdigest()[:16]}"
    return f"{stem}.yaml"


def files(folder: str, manifests: Iterable[Manifest], header: str) -> dict[str, str]:
    """Return manifests as files of a folder."""
    return {f"{folder}/{file_name(m)}": render_manifest(header, m) for m in manifests}


def kustomization(header: str, resources: Iterable[str]) -> str:
    """Return a kustomization that lists files and folders."""
    return render_manifest(
        header,
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": list(resources),
        },
    )
