"""The commands; a body is: open, one call, show, exit code."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from rbacguard import __version__
from rbacguard.cli import options
from rbacguard.cli.delivery import approvals, generate, lint
from rbacguard.cli.fleet import fleet
from rbacguard.cli.source import Source, collected, from_source
from rbacguard.output import exits
from rbacguard.visible import visible

if TYPE_CHECKING:
    from decimal import Decimal

    from rbacguard.checks import Machines
    from rbacguard.output import wire
    from rbacguard.policy import Policy, Selection
    from rbacguard.snapshot import AggregateMode, Snapshot

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "RBACGUARD",
    "max_content_width": 100,
}


HELP = """Audit and plan live-migration access for OpenShift Virtualization and KubeVirt.

Reads the cluster that you are logged in to, or with -f a dump of one, and never changes anything:
only get and list are asked. Start with 'rbacguard audit' and 'rbacguard plan --to 4.20'; 'rbacguard
permissions' prints what the tool needs to be allowed. A dump is made with 'rbacguard snapshot', or:

\b
oc get clusterroles,clusterrolebindings,roles,rolebindings,namespaces,groups,\\
hyperconvergeds,kubevirts -A -o json > cluster.json

Exit codes: 0 nothing to do, 1 findings or access lost or not clean, 2 wrong usage or bad input,
3 what could be read does not suffice for an answer.
"""


SAVE = "rbacguard snapshot -o cluster.json.zst"
START = """rbacguard tells who may migrate virtual machines, before and after the update to 4.19.
It only reads, and writes files for review.

{read}

  1. rbacguard audit{input}
     who can migrate today and why, and what to mend
  2. rbacguard plan{input} --to 4.20
     who loses what by the update, and the ways of dealing with it
  3. rbacguard generate{input} --to 4.20 --out live-migration
     manifests, approvals file and a summary, for review in Git
  4. rbacguard verify{input} --approvals live-migration/approvals.yaml
     after the update: everything as approved, nothing left over

'rbacguard status{input}' tells which step is next; 'rbacguard --help' lists all commands.
"""


class NotReadError(Exception):
    """Whoever read the output closed it."""


class _Commands(click.Group):
    """The commands, whose broken pipe is no finding: click itself would exit with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            NotReadError: whoever read its output closed it.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise NotReadError from None


@click.group(
    cls=_Commands,
    context_settings=CONTEXT,
    help=HELP,
    invoke_without_command=True,
    # As newer versions of click word it; older ones leave the brackets out.
    subcommand_metavar="[COMMAND] [ARGS]...",
)
@click.version_option(__version__, "--version", prog_name="rbacguard")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Hold the commands; without one, tell where to start."""
    if ctx.invoked_subcommand is None:
        place = visible(Source().place)
        read = f"The commands below read the cluster that you are logged in to: {place}"
        if not place:
            read = f"No cluster is configured here. Where one is, this saves a dump:\n\n  {SAVE}"
        given = "" if place else " -f cluster.json.zst"
        click.echo(START.format(read=read, input=given), nl=False)


@cli.command()
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
    "--machines",
    "with_machines",
    is_flag=True,
    help="Read machines, nodes and storage too, and add what `readiness` tells of them.",
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
    with_machines: bool,
    exit_zero: bool,
    known: dict[str, Any],
    **shown: Any,
) -> int:
    """Show who can migrate today and why, and the findings of all policies."""
    from rbacguard.checks import Context, Machines
    from rbacguard.kubevirt.releases import find_release
    from rbacguard.output import reports
    from rbacguard.output.suppress import suppressed_findings
    from rbacguard.policy import About, evaluate
    from rbacguard.update.approvals import load_approvals
    from rbacguard.update.journey import status as journey

    found_policies, selection = options.selected(policy_folders, known, About.ACCESS)
    suppression = options.suppression(known, options.day(today))
    if cross_check and source.filenames:
        raise click.UsageError("--cross-check asks a cluster; -f reads files")
    drains = None
    if with_machines:
        about = options.selected(policy_folders, known, About.MACHINES)
        inventory, snapshot = source.machines("readiness", mode=aggregate)
        at = (today or datetime.datetime.now(datetime.UTC)).replace(tzinfo=datetime.UTC)
        drains = _readiness(Machines(inventory, at), snapshot, source, *about)
        drains = suppressed_findings(drains, suppression)
    else:
        snapshot = source.snapshot(aggregate)
    context = Context(
        snapshot,
        today=options.day(today, snapshot),
        target=find_release(target) if target else None,
        access=load_approvals(approvals) if approvals else None,
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


@cli.command()
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
    from rbacguard.kubevirt.releases import find_release
    from rbacguard.output import reports
    from rbacguard.update.plan import make_plan

    release = find_release(target)
    known = find_release(from_release) if from_release else None
    snapshot = source.snapshot(aggregate)
    report = reports.plan(make_plan(snapshot, release, known), snapshot)
    del snapshot  # of a large cluster, no room for it beside what is written
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_plan(report)


@cli.command()
@from_source()
@click.option(
    "--approvals", required=True, metavar="FILE", help="The approvals file (kind: MigrationAccess)."
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
    from rbacguard.output import reports
    from rbacguard.update import verify as verification
    from rbacguard.update.approvals import load_approvals
    from rbacguard.update.review import review, warnings

    access = load_approvals(approvals)
    snapshot = source.snapshot()
    day = options.day(today, snapshot)
    found = verification.verify(
        snapshot,
        access,
        before=Source(filenames=before).snapshot() if before else None,
        today=day,
    )
    remarks = review(access, snapshot, today=day, warn_before=warn_before)
    report = reports.verify(found, warnings(remarks))
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_verify(report)


@cli.command()
@from_source(files=False)
@click.option(
    "--approvals", required=True, metavar="FILE", help="The approvals file (kind: MigrationAccess)."
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

    from rbacguard.output import reports
    from rbacguard.update import verify as verification
    from rbacguard.update.approvals import load_approvals
    from rbacguard.update.review import review, warnings
    from rbacguard.update.watch import until_clean

    access = load_approvals(approvals)
    old = Source(filenames=before).snapshot() if before else None

    def look() -> verification.Verification:
        gc.collect()  # what the look before left
        snapshot = source.snapshot()
        return verification.verify(snapshot, access, before=old, today=options.day(today, snapshot))

    looks = until_clean(
        look, deadline=deadline, interval=interval, clock=time.monotonic, sleep=time.sleep
    )
    found = options.last_shown(looks)
    remarks = review(access, found.snapshot, today=options.day(today), warn_before=warn_before)
    report = reports.verify(found, warnings(remarks))
    options.show(report, **shown)
    return exits.of_verify(report)


@cli.command()
@from_source()
@options.output
def status(source: Source, **shown: Any) -> int:
    """Tell which step of the update the cluster is at, and the next one."""
    from rbacguard.output import reports
    from rbacguard.update.journey import status as journey

    snapshot = source.snapshot()
    report = reports.status(journey(snapshot), snapshot, source.arguments)
    options.show(report, **shown)
    return exits.INCOMPLETE if report.step == "unknown" else exits.NOTHING_TO_DO


@cli.command()
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
    from rbacguard.checks import Machines
    from rbacguard.output.suppress import suppressed_findings
    from rbacguard.policy import About

    about = options.selected(policy_folders, known, About.MACHINES)
    suppression = options.suppression(known, at.date())
    inventory, snapshot = source.machines()
    machines = Machines(inventory, at, link)
    if emit_tuning:
        from rbacguard.manifests.tuning import tuning

        options.stop_working()
        click.echo(tuning(inventory, machines.readiness, link), nl=False)
        return exits.NOTHING_TO_DO
    report = suppressed_findings(_readiness(machines, snapshot, source, *about), suppression)
    options.show(report, **shown)
    return exits.NOTHING_TO_DO if exit_zero else exits.of_readiness(report, fail_on)


def _readiness(
    machines: Machines,
    snapshot: Snapshot,
    source: Source,
    policies: tuple[Policy, ...],
    selection: Selection,
) -> wire.ReadinessReport:
    """Judge machines and ask the policies that are about them."""
    from rbacguard.checks import Context
    from rbacguard.output import readiness as output
    from rbacguard.policy import evaluate

    today = machines.now.date()
    context = Context(snapshot, today=today, inputs=source.arguments, machines=machines)
    results = evaluate(policies, context, selection)
    return output.report(machines.readiness, machines.inventory, results)


@cli.command()
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
    from rbacguard.checks import Context, Machines
    from rbacguard.output import migrations as output
    from rbacguard.output.suppress import suppressed_findings
    from rbacguard.policy import About, evaluate
    from rbacguard.sources.audit import read_audit_logs
    from rbacguard.update.evidence import unused, uses

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


@cli.command("who-can")
@click.argument("verb")
@click.argument("resource", metavar="RESOURCE[.GROUP]")
@click.argument("name", default="")
@options.subresource
@options.namespace
@click.option("-A", "--all-namespaces", is_flag=True, help="In every namespace.")
@from_source(namespaces=False)
@options.aggregate
@options.output
def who_can(
    verb: str,
    resource: str,
    name: str,
    subresource: str,
    namespace: str | None,
    all_namespaces: bool,
    source: Source,
    aggregate: AggregateMode,
    **shown: Any,
) -> int:
    """List who may do something, with the chain that grants it.

    Without -n or -A it asks about the whole cluster: RoleBindings do not count then. RESOURCE may
    be a URL path such as /healthz.
    """
    from rbacguard.output import reports
    from rbacguard.rbac import Attributes

    if namespace and all_namespaces:
        raise click.UsageError("give -n or -A, not both")
    asked = Attributes(**options.attributes(verb, resource, name, subresource, namespace))
    snapshot = source.snapshot(aggregate, namespace=namespace)
    report = reports.who_can(snapshot, asked, everywhere=all_namespaces)
    options.show(report, **shown)
    return exits.of_gaps(report.gaps)


@cli.command("can-i")
@click.argument("verb")
@click.argument("resource", metavar="RESOURCE[.GROUP]")
@click.argument("name", default="")
@click.option("--as", "user", required=True, metavar="USER", help="User to ask for.")
@click.option(
    "--as-group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="Group of that user; by default those of the input that list him. Repeatable.",
)
@options.subresource
@options.namespace
@from_source(namespaces=False, impersonation=False)
@options.aggregate
@options.exit_zero
@options.output
def can_i(
    verb: str,
    resource: str,
    name: str,
    user: str,
    groups: tuple[str, ...],
    subresource: str,
    namespace: str | None,
    source: Source,
    aggregate: AggregateMode,
    exit_zero: bool,
    **shown: Any,
) -> int:
    """Tell whether a user may do something; exits 0 for yes, 1 for no, 3 for not known."""
    from rbacguard.output import reports
    from rbacguard.rbac import Attributes
    from rbacguard.update.ask import decide

    fields = options.attributes(verb, resource, name, subresource, namespace)
    asked = Attributes(**fields, user=user, groups=groups)
    snapshot = source.snapshot(aggregate, namespace=namespace)
    answer = decide(snapshot, asked)
    report = reports.can_i(answer, snapshot)
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_can_i(report)


@cli.command()
@click.argument("subject")
@from_source()
@options.aggregate
@options.output
def explain(subject: str, source: Source, aggregate: AggregateMode, **shown: Any) -> int:
    """Show what a subject holds that leads to a migration, and what to delete to revoke it.

    SUBJECT is a name, or user/NAME, group/NAME or sa/NAMESPACE/NAME.
    """
    from rbacguard.output import reports
    from rbacguard.update import ask

    snapshot = source.snapshot(aggregate)
    report = reports.explain(subject, ask.explain(snapshot, subject), snapshot)
    options.show(report, **shown)
    return exits.of_gaps(report.gaps)


@cli.command()
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="[AFTER]", required=False)
@from_source(files=False)
@options.aggregate
@options.exit_zero
@options.output
def diff(
    before: str,
    after: str | None,
    source: Source,
    aggregate: AggregateMode,
    exit_zero: bool,
    **shown: Any,
) -> int:
    """Show what access to migration was gained and lost between two dumps; exits 1 on a change.

    Without AFTER, the cluster is what came after.
    """
    from rbacguard.output import reports
    from rbacguard.update.compare import compare

    files = Source(filenames=(after,)) if after else source
    found = compare(Source(filenames=(before,)).snapshot(aggregate), files.snapshot(aggregate))
    report = reports.diff(found)
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_diff(report)


@cli.command()
@from_source()
@options.file
@click.option(
    "--redact",
    is_flag=True,
    help="Replace the names of users, groups and namespaces, always alike, to give it away.",
)
@click.option(
    "--machines",
    is_flag=True,
    help="Save machines, nodes and storage too, for 'readiness' and 'migrations'.",
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def snapshot(source: Source, file: str, redact: bool, machines: bool, force: bool) -> int:
    """Save what an audit needs of a cluster; every command reads it with -f.

    Nothing secret is in it, and for the same state of the cluster its content is the same.
    """
    if redact and machines:
        raise click.UsageError(
            "--redact does not go with --machines: names stand in what KubeVirt says of machines"
        )
    found = source.machines("readiness")[1] if machines else source.snapshot()
    found = found.redacted() if redact else found
    options.save(found, file, force=force)
    return exits.of_gaps(list(found.coverage.gaps()))


@cli.command()
@click.argument("command", default="audit", metavar="[COMMAND]")
@click.option("--cross-check", is_flag=True, help="With what 'audit --cross-check' needs.")
@click.option(
    "--subject",
    default="sa/rbacguard/rbacguard",
    show_default=True,
    metavar="SUBJECT",
    help="Who is to be allowed: user/NAME, group/NAME or sa/NAMESPACE/NAME.",
)
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NS",
    help="Roles and RoleBindings of this namespace only. Repeatable.",
)
def permissions(command: str, cross_check: bool, subject: str, namespaces: tuple[str, ...]) -> int:
    """Print the smallest ClusterRole and binding with which COMMAND (audit) can read a cluster."""
    from rbacguard.cluster import access_rules
    from rbacguard.kubevirt.releases import RELEASES
    from rbacguard.manifests import permission_manifests

    text = permission_manifests(
        f"rbacguard-{command}",
        access_rules(command, cross_check=cross_check),
        options.subject(subject),
        namespaces=namespaces,
        kubernetes_version=RELEASES[-1].kubernetes_version,
    )
    click.echo(text, nl=False)
    return exits.NOTHING_TO_DO


@cli.command()
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


@cli.command()
@click.argument("policy_id", metavar="[ID]", required=False, shell_complete=options.complete_rules)
@options.policies
@options.output
def rules(policy_id: str | None, policy_folders: tuple[str, ...], **shown: Any) -> int:
    """List the policies and the rules of lint, or explain one."""
    from rbacguard.lint import RULES
    from rbacguard.output import reports
    from rbacguard.policy import load_policies

    options.show(reports.rules(load_policies(policy_folders), RULES, policy_id), **shown)
    return exits.NOTHING_TO_DO


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print a shell's completion script, as in: source <(rbacguard completion bash)."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(made(cli, {}, "rbacguard", "_RBACGUARD_COMPLETE").source())
    return exits.NOTHING_TO_DO


@cli.command()
@click.argument("report", required=False)
def schema(report: str | None) -> int:
    """Print the JSON Schema of a report, of saved snapshots or of approvals, or list them."""
    from rbacguard.output.formats import SCHEMAS
    from rbacguard.output.formats import schema as of

    if report is not None and report not in SCHEMAS:
        raise click.UsageError(f"no schema {report!r}; there are {', '.join(SCHEMAS)}")
    click.echo(of(report) if report else "\n".join(SCHEMAS), nl=report is None)
    return exits.NOTHING_TO_DO


for each in (generate, approvals, lint, fleet):
    cli.add_command(each)
