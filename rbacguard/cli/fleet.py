"""The commands for many clusters at once."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rbacguard.cli import options
from rbacguard.cli.source import collected
from rbacguard.output import exits

if TYPE_CHECKING:
    from rbacguard.fleet.clusters import Cluster
    from rbacguard.fleet.look import Task

_WHICH = (
    click.argument("paths", nargs=-1, metavar="[PATH]...", type=options.PATH),
    click.option(
        "--kubeconfig",
        default="",
        metavar="FILE",
        type=options.PATH,
        help="Kubeconfig of the contexts.",
    ),
    click.option(
        "--contexts",
        "names",
        multiple=True,
        metavar="NAME",
        help="Read the cluster of this context. Repeatable.",
    ),
    click.option("--all-contexts", is_flag=True, help="Read the clusters of all contexts."),
    click.option(
        "--hub",
        is_flag=True,
        help="Read every ManagedCluster of the Open Cluster Management hub of the current context.",
    ),
    click.option(
        "--kubeconfig-template",
        "template",
        default="",
        metavar="PATH",
        type=options.PATH,
        help="Kubeconfig of each ManagedCluster; {cluster} stands for its name.",
    ),
)
_WORK = (
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=lambda: os.cpu_count() or 1,
        show_default="one for each core",
        metavar="N",
        help="Processes of this machine.",
    ),
    click.option(
        "--scheduler",
        default="",
        metavar="ADDRESS",
        help="Dask scheduler whose workers do the work instead.",
    ),
    click.option(
        "--results",
        "file",
        default="",
        metavar="FILE",
        type=options.PATH,
        help="Write the answer of each cluster there, as JSON lines as they come; clusters whose "
        "input and question are as before are not read again.",
    ),
)


class Fleet:
    """Which clusters, and who does the work."""

    def __init__(self, **given: Any) -> None:
        """Take what was given."""
        self._given = given

    def clusters(self) -> list[Cluster]:
        """Find the clusters.

        Raises:
            click.UsageError: none, or a hub without a template, or the other way round.
            InputError: a path, a context or a kubeconfig is not there.
            ClusterError: the hub cannot be read.
        """
        from rbacguard.fleet import clusters
        from rbacguard.sources.live import Overrides, find_config

        given = self._given
        if given["hub"] != bool(given["template"]):
            raise click.UsageError("--hub and --kubeconfig-template go together")
        found = clusters.saved(given["paths"]) if given["paths"] else []
        if given["names"] or given["all_contexts"]:
            found += clusters.contexts(
                given["names"],
                every=given["all_contexts"],
                kubeconfig=given["kubeconfig"],
                environ=os.environ,
                home=Path.home(),
            )
        if given["hub"]:
            overrides = Overrides(kubeconfig=given["kubeconfig"])
            hub = find_config(overrides, os.environ, Path.home())
            found += clusters.managed(hub, given["template"])
        if not found:
            raise click.UsageError("which clusters: give PATH, --contexts, --all-contexts or --hub")
        return clusters.distinct(found)

    def ask(self, task: Task, shown: dict[str, Any]) -> int:
        """Look at every cluster, show the sum, and return the exit code."""
        from rbacguard.fleet.results import Results
        from rbacguard.fleet.run import processes, run, scheduler
        from rbacguard.fleet.summary import summarize

        found = self.clusters()
        address, workers = self._given["scheduler"], self._given["workers"]
        start = scheduler(address) if address else processes(min(workers, len(found)))
        with Results(self._given["file"]) as results:
            with _progress(len(found)) as step:
                report = summarize(task.command, map(step, run(found, task, start, results)))
            results.finish(each.name for each in found)
        options.show(report, **shown)
        return exits.of_fleet(report)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Any], Any]]:
    """Show how many clusters are done, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda answer: answer
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("clusters", total=total)

        def step(answer: Any) -> Any:
            bar.advance(task)
            return answer

        yield step


def _asked(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command of a fleet takes."""
    return collected((*_WHICH, *_WORK), "clusters", Fleet)(options.output(command))


_APPROVALS = "Approvals file (kind: MigrationAccess); {cluster} stands for a cluster's name."


@click.group()
def fleet() -> None:
    """Ask many clusters at once: saved ones, contexts, or those of a hub.

    PATH is a file, a folder, a pattern or a URL (s3://, gs://, az://); each file, and each folder
    in a folder, is one cluster. A cluster that cannot be read is shown with the reason.
    """


@fleet.command("audit")
@_asked
@click.option("--approvals", default="", metavar="FILE", type=options.PATH, help=_APPROVALS)
@options.policies
@options.today
@click.option(
    "--to",
    "target",
    default="",
    metavar="VERSION",
    help="Release whose update is simulated; by default 4.19 where that is ahead.",
)
@options.fail_on
@collected(options.SELECTED, "known")
def fleet_audit(
    clusters: Fleet,
    approvals: str,
    policy_folders: tuple[str, ...],
    today: datetime.datetime | None,
    target: str,
    fail_on: str,
    known: dict[str, Any],
    **shown: Any,
) -> int:
    """Audit every cluster; the same finding is told once, with its clusters."""
    import msgspec

    from rbacguard.fleet.look import Task
    from rbacguard.kubevirt.releases import parse_release
    from rbacguard.policy import Category, load_policies

    _, selection = options.selected(policy_folders, known, Category.RBAC)
    # What is wrong with these is wrong once, not in every cluster.
    if target:
        parse_release(target)
    bundled = {policy.id for policy in load_policies(category=Category.RBAC)}
    own = [
        policy
        for policy in load_policies(policy_folders, Category.RBAC)
        if policy.id not in bundled
    ]
    day = options.day(today).isoformat()
    task = Task(
        "audit",
        target=target,
        approvals=approvals,
        policies=tuple(msgspec.json.encode(policy).decode() for policy in own),
        select=selection.select,
        ignore=selection.ignore,
        exemptions=tuple(each.model_dump_json(by_alias=True) for each in options.exemptions(known)),
        fail_on=fail_on,
        today=day,
        by_clock=today is None,
    )
    return clusters.ask(task, shown)


@fleet.command("plan")
@_asked
@options.target
def fleet_plan(clusters: Fleet, target: str, **shown: Any) -> int:
    """Simulate the update of every cluster: who loses migration where."""
    from rbacguard.fleet.look import Task
    from rbacguard.kubevirt.releases import parse_release

    parse_release(target)
    return clusters.ask(Task("plan", target=target), shown)


@fleet.command("verify")
@_asked
@click.option("--approvals", required=True, metavar="FILE", type=options.PATH, help=_APPROVALS)
@click.option(
    "--before",
    default="",
    metavar="PATH",
    type=options.PATH,
    help="Snapshot of before the update; {cluster} stands for a cluster's name.",
)
@options.today
def fleet_verify(
    clusters: Fleet,
    approvals: str,
    before: str,
    today: datetime.datetime | None,
    **shown: Any,
) -> int:
    """Verify every cluster after its update."""
    from rbacguard.fleet.look import Task

    day = options.day(today).isoformat()
    task = Task("verify", approvals=approvals, before=before, today=day, by_clock=today is None)
    return clusters.ask(task, shown)
