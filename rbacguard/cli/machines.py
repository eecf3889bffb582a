"""Machines and nodes: whether they migrate, and how far migrations are."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from rbacguard.cli import options
from rbacguard.cli.source import Source, collected, from_source
from rbacguard.output import exits

if TYPE_CHECKING:
    from decimal import Decimal

    from rbacguard.output import wire
    from rbacguard.policy import Policy, Selection
    from rbacguard.policy.checks import Machines
    from rbacguard.snapshot import Snapshot


@click.command()
@from_source(namespaces=False)
@options.policies
@click.option(
    "--network-bandwidth",
    "link",
    type=options.QUANTITY,
    metavar="QUANTITY",
    help="Bytes per second that a node's migration network carries, such as 1.2G: how long drains "
    "take is known then where bandwidthPerMigration sets no limit.",
)
@click.option(
    "--emit-tuning",
    is_flag=True,
    help="Print a HyperConverged patch for review instead, with the arithmetic in comments.",
)
@options.at
@options.fail_on
@options.exit_zero
@collected(options.KNOWN, "known")
@options.output
def readiness(
    source: Source,
    policy_folders: tuple[str, ...],
    link: Decimal | None,
    emit_tuning: bool,
    at: datetime.datetime,
    fail_on: str,
    exit_zero: bool,
    known: dict[str, Any],
    **shown: Any,
) -> int:
    """Tell which machines migrate when their node is drained, and whether drains complete.

    Reads machines, nodes, pods and storage; and access, to tell of machines that only somebody
    could migrate who loses the permission. It exits 1 when a drain does not complete, or on
    findings.
    """
    from rbacguard.output.suppress import suppressed_findings
    from rbacguard.policy import About
    from rbacguard.policy.checks import Machines

    about = options.selected(policy_folders, known, About.MACHINES)
    suppression = options.suppression(known, at.date())
    inventory, snapshot = source.machines()
    machines = Machines(inventory, at, link)
    if emit_tuning:
        from rbacguard.manifests.tuning import tuning

        options.stop_working()
        click.echo(tuning(inventory, machines.readiness, link), nl=False)
        return exits.NOTHING_TO_DO
    report = suppressed_findings(readiness_report(machines, snapshot, source, *about), suppression)
    options.show(report, **shown)
    return exits.NOTHING_TO_DO if exit_zero else exits.of_readiness(report, fail_on)


def readiness_report(
    machines: Machines,
    snapshot: Snapshot,
    source: Source,
    policies: tuple[Policy, ...],
    selection: Selection,
) -> wire.ReadinessReport:
    """Judge machines and ask the policies that are about them."""
    from rbacguard.output import readiness as output
    from rbacguard.policy import evaluate
    from rbacguard.policy.checks import Context

    today = machines.now.date()
    context = Context(snapshot, today=today, inputs=source.arguments, machines=machines)
    results = evaluate(policies, context, selection)
    return output.report(machines.readiness, machines.inventory, results)


@click.command()
@from_source(namespaces=False)
@options.policies
@options.audit_log
@click.option(
    "--days",
    type=click.IntRange(min=1),
    metavar="N",
    help="Count uses of the last N days; by default all in the log.",
)
@options.at
@options.fail_on
@options.exit_zero
@collected(options.KNOWN, "known")
@options.output
def migrations(
    source: Source,
    policy_folders: tuple[str, ...],
    logs: tuple[str, ...],
    days: int | None,
    at: datetime.datetime,
    fail_on: str,
    exit_zero: bool,
    known: dict[str, Any],
    **shown: Any,
) -> int:
    """List migrations: how far each is, for what it was made, and what delays a drain.

    With an audit log it also tells who used the permission, and who holds it and did not.
    """
    from rbacguard.approvals.usage import unused, uses
    from rbacguard.output import migrations as output
    from rbacguard.output.suppress import suppressed_findings
    from rbacguard.policy import About, evaluate
    from rbacguard.policy.checks import Context, Machines
    from rbacguard.sources.audit_log import read_audit_logs

    policies, selection = options.selected(policy_folders, known, About.MACHINES, "migration")
    suppression = options.suppression(known, at.date())
    events = read_audit_logs(logs)
    since = None if days is None else at - datetime.timedelta(days=days)
    used = uses(events, since) if logs else None
    inventory, snapshot = source.machines()
    machines = Machines(inventory, at)
    context = Context(snapshot, today=at.date(), inputs=source.arguments, machines=machines)
    idle = None if used is None else unused(snapshot, used)
    results = evaluate(policies, context, selection)
    report = suppressed_findings(
        output.report(machines.migrations, inventory, results, used, idle), suppression
    )
    options.show(report, **shown)
    return exits.NOTHING_TO_DO if exit_zero else exits.of_findings(report, fail_on)
