"""Snapshot files: the objects of a cluster and their coverage in one file with digests.

A file is one JSON object, compressed with zstd, which `zstd -d | jq` reads. Fields: `apiVersion`,
`kind`, `digests` (SHA-256 of the bytes of `origin` and `content`), `origin` (the cluster and the
time), and `content` (Kubernetes objects, and what was not read). The same state of the cluster
gives the same bytes of `content`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import msgspec
from msgspec import NODEFAULT, Raw, Struct, defstruct, structs

from rbacguard.errors import InputError
from rbacguard.rbac.types import ObjectKey, ObjectMeta
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import ClusterOrigin, InvalidField, KindCoverage, Location
from rbacguard.snapshot.objects import HyperConverged, KubeVirt
from rbacguard.snapshot.resources import BY_KIND, Resource
from rbacguard.sources.collection import InputCollection
from rbacguard.sources.decoders import list_decoder
from rbacguard.sources.files import sha256

API_VERSION = "rbacguard.io/snapshot/v1"
KIND = "ClusterSnapshot"
START = b'{"apiVersion":"rbacguard.io/snapshot/'
"""The first bytes of a decompressed snapshot file."""

_ANNOTATION_DOMAINS = (
    "rbacguard.io",
    "kubevirt.io",
    "open-cluster-management.io",
    "argoproj.io",
    "fluxcd.io",
    "helm.sh",
    "authorization.kubernetes.io",
    "authorization.k8s.io",
)
"""Domains of the annotations that are saved. Other annotations might contain secrets."""
_SPEC_FIELDS = frozenset(
    {
        "roleAggregationStrategy",
        "liveMigrationConfig",
        "migrations",
        "evictionStrategy",
        "vmRolloutStrategy",
        "workloadUpdateStrategy",
    }
)
"""Fields that are saved of the specs of KubeVirt and HyperConverged, for the same reason."""
_SPEC_SECTIONS = frozenset({"configuration", "virtualization"})


class SavedInvalidField(Struct, frozen=True):
    """A field that the API server would reject; see `InvalidField`."""

    kind: str
    namespace: str
    name: str
    path: str
    message: str


class Content(Struct, frozen=True, rename="camel"):
    """The state of the cluster."""

    kinds: dict[str, KindCoverage]
    problems: tuple[str, ...]
    skipped: dict[str, int]
    invalid_fields: tuple[SavedInvalidField, ...]
    objects: Any


class Digests(Struct, frozen=True):
    """SHA-256 of the bytes of two fields, in hexadecimal."""

    content: str
    origin: str


class SavedSnapshot(Struct, frozen=True, rename="camel"):
    """The file, with the bytes of its two main fields."""

    api_version: str
    kind: str
    digests: Digests
    origin: Raw
    content: Raw


def encode(snapshot: Snapshot) -> bytes:
    """Return the bytes of a snapshot file."""
    import zstandard

    coverage = snapshot.coverage
    objects = [
        _plain_object(BY_KIND[key.kind], value) for key, value in sorted(snapshot.objects.items())
    ]
    content = Content(
        dict(sorted(coverage.kinds.items())),
        coverage.problems,
        dict(sorted(coverage.skipped.items())),
        tuple(SavedInvalidField(*f.key, f.path, f.message) for f in snapshot.invalid_fields),
        Raw(msgspec.json.encode(objects)),
    )
    parts = msgspec.json.encode(content), msgspec.json.encode(coverage.origin)
    digests = Digests(*(hashlib.sha256(part).hexdigest() for part in parts))
    saved = SavedSnapshot(API_VERSION, KIND, digests, content=Raw(parts[0]), origin=Raw(parts[1]))
    return zstandard.ZstdCompressor(level=10).compress(msgspec.json.encode(saved))


def _plain_object(resource: Resource, value: Struct) -> dict[str, Any]:
    head = {"apiVersion": resource.api_versions[0], "kind": resource.kind}
    return {**head, **_plain(_without_secrets(value))}


def _without_secrets(value: Struct) -> Struct:
    """Return an object without fields that no answer depends on and that might be secret."""
    metadata: ObjectMeta = value.metadata  # type: ignore[attr-defined]
    annotations = {
        name: text
        for name, text in sorted(metadata.annotations.items())
        if name.partition("/")[0].endswith(_ANNOTATION_DOMAINS)
    }
    labels = dict(sorted(metadata.labels.items()))
    metadata = structs.replace(metadata, annotations=annotations, labels=labels)
    if isinstance(value, KubeVirt | HyperConverged):
        return structs.replace(value, metadata=metadata, spec=_spec(value.spec or {}))
    return structs.replace(value, metadata=metadata)


def _spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: spec[key] for key in sorted(spec) if key in _SPEC_FIELDS}
    for key in sorted(_SPEC_SECTIONS & spec.keys()):
        if isinstance(spec[key], dict):
            kept[key] = _spec(spec[key])
    return kept


def _plain(value: Any) -> Any:
    """Return a value as plain values without fields that are null or have their default."""
    if isinstance(value, Struct):
        return {
            encoded: _plain(found)
            for name, encoded, default in _fields(type(value))
            if (found := getattr(value, name)) is not None and found != default
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@cache
def _fields(struct: type[Struct]) -> tuple[tuple[str, str, Any], ...]:
    """Return the name, the encoded name, and the default of each field."""
    return tuple(
        (
            each.name,
            each.encode_name,
            each.default if each.default_factory is NODEFAULT else each.default_factory(),
        )
        for each in structs.fields(struct)
    )


def read(name: str, raw: Raw | bytes, collection: InputCollection) -> None:
    """Add the objects and the coverage of a decompressed snapshot file to a collection.

    Raises:
        InputError: the file has another format, is damaged, or was changed.
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
    content, origin = _decode(name, saved)
    location = Location(name)
    collection.reported.update(
        (kind, each) for kind, each in content.kinds.items() if collection.stores(kind)
    )
    for resource, value in list_decoder(workloads=True).objects(content.objects):
        if collection.stores(resource.kind):
            collection.store(value, location, resource)
        else:
            collection.skipped[resource.kind] += 1
    collection.problems += content.problems
    collection.skipped.update(content.skipped)
    collection.invalid_fields += [
        InvalidField(ObjectKey(f.kind, f.namespace, f.name), f.path, f.message, location)
        for f in content.invalid_fields
    ]
    if collection.origin is not None and origin is not None and collection.origin != origin:
        raise InputError(f"{name}: a second snapshot; give one state of a cluster at a time")
    collection.origin = collection.origin or origin


@cache
def _decoded_content() -> type[Content]:
    """Return the type of the content with decoded objects."""
    fields = [("objects", list_decoder(workloads=True).items_type)]
    return cast("type[Content]", defstruct("DecodedContent", fields, bases=(Content,)))


def _decode(name: str, saved: SavedSnapshot) -> tuple[Content, ClusterOrigin | None]:
    """Return the content with decoded objects, and the origin.

    Raises:
        InputError: a field does not match its digest, or is invalid.
    """
    parts = {"content": saved.content, "origin": saved.origin}
    digests = {part: sha256(memoryview(raw)) for part, raw in parts.items()}
    found, refusal = None, ""
    try:
        content = msgspec.json.decode(saved.content, type=_decoded_content())
        found = content, msgspec.json.decode(saved.origin, type=ClusterOrigin | None)
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


def _reason(error: Exception) -> str:
    return " ".join(str(error).replace("`", "").split())


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a decompressed snapshot file."""
    (saved, content, origin), definitions = msgspec.json.schema_components(
        (SavedSnapshot, Content, ClusterOrigin | None), ref_template="#/$defs/{name}"
    )
    fields = definitions["SavedSnapshot"]["properties"]
    fields |= {"apiVersion": {"const": API_VERSION}, "kind": {"const": KIND}}
    fields |= {"origin": origin, "content": content}
    definitions["Content"]["properties"]["objects"] = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("apiVersion", "kind")},
            "required": ["apiVersion", "kind", "metadata"],
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **saved,
        "$defs": definitions,
    }
