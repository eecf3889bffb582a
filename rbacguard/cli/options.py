"""Options that several commands share."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from rbacguard.output.exits import SEVERITIES
from rbacguard.text import visible

if TYPE_CHECKING:
    from decimal import Decimal

    from rbacguard.errors import ClusterError
    from rbacguard.output.formats import Options
    from rbacguard.output.suppress import Suppression
    from rbacguard.output.wire import Report
    from rbacguard.policy import Category, Policy, Selection
    from rbacguard.policy.configuration import Exemption
    from rbacguard.rbac import Subject
    from rbacguard.snapshot import Snapshot
    from rbacguard.update.verify import Verification

Command = TypeVar("Command", bound=Callable[..., Any])

aggregate = click.option(
    "--aggregate",
    type=click.Choice(["as-recorded", "recompute"]),
    default="as-recorded",
    show_default=True,
    help="Take the rules of aggregated roles as recorded, or as the controller would compute them "
    "(for files from Git).",
)


def complete_namespaces(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a namespace of the input, or of the cluster; what cannot be read offers none."""
    from rbacguard.cli.source import Source
    from rbacguard.errors import RbacguardError

    given = {field: ctx.params[field] for field in Source.__annotations__ if field in ctx.params}
    try:
        known = Source(**given).namespace_names()
    except (RbacguardError, click.UsageError):
        return []
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


class _Path(click.ParamType[str]):
    """A path that is not empty, so that an unset variable is never the current folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the path. The empty default of an option means that it is not given."""
        if not value and ctx and param and param.name:
            source = ctx.get_parameter_source(param.name)
            if source is click.core.ParameterSource.COMMANDLINE:
                self.fail("the path is empty; give a path or leave it out", param, ctx)
        return str(value)


PATH = _Path()


namespace = click.option(
    "-n",
    "--namespace",
    metavar="NS",
    shell_complete=complete_namespaces,
    help="In this namespace.",
)
approvals = click.option(
    "--approvals", metavar="FILE", type=PATH, help="The approvals file (kind: MigrationAccess)."
)
target = click.option(
    "--to",
    "target",
    required=True,
    metavar="VERSION",
    help="Release to update to: OpenShift Virtualization (4.21) or KubeVirt (1.7).",
)
from_release = click.option(
    "--from",
    "from_release",
    metavar="VERSION",
    help="Installed release, where the input does not tell.",
)
policies = click.option(
    "--policies",
    "policy_folders",
    multiple=True,
    metavar="DIR",
    type=PATH,
    help="Folder with further policies. Repeatable.",
)
today = click.option(
    "--today",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Day that expiry dates are compared with; by default the current one (UTC).",
)
before = click.option(
    "--before",
    multiple=True,
    metavar="PATH",
    type=PATH,
    help="Dump from before the update and the temporary role; tells who held migration of old by "
    "grants of his own. Repeatable.",
)
file = click.option(
    "-o",
    "--output",
    "file",
    required=True,
    metavar="FILE",
    type=PATH,
    help="File to write; '-' is stdout.",
)
subresource = click.option("--subresource", default="", metavar="NAME", help="Subresource.")
fail_on = click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="medium",
    show_default=True,
    help="Exit 1 on findings of this severity or above.",
)
exit_zero = click.option("--exit-zero", is_flag=True, help="Exit 0 whatever was found.")


class _Quantity(click.ParamType["Decimal"]):
    """A Kubernetes quantity above 0."""

    name = "quantity"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Read it; click prints what is wrong."""
        from rbacguard.readiness.quantity import parse_quantity

        found = parse_quantity(str(value))
        if found is None or found <= 0:
            self.fail(
                f"{value!r} is not a quantity (expected, for example, 1200M or 1Gi)", param, ctx
            )
        return found


QUANTITY = _Quantity()


class _Moment(click.ParamType[datetime.datetime]):
    """A day, or a moment as Kubernetes writes it; UTC where nothing else is said."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime.datetime:
        """Read it; click prints what is wrong."""
        if isinstance(value, datetime.datetime):
            return value
        try:
            found = datetime.datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no time; expected one like 2026-11-23 or 2026-11-23T08:00:00Z",
                param,
                ctx,
            )
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


audit_log = click.option(
    "--audit-log",
    "logs",
    multiple=True,
    metavar="FILE",
    type=PATH,
    help="Audit log of the API server, plain or packed: who used the permission. Repeatable.",
)
at = click.option(
    "--at",
    type=_Moment(),
    default=lambda: datetime.datetime.now(datetime.UTC),
    metavar="TIME",
    help="The moment that ages and ends are counted to; by default now.",
)


class _Duration(click.ParamType[float]):
    """A time such as `90s`, `30m` or `2h`, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", str(value))
        if match is None:
            self.fail(f"{value!r} is no time; expected such as 90s, 30m or 2h", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


DURATION = _Duration()


class _Days(click.ParamType[datetime.timedelta]):
    """A time in days, such as `14d`."""

    name = "days"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime.timedelta:
        """Return the time."""
        if isinstance(value, datetime.timedelta):
            return value
        match = re.fullmatch(r"(\d{1,6})d?", str(value))
        if match is None:
            self.fail(f"{value!r} is no number of days; expected such as 14d", param, ctx)
        return datetime.timedelta(days=int(match[1]))


warn_before = click.option(
    "--warn-before",
    type=_Days(),
    default="14d",
    show_default=True,
    metavar="DAYS",
    help="How long before its end an approval is announced.",
)


FORMATS = (
    *("table", "json", "yaml", "sarif", "junit", "github", "gitlab", "csv", "markdown"),
    *("dot", "mermaid", "prometheus", "policyreport", "openreports", "html"),
)


class _Output(click.ParamType[tuple[str, str]]):
    """A format, and the file to write, '' for standard output."""

    name = "FORMAT[=FILE]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return format and file."""
        if isinstance(value, tuple):
            return value
        form, equals, file = str(value).partition("=")
        if form not in FORMATS:
            self.fail(f"{form!r} is no format; there are {', '.join(FORMATS)}", param, ctx)
        if equals and not file:
            self.fail(f"{value!r}: expected a file after '='", param, ctx)
        return form, file

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the format."""
        return [CompletionItem(form) for form in FORMATS if form.startswith(incomplete)]


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
    command = click.option(
        "-q", "--quiet", is_flag=True, help="Print no table; the exit code is the answer."
    )(command)
    command = click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=10,
        show_default=True,
        metavar="N",
        help="How many findings of a policy a table shows.",
    )(command)
    return click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        type=_Output(),
        default=["table"],
        show_default=True,
        help=f"Format ({', '.join(FORMATS)}), or FORMAT=FILE to write it. Repeatable.",
    )(command)


def table_options(*, verbose: bool, limit: int, color: str) -> Options:
    """Return how to show a table on this standard output."""
    import os

    from rbacguard.output.formats import Options

    terminal = sys.stdout.isatty()
    width = None
    if terminal:
        import shutil

        width = shutil.get_terminal_size().columns
    colour = color == "always" or (color == "auto" and terminal and not os.environ.get("NO_COLOR"))
    return Options(verbose=verbose, limit=limit, width=width, colour=colour)


_WORKING = "rbacguard.working"


def working(text: str) -> None:
    """Say on a terminal what is being done, from when it takes more than a second."""
    if not sys.stderr.isatty():
        return
    import threading

    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

    ctx = click.get_current_context()
    status = Status(Text(visible(text)), console=Console(stderr=True), refresh_per_second=4)
    timer = threading.Timer(1.0, status.start)
    timer.daemon = True
    timer.start()

    def stop() -> None:
        timer.cancel()
        timer.join()
        status.stop()

    ctx.meta[_WORKING] = stop
    ctx.call_on_close(stop_working)


def stop_working() -> None:
    """Take it away, before anything else is shown."""
    stop = click.get_current_context().meta.pop(_WORKING, None)
    if stop is not None:
        stop()


_SHOWN: list[Report] = []
"""The last one is kept: a process that has shown its report ends at once, without freeing it."""


def show(
    report: Report,
    *,
    outputs: tuple[tuple[str, str], ...],
    verbose: bool,
    limit: int,
    quiet: bool,
    color: str,
) -> None:
    """Print a report on standard output, and write the files that were asked for.

    Raises:
        click.UsageError: two formats for standard output.
        OutputError: a file cannot be written, or there is no such form of this report.
    """
    from rbacguard.output.formats import to_parts

    if sum(not file for _, file in outputs) > 1:
        raise click.UsageError("-o: one format goes to standard output; give others a =FILE")
    _SHOWN[:] = [report]
    look = table_options(verbose=verbose, limit=limit, color=color)
    made = [(to_parts(report, form, look), file) for form, file in outputs]
    stop_working()
    for parts, file in made:
        if file:
            write(file, b"".join(parts), force=True)
        elif not quiet:
            sys.stdout.buffer.writelines(parts)
            sys.stdout.flush()


def _configured(ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
    """Load the configuration, if there is one, before other options, whose defaults it gives."""
    from pathlib import Path

    from rbacguard.policy import find_configuration

    path = Path(value) if value else find_configuration(Path.cwd())
    if path is None:
        return None
    from rbacguard.policy.configuration import load_configuration

    found = load_configuration(path)
    ctx.default_map = {**(ctx.default_map or {}), **found.defaults}
    return found


def complete_rules(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the id of a policy, or of a rule of lint."""
    from rbacguard.lint import RULES
    from rbacguard.policy import load_policies

    known = {policy.id: policy.title for policy in load_policies()}
    known |= {rule.id: rule.title for rule in RULES}
    return [CompletionItem(key, help=known[key]) for key in known if key.startswith(incomplete)]


SELECTED = (
    click.option(
        "--config",
        "configuration",
        metavar="FILE",
        type=PATH,
        is_eager=True,
        callback=_configured,
        help="Configuration; by default rbacguard.toml or [tool.rbacguard] of pyproject.toml, in "
        "this folder or above it in the repository.",
    ),
    click.option(
        "--select",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_rules,
        help="Ask only these, by id (a pattern), severity, stage or check. Repeatable.",
    ),
    click.option(
        "--ignore",
        multiple=True,
        metavar="NAME",
        shell_complete=complete_rules,
        help="Do not ask these. Repeatable.",
    ),
)
"""Options that say what is asked, and which findings somebody answers for."""
KNOWN = (
    *SELECTED,
    click.option(
        "--baseline",
        metavar="FILE",
        type=PATH,
        help="Report of -o json from before: findings that stand in it do not count.",
    ),
)
"""Options that say which findings count."""


def selected(
    folders: tuple[str, ...], known: dict[str, Any], category: Category, check: str = ""
) -> tuple[tuple[Policy, ...], Selection]:
    """Return the policies that a command asks, and which of them are selected.

    Args:
        folders: where further policies are.
        known: what `KNOWN` collected.
        category: which policies the command evaluates.
        check: the only kind of check that it asks; '' for all.

    Raises:
        InputError: something is selected that does not exist.
        PolicyError: a policy does not load.
    """
    from rbacguard.policy import Selection, load_policies

    policies = tuple(
        policy for policy in load_policies(folders, category) if check in ("", policy.check.type)
    )
    selection = Selection(known["select"], known["ignore"])
    if known["select"] or known["ignore"]:
        from rbacguard.lint import RULES

        # One configuration serves all commands: what names a rule of another is no mistake here.
        names = [
            *(each.selectors for each in load_policies(folders)),
            *(r.selectors for r in RULES),
        ]
        selection.check_patterns(names)
    return policies, selection


def suppression(known: dict[str, Any], today: datetime.date) -> Suppression:
    """Return what makes findings known.

    Raises:
        InputError: the baseline cannot be read.
    """
    from rbacguard.output.suppress import Suppression, load_baseline

    before = load_baseline(known["baseline"]) if known["baseline"] else frozenset()
    return Suppression(exemptions(known), before, today)


def exemptions(known: dict[str, Any]) -> tuple[Exemption, ...]:
    """Return the findings that somebody answers for, by what `SELECTED` collected."""
    configuration = known["configuration"]
    return configuration.exemptions if configuration else ()


def show_diffs(diffs: Iterable[str], *, err: bool) -> None:
    """Show unified diffs; in a pipe they can be applied, on a terminal they are harmless."""
    stop_working()
    stream = sys.stderr if err else sys.stdout
    for diff in diffs:
        text = "".join(f"{visible(line)}\n" for line in diff.split("\n")[:-1])
        stream.buffer.write((text if stream.isatty() else diff).encode())
    stream.flush()


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask on a terminal; where nobody can answer, what was asked for is done."""
    stop_working()
    return yes or not sys.stdin.isatty() or click.confirm(question, err=True)


def write(file: str, data: bytes, *, force: bool) -> None:
    """Write a file whole or not at all; `-` is standard output.

    Raises:
        OutputError: the file exists and may not be replaced, or cannot be written.
    """
    from pathlib import Path

    from rbacguard.writing import write_file

    if file == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        write_file(Path(file), data, force=force)


def save(snapshot: Snapshot, file: str, *, force: bool) -> None:
    """Write a snapshot, and say on standard error what was written.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    from rbacguard.sources import snapshot_file

    data = snapshot_file.encode(snapshot)
    stop_working()
    write(file, data, force=force)
    click.echo(f"rbacguard: {file}: {len(snapshot)} objects, {len(data)} bytes", err=True)
    for gap in snapshot.coverage.missing():
        click.echo(f"rbacguard: warning: not complete: {visible(gap)}", err=True)


def last_shown(looks: Iterable[Verification | ClusterError]) -> Verification:
    """Show on standard error what each look misses, whenever that changes; return the last.

    Raises:
        ClusterError: the last look did not reach the cluster.
    """
    shown, last = "", None
    for last in looks:
        text = str(last) if isinstance(last, Exception) else last.missing
        if text != shown:
            now = datetime.datetime.now(datetime.UTC).strftime("%H:%M:%S")
            click.echo(f"{now} {visible(text)}", err=True)
        shown = text
    if last is None or isinstance(last, Exception):
        raise last or AssertionError("there is at least one look")
    return last


def subject(text: str) -> Subject:
    """Return the subject that `user/NAME`, `group/NAME` or `sa/NAMESPACE/NAME` names.

    Raises:
        click.UsageError: it is written in another way.
    """
    from rbacguard.rbac import Subject

    kind, _, name = text.partition("/")
    namespace, slash, account = name.partition("/")
    if kind in ("user", "group") and name:
        return Subject(kind.title(), name)
    if kind == "sa" and namespace and slash and account:
        return Subject("ServiceAccount", account, namespace)
    raise click.UsageError(f"{text!r}: expected user/NAME, group/NAME or sa/NAMESPACE/NAME")


def day(value: datetime.datetime | None, snapshot: Snapshot | None = None) -> datetime.date:
    """Return the day that counts: the one given, or this machine's.

    Raises:
        InputError: this machine's clock is behind what the snapshot tells of.
    """
    if value:
        return value.date()
    today = datetime.datetime.now(datetime.UTC).date()
    if snapshot:
        snapshot.check_clock(today)
    return today


def attributes(
    verb: str, resource: str, name: str, subresource: str, namespace: str | None
) -> dict[str, Any]:
    """Return the fields of `Attributes` for what the user typed, the resource as it was.

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
    return {
        "verb": verb,
        "resource": resource,
        "subresource": subresource,
        "name": name,
        "namespace": namespace or "",
    }
