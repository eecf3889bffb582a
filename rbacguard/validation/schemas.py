"""The strict JSON schemas of Kubernetes, from the package kubernetes-validate."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from rbacguard.errors import OutputError

_SCHEMA_NAME = re.compile(r"[a-z0-9-]{1,200}")


@cache
def schema_version(version: str) -> str:
    """Return the patch release whose schemas are used for a version such as `1.33`.

    Raises:
        OutputError: there are no schemas for this version.
    """
    import kubernetes_validate.utils as schemas

    exact = [v for v in schemas.all_versions() if schemas.major_minor(v) == version]
    if not exact:
        raise OutputError(f"no schemas for Kubernetes {version}; specify another release")
    return str(exact[-1])


@cache
def schema_validator(version: str, api_version: str, kind: str) -> Any:
    """Return the validator for a kind. kubernetes-validate itself reads the schema at each call.

    Raises:
        OutputError: there are no schemas for this version, or none for this kind.
    """
    import jsonschema
    import kubernetes_validate.utils as schemas
    from referencing import Registry, Resource

    folder = f"kubernetes-json-schema/v{schema_version(version)}-local-strict"
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    name = f"{kind.lower()}-{group}"
    unknown = OutputError(f"Kubernetes {version} has no {kind} in {api_version}")
    # Kind and API version come from a manifest. They must not select a file outside the directory.
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
