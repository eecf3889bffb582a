"""Fields of real objects that `workload_objects.py` does not set.

Launchers: KubeVirt v1.9 pkg/virt-controller/services/template.go, with defaults of the API server
and the status of the kubelet. VMIs, VirtualMachines, and claims: virt-api, virt-handler, and CDI
(staging/src/kubevirt.io/api/core/v1/types.go).
"""

from __future__ import annotations

import uuid
from typing import Any

Object = dict[str, Any]
TIME = "2026-11-20T08:00:00Z"
IMAGE = (
    "registry.redhat.io/container-native-virtualization/virt-launcher-rhel9"
    "@sha256:6b1cb7ba37fdac1e7d3a5a3f4c1a9e9a1f0c9f3f9b0c1d2e3f4a5b6c7d8e9f0a"
)


def uid(*names: str) -> str:
    """Return the same UID for the same names."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, ".".join(names)))


def merge(defaults: Any, item: Any) -> Any:
    """Return an object with defaults for the fields that it does not have."""
    if not isinstance(defaults, dict) or not isinstance(item, dict):
        return item
    return {**defaults, **{key: merge(defaults.get(key), value) for key, value in item.items()}}


def _metadata(item: Object) -> Object:
    metadata = item["metadata"]
    return {
        "uid": uid(item["kind"], metadata["name"]),
        "resourceVersion": str(int(uid(metadata["name"])[:7], 16)),
        "creationTimestamp": TIME,
        "generation": 3,
    }


def _owner(version: str, kind: str, name: str) -> list[Object]:
    return [
        {
            "apiVersion": version,
            "kind": kind,
            "name": name,
            "uid": uid(kind, name),
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def _conditions(*types: str) -> list[Object]:
    return [
        {"type": name, "status": "True", "lastProbeTime": TIME, "lastTransitionTime": TIME}
        for name in types
    ]


def _mounts(**paths: str) -> list[Object]:
    return [{"name": name.replace("_", "-"), "mountPath": path} for name, path in paths.items()]


def _container(name: str, command: str, *args: str, **more: Any) -> Object:
    return {
        "name": name,
        "image": IMAGE,
        "command": [f"/usr/bin/{command}"],
        "args": list(args),
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 107,
            "runAsGroup": 107,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **more,
    }


def _running(name: str) -> Object:
    return {
        "name": name,
        "ready": True,
        "started": True,
        "restartCount": 0,
        "image": IMAGE,
        "imageID": IMAGE,
        "containerID": f"cri-o://{uid(name).replace('-', '') * 2}",
        "state": {"running": {"startedAt": TIME}},
        "lastState": {},
    }


def _launcher(item: Object) -> Object:
    name = item["metadata"]["labels"]["vm.kubevirt.io/name"]
    namespace = item["metadata"]["namespace"]
    vmi_uid = uid("VirtualMachineInstance", name)
    compute = _container(
        *("compute", "virt-launcher-monitor", "--qemu-timeout", "316s", "--name", name),
        *("--uid", vmi_uid, "--namespace", namespace, "--kubevirt-share-dir", "/var/run/kubevirt"),
        *("--ephemeral-disk-dir", "/var/run/kubevirt-ephemeral-disks"),
        *("--container-disk-dir", "/var/run/kubevirt/container-disks"),
        *("--grace-period-seconds", "195", "--hook-sidecars", "0"),
        *(
            "--ovmf-path",
            "/usr/share/OVMF",
            "--disk-memory-limit",
            "2097152000",
            "--run-as-nonroot",
        ),
        env=[
            {"name": "XDG_CACHE_HOME", "value": "/var/run/kubevirt-private"},
            {"name": "XDG_CONFIG_HOME", "value": "/var/run/kubevirt-private"},
            {"name": "XDG_RUNTIME_DIR", "value": "/var/run"},
            {
                "name": "POD_NAME",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
            },
        ],
        volumeMounts=_mounts(
            private="/var/run/kubevirt-private",
            public="/var/run/kubevirt",
            ephemeral_disks="/var/run/kubevirt-ephemeral-disks",
            container_disks="/var/run/kubevirt/container-disks",
            libvirt_runtime="/var/run/libvirt",
            sockets="/var/run/kubevirt/sockets",
            hotplug_disks="/var/run/kubevirt/hotplug-disks",
        ),
        volumeDevices=[{"name": "root", "devicePath": "/dev/root"}],
        resources={
            "limits": {
                "devices.kubevirt.io/kvm": "1",
                "devices.kubevirt.io/tun": "1",
                "devices.kubevirt.io/vhost-net": "1",
            },
            "requests": {
                "devices.kubevirt.io/tun": "1",
                "devices.kubevirt.io/vhost-net": "1",
                "ephemeral-storage": "50M",
            },
        },
    )
    log = _container(
        *("guest-console-log", "virt-tail", "--logfile"),
        f"/var/run/kubevirt-private/{vmi_uid}/virt-serial0-log",
        env=[{"name": "VIRT_LAUNCHER_LOG_VERBOSITY", "value": "2"}],
        resources={
            "limits": {"cpu": "15m", "memory": "60M"},
            "requests": {"cpu": "5m", "memory": "35M"},
        },
        restartPolicy="Always",
        volumeMounts=[{**_mounts(private="/var/run/kubevirt-private")[0], "readOnly": True}],
    )
    empty = ("private", "public", "sockets", "virt-bin-share-dir", "libvirt-runtime")
    volumes = [*empty, "ephemeral-disks", "container-disks", "hotplug-disks"]
    spec = item["spec"]
    return {
        "metadata": {
            "generateName": f"virt-launcher-{name}-",
            "labels": {"kubevirt.io/created-by": vmi_uid, "vmi.kubevirt.io/id": name},
            "annotations": {
                "descheduler.alpha.kubernetes.io/request-evict-only": "",
                "kubectl.kubernetes.io/default-container": "compute",
                "kubevirt.io/migrationTransportUnix": "true",
                "openshift.io/scc": "kubevirt-controller",
                "k8s.ovn.org/pod-networks": '{"default":{"ip_addresses":["10.128.2.15/23"],'
                '"mac_address":"0a:58:0a:80:02:0f","gateway_ips":["10.128.2.1"],"role":"primary"}}',
                "k8s.v1.cni.cncf.io/network-status": '[{"name":"ovn-kubernetes","interface":"eth0",'
                '"ips":["10.128.2.15"],"mac":"0a:58:0a:80:02:0f","default":true,"dns":{}}]',
            },
            "ownerReferences": _owner("kubevirt.io/v1", "VirtualMachineInstance", name),
        },
        "spec": {
            "volumes": [
                *({"name": each, "emptyDir": {}} for each in volumes),
                {"name": "root", "persistentVolumeClaim": {"claimName": name}},
            ],
            "initContainers": [log],
            "containers": [merge(compute, spec["containers"][0])],
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 210,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsUser": 107, "runAsGroup": 107, "fsGroup": 107},
            "hostname": name,
            "schedulerName": "default-scheduler",
            "tolerations": [
                {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect, **more}
                for key, effect, more in (
                    ("not-ready", "NoExecute", {"tolerationSeconds": 300}),
                    ("unreachable", "NoExecute", {"tolerationSeconds": 300}),
                    ("memory-pressure", "NoSchedule", {}),
                )
            ],
            "priority": 0,
            "readinessGates": [{"conditionType": "kubevirt.io/virtual-machine-unpaused"}],
            "enableServiceLinks": False,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {
            "conditions": _conditions(
                *("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"),
                *("PodScheduled", "kubevirt.io/virtual-machine-unpaused"),
            ),
            "hostIP": "192.168.10.21",
            "podIP": "10.128.2.15",
            "podIPs": [{"ip": "10.128.2.15"}],
            "startTime": TIME,
            "qosClass": "Burstable",
            "containerStatuses": [_running("compute")],
            "initContainerStatuses": [_running("guest-console-log")],
        },
    }


def _domain(name: str, spec: Object) -> Object:
    guest = spec["domain"]["memory"]["guest"]
    return {
        "architecture": "amd64",
        "domain": {
            "resources": {"requests": {"memory": guest}},
            "memory": {"maxGuest": f"{4 * int(guest.removesuffix('Mi'))}Mi"},
            "cpu": {"maxSockets": 4},
            "machine": {"type": "pc-q35-rhel9.6.0"},
            "firmware": {
                "uuid": uid("firmware", name),
                "serial": uid("serial", name),
                "bootloader": {"efi": {"secureBoot": False}},
            },
            "features": {"acpi": {"enabled": True}, "smm": {"enabled": True}},
            "devices": {
                "rng": {},
                "networkInterfaceMultiqueue": True,
                "disks": [
                    {"name": "root", "disk": {"bus": "virtio"}, "bootOrder": 1},
                    {"name": "cloudinitdisk", "disk": {"bus": "virtio"}},
                ],
            },
        },
        "terminationGracePeriodSeconds": 180,
        "volumes": [
            {"name": "root", "dataVolume": {"name": name}},
            {
                "name": "cloudinitdisk",
                "cloudInitNoCloud": {"secretRef": {"name": f"{name}-cloudinit"}},
            },
        ],
    }


def _vmi(item: Object) -> Object:
    name, node = item["metadata"]["name"], item["status"]["nodeName"]
    guest = item["spec"]["domain"]["memory"]["guest"]
    flavor = {"flavor": "small", "os": "rhel9", "workload": "server"}
    phases = ("Pending", "Scheduling", "Scheduled", "Running")
    return {
        "metadata": {
            "annotations": {
                "kubevirt.io/latest-observed-api-version": "v1",
                "kubevirt.io/storage-observed-api-version": "v1",
                "kubevirt.io/vm-generation": "1",
                **{f"vm.kubevirt.io/{key}": value for key, value in flavor.items()},
            },
            "finalizers": ["kubevirt.io/virtualMachineControllerFinalize", "foregroundDeleteVM"],
            "ownerReferences": _owner("kubevirt.io/v1", "VirtualMachine", name),
        },
        "spec": _domain(name, item["spec"]),
        "status": {
            "activePods": {uid("Pod", f"virt-launcher-{name}-x"): node},
            "currentCPUTopology": {"cores": 2, "sockets": 1, "threads": 1},
            "guestOSInfo": {
                "id": "rhel",
                "kernelRelease": "5.14.0-570.12.1.el9_6.x86_64",
                "kernelVersion": "#1 SMP PREEMPT_DYNAMIC Fri Apr 4 10:41:31 EDT 2026",
                "machine": "x86_64",
                "name": "Red Hat Enterprise Linux",
                "prettyName": "Red Hat Enterprise Linux 9.6 (Plow)",
                "version": "9.6 (Plow)",
                "versionId": "9.6",
            },
            "interfaces": [
                {
                    "name": "default",
                    "interfaceName": "eth0",
                    "infoSource": "domain, guest-agent",
                    "ipAddress": "10.128.2.15",
                    "ipAddresses": ["10.128.2.15"],
                    "linkState": "up",
                    "mac": "02:a8:1f:00:00:0f",
                    "podInterfaceName": "eth0",
                    "queueCount": 2,
                }
            ],
            "launcherContainerImageVersion": IMAGE,
            "machine": {"type": "pc-q35-rhel9.6.0"},
            "memory": {"guestAtBoot": guest, "guestCurrent": guest, "guestRequested": guest},
            "migrationTransport": "Unix",
            "phaseTransitionTimestamps": [
                {"phase": phase, "phaseTransitionTimestamp": TIME} for phase in phases
            ],
            "qosClass": "Burstable",
            "runtimeUser": 107,
            "selinuxContext": "system_u:system_r:container_t:s0:c714,c978",
            "virtualMachineRevisionName": f"revision-start-vm-{uid(name)}-1",
        },
    }


def _virtual_machine(item: Object) -> Object:
    name = item["metadata"]["name"]
    labels = {"vm.kubevirt.io/template": "rhel9-server-small"}
    return {
        "metadata": {
            "labels": {**labels, "vm.kubevirt.io/template.namespace": "openshift"},
            "annotations": {"kubevirt.io/latest-observed-api-version": "v1"},
            "finalizers": ["kubevirt.io/virtualMachineControllerFinalize"],
        },
        "spec": {
            "dataVolumeTemplates": [
                {
                    "apiVersion": "cdi.kubevirt.io/v1beta1",
                    "kind": "DataVolume",
                    "metadata": {"name": name},
                    "spec": {
                        "sourceRef": {
                            "kind": "DataSource",
                            "name": "rhel9",
                            "namespace": "openshift-virtualization-os-images",
                        },
                        "storage": {"resources": {"requests": {"storage": "30Gi"}}},
                    },
                }
            ],
            "template": {
                "metadata": {"labels": {"kubevirt.io/domain": name, "kubevirt.io/size": "small"}},
                "spec": _domain(name, item["spec"]["template"]["spec"]),
            },
        },
        "status": {
            "created": True,
            "ready": True,
            "printableStatus": "Running",
            "runStrategy": item["spec"]["runStrategy"],
            "observedGeneration": 1,
            "desiredGeneration": 1,
            "conditions": _conditions("Ready", "LiveMigratable", "StorageLiveMigratable"),
            "volumeSnapshotStatuses": [
                {"name": "root", "enabled": True},
                {
                    "name": "cloudinitdisk",
                    "enabled": False,
                    "reason": "Snapshot is not supported for this volumeSource type",
                },
            ],
        },
    }


def _claim(item: Object) -> Object:
    name = item["metadata"]["name"]
    domain = "cdi.kubevirt.io/storage"
    return {
        "metadata": {
            "annotations": {
                f"{domain}.condition.running": "false",
                f"{domain}.condition.running.reason": "Completed",
                f"{domain}.contentType": "kubevirt",
                f"{domain}.pod.phase": "Succeeded",
                f"{domain}.populator.progress": "100.0%",
                "pv.kubernetes.io/bind-completed": "yes",
                "pv.kubernetes.io/bound-by-controller": "yes",
                "volume.kubernetes.io/storage-provisioner": "rbd.csi.ceph.com",
            },
            "labels": {"app": "containerized-data-importer", "app.kubernetes.io/part-of": "hco"},
            "finalizers": ["kubernetes.io/pvc-protection"],
            "ownerReferences": _owner("cdi.kubevirt.io/v1beta1", "DataVolume", name),
        },
        "spec": {"volumeName": f"pvc-{uid('pvc', name)}"},
        "status": {
            "phase": "Bound",
            "accessModes": item["spec"]["accessModes"],
            "capacity": {"storage": "30Gi"},
        },
    }


def _node(item: Object) -> Object:
    return {
        "spec": {
            "providerID": f"baremetalhost:///openshift-machine-api/{item['metadata']['name']}"
        },
        "status": {
            "addresses": [{"type": "Hostname", "address": item["metadata"]["name"]}],
            "capacity": item["status"]["allocatable"],
            "images": [{"names": [f"{IMAGE}{n:02}"], "sizeBytes": 10**9 - n} for n in range(50)],
        },
    }


_KINDS = {
    "Pod": _launcher,
    "VirtualMachineInstance": _vmi,
    "VirtualMachine": _virtual_machine,
    "PersistentVolumeClaim": _claim,
    "Node": _node,
}


def complete(item: Object) -> Object:
    """Return an object as `kubectl get -o json` shows it, without managedFields."""
    made: Object = merge({"metadata": _metadata(item)}, item)
    if item["kind"] not in _KINDS:
        return made
    found: Object = merge(_KINDS[item["kind"]](made), made)
    if item["kind"] == "Pod":
        found["spec"]["containers"] = _launcher(made)["spec"]["containers"]
    return found
