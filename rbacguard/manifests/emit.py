"""YAML that every dialect reads back as the same strings.

Strings stand plain only where go-yaml, YAML 1.1 and YAML 1.2 agree that they are strings; all
others are double-quoted with every control character escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from jinja2 import Undefined

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*$")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_UNSAFE = re.compile(
    r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def scalar(value: object) -> str:
    """Return one value on one line.

    Raises:
        TypeError: it is neither a string, a boolean, a whole number nor null.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"cannot write {type(value).__name__} as YAML")
    if _PLAIN.match(value) and value.lower() not in _WORDS and "\n" not in value:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def to_yaml(value: object, indent: int = 0) -> str:
    """Return a value as a block, to stand behind a key at `indent` spaces.

    Raises:
        TypeError: a template left something undefined, or a value has no YAML form here.
    """
    if isinstance(value, Undefined):
        raise TypeError("a template uses a value that it was not given")
    pad = " " * indent
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        return "\n" + "\n".join(
            f"{pad}{scalar(key)}:{_behind(item, indent + 2)}" for key, item in value.items()
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            return "[]"
        return "\n" + "\n".join(f"{pad}-{_in_list(item, indent + 2)}" for item in value)
    return scalar(value)


def _behind(value: object, indent: int) -> str:
    # Items of a list stand as far in as their key, as kustomize writes them.
    if isinstance(value, Sequence) and not isinstance(value, str):
        indent -= 2
    text = to_yaml(value, indent)
    return text if text.startswith("\n") else f" {text}"


def _in_list(value: object, indent: int) -> str:
    text = to_yaml(value, indent)
    return " " + text.lstrip("\n").lstrip(" ") if text.startswith("\n") else f" {text}"
