"""A report in each format."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import cast

from rbacguard.errors import FormatError
from rbacguard.output import wire
from rbacguard.policy.configuration import configuration_schema
from rbacguard.sources import saved
from rbacguard.update.approvals import MigrationAccess

_ROOMS = {
    "github": "ci",
    "gitlab": "ci",
    "csv": "delimited",
    "dot": "graph",
    "mermaid": "graph",
    "prometheus": "metrics",
    "openreports": "policyreport",
}
"""Modules that are not called like their format; a library is imported where it is needed."""


class Options:
    """How much to show, and how.

    Attributes:
        verbose: show everything: no folding, every chain.
        limit: how many findings of one policy are shown otherwise, and ten times as many rows.
        width: columns to fit into; None for a pipe, where lines are never broken.
        colour: whether to use colours.
    """

    def __init__(
        self,
        *,
        verbose: bool = False,
        limit: int = 10,
        width: int | None = None,
        colour: bool = False,
    ) -> None:
        """Hold the options."""
        self.verbose = verbose
        self.width = width
        self.colour = colour
        self.fold = 1_000_000 if verbose else 3
        self.limit = 1_000_000 if verbose else limit
        self.rows = 10 * self.limit


def to_bytes(report: wire.Report, output: str, options: Options) -> bytes:
    """Return a report in a format, as UTF-8.

    Raises:
        FormatError: there is no such form of this report.
    """
    if output == "table":
        from rbacguard.output.table import to_table

        return _encoded(to_table(report, options))
    if output == "json":
        serializer = report.__pydantic_serializer__
        data = serializer.to_json(report, by_alias=True, indent=2, ensure_ascii=True) + b"\n"
        # ASCII, and the one control character that JSON lets stand in it.
        return data.replace(b"\x7f", b"\\u007f")
    if output == "yaml":
        from rbacguard.manifests.emit import to_yaml

        text = to_yaml(report.model_dump(mode="json", by_alias=True))
        return _encoded(text.lstrip("\n") + "\n")
    module = import_module(f"rbacguard.output.{_ROOMS.get(output, output)}")
    convert = cast("Callable[[wire.Report], str]", getattr(module, f"to_{output}"))
    try:
        return _encoded(convert(report))
    except FormatError:
        command = report.schema_version.split("/")[1]
        raise FormatError(f"-o {output}: not for {command}; take another format") from None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


SNAPSHOT = "snapshot"
"""The schema of saved snapshots, beside those of the reports."""
ACCESS = "migration-access"
"""The schema of approvals files."""
CONFIGURATION = "configuration"
"""The schema of rbacguard.toml."""
FLEET_CLUSTER = "fleet-cluster"
"""The schema of a line of a fleet's results."""
SCHEMAS = tuple(sorted((*wire.REPORTS, SNAPSHOT, ACCESS, CONFIGURATION, FLEET_CLUSTER)))
"""Everything that there is a schema of."""


def schema(name: str) -> str:
    """Return the JSON Schema of a command's report, or of a saved snapshot.

    Raises:
        KeyError: there is no such report.
    """
    if name == SNAPSHOT:
        found = saved.json_schema()
    elif name == CONFIGURATION:
        found = dict(configuration_schema())
    elif name == ACCESS:
        found = MigrationAccess.model_json_schema(by_alias=True)
    elif name == FLEET_CLUSTER:
        found = wire.FleetClusterModel.model_json_schema(by_alias=True, mode="serialization")
    else:
        found = wire.REPORTS[name].model_json_schema(by_alias=True, mode="serialization")
    return json.dumps(found, indent=2) + "\n"
