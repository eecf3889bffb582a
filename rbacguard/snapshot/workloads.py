"""The kinds that tell whether virtual machines can migrate: machines, nodes, storage, migrations.

Only the fields that are looked at. They are read where a command asks for them, and saved in a
snapshot where that is asked for. Field names: kubevirt/kubevirt v1.9
staging/src/kubevirt.io/api/core/v1/types.go, core/v1/schema.go and
api/migrations/v1alpha1/types.go; kubernetes v1.36
staging/src/k8s.io/api/core/v1/types.go and storage/v1/types.go; openshift/api
machineconfiguration/v1/types.go; containerized-data-importer-api core/v1beta1/types.go;
network-attachment-definition-client k8s.cni.cncf.io/v1/types.go.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from rbacguard.rbac.types import ObjectMeta
from rbacguard.snapshot.objects import Condition

Amount: TypeAlias = int | float | str
"""A quantity as it is written: `4Gi`, `"500m"`, `2`, `1e9`."""


class LabelRequirement(Struct, frozen=True):
    """One entry of `matchExpressions`, of a node or a label selector."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None


class Selector(Struct, frozen=True, rename="camel"):
    """A label selector."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[LabelRequirement, ...] | None = None


class NodeSelectorTerm(Struct, frozen=True, rename="camel"):
    """Requirements that must all hold."""

    match_expressions: tuple[LabelRequirement, ...] | None = None
    match_fields: tuple[LabelRequirement, ...] | None = None


class NodeSelector(Struct, frozen=True, rename="camel"):
    """Terms of which one must hold."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] | None = None


class NodeAffinity(Struct, frozen=True):
    """What a node must be; what it should be is not looked at."""

    required: NodeSelector | None = field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(Struct, frozen=True, rename="camel"):
    """Pods beside which a pod must, or must not, run."""

    topology_key: str = ""
    label_selector: Selector | None = None
    namespaces: tuple[str, ...] | None = None
    namespace_selector: Selector | None = None


class PodAffinity(Struct, frozen=True):
    """Affinity or anti-affinity that must hold."""

    required: tuple[PodAffinityTerm, ...] | None = field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Struct, frozen=True, rename="camel"):
    """The affinity of a pod."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Struct, frozen=True):
    """A taint that a pod puts up with."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class Taint(Struct, frozen=True):
    """What keeps pods off a node."""

    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(Struct, frozen=True):
    """The parts of a node's spec that decide whether pods come to it."""

    unschedulable: bool | None = None
    taints: tuple[Taint, ...] | None = None


class NodeInfo(Struct, frozen=True, rename="camel"):
    """What a node says of itself."""

    os_image: str = ""
    architecture: str = ""


class NodeStatus(Struct, frozen=True, rename="camel"):
    """The parts of a node's status that decide whether pods come to it."""

    allocatable: dict[str, Amount] | None = None
    conditions: tuple[Condition, ...] | None = None
    node_info: NodeInfo | None = None


class Node(Struct, frozen=True):
    """A node."""

    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Resources(Struct, frozen=True):
    """What a container asks for and may take at most."""

    requests: dict[str, Amount] | None = None
    limits: dict[str, Amount] | None = None


class Container(Struct, frozen=True, rename="camel"):
    """A container of a pod; an init container with restartPolicy Always runs beside the others."""

    name: str = ""
    resources: Resources | None = None
    restart_policy: str | None = None


class PodSpec(Struct, frozen=True, rename="camel"):
    """The parts of a pod's spec that decide where it runs."""

    node_name: str = ""
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] | None = None
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] | None = None
    resources: Resources | None = None
    overhead: dict[str, Amount] | None = None


class PodStatus(Struct, frozen=True):
    """The phase of a pod."""

    phase: str = ""


class Pod(Struct, frozen=True):
    """A pod; those of virtual machines are labelled `kubevirt.io: virt-launcher`."""

    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class Cpu(Struct, frozen=True, rename="camel"):
    """The processor of a machine."""

    model: str = ""
    cores: int | None = None
    sockets: int | None = None
    threads: int | None = None
    dedicated_cpu_placement: bool | None = None
    isolate_emulator_thread: bool | None = None


class Present(Struct, frozen=True):
    """Something of which only matters that it is there."""


class Binding(Struct, frozen=True):
    """A network binding plugin."""

    name: str = ""


class Interface(Struct, frozen=True):
    """A network interface of a machine, and how it is bound."""

    name: str = ""
    bridge: Present | None = None
    sriov: Present | None = None
    passt: Present | None = field(default=None, name="passtBinding")
    binding: Binding | None = None


class Tpm(Struct, frozen=True):
    """A TPM; there, unless it says otherwise."""

    enabled: bool | None = None


class Devices(Struct, frozen=True, rename="camel"):
    """The devices of a machine that matter here."""

    interfaces: tuple[Interface, ...] | None = None
    autoattach_graphics_device: bool | None = None
    host_devices: tuple[Present, ...] | None = None
    gpus: tuple[Present, ...] | None = None
    tpm: Tpm | None = None


class Hugepages(Struct, frozen=True, rename="camel"):
    """That memory comes in huge pages, and of which size."""

    page_size: str = ""


class ReservedOverhead(Struct, frozen=True, rename="camel"):
    """Memory that a machine's owner adds to what it costs."""

    added_overhead: Amount | None = None


class Memory(Struct, frozen=True, rename="camel"):
    """The memory that the guest sees."""

    guest: Amount | None = None
    hugepages: Hugepages | None = None
    reserved_overhead: ReservedOverhead | None = None


class MachineResources(Resources, frozen=True, rename="camel"):
    """What a machine asks for, and whether what it costs besides is left out."""

    overcommit_guest_overhead: bool | None = None


class LaunchSecurity(Struct, frozen=True):
    """Memory that the host cannot read."""

    sev: Present | None = None
    snp: Present | None = None


class IoThreads(Struct, frozen=True, rename="camel"):
    """Threads that a machine has for its disks."""

    supplemental_pool_thread_count: int | None = None


class Domain(Struct, frozen=True, rename="camel"):
    """The machine inside a VirtualMachineInstance."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    resources: MachineResources | None = None
    devices: Devices = Devices()
    launch_security: LaunchSecurity | None = None
    io_threads: IoThreads | None = None


class Probe(Struct, frozen=True):
    """A probe; `exec` is there for one that runs a program in the guest."""

    exec: Present | None = None


class Volume(Struct, frozen=True, rename="camel"):
    """A volume of a machine."""

    downward_metrics: Present | None = None


class Network(Struct, frozen=True):
    """A network of a machine; `pod` is there for the pod network."""

    name: str = ""
    pod: Present | None = None


class MachineSpec(Struct, frozen=True, rename="camel"):
    """The spec of a VirtualMachineInstance."""

    domain: Domain = Domain()
    networks: tuple[Network, ...] | None = None
    eviction_strategy: str | None = None
    architecture: str = ""
    volumes: tuple[Volume, ...] | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None


class ClaimInfo(Struct, frozen=True, rename="camel"):
    """What KubeVirt knows of the PersistentVolumeClaim behind a volume."""

    claim_name: str = ""
    access_modes: tuple[str, ...] | None = None


class HotplugVolume(Struct, frozen=True, rename="camel"):
    """How a volume was plugged into a running machine: by a pod on its node."""

    attach_pod_name: str = ""


class VolumeStatus(Struct, frozen=True, rename="camel"):
    """A volume of a running machine."""

    name: str = ""
    claim: ClaimInfo | None = field(default=None, name="persistentVolumeClaimInfo")
    hotplug_volume: HotplugVolume | None = None


class MigrationState(Struct, frozen=True, rename="camel"):
    """How a migration goes."""

    source_node: str = ""
    target_node: str = ""
    start_timestamp: str = ""
    end_timestamp: str = ""
    failed: bool = False
    abort_requested: bool = False
    failure_reason: str = ""


class MemoryStatus(Struct, frozen=True, rename="camel"):
    """What a machine costs besides the guest's memory, where the cluster reports it."""

    memory_overhead: Amount | None = None


class MachineStatus(Struct, frozen=True, rename="camel"):
    """The status of a VirtualMachineInstance."""

    phase: str = ""
    node_name: str = ""
    conditions: tuple[Condition, ...] | None = None
    volume_status: tuple[VolumeStatus, ...] | None = None
    migration_method: str = ""
    memory: MemoryStatus | None = None


class VirtualMachineInstance(Struct, frozen=True):
    """A running machine."""

    metadata: ObjectMeta
    spec: MachineSpec = MachineSpec()
    status: MachineStatus = MachineStatus()


class VirtualMachineSpec(Struct, frozen=True, rename="camel"):
    """The parts of a VirtualMachine's spec that say what becomes of it when it stops."""

    run_strategy: str | None = None
    running: bool | None = None


class VirtualMachine(Struct, frozen=True):
    """What keeps a machine running."""

    metadata: ObjectMeta
    spec: VirtualMachineSpec = VirtualMachineSpec()


class PolicySelectors(Struct, frozen=True, rename="camel"):
    """Labels that a machine, and its namespace, must have."""

    namespace_selector: dict[str, str] | None = None
    virtual_machine_instance_selector: dict[str, str] | None = None


class MigrationPolicySpec(Struct, frozen=True, rename="camel"):
    """What a MigrationPolicy selects and sets."""

    selectors: PolicySelectors | None = None
    allow_auto_converge: bool | None = None
    bandwidth_per_migration: Amount | None = None
    completion_timeout_per_gi_b: int | None = field(default=None, name="completionTimeoutPerGiB")
    allow_post_copy: bool | None = None
    allow_workload_disruption: bool | None = None


class MigrationPolicy(Struct, frozen=True):
    """Settings for the migrations of some machines."""

    metadata: ObjectMeta
    spec: MigrationPolicySpec = MigrationPolicySpec()


class MachineConfigPoolSpec(Struct, frozen=True, rename="camel"):
    """How many nodes of a pool may be unavailable at once, and which nodes are in it."""

    max_unavailable: int | str | None = None
    node_selector: Selector | None = None
    paused: bool | None = None


class MachineConfigPool(Struct, frozen=True):
    """A group of nodes that OpenShift updates together."""

    metadata: ObjectMeta
    spec: MachineConfigPoolSpec = MachineConfigPoolSpec()


class ClaimSpec(Struct, frozen=True, rename="camel"):
    """What a PersistentVolumeClaim asks for."""

    access_modes: tuple[str, ...] | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None


class PersistentVolumeClaim(Struct, frozen=True):
    """A claim for storage; its DataVolume, where it has one, bears the same name."""

    metadata: ObjectMeta
    spec: ClaimSpec = ClaimSpec()


class StorageClass(Struct, frozen=True):
    """A class of storage."""

    metadata: ObjectMeta
    provisioner: str = ""


class ClaimPropertySet(Struct, frozen=True, rename="camel"):
    """Access modes that a class of storage offers for one volume mode."""

    access_modes: tuple[str, ...] = ()
    volume_mode: str = ""


class StorageProfileStatus(Struct, frozen=True, rename="camel"):
    """What is known of a class of storage."""

    claim_property_sets: tuple[ClaimPropertySet, ...] | None = None


class StorageProfile(Struct, frozen=True):
    """What a StorageClass of the same name offers, as CDI knows its provisioner."""

    metadata: ObjectMeta
    status: StorageProfileStatus = StorageProfileStatus()


class NetworkAttachmentDefinition(Struct, frozen=True):
    """A network that pods can be attached to: that it exists."""

    metadata: ObjectMeta


class ManagedFields(Struct, frozen=True):
    """Who wrote an object, and when; which fields is never decoded."""

    manager: str = ""
    operation: str = ""
    time: str = ""
    subresource: str = ""


class MigrationMeta(ObjectMeta, frozen=True, gc=False, rename="camel"):
    """Metadata that tells who made an object."""

    generate_name: str = ""
    deletion_timestamp: str = ""
    managed_fields: tuple[ManagedFields, ...] = ()


class PhaseTransition(Struct, frozen=True, rename="camel"):
    """When a migration came into a phase."""

    phase: str = ""
    time: str = field(default="", name="phaseTransitionTimestamp")


class MigrationStatus(Struct, frozen=True, rename="camel"):
    """How far a migration has come."""

    phase: str = ""
    conditions: tuple[Condition, ...] | None = None
    phase_transition_timestamps: tuple[PhaseTransition, ...] | None = None
    migration_state: MigrationState | None = None


class MigrationSpec(Struct, frozen=True, rename="camel"):
    """Which machine is to migrate."""

    vmi_name: str = ""


class VirtualMachineInstanceMigration(Struct, frozen=True):
    """A migration that somebody, or the platform, asked for."""

    metadata: MigrationMeta
    spec: MigrationSpec = MigrationSpec()
    status: MigrationStatus = MigrationStatus()


WORKLOAD_TYPES: dict[tuple[str, str], type[Struct]] = {
    ("", "Node"): Node,
    ("", "Pod"): Pod,
    ("kubevirt.io", "VirtualMachine"): VirtualMachine,
    ("kubevirt.io", "VirtualMachineInstance"): VirtualMachineInstance,
    ("kubevirt.io", "VirtualMachineInstanceMigration"): VirtualMachineInstanceMigration,
    ("machineconfiguration.openshift.io", "MachineConfigPool"): MachineConfigPool,
    ("migrations.kubevirt.io", "MigrationPolicy"): MigrationPolicy,
    ("", "PersistentVolumeClaim"): PersistentVolumeClaim,
    ("storage.k8s.io", "StorageClass"): StorageClass,
    ("cdi.kubevirt.io", "StorageProfile"): StorageProfile,
    ("k8s.cni.cncf.io", "NetworkAttachmentDefinition"): NetworkAttachmentDefinition,
}
"""What is read besides, by API group and kind; the version makes no difference to these fields."""
WITNESSES = ("Node", "VirtualMachineInstance", "VirtualMachineInstanceMigration")
"""Kinds of which there has to be something for an input to be about machines at all."""
WORKLOAD_KINDS = tuple(kind for _, kind in WORKLOAD_TYPES)
CLUSTER_SCOPED_WORKLOADS = frozenset(
    {"Node", "MachineConfigPool", "MigrationPolicy", "StorageClass", "StorageProfile"}
)
