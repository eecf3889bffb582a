"""From named bytes to a `Reading`: JSON, JSON lines or YAML, lists and single objects."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from rbacguard.errors import ContradictionError, InputError
from rbacguard.snapshot.coverage import RBAC_KINDS, Input, Location
from rbacguard.snapshot.objects import OBJECT_TYPES
from rbacguard.snapshot.workloads import SENTINEL_KINDS, WORKLOAD_TYPES
from rbacguard.sources import bulk
from rbacguard.sources import kubectl_yaml as machine_yaml
from rbacguard.sources import snapshot_file as saved
from rbacguard.sources.collection import COLLECT_COMMAND, INSPECT_COMMAND, Reading
from rbacguard.sources.files import NamedBytes, open_input, sha256
from rbacguard.text import encodable

if TYPE_CHECKING:
    from yaml import MarkedYAMLError
    from yaml.reader import ReaderError

_MAX_YAML_RETRY = 32 * 1024 * 1024


class _ListMeta(Struct):
    continue_: str | None = field(default=None, name="continue")


class _Envelope(Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None
    metadata: Raw | UnsetType = UNSET
    items: list[Raw] | UnsetType | None = UNSET


class _Item(Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None


_HEAD = re.compile(rb'\{\s*"apiVersion":\s*"([^"\\]*)",\s*"kind":\s*"([^"\\]*)"')
_HEADS = {
    (f"{group}/v1".removeprefix("/").encode(), kind.encode()): (group, kind)
    for group, kind in (*OBJECT_TYPES, *WORKLOAD_TYPES)
}
"""How an object of the usual version begins."""
_MACHINE_WRITTEN = 256
_LARGE = 1024 * 1024

_envelopes = msgspec.json.Decoder(_Envelope)
_items = msgspec.json.Decoder(_Item)
_list_metas = msgspec.json.Decoder(_ListMeta)


def read_paths(paths: Iterable[str], *, workloads: bool = False) -> Reading:
    """Read everything behind these paths (see `open_input`).

    Args:
        paths: what to read.
        workloads: whether machines, nodes and the like are read too, and may be all there is.

    Raises:
        InputError: a file that was named cannot be read, or there is nothing to go by. What
            is wrong with a file that was merely found in a folder or an archive is noted in the
            reading's problems.
    """
    reading = Reading(workloads=workloads)
    paths = list(paths)
    for path in paths:
        digests: list[tuple[str, Callable[[], str]]] = []
        for file in open_input(path):
            digests.append((file.name, sha256(file.data)))
            _note_layout(file.name, reading)
            try:
                read_bytes(NamedBytes(encodable(file.name), file.data, file.loose), reading)
            except ContradictionError:
                raise
            except InputError as error:
                if not file.loose:
                    raise
                reading.problems.append(str(error))
        reading.inputs.append(_input(path, [(name, digest()) for name, digest in digests]))
    wanted = (*RBAC_KINDS, *(SENTINEL_KINDS if workloads else ()))
    if not any(reading.by_kind.get(kind) for kind in wanted):
        raise InputError(_nothing_found(paths, reading))
    return reading


def fingerprint(path: str) -> str:
    """Return the SHA-256 by which reports name an input, without decoding anything of it.

    Raises:
        InputError: it cannot be read.
    """
    return _input(path, [(file.name, sha256(file.data)()) for file in open_input(path)]).sha256


def _input(path: str, digests: list[tuple[str, str]]) -> Input:
    path = encodable(path)
    if len(digests) == 1:
        return Input(path, 1, digests[0][1])
    text = "".join(f"{digest}  {name}\n" for name, digest in digests)
    whole = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return Input(path, len(digests), whole)


def read_objects(objects: Iterable[dict[str, Any]], *, workloads: bool = False) -> Reading:
    """Take objects as plain values, each with its apiVersion and kind; lists are opened.

    Raises:
        InputError: one of them is not what its kind says.
    """
    reading = Reading(workloads=workloads)
    for number, value in enumerate(objects, 1):
        _take(value, Location(f"object {number}"), [], reading)
    return reading


def read_bytes(file: NamedBytes, reading: Reading) -> None:
    """Read one file into a reading.

    Raises:
        InputError: with file, document and line, and what was expected.
    """
    data = file.data.removeprefix(b"\xef\xbb\xbf")
    if not (data[:4096].strip() or data.strip()):
        raise InputError(f"{file.name}: empty file")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{file.name}: UTF-16 text, expected UTF-8; save it as UTF-8")
    if b"\x00" in data[:4096]:
        raise InputError(f"{file.name}: binary data, expected YAML or JSON")
    start = data.lstrip()[:1]
    try:
        if start in (b"{", b"[") and not data.lstrip().startswith(b"{{"):
            _read_json(file.name, data, reading)
        else:
            _read_yaml(file.name, data, reading)
    except UnicodeDecodeError as error:
        raise InputError(f"{file.name}: not UTF-8: {error.reason}") from None
    except RecursionError:
        raise InputError(f"{file.name}: nested too deeply") from None


def _read_json(name: str, data: bytes, reading: Reading) -> None:
    if data.startswith(saved.BEGINNING):
        saved.take(name, data, reading)
        return
    if len(data) > _LARGE and not reading.workloads and bulk.take(name, data, reading):
        return
    try:
        if data.lstrip()[:1] == b"[":
            for index, raw in enumerate(msgspec.json.decode(data, type=list[Raw]), 1):
                _take_json(raw, Location(name, index), reading)
            return
        envelope = _envelopes.decode(data)
    except msgspec.ValidationError as error:
        raise InputError(f"{name}: {error}") from None
    except msgspec.DecodeError as error:
        if _read_json_stream(name, data, reading):
            return
        # A YAML document may begin with a brace too.
        if b"\n---" in data:
            _read_yaml(name, data, reading)
            return
        raise InputError(_json_refusal(name, data, str(error))) from None
    _take_json(Raw(data), Location(name), reading, envelope)


def _read_json_stream(name: str, data: bytes, reading: Reading) -> bool:
    """Read JSON values one after the other (`jq -c .items[]`, `cat a.json b.json`)."""
    import json

    raws: list[tuple[int, Raw]] = []
    try:
        text = data.decode()
        decoder = json.JSONDecoder()
        position, line = 0, 1
        while position < len(text):
            stripped = len(text) - len(text[position:].lstrip()) if text[position].isspace() else 0
            if stripped:
                line += text.count("\n", position, stripped)
                position = stripped
                continue
            _, end = decoder.raw_decode(text, position)
            raws.append((line, Raw(text[position:end].encode())))
            line += text.count("\n", position, end)
            position = end
    except (ValueError, RecursionError):
        return False
    for number, (line, raw) in enumerate(raws, 1):
        _take_json(raw, Location(name, number, line), reading)
    return True


def _json_refusal(name: str, data: bytes, message: str) -> str:
    position = re.search(r"byte (\d+)", message)
    offset = int(position[1]) if position else len(data)
    line = data.count(b"\n", 0, offset) + 1
    if "truncated" in message:
        return f"{name}, line {line}: the JSON ends half-way; the file is truncated"
    reason = message.partition(": ")[2] or message
    return f"{name}, line {line}: not well-formed JSON: {re.sub(r' .byte .*', '', reason)}"


def _take_json(
    raw: Raw, location: Location, reading: Reading, envelope: _Envelope | None = None
) -> None:
    try:
        envelope = envelope or _envelopes.decode(raw)
    except msgspec.DecodeError as error:
        raise InputError(f"{location}: {error}") from None
    kind, api_version = envelope.kind or "", envelope.api_version or ""
    if kind == saved.KIND:
        saved.take(str(location), raw, reading)
        return
    if envelope.items is UNSET or not _is_list(kind):
        _add(raw, location, api_version, kind, reading)
        return
    metadata = envelope.metadata
    token = None
    if not isinstance(metadata, UnsetType) and bytes(metadata) != b"null":
        try:
            token = _list_metas.decode(metadata).continue_
        except msgspec.ValidationError as error:
            raise InputError(f"{location}: {kind}: metadata: {error}") from None
    items = envelope.items or []
    item_kind = _note_list(kind, token, len(items), reading)
    file = location.name
    for index, item in enumerate(items):
        place = Location(file, location.document, location.line, index)
        # A list that long was written by a machine, which writes no key twice.
        known = _placed(item) if len(items) > _MACHINE_WRITTEN else None
        if known is not None:
            reading.take(item, place, *known)
            continue
        try:
            peek = _items.decode(item)
        except msgspec.DecodeError as error:
            raise InputError(f"{place}: {error}") from None
        if _is_list(peek.kind or ""):
            _take_json(item, place, reading)
        else:
            _add(item, place, peek.api_version or api_version, peek.kind or item_kind, reading)


def _placed(item: Raw) -> tuple[str, str] | None:
    """Return the group and kind of an object that a program wrote, without parsing it.

    None is: it begins otherwise. A program writes no key twice, so what comes first counts.
    """
    head = _HEAD.match(item)
    return _HEADS.get((head[1], head[2])) if head else None


def _read_yaml(name: str, data: bytes, reading: Reading) -> None:
    try:
        if not _read_machine_written(name, data, reading):
            _read_exactly(name, data, reading)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{name}: not well-formed YAML: {error}") from None


def _read_exactly(name: str, data: bytes, reading: Reading) -> None:
    # PyYAML takes longer to load than most dumps to read.
    import yaml as pyyaml

    from rbacguard.sources import yaml

    try:
        for number, document in enumerate(yaml.documents(data), 1):
            _note_duplicates(name, number, document, reading)
            place = Location(name, number, document.line)
            _take(document.value, place, document.item_lines, reading)
    except pyyaml.MarkedYAMLError as error:
        raise InputError(_yaml_refusal(name, data, error)) from None
    except pyyaml.reader.ReaderError as error:
        raise InputError(f"{name}: {_reader_reason(data, error)}") from None


def _read_machine_written(name: str, data: bytes, reading: Reading) -> bool:
    """Read what the fast reader can; where it fails, the exact one finds the place."""
    if not machine_yaml.is_machine_written(data):
        return False
    try:
        # What machines are asked needs more of an object than what RBAC is asked.
        document = machine_yaml.machine_written(data, whole=reading.workloads)
    except (ValueError, TypeError):
        if len(data) > _MAX_YAML_RETRY:
            raise
        return False
    _take(document.value, Location(name, 1, 1), document.item_lines, reading)
    return True


def _note_duplicates(
    name: str, number: int, document: machine_yaml.Document, reading: Reading
) -> None:
    if _is_kubernetes(document.value):
        reading.problems += [
            f"{Location(name, number, line)}: key {key!r} is given twice; "
            "kubectl takes the last one without a word"
            for key, line in document.duplicates
        ]


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


def _take(value: object, place: Location, lines: list[int], reading: Reading) -> None:
    if not _is_kubernetes(value):
        reading.skipped["(not a Kubernetes object)"] += 1
        return
    assert isinstance(value, dict)  # noqa: S101 - _is_kubernetes has looked
    kind, api_version = value["kind"], value.get("apiVersion")
    api_version = api_version if isinstance(api_version, str) else ""
    items = value.get("items")
    if not (_is_list(kind) and ("items" in value)):
        _add(value, place, api_version, kind, reading)
        return
    if items is not None and not isinstance(items, list):
        raise InputError(f"{place}: {kind}: items: expected a list")
    metadata = value.get("metadata")
    token = metadata.get("continue") if isinstance(metadata, dict) else None
    item_kind = _note_list(kind, token, len(items or []), reading)
    for index, item in enumerate(items or []):
        line = lines[index] if index < len(lines) else place.line
        item_place = Location(place.file, place.document, line)
        if not isinstance(item, dict):
            raise InputError(f"{item_place}: items[{index}]: expected an object")
        own_kind = item.get("kind")
        if isinstance(own_kind, str) and _is_list(own_kind):
            _take(item, item_place, [], reading)
            continue
        own_version = item.get("apiVersion")
        _add(
            item,
            item_place,
            own_version if isinstance(own_version, str) else api_version,
            own_kind if isinstance(own_kind, str) else item_kind,
            reading,
        )


def _add(
    payload: Raw | dict[str, Any], place: Location, api_version: str, kind: str, reading: Reading
) -> None:
    if kind:
        reading.add(payload, place, api_version, kind)
    else:
        reading.skipped["(not a Kubernetes object)"] += 1


def _is_kubernetes(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("kind"), str)


def _is_list(kind: str) -> bool:
    return kind.endswith("List")


def _note_list(kind: str, token: object, count: int, reading: Reading) -> str:
    """Note an empty or truncated list; return the kind of its items ('' for `kind: List`)."""
    item_kind = kind.removesuffix("List")
    if token:
        kinds = (item_kind,) if item_kind else RBAC_KINDS
        for each in kinds:
            reading.truncated[each] = (
                f"the list of {each}s is one page of several (it has a continue token)"
            )
    elif item_kind and not count:
        reading.empty_lists.add(item_kind)
    return item_kind


_NAMESPACE_FOLDER = re.compile(r"(?:^|[/!])namespaces/([^/]+)/")


def _note_layout(name: str, reading: Reading) -> None:
    """Recognize `oc adm inspect` and must-gather trees, whatever their top folder is called."""
    path = name.replace("\\", "/")
    match = _NAMESPACE_FOLDER.search(path)
    if match and match[1] != "all":
        reading.is_inspect = True
        reading.namespace_folders.add(match[1])
    elif "cluster-scoped-resources/" in path:
        reading.is_inspect = True


def _nothing_found(paths: list[str], reading: Reading) -> str:
    where = ", ".join(paths)
    if reading.problems:
        return f"{where}: no RBAC object could be read; first problem: {reading.problems[0]}"
    counted = sum(reading.skipped.values()) + len(reading)
    if reading.is_inspect:
        return (
            f"{where}: a must-gather without RBAC objects, as most are ({counted} others passed "
            f"over); collect them with: {INSPECT_COMMAND}"
        )
    return (
        f"{where}: no ClusterRole, Role or binding among {counted} objects; "
        f"make a dump with: {COLLECT_COMMAND}"
    )
