"""A patch with recommended live migration settings for HyperConverged."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from rbacguard.readiness.assessment import Readiness
from rbacguard.readiness.duration import GIGABYTE, round_up
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import format_bytes, parse_quantity
from rbacguard.readiness.settings import outbound_limit
from rbacguard.snapshot.objects import dict_at
from rbacguard.text import visible

_MIB = Decimal(2**20)
_NETWORK_SHARE = Decimal("0.8")
"""The share of the network that migrations can use; the rest is for other traffic."""
_COPY_FACTOR = 2
"""How often the memory of a guest can be copied, because the guest writes during a migration."""


def tuning(inventory: Inventory, readiness: Readiness, bandwidth: Decimal | None) -> str:
    """Return a merge patch for HyperConverged as YAML, with the calculation in comments.

    The patch contains only settings that must change.

    Args:
        inventory: the objects of the cluster.
        readiness: the assessment of the cluster.
        bandwidth: bandwidth of the migration network of a node in bytes per second, if known.
    """
    values = {name: setting.value for name, setting in readiness.settings.items()}
    per_node, memory = outbound_limit(readiness.settings), readiness.memory
    comments: list[str] = []
    fields: dict[str, str] = {}

    wanted = memory.parallel_nodes * per_node
    current = parse_quantity(values["parallelMigrationsPerCluster"])
    comments.append(
        f"parallelMigrationsPerCluster: {memory.parallel_nodes} nodes drain in parallel "
        f"({memory.source}) x {per_node} migrations from each = {wanted}; current value {current}"
    )
    if current is None or current < wanted:
        fields["parallelMigrationsPerCluster"] = str(wanted)

    limit = parse_quantity(values["bandwidthPerMigration"])
    rate = limit or None
    if bandwidth is None:
        comments.append(
            "bandwidthPerMigration: the bandwidth of the network is unknown; specify it with "
            "--network-bandwidth"
        )
    else:
        share = (bandwidth * _NETWORK_SHARE / per_node / _MIB).to_integral_value(ROUND_FLOOR)
        comments.append(
            f"bandwidthPerMigration: {format_bytes(bandwidth)}/s x {_NETWORK_SHARE} / {per_node} "
            f"migrations from a node = {share} Mi; current value "
            f"{'unlimited' if not limit else f'{format_bytes(limit)}/s'}"
        )
        if share >= 1 and (not limit or limit > share * _MIB):
            fields["bandwidthPerMigration"] = f"{share}Mi"
            rate = share * _MIB

    timeout = parse_quantity(values["completionTimeoutPerGiB"])
    if rate:
        needed = round_up(_COPY_FACTOR * GIGABYTE / rate)
        comments.append(
            f"completionTimeoutPerGiB: a gigabyte takes {GIGABYTE / rate:.1f} s at "
            f"{format_bytes(rate)}/s, x {_COPY_FACTOR} for writes of the guest = {needed} s; "
            f"current value {timeout}"
        )
        if timeout is None or timeout < needed:
            fields["completionTimeoutPerGiB"] = str(needed)
        sizes = (duration.data for duration in readiness.durations.values())
        largest = max((size for size in sizes if size), default=None)
        if largest:
            comments.append(
                f"the largest VM, {format_bytes(largest)}, takes at least {largest / rate:.0f} s"
            )
    return _patch(inventory, comments, fields)


def _patch(inventory: Inventory, comments: list[str], fields: dict[str, str]) -> str:
    owner = inventory.hyperconverged
    name = "a HyperConverged resource, which was not read"
    if owner is not None:
        name = f"HyperConverged {owner.metadata.name} in namespace {owner.metadata.namespace}"
    lines = [
        f"Recommended live migration settings for {name}. Nothing was changed.",
        "Review, then: oc patch hyperconverged NAME -n NAMESPACE --type merge --patch-file FILE",
        "",
        *comments,
    ]
    # A line break in a name would end the comment.
    text = "".join(f"# {visible(line)}".rstrip() + "\n" for line in lines)
    if not fields:
        return text + "# No setting must change.\n{}\n"
    is_v1 = bool(dict_at(owner.spec if owner else None, "virtualization"))
    keys = ["spec", *(["virtualization"] if is_v1 else []), "liveMigrationConfig"]
    for depth, key in enumerate(keys):
        text += f"{'  ' * depth}{key}:\n"
    return text + "".join(f"{'  ' * len(keys)}{key}: {fields[key]}\n" for key in fields)
