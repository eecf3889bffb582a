"""Effective settings of live migration, and their sources."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from assessments import TWO, Object, assessed, bare_inventory, inventory
from workload_objects import hyperconverged, kubevirt, policy, vmi

from rbacguard.kubevirt.releases import RELEASES, parse_release
from rbacguard.readiness.settings import (
    Setting,
    cluster_settings,
    defaults,
    migration_policy,
    outbound_limit,
)


def test_a_setting_has_a_source() -> None:
    of_kubevirt = "KubeVirt spec.configuration.migrations"
    written = kubevirt(migrations={"allowPostCopy": True})
    written["status"]["observedKubeVirtVersion"] = "v1.7.0"
    found = cluster_settings(inventory(setting=written))
    assert found["allowPostCopy"] == Setting(True, of_kubevirt)
    follows = f"follows allowPostCopy ({of_kubevirt})"
    assert found["allowWorkloadDisruption"] == Setting(True, follows)
    alone = cluster_settings(bare_inventory([hyperconverged(progressTimeout=99)]))
    assert alone["progressTimeout"] == Setting(99, "HyperConverged liveMigrationConfig")


def test_the_version_of_kubevirt_is_not_a_version_of_hyperconverged() -> None:
    odd = kubevirt()
    odd["status"]["observedKubeVirtVersion"] = "v1.14.0"
    assert inventory(setting=odd).release is None


@pytest.mark.parametrize(
    ("written", "found"),
    [(3, 3), (1, 1), (Decimal("0.5"), 1), (0, 1), (-2, 1), ("x", 1), (None, 1)],
)
def test_the_outbound_limit_is_at_least_1(written: Any, found: int) -> None:
    common = cluster_settings(inventory())
    name = "parallelOutboundMigrationsPerNode"
    assert outbound_limit({**common, name: Setting(written, "a test")}) == found


def test_kubevirt_wins_over_hyperconverged_and_defaults() -> None:
    values = {"parallelMigrationsPerCluster": 20, "allowPostCopy": True}
    old, new = hyperconverged(progressTimeout=99), hyperconverged(new=True, network="mig")
    both = cluster_settings(bare_inventory(old, kubevirt(migrations=values)))
    assert (both["parallelMigrationsPerCluster"].value, both["allowPostCopy"].value) == (20, True)
    timeout = both["progressTimeout"]
    assert (timeout.value, timeout.source) == (150, "default of KubeVirt")
    assert cluster_settings(bare_inventory(old))["progressTimeout"].value == 99
    assert cluster_settings(bare_inventory(new))["network"].value == "mig"
    odd = kubevirt(migrations="none")
    assert cluster_settings(bare_inventory(odd))["network"].source == "default of KubeVirt"


GOLD, PROD = {"tier": "gold"}, {"env": "prod"}


@pytest.mark.parametrize(
    ("policies", "chosen"),
    [
        ([policy("one", vmi=GOLD)], "one"),
        ([policy("one", vmi={"tier": "iron"})], None),
        ([policy("one", vmi=GOLD), policy("two", vmi=GOLD | {"os": "x"})], "two"),
        ([policy("b", vmi=GOLD), policy("a", vmi={"os": "x"})], "a"),
        ([policy("one", namespace=PROD), policy("two", vmi=GOLD)], "two"),
        ([policy("one", vmi=GOLD, namespace=PROD), policy("two", vmi=GOLD)], "one"),
        ([policy("one", namespace={"env": "test"})], None),
        ([policy("all")], "all"),
        ([{**policy("none"), "spec": {}}], None),
    ],
)
def test_the_policy_with_the_most_labels_wins(policies: list[Object], chosen: str | None) -> None:
    made = vmi("vm", "a")
    made[0]["metadata"]["labels"] |= {"tier": "gold", "os": "x"}
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "web", "labels": {"env": "prod"}},
    }
    found_inventory = bare_inventory(made, namespace, policies)
    (instance,) = found_inventory.vmis.values()
    found = migration_policy(instance, found_inventory)
    assert (found.metadata.name if found else None) == chosen


def test_a_policy_changes_the_settings_of_the_vmis_that_it_selects() -> None:
    fast = policy("fast", vmi={"kubevirt.io/domain": "one"}, bandwidthPerMigration="128Mi")
    vms = [vmi("one", "a"), vmi("two", "a")]
    setting = kubevirt(migrations={"bandwidthPerMigration": "64Mi"})
    found = assessed(TWO, fast, *vms, setting=setting)
    assert {key.name: each.seconds for key, each in found.durations.items()} == {
        "one": 32,
        "two": 64,
    }
    assert {key.name: each for key, each in found.policies.items()} == {"one": "fast"}
    limits = {key.name: each for key, each in found.effective.items()}
    assert limits["one"]["bandwidthPerMigration"].source == "MigrationPolicy fast"
    assert limits["one"]["progressTimeout"] == limits["two"]["progressTimeout"]


DEFAULTS = {
    # The timeout of KubeVirt and of HyperConverged, and the outbound limit of HyperConverged.
    "4.16": (800, 800, 2),
    "4.17": (800, 800, 2),
    "4.18": (150, 150, 2),
    "4.22": (150, 150, 2),
    "5.0": (150, 20, 1),
}


@pytest.mark.parametrize("version", DEFAULTS)
def test_defaults_depend_on_the_release(version: str) -> None:
    release = parse_release(version)
    own, theirs = defaults("KubeVirt", release), defaults("HyperConverged", release)
    assert (
        own["completionTimeoutPerGiB"],
        theirs["completionTimeoutPerGiB"],
        theirs["parallelOutboundMigrationsPerNode"],
    ) == DEFAULTS[version]
    assert own["parallelOutboundMigrationsPerNode"] == 2
    for component in ("KubeVirt", "HyperConverged"):
        newest = defaults(component, RELEASES[-1])
        assert defaults(component, None) == newest


def test_the_release_is_that_of_kubevirt_or_else_of_hyperconverged() -> None:
    old = kubevirt()
    old["status"]["observedKubeVirtVersion"] = "v1.3.1"
    found = cluster_settings(bare_inventory(old, hyperconverged("1.19.0")))
    assert found["completionTimeoutPerGiB"].value == 800
    assert found["completionTimeoutPerGiB"].source == "default of KubeVirt"
    alone = cluster_settings(bare_inventory(hyperconverged("1.19.0", new=True, network="m")))
    assert (alone["completionTimeoutPerGiB"].value, alone["network"].value) == (20, "m")
    assert alone["completionTimeoutPerGiB"].source == "default of HyperConverged"
    unknown = cluster_settings(bare_inventory(hyperconverged("9.9.9")))
    assert unknown["completionTimeoutPerGiB"].source.endswith("(of the newest release)")
