"""Files of a repository as manifests that know where each of their fields stands."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml as pyyaml
from msgspec import Struct
from yaml.nodes import MappingNode, Node, SequenceNode

from rbacguard.rbac import ObjectKey
from rbacguard.rbac.types import RBAC_GROUP
from rbacguard.snapshot.coverage import RBAC_KINDS
from rbacguard.sources import yaml
from rbacguard.sources.files import NamedBytes, open_input

FieldPath = tuple[str | int, ...]

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_PATCHES = ("patches", "patchesStrategicMerge", "patchesJson6902")
_IS_RBAC = re.compile(rb"rbac\.authorization\.k8s\.io|ClusterRole|RoleBinding")
_NOT_READABLE = (pyyaml.YAMLError, ValueError, RecursionError)
_LIST_PARTS = {"List": "items", **{f"{kind}List": "items" for kind in RBAC_KINDS}}


class SourceFile(Struct, frozen=True):
    """A file as it was read.

    Attributes:
        name: as given or found.
        data: its bytes.
        text: its characters, to which marks refer.
    """

    name: str
    data: bytes
    text: str


class Manifest(Struct, frozen=True):
    """One RBAC object that somebody wrote.

    Attributes:
        file: where it stands.
        document: which document of the file, counted from 1.
        value: the object, as plain values.
        node: the tree it was made from; None where only the values could be read.
    """

    file: SourceFile
    document: int
    value: dict[str, Any]
    node: Node | None

    @property
    def key(self) -> ObjectKey:
        """Its identity, as far as it has one; what is not text is left out."""
        metadata = self.value.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        name, namespace = metadata.get("name"), metadata.get("namespace")
        return ObjectKey(
            str(self.value["kind"]),
            namespace if isinstance(namespace, str) else "",
            name if isinstance(name, str) else "",
        )

    def get(self, *path: str | int) -> Any:
        """Return what stands at a path, or None."""
        value: Any = self.value
        for part in path:
            if isinstance(part, int):
                value = value[part] if isinstance(value, list) and part < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return value

    def node_at(self, path: FieldPath) -> tuple[Node | None, bool]:
        """Return the node at a path, or the nearest above it, and whether it is the very one."""
        node = self.node
        for part in path:
            below = _below(node, part)
            if below is None:
                return node, False
            node = below
        return node, node is not None

    def mark(self, path: FieldPath) -> tuple[int, int]:
        """Return line and column, both counted from 1, of what stands at a path.

        For an entry of a map that is where its key stands; where there is no such entry, it is
        what would hold it.
        """
        above, exact = self.node_at(path[:-1]) if path else (self.node, True)
        if exact and path and isinstance(above, MappingNode):
            for key, _ in reversed(above.value):
                if getattr(key, "value", None) == path[-1]:
                    return key.start_mark.line + 1, key.start_mark.column + 1
        node, _ = self.node_at(path)
        if node is None:
            return 1, 1
        return node.start_mark.line + 1, node.start_mark.column + 1


class Unreadable(Struct, frozen=True):
    """A file that holds RBAC, by its words, and cannot be read; line and column from 1."""

    file: SourceFile
    message: str
    line: int
    column: int


class Passed(Struct, frozen=True):
    """A file that was passed over, and why."""

    file: str
    reason: str


class Repository(Struct, frozen=True):
    """Everything that was given.

    Attributes:
        files: how many files were looked at.
        manifests: the RBAC objects.
        unreadable: files that hold RBAC and cannot be read.
        passed: files passed over.
        others: how many objects were of other kinds.
    """

    files: int
    manifests: tuple[Manifest, ...]
    unreadable: tuple[Unreadable, ...]
    passed: tuple[Passed, ...]
    others: int


def _below(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, MappingNode):
        found = None
        for key, value in node.value:
            if getattr(key, "value", None) == part:
                found = value
        return found
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        below: Node = node.value[part]
        return below
    return None


def read_repository(paths: Iterable[str]) -> Repository:
    """Read files, folders and standard input.

    Raises:
        InputError: one that was named does not exist or cannot be read.
    """
    files: dict[str, NamedBytes] = {}
    for path in paths:
        for file in open_input(path):
            files.setdefault(file.name, file)
    return _read(files)


def read_file(file: NamedBytes) -> Repository:
    """Read one file by itself."""
    return _read({file.name: file})


def _read(files: Mapping[str, NamedBytes]) -> Repository:
    patches = _patches(files)
    manifests: list[Manifest] = []
    unreadable: list[Unreadable] = []
    passed: list[Passed] = []
    others = 0
    for name, file in files.items():
        reason = "a patch; lint what 'kustomize build' gives" if _normal(name) in patches else ""
        reason = reason or _template(name, files)
        if reason:
            passed.append(Passed(name, reason))
            continue
        read: list[Manifest] = []
        try:
            for number, value, node, source in _objects(file):
                found, rest = _rbac(value, node)
                others += rest
                read += [Manifest(source, number, each, at) for each, at in found]
        except _NOT_READABLE as error:
            if b"{{" in file.data:
                passed.append(Passed(name, "a template; lint what it renders to"))
                continue
            if not _IS_RBAC.search(file.data):
                passed.append(Passed(name, "not well-formed, and no RBAC by its words"))
                continue
            unreadable.append(_unreadable(file, error))
        manifests += read
    return Repository(len(files), tuple(manifests), tuple(unreadable), tuple(passed), others)


def _normal(name: str) -> str:
    return posixpath.normpath(PurePath(name).as_posix())


def _template(name: str, files: Mapping[str, NamedBytes]) -> str:
    """Return why a file is no manifest: it stands in a Helm chart's folder of templates."""
    path = PurePath(name)
    for parent in path.parents:
        if parent.name != "templates":
            continue
        chart = parent.parent / "Chart.yaml"
        if str(chart) in files or Path(chart).is_file():
            return "a Helm template; lint what 'helm template' gives"
    return ""


def _patches(files: Mapping[str, NamedBytes]) -> frozenset[str]:
    """Return the files that kustomizations name as patches: parts of objects, not whole ones."""
    found = set()
    for name, file in files.items():
        path = PurePath(name)
        if path.name not in _KUSTOMIZATIONS:
            continue
        try:
            documents = [document.value for document in yaml.documents(file.data)]
        except _NOT_READABLE:
            continue
        for value in documents:
            for entry in _entries(value):
                target = entry.get("path") if isinstance(entry, dict) else entry
                if isinstance(target, str) and "\n" not in target:
                    found.add(_normal(f"{path.parent.as_posix()}/{target}"))
    return frozenset(found)


def _entries(kustomization: object) -> Iterator[object]:
    for field in _PATCHES:
        value = kustomization.get(field) if isinstance(kustomization, dict) else None
        yield from value if isinstance(value, list) else []


def _objects(file: NamedBytes) -> Iterator[tuple[int, object, Node | None, SourceFile]]:
    """Yield each document's number, value and tree.

    Raises:
        ValueError: it is not UTF-8, or not well-formed JSON.
        yaml.YAMLError: it is not well-formed YAML.
    """
    text = file.data.decode("utf-8-sig")
    source = SourceFile(file.name, file.data, text)
    # Marks count characters, so a tab may become a blank: JSON has none inside its strings.
    is_json = text.lstrip()[:1] in ("{", "[") and not text.lstrip().startswith("{{")
    readable = text.replace("\t", " ") if is_json else text
    try:
        for number, document in enumerate(yaml.documents(readable.encode()), 1):
            yield number, document.value, document.node, source
    except pyyaml.YAMLError:
        if not is_json:
            raise
        # JSON that YAML 1.1 cannot read, as with escaped surrogates: values without places.
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = None
        if value is None:
            raise
        yield 1, value, None, source


def _rbac(value: object, node: Node | None) -> tuple[list[tuple[dict[str, Any], Node | None]], int]:
    """Return the RBAC objects in a document, and how many others there are; lists are opened."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return [], 0
    kind, api_version = value["kind"], value.get("apiVersion")
    part = _LIST_PARTS.get(kind)
    if part and isinstance(value.get(part), list):
        below = _below(node, part)
        found: list[tuple[dict[str, Any], Node | None]] = []
        others = 0
        for index, item in enumerate(value[part]):
            more, rest = _rbac(_with_kind(item, kind, api_version), _below(below, index))
            found += more
            others += rest
        return found, others
    group = api_version.partition("/")[0] if isinstance(api_version, str) else ""
    if kind in RBAC_KINDS and group in (RBAC_GROUP, ""):
        return [(value, node)], 0
    return [], 1


def _with_kind(item: object, kind: str, api_version: object) -> object:
    """Return an item of a typed list, which need not repeat its kind."""
    if isinstance(item, dict) and kind != "List" and "kind" not in item:
        return {"apiVersion": api_version, "kind": kind.removesuffix("List"), **item}
    return item


def _unreadable(file: NamedBytes, error: Exception) -> Unreadable:
    text = file.data.decode("utf-8", "replace")
    source = SourceFile(file.name, file.data, text)
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, pyyaml.MarkedYAMLError) and mark is not None:
        return Unreadable(source, str(error.problem), mark.line + 1, mark.column + 1)
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return Unreadable(source, (reason or type(error).__name__).splitlines()[0], 1, 1)
