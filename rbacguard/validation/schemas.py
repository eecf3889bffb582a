"""Checks a manifest before it is written: the schema, then what the schema does not see."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct

from rbacguard.errors import OutputError

_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")
_LABEL_KEY = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
)
_SCHEMA_NAME = re.compile(r"[a-z0-9-]{1,200}")
_SUBJECT_KINDS = {"User": False, "Group": False, "ServiceAccount": True}
_RBAC = "rbac.authorization.k8s.io"
_SHOWN = 60


@cache
def schemas_of(version: str) -> str:
    """Return the release whose schemas stand for a Kubernetes version such as `1.33`.

    Raises:
        OutputError: there are no schemas of that version.
    """
    import kubernetes_validate.utils as schemas

    exact = [v for v in schemas.all_versions() if schemas.major_minor(v) == version]
    if not exact:
        raise OutputError(f"no schema for Kubernetes {version}; give another release")
    return str(exact[-1])


@cache
def _validator(version: str, api_version: str, kind: str) -> Any:
    """Build kubernetes-validate's strict validator once; its own call reads it each time."""
    import jsonschema
    import kubernetes_validate.utils as schemas
    from referencing import Registry, Resource

    folder = f"kubernetes-json-schema/v{schemas_of(version)}-local-strict"
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    name = f"{kind.lower()}-{group}"
    unknown = OutputError(f"Kubernetes {version} has no {kind} in {api_version}")
    # Both come from a manifest: they name a file of that folder, and no other.
    if not _SCHEMA_NAME.fullmatch(name):
        raise unknown
    try:
        schema = schemas.schema_contents(f"{folder}/{name}.json", version)
    except FileNotFoundError:
        raise unknown from None
    definitions = schemas.schema_contents(f"{folder}/_definitions.json", version)
    registry: Any = Registry()
    for content in (schema, definitions):
        registry = Resource.from_contents(content) @ registry
    return jsonschema.validators.Draft202012Validator(schema, registry=registry)


class Problem(Struct, frozen=True):
    """Something in a manifest that the API server would refuse.

    Attributes:
        path: where, as keys and indices.
        message: what, as a clause.
    """

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        """Return `rules[0].verbs: at least one is needed`."""
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return f"{place.removeprefix('.') or 'the object'}: {self.message}"


def problems(manifest: Mapping[str, Any], kubernetes_version: str) -> list[Problem]:
    """Return what the API server would refuse in a manifest.

    Args:
        manifest: one of a kind that Kubernetes itself has, as plain values.
        kubernetes_version: such as `1.33`.

    Raises:
        OutputError: there is no schema for that version, or none of that kind in it.
    """
    validator = _validator(kubernetes_version, manifest["apiVersion"], manifest["kind"])
    found = [_of_schema(error) for error in validator.iter_errors(manifest)]
    # The other checks rely on the shape that the schema asks for.
    return found or _beyond_schema(manifest)


_JSON_TYPES = {
    "string": "a string",
    "boolean": "true or false",
    "integer": "a number",
    "number": "a number",
    "array": "a list",
    "object": "a map",
}


def _of_schema(error: Any) -> Problem:
    path = tuple(error.absolute_path)
    match error.validator:
        case "type":
            wanted = [error.validator_value] if isinstance(error.validator_value, str) else []
            wanted = wanted or [name for name in error.validator_value if name != "null"]
            names = " or ".join(_JSON_TYPES[name] for name in wanted)
            return Problem(path, f"expected {names}, found {_shown(error.instance)}")
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = next(key for key in error.instance if key not in known)
            return Problem((*path, unknown), "no such field")
        case "required":
            missing = next(key for key in error.validator_value if key not in error.instance)
            return Problem(path, f"{missing} is missing")
    return Problem(path, error.message)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _beyond_schema(manifest: Mapping[str, Any]) -> list[Problem]:
    """Return what the schema does not see: syntax of labels and names, and RBAC's own rules."""
    found = []
    metadata = manifest.get("metadata") or {}
    for key, value in (metadata.get("labels") or {}).items():
        # A value that is null is an empty one to the API server.
        if not _LABEL_KEY.match(key) or not _LABEL_VALUE.match(value or ""):
            found.append(Problem(("metadata", "labels", key), f"{value!r} is no label"))
    name = metadata.get("name", "")
    if manifest["kind"] != "SubjectAccessReview" and not _is_path_segment(name):
        found.append(Problem(("metadata", "name"), f"{name!r} is no path segment"))
    if manifest["kind"] in ("RoleBinding", "ClusterRoleBinding"):
        found += _binding_problems(manifest)
    if manifest["kind"] in ("Role", "ClusterRole"):
        found += _role_problems(manifest)
    return found


def _role_problems(manifest: Mapping[str, Any]) -> list[Problem]:
    """Apply what pkg/apis/rbac/validation/validation.go asks of rules."""
    found = []
    for index, entry in enumerate(manifest.get("rules") or []):
        place = ("rules", index)
        # An entry that is null is an empty one to the API server.
        rule = entry or {}
        if not rule.get("verbs"):
            found.append(Problem((*place, "verbs"), "at least one is needed"))
        urls = rule.get("nonResourceURLs")
        if urls and (manifest["kind"] == "Role" or rule.get("resources") or rule.get("apiGroups")):
            message = "not in a Role, nor beside resources"
            found.append(Problem((*place, "nonResourceURLs"), message))
        if not urls and not (rule.get("apiGroups") and rule.get("resources")):
            found.append(Problem(place, "apiGroups and resources are needed"))
    return found


def _binding_problems(manifest: Mapping[str, Any]) -> list[Problem]:
    """Apply what pkg/apis/rbac/validation/validation.go asks of bindings."""
    found = []
    role_ref = manifest.get("roleRef") or {"kind": "", "apiGroup": "", "name": ""}
    kinds = (
        ("ClusterRole",) if manifest["kind"] == "ClusterRoleBinding" else ("ClusterRole", "Role")
    )
    if role_ref["kind"] not in kinds or role_ref["apiGroup"] != _RBAC:
        found.append(Problem(("roleRef",), f"expected {' or '.join(kinds)} of {_RBAC}"))
    if not _is_path_segment(role_ref["name"]):
        message = f"{role_ref['name']!r} is no path segment"
        found.append(Problem(("roleRef", "name"), message))
    for index, entry in enumerate(manifest.get("subjects") or []):
        place = ("subjects", index)
        subject = entry or {"kind": ""}
        kind = subject["kind"]
        if kind not in _SUBJECT_KINDS:
            message = f"{kind!r} is no kind of subject; expected User, Group or ServiceAccount"
            found.append(Problem((*place, "kind"), message))
            continue
        # A group that is left out is filled in (pkg/apis/rbac/v1/defaults.go).
        expected = "" if _SUBJECT_KINDS[kind] else _RBAC
        group = subject.get("apiGroup") or expected
        if group != expected:
            found.append(Problem((*place, "apiGroup"), f"{group!r} does not fit {kind}"))
        if _SUBJECT_KINDS[kind] and not subject.get("namespace"):
            found.append(Problem(place, "namespace is missing; a ServiceAccount needs one"))
        if not subject["name"]:
            found.append(Problem((*place, "name"), "empty"))
    return found


def _is_path_segment(name: str) -> bool:
    return bool(name) and name not in (".", "..") and "/" not in name and "%" not in name
