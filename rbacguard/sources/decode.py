"""Decoding of files: JSON, JSON lines, YAML, and snapshot files, with lists and single objects."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from rbacguard.errors import ContradictionError, InputError
from rbacguard.snapshot.coverage import RBAC_KINDS, Input, Location
from rbacguard.snapshot.resources import SENTINEL_KINDS
from rbacguard.sources import kubectl_yaml, snapshot_file
from rbacguard.sources.collection import COLLECT_COMMAND, INSPECT_COMMAND, InputCollection
from rbacguard.sources.decoders import ListMeta, duplicate_keys
from rbacguard.sources.files import NamedBytes, open_input, sha256
from rbacguard.text import encodable

if TYPE_CHECKING:
    from yaml import MarkedYAMLError
    from yaml.reader import ReaderError

MAX_CHECKED = 16 * 1024 * 1024
"""Size up to which every JSON list is searched for duplicate keys, in bytes.

The decoder of whole lists cannot report them, and a search takes as long as reading the list. In a
larger list that this decoder reads, `_may_have_duplicates` decides whether to search.
"""
_MAX_YAML_RETRY = 32 * 1024 * 1024
"""Size up to which YAML that the fast reader refuses is read again for a better message."""
_NO_OBJECT = "(not a Kubernetes object)"
_RESEMBLES_OBJECT = frozenset({"kind", "metadata", "items", "roleRef", "subjects"})
"""Fields that show that a document is meant as a Kubernetes object, or as a list of objects.

Other documents without `kind`, such as the values of a Helm chart, are normal in a folder.
"""


class _Envelope(Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None
    metadata: Raw | UnsetType = UNSET
    items: list[Raw] | UnsetType | None = UNSET
    role_ref: Raw | UnsetType = UNSET
    subjects: Raw | UnsetType = UNSET

    @property
    def resembles_object(self) -> bool:
        """Whether the document has a field in `_RESEMBLES_OBJECT`."""
        fields = (self.metadata, self.items, self.role_ref, self.subjects)
        return self.kind is not None or any(each is not UNSET for each in fields)


class _ObjectHead(Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None


_envelopes = msgspec.json.Decoder(_Envelope)
_object_heads = msgspec.json.Decoder(_ObjectHead)
_list_metas = msgspec.json.Decoder(ListMeta)


def read_paths(paths: Iterable[str], *, workloads: bool = False) -> InputCollection:
    """Return the objects in files, folders, and archives; see `files.open_input`.

    An error in a file that was discovered in a folder or an archive is added to the problems of
    the result.

    Args:
        paths: what to read.
        workloads: whether to read nodes, VMs, and the like too. They can be the only content.

    Raises:
        InputError: a named file cannot be read, or the paths contain no relevant object.
    """
    collection = InputCollection(workloads=workloads)
    paths = list(paths)
    for path in paths:
        digests: list[tuple[str, Callable[[], str]]] = []
        for file in open_input(path, collection.problems):
            digests.append((file.name, sha256(file.data)))
            _note_layout(file.name, collection)
            others = collection.skipped[_NO_OBJECT]
            try:
                read_bytes(file._replace(name=encodable(file.name)), collection)
            except ContradictionError:
                raise
            except InputError as error:
                if not file.discovered:
                    raise
                collection.problems.append(str(error))
            if not file.discovered and collection.skipped[_NO_OBJECT] > others:
                collection.problems.append(
                    f"{encodable(file.name)}: contains a document that is not a Kubernetes object "
                    '(expected "apiVersion" and "kind"); correct or remove it'
                )
        collection.inputs.append(_input(path, [(name, digest()) for name, digest in digests]))
    needed = (*RBAC_KINDS, *(SENTINEL_KINDS if workloads else ()))
    if not any(collection.by_kind.get(kind) for kind in needed):
        raise InputError(_nothing_found(paths, collection))
    return collection


def fingerprint(path: str) -> str:
    """Return the SHA-256 that identifies an input in reports, without decoding the input.

    Raises:
        InputError: the path cannot be read.
    """
    return _input(path, [(file.name, sha256(file.data)()) for file in open_input(path)]).sha256


def _input(path: str, digests: list[tuple[str, str]]) -> Input:
    path = encodable(path)
    if len(digests) == 1:
        return Input(path, 1, digests[0][1])
    text = "".join(f"{digest}  {name}\n" for name, digest in digests)
    whole = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return Input(path, len(digests), whole)


def read_objects(objects: Iterable[dict[str, Any]], *, workloads: bool = False) -> InputCollection:
    """Return the objects in plain values with apiVersion and kind. Lists are expanded.

    Raises:
        InputError: an object does not have the fields of its kind.
    """
    collection = InputCollection(workloads=workloads)
    for number, value in enumerate(objects, 1):
        _add_value(value, Location(f"object {number}"), [], collection)
    return collection


def read_bytes(file: NamedBytes, collection: InputCollection) -> None:
    """Add the objects of one file to a collection.

    Raises:
        InputError: the file is invalid. The message names the document, the line, and what was
            expected.
    """
    data = file.data.removeprefix(b"\xef\xbb\xbf")
    if not (data[:4096].strip() or data.strip()):
        raise InputError(f"{file.name}: empty file")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{file.name}: UTF-16 text, expected UTF-8; save it as UTF-8")
    if b"\x00" in data[:4096]:
        raise InputError(f"{file.name}: binary data, expected YAML or JSON")
    # Not data.lstrip(), which copies the whole file.
    start = data[:4096].lstrip() or data.lstrip()
    try:
        if start.startswith((b"{", b"[")) and not start.startswith(b"{{"):
            _read_json(file.name, data, collection)
        else:
            _read_yaml(file.name, data, collection)
    except UnicodeDecodeError as error:
        raise InputError(f"{file.name}: not UTF-8: {error.reason}") from None
    except RecursionError:
        raise InputError(f"{file.name}: nested too deeply") from None


def _read_json(name: str, data: bytes, collection: InputCollection) -> None:
    if data.startswith(snapshot_file.START):
        snapshot_file.read(name, data, collection)
        return
    items = collection.list_decoder.decode(data)
    if items is not None:
        _add_list(name, data, items, collection)
        return
    try:
        if data.lstrip()[:1] == b"[":
            for number, raw in enumerate(msgspec.json.decode(data, type=list[Raw]), 1):
                _add_json(raw, Location(name, number), collection)
            return
        envelope = _envelopes.decode(data)
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: {error}") from None
    except msgspec.DecodeError as error:
        if _read_json_stream(name, data, collection):
            return
        # A YAML document can begin with a brace too.
        if b"\n---" in data:
            _read_yaml(name, data, collection)
            return
        raise InputError(_json_refusal(name, data, str(error))) from None
    _add_json(Raw(data), Location(name), collection, envelope)


def _add_list(name: str, data: bytes, items: list[Struct], collection: InputCollection) -> None:
    """Add the items of a JSON list that the decoder of lists has decoded."""
    if len(data) <= MAX_CHECKED or _may_have_duplicates(data, items):
        _note_duplicates(Raw(data), Location(name), collection)
    for number, (resource, value) in enumerate(collection.list_decoder.objects(items)):
        collection.store(value, Location(name, item=number), resource)


def _may_have_duplicates(data: bytes, items: Sequence[Any]) -> bool:
    """Return whether a JSON list might have `roleRef`, `subjects`, or `rules` twice in one object.

    Every binding has one `roleRef`. If the other two occur as often as there are objects in which
    they are not empty, no object has them twice. A second `items` has the same effect.
    """
    bindings = [item for item in items if hasattr(item, "role_ref")]
    roles = [item for item in items if hasattr(item, "rules")]
    return (
        data.count(b'"roleRef"') != len(bindings)
        or data.count(b'"subjects"') != sum(1 for each in bindings if each.subjects)
        # Without roles in the list, no second `rules` changes an answer.
        or (bool(roles) and data.count(b'"rules"') != sum(1 for each in roles if each.rules))
    )


def _note_duplicates(raw: Raw, location: Location, collection: InputCollection) -> None:
    """Add a problem for each key that a JSON object, or an object inside it, has twice."""
    keys = Counter(duplicate_keys(raw))
    if not keys:
        return
    try:
        items = msgspec.json.decode(raw, type=_Envelope).items or []
    except msgspec.DecodeError:
        items = []
    places = [(location, keys)]
    for index, item in enumerate(items):
        if inside := Counter(duplicate_keys(item)):
            keys -= inside
            place = Location(location.name, location.document, location.line, index)
            places.append((place, inside))
    collection.problems += [
        _duplicate_key(place, key) for place, found in places for key in sorted(+found)
    ]


def _duplicate_key(place: Location, key: str) -> str:
    return f"{place}: key {key!r} is given twice and the last value counts; remove one of them"


def _read_json_stream(name: str, data: bytes, collection: InputCollection) -> bool:
    """Read JSON values after each other, as in `jq -c .items[]` and `cat a.json b.json`.

    Returns False if the data are something else.
    """
    import json

    values: list[tuple[int, Raw]] = []
    try:
        text = data.decode()
        decoder = json.JSONDecoder()
        position, line = 0, 1
        while position < len(text):
            start = len(text) - len(text[position:].lstrip()) if text[position].isspace() else 0
            if start:
                line += text.count("\n", position, start)
                position = start
                continue
            _, end = decoder.raw_decode(text, position)
            values.append((line, Raw(text[position:end].encode())))
            line += text.count("\n", position, end)
            position = end
    except (ValueError, RecursionError):
        return False
    for number, (line, raw) in enumerate(values, 1):
        _add_json(raw, Location(name, number, line), collection)
    return True


def _json_refusal(name: str, data: bytes, message: str) -> str:
    position = re.search(r"byte (\d+)", message)
    offset = int(position[1]) if position else len(data)
    line = data.count(b"\n", 0, offset) + 1
    if "truncated" in message:
        return f"{name}, line {line}: the JSON ends half-way; the file is truncated"
    reason = message.partition(": ")[2] or message
    return f"{name}, line {line}: not well-formed JSON: {re.sub(r' .byte .*', '', reason)}"


def _add_json(
    raw: Raw,
    location: Location,
    collection: InputCollection,
    envelope: _Envelope | None = None,
    *,
    is_item: bool = False,
) -> None:
    """Add an object or the items of a list."""
    try:
        envelope = envelope or _envelopes.decode(raw)
    except msgspec.DecodeError as error:
        raise InputError(f"{location}: {error}") from None
    kind, api_version = envelope.kind or "", envelope.api_version or ""
    if kind == snapshot_file.KIND:
        snapshot_file.read(str(location), raw, collection)
        return
    if not (is_item or envelope.resembles_object):
        collection.skipped[_NO_OBJECT] += 1
        return
    if not is_item:
        _note_duplicates(raw, location, collection)
    if envelope.items is UNSET or not _is_list(kind):
        collection.add_object(raw, location, api_version, kind)
        return
    token = _continue_token(envelope, location)
    items = envelope.items or []
    item_kind = _note_list(kind, token, len(items), collection)
    for index, item in enumerate(items):
        place = Location(location.name, location.document, location.line, index)
        try:
            head = _object_heads.decode(item)
        except msgspec.DecodeError as error:
            raise InputError(f"{place}: {error}") from None
        if _is_list(head.kind or ""):
            _add_json(item, place, collection, is_item=True)
        else:
            # Only a list of one kind gives its items their kind and apiVersion.
            own_version = head.api_version or (api_version if item_kind else "")
            collection.add_object(item, place, own_version, head.kind or item_kind)


def _continue_token(envelope: _Envelope, location: Location) -> str | None:
    """Return the token of a list that is one page of several."""
    metadata = envelope.metadata
    if isinstance(metadata, UnsetType) or bytes(metadata) == b"null":
        return None
    try:
        return _list_metas.decode(metadata).continue_
    except msgspec.ValidationError as error:
        raise InputError(f"{location}: {envelope.kind}: metadata: {error}") from None


def _read_yaml(name: str, data: bytes, collection: InputCollection) -> None:
    try:
        if not _read_kubectl_output(name, data, collection):
            _read_any_yaml(name, data, collection)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{name}: not well-formed YAML: {error}") from None


def _read_kubectl_output(name: str, data: bytes, collection: InputCollection) -> bool:
    """Read a list that kubectl wrote. Returns False if `_read_any_yaml` must read the data."""
    if not kubectl_yaml.is_kubectl_output(data):
        return False
    try:
        # Answers about workloads need metadata that answers about access do not.
        document = kubectl_yaml.parse_kubectl_output(data, whole=collection.workloads)
    except (ValueError, TypeError):
        if len(data) > _MAX_YAML_RETRY:
            raise
        return False
    _add_value(document.value, Location(name, 1, 1), document.item_lines, collection)
    return True


def _read_any_yaml(name: str, data: bytes, collection: InputCollection) -> None:
    # Importing PyYAML takes longer than reading most dumps.
    import yaml as pyyaml

    from rbacguard.sources import yaml

    try:
        for number, document in enumerate(yaml.documents(data), 1):
            if isinstance(document.value, dict) and "kind" in document.value:
                collection.problems += [
                    _duplicate_key(Location(name, number, line), key)
                    for key, line in document.duplicates
                ]
            place = Location(name, number, document.line)
            _add_value(document.value, place, document.item_lines, collection)
    except pyyaml.MarkedYAMLError as error:
        raise InputError(_yaml_refusal(name, data, error)) from None
    except pyyaml.reader.ReaderError as error:
        raise InputError(f"{name}: {_reader_reason(data, error)}") from None


def _reader_reason(data: bytes, error: ReaderError) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        return f"not UTF-8 at byte {wrong.start + 1}"
    return f"a character that YAML does not allow at byte {error.position + 1}"


def _yaml_refusal(name: str, data: bytes, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    if re.search(rb"\{\{.*?\}\}", data):
        return f"{Location(name, 0, line)}: a template, not YAML; render it first"
    problem = error.problem or "not well-formed"
    lines = data.splitlines()
    if 0 < line <= len(lines) and b"\t" in lines[line - 1]:
        problem = "a tab where YAML expects spaces"
    return f"{Location(name, 0, line)}: not well-formed YAML: {problem}"


def _add_value(
    value: object, location: Location, item_lines: list[int], collection: InputCollection
) -> None:
    """Add an object or the items of a list, as plain values."""
    if not isinstance(value, dict) or _RESEMBLES_OBJECT.isdisjoint(value):
        collection.skipped[_NO_OBJECT] += 1
        return
    kind, api_version = _text(value, "kind"), _text(value, "apiVersion")
    if not (_is_list(kind) and "items" in value):
        collection.add_object(value, location, api_version, kind)
        return
    items = value["items"]
    if items is not None and not isinstance(items, list):
        raise InputError(f"{location}: {kind}: items: expected a list")
    metadata = value.get("metadata")
    token = metadata.get("continue") if isinstance(metadata, dict) else None
    item_kind = _note_list(kind, token, len(items or []), collection)
    for index, item in enumerate(items or []):
        line = item_lines[index] if index < len(item_lines) else location.line
        place = Location(location.file, location.document, line)
        if not isinstance(item, dict):
            raise InputError(f"{place}: items[{index}]: expected an object")
        own_kind, own_version = _text(item, "kind"), _text(item, "apiVersion")
        if _is_list(own_kind):
            _add_value(item, place, [], collection)
            continue
        # Only a list of one kind gives its items their kind and apiVersion.
        own_version = own_version or (api_version if item_kind else "")
        collection.add_object(item, place, own_version, own_kind or item_kind)


def _text(value: dict[str, Any], field: str) -> str:
    """Return a field that is text; '' if it is absent or has another type."""
    found = value.get(field)
    return found if isinstance(found, str) else ""


def _is_list(kind: str) -> bool:
    return kind.endswith("List")


def _note_list(kind: str, token: object, count: int, collection: InputCollection) -> str:
    """Record an empty or truncated list. Returns the kind of its items; '' for `kind: List`."""
    item_kind = kind.removesuffix("List")
    if token:
        for each in (item_kind,) if item_kind else RBAC_KINDS:
            collection.truncated[each] = (
                f"the list of {each}s is one page of several (it has a continue token)"
            )
    elif item_kind and not count:
        collection.empty_lists.add(item_kind)
    return item_kind


_NAMESPACE_FOLDER = re.compile(r"(?:^|[/!])namespaces/([^/]+)/")


def _note_layout(name: str, collection: InputCollection) -> None:
    """Recognize `oc adm inspect` and must-gather by their folders."""
    path = name.replace("\\", "/")
    match = _NAMESPACE_FOLDER.search(path)
    if match and match[1] != "all":
        collection.is_inspect = True
        collection.namespace_folders.add(match[1])
    elif "cluster-scoped-resources/" in path:
        collection.is_inspect = True


def _nothing_found(paths: list[str], collection: InputCollection) -> str:
    where = ", ".join(paths)
    if collection.problems:
        return f"{where}: no RBAC object could be read; first problem: {collection.problems[0]}"
    count = sum(collection.skipped.values()) + len(collection)
    if collection.is_inspect:
        return (
            f"{where}: a must-gather without RBAC objects, as most are ({count} others passed "
            f"over); collect them with: {INSPECT_COMMAND}"
        )
    return (
        f"{where}: no ClusterRole, Role or binding among {count} objects; "
        f"make a dump with: {COLLECT_COMMAND}"
    )
