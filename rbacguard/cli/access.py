"""Questions about access: who can, can he, why, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rbacguard.cli import options
from rbacguard.cli.source import Source, from_source
from rbacguard.output import exits

if TYPE_CHECKING:
    from rbacguard.snapshot import AggregateMode


@click.command("who-can")
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

    Without -n or -A it asks about the whole cluster: RoleBindings do not count then. RESOURCE is
    written as for kubectl (vmim, pods, deployments.apps), or a URL path such as /healthz. Its API
    group is found in the rules of the input; 'NAME.' is the core group.
    """
    from rbacguard.output import reports
    from rbacguard.queries import who_can as query
    from rbacguard.queries.resolve import resolve_resource
    from rbacguard.rbac import Attributes

    if namespace and all_namespaces:
        raise click.UsageError("give -n or -A, not both")
    request = Attributes(**options.attributes(verb, resource, name, subresource, namespace))
    snapshot = source.snapshot(aggregate, namespace=namespace)
    request = resolve_resource(snapshot, request)
    answer = query.who_can(snapshot, request, all_namespaces=all_namespaces)
    report = reports.who_can(answer, snapshot.coverage.origin)
    options.show(report, **shown)
    return exits.of_gaps(report.gaps)


@click.command("can-i")
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
    """Tell whether a user may do something; exits 0 for yes, 1 for no, 3 for not known.

    RESOURCE is written as for who-can.
    """
    from rbacguard.output import reports
    from rbacguard.queries.can_i import check_access
    from rbacguard.queries.resolve import resolve_resource
    from rbacguard.rbac import Attributes

    fields = options.attributes(verb, resource, name, subresource, namespace)
    request = Attributes(**fields, user=user, groups=groups)
    snapshot = source.snapshot(aggregate, namespace=namespace)
    answer = check_access(snapshot, resolve_resource(snapshot, request))
    report = reports.can_i(answer, snapshot.coverage.origin)
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_can_i(report)


@click.command()
@click.argument("subject")
@from_source()
@options.aggregate
@options.output
def explain(subject: str, source: Source, aggregate: AggregateMode, **shown: Any) -> int:
    """Show what a subject holds that leads to a migration, and how to revoke it.

    SUBJECT is a name, or user/NAME, group/NAME or sa/NAMESPACE/NAME.
    """
    from rbacguard.output import reports
    from rbacguard.queries import explain as query

    snapshot = source.snapshot(aggregate)
    answer = query.explain(snapshot, subject)
    report = reports.explain(subject, answer, snapshot.coverage.origin)
    options.show(report, **shown)
    return exits.of_gaps(report.gaps)


@click.command()
@click.argument("before", metavar="BEFORE", type=options.PATH)
@click.argument("after", metavar="[AFTER]", type=options.PATH, required=False)
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
    from rbacguard.queries import diff as query

    files = Source(filenames=(after,)) if after else source
    old = Source(filenames=(before,)).snapshot(aggregate)
    report = reports.diff(query.diff(old, files.snapshot(aggregate)))
    options.show(report, **shown)
    return 0 if exit_zero else exits.of_diff(report)
