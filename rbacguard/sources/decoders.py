"""Decoders of Kubernetes objects, derived from the table of resources.

`ListDecoder` decodes a whole JSON list of several kinds in one call. It refuses a list with any
object that needs care. `decode_object` decodes one object, and accepts nulls and invalid labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, reduce
from operator import or_
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import NODEFAULT, Raw, Struct, defstruct, field, structs

from rbacguard.errors import InputError
from rbacguard.snapshot.coverage import Location
from rbacguard.snapshot.objects import dict_at
from rbacguard.snapshot.resources import ACCESS, WORKLOADS, Resource

_STRING_MAPS = frozenset({"labels", "annotations", "matchLabels"})


class FieldError(NamedTuple):
    """A field that was left out of an object, and why."""

    path: str
    message: str


class _Tagged(NamedTuple):
    """A resource, and the derived type of its objects in a list.

    Attributes:
        resource: the resource.
        type: `resource.type` with `kind` and `apiVersion`, and with null for each optional field.
        defaults: the default of each field of `resource.type`.
    """

    resource: Resource
    type: type[Struct]
    defaults: tuple[Any, ...]

    def object(self, tagged: Struct) -> Struct:
        """Return the object in the resource's own type."""
        values = structs.astuple(tagged)[1:]
        if None in values:
            # Programs write `rules: null` for an empty list.
            pairs = zip(values, self.defaults, strict=True)
            values = tuple(default if value is None else value for value, default in pairs)
        return self.resource.type(*values)


def _tagged(resource: Resource) -> _Tagged:
    fields: list[Any] = [
        ("api_version", Literal[resource.api_versions], field(name="apiVersion")),
    ]
    defaults = []
    for each in structs.fields(resource.type):
        name = each.encode_name
        if each.required:
            fields.append((each.name, each.type, field(name=name)))
        else:
            fields.append((each.name, each.type | None, field(name=name, default=None)))
        factory = each.default_factory
        defaults.append(each.default if factory is NODEFAULT else factory())
    made = defstruct(resource.kind, fields, tag_field="kind", tag=resource.kind, gc=False)
    return _Tagged(resource, made, tuple(defaults))


class ListMeta(Struct):
    """The metadata of a list: a token if the list is one page of several."""

    continue_: str | None = field(default=None, name="continue")


class ListDecoder:
    """Decodes lists of objects of several kinds.

    Args:
        resources: the resources whose objects can be in a list.

    Attributes:
        items_type: the type of the items: objects with `kind` and `apiVersion`.
    """

    def __init__(self, resources: Iterable[Resource]) -> None:
        """Derive a tagged union from the types of the resources."""
        tagged = [_tagged(resource) for resource in resources]
        self._by_type = {each.type: each for each in tagged}
        self.items_type: Any = list[reduce(or_, self._by_type)]  # type: ignore[misc]
        whole = defstruct(
            "_List",
            [
                ("kind", Literal["List"]),
                ("items", self.items_type),
                ("api_version", str | None, field(name="apiVersion", default=None)),
                ("metadata", ListMeta | None, None),
            ],
        )
        self._decoder = msgspec.json.Decoder(whole)

    def decode(self, data: bytes) -> list[Struct] | None:
        """Return the tagged items of a JSON list; None if the list needs `decode_object`.

        The list is refused if it is not `kind: List` in JSON, is one page of several, or has an
        object of another kind or version or with an invalid field.
        """
        try:
            found: Any = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if found.metadata is not None and found.metadata.continue_:
            return None
        return found.items  # type: ignore[no-any-return]

    def objects(self, items: Iterable[Struct]) -> Iterator[tuple[Resource, Struct]]:
        """Yield the resource and the object of each tagged item."""
        for item in items:
            tagged = self._by_type[type(item)]
            yield tagged.resource, tagged.object(item)


def duplicate_keys(raw: Raw | bytes) -> list[str]:
    """Return the keys that an object in well-formed JSON has more than once, at any depth."""
    found: list[str] = []

    def check(pairs: list[tuple[str, object]]) -> None:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            found.extend({key for key in keys if keys.count(key) > 1})

    # Numbers stay text, because Python limits the digits of a number.
    decoder = json.JSONDecoder(object_pairs_hook=check, parse_int=str, parse_float=str)
    decoder.decode(bytes(raw).decode())
    return found


@cache
def list_decoder(*, workloads: bool) -> ListDecoder:
    """Return the decoder of lists, with or without nodes, VMs, and other workloads."""
    return ListDecoder((*ACCESS, *WORKLOADS) if workloads else ACCESS)


@cache
def _decoder(object_type: type[Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(object_type)


def decode_object(
    payload: Raw | dict[str, Any], object_type: type[Struct], location: Location, kind: str
) -> tuple[Any, Sequence[FieldError]]:
    """Return an object in its type, and the fields that were left out of it.

    Args:
        payload: the object as JSON or as plain values.
        object_type: the type of its kind.
        location: the place in the input, for error messages.
        kind: the kind, for error messages.

    Raises:
        InputError: the object does not have the fields of its kind.
    """
    try:
        if isinstance(payload, Raw):
            return _decoder(object_type).decode(payload), ()
        return msgspec.convert(payload, object_type), ()
    except msgspec.ValidationError as error:
        return _decode_leniently(payload, object_type, location, kind, error)
    except msgspec.DecodeError as error:
        raise InputError(_refusal(location, kind, None, error)) from None


def _decode_leniently(
    payload: Raw | dict[str, Any],
    object_type: type[Struct],
    location: Location,
    kind: str,
    refused: msgspec.ValidationError,
) -> tuple[Any, Sequence[FieldError]]:
    """Return an object without nulls, and without labels and annotations that are not strings.

    A null means that a value is absent. A label that is not a string is a common mistake: the
    documentation of OpenShift Virtualization contains one.
    """
    value = _without_nulls(msgspec.json.decode(payload) if isinstance(payload, Raw) else payload)
    try:
        return msgspec.convert(value, object_type), ()
    except msgspec.ValidationError as error:
        if "$.metadata.labels" not in str(error) and "$.metadata.annotations" not in str(error):
            raise InputError(_refusal(location, kind, value, refused)) from None
    errors = []
    metadata = value["metadata"]
    for name in ("labels", "annotations"):
        found = metadata.get(name)
        path = f"metadata.{name}"
        if found is not None and not isinstance(found, dict):
            errors.append(FieldError(path, f"expected a map of strings, found {found!r}"))
            metadata[name] = {}
        elif found:
            valid = {
                key: text
                for key, text in found.items()
                if isinstance(key, str) and isinstance(text, str)
            }
            errors += [
                FieldError(path, f"{key}: expected a string, found {text!r}")
                for key, text in found.items()
                if key not in valid
            ]
            metadata[name] = valid
    try:
        return msgspec.convert(value, object_type), errors
    except msgspec.ValidationError as error:
        raise InputError(_refusal(location, kind, value, error)) from None


def _without_nulls(value: Any) -> Any:
    """Return a value without null fields. In a map of strings, null is a mistake and stays."""
    if isinstance(value, dict):
        return {
            key: found if key in _STRING_MAPS else _without_nulls(found)
            for key, found in value.items()
            if found is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _refusal(location: Location, kind: str, value: object, error: msgspec.DecodeError) -> str:
    """Return `dump.yaml, line 3: RoleBinding web/b: subjects[0].name: expected str, got int`."""
    metadata = dict_at(value, "metadata")
    name, namespace = metadata.get("name"), metadata.get("namespace")
    prefix = f"{namespace}/" if namespace else ""
    identity = f"{kind} {prefix}{name}" if name else kind
    text = str(error).replace("`", "")
    message, _, path = text.partition(" - at ")
    path = path.removeprefix("$.") or "the object"
    advice = "; quote it" if "Expected str" in message and "null" not in message else ""
    return f"{location}: {identity}: {path}: {message[0].lower() + message[1:]}{advice}"
