"""Writes docs/policies.md, docs/lint.md, docs/cli.md, and the transcript in README.md."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import click

from rbacguard.cli.commands import cli
from rbacguard.lint import RULES
from rbacguard.policy import Policy, load_policies
from rbacguard.policy.checks import CHECKS, Check
from rbacguard.policy.facts import Fact
from rbacguard.sources import COLLECT_COMMAND

HERE = Path(__file__).parent
README = HERE.parent / "README.md"

CLI_INTRODUCTION = """\
# Command line

Written by `make docs` from `--help`; a test fails when it is out of date. Every option can also be
set by an environment variable, such as `RBACGUARD_AUDIT_FAIL_ON`.

## Exit codes

| code | meaning |
|---|---|
| 0 | nothing to do: no finding at or above `--fail-on`, nobody loses access, clean, yes |
| 1 | findings; somebody loses access (`plan`); access differs (`diff`); not clean; no (`can-i`) |
| 2 | wrong usage or bad input: one line says where and what was expected |
| 3 | the input does not suffice: something was not read, or the version is not known |
| 130 | interrupted |
| 141 | whoever read the output closed it, as `head` does |

Findings stand even where the input is incomplete, since RBAC only adds; so `audit` and `verify`
exit 1 rather than 3 when they found something. `plan` and `diff` compare two states and exit 3 as
soon as anything was not read.

## What can be read

Without `-f` the cluster is read that kubectl would talk to, see below. `-f` takes saved snapshots,
files, folders (recursive), archives (.tar, .tar.gz, .tar.xz, .zip), a must-gather or `oc adm
inspect` tree, and `-` for standard input; YAML, JSON and JSON lines, plain or packed with gzip or
zstd, single objects and lists. Nothing is unpacked to disk. A complete dump is one command:

```console
$ COLLECT
```

What was not read is shown under 'incomplete input'. Every cluster has the ClusterRoles
`cluster-admin`, `admin`, `edit` and `view`, the ClusterRoleBinding `cluster-admin`, and Roles and
RoleBindings in `kube-system` or `kube-public`: an input without them is not the whole cluster.

## A live cluster

Which cluster, and as whom, follows kubectl: `--kubeconfig`, else the files in `KUBECONFIG` (the
first to name something wins), else `~/.kube/config`, else a pod's service account. Tokens, exec
plugins, client certificates, `proxy-url`, `tls-server-name`, `as` and `as-groups` work; the
kubeconfig is never written. `--as` and its relatives impersonate, but for `can-i`, where `--as` is
the user asked for. Proxies of the environment do not count for this host itself. A SOCKS proxy
needs `pip install 'urllib3[socks]'`.

Only `get` and `list` are asked. `rbacguard permissions COMMAND` prints a ClusterRole and a binding
that suffice for a command, for `--subject`; with `-n` for one namespace. What may not be listed or
is not installed is a gap, and what depends on it is 'unknown'. With `-n NAMESPACE` Roles and
RoleBindings of that namespace are read alone; answers about it are complete, all others are not.

The report says which cluster was read, when, as whom, and at which resource version. RBAC's kinds
and namespaces are read at one version; where the server did not have it any more, a note says so,
and `--consistent` reads everything until two passes agree. A failed list is a gap; a server that
cannot be reached, does not know the user or lets nothing of RBAC be read is one line and exit code
3.

`audit --cross-check` asks the API server itself what it decides: up to 200 requests, or `all`. It
uses SubjectAccessReviews, or LocalSubjectAccessReviews where only those are allowed, or else
SelfSubjectAccessReviews for the user himself. They create nothing, and are asked only then. Each
disagreement is a finding (`api-server-decision-differs`).

## Snapshots

`rbacguard snapshot -o FILE` saves what was read: zstd over one JSON object, with the objects
that audits look at (bindings in columns, in which each name, role and subject stands once),
what was not read, the cluster's identity and version, and when. Snapshots of earlier formats
are read too; `rbacguard schema snapshot` prints the JSON Schema of the one that is written.
Both parts have a SHA-256 that is checked when it is read; `digests.content` is the same for the
same state of the cluster. Secrets are never read, and only known annotations and fields are
kept. The file is readable by its owner alone. `--include-vms` saves VMs, nodes, and storage
too, for `readiness` and `migrations`; on a cluster it needs what `permissions readiness` prints
besides. Such a snapshot cannot be redacted.

`--redact` replaces the names of users, groups, service accounts, namespaces, Roles and bindings;
names that every cluster has, and ClusterRoles, stay. The same name becomes the same word in every
snapshot of the same cluster, so `verify --before` and `diff` work on redacted ones; approvals do
not, since they hold names.

## The bundle

`rbacguard generate --out DIR` writes whole folders or nothing, the same bytes for the same input;
generating again changes nothing, and what is no longer approved is removed only where the tool
wrote it. `--check` writes nothing and exits 1 where the folder is not what would be generated.
Bindings that people made by hand are recognized and not made twice; its own, which carry the
annotation `rbacguard.io/generated-by`, are made again. `rbacguard.io/approvals-sha256` is a digest
of the decisions behind a binding: a change of one decision changes the objects that follow from it
only.

Layouts (`--layout`):

- `plain`: a folder for each step, `10-before-update`, `20-after-update`, `30-clean-up`.
- `kustomize`: a folder for each part (`temporary-role`, `bindings`, `guard`), and for each step a
  kustomization of the parts that are to be there then; the kustomization at the top names the
  step, so that a step is a merge of one line.
- `argocd`: the same with sync waves and, given `--repo-url`, an Application; the temporary role is
  pruned, a binding once that is confirmed.
- `flux`: a Flux Kustomization for each part, each waiting for those before it.
- `cronjob`: no bundle but an audit that the cluster runs of itself: a CronJob, its service account
  with the least rights, and a second container (`--publish-image`) that publishes what the first,
  `--image`, found: a ConfigMap with a summary, or a policy report (`--publish`). The tool itself
  writes nothing to the cluster there either. A Containerfile for the image is in the repository.
- `acm`: Open Cluster Management policies for a hub, with Placement and PlacementBinding;
  `--remediation inform` by default, and what could delete `kubevirt.io:migrate` never enforces.

`90-rollback` has a folder for each step, which takes the cluster back to before it: `delete.yaml`
and `apply.yaml` in the plain layout, a kustomization in the others, to be named at the top like a
step. The first line of README.md holds a digest of what the bundle follows from: the access that
changes, the decisions and the releases.

The step at the top is the one that the cluster is at, or `--step`. Names with `{{` are refused in
the `acm` layout, where the hub would read them as templates. kustomize takes minutes for thousands
of objects.

`--as-applier USER` (or `system:serviceaccount:NS:NAME`) tells what the identity that GitOps runs
as would be refused, and the rule to grant: Kubernetes' escalation and bind checks, and OpenShift's
RoleBindingRestrictions. It exits 1 then.

`--guard` adds admission policies for after the clean-up (ValidatingAdmissionPolicy, Kubernetes
1.30): the temporary role is refused (after `--expires`, if given), roles that newly grant
migration are refused to anybody but KubeVirt's operator and each `--manager`, and
`kubevirt.io:migrate` is bound to nobody whom the approvals do not name for that place, and by
managers alone where there are any. A role with full wildcards is a cluster administrator's and is
let through. The approvals stand in a ConfigMap in `--guard-namespace`; keep its writers few.

## Approvals

One reviewed file, `kind: MigrationAccess`, says who may migrate where: a user, a group or a
service account; `namespaces` by name, a `namespaceSelector` by labels, or `clusterWide: true`;
with `reason`, `owner`, `ticket` and `expires` (the last day). `rbacguard schema migration-access`
prints its JSON Schema. `rbacguard approvals init` fills it from a cluster, with nothing approved;
`approvals check` holds it against the cluster; `approvals merge` adds those who stand in no
decision yet and leaves every decision, comment and blank as it is. An approval that has expired
does not count, neither in `generate` nor in `verify`; one that is about to is announced,
`--warn-before 14d`. A selector stands for the namespaces that it selects when the tool runs:
generate again when namespaces come or go.

## Lint

`rbacguard lint PATH...` checks the RBAC manifests of a repository: each against the strict schema
of its Kubernetes version, and for what the update makes wrong, with file, line and column; the
rules are in [lint.md](lint.md). `--diff` prints what `--fix` would change, as a patch; `--fix`
shows it, asks on a terminal, and writes each file whole or not at all. Nothing but what is mended
changes: comments, quotes and line endings stay. A file that changed meanwhile or is a link is not
written.

Helm templates, other files with `{{` that are no YAML, and the patches that a kustomization names
are passed over with a note, since they are no whole objects. Lint what they render to:

```console
$ kustomize build overlays/prod | rbacguard lint -
$ helm template chart/ | rbacguard lint - --release 4.20
```

`--release` tells what the cluster runs: from 4.19 on a temporary role in Git is a finding. As a
hook of pre-commit:

```yaml
repos:
- repo: https://github.com/example/rbacguard   # your mirror
  rev: v0.1.0
  hooks:
  - id: rbacguard-lint
```

## Output

`-o FORMAT` and `-o FORMAT=FILE`, several at once: tables, JSON, YAML, and what CI, spreadsheets and
clusters take; see [formats.md](formats.md).
"""

POLICIES_INTRODUCTION = """\
# Policies

`make docs` generates this page from `policies/`. To show one policy in a terminal, run
`rbacguard rules ID`. Each policy has firing and silent cases in `tests/policies/ID/`.

The stage says when a policy is evaluated: before the update to 4.19, after it, or at any time. For
policies of your own, see [the variables](#variables-of-conditions-and-messages).
"""

VARIABLES_INTRODUCTION = """\
## Variables of conditions and messages

A check yields facts. The condition of a policy (`where`) is a CEL expression on the variables of a
fact. The message and the commands contain them as placeholders, such as `{subject}` or
`{role.name}`. A map identifies an object or a subject and has the keys `kind`, `name`, and
`namespace`.

Each check has the variables `scope` (the namespace, or an empty string for cluster-wide) and
`scope_text` (`in namespace web` or `cluster-wide`).
"""


LINT_INTRODUCTION = """\
# Rules of lint

Written by `make docs`; a test fails when it is out of date. `rbacguard rules ID` shows the same.
Each rule has firing and silent cases in `tests/lint/cases/ID/`.
"""


def lint_page() -> str:
    """Return docs/lint.md."""
    lines = [LINT_INTRODUCTION, "| id | severity |", "|---|---|"]
    lines += [f"| [{rule.id}](#{rule.id}) | {rule.severity} |" for rule in RULES]
    for rule in RULES:
        lines += ["", f"## {rule.id}", "", f"**{rule.title}**", ""]
        lines += [f"Severity {rule.severity}.", "", rule.rationale]
        lines += ["", f"*What to do:* {rule.remediation}"]
    return "\n".join(lines) + "\n"


def shown(policy: Policy) -> list[str]:
    """Return a policy's commands as one would type them."""
    return [
        "$ " + command.replace("{input}", "-f cluster.json").replace("{target}", "VERSION")
        for command in policy.commands
    ]


def policies_page(policies: tuple[Policy, ...]) -> str:
    """Return docs/policies.md."""
    lines = [POLICIES_INTRODUCTION, "| ID | severity | stage |", "|---|---|---|"]
    lines += [f"| [{p.id}](#{p.id}) | {p.severity} | {p.stage} |" for p in policies]
    for policy in policies:
        since = f", since {policy.applies_to.since}" if policy.applies_to.since else ""
        lines += ["", f"## {policy.id}", "", f"**{policy.title}**", ""]
        lines += [f"Severity: {policy.severity}. Stage: {policy.stage}{since}."]
        lines += ["", policy.rationale, "", f"*Remediation:* {policy.remediation}"]
        if policy.commands:
            lines += ["", "```console", *shown(policy), "```"]
        where = f", where `{policy.where}`" if policy.where else ""
        lines += ["", f"Check: `{policy.check.type}`{where}."]
    return "\n".join([*lines, "", VARIABLES_INTRODUCTION, *map(variables, CHECKS)])


def variables(check: type[Check]) -> str:
    """Return the section about the variables of a check."""
    lines = [f"### {check.__struct_config__.tag}", ""]
    described: dict[str, str] = {}
    if check.FACT is not Fact:
        summary, _, attributes = (inspect.getdoc(check.FACT) or "").partition("\nAttributes:\n")
        lines += [summary.partition("\n")[0], ""]
        text = re.sub(r"\n {8,}", " ", attributes)
        described = dict(re.findall(r"^ {4}(\w+): (.*)$", text, re.MULTILINE))
    lines += ["| variable | type | meaning |", "|---|---|---|"]
    for name, kind in check.variables().items():
        if name not in ("scope", "scope_text"):
            meaning = described[name] if described else ""
            lines.append(f"| `{name}` | {kind} | {meaning} |")
    return "\n".join([*lines, ""])


def cli_page() -> str:
    """Return docs/cli.md."""
    parts = [CLI_INTRODUCTION.replace("COLLECT", COLLECT_COMMAND), "## Commands\n"]
    width: dict[str, Any] = {"max_content_width": 100, "terminal_width": 100}
    context = click.Context(cli, info_name="rbacguard", **{**cli.context_settings, **width})
    parts.append(f"```text\n{cli.get_help(context)}\n```\n")
    parts += commands(cli, context, width)
    return "\n".join(parts)


def commands(group: click.Group, context: click.Context, width: dict[str, Any]) -> list[str]:
    """Return the help of each command of a group, and of those within it."""
    parts = []
    for name in group.list_commands(context):
        command = cast("click.Command", group.get_command(context, name))
        inner = click.Context(command, info_name=name, parent=context, **width)
        title = inner.command_path.partition(" ")[2]
        parts.append(f"### {title}\n\n```text\n{command.get_help(inner)}\n```\n")
        if isinstance(command, click.Group):
            parts += commands(command, inner, width)
    return parts


def readme() -> str:
    """Return README.md with the current output of its first command."""
    head, mark, rest = README.read_text("utf-8").partition("<!-- transcript -->\n")
    _, _, tail = rest.partition("```console\n")[2].partition("\n```")
    command = "rbacguard plan -f examples/clusters/A-before-4.18.yaml --to 4.20"
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=README.parent,
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    return f"{head}{mark}```console\n$ {command}\n{done.stdout}```{tail}"


def pages() -> dict[Path, str]:
    """Return every generated page."""
    return {
        HERE / "policies.md": policies_page(load_policies()),
        HERE / "cli.md": cli_page(),
        HERE / "lint.md": lint_page(),
        README: readme(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
