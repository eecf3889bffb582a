"""The cluster itself: saving it, and what reading it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rbacguard.cli import options
from rbacguard.cli.source import Source, from_source
from rbacguard.output import exits

if TYPE_CHECKING:
    pass


@click.command()
@from_source()
@options.file
@click.option(
    "--redact",
    is_flag=True,
    help="Replace the names of users, groups and namespaces, always alike, to give it away.",
)
@click.option(
    "--include-vms",
    is_flag=True,
    help="Also save VMs, nodes, pods, and storage, for 'readiness' and 'migrations'.",
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def snapshot(source: Source, file: str, redact: bool, include_vms: bool, force: bool) -> int:
    """Save what an audit needs of a cluster; every command reads it with -f.

    Nothing secret is in it, and for the same state of the cluster its content is the same.
    """
    if redact and include_vms:
        raise click.UsageError(
            "--redact and --include-vms cannot be combined: messages of KubeVirt contain names"
        )
    found = source.workloads("readiness") if include_vms else source.snapshot()
    if redact:
        from rbacguard.sources.redact import redact as redacted

        found = redacted(found)
    options.save(found, file, force=force)
    return exits.of_gaps(list(found.coverage.missing()))


@click.command()
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
    from rbacguard.kubevirt.releases import RELEASES
    from rbacguard.manifests import permission_manifests
    from rbacguard.sources.live import access_rules

    text = permission_manifests(
        f"rbacguard-{command}",
        access_rules(command, cross_check=cross_check),
        options.subject(subject),
        namespaces=namespaces,
        kubernetes_version=RELEASES[-1].kubernetes_version,
    )
    click.echo(text, nl=False)
    return exits.NOTHING_TO_DO
