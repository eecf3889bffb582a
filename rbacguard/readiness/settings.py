"""The settings of live migration that are in force, with what sets each.

Defaults: kubevirt/kubevirt v1.9 pkg/virt-config/virt-config.go (800 seconds per GiB up to v1.3);
kubevirt/hyperconverged-cluster-operator api/v1beta1/hyperconverged_types.go.
HyperConverged writes its values into KubeVirt, so what KubeVirt holds is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from rbacguard.readiness.inventory import Inventory, entries
from rbacguard.sources.workloads import MigrationPolicy, VirtualMachineInstance

DEFAULTS: Mapping[str, int | bool | str | None] = {
    "parallelMigrationsPerCluster": 5,
    "parallelOutboundMigrationsPerNode": 2,
    "bandwidthPerMigration": "0",
    "completionTimeoutPerGiB": 150,
    "progressTimeout": 150,
    "allowAutoConverge": False,
    "allowPostCopy": False,
    "allowWorkloadDisruption": False,
    "disableTLS": False,
    "unsafeMigrationOverride": False,
    "network": None,
}
"""By field of KubeVirt's spec.configuration.migrations; a bandwidth of 0 is unlimited."""


class Setting(Struct, frozen=True):
    """One setting: its value and what sets it."""

    value: Any
    set_by: str


def settings(inventory: Inventory) -> Mapping[str, Setting]:
    """Return the cluster's settings by name, as KubeVirt's field is called."""
    kubevirt = inventory.kubevirt
    written = entries(entries(kubevirt.spec if kubevirt else None, "configuration"), "migrations")
    ours = _hyperconverged(inventory)
    found = {}
    for name, default in DEFAULTS.items():
        if written.get(name) is not None:
            found[name] = Setting(written[name], "KubeVirt spec.configuration.migrations")
        elif kubevirt is None and ours.get(name) is not None:
            found[name] = Setting(ours[name], "HyperConverged liveMigrationConfig")
        else:
            found[name] = Setting(default, "default")
    return found


def _hyperconverged(inventory: Inventory) -> Mapping[str, Any]:
    """Return liveMigrationConfig, which v1 keeps under spec.virtualization."""
    found = inventory.hyperconverged
    spec = found.spec if found else None
    return entries(entries(spec, "virtualization"), "liveMigrationConfig") or entries(
        spec, "liveMigrationConfig"
    )


def policy_of(machine: VirtualMachineInstance, inventory: Inventory) -> MigrationPolicy | None:
    """Return the MigrationPolicy that a machine's migrations follow, None for none.

    The one with the most labels that match, of these the one with the most of the machine's, of
    these the first by name; one without selectors matches nothing (kubevirt/kubevirt v1.9
    pkg/virt-controller/watch/migration/migrationpolicy.go, matchPolicy).
    """
    own = machine.metadata.labels or {}
    namespace = inventory.namespaces.get(machine.metadata.namespace)
    around = (namespace.metadata.labels if namespace else None) or {}
    best: tuple[int, int] | None = None
    chosen = None
    for _, policy in sorted(inventory.policies.items()):
        selectors = policy.spec.selectors
        if selectors is None:
            continue
        by_machine = selectors.virtual_machine_instance_selector or {}
        by_namespace = selectors.namespace_selector or {}
        score = (len(by_machine) + len(by_namespace), len(by_machine))
        if not own:
            # As it is written there, nothing is compared for a machine without labels.
            score = (0, 0)
        elif not (by_machine.items() <= own.items() and by_namespace.items() <= around.items()):
            continue
        if best is None or score > best:
            best, chosen = score, policy
    return chosen
