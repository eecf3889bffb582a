"""Edits of YAML that people wrote: what is not meant to change stays as it is, to the byte."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml as pyyaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rbacguard.errors import InputError
from rbacguard.manifests.emit import to_yaml


def append_items(text: str, key: str, items: Iterable[Mapping[str, Any]]) -> str:
    """Return a YAML document with items appended to a list at its top.

    Comments, quotes and indentation stay. The new items stand as far in as the old ones.

    Raises:
        InputError: the document is no mapping, or what stands under the key is no list.
    """
    new = list(items)
    if not new:
        return text
    ending = "\r\n" if "\r\n" in text else "\n"
    root = pyyaml.compose(text, Loader=pyyaml.CSafeLoader)
    if not isinstance(root, MappingNode):
        raise InputError("expected a mapping at the top of the document")
    found = [value for name, value in root.value if getattr(name, "value", None) == key]
    if not found:
        gap = "" if text.endswith("\n") else ending
        return text + gap + _lines({key: new}, 0, ending)
    value = found[0]
    if isinstance(value, ScalarNode) and value.value in ("", "null", "~"):
        # `key:` alone has its mark behind what follows: insert behind the key itself.
        names = [name for name, each in root.value if each is value]
        start = _behind_colon(text, names[0])
        end = start + len(value.value) + (text[start:].find(value.value) if value.value else 0)
        return text[:start] + ending + _lines(new, 0, ending).rstrip() + text[end:]
    if not isinstance(value, SequenceNode):
        raise InputError(f"{key}: expected a list")
    if value.flow_style:
        return _into_flow(text, value, new, ending)
    column = value.start_mark.column
    end = _end_of_line(text, _last(value).end_mark.index)
    gap = "" if text[:end].endswith("\n") else ending
    return text[:end] + gap + _lines(new, column, ending) + text[end:]


def _into_flow(text: str, value: SequenceNode, new: list[Mapping[str, Any]], ending: str) -> str:
    if not value.value:
        start, end = value.start_mark.index, value.end_mark.index
        return text[:start].rstrip(" ") + ending + _lines(new, 0, ending).rstrip() + text[end:]
    written = "".join(f", {json.dumps(item, ensure_ascii=True)}" for item in new)
    last = value.value[-1].end_mark.index
    return text[:last] + written + text[last:]


def _lines(value: object, column: int, ending: str) -> str:
    return to_yaml(value, column).lstrip("\n").replace("\n", ending) + ending


def _behind_colon(text: str, name: Node) -> int:
    return int(text.index(":", name.end_mark.index) + 1)


def _last(node: Node) -> Node:
    """Return the last leaf; the end of a block is marked behind the comments that follow it."""
    if isinstance(node, SequenceNode) and node.value and not node.flow_style:
        return _last(node.value[-1])
    if isinstance(node, MappingNode) and node.value and not node.flow_style:
        return _last(node.value[-1][1])
    return node


def _end_of_line(text: str, index: int) -> int:
    if index and text[index - 1] == "\n":
        # A block scalar ends behind its last line.
        return index
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1
