"""The live migration settings of the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.policy.checks.base import ReadinessCheck
from rbacguard.policy.context import Context, Workloads
from rbacguard.policy.facts import FactClass, MigrationSettingsFact, yes_no_unknown
from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import parse_quantity
from rbacguard.snapshot.coverage import State
from rbacguard.snapshot.objects import dict_at

_NETWORK = "NetworkAttachmentDefinition"
_HYPERCONVERGED_NAME = "kubevirt-kubevirt-hyperconverged"
"""The name of the KubeVirt resource that HyperConverged creates (hyperconverged-cluster-operator
v1.19 controllers/handlers/kubevirt.go, NewKubeVirtWithNameOnly)."""
_JSON_PATCH = "kubevirt.kubevirt.io/jsonpatch"
_RHEL_10 = ("CoreOS 10", "Linux 10")


class MigrationSettingsCheck(ReadinessCheck, frozen=True, tag="migration-settings"):
    """One fact with the settings of the cluster."""

    NEEDS: ClassVar[tuple[str, ...]] = (
        *("KubeVirt", "VirtualMachineInstance", "Node", "Pod", "MachineConfigPool"),
    )
    FACT: ClassVar[FactClass] = MigrationSettingsFact

    def missing(self, context: Context) -> tuple[str, ...]:
        """Return the incomplete kinds, and whether the memory requirement is unknown."""
        gaps = list(super().missing(context))
        if context.workloads is not None:
            inventory, readiness = context.workloads.inventory, context.workloads.readiness
            if readiness.settings["network"].value:
                gaps += inventory.coverage.missing([_NETWORK])
            if inventory.kubevirt and inventory.kubevirt.metadata.name == _HYPERCONVERGED_NAME:
                gaps += inventory.coverage.missing(["HyperConverged"])
            if readiness.memory.is_sufficient is None:
                gaps.append("it is unknown whether the spare memory is sufficient")
        return tuple(dict.fromkeys(gaps))

    def facts(self, workloads: Workloads, context: Context) -> Iterator[MigrationSettingsFact]:  # noqa: ARG002
        """Yield the fact if KubeVirt or HyperConverged was read."""
        inventory, readiness = workloads.inventory, workloads.readiness
        kubevirt, hyperconverged = inventory.kubevirt, inventory.hyperconverged
        owner = kubevirt or hyperconverged
        if owner is None:
            return
        values = {name: setting.value for name, setting in readiness.settings.items()}
        network = values["network"] if isinstance(values["network"], str) else ""
        namespace = owner.metadata.namespace
        network_exists, other_namespaces = _find_network(inventory, network, namespace)
        strategy = dict_at(kubevirt.spec if kubevirt else None, "workloadUpdateStrategy")
        methods = strategy.get("workloadUpdateMethods")
        annotations = hyperconverged.metadata.annotations if hyperconverged else {}
        yield MigrationSettingsFact(
            parallel_migrations=_integer(values["parallelMigrationsPerCluster"]),
            parallel_outbound_migrations=_integer(values["parallelOutboundMigrationsPerNode"]),
            bandwidth=str(values["bandwidthPerMigration"]),
            bandwidth_limited=bool(parse_quantity(values["bandwidthPerMigration"])),
            completion_timeout_per_gib=_integer(values["completionTimeoutPerGiB"]),
            progress_timeout=_integer(values["progressTimeout"]),
            auto_converge=values["allowAutoConverge"] is True,
            post_copy=values["allowPostCopy"] is True,
            workload_disruption=values["allowWorkloadDisruption"] is True,
            tls=values["disableTLS"] is not True,
            unsafe_override=values["unsafeMigrationOverride"] is True,
            network=network,
            network_exists=yes_no_unknown(network_exists),
            other_network_namespaces=", ".join(other_namespaces) or "no other namespace",
            namespace=namespace,
            rhel10_nodes=sorted(
                name
                for name, node in inventory.nodes.items()
                if any(text in node.status.node_info.os_image for text in _RHEL_10)
            ),
            memory_sufficient=yes_no_unknown(readiness.memory.is_sufficient),
            workload_update_methods=(
                [m for m in methods if isinstance(m, str)] if isinstance(methods, list) else []
            ),
            workload_update_methods_known=kubevirt is not None,
            json_patch=_JSON_PATCH in annotations,
            vmis=len(readiness.evictions),
            nodes=len(readiness.drains),
            group_key="settings",
            objects=tuple(
                ObjectKey(kind, each.metadata.namespace, each.metadata.name)
                for kind, each in (("KubeVirt", kubevirt), ("HyperConverged", hyperconverged))
                if each is not None
            ),
        )


def _find_network(
    inventory: Inventory, network: str, namespace: str
) -> tuple[bool | None, list[str]]:
    """Return whether the migration network exists, and other namespaces that have its name.

    KubeVirt attaches virt-handler to it, so it must be in the namespace of KubeVirt.
    """
    if not network:
        return None, []
    others = sorted({space for space, name in inventory.networks if name == network})
    if (namespace, network) in inventory.networks:
        return True, [space for space in others if space != namespace]
    is_unread = inventory.coverage.kinds[_NETWORK].state is not State.READ
    return (None if is_unread and not others else False), others


def _integer(value: object) -> int:
    quantity = parse_quantity(value)
    return -1 if quantity is None else int(quantity)
