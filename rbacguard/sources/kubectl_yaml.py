"""YAML that kubectl wrote, read many times as fast as by `yaml`, the exact reader.

A dump begins in a way that can be told, and quotes every scalar that two YAML dialects read
differently. PyYAML is not even loaded for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yaml import Node


class Document:
    """One YAML document: its value, the line it starts on, the lines of a list's items.

    `node` is the tree that the value was made from, where a reader keeps one.
    """

    __slots__ = ("duplicates", "item_lines", "line", "node", "value")

    def __init__(
        self,
        value: object,
        line: int,
        item_lines: list[int],
        duplicates: list[tuple[str, int]],
        node: Node | None = None,
    ) -> None:
        """Hold what was read; lines count from 1."""
        self.node = node
        self.value = value
        self.line = line
        self.item_lines = item_lines
        self.duplicates = duplicates


_FROM_API_SERVER = re.compile(rb"(?:---\n)?apiVersion: [^\n]+\nitems:\n- ")
_ITEM = re.compile(rb"\n- ")
_MARKERS = (b"\n---", b"\n...")
_ANCHOR = re.compile(rb"(?:^|: |- )[&*][A-Za-z0-9]", re.MULTILINE)
UNUSED = ("managedFields", "uid", "resourceVersion", "generation")
"""Metadata that no answer about RBAC depends on; they are half of many a dump."""
_UNUSED = re.compile(
    # What stands under managedFields is indented more, or an entry of its list.
    rb"\n    managedFields:(?:\n    [- ] [^\n]*)+"
    rb"|\n    (?:uid|resourceVersion|generation): [^\n]*"
)


def is_machine_written(data: bytes) -> bool:
    """Whether this is one `kubectl get -o yaml` list of objects from an API server.

    Such a file quotes every scalar that two YAML dialects read differently, so a fast reader of
    another dialect gives the same answer.
    """
    return (
        _FROM_API_SERVER.match(data) is not None
        and b"\n    uid: " in data
        # One document: what else begins like a marker is left to the exact reader.
        and not any(marker in data for marker in _MARKERS)
        and not (_may_have_anchors(data) and _ANCHOR.search(data))
    )


def _may_have_anchors(data: bytes) -> bool:
    """Whether to look for anchors and aliases line by line, which takes long in a large file."""
    for sign in (b"&", b"*"):
        place = data.find(sign)
        while place >= 0:
            if data[place - 1 : place] in (b"", b" ", b"\n"):
                return True
            place = data.find(sign, place + 1)
    return False


def machine_written(data: bytes, *, whole: bool = False) -> Document:
    """Read what `is_machine_written` recognized, much faster than `documents`.

    Args:
        data: the file.
        whole: whether to read `UNUSED` too.

    Raises:
        ValueError: it is not well-formed.
    """
    import yaml12

    value = yaml12.parse_yaml((data if whole else _UNUSED.sub(b"", data)).decode())
    lines, line, last = [], 1, 0
    for match in _ITEM.finditer(data):
        start = match.start() + 1
        line += data.count(b"\n", last, start)
        last = start
        lines.append(line)
    return Document(value, 1, lines, [])
