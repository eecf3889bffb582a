"""Commands about VMs and nodes: `readiness` and `migrations`."""

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
    from rbacguard.snapshot import Snapshot


@click.command()
@from_source(namespaces=False)
@options.policies
@click.option(
    "--network-bandwidth",
    "bandwidth",
    type=options.QUANTITY,
    metavar="QUANTITY",
    help="Bandwidth of the migration network of a node in bytes per second, for example 1.2G. "
    "Used to estimate drain time if bandwidthPerMigration is not set.",
)
@click.option(
    "--emit-tuning",
    is_flag=True,
    help="Print a HyperConverged patch with recommended settings instead of the report.",
)
@options.at
@options.fail_on
@options.exit_zero
@collected(options.KNOWN, "known")
@options.output
def readiness(
    source: Source,
    policy_folders: tuple[str, ...],
    bandwidth: Decimal | None,
    emit_tuning: bool,
    at: datetime.datetime,
    fail_on: str,
    exit_zero: bool,
    known: dict[str, Any],
    **shown: Any,
) -> int:
    """Show which VMs can migrate when their node is drained, and whether drains can complete.

    Reads VMs, nodes, pods, and storage. Also reads RBAC to find VMs that need a migration that no
    user is allowed to start after the update. Exits 1 if a drain cannot complete, or on findings.
    """
    from rbacguard.output.suppress import suppressed_findings
    from rbacguard.policy import Category

    about = options.selected(policy_folders, known, Category.READINESS)
    suppression = options.suppression(known, at.date())
    snapshot = source.workloads()
    if emit_tuning:
        from rbacguard.manifests.tuning import tuning
        from rbacguard.readiness.assessment import assess
        from rbacguard.readiness.inventory import Inventory

        inventory = Inventory(snapshot)
        text = tuning(inventory, assess(inventory, bandwidth), bandwidth)
        options.stop_working()
        click.echo(text, nl=False)
        return exits.NOTHING_TO_DO
    report = suppressed_findings(
        readiness_report(snapshot, at, source, *about, bandwidth), suppression
    )
    options.show(report, **shown)
    return exits.NOTHING_TO_DO if exit_zero else exits.of_readiness(report, fail_on)


def readiness_report(
    snapshot: Snapshot,
    at: datetime.datetime,
    source: Source,
    policies: tuple[Policy, ...],
    selection: Selection,
    bandwidth: Decimal | None = None,
) -> wire.ReadinessReport:
    """Return the readiness report of a snapshot that was read with workloads.

    Args:
        snapshot: the snapshot.
        at: the time at which ages are calculated.
        source: the input, for suggested commands.
        policies: the policies.
        selection: the policies to evaluate.
        bandwidth: bandwidth of the migration network of a node in bytes per second, if known.
    """
    from rbacguard.output import readiness as output
    from rbacguard.policy import Context, Workloads, evaluate
    from rbacguard.readiness.inventory import Inventory

    workloads = Workloads(Inventory(snapshot), at, bandwidth)
    context = Context(snapshot, today=at.date(), inputs=source.arguments, workloads=workloads)
    results = evaluate(policies, context, selection)
    return output.report(workloads.readiness, workloads.inventory, results)


@click.command()
@from_source(namespaces=False)
@options.policies
@options.audit_log
@click.option(
    "--days",
    type=click.IntRange(min=1),
    metavar="N",
    help="Count uses of the last N days (default: all in the log).",
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
    """List live migrations with phase, trigger, and what is delaying node drains.

    With an audit log, the report also lists who used the permission, and which subjects have it but
    did not use it.
    """
    from rbacguard.approvals.usage import extract_usage, unused_grants
    from rbacguard.output import migrations as output
    from rbacguard.output.suppress import suppressed_findings
    from rbacguard.policy import Category, Context, Workloads, evaluate
    from rbacguard.readiness.inventory import Inventory
    from rbacguard.sources.audit_log import read_audit_logs

    policies, selection = options.selected(policy_folders, known, Category.READINESS, "migration")
    suppression = options.suppression(known, at.date())
    events = read_audit_logs(logs)
    since = None if days is None else at - datetime.timedelta(days=days)
    used = extract_usage(events, since) if logs else None
    snapshot = source.workloads()
    workloads = Workloads(Inventory(snapshot), at)
    context = Context(snapshot, today=at.date(), inputs=source.arguments, workloads=workloads)
    idle = None if used is None else unused_grants(snapshot, used)
    results = evaluate(policies, context, selection)
    report = suppressed_findings(
        output.report(workloads.migrations, workloads.inventory, results, used, idle), suppression
    )
    options.show(report, **shown)
    return exits.NOTHING_TO_DO if exit_zero else exits.of_findings(report, fail_on)
