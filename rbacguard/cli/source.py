"""The input of a command: files, or the current cluster."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from rbacguard import __version__
from rbacguard.cli.options import DURATION, PATH, complete_namespaces, working
from rbacguard.errors import InputError
from rbacguard.sources import load, snapshot_of
from rbacguard.text import visible

if TYPE_CHECKING:
    from rbacguard.rbac import Reviews
    from rbacguard.snapshot import AggregateMode, Snapshot
    from rbacguard.sources import InputCollection
    from rbacguard.sources.live import Connection
    from rbacguard.sources.live.concurrency import Progress

Command = TypeVar("Command", bound=Callable[..., Any])


def _contexts(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a context. Without a readable kubeconfig there are none."""
    from rbacguard.sources.live import Overrides, context_names

    overrides = Overrides(kubeconfig=ctx.params.get("kubeconfig") or "")
    try:
        known = context_names(overrides, os.environ, Path.home())
    except InputError:
        return []
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


_FILES = (
    click.option(
        "-f",
        "--filename",
        "filenames",
        multiple=True,
        metavar="PATH",
        type=PATH,
        help="Read a dump, folder, archive, must-gather or saved snapshot instead of the cluster; "
        "'-' is standard input. Repeatable.",
    ),
)
_NAMESPACES = (
    click.option(
        "-n",
        "--namespace",
        "namespaces",
        multiple=True,
        metavar="NS",
        shell_complete=complete_namespaces,
        help="Read Roles and RoleBindings of this namespace only, for who may not list them all. "
        "Repeatable.",
    ),
)
_CONNECTION = (
    click.option(
        "--kubeconfig",
        default="",
        metavar="FILE",
        type=PATH,
        help="Kubeconfig; by default those in KUBECONFIG, or ~/.kube/config.",
    ),
    click.option(
        "--context",
        default="",
        metavar="NAME",
        shell_complete=_contexts,
        help="Context of the kubeconfig.",
    ),
    click.option("--cluster", default="", metavar="NAME", help="Cluster of the kubeconfig."),
    click.option("--user", "login", default="", metavar="NAME", help="User of the kubeconfig."),
    click.option("-s", "--server", default="", metavar="URL", help="API server to read."),
    click.option("--token", default="", metavar="TOKEN", help="Bearer token to read with."),
    click.option(
        "--certificate-authority",
        default="",
        metavar="FILE",
        type=PATH,
        help="Certificate to trust.",
    ),
    click.option(
        "--insecure-skip-tls-verify",
        is_flag=True,
        help="Do not check the server's certificate; whoever sits in between can forge answers.",
    ),
    click.option(
        "--request-timeout",
        type=DURATION,
        default="60s",
        show_default=True,
        metavar="TIME",
        help="How long to wait for an answer to go on, such as 90s or 2m; 0 is for ever.",
    ),
    click.option("--consistent", is_flag=True, help="Read the cluster until two passes agree."),
)
_IMPERSONATION = (
    click.option("--as", "as_user", default="", metavar="USER", help="Read as this user."),
    click.option(
        "--as-group",
        "as_groups",
        multiple=True,
        metavar="GROUP",
        help="Read as a member of this group. Repeatable.",
    ),
    click.option("--as-uid", default="", metavar="UID", help="Read as the user with this UID."),
)


@dataclass(frozen=True)
class Source:
    """The input that the options name; a cluster if they name no files."""

    filenames: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    login: str = ""
    server: str = ""
    token: str = ""
    certificate_authority: str = ""
    insecure_skip_tls_verify: bool = False
    request_timeout: float = 60.0
    consistent: bool = False
    as_user: str = ""
    as_groups: tuple[str, ...] = ()
    as_uid: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments with which another command reads the same input."""
        if self.filenames:
            return tuple(part for name in self.filenames for part in ("-f", name))
        named = {"--kubeconfig": self.kubeconfig, "--context": self.context}
        return tuple(part for key, value in named.items() if value for part in (key, value))

    @property
    def place(self) -> str:
        """The current context and its server; '' if there is none."""
        from rbacguard.sources.live import Overrides, find_config

        try:
            config = find_config(Overrides(), os.environ, Path.home())
        except InputError:
            return ""
        return f"{config.context} ({config.server})"

    def snapshot(
        self, mode: AggregateMode = "as-recorded", *, namespace: str | None = None
    ) -> Snapshot:
        """Return a snapshot of the input.

        Args:
            mode: whether aggregated ClusterRoles have their recorded or their computed rules.
            namespace: the only namespace that the answer depends on; None for all.

        Raises:
            InputError: a file cannot be read, or the kubeconfig is invalid.
            ClusterError: the cluster cannot be reached or read.
            click.UsageError: the options name files and a cluster.
        """
        if self._is_files():
            return load(self.filenames, aggregate=mode)
        return snapshot_of(self._read_cluster(namespace), aggregate=mode)

    def workloads(self, *more: str, mode: AggregateMode = "as-recorded") -> Snapshot:
        """Return VMs, nodes, pods, and storage, and RBAC objects if the input contains them.

        Args:
            more: commands whose resources are also read from a cluster.
            mode: whether aggregated ClusterRoles have their recorded or their computed rules.

        Raises:
            InputError: a file cannot be read, or the kubeconfig is invalid.
            ClusterError: the cluster cannot be reached or read.
            click.UsageError: the options name files and a cluster.
        """
        if self._is_files():
            return load(self.filenames, aggregate=mode, workloads=True)
        return snapshot_of(self._read_cluster(None, *more), aggregate=mode)

    def _is_files(self) -> bool:
        """Return whether the input is files; if so, show that they are read."""
        if self.filenames:
            self._refuse_both()
            working("reading " + ", ".join(self.filenames))
        return bool(self.filenames)

    def _read_cluster(self, namespace: str | None, *more: str) -> InputCollection:
        """Return the objects that the current command and others need from the cluster."""
        from rbacguard.sources.live import NEEDS, read_cluster

        words = click.get_current_context().command_path.split()
        command = next(word for word in words[1:] if word in NEEDS)
        with self.connection() as connection, _progress() as progress:
            return read_cluster(
                connection,
                tuple(dict.fromkeys(r for name in (command, *more) for r in NEEDS[name])),
                namespaces=(namespace,) if namespace else self.namespaces,
                consistent=self.consistent,
                progress=progress,
            )

    def namespace_names(self) -> tuple[str, ...]:
        """Return the names of namespaces for completion. A cluster has two seconds to answer.

        Raises:
            InputError: a file cannot be read, or the kubeconfig is invalid.
            ClusterError: the cluster does not answer in time.
        """
        import threading

        from rbacguard.sources.live import namespace_names

        if self.filenames:
            return tuple(load(self.filenames).namespaces)
        with replace(self, request_timeout=2.0).connection() as connection:
            deadline = threading.Timer(2.0, connection.close)
            deadline.start()
            try:
                return namespace_names(connection)
            finally:
                deadline.cancel()

    def cross_check(self, snapshot: Snapshot, extent: str) -> Reviews:
        """Return decisions of the API server, with a notice on standard error.

        Args:
            snapshot: the snapshot to check.
            extent: `sample` or `all`.

        Raises:
            ClusterError: the cluster does not answer.
        """
        from rbacguard.queries.cross_check import SAMPLE, sample_requests
        from rbacguard.sources.live.reviews import review_access

        asked = sample_requests(snapshot, limit=None if extent == "all" else SAMPLE)
        click.echo(f"rbacguard: asking {len(asked)} access reviews, which create nothing", err=True)
        with self.connection() as connection, _progress() as progress:
            return review_access(connection, asked, progress)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Connect to the cluster, and print warnings to standard error."""
        from rbacguard.sources.live import Connection, Impersonation, Overrides, find_config

        overrides = Overrides(
            kubeconfig=self.kubeconfig,
            context=self.context,
            cluster=self.cluster,
            user=self.login,
            server=self.server,
            token=self.token,
            certificate_authority=self.certificate_authority,
            insecure_skip_tls_verify=self.insecure_skip_tls_verify,
            impersonate=Impersonation(self.as_user, self.as_uid, self.as_groups),
        )
        config = find_config(overrides, os.environ, Path.home())
        agent = f"rbacguard/{__version__}"
        with Connection(config, timeout=self.request_timeout, agent=agent) as connection:
            try:
                yield connection
            finally:
                for warning in connection.warnings:
                    click.echo(f"rbacguard: warning: {visible(warning)}", err=True)

    def _refuse_both(self) -> None:
        default = Source(filenames=self.filenames)
        for name in (each.name for each in fields(self)):
            # The timeout has another default, and does not name an input.
            if name != "request_timeout" and getattr(self, name) != getattr(default, name):
                raise click.UsageError(
                    f"give files with -f or a cluster with {_flag(name)}, not both"
                )


def _flag(name: str) -> str:
    flags = {
        "as_user": "--as",
        "as_groups": "--as-group",
        "login": "--user",
        "namespaces": "--namespace",
    }
    return flags.get(name, "--" + name.replace("_", "-"))


def from_source(
    *, files: bool = True, namespaces: bool = True, impersonation: bool = True
) -> Callable[[Command], Command]:
    """Add the options of the input to a command, which receives one `Source`.

    Args:
        files: whether the input can be files.
        namespaces: whether -n limits the input.
        impersonation: whether --as sets the identity that reads the input.
    """
    groups = [
        *(_FILES if files else ()),
        *(_NAMESPACES if namespaces else ()),
        *_CONNECTION,
        *(_IMPERSONATION if impersonation else ()),
    ]

    return collected(groups, "source", Source)


def collected(
    options: Sequence[Callable[..., Any]], into: str, make: Callable[..., Any] = dict
) -> Callable[[Command], Command]:
    """Add options to a command, which receives them as one value.

    Args:
        options: decorators of click.
        into: the name of the parameter.
        make: returns the value for the options by name.
    """
    names = _names(options)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapped(**given: Any) -> Any:
            return command(**{into: make(**{name: given.pop(name) for name in names})}, **given)

        return cast("Command", _with(wrapped, options))

    return decorate


def _with(command: Callable[..., Any], options: Sequence[Callable[..., Any]]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command


def _names(options: Iterable[Callable[..., Any]]) -> frozenset[str]:
    probe = _with(lambda: None, list(options))
    return frozenset(parameter.name for parameter in probe.__click_params__)


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Show the progress of reading, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    import threading

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}
        lock = threading.Lock()

        def show(kind: str, done: int, total: int | None) -> None:
            with lock:
                if kind not in tasks:
                    tasks[kind] = bars.add_task(kind, total=None)
                bars.update(tasks[kind], completed=done, total=total)

        yield show
