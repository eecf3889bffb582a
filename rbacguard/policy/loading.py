"""From policy files to policies; what is refused is told by its place, and what may stand there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from rbacguard.bundled import bundled, read_bundled
from rbacguard.errors import PolicyError
from rbacguard.policy.model import About, Policy

_FOLDERS_OF_DATA = frozenset({"permissions"})
_READINESS = "readiness"
_FILES_OF_DATA = frozenset({"known-holders.yaml"})


def load_policies(folders: Iterable[str] = (), about: About | None = None) -> tuple[Policy, ...]:
    """Return the bundled policies and those of further folders, in order of id.

    Args:
        folders: where further ones are.
        about: only those about this; None for all.

    Raises:
        PolicyError: a file does not load, is not named after its id, or an id is given twice.
    """
    found: dict[str, tuple[Policy, Path]] = {}
    ours = bundled("policies")
    for folder in (ours, *map(Path, folders)):
        if not folder.is_dir():
            raise PolicyError(f"{folder}: no such folder")
        for path in sorted(folder.rglob("*.yaml")):
            if path.name in _FILES_OF_DATA or path.parent.name in _FOLDERS_OF_DATA:
                continue
            if (
                about
                and path.is_relative_to(ours)
                and (about is About.READINESS) is not (path.parent.name == _READINESS)
            ):
                # Not even loaded: a command that does not ask them need not wait for them.
                continue
            policy = _load(path, ours=folder == ours)
            if folder != ours:
                # Ours have cases that ask each, and are compiled when there is a fact to ask of.
                _compile(policy, path)
            if policy.id in found:
                raise PolicyError(f"{path}: id {policy.id} is that of {found[policy.id][1]}")
            found[policy.id] = (policy, path)
    return tuple(
        policy for _, (policy, _) in sorted(found.items()) if about in (None, policy.about)
    )


def _load(path: Path, *, ours: bool) -> Policy:
    value = read_bundled(path) if ours else _read(path)
    try:
        policy = msgspec.convert(value, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{path}: {_refusal(str(error))}") from None
    if policy.id != path.stem:
        raise PolicyError(f"{path}: id: expected {path.stem!r} like the file, found {policy.id!r}")
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
        raise PolicyError(f"{path}, line {number}: key {key!r} is given twice")
    return documents[0].value


_FOUND = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field (.*)", re.DOTALL)
_MISSING = re.compile(r"Object missing required field (.*)")
_TYPE = re.compile(r"Expected (.+), got (.+)")
_TYPES = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "object": "a map",
    "array": "a list",
}
_LENGTH = re.compile(r"Expected str of length ([<>])= (\d+)")
_MOST_SHOWN = 100


def _refusal(error: str) -> str:
    """Return what is wrong with a policy, the place first, from what msgspec says of it."""
    message, at, place = error.replace("`", "").rpartition(" - at $")
    message, place = (message, place.lstrip(".")) if at else (place, "")
    if found := _UNKNOWN.match(message):
        place = f"{place}.{_shortened(found[1])}".lstrip(".")
        message = "there is no such field"
        if "." not in place:
            message += f"; there are {', '.join(Policy.__struct_encode_fields__)}"
    elif found := _MISSING.match(message):
        place = f"{place}.{found[1]}".lstrip(".")
        message = f"expected {_choices(place) or 'a value'}, found none"
    elif found := _FOUND.match(message):
        message = f"expected {_choices(place) or 'another value'}, found {_shortened(found[1])}"
    elif found := _TYPE.match(message):
        message = f"expected {_in_words(found[1])}, found {_in_words(found[2])}"
        if found[1].startswith("str") and found[2] not in ("null", "object", "array"):
            message += "; quote it"
    elif found := _LENGTH.match(message):
        at_most = f"expected at most {found[2]} characters"
        message = at_most if found[1] == "<" else "expected some text, found none"
    else:
        message = message.replace("Expected str", "expected text")
    return f"{place}: {message}" if place else message


def _in_words(types: str) -> str:
    return " or ".join(_TYPES.get(each, each) for each in types.split(" | "))


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _choices(place: str) -> str:
    """Return what may stand at a place, where that can be listed, by the types of a policy."""
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
