"""Options that several commands share."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rbacguard.output.page import Options
    from rbacguard.output.wire import Report
    from rbacguard.snapshot import AggregateMode, Snapshot

Command = TypeVar("Command", bound=Callable[..., Any])

filename = click.option(
    "-f",
    "--filename",
    "filenames",
    multiple=True,
    required=True,
    metavar="PATH",
    help="Dump, folder, archive or must-gather to read; '-' is standard input. Repeatable.",
)
aggregate = click.option(
    "--aggregate",
    type=click.Choice(["as-recorded", "recompute"]),
    default="as-recorded",
    show_default=True,
    help="Take the rules of aggregated roles as recorded, or as the controller would compute them "
    "(for files from Git).",
)
namespace = click.option("-n", "--namespace", metavar="NS", help="In this namespace.")
approvals = click.option(
    "--approvals", metavar="FILE", help="The approvals file (kind: MigrationAccess)."
)
target = click.option(
    "--to",
    "target",
    required=True,
    metavar="VERSION",
    help="Release to update to: OpenShift Virtualization (4.21) or KubeVirt (1.7).",
)
source = click.option(
    "--from", "source", metavar="VERSION", help="Installed release, where the input does not tell."
)
policies = click.option(
    "--policies",
    "policy_folders",
    multiple=True,
    metavar="DIR",
    help="Folder with further policies. Repeatable.",
)
today = click.option(
    "--today",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Day that expiry dates are compared with; by default the current one (UTC).",
)
subresource = click.option("--subresource", default="", metavar="NAME", help="Subresource.")
exit_zero = click.option("--exit-zero", is_flag=True, help="Exit 0 whatever was found.")


def output(command: Command) -> Command:
    """Add the options that say how to show a report."""
    command = click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colours; auto is on a terminal without NO_COLOR.",
    )(command)
    command = click.option("-v", "--verbose", is_flag=True, help="Show everything, fold nothing.")(
        command
    )
    return click.option(
        "-o",
        "--output",
        "output_format",
        type=click.Choice(["table", "json", "yaml"]),
        default="table",
        show_default=True,
        help="Format.",
    )(command)


def table_options(*, verbose: bool, color: str) -> Options:
    """Return how to show a table on this standard output."""
    import os
    import shutil

    from rbacguard.output.page import Options

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    colour = color == "always" or (color == "auto" and terminal and not os.environ.get("NO_COLOR"))
    return Options(verbose=verbose, width=width, colour=colour)


def show(report: Report, *, output_format: str, verbose: bool, color: str) -> None:
    """Print a report on standard output."""
    from rbacguard.output.formats import to_text

    text = to_text(report, output_format, table_options(verbose=verbose, color=color))
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()


def load(filenames: tuple[str, ...], mode: AggregateMode = "as-recorded") -> Snapshot:
    """Read a snapshot with the garbage collector at rest."""
    import gc

    from rbacguard.snapshot import Snapshot

    gc.disable()
    try:
        return Snapshot.load(filenames, aggregate=mode)
    finally:
        gc.enable()


def day(value: datetime.datetime | None) -> datetime.date:
    """Return the day that counts."""
    return value.date() if value else datetime.datetime.now(datetime.UTC).date()


def attributes(
    verb: str, resource: str, name: str, subresource: str, namespace: str | None
) -> dict[str, Any]:
    """Return the fields of `Attributes` for what the user typed.

    Raises:
        click.UsageError: a resource with a slash, which could mean a name or a subresource.
    """
    if resource.startswith("/"):
        if name or subresource or namespace:
            raise click.UsageError("a URL path has no name, subresource or namespace")
        return {"verb": verb, "path": resource}
    if "/" in resource:
        plural, _, rest = resource.partition("/")
        raise click.UsageError(
            f"{resource!r}: give a name as an argument of its own ({plural} {rest}) "
            f"or a subresource with --subresource {rest}"
        )
    plural, _, group = resource.partition(".")
    return {
        "verb": verb,
        "resource": plural,
        "api_group": group,
        "subresource": subresource,
        "name": name,
        "namespace": namespace or "",
    }
