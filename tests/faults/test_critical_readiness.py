"""A drain completes only if nothing in the cluster prevents it, and all of it was read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_inputs import FAILED, UNKNOWN, Done, Object, find, rbacguard, recorded, without

VENDOR = "cpu-vendor.node.kubevirt.io/"
ZONE = "topology.kubernetes.io/zone"
EMPTY_LISTS = (
    ("kubevirt.io/v1", "VirtualMachineInstanceMigration"),
    ("migrations.kubevirt.io/v1alpha1", "MigrationPolicy"),
    ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
    ("v1", "PersistentVolume"),
    ("v1", "ResourceQuota"),
    ("policy/v1", "PodDisruptionBudget"),
)


def nodes() -> list[Object]:
    """Return a cluster with three nodes, one VM on node w1, and virt-handler on every node."""
    items = recorded("nodes-and-a-vm")
    return items + [handler(each["metadata"]["name"]) for each in items if each["kind"] == "Node"]


def handler(node: str, *, ready: bool = True) -> Object:
    """Return the Pod of virt-handler on a node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"virt-handler-{node}",
            "namespace": "openshift-cnv",
            "labels": {"kubevirt.io": "virt-handler"},
        },
        "spec": {"nodeName": node, "containers": [{"name": "virt-handler"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def readiness(folder: Path, items: list[Object], *unread: str) -> Done:
    """Return what readiness prints; each kind without an object is an empty list, if not unread."""
    present = {each["kind"] for each in items}
    documents = [{"apiVersion": "v1", "kind": "List", "items": items}]
    documents += [
        {"apiVersion": version, "kind": f"{kind}List", "items": []}
        for version, kind in EMPTY_LISTS
        if kind not in present and kind not in unread
    ]
    path = folder / "cluster.json"
    path.write_text("\n".join(map(json.dumps, documents)), "utf-8")
    return rbacguard(folder, "readiness", "-f", str(path), "-o", "json")


def pod(name: str, node: str, **labels: str) -> Object:
    """Return a Pod in the namespace of the VM."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "c"}]},
        "status": {"phase": "Running"},
    }


def budget(name: str, **fields: Any) -> Object:
    """Return a PodDisruptionBudget that allows no disruption."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "shop", **fields.pop("metadata", {})},
        "spec": {"minAvailable": 1, **fields},
        "status": {
            "disruptionsAllowed": 0,
            "currentHealthy": 1,
            "desiredHealthy": 1,
            "expectedPods": 1,
        },
    }


def quota(name: str, resource: str, hard: str, used: str) -> Object:
    """Return a ResourceQuota of the namespace of the VM."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"hard": {resource: hard}},
        "status": {"hard": {resource: hard}, "used": {resource: used}},
    }


def test_every_drain_of_the_cluster_completes(tmp_path: Path) -> None:
    done = readiness(tmp_path, nodes())
    assert done.returncode == 0, done.stdout + done.stderr


# Objects that block a drain


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="PodDisruptionBudgets and ResourceQuotas, which block a drain, are not read.",
)
@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(
            [
                pod("api-0", "w1", app="api"),
                budget("shop-limit", selector={"matchLabels": {"app": "api"}}),
            ],
            id="PodDisruptionBudget",
        ),
        pytest.param(
            [pod("api-0", "w2", app="api"), budget("shop-limit", selector={})],
            id="PodDisruptionBudget of all Pods",
        ),
        pytest.param(
            [quota("shop-limit", "requests.memory", "6Gi", "4396Mi")], id="ResourceQuota of memory"
        ),
        pytest.param([quota("shop-limit", "pods", "1", "1")], id="ResourceQuota of Pods"),
    ],
)
def test_objects_that_block_a_drain_are_found(tmp_path: Path, extra: list[Object]) -> None:
    done = readiness(tmp_path, [*nodes(), *extra])
    assert done.returncode == FAILED, done.stdout
    assert "shop-limit" in done.stdout


@pytest.mark.parametrize(
    "extra",
    [
        # virt-controller makes a budget for each VMI, and virt-api starts a migration instead of
        # an eviction (kubevirt 1.6, pkg/virt-controller/watch/drain/disruptionbudget).
        pytest.param(
            [
                budget(
                    "kubevirt-disruption-budget-x",
                    selector={"matchLabels": {"vm.kubevirt.io/name": "a"}},
                    metadata={
                        "ownerReferences": [
                            {
                                "apiVersion": "kubevirt.io/v1",
                                "kind": "VirtualMachineInstance",
                                "name": "a",
                                "controller": True,
                                "uid": "x",
                            }
                        ]
                    },
                )
            ],
            id="PodDisruptionBudget of the VM",
        ),
        pytest.param([quota("wide", "requests.memory", "64Gi", "4396Mi")], id="ResourceQuota"),
    ],
)
def test_objects_that_block_no_drain_are_no_findings(tmp_path: Path, extra: list[Object]) -> None:
    assert readiness(tmp_path, [*nodes(), *extra]).returncode == 0


# Nodes that cannot be drained, or that take no VM


def cordoned(*names: str) -> list[Object]:
    """Return the cluster with cordoned nodes."""
    items = nodes()
    for name in names:
        find(items, "Node", name)["spec"]["unschedulable"] = True
    return items


def not_ready(name: str) -> list[Object]:
    """Return the cluster with a node that is not ready."""
    items = nodes()
    find(items, "Node", name)["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    return items


def vendors(version: str) -> list[Object]:
    """Return the cluster with one other node, of another CPU vendor, and a VM for both."""
    items = [each for each in nodes() if each["metadata"]["name"] not in ("w3", "virt-handler-w3")]
    model = "cpu-model.node.kubevirt.io/qemu64"
    for name in ("w1", "w2"):
        find(items, "Node", name)["metadata"]["labels"][model] = "true"
    labels = find(items, "Node", "w2")["metadata"]["labels"]
    labels[f"{VENDOR}AMD"] = labels.pop(f"{VENDOR}Intel")
    status = find(items, "KubeVirt", "kubevirt-kubevirt-hyperconverged")["status"]
    status |= {"observedKubeVirtVersion": version, "targetKubeVirtVersion": version}
    find(items, "VirtualMachineInstance", "a")["spec"]["domain"]["cpu"]["model"] = "qemu64"
    template = find(items, "VirtualMachine", "a")["spec"]["template"]["spec"]
    template["domain"]["cpu"]["model"] = "qemu64"
    find(items, "Pod", "virt-launcher-a-abcde")["spec"]["nodeSelector"][model] = "true"
    return items


def degraded(*, node: str) -> list[Object]:
    """Return the cluster with a MachineConfigPool that is degraded because of a node."""
    items = nodes()
    find(items, "MachineConfigPool", "worker")["status"] = {
        "machineCount": 3,
        "degradedMachineCount": 1,
        "conditions": [
            {
                "type": each,
                "status": "True",
                "reason": "1 nodes are reporting degraded status on sync",
                "message": f'Node {node} is reporting: "unexpected on-disk state"',
            }
            for each in ("Degraded", "NodeDegraded")
        ],
    }
    return items


def handlers(*broken: str, removed: bool = False) -> list[Object]:
    """Return the cluster with virt-handler missing or not ready on some nodes."""
    names = {f"virt-handler-{each}" for each in broken}
    items = [each for each in nodes() if each["metadata"]["name"] not in names]
    return items + ([] if removed else [handler(each, ready=False) for each in broken])


def volume_of(label: str, value: str) -> list[Object]:
    """Return the cluster with the disk of the VM on a volume of some nodes only."""
    items = nodes()
    for name, zone in (("w2", "z2"), ("w3", "z2")):
        find(items, "Node", name)["metadata"]["labels"][ZONE] = zone
    claim = find(items, "PersistentVolumeClaim", "a-d0")
    claim["spec"]["volumeName"] = "disk"
    claim["status"] = {"phase": "Bound"}
    term = {"matchExpressions": [{"key": label, "operator": "In", "values": [value]}]}
    return [
        *items,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "disk"},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "capacity": {"storage": "30Gi"},
                "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": "a-d0"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
            },
        },
    ]


def spread(policy: str) -> list[Object]:
    """Return the cluster with a VM that is spread over two zones with the Pods of a database."""
    items = nodes()
    for name in ("w2", "w3"):
        find(items, "Node", name)["metadata"]["labels"][ZONE] = "z2"
    constraint = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": policy,
        "labelSelector": {"matchLabels": {"app": "db"}},
    }
    launcher = find(items, "Pod", "virt-launcher-a-abcde")
    launcher["metadata"]["labels"]["app"] = "db"
    find(items, "VirtualMachineInstance", "a")["metadata"]["labels"]["app"] = "db"
    template = find(items, "VirtualMachine", "a")["spec"]["template"]
    template["metadata"] = {"labels": {"app": "db"}}
    for each in (launcher["spec"], template["spec"]):
        each["topologySpreadConstraints"] = [constraint]
    find(items, "VirtualMachineInstance", "a")["spec"]["topologySpreadConstraints"] = [constraint]
    return [*items, pod("db-1", "w2", app="db"), pod("db-2", "w3", app="db")]


BLOCKED: dict[str, Callable[[], list[Object]]] = {
    "one node cordoned, which is all that the pool allows": lambda: cordoned("w3"),
    "one node not ready, which is all that the pool allows": lambda: not_ready("w3"),
    "other CPU vendor, KubeVirt 1.6": lambda: vendors("v1.6.6"),
    "other CPU vendor, KubeVirt 1.7": lambda: vendors("v1.7.4"),
    "degraded pool": lambda: degraded(node="w2"),
    "degraded pool, node of the VM": lambda: degraded(node="w1"),
    "virt-handler not ready on the other nodes": lambda: handlers("w2", "w3"),
    "virt-handler not ready on the node of the VM": lambda: handlers("w1"),
    "no virt-handler on the other nodes": lambda: handlers("w2", "w3", removed=True),
    "local volume": lambda: volume_of("kubernetes.io/hostname", "w1"),
    "volume of a zone": lambda: volume_of(ZONE, "z1"),
    "topology spread": lambda: spread("DoNotSchedule"),
}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Every drain completes, according to the report, although a condition of the nodes or "
    "of the volumes prevents it.",
)
@pytest.mark.parametrize("case", BLOCKED)
def test_a_drain_that_cannot_complete_is_not_ready(tmp_path: Path, case: str) -> None:
    done = readiness(tmp_path, BLOCKED[case]())
    assert done.returncode in (FAILED, UNKNOWN), done.stdout


@pytest.mark.parametrize(
    "items",
    [
        # virt-controller adds the selector of the vendor since 1.6.4, 1.7.1, and 1.8.0.
        pytest.param(lambda: vendors("v1.6.2"), id="other CPU vendor, KubeVirt 1.6.2"),
        pytest.param(lambda: spread("ScheduleAnyway"), id="preferred topology spread"),
        pytest.param(lambda: volume_of("kubernetes.io/arch", "amd64"), id="volume of all nodes"),
    ],
)
def test_a_drain_that_completes_is_ready(tmp_path: Path, items: Callable[[], list[Object]]) -> None:
    done = readiness(tmp_path, items())
    assert done.returncode == 0, done.stdout


def test_a_vm_without_another_node_is_not_ready(tmp_path: Path) -> None:
    assert readiness(tmp_path, cordoned("w2", "w3")).returncode == FAILED


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Every drain completes, according to the report, although objects that could block it "
    "were not read.",
)
@pytest.mark.parametrize(
    "unread",
    [
        ("ResourceQuota", "PodDisruptionBudget", "PersistentVolume"),
        ("ResourceQuota",),
        ("PodDisruptionBudget",),
    ],
    ids=" and ".join,
)
def test_what_was_not_read_is_unknown(tmp_path: Path, unread: tuple[str, ...]) -> None:
    done = readiness(tmp_path, nodes(), *unread)
    assert done.returncode == UNKNOWN, done.stdout


def test_the_node_of_a_vm_must_be_read(tmp_path: Path) -> None:
    done = readiness(tmp_path, without(nodes(), "Node"))
    assert done.returncode == UNKNOWN, done.stdout
