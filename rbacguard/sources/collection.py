"""One reading of a cluster: typed objects, where each came from, and what was not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from rbacguard.errors import ContradictionError, InputError
from rbacguard.rbac.types import RBAC_GROUP, ObjectKey, ObjectMeta
from rbacguard.snapshot.coverage import (
    OTHER_KINDS,
    RBAC_KINDS,
    Coverage,
    Defect,
    Input,
    KindCoverage,
    Location,
    Origin,
    State,
)
from rbacguard.snapshot.objects import OBJECT_TYPES, converted
from rbacguard.snapshot.workloads import (
    CLUSTER_SCOPED_WORKLOADS,
    WORKLOAD_KINDS,
    WORKLOAD_TYPES,
)

NAMESPACED = frozenset({"Role", "RoleBinding"})
CLUSTER_SCOPED = CLUSTER_SCOPED_WORKLOADS | {
    "ClusterRole",
    "ClusterRoleBinding",
    "Namespace",
    "Group",
}

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

_BOOTSTRAP: Mapping[str, frozenset[str]] = {
    # Every API server creates these (kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
    "ClusterRole": frozenset({"cluster-admin", "admin", "edit", "view"}),
    "ClusterRoleBinding": frozenset({"cluster-admin"}),
}
_OPENSHIFT_GROUP = "authorization.openshift.io"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_STRING_MAPS = frozenset({"labels", "annotations", "matchLabels"})
_WITH_WORKLOADS = {**OBJECT_TYPES, **WORKLOAD_TYPES}
_BOOTSTRAP_NAMESPACES = frozenset({"kube-system", "kube-public"})


@cache
def _decoder(object_type: type[Struct]) -> msgspec.json.Decoder[Any]:
    """Return what decodes objects of a type; to make one of each type takes long."""
    return msgspec.json.Decoder(object_type)


def drop_last_applied(metadata: ObjectMeta) -> None:
    """Drop what `oc apply` noted: a second copy of the object, which nothing depends on."""
    if metadata.annotations:
        metadata.annotations.pop(_LAST_APPLIED, None)


class Locations(Mapping[ObjectKey, Location]):
    """Where each object was read; those of a list's items are made when somebody asks."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[ObjectKey, Location] = {}
        self._lists: list[tuple[Callable[[int], Location], Iterable[ObjectKey | None]]] = []

    def of_list(self, place: Callable[[int], Location]) -> list[ObjectKey | None]:
        """Return what takes the identity of each item of a list, in order; None is: not kept.

        Args:
            place: where an item stands, by its number from 0.
        """
        items: list[ObjectKey | None] = []
        self._lists.append((place, items))
        return items

    def _all(self) -> dict[ObjectKey, Location]:
        while self._lists:
            place, items = self._lists.pop(0)
            for number, key in enumerate(items):
                if key is not None:
                    self._known[key] = place(number)
        return self._known

    def note(self, key: ObjectKey, location: Location) -> None:
        """Note where an object was read last."""
        self._all()[key] = location

    def update(self, other: Locations) -> None:
        """Take up those of another reading."""
        self._all().update(other._all())

    def __getitem__(self, key: ObjectKey) -> Location:
        """Return where an object was read."""
        return self._all()[key]

    def __iter__(self) -> Iterator[ObjectKey]:
        """Iterate over what was read."""
        return iter(self._all())

    def __len__(self) -> int:
        """Return how many objects it knows of."""
        return len(self._all())


class Reading:
    """Collects objects from any number of places; `coverage` sums up.

    Args:
        workloads: whether machines, nodes and the like are taken up too.
    """

    def __init__(self, *, workloads: bool = False) -> None:
        """Start empty."""
        self.workloads = workloads
        self._types = _WITH_WORKLOADS if workloads else OBJECT_TYPES
        self._kinds = (*RBAC_KINDS, *OTHER_KINDS, *(WORKLOAD_KINDS if workloads else ()))
        self.by_kind: dict[str, Mapping[ObjectKey, Struct]] = {}
        self.locations = Locations()
        self.defects: list[Defect] = []
        self.problems: list[str] = []
        self.skipped: Counter[str] = Counter()
        self.truncated: dict[str, str] = {}
        self.empty_lists: set[str] = set()
        self.namespace_folders: set[str] = set()
        self.is_inspect = False
        self.known: dict[str, KindCoverage] = {}
        self.origin: Origin | None = None
        self.inputs: list[Input] = []
        self._openshift: set[ObjectKey] = set()

    @property
    def objects(self) -> dict[ObjectKey, Struct]:
        """Every object."""
        return {key: value for values in self.by_kind.values() for key, value in values.items()}

    def __len__(self) -> int:
        """Return how many objects it has."""
        return sum(map(len, self.by_kind.values()))

    def wants(self, kind: str) -> bool:
        """Whether it takes up objects of a kind."""
        return kind in self._kinds or kind not in WORKLOAD_KINDS

    def add(
        self, payload: Raw | dict[str, Any], location: Location, api_version: str, kind: str
    ) -> None:
        """Decode one object and keep it if its kind is used.

        Args:
            payload: the object, as JSON or as plain values.
            location: where it stands.
            api_version: its own, or that of the list it is an item of.
            kind: likewise.

        Raises:
            ContradictionError: it differs from one read before.
            InputError: it is not what its kind says.
        """
        group, slash, _ = api_version.partition("/")
        self.take(payload, location, group if slash else "", kind)

    def take(
        self, payload: Raw | dict[str, Any], location: Location, group: str, kind: str
    ) -> None:
        """Do the same, the API group being known."""
        object_type = self._types.get((group, kind))
        if object_type is None:
            self.skipped[kind] += 1
            return
        decoder = _decoder(object_type)
        defects: Sequence[tuple[str, str]] = ()
        try:
            if isinstance(payload, Raw):
                value = decoder.decode(payload)
            else:
                value = msgspec.convert(payload, decoder.type)
        except msgspec.ValidationError as error:
            value, defects = _mended(payload, decoder, location, kind, error)
        except msgspec.DecodeError as error:
            raise InputError(_refusal(location, kind, payload, error)) from None
        if group != RBAC_GROUP:
            kind, value = converted(kind, value)
        key = self.keep(value, location, group, kind)
        if key is not None:
            self.locations.note(key, location)
            for path, message in defects:
                self.defects.append(Defect(key, path, message, location))

    def keep(self, value: Any, location: Location, group: str, kind: str) -> ObjectKey | None:
        """Keep an object that was decoded, and return its identity, for `locations`.

        None is: where it counts is not known, or the same object was kept before.

        Raises:
            ContradictionError: it differs from one read before.
            InputError: it has no name.
        """
        metadata = value.metadata
        drop_last_applied(metadata)
        name = metadata.name
        key = ObjectKey(kind, "" if kind in CLUSTER_SCOPED else metadata.namespace, name)
        if not name:
            raise InputError(f"{location}: {kind}: metadata.name: expected a name, found none")
        if kind in NAMESPACED and not key.namespace:
            # As in files that kustomize gives a namespace later; it must not count as cluster-wide.
            self.problems.append(
                f"{location}: {key}: no namespace, so where it counts is not known; it was left out"
            )
            return None
        values = self.shelf(kind)
        known = values.setdefault(key, value)
        if known is not value:
            if not self._is_replaced(key, known, value, location, group):
                return None
            values[key] = value
        if group == _OPENSHIFT_GROUP:
            self._openshift.add(key)
        elif self._openshift:
            self._openshift.discard(key)
        return key

    def shelf(self, kind: str) -> dict[ObjectKey, Struct]:
        """Return the objects of a kind, to add to."""
        values = self.by_kind.get(kind)
        if not isinstance(values, dict):
            values = self.by_kind[kind] = dict(values or {})
        return values

    def _is_replaced(
        self, key: ObjectKey, known: Struct, value: Struct, location: Location, group: str
    ) -> bool:
        """Whether an object that was read before gives way to this one.

        Raises:
            ContradictionError: the two differ.
        """
        if known == value:
            return True
        groups = {_OPENSHIFT_GROUP if key in self._openshift else RBAC_GROUP, group}
        if groups == {_OPENSHIFT_GROUP, RBAC_GROUP}:
            # authorization.openshift.io is another view of the same object.
            return group == RBAC_GROUP
        raise ContradictionError(
            f"{location}: {key} differs from the one at {self.locations[key]}; "
            "give one state of the cluster at a time"
        )

    def coverage(self) -> Coverage:
        """Sum up what was read and what was not."""
        present = dict.fromkeys((*self._kinds, *self.known, *self.by_kind))
        kinds = {kind: self._kind_coverage(kind, self.by_kind.get(kind, {})) for kind in present}
        for kind, count in Counter(defect.key.kind for defect in self.defects).items():
            kinds[kind] = _without_defective(kinds[kind], count)
        skipped = dict(sorted(self.skipped.items()))
        return Coverage(kinds, tuple(self.problems), skipped, self.origin, tuple(self.inputs))

    def merge(self, other: Reading) -> None:
        """Take up another reading of kinds that this one does not have."""
        for kind, values in other.by_kind.items():
            self.shelf(kind).update(values)
        self.locations.update(other.locations)
        self._openshift |= other._openshift
        self.known |= other.known
        self.defects += other.defects
        self.problems += other.problems
        self.skipped += other.skipped

    def _kind_coverage(self, kind: str, keys: Collection[ObjectKey]) -> KindCoverage:
        if kind in self.known:
            # Who read it from the server, which says where a list ends, knows better than a guess.
            return structs.replace(self.known[kind], count=len(keys))
        if kind in self.truncated:
            return KindCoverage(State.PARTIAL, len(keys), (self.truncated[kind],))
        if not keys:
            if kind in self.empty_lists and kind not in RBAC_KINDS:
                return KindCoverage(State.READ, 0)
            return KindCoverage(State.ABSENT, 0, ("not in the input",))
        reason = self._missing_witness(kind, keys)
        if reason:
            return KindCoverage(State.PARTIAL, len(keys), (reason,))
        return KindCoverage(State.READ, len(keys))

    def _missing_witness(self, kind: str, keys: Collection[ObjectKey]) -> str | None:
        """Return what every cluster has of this kind and the input lacks."""
        missing = {
            name for name in _BOOTSTRAP.get(kind, ()) if ObjectKey(kind, "", name) not in keys
        }
        if missing:
            names = ", ".join(sorted(missing))
            return f"every cluster has {names}, the input does not, so this is not all of them"
        if kind not in ("Role", "RoleBinding"):
            return None
        if not any(key.namespace in _BOOTSTRAP_NAMESPACES for key in keys):
            return (
                "every cluster has some in kube-system, the input does not, "
                "so this is not all of them"
            )
        if self.is_inspect:
            # A namespace may have no Role; one from which neither kind was taken was left out.
            collected = {key.namespace for each in NAMESPACED for key in self.by_kind.get(each, ())}
            known = {key.name for key in self.by_kind.get("Namespace", ())}
            unread = sorted((known | self.namespace_folders) - collected)
            if unread:
                some = ", ".join(unread[:3]) + (" …" if len(unread) > 3 else "")  # noqa: PLR2004
                return f"nothing was collected from {len(unread)} namespaces ({some})"
        return None


def _without_defective(found: KindCoverage, count: int) -> KindCoverage:
    """Return a kind's coverage when labels or annotations were left out: they may have mattered."""
    reason = f"{count} labels or annotations cannot be read and were left out"
    if reason in found.reasons:
        return found
    return structs.replace(found, state=State.PARTIAL, reasons=(*found.reasons, reason))


def _mended(
    payload: Raw | dict[str, Any],
    decoder: msgspec.json.Decoder[Any],
    location: Location,
    kind: str,
    refused: msgspec.ValidationError,
) -> tuple[Any, Sequence[tuple[str, str]]]:
    """Return an object that is not quite what its kind says, and what was left out of it.

    A null stands for a value that is not there; a label that is no string is left out, and said so:
    it is the mistake that the public documentation teaches.

    Raises:
        InputError: it is not what its kind says.
    """
    value = _without_nulls(msgspec.json.decode(payload) if isinstance(payload, Raw) else payload)
    try:
        return msgspec.convert(value, decoder.type), ()
    except msgspec.ValidationError as error:
        if "$.metadata.labels" not in str(error) and "$.metadata.annotations" not in str(error):
            raise InputError(_refusal(location, kind, payload, refused)) from None
    defects = []
    metadata = value["metadata"]
    for name in ("labels", "annotations"):
        found = metadata.get(name)
        if found is not None and not isinstance(found, dict):
            defects.append((f"metadata.{name}", f"expected a map of strings, found {found!r}"))
            metadata[name] = {}
        elif found:
            for key, text in found.items():
                if not (isinstance(key, str) and isinstance(text, str)):
                    defects.append(
                        (f"metadata.{name}", f"{key}: expected a string, found {text!r}")
                    )
            metadata[name] = {
                k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, str)
            }
    try:
        return msgspec.convert(value, decoder.type), defects
    except msgspec.ValidationError as error:
        raise InputError(_refusal(location, kind, payload, error)) from None


def _without_nulls(value: Any) -> Any:
    """Return a value without the fields that are null; in a map of strings null is a mistake."""
    if isinstance(value, dict):
        return {
            key: found if key in _STRING_MAPS else _without_nulls(found)
            for key, found in value.items()
            if found is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


class _Named(Struct):
    name: Any = None
    namespace: Any = None


class _Peek(Struct):
    metadata: _Named | None = None


def _refusal(
    location: Location,
    kind: str,
    payload: Raw | dict[str, Any],
    error: msgspec.DecodeError,
) -> str:
    try:
        peek = (
            msgspec.json.decode(payload, type=_Peek)
            if isinstance(payload, Raw)
            else msgspec.convert(payload, _Peek)
        )
        named = peek.metadata or _Named()
        prefix = f"{named.namespace}/" if named.namespace else ""
        name = f"{kind} {prefix}{named.name}" if named.name else kind
    except msgspec.DecodeError:
        name = kind
    text = str(error).replace("`", "")
    message, _, path = text.partition(" - at ")
    path = path.removeprefix("$.") or "the object"
    advice = "; quote it" if "Expected str" in message and "null" not in message else ""
    return f"{location}: {name}: {path}: {message[0].lower() + message[1:]}{advice}"
