"""What machines cost, how they move and where, as KubeVirt and the scheduler have it.

tests/data/README.md says how the verdicts came about.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

from conftest import DATA

from rbacguard.readiness import overhead
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.quantity import amount
from rbacguard.readiness.scheduling import Cluster
from rbacguard.readiness.settings import Setting, in_force, policy_of, settings

VECTORS = json.loads(gzip.decompress((DATA / "machine-vectors.json.gz").read_bytes()))
PLACES = json.loads(gzip.decompress((DATA / "scheduler-vectors.json.gz").read_bytes()))
OMITTED_IF_FALSE = ("disableTLS", "unsafeMigrationOverride")


def read(vector: Any) -> Inventory:
    """Return one machine in its namespace, with KubeVirt's configuration and its policies."""
    kubevirt = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": "kubevirt", "namespace": "openshift-cnv"},
        "spec": {"configuration": vector["configuration"]},
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", **vector["namespace"]}
    return Inventory.from_objects([vector["machine"], kubevirt, namespace, *vector["policies"]])


def otherwise(ours: Mapping[str, Setting], theirs: Mapping[str, Any]) -> Iterator[str]:
    """Tell the settings that KubeVirt has otherwise, of those that it tells."""
    for name, setting in ours.items():
        if name in OMITTED_IF_FALSE:
            differs = setting.value is not bool(theirs.get(name))
        elif name == "bandwidthPerMigration":
            differs = amount(setting.value) != amount(theirs[name])
        else:
            differs = setting.value != theirs.get(name)
        if differs:
            yield f"{name}: {setting}, there {theirs.get(name)}"


def disagreements(vector: Any) -> Iterator[str]:
    inventory = read(vector)
    (machine,) = inventory.machines.values()
    cost = overhead.overhead(machine, inventory.kubevirt)
    if cost != vector["overhead"]:
        yield f"overhead: {cost}, there {vector['overhead']}"
    asked = overhead.requests(machine, inventory.kubevirt) or {}
    for name, expected in vector["requests"].items():
        found = asked.get(name, 0) * (1000 if name == "cpu" else 1)
        # Quantities are rounded up there, cores to thousandths.
        if not expected - 1 < found <= expected:
            yield f"{name}: {found}, there {expected}"
    policy = policy_of(machine, inventory)
    if (policy.metadata.name if policy else None) != vector["policy"]:
        yield f"policy: {policy}, there {vector['policy']}"
    common = settings(inventory)
    own = in_force(common, policy) if policy else common
    yield from otherwise(common, vector["cluster"])
    yield from otherwise(
        {k: v for k, v in own.items() if k in vector["options"]}, vector["options"]
    )


def test_no_answer_differs_from_kubevirts_own() -> None:
    found = {n: list(disagreements(vector)) for n, vector in enumerate(VECTORS)}
    assert {number: each for number, each in found.items() if each} == {}
    # What is compared is there: policies that are followed, huge pages, settings of all kinds.
    assert len({vector["policy"] for vector in VECTORS}) > 5
    assert any(name.startswith("hugepages") for v in VECTORS for name in v["requests"])


def misplaced(vector: Any) -> str:
    """Tell where a machine goes that the scheduler would let go elsewhere, or nowhere."""
    inventory = Inventory.from_objects(vector["objects"])
    (key,) = inventory.machines
    cluster = Cluster.of(inventory)
    if vector["restart"]:
        cluster.leave(key, inventory.machines[key].status.node_name)
    place = cluster.move(key, restart=vector["restart"])
    fits = vector["fits"]
    if place.unknown or (place.target not in fits if fits else place.target):
        return f"{place}, the scheduler: {fits}"
    return ""


def test_no_machine_goes_where_the_scheduler_would_not_let_it() -> None:
    found = {n: misplaced(vector) for n, vector in enumerate(PLACES)}
    assert {number: each for number, each in found.items() if each} == {}
    assert len({len(vector["fits"]) for vector in PLACES}) > 4
