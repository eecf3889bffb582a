"""A proposal for HyperConverged's live-migration settings, with the arithmetic, for review."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from rbacguard.readiness.drain import Readiness
from rbacguard.readiness.duration import GIGABYTE, at_once, rounded_up
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import amount, shown
from rbacguard.snapshot.objects import entries
from rbacguard.text import visible

_MIB = Decimal(2**20)
_SHARE = Decimal("0.8")
"""The part of the link that migrations may take, so that something is left for all else."""
_SLACK = 2
"""How many times its memory a guest may have to be copied, for it writes meanwhile."""


def tuning(inventory: Inventory, found: Readiness, link: Decimal | None) -> str:
    """Return a merge patch for HyperConverged as YAML, only of what should change.

    Args:
        inventory: what was read.
        found: what was judged.
        link: bytes per second that a node's migration network carries, where somebody knows.
    """
    value = {name: each.value for name, each in found.settings.items()}
    at_node = at_once(found.settings)
    comments: list[str] = []
    fields: dict[str, str] = {}

    wanted = found.memory.parallel * at_node
    now = amount(value["parallelMigrationsPerCluster"])
    comments.append(
        f"parallelMigrationsPerCluster: {found.memory.parallel} nodes drain at once "
        f"({found.memory.because}) x {at_node} migrations from each = {wanted}; now {now}"
    )
    if now is None or now < wanted:
        fields["parallelMigrationsPerCluster"] = str(wanted)

    limit = amount(value["bandwidthPerMigration"])
    rate = limit or None
    if link is None:
        comments.append(
            "bandwidthPerMigration: what the network carries is not known; give it with "
            "--network-bandwidth"
        )
    else:
        share = (link * _SHARE / at_node / _MIB).to_integral_value(ROUND_FLOOR)
        comments.append(
            f"bandwidthPerMigration: {shown(link)}/s x {_SHARE} / {at_node} migrations from a node "
            f"= {share} Mi; now {'unlimited' if not limit else f'{shown(limit)}/s'}"
        )
        if share >= 1 and (not limit or limit > share * _MIB):
            fields["bandwidthPerMigration"] = f"{share}Mi"
            rate = share * _MIB

    timeout = amount(value["completionTimeoutPerGiB"])
    if rate:
        needed = rounded_up(_SLACK * GIGABYTE / rate)
        comments.append(
            f"completionTimeoutPerGiB: a gigabyte takes {GIGABYTE / rate:.1f} s at "
            f"{shown(rate)}/s, x {_SLACK} for what guests write meanwhile = {needed} s; "
            f"now {timeout}"
        )
        if timeout is None or timeout < needed:
            fields["completionTimeoutPerGiB"] = str(needed)
    largest = max((each.data or Decimal() for each in found.timings.values()), default=Decimal())
    if rate and largest:
        comments.append(
            f"the largest machine, {shown(largest)}, takes {largest / rate:.0f} s at least"
        )
    return _written(inventory, comments, fields)


def _written(inventory: Inventory, comments: list[str], fields: dict[str, str]) -> str:
    owner = inventory.hyperconverged
    spec = owner.spec if owner else None
    is_new = bool(entries(spec, "virtualization"))
    # A name from the input stands in a comment, where a line break would end it.
    where = "a HyperConverged resource, which was not read"
    if owner is not None:
        name, namespace = owner.metadata.name, owner.metadata.namespace
        where = f"HyperConverged {name} in namespace {namespace}"
    lines = [
        f"Proposed live-migration settings for {where}; nothing was changed.",
        "Review, then: oc patch hyperconverged NAME -n NAMESPACE --type merge --patch-file FILE",
        "",
        *comments,
    ]
    text = "".join(f"# {visible(line)}".rstrip() + "\n" for line in lines)
    if not fields:
        return text + "# Nothing of this needs to change.\n{}\n"
    keys = ["spec", *(["virtualization"] if is_new else []), "liveMigrationConfig"]
    for depth, key in enumerate(keys):
        text += f"{'  ' * depth}{key}:\n"
    return text + "".join(f"{'  ' * len(keys)}{key}: {fields[key]}\n" for key in fields)
