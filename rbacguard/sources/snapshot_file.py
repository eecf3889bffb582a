"""Snapshot files: the objects of a cluster in one file that can be checked.

A file is one JSON object, compressed with zstd: `apiVersion` rbacguard.io/snapshot/v2, `kind`
ClusterSnapshot, `digests` (SHA-256 of the bytes of `origin` and of `content`), `origin` (the
cluster and the time), and `content` (Kubernetes objects, and what was not read). `content` has the
same bytes for the same state of the cluster. `zstd -d | jq` reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import NODEFAULT, Raw, Struct, structs

from rbacguard.errors import InputError
from rbacguard.rbac.types import RBAC_GROUP, ObjectKey, ObjectMeta
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import Defect, KindCoverage, Location, Origin, State
from rbacguard.snapshot.objects import HyperConverged, KubeVirt
from rbacguard.snapshot.workloads import WORKLOAD_TYPES
from rbacguard.sources import bulk
from rbacguard.sources.collection import Reading
from rbacguard.sources.files import sha256

API_VERSION = "rbacguard.io/snapshot/v2"
KIND = "ClusterSnapshot"
BEGINNING = b'{"apiVersion":"rbacguard.io/snapshot/'
"""How one begins that the tool wrote, which need not be looked through to know it."""

_API_VERSIONS = {
    "Namespace": "v1",
    "ServiceAccount": "v1",
    "Group": "user.openshift.io/v1",
    "RoleBindingRestriction": "authorization.openshift.io/v1",
    "KubeVirt": "kubevirt.io/v1",
    "HyperConverged": "hco.kubevirt.io/v1",
    **{kind: f"{group}/v1".removeprefix("/") for group, kind in WORKLOAD_TYPES},
}
_ANNOTATIONS = (
    "rbacguard.io",
    "kubevirt.io",
    "open-cluster-management.io",
    "argoproj.io",
    "fluxcd.io",
    "helm.sh",
    "authorization.kubernetes.io",
    "authorization.k8s.io",
)
"""Domains of the annotations that are kept; all others may hold anything."""
_SPEC = frozenset(
    {
        "roleAggregationStrategy",
        "liveMigrationConfig",
        "migrations",
        "evictionStrategy",
        "vmRolloutStrategy",
        "workloadUpdateStrategy",
    }
)
"""Fields of KubeVirt's and HyperConverged's specs that are kept; all others may hold anything."""
_NESTED = frozenset({"configuration", "virtualization"})


class SavedKind(Struct, frozen=True, omit_defaults=True):
    """How much of one kind was read."""

    state: str
    reasons: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


class SavedDefect(Struct, frozen=True):
    """A part of an object that the API server would refuse."""

    kind: str
    namespace: str
    name: str
    path: str
    message: str


class _Parts(Struct, frozen=True, kw_only=True):
    kinds: dict[str, SavedKind]
    problems: tuple[str, ...]
    skipped: dict[str, int]
    defects: tuple[SavedDefect, ...]


class Content(_Parts, frozen=True):
    """What the cluster holds; the same for the same state."""

    objects: tuple[Raw, ...]


class _Usual(_Parts, frozen=True):
    """The same of a cluster without machines, whose objects are decoded in one go."""

    objects: tuple[bulk.Listed, ...]


class Digests(Struct, frozen=True):
    """SHA-256 of the bytes of two parts, in hexadecimal."""

    content: str
    origin: str


class SavedSnapshot(Struct, frozen=True, rename="camel"):
    """The file, with its two parts as they stand in it."""

    api_version: str
    kind: str
    digests: Digests
    origin: Raw
    content: Raw


class SavedObject(Struct, frozen=True, rename="camel"):
    """What is needed to place one object; the rest is its kind's own."""

    api_version: str
    kind: str


def encode(snapshot: Snapshot) -> bytes:
    """Return the bytes of a snapshot file."""
    objects, coverage = snapshot.objects, snapshot.coverage
    content = msgspec.json.encode(
        {
            "kinds": {
                kind: SavedKind(each.state.value, each.reasons, each.namespaces)
                for kind, each in sorted(coverage.kinds.items())
            },
            "problems": coverage.problems,
            "skipped": dict(sorted(coverage.skipped.items())),
            "defects": [
                SavedDefect(d.key.kind, d.key.namespace, d.key.name, d.path, d.message)
                for d in snapshot.defects
            ],
            "objects": [_object(key, objects[key]) for key in sorted(objects)],
        }
    )
    origin = msgspec.json.encode(coverage.origin)
    saved = SavedSnapshot(
        API_VERSION,
        KIND,
        Digests(hashlib.sha256(content).hexdigest(), hashlib.sha256(origin).hexdigest()),
        Raw(origin),
        Raw(content),
    )
    import zstandard

    return zstandard.ZstdCompressor(level=10).compress(msgspec.json.encode(saved))


def _object(key: ObjectKey, value: Struct) -> dict[str, Any]:
    api_version = _API_VERSIONS.get(key.kind, f"{RBAC_GROUP}/v1")
    return {"apiVersion": api_version, "kind": key.kind, **_fields(_trimmed(value))}


def _trimmed(value: Struct) -> Struct:
    """Return an object without what no answer depends on and what may hold secrets."""
    metadata: ObjectMeta = value.metadata  # type: ignore[attr-defined]
    annotations = {
        name: text
        for name, text in sorted(metadata.annotations.items())
        if name.partition("/")[0].endswith(_ANNOTATIONS)
    }
    labels = dict(sorted(metadata.labels.items()))
    metadata = structs.replace(metadata, annotations=annotations, labels=labels)
    if isinstance(value, KubeVirt | HyperConverged):
        return structs.replace(value, metadata=metadata, spec=_spec(value.spec or {}))
    return structs.replace(value, metadata=metadata)


def _spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: spec[key] for key in sorted(spec) if key in _SPEC}
    for key in sorted(_NESTED & spec.keys()):
        if isinstance(spec[key], dict):
            kept[key] = _spec(spec[key])
    return kept


def _fields(value: object) -> Any:
    """Return a value as plain ones, fields at their default left out, so that null is never met."""
    if isinstance(value, Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        defaults = dict(zip(reversed(value.__struct_fields__), _defaults(value), strict=False))
        return {
            encoded: _fields(found)
            for name, encoded in names
            if (found := getattr(value, name)) is not None
            and not (name in defaults and found == defaults[name])
        }
    if isinstance(value, tuple | list):
        return [_fields(item) for item in value]
    return value


def _defaults(value: Struct) -> list[Any]:
    """Return the defaults of the last fields, the last first."""
    found = []
    for default in reversed(value.__struct_defaults__):
        factory = getattr(default, "factory", None)
        found.append(factory() if callable(factory) else default)
    return [each for each in found if each is not NODEFAULT]


def take(name: str, raw: Raw | bytes, reading: Reading) -> None:
    """Read a saved snapshot.

    Raises:
        InputError: it is of a later format, was changed since it was saved, or is broken.
    """
    try:
        saved = msgspec.json.decode(raw, type=SavedSnapshot)
    except msgspec.DecodeError as error:
        raise InputError(f"{name}: not a whole saved snapshot: {_reason(error)}") from None
    if saved.api_version != API_VERSION:
        raise InputError(
            f"{name}: saved as {saved.api_version!r}, expected {API_VERSION!r}; read it with the "
            "release of rbacguard that wrote it, or a later one"
        )
    content, heads, kinds, origin = _decoded(name, saved)
    reading.known.update((kind, each) for kind, each in kinds.items() if reading.wants(kind))
    place = Location(name)
    if isinstance(content, _Usual):
        bulk.keep(content.objects, lambda _number: place, reading)
    else:
        for item, head in zip(content.objects, heads, strict=True):
            reading.add(item, place, head.api_version, head.kind)
    reading.problems += content.problems
    reading.skipped.update(content.skipped)
    reading.defects += [
        Defect(ObjectKey(d.kind, d.namespace, d.name), d.path, d.message, place)
        for d in content.defects
    ]
    if reading.origin is not None and origin is not None and reading.origin != origin:
        raise InputError(f"{name}: a second snapshot; give one state of a cluster at a time")
    reading.origin = reading.origin or origin


class _Decoded(NamedTuple):
    """What was in a file; `heads` are of objects that are not decoded in one go."""

    content: Content | _Usual
    heads: list[SavedObject]
    kinds: dict[str, KindCoverage]
    origin: Origin | None


def _decoded(name: str, saved: SavedSnapshot) -> _Decoded:
    """Decode a file's parts; the digests that they are to have are made meanwhile.

    Raises:
        InputError: a part was changed since it was saved, or is broken.
    """
    digests = {part: sha256(memoryview(getattr(saved, part))) for part in ("content", "origin")}
    found, refusal = None, ""
    try:
        found = _parts(saved)
    except (msgspec.DecodeError, ValueError) as error:
        refusal = f"{name}: a broken snapshot: {_reason(error)}"
    for part, digest in digests.items():
        if digest() != getattr(saved.digests, part):
            refusal = (
                f"{name}: its {part} is not what was saved (SHA-256 differs): the file was changed "
                "or damaged; take a new snapshot"
            )
            break
    if found is None or refusal:
        raise InputError(refusal)
    return found


def _parts(saved: SavedSnapshot) -> _Decoded:
    content: Content | _Usual
    heads = []
    try:
        content = msgspec.json.decode(saved.content, type=_Usual)
    except msgspec.ValidationError:
        content = msgspec.json.decode(saved.content, type=Content)
        heads = [msgspec.json.decode(item, type=SavedObject) for item in content.objects]
    kinds = {
        kind: KindCoverage(msgspec.convert(each.state, State), 0, each.reasons, each.namespaces)
        for kind, each in content.kinds.items()
    }
    origin = msgspec.json.decode(saved.origin, type=Origin | None)
    return _Decoded(content, heads, kinds, origin)


def _reason(error: Exception) -> str:
    return " ".join(str(error).replace("`", "").split())


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a saved snapshot, unpacked."""
    schema = msgspec.json.schema(SavedSnapshot)
    parts = {
        "origin": msgspec.json.schema(Origin | None),
        "content": msgspec.json.schema(Content),
    }
    definitions = dict(schema["$defs"])
    for part, found in parts.items():
        definitions |= found.get("$defs", {})
        definitions["SavedSnapshot"]["properties"][part] = {
            key: value for key, value in found.items() if key != "$defs"
        }
    definitions["Content"]["properties"]["objects"] = {
        "type": "array",
        "items": {"$ref": "#/$defs/SavedObject"},
    }
    definitions["SavedObject"] = msgspec.json.schema(SavedObject)["$defs"]["SavedObject"]
    definitions["SavedSnapshot"]["properties"]["apiVersion"] = {"const": API_VERSION}
    definitions["SavedSnapshot"]["properties"]["kind"] = {"const": KIND}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/$defs/SavedSnapshot",
        "$defs": definitions,
    }
