"""The commands around what people review: approvals, the bundle that follows, and lint."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rbacguard import __version__
from rbacguard.cli import options
from rbacguard.cli.source import Source, collected, from_source
from rbacguard.output import exits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_GUARD = (
    click.option(
        "--guard",
        is_flag=True,
        help="Write admission policies that keep the cluster clean after the clean-up.",
    ),
    click.option(
        "--manager",
        "managers",
        multiple=True,
        metavar="USER",
        help="User name that alone may hand migration out, under the guard. Repeatable.",
    ),
    click.option(
        "--guard-namespace",
        default="openshift-cnv",
        show_default=True,
        metavar="NS",
        help="Where the guard keeps the approvals that it looks at.",
    ),
)
_JOB = (
    click.option(
        "--image", default="", metavar="IMAGE", help="Image of rbacguard, for --layout cronjob."
    ),
    click.option(
        "--publish-image",
        default="quay.io/openshift/origin-cli:latest",
        show_default=True,
        metavar="IMAGE",
        help="Image with sh and kubectl that publishes what the job found.",
    ),
    click.option(
        "--publish",
        type=click.Choice(["configmap", "policyreport", "openreports"]),
        default="configmap",
        show_default=True,
        help="What the job makes of its audit: a ConfigMap with a summary, or a report for "
        "clusters that collect them.",
    ),
    click.option(
        "--schedule", default="17 6 * * *", show_default=True, metavar="CRON", help="When it runs."
    ),
    click.option(
        "--job-namespace",
        default="rbacguard",
        show_default=True,
        metavar="NS",
        help="Namespace of the job.",
    ),
)
_STEPS = ("10-before-update", "20-after-update", "30-clean-up")
_DELIVERY = (
    click.option(
        "--layout",
        type=click.Choice(["plain", "kustomize", "argocd", "flux", "acm", "cronjob"]),
        default="plain",
        show_default=True,
        help="For whom the files are laid out.",
    ),
    click.option(
        "--step",
        type=click.Choice([*_STEPS, *(f"90-rollback/{step}" for step in _STEPS)]),
        help="What the kustomization at the top names: a step, by default the one the cluster is "
        "at, or its rollback.",
    ),
    click.option(
        "--repo-url", "repository", default="", metavar="URL", help="Git repository, for Argo CD."
    ),
    click.option(
        "--repo-path",
        "path",
        default=".",
        show_default=True,
        metavar="PATH",
        type=options.PATH,
        help="Path of the folder in the Git repository, for Argo CD and Flux.",
    ),
    click.option(
        "--repo-revision",
        "revision",
        default="HEAD",
        show_default=True,
        metavar="REF",
        help="Branch or tag that Argo CD follows.",
    ),
    click.option(
        "--flux-source",
        default="flux-system",
        show_default=True,
        metavar="NAME",
        help="Flux's GitRepository.",
    ),
    click.option(
        "--policy-namespace",
        default="rbacguard-policies",
        show_default=True,
        metavar="NS",
        help="Namespace of ACM's policies on the hub.",
    ),
    click.option(
        "--remediation",
        type=click.Choice(["inform", "enforce"]),
        default="inform",
        show_default=True,
        help="What ACM's policies do; what could delete KubeVirt's own role always informs only.",
    ),
)


@click.command()
@from_source()
@click.option(
    "--to",
    "target",
    metavar="VERSION",
    help="Release to update to; by default the installed one, for a cluster at 4.19 or later.",
)
@options.from_release
@click.option("--out", required=True, metavar="DIR", type=options.PATH, help="Folder to write.")
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
@collected(_GUARD, "rails")
@collected(_DELIVERY, "delivery")
@collected(_JOB, "job")
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
    rails: dict[str, Any],
    delivery: dict[str, Any],
    job: dict[str, Any],
    check: bool,
    **shown: Any,
) -> int:
    """Write manifests and a summary for a GitOps review.

    Without --approvals it writes an approvals file to review, with nothing approved. With --layout
    cronjob it writes an audit that the cluster runs of itself, and reads nothing.
    """
    from pathlib import Path

    if delivery["layout"] == "cronjob":
        used = {"layout", "out", "check", "force", *job, *shown}
        _refuse_unused(lambda name: name not in used, "--layout cronjob does not look at")
        return _generate_job(job, Path(out), check=check, force=force, shown=shown)
    _refuse_unused(lambda name: name in job, "only --layout cronjob looks at")
    from rbacguard.approvals.check import check_approvals, warning_messages
    from rbacguard.approvals.model import load_approvals
    from rbacguard.kubevirt.installed import default_target
    from rbacguard.kubevirt.releases import parse_release
    from rbacguard.manifests import (
        Delivery,
        GenerateStrategy,
        Layout,
        Request,
        delivery_warnings,
        make_bundle,
        step_of,
    )
    from rbacguard.output import reports
    from rbacguard.update.plan import make_plan
    from rbacguard.writing import differences, write_bundle

    access = load_approvals(approvals) if approvals else None
    snapshot = source.snapshot()
    release = parse_release(target) if target else default_target(snapshot)
    found = make_plan(snapshot, release, parse_release(from_release) if from_release else None)
    request = Request(
        strategy=GenerateStrategy(strategy),
        temporary_role=temporary_role or ("admin" if strategy == "temporary-role" else "none"),
        restore_default={None: (), "admin": ("admin",), "edit": ("admin", "edit")}[restore_default],
        access=access,
        expires=expires.date() if expires else None,
        force=force,
        today=options.day(today, snapshot),
        version=__version__,
        applier=applier,
        approvals=Path(approvals).name if approvals else "approvals.yaml",
        delivery=Delivery(
            **{
                **delivery,
                "layout": Layout(delivery["layout"]),
                "step": delivery["step"] or step_of(snapshot, found),
            }
        ),
        **rails,
    )
    bundle = make_bundle(snapshot, found, request)
    issues = check_approvals(access, snapshot, today=options.day(today)) if access else ()
    different = differences(bundle.files, Path(out)) if check else None
    changed = False if check else write_bundle(bundle.files, Path(out), force=force)
    report = reports.generate(
        out,
        bundle,
        found,
        snapshot,
        changed=changed,
        more=(*warning_messages(issues), *delivery_warnings(snapshot, applier)),
        different=different,
    )
    options.show(report, **shown)
    return exits.of_generate(report)


def _refuse_unused(is_unused: Callable[[str], bool], why: str) -> None:
    """Refuse options that were typed and would make no difference.

    Raises:
        click.UsageError: there are some; all are named.
    """
    ctx = click.get_current_context()
    given = [
        param.opts[-1]
        for param in ctx.command.params
        if param.name
        and is_unused(param.name)
        and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{why} {', '.join(given)}; leave that out")


def _generate_job(
    job: dict[str, Any], out: Path, *, check: bool, force: bool, shown: dict[str, Any]
) -> int:
    from rbacguard.manifests import CronJob, Publish
    from rbacguard.output import reports
    from rbacguard.sources.live import access_rules
    from rbacguard.writing import differences, write_bundle

    if not job["image"]:
        raise click.UsageError("--layout cronjob needs --image, the image of rbacguard")
    made = CronJob(
        image=job["image"],
        publish_image=job["publish_image"],
        schedule=job["schedule"],
        namespace=job["job_namespace"],
        publish=Publish(job["publish"]),
        rules=tuple(access_rules("audit")),
        version=__version__,
    )
    files = made.files()
    different = differences(files, out) if check else None
    changed = False if check else write_bundle(files, out, force=force)
    report = reports.generate_job(str(out), files, changed=changed, different=different)
    options.show(report, **shown)
    return exits.of_generate(report)


@click.group()
def approvals() -> None:
    """Make, check and bring up to date the file that says who may migrate where."""


@approvals.command("init")
@from_source()
@options.target
@options.from_release
@options.audit_log
@options.file
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def approvals_init(
    source: Source,
    target: str,
    from_release: str | None,
    logs: tuple[str, ...],
    file: str,
    force: bool,
) -> int:
    """Write an approvals file for those who lose migration; nothing in it is approved."""
    from rbacguard.approvals.usage import extract_usage
    from rbacguard.kubevirt.releases import parse_release
    from rbacguard.manifests import render_approvals
    from rbacguard.sources.audit_log import read_audit_logs
    from rbacguard.update.plan import make_plan
    from rbacguard.update.propose import propose_approvals

    used = extract_usage(read_audit_logs(logs), None) if logs else None
    snapshot = source.snapshot()
    found = make_plan(
        snapshot, parse_release(target), parse_release(from_release) if from_release else None
    )
    options.write(
        file, render_approvals(propose_approvals(snapshot, found, used)).encode(), force=force
    )
    return exits.of_gaps(list(found.gaps))


@approvals.command("check")
@click.argument("file", metavar="FILE", type=options.PATH)
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
    from rbacguard.approvals.check import check_approvals
    from rbacguard.approvals.model import load_approvals
    from rbacguard.output import reports

    access = load_approvals(file)
    snapshot = source.snapshot()
    day = options.day(today, snapshot)
    issues = check_approvals(access, snapshot, today=day, warn_before=warn_before)
    report = reports.approvals(file, access, issues, snapshot, day)
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_approvals(report)


@approvals.command("merge")
@click.argument("file", metavar="FILE", type=options.PATH)
@from_source()
@options.target
@options.from_release
@click.option(
    "-o", "--output", "out", metavar="FILE", type=options.PATH, help="Write here; '-' is stdout."
)
def approvals_merge(
    file: str, source: Source, target: str, from_release: str | None, out: str | None
) -> int:
    """Add those who stand in no decision yet, undecided; decisions and comments stay as they are.

    Without -o the file itself is rewritten, whole or not at all.
    """
    from rbacguard.approvals.model import load_approvals
    from rbacguard.approvals.resolve import Decisions
    from rbacguard.kubevirt.releases import parse_release
    from rbacguard.manifests import merged_approvals
    from rbacguard.update.plan import make_plan
    from rbacguard.update.propose import new_entries, propose_approvals

    access = load_approvals(file)
    snapshot = source.snapshot()
    found = make_plan(
        snapshot, parse_release(target), parse_release(from_release) if from_release else None
    )
    decisions = Decisions(access.resolved(snapshot), options.day(None))
    added = new_entries(decisions, propose_approvals(snapshot, found))
    options.write(out or file, merged_approvals(file, access, added), force=True)
    count = len(added.approvals) + len(added.holders)
    click.echo(f"rbacguard: {out or file}: {count} to decide on were added", err=True)
    return exits.of_gaps(list(found.gaps))


@click.command()
@click.argument("paths", metavar="PATH...", type=options.PATH, nargs=-1, required=True)
@click.option(
    "--release",
    metavar="VERSION",
    help="Release that the cluster runs: OpenShift Virtualization (4.21) or KubeVirt (1.7).",
)
@click.option(
    "--kubernetes",
    default="",
    metavar="VERSION",
    help="Kubernetes version to validate for; by default the one below --release.",
)
@click.option(
    "--known-role",
    "known_roles",
    multiple=True,
    metavar="PATTERN",
    help="ClusterRole that something else installs, such as 'acme:*'. Repeatable.",
)
@click.option(
    "--diff", "only_diff", is_flag=True, help="Print what --fix would change, and nothing else."
)
@click.option("--fix", is_flag=True, help="Mend what is safe; shows the change first.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before --fix writes.")
@options.today
@options.fail_on
@options.exit_zero
@collected(options.KNOWN, "known")
@options.output
def lint(
    paths: tuple[str, ...],
    release: str | None,
    kubernetes: str,
    known_roles: tuple[str, ...],
    only_diff: bool,
    fix: bool,
    yes: bool,
    today: datetime.datetime | None,
    fail_on: str,
    exit_zero: bool,
    known: dict[str, Any],
    **shown: Any,
) -> int:
    """Check RBAC manifests in files and folders of a repository, or on standard input ('-').

    Templates are passed over: pipe what they render to, as in 'kustomize build | rbacguard lint -'.
    """
    from rbacguard.kubevirt.releases import parse_release
    from rbacguard.lint import RULES, LintRequest, fixed, write_fixed
    from rbacguard.lint import lint as run
    from rbacguard.output import reports
    from rbacguard.output.suppress import suppressed_lint
    from rbacguard.policy import Selection, load_policies

    if only_diff and fix:
        raise click.UsageError("--diff only shows what --fix would write; give one of them")
    selection = Selection(known["select"], known["ignore"])
    # One configuration serves audit as well: what names a policy is no mistake here.
    names = [*(rule.selectors for rule in RULES), *(policy.selectors for policy in load_policies())]
    selection.check_patterns(names)
    suppression = options.suppression(known, options.day(today))
    request = LintRequest(
        options.day(today),
        parse_release(release) if release else None,
        kubernetes,
        known_roles,
        selection,
    )
    found = run(paths, request)
    changes = fixed(found, request) if fix or only_diff else ()
    options.show_diffs((each.diff for each in changes), err=not only_diff)
    done = 0
    if fix and changes and options.confirmed(f"Write {len(changes)} files?", yes=yes):
        write_fixed(changes)
        done = sum(each.fixes for each in changes)
        found = run(paths, request)
    report = suppressed_lint(reports.lint(found, fixed=done), suppression)
    if not only_diff:
        options.show(report, **shown)
    return 0 if exit_zero else exits.of_lint(report, fail_on)
