"""Loading of policy files, with errors that name the field and the expected values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from rbacguard.bundled import bundled, read_bundled
from rbacguard.errors import PolicyError
from rbacguard.policy.model import Category, Policy

_READINESS = "readiness"
_DATA = frozenset({"permissions", "well-known-subjects.yaml"})
"""Names of bundled files and directories in `policies` that contain no policies."""


def load_policies(
    folders: Iterable[str] = (), category: Category | None = None
) -> tuple[Policy, ...]:
    """Return the bundled policies and those in other directories, sorted by ID.

    Args:
        folders: directories with additional policies.
        category: return only policies of this category; None for all.

    Raises:
        PolicyError: a file is invalid, its name differs from the ID, or two files have the same ID.
    """
    found: dict[str, tuple[Policy, Path]] = {}
    ours = bundled("policies")
    for folder in (ours, *map(Path, folders)):
        if not folder.is_dir():
            raise PolicyError(f"{folder}: no such directory")
        for path in sorted(folder.rglob("*.yaml")):
            if folder == ours and not _DATA.isdisjoint((path.name, path.parent.name)):
                continue
            if category and folder == ours and category is not _category(path):
                # Without loading it, a command starts faster.
                continue
            policy = _load(path, ours=folder == ours)
            if folder != ours:
                # Tests compile the bundled policies. Compiling all of them here takes long.
                _compile(policy, path)
            if policy.id in found:
                raise PolicyError(f"{path}: {found[policy.id][1]} already has the ID {policy.id}")
            found[policy.id] = (policy, path)
    return tuple(
        policy for _, (policy, _) in sorted(found.items()) if category in (None, policy.category)
    )


def _category(path: Path) -> Category:
    """Return the category of a bundled policy."""
    return Category.READINESS if path.parent.name == _READINESS else Category.RBAC


def _load(path: Path, *, ours: bool) -> Policy:
    value = read_bundled(path) if ours else _read(path)
    try:
        policy = msgspec.convert(value, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{path}: {_describe(str(error))}") from None
    if policy.id != path.stem:
        expected = f"expected {path.stem!r} (the file name), found {policy.id!r}"
        raise PolicyError(f"{path}: id: {expected}")
    return policy


def _read(path: Path) -> object:
    import yaml as pyyaml

    from rbacguard.sources import yaml

    try:
        documents = list(yaml.documents(path.read_bytes()))
    except (ValueError, pyyaml.YAMLError) as error:
        raise PolicyError(yaml.describe_error(str(path), error)) from None
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror or error}") from None
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise PolicyError(f"{path}: expected one policy")
    if documents[0].duplicates:
        key, number = documents[0].duplicates[0]
        raise PolicyError(f"{path}, line {number}: duplicate key {key!r}")
    return documents[0].value


_INVALID = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field (.*)", re.DOTALL)
_MISSING = re.compile(r"Object missing required field (.*)")
_TYPE = re.compile(r"Expected (.+), got (.+)")
_TYPES = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "object": "a map",
    "array": "a list",
}
_LENGTH = re.compile(r"Expected str of length ([<>])= (\d+)")
_MAX_SHOWN = 100


def _describe(error: str) -> str:
    """Return an error of msgspec in the form `field: expected …, found …`."""
    message, at, place = error.replace("`", "").rpartition(" - at $")
    message, place = (message, place.lstrip(".")) if at else (place, "")
    if found := _UNKNOWN.match(message):
        place = f"{place}.{_shortened(found[1])}".lstrip(".")
        message = "unknown field"
        if "." not in place:
            message += f" (expected one of {', '.join(Policy.__struct_encode_fields__)})"
    elif found := _MISSING.match(message):
        place = f"{place}.{found[1]}".lstrip(".")
        message = f"expected {_choices(place) or 'a value'}, found none"
    elif found := _INVALID.match(message):
        message = f"expected {_choices(place) or 'another value'}, found {_shortened(found[1])}"
    elif found := _TYPE.match(message):
        message = f"expected {_type_names(found[1])}, found {_type_names(found[2])}"
        if found[1].startswith("str") and found[2] not in ("null", "object", "array"):
            message += "; use quotes"
    elif found := _LENGTH.match(message):
        at_most = f"expected at most {found[2]} characters"
        message = at_most if found[1] == "<" else "must not be empty"
    else:
        message = message.replace("Expected str", "expected a string")
    return f"{place}: {message}" if place else message


def _type_names(types: str) -> str:
    return " or ".join(_TYPES.get(each, each) for each in types.split(" | "))


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _choices(place: str) -> str:
    """Return the values that a field can have, or '' if they are not limited."""
    found: list[msgspec.inspect.Type] = [msgspec.inspect.type_info(Policy)]
    choices: list[str] = []
    for part in place.split("."):
        structs = [
            each
            for node in found
            for each in (node.types if isinstance(node, msgspec.inspect.UnionType) else (node,))
            if isinstance(each, msgspec.inspect.StructType)
        ]
        choices = [str(each.tag) for each in structs if each.tag_field == part]
        found = [
            field.type for each in structs for field in each.fields if field.encode_name == part
        ]
    for node in found:
        if isinstance(node, msgspec.inspect.EnumType):
            choices += [str(each.value) for each in node.cls]
        elif isinstance(node, msgspec.inspect.LiteralType):
            choices += map(str, node.values)
    return f"{', '.join(choices[:-1])} or {choices[-1]}" if choices else ""


def _compile(policy: Policy, path: Path) -> None:
    try:
        policy.compile()
    except PolicyError as error:
        raise PolicyError(f"{path}: {str(error).partition(': ')[2]}") from None
