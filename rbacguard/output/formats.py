"""A report in each format."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import cast

import msgspec

from rbacguard.errors import FormatError
from rbacguard.output import wire
from rbacguard.sources import snapshot_file as saved

_NOT_PLAIN = re.compile(r"[^\x00-\x7e]")
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


def to_parts(report: wire.Report, output: str, options: Options) -> tuple[bytes, ...]:
    """Return a report in a format, as UTF-8, in parts that follow one another.

    JSON may be large, and is not copied for the sake of the newline at its end.

    Raises:
        FormatError: there is no such form of this report.
    """
    if output == "table":
        from rbacguard.output.table import to_table

        return (_encoded(to_table(report, options)),)
    if output == "json":
        return (msgspec.json.format(_ascii(wire.encode(report)), indent=2), b"\n")
    if output == "yaml":
        from rbacguard.manifests.emit import to_yaml

        text = to_yaml(msgspec.to_builtins(report))
        return (_encoded(text.lstrip("\n") + "\n"),)
    module = import_module(f"rbacguard.output.{_ROOMS.get(output, output)}")
    convert = cast("Callable[[wire.Report], str]", getattr(module, f"to_{output}"))
    try:
        return (_encoded(convert(report)),)
    except FormatError:
        command = report.made_by
        raise FormatError(f"-o {output}: not for {command}; take another format") from None


def _ascii(data: bytes) -> bytes:
    """Return JSON in ASCII, in which no name can hide what it is."""
    if data.isascii() and b"\x7f" not in data:
        return data
    return _NOT_PLAIN.sub(_escape, data.decode()).encode()


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


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
POLICY = "policy"
"""The schema of a policy file."""
SCHEMAS = tuple(sorted((*wire.REPORTS, SNAPSHOT, ACCESS, CONFIGURATION, FLEET_CLUSTER, POLICY)))
"""Everything that there is a schema of."""


def schema(name: str) -> str:
    """Return the JSON Schema of a command's report, or of a kind of file.

    Raises:
        KeyError: there is no such report.
    """
    import json

    if name == SNAPSHOT:
        found = saved.json_schema()
    elif name == CONFIGURATION:
        from rbacguard.policy.configuration import configuration_schema

        found = dict(configuration_schema())
    elif name == ACCESS:
        from rbacguard.approvals.model import MigrationAccess

        found = MigrationAccess.model_json_schema(by_alias=True)
    elif name == POLICY:
        from rbacguard.policy import Policy

        found = msgspec.json.schema(Policy)
    elif name == FLEET_CLUSTER:
        found = msgspec.json.schema(wire.FleetClusterModel)
    else:
        found = msgspec.json.schema(wire.REPORTS[name])
    return json.dumps(found, indent=2) + "\n"
