"""Templates in, text out; every value goes through one filter of its own."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from rbacguard.approvals.model import MigrationAccess, parse_approvals
from rbacguard.bundled import bundled
from rbacguard.errors import InputError
from rbacguard.manifests.edit import append_items
from rbacguard.manifests.emit import scalar, to_yaml
from rbacguard.rbac import ClusterRole, Role, Subject
from rbacguard.rbac.types import RBAC_GROUP, AnyBinding, PolicyRule
from rbacguard.shell import object_reference
from rbacguard.sources import yaml
from rbacguard.text import visible

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~@&])")


def markdown(value: object) -> str:
    """Return text that Markdown and HTML show as it is."""
    return (
        _MARKDOWN.sub(r"\\\1", visible(str(value))).replace("\\<", "&lt;").replace("\\&", "&amp;")
    )


def code(value: object) -> str:
    """Return text as an inline code span, whatever backticks it holds."""
    text = visible(str(value))
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundled("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - nothing here is HTML, and each value is filtered
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Or the file's time is looked at for each manifest.
        auto_reload=False,
        # A value that no filter prepared does not get into a file.
        finalize=_only_prepared,
    )
    # `namespace` is a global class: a template that is not given one must not print it.
    environment.globals.clear()
    environment.filters = {
        "yaml": lambda value: Prepared(_after_colon(to_yaml(value))),
        "yaml_document": lambda value: Prepared(to_yaml(value).lstrip("\n")),
        "scalar": lambda value: Prepared(scalar(value)),
        "markdown": lambda value: Prepared(markdown(value)),
        "code": lambda value: Prepared(code(value)),
        "shell": lambda value: Prepared(shlex.quote(visible(str(value)))),
        "cluster_roles": lambda names: Prepared(object_reference("ClusterRole", names)),
        "count": lambda value: Prepared(str(len(value))),
        "html": lambda value: Prepared(html.escape(visible(str(value)))),
        "json_island": lambda value: Prepared(_json_island(value)),
        # The project's own script and style, which hold no value of anybody's.
        "source": Prepared,
    }
    return environment


def _json_island(value: object) -> str:
    """Return JSON that cannot end the element that it stands in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _after_colon(text: str) -> str:
    return text if text.startswith("\n") else f" {text}"


class Prepared(str):
    """Text that a filter prepared for its place in a file."""

    __slots__ = ()


def _only_prepared(value: object) -> object:
    if isinstance(value, jinja2.Undefined):
        return value
    if not isinstance(value, Prepared):
        raise TypeError(f"a template prints {value!r} without a filter")
    return value


def render(template: str, **values: Any) -> str:
    """Return a rendered template.

    Raises:
        TypeError: the template prints a value without a filter.
        jinja2.UndefinedError: it uses a value that it was not given.
    """
    return _environment().get_template(template).render(**values)


def subject_manifest(subject: Subject) -> dict[str, str]:
    """Return a subject as the API takes it."""
    if subject.kind == "ServiceAccount":
        return {"kind": subject.kind, "name": subject.name, "namespace": subject.namespace}
    return {"apiGroup": RBAC_GROUP, "kind": subject.kind, "name": subject.name}


def _rule_manifest(rule: PolicyRule) -> dict[str, list[str]]:
    fields = {
        "apiGroups": rule.api_groups,
        "resources": rule.resources,
        "resourceNames": rule.resource_names,
        "nonResourceURLs": rule.non_resource_urls,
        "verbs": rule.verbs,
    }
    return {name: list(values) for name, values in fields.items() if values}


def manifest(
    value: ClusterRole | Role | AnyBinding,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    """Return an object as the API takes it, with the tool's labels and annotations beside its own.

    A ClusterRole without rules of its own gets none written: `rules: []` would take ownership of
    what others wrote.
    """
    metadata: dict[str, Any] = {"name": value.metadata.name}
    if value.metadata.namespace:
        metadata["namespace"] = value.metadata.namespace
    metadata["labels"] = dict(sorted({**labels, **value.metadata.labels}.items()))
    metadata["annotations"] = dict(sorted({**annotations, **value.metadata.annotations}.items()))
    found: dict[str, Any] = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": type(value).__name__,
        "metadata": {k: v for k, v in metadata.items() if v},
    }
    if isinstance(value, ClusterRole | Role):
        if value.rules:
            found["rules"] = [_rule_manifest(rule) for rule in value.rules]
        return found
    found["roleRef"] = {
        "apiGroup": RBAC_GROUP,
        "kind": value.role_ref.kind,
        "name": value.role_ref.name,
    }
    found["subjects"] = [subject_manifest(subject) for subject in value.subjects]
    return found


def render_manifest(header: str, found: Mapping[str, Any]) -> str:
    """Return a manifest as YAML under a comment."""
    return render("manifest.yaml.j2", header=Prepared(header), manifest=found)


def approvals_value(access: MigrationAccess) -> dict[str, Any]:
    """Return approvals as plain values, without what is left at its default."""
    value = access.model_dump(mode="json", by_alias=True)
    for entry in (*value["approvals"], *value["holders"]):
        for name in ("reason", "owner", "ticket", "expires", "clusterWide"):
            if not entry.get(name):
                entry.pop(name, None)
        if entry.get("namespaceSelector") is None:
            entry.pop("namespaceSelector", None)
        else:
            selector = entry["namespaceSelector"]
            entry["namespaceSelector"] = {k: v for k, v in selector.items() if v}
        if not entry["namespaces"] or "namespaceSelector" in entry:
            del entry["namespaces"]
        if not entry["subject"]["namespace"]:
            del entry["subject"]["namespace"]
    found: dict[str, Any] = value
    return found


def merged_approvals(path: str, access: MigrationAccess, added: MigrationAccess) -> bytes:
    """Return an approvals file with further entries, all else as it stands in the file.

    Raises:
        InputError: the file is written in a way that cannot be added to.
    """
    text = Path(path).read_bytes().decode("utf-8-sig")
    value = approvals_value(added)
    for key in ("approvals", "holders"):
        text = append_items(text, key, value[key])
    expected = access.model_copy(
        update={
            "approvals": [*access.approvals, *added.approvals],
            "holders": [*access.holders, *added.holders],
        }
    )
    documents = list(yaml.documents(text.encode()))
    if len(documents) != 1 or parse_approvals(documents[0].value, path) != expected:
        raise InputError(f"{path}: cannot be added to as it is written; write lists as blocks")
    return text.encode()


def render_approvals(access: MigrationAccess) -> str:
    """Return an approvals file; reading it gives the same approvals."""
    return render("approvals.yaml.j2", access=approvals_value(access))
