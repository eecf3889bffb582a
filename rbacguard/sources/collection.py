"""`InputCollection`: the objects of one cluster from any number of inputs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from rbacguard.errors import ContradictionError, InputError
from rbacguard.rbac.types import RBAC_GROUP, ObjectKey, key_of
from rbacguard.snapshot.coverage import (
    OTHER_KINDS,
    RBAC_KINDS,
    ClusterOrigin,
    Coverage,
    Input,
    InvalidField,
    KindCoverage,
    Location,
    State,
)
from rbacguard.snapshot.objects import OPENSHIFT_TYPES, to_rbac
from rbacguard.snapshot.resources import ACCESS, BY_KIND, WORKLOAD_KINDS, WORKLOADS, Resource
from rbacguard.sources.decoders import ListDecoder, decode_object, list_decoder

COLLECT_COMMAND = (
    "oc get clusterroles,clusterrolebindings,roles,rolebindings,namespaces,groups,"
    "hyperconvergeds,kubevirts -A -o json > cluster.json"
)
INSPECT_COMMAND = (
    "oc adm inspect --dest-dir=rbac -A clusterroles.rbac.authorization.k8s.io,"
    "clusterrolebindings.rbac.authorization.k8s.io,roles.rbac.authorization.k8s.io,"
    "rolebindings.rbac.authorization.k8s.io,groups.user.openshift.io,"
    "hyperconvergeds.hco.kubevirt.io,kubevirts.kubevirt.io"
)

_NAMESPACED_RBAC = ("Role", "RoleBinding")
_SENTINELS: Mapping[str, frozenset[str]] = {
    # Every API server creates these (kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
    "ClusterRole": frozenset({"cluster-admin", "admin", "edit", "view"}),
    "ClusterRoleBinding": frozenset({"cluster-admin"}),
}
_SENTINEL_NAMESPACES = frozenset({"kube-system", "kube-public"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ACCESS_TYPES = {**OPENSHIFT_TYPES, **{(each.group, each.kind): each.type for each in ACCESS}}
_ALL_TYPES = {**_ACCESS_TYPES, **{(each.group, each.kind): each.type for each in WORKLOADS}}
_API_VERSION = re.compile(r"v1|[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?")


def _names(resources: Iterable[Resource]) -> dict[str, Resource]:
    """Return resources by the names that are mistaken for their kind, in small letters."""
    return {
        name.lower(): each
        for each in resources
        for name in (each.kind, each.plural, f"{each.kind}s", f"{each.kind}List")
    }


_NAMES = _names(ACCESS)
_NAMES_WITH_WORKLOADS = _names((*ACCESS, *WORKLOADS))


def _mistake(api_version: str, kind: str, names: Mapping[str, Resource]) -> str | None:
    """Return what is wrong with the apiVersion or the kind of an object whose kind is not read.

    Returns None if the object is of another kind, on which no answer depends.

    Args:
        api_version: the apiVersion of the object.
        kind: its kind.
        names: the resources that are read, by names in small letters.
    """
    if not (kind and api_version):
        missing = "apiVersion" if kind else "kind"
        return f'{kind or "an object"}: not a Kubernetes object (expected "{missing}")'
    if not _API_VERSION.fullmatch(api_version):
        return f"{kind}: apiVersion {api_version!r} is not valid (expected GROUP/VERSION)"
    group, slash, _ = api_version.partition("/")
    # No CustomResourceDefinition adds kinds to the core group.
    resource = names.get(kind.lower())
    if resource and (not slash or resource.group == group):
        return (
            f"{api_version} {kind} is not a kind of Kubernetes "
            f"(expected {resource.api_versions[0]} {resource.kind})"
        )
    if not _KIND.fullmatch(kind) or (group == RBAC_GROUP and kind not in RBAC_KINDS):
        return f"{api_version} {kind!r} is not a kind of Kubernetes"
    return "a list without items" if kind == "List" else None


class InputCollection:
    """Collects the objects of one cluster; `coverage` reports how complete they are.

    Args:
        workloads: whether nodes, VMs, and the like are stored too.

    Attributes:
        by_kind: the objects of each kind, by identity.
        locations: where each object was read.
        invalid_fields: fields that were left out of objects.
        problems: parts of the input that could not be read.
        skipped: number of objects of other kinds, by kind.
        truncated: by kind, why its list is incomplete.
        empty_lists: kinds with an empty list.
        namespace_folders: namespaces with a folder in a must-gather.
        is_inspect: whether the input comes from `oc adm inspect` or a must-gather.
        reported: coverage by kind, if the source reports it.
        origin: the cluster that the objects come from, if known.
        inputs: the files that were read.
    """

    def __init__(self, *, workloads: bool = False) -> None:
        """Start without objects."""
        self.workloads = workloads
        self._types = _ALL_TYPES if workloads else _ACCESS_TYPES
        self._names = _NAMES_WITH_WORKLOADS if workloads else _NAMES
        self._kinds = (*RBAC_KINDS, *OTHER_KINDS, *(WORKLOAD_KINDS if workloads else ()))
        self.by_kind: dict[str, dict[ObjectKey, Struct]] = {}
        self.locations: dict[ObjectKey, Location] = {}
        self.invalid_fields: list[InvalidField] = []
        self.problems: list[str] = []
        self.skipped: Counter[str] = Counter()
        self.truncated: dict[str, str] = {}
        self.empty_lists: set[str] = set()
        self.namespace_folders: set[str] = set()
        self.is_inspect = False
        self.reported: dict[str, KindCoverage] = {}
        self.origin: ClusterOrigin | None = None
        self.inputs: list[Input] = []
        self._from_openshift: set[ObjectKey] = set()

    @property
    def objects(self) -> dict[ObjectKey, Struct]:
        """All objects by identity."""
        return {key: value for values in self.by_kind.values() for key, value in values.items()}

    def __len__(self) -> int:
        """Return the number of objects."""
        return sum(map(len, self.by_kind.values()))

    @property
    def list_decoder(self) -> ListDecoder:
        """The decoder of lists with the kinds that are stored."""
        return list_decoder(workloads=self.workloads)

    def stores(self, kind: str) -> bool:
        """Return whether objects of a kind are stored."""
        return self.workloads or kind not in WORKLOAD_KINDS

    def add_object(
        self, payload: Raw | dict[str, Any], location: Location, api_version: str, kind: str
    ) -> None:
        """Decode one object, and store it if its kind is relevant.

        Args:
            payload: the object as JSON or as plain values.
            location: where it was read.
            api_version: its apiVersion, or that of the list around it.
            kind: its kind, or that of the list around it.

        Raises:
            ContradictionError: the same object was read before and differs.
            InputError: the object does not have the fields of its kind.
        """
        group, slash, _ = api_version.partition("/")
        group = group if slash else ""
        object_type = self._types.get((group, kind))
        if object_type is None or not api_version:
            mistake = _mistake(api_version, kind, self._names)
            if mistake:
                self.problems.append(f"{location}: {mistake}; correct or remove the object")
            else:
                self.skipped[kind] += 1
            return
        value, errors = decode_object(payload, object_type, location, kind)
        is_openshift_form = (group, kind) in OPENSHIFT_TYPES
        if is_openshift_form:
            kind, value = to_rbac(kind, value)
        is_rbac_form = is_openshift_form and kind in RBAC_KINDS
        key = self.store(value, location, BY_KIND[kind], from_openshift=is_rbac_form)
        if key is not None:
            self.invalid_fields += [InvalidField(key, *each, location) for each in errors]

    def store(
        self, value: Any, location: Location, resource: Resource, *, from_openshift: bool = False
    ) -> ObjectKey | None:
        """Store a decoded object, and return its identity.

        Returns None if the object needs a namespace and has none, or was stored before.

        Args:
            value: the object in the type of its resource.
            location: where it was read.
            resource: its resource.
            from_openshift: whether it was read in authorization.openshift.io/v1, which is another
                view of the objects in rbac.authorization.k8s.io/v1.

        Raises:
            ContradictionError: the same object was read before and differs.
            InputError: the object has no name.
        """
        kind, metadata = resource.kind, value.metadata
        if metadata.annotations:
            # A second copy of the object, which no answer depends on.
            metadata.annotations.pop(_LAST_APPLIED, None)
        key = key_of((kind, metadata.namespace if resource.namespaced else "", metadata.name))
        if not key.name:
            raise InputError(f"{location}: {kind}: metadata.name: expected a name, found none")
        if not key.namespace and kind in _NAMESPACED_RBAC:
            # kustomize might add the namespace later. The object must not count as cluster-wide.
            self.problems.append(
                f"{location}: {key}: no namespace, so where it counts is not known; it was left out"
            )
            return None
        values = self.by_kind.setdefault(kind, {})
        known = values.setdefault(key, value)
        if known is not value:
            if known != value:
                if from_openshift == (key in self._from_openshift):
                    raise ContradictionError(
                        f"{location}: {key} differs from the one at {self.locations[key]}; "
                        "give one state of the cluster at a time"
                    )
                if from_openshift:
                    return None
            values[key] = value
        self.locations[key] = location
        if from_openshift:
            self._from_openshift.add(key)
        elif self._from_openshift:
            self._from_openshift.discard(key)
        return key

    def merge(self, other: InputCollection) -> None:
        """Add the objects of another collection, which has other kinds or other namespaces."""
        for kind, values in other.by_kind.items():
            self.by_kind.setdefault(kind, {}).update(values)
        self.locations.update(other.locations)
        self._from_openshift |= other._from_openshift
        self.reported |= other.reported
        self.invalid_fields += other.invalid_fields
        self.problems += other.problems
        self.skipped += other.skipped

    def coverage(self) -> Coverage:
        """Return what was read and what was not."""
        present = dict.fromkeys((*self._kinds, *self.reported, *self.by_kind))
        kinds = {kind: self._kind_coverage(kind, self.by_kind.get(kind, {})) for kind in present}
        for kind, count in Counter(each.key.kind for each in self.invalid_fields).items():
            kinds[kind] = _with_invalid_fields(kinds[kind], count)
        skipped = dict(sorted(self.skipped.items()))
        return Coverage(kinds, tuple(self.problems), skipped, self.origin, tuple(self.inputs))

    def _kind_coverage(self, kind: str, keys: Collection[ObjectKey]) -> KindCoverage:
        if kind in self.reported:
            return replace(self.reported[kind], count=len(keys))
        if kind in self.truncated:
            return KindCoverage(State.PARTIAL, len(keys), (self.truncated[kind],))
        if not keys:
            if kind in self.empty_lists and kind not in RBAC_KINDS:
                return KindCoverage(State.READ, 0)
            return KindCoverage(State.ABSENT, 0, ("not in the input",))
        reason = self._missing_sentinel(kind, keys)
        if reason:
            return KindCoverage(State.PARTIAL, len(keys), (reason,))
        return KindCoverage(State.READ, len(keys))

    def _missing_sentinel(self, kind: str, keys: Collection[ObjectKey]) -> str | None:
        """Return which objects are missing that every cluster has; None if there are none."""
        missing = {
            name for name in _SENTINELS.get(kind, ()) if ObjectKey(kind, "", name) not in keys
        }
        if missing:
            names = ", ".join(sorted(missing))
            return f"every cluster has {names}, the input does not, so this is not all of them"
        if kind not in _NAMESPACED_RBAC:
            return None
        if not any(key.namespace in _SENTINEL_NAMESPACES for key in keys):
            return (
                "every cluster has some in kube-system, the input does not, "
                "so this is not all of them"
            )
        if self.is_inspect:
            # A namespace can be without Roles. One without both kinds was not collected.
            collected = {
                key.namespace for each in _NAMESPACED_RBAC for key in self.by_kind.get(each, ())
            }
            known = {key.name for key in self.by_kind.get("Namespace", ())}
            unread = sorted((known | self.namespace_folders) - collected)
            if unread:
                some = ", ".join(unread[:3]) + (" …" if len(unread) > 3 else "")  # noqa: PLR2004
                return f"nothing was collected from {len(unread)} namespaces ({some})"
        return None


def _with_invalid_fields(found: KindCoverage, count: int) -> KindCoverage:
    """Return the coverage of a kind with fields that were left out: they might be relevant."""
    reason = f"{count} labels or annotations cannot be read and were left out"
    if reason in found.reasons:
        return found
    return replace(found, state=State.PARTIAL, reasons=(*found.reasons, reason))
