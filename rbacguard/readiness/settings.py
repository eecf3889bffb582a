"""The effective settings of live migration, and the source of each.

HyperConverged writes its values into the KubeVirt resource, so the values in KubeVirt are
effective. Values that are absent there have KubeVirt's defaults. If KubeVirt was not read, the
values and defaults of HyperConverged apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from rbacguard.kubevirt.releases import MinorVersion, Release
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import parse_quantity
from rbacguard.snapshot.objects import dict_at
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
"""Defaults of the fields of spec.configuration.migrations in the KubeVirt resource.

A bandwidth of 0 is unlimited. allowWorkloadDisruption has the value of allowPostCopy by default.
Source: kubevirt/kubevirt v1.4 to v1.9 pkg/virt-config/virt-config.go.
"""
_OTHER_DEFAULTS: tuple[tuple[Component, MinorVersion, Mapping[str, Value]], ...] = (
    # v1.3 pkg/virt-config/virt-config.go: MigrationCompletionTimeoutPerGiB.
    ("KubeVirt", (1, 3), {"completionTimeoutPerGiB": 800, "allowWorkloadDisruption": False}),
    # The field exists since v1.5. Earlier releases do not pause a VMI.
    ("KubeVirt", (1, 4), {"allowWorkloadDisruption": False}),
    # api/v1beta1/hyperconverged_types.go of release-1.13 and of release-1.18.
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
"""Defaults of a component that differ from `_DEFAULTS`, by the last release that has them.

Later releases of KubeVirt have `_DEFAULTS`; later releases of HyperConverged have the last row.
"""


class Setting(Struct, frozen=True):
    """The value of a setting, and the object or default that sets it."""

    value: Any
    source: str


Settings: TypeAlias = Mapping[str, Setting]
"""Settings by the name of the field in the KubeVirt resource."""


def defaults(component: Component, release: Release | None) -> Mapping[str, Value]:
    """Return the defaults of a release of a component.

    Args:
        component: the component.
        release: its release; None for the newest.
    """
    rows = [(last, changes) for name, last, changes in _OTHER_DEFAULTS if name == component]
    if release is not None:
        version = release.kubevirt if component == "KubeVirt" else release.hco
        for last, changes in rows:
            if version <= last:
                return {**_DEFAULTS, **changes}
    return {**_DEFAULTS, **(rows[-1][1] if component == "HyperConverged" else {})}


def cluster_settings(inventory: Inventory) -> Settings:
    """Return the settings of the cluster."""
    kubevirt, hyperconverged = inventory.kubevirt, inventory.hyperconverged
    release = inventory.release
    component: Component = "KubeVirt"
    if kubevirt is not None:
        values = dict_at(dict_at(kubevirt.spec, "configuration"), "migrations")
        source = "KubeVirt spec.configuration.migrations"
    else:
        spec = hyperconverged.spec if hyperconverged else None
        # v1 has the field below spec.virtualization, v1beta1 below spec.
        values = dict_at(dict_at(spec, "virtualization"), "liveMigrationConfig")
        values = values or dict_at(spec, "liveMigrationConfig")
        source = "HyperConverged liveMigrationConfig"
        if hyperconverged is not None:
            component = "HyperConverged"
    default_source = f"default of {component}" + ("" if release else " (of the newest release)")
    settings = {
        name: Setting(default, default_source)
        if values.get(name) is None
        else Setting(values[name], source)
        for name, default in defaults(component, release).items()
    }
    if settings["allowWorkloadDisruption"].value is None:
        post_copy = settings["allowPostCopy"]
        inherited = Setting(post_copy.value, f"follows allowPostCopy ({post_copy.source})")
        settings["allowWorkloadDisruption"] = inherited
    return settings


def effective_settings(cluster: Settings, policy: MigrationPolicy) -> Settings:
    """Return the settings of VMIs that use a MigrationPolicy.

    allowPostCopy also sets allowWorkloadDisruption if the policy does not set it (kubevirt/kubevirt
    v1.5 staging/src/kubevirt.io/api/migrations/v1alpha1/types.go, GetMigrationConfByPolicy).

    Args:
        cluster: the settings of the cluster.
        policy: the MigrationPolicy.
    """
    spec = policy.spec
    disruption = spec.allow_workload_disruption
    values = {
        "allowAutoConverge": spec.allow_auto_converge,
        "bandwidthPerMigration": spec.bandwidth_per_migration,
        "completionTimeoutPerGiB": spec.completion_timeout_per_gi_b,
        "allowPostCopy": spec.allow_post_copy,
        "allowWorkloadDisruption": spec.allow_post_copy if disruption is None else disruption,
    }
    source = f"MigrationPolicy {policy.metadata.name}"
    changes = {name: Setting(value, source) for name, value in values.items() if value is not None}
    return {**cluster, **changes}


def migration_policy(vmi: VirtualMachineInstance, inventory: Inventory) -> MigrationPolicy | None:
    """Return the MigrationPolicy of a VMI, None if no policy selects it.

    The policy with the most selector labels wins, then the one with the most labels of the VMI,
    then the first by name. A policy without selectors selects nothing, and any policy with
    selectors selects a VMI without labels (kubevirt/kubevirt v1.9
    pkg/virt-controller/watch/migration/migrationpolicy.go, matchPolicy).
    """
    labels = vmi.metadata.labels
    namespace_labels = inventory.namespace_labels.get(vmi.metadata.namespace, {})
    best: tuple[int, int] | None = None
    chosen = None
    for _, policy in sorted(inventory.migration_policies.items()):
        selectors = policy.spec.selectors
        if selectors is None:
            continue
        by_vmi = selectors.virtual_machine_instance_selector
        by_namespace = selectors.namespace_selector
        score = (len(by_vmi) + len(by_namespace), len(by_vmi))
        if not labels:
            score = (0, 0)
        elif not (
            by_vmi.items() <= labels.items() and by_namespace.items() <= namespace_labels.items()
        ):
            continue
        if best is None or score > best:
            best, chosen = score, policy
    return chosen


def outbound_limit(settings: Settings) -> Decimal:
    """Return how many migrations can leave a node at the same time."""
    limit = parse_quantity(settings["parallelOutboundMigrationsPerNode"].value)
    return limit if limit is not None and limit > 0 else Decimal(1)
