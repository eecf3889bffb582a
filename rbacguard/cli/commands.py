"""All commands; the module of one is loaded when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from rbacguard import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "RBACGUARD",
    "max_content_width": 100,
}


HELP = """Audit and plan live-migration access for OpenShift Virtualization and KubeVirt.

Reads the cluster that you are logged in to, or with -f a dump of one, and never changes anything:
only get and list are asked. Start with 'rbacguard audit' and 'rbacguard plan --to VERSION';
'rbacguard permissions' prints what the tool needs to be allowed. A dump is made with 'rbacguard
snapshot', or:

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
  2. rbacguard plan{input} --to VERSION
     who loses what by the update to VERSION, and the ways of dealing with it
  3. rbacguard generate{input} --to VERSION --out live-migration
     manifests, approvals file and a summary, for review in Git
  4. rbacguard verify{input} --approvals live-migration/approvals.yaml
     after the update: everything as approved, nothing left over

'rbacguard status{input}' tells which step is next; 'rbacguard --help' lists all commands.
"""


class Entry(NamedTuple):
    """Where a command is, and what it does, as its own help begins."""

    module: str
    summary: str


COMMANDS = {
    "approvals": Entry(
        "delivery", "Make, check and bring up to date the file that says who may migrate where."
    ),
    "audit": Entry(
        "update", "Show who can migrate today and why, and the findings of all policies."
    ),
    "can-i": Entry(
        "access",
        "Tell whether a user may do something; exits 0 for yes, 1 for no, 3 for not known.",
    ),
    "compare": Entry(
        "update",
        "Compare two reports of 'audit -o json': findings that are new or gone, and holders.",
    ),
    "completion": Entry(
        "about", "Print a shell's completion script, as in: source <(rbacguard completion bash)."
    ),
    "diff": Entry(
        "access",
        "Show what access to migration was gained and lost between two dumps; exits 1 on a change.",
    ),
    "explain": Entry(
        "access",
        "Show what a subject holds that leads to a migration, and how to revoke it.",
    ),
    "fleet": Entry("fleet", "Ask many clusters at once: saved ones, contexts, or those of a hub."),
    "generate": Entry("delivery", "Write manifests and a summary for a GitOps review."),
    "lint": Entry(
        "delivery",
        "Check RBAC manifests in files and folders of a repository, or on standard input ('-').",
    ),
    "migrations": Entry(
        "readiness",
        "List live migrations with phase, trigger, and what is delaying node drains.",
    ),
    "permissions": Entry(
        "cluster",
        "Print the smallest ClusterRole and binding with which COMMAND (audit) can read a cluster.",
    ),
    "plan": Entry(
        "update", "Simulate the update: who keeps, loses and gains what, under each strategy."
    ),
    "readiness": Entry(
        "readiness",
        "Show which VMs can migrate when their node is drained, and whether drains can complete.",
    ),
    "rules": Entry("about", "List the policies and the rules of lint, or explain one."),
    "schema": Entry(
        "about",
        "Print the JSON Schema of a report or of a kind of file, or list them.",
    ),
    "snapshot": Entry(
        "cluster", "Save what an audit needs of a cluster; every command reads it with -f."
    ),
    "status": Entry("update", "Tell which step of the update the cluster is at, and the next one."),
    "verify": Entry(
        "update", "After the update: is everything as approved, and nothing left over."
    ),
    "watch": Entry(
        "update", "Verify the cluster until it is clean or time is up; exits as verify does."
    ),
    "who-can": Entry("access", "List who may do something, with the chain that grants it."),
}
"""So that listing and completing them loads none."""


class NotReadError(Exception):
    """Whoever read the output closed it."""


class _Commands(click.Group):
    """The commands, whose broken pipe is no finding: click itself would exit with 1."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the options, of which --help and --version print something.

        Raises:
            NotReadError: whoever read it closed it.
        """
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError:
            raise NotReadError from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            NotReadError: whoever read its output closed it.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise NotReadError from None

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return their names, in order."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"rbacguard.cli.{COMMANDS[cmd_name].module}")
        return cast("click.Command", getattr(module, cmd_name.replace("-", "_")))

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, each on one line."""
        # As click does it, which would load them all.
        room = formatter.width - 6 - max(map(len, COMMANDS))
        rows = [
            (name, click.Command(name, help=entry.summary).get_short_help_str(room))
            for name, entry in COMMANDS.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, or an option."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=entry.summary)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


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
        from rbacguard.cli.source import Source
        from rbacguard.text import visible

        place = visible(Source().place)
        read = f"The commands below read the cluster that you are logged in to: {place}"
        if not place:
            read = f"No cluster is configured here. Where one is, this saves a dump:\n\n  {SAVE}"
        given = "" if place else " -f cluster.json.zst"
        click.echo(START.format(read=read, input=given), nl=False)
