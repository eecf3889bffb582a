"""The way through the update: who can, who will, what is left over."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from rbacguard.cli import options
from rbacguard.cli.source import Source, collected, from_source
from rbacguard.output import exits

if TYPE_CHECKING:
    from rbacguard.snapshot import AggregateMode


@click.command()
@from_source()
@options.aggregate
@options.approvals
@options.policies
@options.today
@click.option(
    "--to",
    "target",
    metavar="VERSION",
    help="Release whose update is simulated; by default 4.19 where that is ahead.",
)
@options.fail_on
@click.option(
    "--cross-check",
    is_flag=False,
    flag_value="sample",
    type=click.Choice(["sample", "all"]),
    help="Ask the API server itself, by access reviews, which create nothing, and report where it "
    "disagrees: a sample of the answers, or all.",
)
@click.option(
    "--include-vms",
    is_flag=True,
    help="Also read VMs, nodes, pods, and storage, and include the readiness report.",
)
@options.exit_zero
@collected(options.KNOWN, "known")
@options.output
def audit(
    source: Source,
    aggregate: AggregateMode,
    approvals: str | None,
    policy_folders: tuple[str, ...],
    today: datetime.datetime | None,
    target: str | None,
    fail_on: str,
    cross_check: str | None,
    include_vms: bool,
    exit_zero: bool,
    known: dict[str, Any],
    **shown: Any,
) -> int:
    """Show who can migrate today and why, and the findings of all policies."""
    from rbacguard.kubevirt.releases import parse_release
    from rbacguard.output import reports
    from rbacguard.output.suppress import suppressed_findings
    from rbacguard.policy import Category, Context, evaluate
    from rbacguard.update.status import status as journey

    found_policies, selection = options.selected(policy_folders, known, Category.RBAC)
    suppression = options.suppression(known, options.day(today))
    if cross_check and source.filenames:
        raise click.UsageError("--cross-check asks a cluster; -f reads files")
    access = None
    if approvals:
        # Imported here: pydantic, which reads them, takes long to load.
        from rbacguard.approvals.model import load_approvals

        access = load_approvals(approvals)
    drains = None
    if include_vms:
        from rbacguard.cli.readiness import readiness_report

        about = options.selected(policy_folders, known, Category.READINESS)
        snapshot = source.workloads("readiness", mode=aggregate)
        at = (today or datetime.datetime.now(datetime.UTC)).replace(tzinfo=datetime.UTC)
        drains = readiness_report(snapshot, at, source, *about)
        drains = suppressed_findings(drains, suppression)
    else:
        snapshot = source.snapshot(aggregate)
    context = Context(
        snapshot,
        today=options.day(today, snapshot),
        target=parse_release(target) if target else None,
        approvals=access,
        inputs=source.arguments,
        reviews=source.cross_check(snapshot, cross_check) if cross_check else None,
    )
    results = evaluate(found_policies, context, selection)
    report = suppressed_findings(reports.audit(context, journey(snapshot), results), suppression)
    if drains is not None:
        from msgspec.structs import replace

        # What is to be done about exemptions is said once, of both.
        report = replace(report, readiness=replace(drains, exemptions=[]))
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_audit(report, fail_on)


@click.command()
@from_source()
@options.target
@options.from_release
@options.aggregate
@options.exit_zero
@options.output
def plan(
    source: Source,
    target: str,
    from_release: str | None,
    aggregate: AggregateMode,
    exit_zero: bool,
    **shown: Any,
) -> int:
    """Simulate the update: who keeps, loses and gains what, under each strategy.

    Exits 1 when anybody loses access if nothing is done.
    """
    from rbacguard.kubevirt.releases import parse_release
    from rbacguard.output import reports
    from rbacguard.update.plan import make_plan

    release = parse_release(target)
    known = parse_release(from_release) if from_release else None
    snapshot = source.snapshot(aggregate)
    report = reports.plan(make_plan(snapshot, release, known), snapshot)
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_plan(report)


@click.command()
@from_source()
@click.option(
    "--approvals",
    required=True,
    metavar="FILE",
    type=options.PATH,
    help="The approvals file (kind: MigrationAccess).",
)
@options.before
@options.warn_before
@options.today
@options.exit_zero
@options.output
def verify(
    source: Source,
    approvals: str,
    before: tuple[str, ...],
    warn_before: datetime.timedelta,
    today: datetime.datetime | None,
    exit_zero: bool,
    **shown: Any,
) -> int:
    """After the update: is everything as approved, and nothing left over."""
    from rbacguard.approvals.check import check_approvals, warning_messages
    from rbacguard.approvals.model import load_approvals
    from rbacguard.output import reports
    from rbacguard.update import verify as verification

    access = load_approvals(approvals)
    snapshot = source.snapshot()
    day = options.day(today, snapshot)
    found = verification.verify(
        snapshot,
        access,
        before=Source(filenames=before).snapshot() if before else None,
        today=day,
    )
    issues = check_approvals(access, snapshot, today=day, warn_before=warn_before)
    report = reports.verify(found, warning_messages(issues))
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_verify(report)


@click.command()
@from_source(files=False)
@click.option(
    "--approvals",
    required=True,
    metavar="FILE",
    type=options.PATH,
    help="The approvals file (kind: MigrationAccess).",
)
@options.before
@click.option(
    "--deadline",
    type=options.DURATION,
    default="30m",
    show_default=True,
    metavar="TIME",
    help="When to give up, such as 90s, 30m or 2h.",
)
@click.option(
    "--interval",
    type=options.DURATION,
    default="10s",
    show_default=True,
    metavar="TIME",
    help="How long to wait between two looks.",
)
@options.warn_before
@options.today
@options.output
def watch(
    source: Source,
    approvals: str,
    before: tuple[str, ...],
    deadline: float,
    interval: float,
    warn_before: datetime.timedelta,
    today: datetime.datetime | None,
    **shown: Any,
) -> int:
    """Verify the cluster until it is clean or time is up; exits as verify does.

    What is still missing goes to standard error whenever it changes, the last report to standard
    output.
    """
    import gc
    import time

    from rbacguard.approvals.check import check_approvals, warning_messages
    from rbacguard.approvals.model import load_approvals
    from rbacguard.output import reports
    from rbacguard.update import verify as verification
    from rbacguard.update.watch import poll_until_passed

    access = load_approvals(approvals)
    old = Source(filenames=before).snapshot() if before else None

    def look() -> verification.Verification:
        gc.collect()  # what the look before left
        snapshot = source.snapshot()
        return verification.verify(snapshot, access, before=old, today=options.day(today, snapshot))

    looks = poll_until_passed(
        look, deadline=deadline, interval=interval, clock=time.monotonic, sleep=time.sleep
    )
    found = options.last_shown(looks)
    issues = check_approvals(
        access, found.snapshot, today=options.day(today), warn_before=warn_before
    )
    report = reports.verify(found, warning_messages(issues))
    options.show(report, **shown)
    return exits.of_verify(report)


@click.command()
@from_source()
@options.output
def status(source: Source, **shown: Any) -> int:
    """Tell which step of the update the cluster is at, and the next one."""
    from rbacguard.output import reports
    from rbacguard.update.status import status as journey

    snapshot = source.snapshot()
    report = reports.status(journey(snapshot), snapshot, source.arguments)
    options.show(report, **shown)
    return exits.INCOMPLETE if report.step == "unknown" else exits.NOTHING_TO_DO


@click.command()
@click.argument("old", metavar="OLD.json")
@click.argument("new", metavar="NEW.json")
@options.exit_zero
@options.output
def compare(old: str, new: str, exit_zero: bool, **shown: Any) -> int:
    """Compare two reports of 'audit -o json': findings that are new or gone, and holders.

    Exits 1 on new findings or new holders.
    """
    from rbacguard.output.comparing import compare as compared

    report = compared(old, new)
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_compare(report)
