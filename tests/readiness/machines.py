"""Clusters with virtual machines, made from the published API types; the same seed, the same bytes.

Fields as in kubevirt/kubevirt v1.9 staging/src/kubevirt.io/api/core/v1/types.go and openshift/api
machineconfiguration/v1/types.go, labels as virt-handler's node labeller writes them
(pkg/virt-handler/node-labeller), requests of launchers as virt-controller renders them: the
guest's memory plus what a machine costs besides. `machines.py NODES MACHINES > dump.json`.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

Object = dict[str, Any]
MODELS = ("Cascadelake-Server", "Icelake-Server", "EPYC-Milan")
OVERHEAD = 300 * 2**20
GIB = 2**30


def node(name: str, model: str = MODELS[0], *, memory: str = "256Gi", **labels: str) -> Object:
    """Return a worker node with a host-model CPU, that also takes machines of the same model."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/worker": "",
                "kubevirt.io/schedulable": "true",
                f"host-model-cpu.node.kubevirt.io/{model}": "true",
                # A processor can stand in for those before it, not for another maker's.
                **{
                    f"cpu-model-migration.node.kubevirt.io/{other}": "true"
                    for other in MODELS[: MODELS.index(model) + 1]
                    if other == model or not model.startswith("EPYC")
                },
                **labels,
            },
        },
        "spec": {},
        "status": {
            "allocatable": {
                "cpu": "63500m",
                "memory": memory,
                "pods": "250",
                "devices.kubevirt.io/kvm": "1k",
            },
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {"osImage": "Red Hat Enterprise Linux CoreOS 9.6", "architecture": "amd64"},
        },
    }


def machine(
    name: str,
    on: str,
    *,
    memory: int = 4 * GIB,
    namespace: str = "web",
    strategy: str | None = "LiveMigrate",
    reason: str = "",
    message: str = "",
    model: str = "host-model",
    run: str | None = "Always",
    selector: dict[str, str] | None = None,
    **pod: Any,
) -> list[Object]:
    """Return a VirtualMachineInstance, its launcher, and its VirtualMachine, if it has one."""
    condition = {"type": "LiveMigratable", "status": "False" if reason else "True"}
    if reason:
        condition |= {"reason": reason, "message": message}
    labels = {"kubevirt.io/domain": name, "kubevirt.io/nodeName": on}
    found: list[Object] = [
        {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstance",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "domain": {
                    "cpu": {"cores": 2, "sockets": 1, "threads": 1, "model": model},
                    "memory": {"guest": f"{memory // 2**20}Mi"},
                    "devices": {"interfaces": [{"name": "default", "masquerade": {}}]},
                },
                "networks": [{"name": "default", "pod": {}}],
                **({"evictionStrategy": strategy} if strategy else {}),
            },
            "status": {
                "phase": "Running",
                "nodeName": on,
                "conditions": [{"type": "Ready", "status": "True"}, condition],
                "migrationMethod": "LiveMigration",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"virt-launcher-{name}-x",
                "namespace": namespace,
                "labels": {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": name},
                "annotations": {"kubevirt.io/domain": name},
            },
            "spec": {
                "nodeName": on,
                "nodeSelector": {"kubevirt.io/schedulable": "true", **(selector or {})},
                "containers": [
                    {
                        "name": "compute",
                        "resources": {
                            "requests": {
                                "cpu": "200m",
                                "memory": str(memory + OVERHEAD),
                                "devices.kubevirt.io/kvm": "1",
                            }
                        },
                    }
                ],
                **pod,
            },
            "status": {"phase": "Running"},
        },
    ]
    if run is not None:
        found.append(
            {
                "apiVersion": "kubevirt.io/v1",
                "kind": "VirtualMachine",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"runStrategy": run},
            }
        )
    return found


def kubevirt(**configuration: Any) -> Object:
    """Return the KubeVirt resource as HyperConverged writes it."""
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": "kubevirt-hyperconverged", "namespace": "openshift-cnv"},
        "spec": {"configuration": {"evictionStrategy": "LiveMigrate", **configuration}},
    }


def pool(name: str = "worker", unavailable: int | str | None = None, **labels: str) -> Object:
    """Return a MachineConfigPool."""
    spec: Object = {
        "nodeSelector": {"matchLabels": labels or {"node-role.kubernetes.io/worker": ""}}
    }
    if unavailable is not None:
        spec["maxUnavailable"] = unavailable
    return {
        "apiVersion": "machineconfiguration.openshift.io/v1",
        "kind": "MachineConfigPool",
        "metadata": {"name": name},
        "spec": spec,
    }


def policy(name: str, machine: Any = None, namespace: Any = None, **spec: Any) -> Object:
    """Return a MigrationPolicy."""
    selectors = {"virtualMachineInstanceSelector": machine, "namespaceSelector": namespace}
    return {
        "apiVersion": "migrations.kubevirt.io/v1alpha1",
        "kind": "MigrationPolicy",
        "metadata": {"name": name},
        "spec": {"selectors": {k: v for k, v in selectors.items() if v is not None}, **spec},
    }


def cluster(nodes: int, machines: int, *, seed: int = 1) -> list[Object]:
    """Return a whole cluster; one machine in forty cannot migrate, for a reason of KubeVirt's."""
    chance = random.Random(seed)
    names = [f"worker-{number:03}" for number in range(nodes)]
    found: list[Object] = [
        kubevirt(migrations={"parallelMigrationsPerCluster": 10}),
        pool(unavailable=1),
        policy("fast", machine={"tier": "gold"}, bandwidthPerMigration="2Gi"),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web", "labels": {}}},
        *(node(name, MODELS[number % 2]) for number, name in enumerate(names)),
    ]
    for number in range(machines):
        reason = message = ""
        if number % 40 == 7:
            reason = "DisksNotLiveMigratable"
            message = f"cannot migrate VMI: PVC disk-{number} is not shared"
        found += machine(
            f"vm-{number:05}",
            names[number % nodes],
            memory=chance.choice((2, 4, 4, 8, 16)) * GIB,
            reason=reason,
            message=message,
        )
    return found


if __name__ == "__main__":
    made = cluster(int(sys.argv[1]), int(sys.argv[2]))
    json.dump({"apiVersion": "v1", "kind": "List", "items": made}, sys.stdout)
