"""Validation of one manifest: by its schema, and by the rules that the schema does not contain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from rbacguard.validation.names import is_label_key, is_label_value, is_path_segment
from rbacguard.validation.schemas import schema_validator

_SUBJECT_KINDS = {"User": False, "Group": False, "ServiceAccount": True}
"""Kinds of subjects, and whether they have a namespace."""
_RBAC = "rbac.authorization.k8s.io"
_MAX_SHOWN = 60


class Problem(Struct, frozen=True):
    """A part of a manifest that the API server would reject.

    Attributes:
        path: the keys and indices of the field.
        message: what is wrong with the field.
    """

    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        """Return `rules[0].verbs: at least one verb is required`."""
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return f"{place.removeprefix('.') or 'the object'}: {self.message}"


def problems(manifest: Mapping[str, Any], kubernetes_version: str) -> list[Problem]:
    """Return the problems of a manifest. If it violates its schema, only these are returned.

    Args:
        manifest: an object of a kind that is built into Kubernetes, as plain values.
        kubernetes_version: such as `1.33`.

    Raises:
        OutputError: there are no schemas for this version, or none for this kind.
    """
    validator = schema_validator(kubernetes_version, manifest["apiVersion"], manifest["kind"])
    found = [_schema_problem(error) for error in validator.iter_errors(manifest)]
    if found:
        return found
    found += _metadata_problems(manifest)
    if manifest["kind"] in ("RoleBinding", "ClusterRoleBinding"):
        found += _binding_problems(manifest)
    if manifest["kind"] in ("Role", "ClusterRole"):
        found += _role_problems(manifest)
    return found


_JSON_TYPES = {
    "string": "a string",
    "boolean": "true or false",
    "integer": "a number",
    "number": "a number",
    "array": "a list",
    "object": "a map",
}


def _schema_problem(error: Any) -> Problem:
    path = tuple(error.absolute_path)
    match error.validator:
        case "type":
            types = error.validator_value
            types = [types] if isinstance(types, str) else [t for t in types if t != "null"]
            names = " or ".join(_JSON_TYPES[name] for name in types)
            return Problem(path, f"expected {names}, found {_shown(error.instance)}")
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = next(key for key in error.instance if key not in known)
            return Problem((*path, unknown), "unknown field")
        case "required":
            missing = next(key for key in error.validator_value if key not in error.instance)
            return Problem(path, f"{missing} is required")
    return Problem(path, error.message)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _metadata_problems(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    metadata = manifest.get("metadata") or {}
    for key, value in (metadata.get("labels") or {}).items():
        # The API server decodes null as an empty string.
        if not is_label_key(key) or not is_label_value(value or ""):
            yield Problem(("metadata", "labels", key), f"{value!r} is not a valid label")
    name = metadata.get("name", "")
    if manifest["kind"] != "SubjectAccessReview" and not is_path_segment(name):
        yield Problem(("metadata", "name"), f"{name!r} is not a valid name")


def _role_problems(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield violations of kubernetes pkg/apis/rbac/validation/validation.go, ValidatePolicyRule."""
    for index, entry in enumerate(manifest.get("rules") or []):
        place = ("rules", index)
        # The API server decodes null as an empty rule.
        rule = entry or {}
        if not rule.get("verbs"):
            yield Problem((*place, "verbs"), "at least one verb is required")
        urls = rule.get("nonResourceURLs")
        if urls and (manifest["kind"] == "Role" or rule.get("resources") or rule.get("apiGroups")):
            message = "not allowed in a Role, or together with resources"
            yield Problem((*place, "nonResourceURLs"), message)
        if not urls and not (rule.get("apiGroups") and rule.get("resources")):
            yield Problem(place, "apiGroups and resources are required")


def _binding_problems(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield violations of ValidateRoleBinding in the same file."""
    role_ref = manifest.get("roleRef") or {"kind": "", "apiGroup": "", "name": ""}
    kinds = (
        ("ClusterRole",) if manifest["kind"] == "ClusterRoleBinding" else ("ClusterRole", "Role")
    )
    if role_ref["kind"] not in kinds or role_ref["apiGroup"] != _RBAC:
        yield Problem(("roleRef",), f"expected {' or '.join(kinds)} of {_RBAC}")
    if not is_path_segment(role_ref["name"]):
        yield Problem(("roleRef", "name"), f"{role_ref['name']!r} is not a valid name")
    for index, entry in enumerate(manifest.get("subjects") or []):
        place = ("subjects", index)
        subject = entry or {"kind": ""}
        kind = subject["kind"]
        if kind not in _SUBJECT_KINDS:
            message = f"unknown kind {kind!r} (expected User, Group, or ServiceAccount)"
            yield Problem((*place, "kind"), message)
            continue
        # The API server sets a missing group to its default (pkg/apis/rbac/v1/defaults.go).
        expected = "" if _SUBJECT_KINDS[kind] else _RBAC
        group = subject.get("apiGroup") or expected
        if group != expected:
            yield Problem((*place, "apiGroup"), f"{group!r} is not the API group of {kind}")
        if _SUBJECT_KINDS[kind] and not subject.get("namespace"):
            yield Problem(place, "namespace is required for a ServiceAccount")
        if not subject["name"]:
            yield Problem((*place, "name"), "must not be empty")
