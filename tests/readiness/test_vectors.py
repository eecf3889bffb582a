"""Overhead, settings, and targets of VMIs, compared with KubeVirt and kube-scheduler.

tests/data/README.md describes how the expected results were created.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

from assessments import bare_inventory
from conftest import DATA

from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.overhead import launcher_requests, memory_overhead
from rbacguard.readiness.quantity import parse_quantity
from rbacguard.readiness.scheduling import Cluster
from rbacguard.readiness.settings import (
    Settings,
    cluster_settings,
    effective_settings,
    migration_policy,
)

VECTORS = json.loads(gzip.decompress((DATA / "vmi-vectors.json.gz").read_bytes()))
PLACES = json.loads(gzip.decompress((DATA / "scheduler-vectors.json.gz").read_bytes()))
OMITTED_IF_FALSE = ("disableTLS", "unsafeMigrationOverride")


def read(vector: Any) -> Inventory:
    """Return a VMI with its namespace, the KubeVirt resource, and MigrationPolicies."""
    kubevirt = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": "kubevirt", "namespace": "openshift-cnv"},
        "spec": {"configuration": vector["configuration"]},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", **vector["namespace"]}
    return bare_inventory(vector["vmi"], kubevirt, namespace, vector["policies"])


def different(ours: Settings, theirs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings that differ from those of KubeVirt."""
    for name, setting in ours.items():
        if name in OMITTED_IF_FALSE:
            differs = setting.value is not bool(theirs.get(name))
        elif name == "bandwidthPerMigration":
            differs = parse_quantity(setting.value) != parse_quantity(theirs[name])
        else:
            differs = setting.value != theirs.get(name)
        if differs:
            yield f"{name}: {setting}, expected {theirs.get(name)}"


def disagreements(vector: Any) -> Iterator[str]:
    inventory = read(vector)
    (vmi,) = inventory.vmis.values()
    overhead = memory_overhead(vmi, inventory.kubevirt)
    if overhead != vector["overhead"]:
        yield f"overhead: {overhead}, expected {vector['overhead']}"
    requests = launcher_requests(vmi, inventory.kubevirt) or {}
    for name, expected in vector["requests"].items():
        found = requests.get(name, 0) * (1000 if name == "cpu" else 1)
        # KubeVirt rounds quantities up, and CPU is in millicores.
        if not expected - 1 < found <= expected:
            yield f"{name}: {found}, expected {expected}"
    policy = migration_policy(vmi, inventory)
    if (policy.metadata.name if policy else None) != vector["policy"]:
        yield f"policy: {policy}, expected {vector['policy']}"
    cluster = cluster_settings(inventory)
    own = effective_settings(cluster, policy) if policy else cluster
    yield from different(cluster, vector["cluster"])
    yield from different(
        {k: v for k, v in own.items() if k in vector["options"]}, vector["options"]
    )


def test_overhead_and_settings_are_those_of_kubevirt() -> None:
    found = {n: list(disagreements(vector)) for n, vector in enumerate(VECTORS)}
    assert {number: each for number, each in found.items() if each} == {}
    # The vectors contain policies and huge pages.
    assert len({vector["policy"] for vector in VECTORS}) > 5
    assert any(name.startswith("hugepages") for v in VECTORS for name in v["requests"])


def misplaced(vector: Any) -> str:
    """Return a target that kube-scheduler does not allow, '' if it is allowed."""
    inventory = bare_inventory(vector["objects"])
    (key,) = inventory.vmis
    cluster = Cluster(inventory)
    if vector["restart"]:
        cluster.evict(key, inventory.vmis[key].status.node_name)
    placement = cluster.place(key, restart=vector["restart"])
    fits = vector["fits"]
    if placement.unknown or (placement.target not in fits if fits else placement.target):
        return f"{placement}, kube-scheduler: {fits}"
    return ""


def test_targets_are_allowed_by_kube_scheduler() -> None:
    found = {n: misplaced(vector) for n, vector in enumerate(PLACES)}
    assert {number: each for number, each in found.items() if each} == {}
    assert len({len(vector["fits"]) for vector in PLACES}) > 4
