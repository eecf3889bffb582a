"""The settings of live migration that are in force, with what sets each.

HyperConverged writes its values into KubeVirt, so what KubeVirt holds is what counts; KubeVirt's
own defaults stand for what is not written there. Only where KubeVirt was not read do
HyperConverged's values, and the defaults of its release, stand for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from rbacguard.kubevirt.releases import Minor, Release, release_of
from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.objects import entries
from rbacguard.snapshot.workloads import MigrationPolicy, VirtualMachineInstance

Value: TypeAlias = int | bool | str | None
Component: TypeAlias = Literal["KubeVirt", "HyperConverged"]

_DEFAULTS: Mapping[str, Value] = {
    "parallelMigrationsPerCluster": 5,
    "parallelOutboundMigrationsPerNode": 2,
    "bandwidthPerMigration": "0",
    "completionTimeoutPerGiB": 150,
    "progressTimeout": 150,
    "allowAutoConverge": False,
    "allowPostCopy": False,
    "allowWorkloadDisruption": None,
    "disableTLS": False,
    "unsafeMigrationOverride": False,
    "network": None,
}
"""By field of KubeVirt's spec.configuration.migrations; a bandwidth of 0 is unlimited, and
allowWorkloadDisruption is what allowPostCopy is where nothing says otherwise.

kubevirt/kubevirt v1.4 to v1.9 pkg/virt-config/virt-config.go.
"""
_CHANGED: tuple[tuple[Component, Minor, Mapping[str, Value]], ...] = (
    # v1.3 pkg/virt-config/virt-config.go: MigrationCompletionTimeoutPerGiB.
    ("KubeVirt", (1, 3), {"completionTimeoutPerGiB": 800, "allowWorkloadDisruption": False}),
    # There is no such field before v1.5, and nothing pauses a machine.
    ("KubeVirt", (1, 4), {"allowWorkloadDisruption": False}),
    # api/v1beta1/hyperconverged_types.go of release-1.13, and of release-1.18.
    ("HyperConverged", (1, 13), {"completionTimeoutPerGiB": 800}),
    ("HyperConverged", (1, 18), {}),
    # api/v1/hyperconverged_types.go of release-1.19, LiveMigrationConfigurations.
    (
        "HyperConverged",
        (1, 19),
        {
            "completionTimeoutPerGiB": 20,
            "parallelOutboundMigrationsPerNode": 1,
            "allowWorkloadDisruption": False,
        },
    ),
)
"""What a component has otherwise up to a release; after the last one listed, `_DEFAULTS` hold for
KubeVirt, and the last ones listed for HyperConverged."""


def defaults(component: Component, release: Release | None) -> Mapping[str, Value]:
    """Return the defaults of a component's release; those of the newest where none is known."""
    rows = [(until, changed) for name, until, changed in _CHANGED if name == component]
    if release is not None:
        own = release.kubevirt if component == "KubeVirt" else release.hco
        for until, changed in rows:
            if own <= until:
                return {**_DEFAULTS, **changed}
    return {**_DEFAULTS, **(rows[-1][1] if component == "HyperConverged" else {})}


def release(inventory: Inventory) -> Release | None:
    """Return the release that KubeVirt or HyperConverged reports; None where neither does."""
    kubevirt, hyperconverged = inventory.kubevirt, inventory.hyperconverged
    if kubevirt and kubevirt.status:
        found = release_of(kubevirt.status.observed_kubevirt_version, kubevirt_only=True)
        if found is not None:
            return found
    if hyperconverged and hyperconverged.status:
        for each in hyperconverged.status.versions or ():
            if each.name == "operator":
                return release_of(each.version)
    return None


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
    now = release(inventory)
    component: Component = "KubeVirt"
    if kubevirt is None and inventory.hyperconverged is not None:
        component = "HyperConverged"
    source = f"default of {component}" + ("" if now else " (of the newest release)")
    for name, default in defaults(component, now).items():
        if written.get(name) is not None:
            found[name] = Setting(written[name], "KubeVirt spec.configuration.migrations")
        elif kubevirt is None and ours.get(name) is not None:
            found[name] = Setting(ours[name], "HyperConverged liveMigrationConfig")
        else:
            found[name] = Setting(default, source)
    if found["allowWorkloadDisruption"].value is None:
        post_copy = found["allowPostCopy"]
        by = f"follows allowPostCopy ({post_copy.set_by})"
        found["allowWorkloadDisruption"] = Setting(post_copy.value, by)
    return found


def in_force(common: Mapping[str, Setting], policy: MigrationPolicy) -> Mapping[str, Setting]:
    """Return the settings for machines that follow a policy: the cluster's, but for its own.

    One that says allowPostCopy alone means allowWorkloadDisruption too (kubevirt/kubevirt v1.5
    staging/src/kubevirt.io/api/migrations/v1alpha1/types.go, GetMigrationConfByPolicy).
    """
    spec = policy.spec
    disruption = spec.allow_workload_disruption
    own = {
        "allowAutoConverge": spec.allow_auto_converge,
        "bandwidthPerMigration": spec.bandwidth_per_migration,
        "completionTimeoutPerGiB": spec.completion_timeout_per_gi_b,
        "allowPostCopy": spec.allow_post_copy,
        "allowWorkloadDisruption": spec.allow_post_copy if disruption is None else disruption,
    }
    source = f"MigrationPolicy {policy.metadata.name}"
    return {
        **common,
        **{name: Setting(value, source) for name, value in own.items() if value is not None},
    }


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
