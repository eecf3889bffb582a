"""Kubernetes objects that decide whether VMs can live-migrate: VMs, nodes, pods, and storage.

Each type has only the fields that rbacguard evaluates. An absent field has the default of the API,
and a null counts as absent (`rbacguard.sources.collection`). Field names: kubevirt/kubevirt v1.9
staging/src/kubevirt.io/api/core/v1/types.go, core/v1/schema.go, and
api/migrations/v1alpha1/types.go; kubernetes v1.36 staging/src/k8s.io/api/core/v1/types.go and
storage/v1/types.go; openshift/api machineconfiguration/v1/types.go;
containerized-data-importer-api core/v1beta1/types.go; network-attachment-definition-client
k8s.cni.cncf.io/v1/types.go.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from rbacguard.rbac.types import LabelSelector, LabelSelectorRequirement, ObjectMeta
from rbacguard.snapshot.objects import Condition

Quantity: TypeAlias = int | float | str
"""A Kubernetes quantity as it is written: `4Gi`, `"500m"`, `2`, `1e9`."""
ResourceList: TypeAlias = dict[str, Quantity]
"""Quantities by resource name."""


class NodeSelectorTerm(Struct, frozen=True, rename="camel"):
    """Requirements that must all match; an empty term matches no node."""

    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    match_fields: tuple[LabelSelectorRequirement, ...] = ()


class NodeSelector(Struct, frozen=True, rename="camel"):
    """Terms of which one must match."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class NodeAffinity(Struct, frozen=True):
    """The required part of a node affinity; preferences are not evaluated."""

    required: NodeSelector | None = field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(Struct, frozen=True, rename="camel"):
    """Pods with which a pod must, or must not, share a topology domain.

    An absent `label_selector` selects no pod. An absent `namespace_selector` selects no namespace.
    """

    topology_key: str = ""
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None


class PodAffinity(Struct, frozen=True):
    """The required terms of a pod affinity or anti-affinity."""

    required: tuple[PodAffinityTerm, ...] = field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Struct, frozen=True, rename="camel"):
    """The affinity of a pod."""

    node_affinity: NodeAffinity = NodeAffinity()
    pod_affinity: PodAffinity = PodAffinity()
    pod_anti_affinity: PodAffinity = PodAffinity()


class Toleration(Struct, frozen=True):
    """A toleration of a pod."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class Taint(Struct, frozen=True):
    """A taint of a node."""

    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(Struct, frozen=True):
    """The spec of a node."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeSystemInfo(Struct, frozen=True, rename="camel"):
    """`status.nodeInfo` of a node."""

    os_image: str = ""


class NodeStatus(Struct, frozen=True, rename="camel"):
    """The status of a node."""

    allocatable: ResourceList = {}
    conditions: tuple[Condition, ...] = ()
    node_info: NodeSystemInfo = NodeSystemInfo()


class Node(Struct, frozen=True):
    """A node."""

    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ResourceRequirements(Struct, frozen=True):
    """Requests and limits of a container or of a pod."""

    requests: ResourceList = {}
    limits: ResourceList = {}


class Container(Struct, frozen=True, rename="camel"):
    """A container; an init container with restartPolicy Always is a sidecar."""

    name: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    restart_policy: str = ""


class PodSpec(Struct, frozen=True, rename="camel"):
    """The spec of a pod."""

    node_name: str = ""
    node_selector: dict[str, str] = {}
    affinity: Affinity = Affinity()
    tolerations: tuple[Toleration, ...] = ()
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    overhead: ResourceList = {}


class PodStatus(Struct, frozen=True):
    """The status of a pod."""

    phase: str = ""


class Pod(Struct, frozen=True):
    """A pod; the pod of a VMI has the label `kubevirt.io: virt-launcher`."""

    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class CPU(Struct, frozen=True, rename="camel"):
    """The CPU of a VMI; 0 for a part of the topology that is not set."""

    model: str = ""
    cores: int = 0
    sockets: int = 0
    threads: int = 0
    dedicated_cpu_placement: bool = False
    isolate_emulator_thread: bool = False


class Present(Struct, frozen=True):
    """A field of which only the presence is evaluated."""


class PluginBinding(Struct, frozen=True):
    """The network binding plugin of an interface."""

    name: str = ""


class Interface(Struct, frozen=True):
    """A network interface of a VMI and its binding."""

    name: str = ""
    bridge: Present | None = None
    sriov: Present | None = None
    passt: Present | None = field(default=None, name="passtBinding")
    binding: PluginBinding | None = None


class TPMDevice(Struct, frozen=True):
    """The TPM of a VMI."""

    enabled: bool = True


class Devices(Struct, frozen=True, rename="camel"):
    """The devices of a VMI."""

    interfaces: tuple[Interface, ...] = ()
    autoattach_graphics_device: bool = True
    host_devices: tuple[Present, ...] = ()
    gpus: tuple[Present, ...] = ()
    tpm: TPMDevice | None = None


class Hugepages(Struct, frozen=True, rename="camel"):
    """The huge pages that back the memory of a VMI."""

    page_size: str = ""


class ReservedOverhead(Struct, frozen=True, rename="camel"):
    """Memory that the owner of a VMI adds to its overhead."""

    added_overhead: Quantity | None = None


class Memory(Struct, frozen=True, rename="camel"):
    """The memory of a VMI."""

    guest: Quantity | None = None
    hugepages: Hugepages | None = None
    reserved_overhead: ReservedOverhead = ReservedOverhead()


class VMIResources(ResourceRequirements, frozen=True, rename="camel"):
    """Requests and limits of a VMI."""

    overcommit_guest_overhead: bool = False


class LaunchSecurity(Struct, frozen=True):
    """Encryption of the guest memory."""

    sev: Present | None = None
    snp: Present | None = None


class DiskIOThreads(Struct, frozen=True, rename="camel"):
    """I/O threads of the disks of a VMI."""

    supplemental_pool_thread_count: int = 0


class Domain(Struct, frozen=True, rename="camel"):
    """`spec.domain` of a VMI."""

    cpu: CPU | None = None
    memory: Memory = Memory()
    resources: VMIResources = VMIResources()
    devices: Devices = Devices()
    launch_security: LaunchSecurity = LaunchSecurity()
    io_threads: DiskIOThreads = DiskIOThreads()


class Probe(Struct, frozen=True):
    """A probe; `exec` is set if it runs a command in the guest."""

    exec: Present | None = None


class Volume(Struct, frozen=True, rename="camel"):
    """A volume of a VMI."""

    downward_metrics: Present | None = None


class Network(Struct, frozen=True):
    """A network of a VMI; `pod` is set for the pod network."""

    name: str = ""
    pod: Present | None = None


class VMISpec(Struct, frozen=True, rename="camel"):
    """The spec of a VMI."""

    domain: Domain = Domain()
    networks: tuple[Network, ...] = ()
    eviction_strategy: str = ""
    architecture: str = ""
    volumes: tuple[Volume, ...] = ()
    liveness_probe: Probe = Probe()
    readiness_probe: Probe = Probe()


class ClaimInfo(Struct, frozen=True, rename="camel"):
    """The PersistentVolumeClaim of a volume, as KubeVirt reports it in the status of the VMI."""

    claim_name: str = ""
    access_modes: tuple[str, ...] = ()


class VolumeStatus(Struct, frozen=True, rename="camel"):
    """The status of a volume; `hotplug_volume` is set if it was hotplugged."""

    name: str = ""
    claim: ClaimInfo | None = field(default=None, name="persistentVolumeClaimInfo")
    hotplug_volume: Present | None = None


class MemoryStatus(Struct, frozen=True, rename="camel"):
    """The memory overhead of a VMI, in releases that report it."""

    memory_overhead: Quantity | None = None


class VMIStatus(Struct, frozen=True, rename="camel"):
    """The status of a VMI."""

    phase: str = ""
    node_name: str = ""
    conditions: tuple[Condition, ...] = ()
    volume_status: tuple[VolumeStatus, ...] = ()
    migration_method: str = ""
    memory: MemoryStatus = MemoryStatus()


class VirtualMachineInstance(Struct, frozen=True):
    """A VirtualMachineInstance."""

    metadata: ObjectMeta
    spec: VMISpec = VMISpec()
    status: VMIStatus = VMIStatus()


class VirtualMachineSpec(Struct, frozen=True, rename="camel"):
    """The fields of a VirtualMachine that decide whether it starts again."""

    run_strategy: str = ""
    running: bool = False


class VirtualMachine(Struct, frozen=True):
    """A VirtualMachine."""

    metadata: ObjectMeta
    spec: VirtualMachineSpec = VirtualMachineSpec()


class Selectors(Struct, frozen=True, rename="camel"):
    """Labels that a VMI, and its namespace, must have."""

    namespace_selector: dict[str, str] = {}
    virtual_machine_instance_selector: dict[str, str] = {}


class MigrationPolicySpec(Struct, frozen=True, rename="camel"):
    """The spec of a MigrationPolicy; None for a setting that it does not change."""

    selectors: Selectors | None = None
    allow_auto_converge: bool | None = None
    bandwidth_per_migration: Quantity | None = None
    completion_timeout_per_gi_b: int | None = field(default=None, name="completionTimeoutPerGiB")
    allow_post_copy: bool | None = None
    allow_workload_disruption: bool | None = None


class MigrationPolicy(Struct, frozen=True):
    """A MigrationPolicy."""

    metadata: ObjectMeta
    spec: MigrationPolicySpec = MigrationPolicySpec()


class MachineConfigPoolSpec(Struct, frozen=True, rename="camel"):
    """The spec of a MachineConfigPool."""

    max_unavailable: int | str | None = None
    node_selector: LabelSelector | None = None
    paused: bool = False


class MachineConfigPool(Struct, frozen=True):
    """A MachineConfigPool."""

    metadata: ObjectMeta
    spec: MachineConfigPoolSpec = MachineConfigPoolSpec()


class PersistentVolumeClaimSpec(Struct, frozen=True, rename="camel"):
    """The spec of a PersistentVolumeClaim."""

    access_modes: tuple[str, ...] = ()
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"


class PersistentVolumeClaim(Struct, frozen=True):
    """A PersistentVolumeClaim."""

    metadata: ObjectMeta
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()


class StorageClass(Struct, frozen=True):
    """A StorageClass."""

    metadata: ObjectMeta
    provisioner: str = ""


class ClaimPropertySet(Struct, frozen=True, rename="camel"):
    """Access modes that a storage class offers for one volume mode."""

    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"


class StorageProfileStatus(Struct, frozen=True, rename="camel"):
    """The status of a StorageProfile."""

    claim_property_sets: tuple[ClaimPropertySet, ...] = ()


class StorageProfile(Struct, frozen=True):
    """What CDI recommends for the StorageClass of the same name."""

    metadata: ObjectMeta
    status: StorageProfileStatus = StorageProfileStatus()


class NetworkAttachmentDefinition(Struct, frozen=True):
    """A NetworkAttachmentDefinition; only its existence is evaluated."""

    metadata: ObjectMeta


class ManagedFieldsEntry(Struct, frozen=True):
    """The manager that wrote to an object, and when; the fields are not decoded."""

    manager: str = ""
    time: str = ""
    subresource: str = ""


class MigrationMeta(ObjectMeta, frozen=True, gc=False, rename="camel"):
    """Metadata of a VMIM, with the fields that show how it was created."""

    generate_name: str = ""
    deletion_timestamp: str = ""
    managed_fields: tuple[ManagedFieldsEntry, ...] = ()


class MigrationState(Struct, frozen=True, rename="camel"):
    """`status.migrationState` of a VMIM."""

    source_node: str = ""
    target_node: str = ""
    abort_requested: bool = False
    failure_reason: str = ""


class MigrationStatus(Struct, frozen=True, rename="camel"):
    """The status of a VMIM."""

    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    migration_state: MigrationState = MigrationState()


class MigrationSpec(Struct, frozen=True, rename="camel"):
    """The spec of a VMIM."""

    vmi_name: str = ""


class VirtualMachineInstanceMigration(Struct, frozen=True):
    """A VirtualMachineInstanceMigration (VMIM)."""

    metadata: MigrationMeta
    spec: MigrationSpec = MigrationSpec()
    status: MigrationStatus = MigrationStatus()
