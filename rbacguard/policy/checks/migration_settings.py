"""The cluster's settings of live migration, taken together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.policy.checks.base import Context, Fact, FactType, MachineCheck, Machines, answer
from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import amount
from rbacguard.snapshot.coverage import State
from rbacguard.snapshot.objects import entries

_NETWORK = "NetworkAttachmentDefinition"
_OF_HYPERCONVERGED = "kubevirt-kubevirt-hyperconverged"
"""How HyperConverged calls the KubeVirt that it makes (hyperconverged-cluster-operator v1.19
controllers/handlers/kubevirt.go, NewKubeVirtWithNameOnly)."""
_JSON_PATCH = "kubevirt.kubevirt.io/jsonpatch"
_RHEL_10 = ("CoreOS 10", "Linux 10")


class MigrationSettingsCheck(MachineCheck, frozen=True, tag="migration-settings"):
    """One fact: what is set for the whole cluster."""

    NEEDS: ClassVar[tuple[str, ...]] = (
        *("KubeVirt", "VirtualMachineInstance", "Node", "Pod", "MachineConfigPool"),
    )
    FACTS: ClassVar[Mapping[str, FactType]] = {
        "parallel_in_cluster": FactType.INT,
        "parallel_from_node": FactType.INT,
        "bandwidth": FactType.STRING,
        "bandwidth_limited": FactType.BOOL,
        "timeout_per_gigabyte": FactType.INT,
        "progress_timeout": FactType.INT,
        "auto_converge": FactType.BOOL,
        "post_copy": FactType.BOOL,
        "workload_disruption": FactType.BOOL,
        "tls": FactType.BOOL,
        "unsafe_override": FactType.BOOL,
        "network": FactType.STRING,
        "network_exists": FactType.STRING,
        "network_elsewhere": FactType.STRING,
        "namespace": FactType.STRING,
        "rhel_ten_nodes": FactType.LIST,
        "memory_suffices": FactType.STRING,
        "update_methods": FactType.LIST,
        "update_methods_known": FactType.BOOL,
        "patched": FactType.BOOL,
        "machines": FactType.INT,
        "nodes": FactType.INT,
    }

    def gaps(self, context: Context) -> tuple[str, ...]:
        """Return what was not read, and what is not known all the same."""
        unread = list(super().gaps(context))
        if context.machines is not None:
            inventory, found = context.machines.inventory, context.machines.readiness
            if found.settings["network"].value:
                unread += inventory.coverage.gaps([_NETWORK])
            if inventory.kubevirt and inventory.kubevirt.metadata.name == _OF_HYPERCONVERGED:
                unread += inventory.coverage.gaps(["HyperConverged"])
            if found.memory.suffices is None:
                unread.append("whether spare memory suffices is not known")
        return tuple(dict.fromkeys(unread))

    def look(self, machines: Machines, context: Context) -> Iterator[Fact]:  # noqa: ARG002
        """Yield the fact, where there is KubeVirt or HyperConverged to have settings."""
        inventory, found = machines.inventory, machines.readiness
        kubevirt, hyperconverged = inventory.kubevirt, inventory.hyperconverged
        owner = kubevirt or hyperconverged
        if owner is None:
            return
        value = {name: each.value for name, each in found.settings.items()}
        network = value["network"] if isinstance(value["network"], str) else ""
        namespace = owner.metadata.namespace
        exists, elsewhere = _network(inventory, network, namespace)
        limit = amount(value["bandwidthPerMigration"])
        update = entries(kubevirt.spec if kubevirt else None, "workloadUpdateStrategy")
        methods = update.get("workloadUpdateMethods")
        annotations = hyperconverged.metadata.annotations if hyperconverged else {}
        objects = [
            ObjectKey(kind, each.metadata.namespace, each.metadata.name)
            for kind, each in (("KubeVirt", kubevirt), ("HyperConverged", hyperconverged))
            if each is not None
        ]
        yield Fact(
            fields={
                "parallel_in_cluster": _number(value["parallelMigrationsPerCluster"]),
                "parallel_from_node": _number(value["parallelOutboundMigrationsPerNode"]),
                "bandwidth": str(value["bandwidthPerMigration"]),
                "bandwidth_limited": bool(limit),
                "timeout_per_gigabyte": _number(value["completionTimeoutPerGiB"]),
                "progress_timeout": _number(value["progressTimeout"]),
                "auto_converge": value["allowAutoConverge"] is True,
                "post_copy": value["allowPostCopy"] is True,
                "workload_disruption": value["allowWorkloadDisruption"] is True,
                "tls": value["disableTLS"] is not True,
                "unsafe_override": value["unsafeMigrationOverride"] is True,
                "network": network,
                "network_exists": answer(exists),
                "network_elsewhere": ", ".join(elsewhere) or "no other namespace",
                "namespace": namespace,
                "rhel_ten_nodes": sorted(
                    name
                    for name, node in inventory.nodes.items()
                    if any(
                        text in (node.status.node_info.os_image if node.status.node_info else "")
                        for text in _RHEL_10
                    )
                ),
                "memory_suffices": answer(found.memory.suffices),
                "update_methods": (
                    [m for m in methods if isinstance(m, str)] if isinstance(methods, list) else []
                ),
                "update_methods_known": kubevirt is not None,
                "patched": _JSON_PATCH in annotations,
                "machines": len(found.machines),
                "nodes": len(found.drains),
            },
            group="settings",
            objects=tuple(objects),
        )


def _network(inventory: Inventory, network: str, namespace: str) -> tuple[bool | None, list[str]]:
    """Return whether the migration network is there, and namespaces that have one of its name.

    KubeVirt attaches its handlers to it, so it has to be in their own namespace.
    """
    if not network:
        return None, []
    elsewhere = sorted({space for space, name in inventory.networks if name == network})
    if (namespace, network) in inventory.networks:
        return True, [space for space in elsewhere if space != namespace]
    unread = inventory.coverage.kinds[_NETWORK].state is not State.READ
    return (None if unread and not elsewhere else False), elsewhere


def _number(value: object) -> int:
    found = amount(value)
    return -1 if found is None else int(found)
