"""The commands; a body is: open, one call, show, exit code."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from rbacguard import __version__
from rbacguard.cli import exits, options
from rbacguard.cli.source import Source, from_source

if TYPE_CHECKING:
    from rbacguard.snapshot import AggregateMode

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


@click.group(context_settings=CONTEXT, help=HELP)
@click.version_option(__version__, "--version", prog_name="rbacguard")
def cli() -> None:
    """Hold the commands."""


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
@click.option(
    "--fail-on",
    type=click.Choice(exits.SEVERITIES),
    default="medium",
    show_default=True,
    help="Exit 1 on findings of this severity or above.",
)
@click.option(
    "--cross-check",
    is_flag=False,
    flag_value="sample",
    type=click.Choice(["sample", "all"]),
    help="Ask the API server itself, by access reviews, which create nothing, and report where it "
    "disagrees: a sample of the answers, or all.",
)
@options.exit_zero
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
    exit_zero: bool,
    **shown: Any,
) -> int:
    """Show who can migrate today and why, and the findings of all policies."""
    from rbacguard.checks import Context
    from rbacguard.kubevirt.releases import find_release
    from rbacguard.output import reports
    from rbacguard.policy import evaluate, load_policies
    from rbacguard.update.approvals import load_approvals
    from rbacguard.update.journey import status as journey

    found_policies = load_policies(policy_folders)
    if cross_check and source.filenames:
        raise click.UsageError("--cross-check asks a cluster; -f reads files")
    snapshot = source.snapshot(aggregate)
    context = Context(
        snapshot,
        today=options.day(today),
        target=find_release(target) if target else None,
        access=load_approvals(approvals) if approvals else None,
        inputs=source.arguments,
        reviews=source.cross_check(snapshot, cross_check) if cross_check else None,
    )
    report = reports.audit(context, journey(snapshot), evaluate(found_policies, context))
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
    snapshot = source.snapshot(aggregate)
    found = make_plan(snapshot, release, find_release(from_release) if from_release else None)
    report = reports.plan(found, snapshot)
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_plan(report)


@cli.command()
@from_source()
@click.option(
    "--to",
    "target",
    metavar="VERSION",
    help="Release to update to; by default the installed one, for a cluster at 4.19 or later.",
)
@options.from_release
@click.option("--out", required=True, metavar="DIR", help="Folder to write.")
@click.option(
    "--strategy",
    type=click.Choice(["prebind", "temporary-role"]),
    default="prebind",
    show_default=True,
    help="Bindings made before the update, or a temporary role and bindings after it.",
)
@click.option(
    "--temporary-role",
    type=click.Choice(["admin", "edit", "none"]),
    help="Widest tier that keeps migration for a while; edit writes both roles. "
    "By default admin with --strategy temporary-role, none otherwise.",
)
@click.option(
    "--restore-default",
    type=click.Choice(["admin", "edit"]),
    help="Give the old default back after the update: label kubevirt.io:migrate for "
    "administrators, or for editors too.",
)
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Last day of a temporary role, written as an annotation that audit looks at.",
)
@options.approvals
@options.today
@click.option(
    "--force",
    is_flag=True,
    help="Write beside files of others, and write a temporary role on 4.19 or later, where it "
    "grants instead of preserving.",
)
@click.option(
    "--as-applier",
    "applier",
    default="",
    metavar="USER",
    help="Tell what this user, or system:serviceaccount:NS:NAME, lacks to apply it; exits 1 then.",
)
@click.option(
    "--guard",
    is_flag=True,
    help="Write admission policies that keep the cluster clean after the clean-up.",
)
@click.option(
    "--manager",
    "managers",
    multiple=True,
    metavar="USER",
    help="User name that alone may hand migration out, under the guard. Repeatable.",
)
@click.option(
    "--guard-namespace",
    default="openshift-cnv",
    show_default=True,
    metavar="NS",
    help="Where the guard keeps the approvals that it looks at.",
)
@click.option(
    "--layout",
    type=click.Choice(["plain", "kustomize", "argocd", "flux", "acm"]),
    default="plain",
    show_default=True,
    help="For whom the files are laid out.",
)
@click.option(
    "--step",
    type=click.Choice(["10-before-update", "20-after-update", "30-clean-up"]),
    help="Step that the kustomization at the top names; by default the one the cluster is at.",
)
@click.option("--repo-url", default="", metavar="URL", help="Git repository, for Argo CD.")
@click.option(
    "--repo-path",
    default=".",
    show_default=True,
    metavar="PATH",
    help="Path of the folder in the Git repository, for Argo CD and Flux.",
)
@click.option(
    "--repo-revision",
    default="HEAD",
    show_default=True,
    metavar="REF",
    help="Branch or tag that Argo CD follows.",
)
@click.option(
    "--flux-source",
    default="flux-system",
    show_default=True,
    metavar="NAME",
    help="Flux's GitRepository.",
)
@click.option(
    "--policy-namespace",
    default="rbacguard-policies",
    show_default=True,
    metavar="NS",
    help="Namespace of ACM's policies on the hub.",
)
@click.option(
    "--remediation",
    type=click.Choice(["inform", "enforce"]),
    default="inform",
    show_default=True,
    help="What ACM's policies do; what could delete KubeVirt's own role always informs only.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; exit 1 if the folder is not what would be generated.",
)
@options.output
def generate(
    source: Source,
    target: str | None,
    from_release: str | None,
    out: str,
    strategy: str,
    temporary_role: str | None,
    restore_default: str | None,
    expires: datetime.datetime | None,
    approvals: str | None,
    today: datetime.datetime | None,
    force: bool,
    applier: str,
    guard: bool,
    managers: tuple[str, ...],
    guard_namespace: str,
    layout: str,
    step: str | None,
    repo_url: str,
    repo_path: str,
    repo_revision: str,
    flux_source: str,
    policy_namespace: str,
    remediation: str,
    check: bool,
    **shown: Any,
) -> int:
    """Write manifests and a summary for a GitOps review.

    Without --approvals it writes an approvals file to review, with nothing approved.
    """
    from pathlib import Path

    from rbacguard.kubevirt.installed import default_target
    from rbacguard.kubevirt.releases import find_release
    from rbacguard.manifests import (
        Delivery,
        GenerateStrategy,
        Layout,
        Request,
        delivery_warnings,
        differences,
        make_bundle,
        step_of,
        write_bundle,
    )
    from rbacguard.output import reports
    from rbacguard.update.approvals import load_approvals
    from rbacguard.update.plan import make_plan
    from rbacguard.update.review import review, warnings

    access = load_approvals(approvals) if approvals else None
    snapshot = source.snapshot()
    release = find_release(target) if target else default_target(snapshot)
    found = make_plan(snapshot, release, find_release(from_release) if from_release else None)
    request = Request(
        strategy=GenerateStrategy(strategy),
        temporary_role=temporary_role or ("admin" if strategy == "temporary-role" else "none"),
        restore_default={None: (), "admin": ("admin",), "edit": ("admin", "edit")}[restore_default],
        access=access,
        expires=expires.date() if expires else None,
        force=force,
        today=options.day(today),
        version=__version__,
        applier=applier,
        guard=guard,
        managers=managers,
        guard_namespace=guard_namespace,
        delivery=Delivery(
            layout=Layout(layout),
            step=step or step_of(snapshot, found),
            repository=repo_url,
            path=repo_path,
            revision=repo_revision,
            source=flux_source,
            policy_namespace=policy_namespace,
            remediation=remediation,
        ),
    )
    bundle = make_bundle(snapshot, found, request)
    remarks = review(access, snapshot, today=options.day(today)) if access else ()
    different = differences(bundle.files, Path(out)) if check else None
    changed = False if check else write_bundle(bundle.files, Path(out), force=force)
    report = reports.generate(
        out,
        bundle,
        found,
        snapshot,
        changed=changed,
        more=(*warnings(remarks), *delivery_warnings(snapshot, applier)),
        different=different,
    )
    options.show(report, **shown)
    return exits.of_generate(report)


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
    found = verification.verify(
        snapshot,
        access,
        before=Source(filenames=before).snapshot() if before else None,
        today=options.day(today),
    )
    remarks = review(access, snapshot, today=options.day(today), warn_before=warn_before)
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
    import time

    from rbacguard.output import reports
    from rbacguard.update import verify as verification
    from rbacguard.update.approvals import load_approvals
    from rbacguard.update.review import review, warnings
    from rbacguard.update.watch import until_clean

    access = load_approvals(approvals)
    old = Source(filenames=before).snapshot() if before else None

    def look() -> verification.Verification:
        snapshot = source.snapshot()
        return verification.verify(snapshot, access, before=old, today=options.day(today))

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
    report = reports.status(journey(snapshot), snapshot)
    options.show(report, **shown)
    return exits.INCOMPLETE if report.step == "unknown" else exits.NOTHING_TO_DO


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
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def snapshot(source: Source, file: str, redact: bool, force: bool) -> int:
    """Save what an audit needs of a cluster; every command reads it with -f.

    Nothing secret is in it, and for the same state of the cluster its content is the same.
    """
    found = source.snapshot()
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


@cli.group()
def approvals() -> None:
    """Make, check and bring up to date the file that says who may migrate where."""


@approvals.command("init")
@from_source()
@options.target
@options.from_release
@options.file
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def approvals_init(
    source: Source, target: str, from_release: str | None, file: str, force: bool
) -> int:
    """Write an approvals file for those who lose migration; nothing in it is approved."""
    from rbacguard.kubevirt.releases import find_release
    from rbacguard.manifests import render_approvals
    from rbacguard.update.plan import make_plan
    from rbacguard.update.proposal import proposal

    snapshot = source.snapshot()
    found = make_plan(
        snapshot, find_release(target), find_release(from_release) if from_release else None
    )
    options.write(file, render_approvals(proposal(snapshot, found)).encode(), force=force)
    return exits.of_gaps(list(found.gaps))


@approvals.command("check")
@click.argument("file", metavar="FILE")
@from_source()
@options.warn_before
@options.today
@options.exit_zero
@options.output
def approvals_check(
    file: str,
    source: Source,
    warn_before: datetime.timedelta,
    today: datetime.datetime | None,
    exit_zero: bool,
    **shown: Any,
) -> int:
    """Hold an approvals file against the cluster: unknown names, ends, and what is too broad.

    Exits 1 on errors and warnings.
    """
    from rbacguard.output import reports
    from rbacguard.update.approvals import load_approvals
    from rbacguard.update.review import review

    access = load_approvals(file)
    snapshot = source.snapshot()
    remarks = review(access, snapshot, today=options.day(today), warn_before=warn_before)
    report = reports.approvals(file, access, remarks, snapshot, options.day(today))
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_approvals(report)


@approvals.command("merge")
@click.argument("file", metavar="FILE")
@from_source()
@options.target
@options.from_release
@click.option("-o", "--output", "out", metavar="FILE", help="Write here; '-' is stdout.")
def approvals_merge(
    file: str, source: Source, target: str, from_release: str | None, out: str | None
) -> int:
    """Add those who stand in no decision yet, undecided; decisions and comments stay as they are.

    Without -o the file itself is rewritten, whole or not at all.
    """
    from rbacguard.kubevirt.releases import find_release
    from rbacguard.manifests import merged_approvals
    from rbacguard.update.approvals import load_approvals
    from rbacguard.update.plan import make_plan
    from rbacguard.update.proposal import newcomers, proposal

    access = load_approvals(file)
    snapshot = source.snapshot()
    found = make_plan(
        snapshot, find_release(target), find_release(from_release) if from_release else None
    )
    added = newcomers(access.resolved(snapshot), proposal(snapshot, found))
    options.write(out or file, merged_approvals(file, access, added), force=True)
    count = len(added.approvals) + len(added.holders)
    click.echo(f"rbacguard: {out or file}: {count} to decide on were added", err=True)
    return exits.of_gaps(list(found.gaps))


@cli.command()
@click.argument("policy_id", metavar="[ID]", required=False)
@options.policies
@options.output
def rules(policy_id: str | None, policy_folders: tuple[str, ...], **shown: Any) -> int:
    """List the policies, or explain one."""
    from rbacguard.output import reports
    from rbacguard.policy import load_policies

    options.show(reports.rules(load_policies(policy_folders), policy_id), **shown)
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
