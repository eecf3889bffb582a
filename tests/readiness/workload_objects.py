"""Objects of clusters with VMs; the same seed gives the same bytes.

Fields: kubevirt/kubevirt v1.9 staging/src/kubevirt.io/api/core/v1/types.go and the other sources in
rbacguard/snapshot/workloads.py. Node labels: virt-handler, pkg/virt-handler/node-labeller. Requests
of launchers: the guest memory plus overhead, as virt-controller calculates them. Tests use objects
with the evaluated fields. `workload_objects.py NODES VMS [v1] > dump.json` writes complete objects
(`complete_objects.py`), as `kubectl get -o json` shows them.
"""

from __future__ import annotations

import json
import random
import sys
from copy import deepcopy
from typing import Any

from complete_objects import complete

Object = dict[str, Any]
MODELS = ("Cascadelake-Server", "Icelake-Server", "EPYC-Milan")
OVERHEAD = 300 * 2**20
GIB = 2**30


def node(name: str, model: str = MODELS[0], *, memory: str = "256Gi", **labels: str) -> Object:
    """Return a worker node with a host-model CPU that supports VMs of the same model."""
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
                # A CPU supports older models of the same vendor.
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
                "ephemeral-storage": "400Gi",
                **{f"devices.kubevirt.io/{name}": "1k" for name in ("kvm", "tun", "vhost-net")},
            },
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kernelVersion": "5.14.0-570.el9.x86_64",
                "osImage": "Red Hat Enterprise Linux CoreOS 9.6",
                "containerRuntimeVersion": "cri-o://1.32.5",
                "kubeletVersion": "v1.32.5",
                "kubeProxyVersion": "v1.32.5",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


def vmi(
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
    """Return a VirtualMachineInstance, its launcher, and its VirtualMachine (if `run` is set)."""
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
                        "image": "virt-launcher",
                        "resources": {
                            "requests": {
                                "cpu": "200m",
                                "memory": str(memory + OVERHEAD),
                                "devices.kubevirt.io/kvm": "1",
                            },
                            "limits": {"devices.kubevirt.io/kvm": "1"},
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
                "spec": {"runStrategy": run, "template": {"spec": deepcopy(found[0]["spec"])}},
            }
        )
    return found


def pod(name: str, on: str = "", namespace: str = "web", **labels: str) -> Object:
    """Return a pod without requests."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": on, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running"},
    }


def kubevirt(**configuration: Any) -> Object:
    """Return the KubeVirt resource that HyperConverged creates."""
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": "kubevirt-kubevirt-hyperconverged", "namespace": "openshift-cnv"},
        "spec": {
            "configuration": {"evictionStrategy": "LiveMigrate", **configuration},
            "workloadUpdateStrategy": {"workloadUpdateMethods": ["LiveMigrate"]},
        },
        "status": {"observedKubeVirtVersion": "v1.4.1", "targetKubeVirtVersion": "v1.4.1"},
    }


def hyperconverged(version: str = "1.14.0", *, new: bool = False, **settings: Any) -> Object:
    """Return the HyperConverged resource, v1beta1 or (`new`) v1."""
    spec: Object = {"liveMigrationConfig": settings}
    return {
        "apiVersion": f"hco.kubevirt.io/{'v1' if new else 'v1beta1'}",
        "kind": "HyperConverged",
        "metadata": {"name": "kubevirt-hyperconverged", "namespace": "openshift-cnv"},
        "spec": {"virtualization": spec} if new else spec,
        "status": {"versions": [{"name": "operator", "version": version}]},
    }


def claim(
    name: str, *, modes: tuple[str, ...] = ("ReadWriteMany",), namespace: str = "web", **spec: Any
) -> Object:
    """Return a PersistentVolumeClaim of the storage class `shared`."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": list(modes),
            "storageClassName": "shared",
            "volumeMode": "Block",
            "resources": {"requests": {"storage": "30Gi"}},
            **spec,
        },
    }


def storage(name: str, *modes: str, provisioner: str = "rbd.csi.ceph.com") -> list[Object]:
    """Return a StorageClass and its StorageProfile, which offers these modes for block volumes."""
    sets = [{"accessModes": list(modes), "volumeMode": "Block"}] if modes else []
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": provisioner,
        },
        {
            "apiVersion": "cdi.kubevirt.io/v1beta1",
            "kind": "StorageProfile",
            "metadata": {"name": name},
            "spec": {},
            "status": {"claimPropertySets": sets, "provisioner": provisioner},
        },
    ]


def network(name: str, namespace: str = "openshift-cnv") -> Object:
    """Return a NetworkAttachmentDefinition."""
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"config": '{"cniVersion": "0.3.1", "type": "macvlan", "master": "eth1"}'},
    }


def migration(
    name: str,
    of: str,
    phase: str = "Running",
    *,
    created: str = "2026-11-23T08:00:00Z",
    namespace: str = "web",
    manager: str = "virtctl",
    node: str = "",
    **metadata: Any,
) -> Object:
    """Return a VirtualMachineInstanceMigration; with `node`, one that a drain creates."""
    annotations = {"kubevirt.io/evacuationMigration": node} if node else {}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": created,
            "annotations": annotations,
            "managedFields": [
                {
                    "manager": "virt-controller" if node else manager,
                    "operation": "Update",
                    "apiVersion": "kubevirt.io/v1",
                    "time": created,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {"f:vmiName": {}}},
                }
            ],
            **metadata,
        },
        "spec": {"vmiName": of},
        "status": {
            "phase": phase,
            "migrationState": {"sourceNode": "a", "targetNode": "b", "migrationUid": "1"},
        },
    }


def event(verb: str, who: str, **more: Any) -> Object:
    """Return an audit event for a VirtualMachineInstanceMigration."""
    target = {
        "resource": "virtualmachineinstancemigrations",
        "namespace": "web",
        "apiGroup": "kubevirt.io",
        "apiVersion": "v1",
        **more.pop("target", {}),
    }
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": who, "groups": ["devs", "system:authenticated"]},
        "objectRef": target,
        "responseStatus": {"code": 201},
        "requestReceivedTimestamp": "2026-11-20T08:00:00.000000Z",
        **more,
    }


def on_claim(objects: list[Object], name: str, *modes: str) -> list[Object]:
    """Add a volume on a claim to the status of a VMI."""
    objects[0]["status"]["volumeStatus"] = [
        {
            "name": "root",
            "target": "vda",
            "persistentVolumeClaimInfo": {
                "claimName": name,
                "accessModes": list(modes or ("ReadWriteMany",)),
            },
        }
    ]
    return objects


def ready() -> list[Object]:
    """Return a small cluster without problems."""
    return [
        kubevirt(migrations={"bandwidthPerMigration": "512Mi"}),
        hyperconverged(bandwidthPerMigration="512Mi"),
        pool(),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}},
        node("a"),
        node("b"),
        *storage("shared", "ReadWriteMany", "ReadWriteOnce"),
        *storage("local", provisioner="kubernetes.io/no-provisioner"),
        network("other", "web"),
        claim("calm"),
        migration("past", "calm", "Succeeded"),
        policy("some", vmi={"tier": "gold"}, allowAutoConverge=True),
        *on_claim(vmi("calm", "a"), "calm"),
    ]


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


def policy(name: str, vmi: Any = None, namespace: Any = None, **spec: Any) -> Object:
    """Return a MigrationPolicy."""
    selectors = {"virtualMachineInstanceSelector": vmi, "namespaceSelector": namespace}
    return {
        "apiVersion": "migrations.kubevirt.io/v1alpha1",
        "kind": "MigrationPolicy",
        "metadata": {"name": name},
        "spec": {"selectors": {k: v for k, v in selectors.items() if v is not None}, **spec},
    }


def cluster(nodes: int, vms: int, *, seed: int = 1, new: bool = False) -> list[Object]:
    """Return a cluster in which one of forty VMs cannot live-migrate.

    Args:
        nodes: the number of nodes; every second one has the second CPU model.
        vms: the number of VMs, distributed to all nodes.
        seed: the seed of their sizes.
        new: whether HyperConverged is v1 instead of v1beta1.
    """
    chance = random.Random(seed)
    names = [f"worker-{number:03}" for number in range(nodes)]
    settings = {"parallelMigrationsPerCluster": 10, "bandwidthPerMigration": "512Mi"}
    found: list[Object] = [
        kubevirt(migrations=settings),
        hyperconverged("1.19.0" if new else "1.14.0", new=new, **settings),
        pool(unavailable=1),
        policy("fast", vmi={"tier": "gold"}, bandwidthPerMigration="2Gi"),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web", "labels": {}}},
        *(node(name, MODELS[number % 2], memory="512Gi") for number, name in enumerate(names)),
        *storage("shared", "ReadWriteMany", "ReadWriteOnce"),
        *storage("local", provisioner="kubernetes.io/no-provisioner"),
        network("migration"),
    ]
    for number in range(vms):
        name, reason, message = f"vm-{number:05}", "", ""
        modes, class_name = ("ReadWriteMany",), "shared"
        if number % 40 == 7:
            reason = "DisksNotLiveMigratable"
            message = f"cannot migrate VMI: PVC {name} is not shared"
            modes, class_name = ("ReadWriteOnce",), "local"
        made = vmi(
            name,
            names[number % nodes],
            memory=chance.choice((2, 4, 4, 8, 16)) * GIB,
            reason=reason,
            message=message,
        )
        if number % 10 == 0:
            made[0]["metadata"]["labels"]["tier"] = "gold"
        found += [claim(name, modes=modes, storageClassName=class_name)]
        found += on_claim(made, name, *modes)
        if number % 20 == 0:
            found.append(migration(f"move-{name}", name, "Succeeded", node=names[number % nodes]))
    return found


def dump(nodes: int, vms: int, *, new: bool = False) -> str:
    """Return a cluster with complete objects, as kubectl prints it."""
    items = [complete(item) for item in cluster(nodes, vms, new=new)]
    return json.dumps({"apiVersion": "v1", "items": items, "kind": "List"}, indent=4) + "\n"


if __name__ == "__main__":
    sys.stdout.write(dump(int(sys.argv[1]), int(sys.argv[2]), new="v1" in sys.argv[3:]))
