"""Checks a manifest before it is written: the schema, then what the schema does not see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from rbacguard.errors import OutputError

_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")
_LABEL_KEY = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
)
_SUBJECT_KINDS = {"User": False, "Group": False, "ServiceAccount": True}
_RBAC = "rbac.authorization.k8s.io"


@cache
def _validator(version: str, api_version: str, kind: str) -> Any:
    """Build kubernetes-validate's strict validator once; its own call reads it each time."""
    import jsonschema
    import kubernetes_validate.utils as schemas
    from referencing import Registry, Resource

    exact = [v for v in schemas.all_versions() if schemas.major_minor(v) == version]
    if not exact:
        raise OutputError(f"no schema for Kubernetes {version}; give another release")
    folder = f"kubernetes-json-schema/v{exact[-1]}-local-strict"
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = schemas.schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    definitions = schemas.schema_contents(f"{folder}/_definitions.json", version)
    registry: Any = Registry()
    for content in (schema, definitions):
        registry = Resource.from_contents(content) @ registry
    return jsonschema.validators.Draft202012Validator(schema, registry=registry)


def problems(manifest: Mapping[str, Any], kubernetes_version: str) -> list[str]:
    """Return what the API server would refuse in a manifest.

    Args:
        manifest: a ClusterRole, Role, binding or SubjectAccessReview, as plain values.
        kubernetes_version: such as `1.33`.

    Raises:
        OutputError: there is no schema for that version.
    """
    validator = _validator(kubernetes_version, manifest["apiVersion"], manifest["kind"])
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]
    metadata = manifest.get("metadata") or {}
    for key, value in (metadata.get("labels") or {}).items():
        if not _LABEL_KEY.match(key) or not _LABEL_VALUE.match(value):
            found.append(f"$.metadata.labels: {key}: {value!r} is no label")
    name = metadata.get("name", "")
    if manifest["kind"] != "SubjectAccessReview" and (
        not name or name in (".", "..") or "/" in name or "%" in name
    ):
        found.append(f"$.metadata.name: {name!r} is no path segment")
    if manifest["kind"] in ("RoleBinding", "ClusterRoleBinding"):
        found += _binding_problems(manifest)
    if manifest["kind"] in ("Role", "ClusterRole"):
        found += _role_problems(manifest)
    return found


def _role_problems(manifest: Mapping[str, Any]) -> list[str]:
    """Apply what pkg/apis/rbac/validation/validation.go asks of rules."""
    found = []
    for index, rule in enumerate(manifest.get("rules") or []):
        place = f"$.rules[{index}]"
        if not rule.get("verbs"):
            found.append(f"{place}.verbs: at least one is needed")
        urls = rule.get("nonResourceURLs")
        if urls and (manifest["kind"] == "Role" or rule.get("resources") or rule.get("apiGroups")):
            found.append(f"{place}.nonResourceURLs: not in a Role, nor beside resources")
        if not urls and not (rule.get("apiGroups") and rule.get("resources")):
            found.append(f"{place}: apiGroups and resources are needed")
    return found


def _binding_problems(manifest: Mapping[str, Any]) -> list[str]:
    """Apply what pkg/apis/rbac/validation/validation.go asks of bindings."""
    found = []
    role_ref = manifest["roleRef"]
    kinds = (
        ("ClusterRole",) if manifest["kind"] == "ClusterRoleBinding" else ("ClusterRole", "Role")
    )
    if role_ref["kind"] not in kinds or role_ref["apiGroup"] != _RBAC:
        found.append(f"$.roleRef: expected {' or '.join(kinds)} of {_RBAC}")
    for index, subject in enumerate(manifest.get("subjects") or []):
        place = f"$.subjects[{index}]"
        kind = subject["kind"]
        if kind not in _SUBJECT_KINDS:
            found.append(f"{place}.kind: {kind!r} is no kind of subject")
            continue
        group = subject.get("apiGroup", "")
        if group != ("" if _SUBJECT_KINDS[kind] else _RBAC):
            found.append(f"{place}.apiGroup: {group!r} does not fit {kind}")
        if _SUBJECT_KINDS[kind] and not subject.get("namespace"):
            found.append(f"{place}.namespace: a ServiceAccount needs one")
        if not subject["name"]:
            found.append(f"{place}.name: empty")
    return found
