"""YAML as kubectl reads it.

kubectl uses sigs.k8s.io/yaml, which follows go-yaml v2: plain `yes` and `on` are booleans, `0123`
is 83, and `1e3` is 1000, but dates and `1:30` are strings. PyYAML has other rules for all of
these, and cannot construct a plain `=`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any, cast

import yaml

from rbacguard.sources.kubectl_yaml import Document

MAX_NODES = 5_000_000
"""Limit of the values that the aliases of one document expand to, against alias bombs."""

MAX_DEPTH = 200
"""Limit of the depth of a document, because PyYAML's composer would overflow the C stack."""

_BOOLEANS = {
    **dict.fromkeys(
        ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True
    ),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False
    ),
}
_INT = re.compile(r"[-+]?(0x[0-9a-fA-F]+|0o?[0-7]+|0b[01]+|0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
_NUMBER = "tag:kubectl,2025:number"


class KubectlLoader(yaml.CSafeLoader):
    """PyYAML's C parser with the scalars of go-yaml v2."""

    def __init__(self, stream: bytes | str) -> None:
        """Start without duplicate keys."""
        super().__init__(stream)
        self.duplicates: list[tuple[str, int]] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping with keys of text, and record duplicate keys.

        Other keys are converted as in sigs.k8s.io/yaml (yaml.go, convertToJSONableObject).
        """
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    self.duplicates.append((key_node.value, key_node.start_mark.line + 1))
                seen.add(key_node.value)
        self.flatten_mapping(node)
        return {
            self._key(self.construct_object(key, deep=True), key): self.construct_object(
                value, deep=deep
            )
            for key, value in node.value
        }

    @staticmethod
    def _key(key: object, node: yaml.Node) -> str:
        if isinstance(key, str):
            return key
        if isinstance(key, bool):
            return str(key).lower()
        if isinstance(key, int | float):
            return str(key)
        kind = "null" if key is None else type(key).__name__
        raise yaml.constructor.ConstructorError(
            problem=f"expected text as a key, found {kind}",
            problem_mark=cast("yaml.Mark", node.start_mark),
        )


def _number(loader: KubectlLoader, node: yaml.ScalarNode) -> int | float:
    text = loader.construct_scalar(node).replace("_", "")
    if _INT.match(text):
        sign, digits = (-1 if text[0] == "-" else 1), text.lstrip("+-")
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        return sign * int(digits, 8 if octal else 0)
    if _FLOAT.match(text):
        value = float(text)
        return int(value) if value.is_integer() and abs(value) < 1e21 else value  # noqa: PLR2004
    return float(text.replace(".", "", 1).lower())


# The resolvers below replace those of PyYAML, which follow YAML 1.1.
KubectlLoader.yaml_implicit_resolvers = {}


def _text(loader: Any, node: Any) -> str:
    return str(loader.construct_scalar(node))


def _resolver(tag: str, pattern: str, first: str) -> None:
    KubectlLoader.add_implicit_resolver(tag, re.compile(pattern), list(first))


_resolver("tag:yaml.org,2002:bool", rf"(?:{'|'.join(_BOOLEANS)})$", "yYnNtTfFoO")
_resolver("tag:yaml.org,2002:null", r"(?:~|null|Null|NULL)?$", "~nN\0")
KubectlLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("$"), [""])
_resolver("tag:yaml.org,2002:merge", "<<$", "<")
_resolver(
    _NUMBER,
    r"(?:[-+]?(?:0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*)"
    r"|[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    "-+0123456789.",
)
KubectlLoader.add_constructor(_NUMBER, _number)
KubectlLoader.add_constructor(
    "tag:yaml.org,2002:bool", lambda loader, node: _BOOLEANS[_text(loader, node)]
)
# go-yaml v2 passes these to JSON as text.
for _tag in ("timestamp", "value", "merge"):
    KubectlLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _text)


_MAY_BE_DEEP = re.compile(rb"^[ ?:-]{%d}" % MAX_DEPTH, re.MULTILINE)


def _check_depth(data: bytes) -> None:
    """Raise MarkedYAMLError for nesting deeper than `MAX_DEPTH`, without recursion."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH and not _MAY_BE_DEEP.search(data):
        return
    depth = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise yaml.MarkedYAMLError(
                    problem=f"nested deeper than {MAX_DEPTH} levels",
                    problem_mark=cast("yaml.Mark", event.start_mark),
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_aliases(root: yaml.Node) -> None:
    """Raise MarkedYAMLError if aliases expand to more than `MAX_NODES` values."""
    sizes: dict[int, int] = {}
    inside: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, done = stack.pop()
        children: list[yaml.Node]
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        else:
            children = []
        if done:
            size = 1 + sum(sizes[id(child)] for child in children)
            if size > MAX_NODES:
                raise yaml.MarkedYAMLError(
                    problem=f"aliases expand to more than {MAX_NODES} values",
                    problem_mark=cast("yaml.Mark", node.start_mark),
                )
            sizes[id(node)] = size
            inside.discard(id(node))
        elif id(node) in inside:
            raise yaml.MarkedYAMLError(
                problem="an alias contains itself", problem_mark=cast("yaml.Mark", node.start_mark)
            )
        elif id(node) not in sizes:
            inside.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in children)


def describe_error(path: str, error: yaml.YAMLError | ValueError) -> str:
    """Return one line that says where and why a file is not well-formed YAML."""
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark else ""
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{path}{line}: not well-formed YAML: {reason}"


def documents(data: bytes) -> Iterator[Document]:
    """Yield each non-empty document.

    Raises:
        yaml.YAMLError: the data are not well-formed, or exceed a limit.
    """
    _check_depth(data)
    has_alias = re.search(rb"(?:^|[\s:,\[{-])\*[^\s,\]}]", data) is not None
    loader = KubectlLoader(data)
    try:
        while loader.check_node():
            node = cast("yaml.Node", loader.get_node())
            if has_alias:
                _check_aliases(node)
            loader.duplicates = []
            value = loader.construct_document(node)
            if value is not None:
                yield Document(
                    value, node.start_mark.line + 1, _item_lines(node), loader.duplicates, node
                )
    finally:
        loader.dispose()


def _item_lines(node: yaml.Node) -> list[int]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "items" and isinstance(value, yaml.SequenceNode):
                return [item.start_mark.line + 1 for item in value.value]
    return []
