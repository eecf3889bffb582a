"""What the tool knows of itself: policies, schemas, completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rbacguard.cli import options
from rbacguard.output import exits

if TYPE_CHECKING:
    pass


@click.command()
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


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print a shell's completion script, as in: source <(rbacguard completion bash)."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    from rbacguard.cli.commands import cli

    click.echo(made(cli, {}, "rbacguard", "_RBACGUARD_COMPLETE").source())
    return exits.NOTHING_TO_DO


@click.command()
@click.argument("report", required=False)
def schema(report: str | None) -> int:
    """Print the JSON Schema of a report or of a kind of file, or list them."""
    from rbacguard.output.formats import SCHEMAS
    from rbacguard.output.formats import schema as of

    if report is not None and report not in SCHEMAS:
        raise click.UsageError(f"no schema {report!r}; there are {', '.join(SCHEMAS)}")
    click.echo(of(report) if report else "\n".join(SCHEMAS), nl=report is None)
    return exits.NOTHING_TO_DO
