"""The kinds that tell whether virtual machines can migrate: machines, nodes, storage, migrations.

Only the fields that are looked at. They are read where a command asks for them, and are no part of
a saved snapshot. Field names: kubevirt/kubevirt v1.9 staging/src/kubevirt.io/api/core/v1/types.go
and api/migrations/v1alpha1/types.go; kubernetes v1.36 staging/src/k8s.io/api/core/v1/types.go;
openshift/api machineconfiguration/v1/types.go.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from rbacguard.rbac.objects import ObjectMeta
from rbacguard.sources.objects import Condition

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


class Container(Struct, frozen=True):
    """A container of a pod."""

    name: str = ""
    resources: Resources | None = None


class PodSpec(Struct, frozen=True, rename="camel"):
    """The parts of a pod's spec that decide where it runs."""

    node_name: str = ""
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] | None = None
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] | None = None
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


class Domain(Struct, frozen=True):
    """The machine inside a VirtualMachineInstance."""

    cpu: Cpu | None = None
    resources: Resources | None = None


class MachineSpec(Struct, frozen=True, rename="camel"):
    """The spec of a VirtualMachineInstance."""

    domain: Domain = Domain()
    eviction_strategy: str | None = None
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] | None = None


class ClaimInfo(Struct, frozen=True, rename="camel"):
    """What KubeVirt knows of the PersistentVolumeClaim behind a volume."""

    claim_name: str = ""
    access_modes: tuple[str, ...] | None = None


class VolumeStatus(Struct, frozen=True, rename="camel"):
    """A volume of a running machine."""

    name: str = ""
    claim: ClaimInfo | None = field(default=None, name="persistentVolumeClaimInfo")


class MachineStatus(Struct, frozen=True, rename="camel"):
    """The status of a VirtualMachineInstance."""

    phase: str = ""
    node_name: str = ""
    conditions: tuple[Condition, ...] | None = None
    volume_status: tuple[VolumeStatus, ...] | None = None


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


WORKLOAD_TYPES: dict[tuple[str, str], type[Struct]] = {
    ("", "Node"): Node,
    ("", "Pod"): Pod,
    ("kubevirt.io", "VirtualMachine"): VirtualMachine,
    ("kubevirt.io", "VirtualMachineInstance"): VirtualMachineInstance,
    ("machineconfiguration.openshift.io", "MachineConfigPool"): MachineConfigPool,
    ("migrations.kubevirt.io", "MigrationPolicy"): MigrationPolicy,
}
"""What is read besides, by API group and kind; the version makes no difference to these fields."""
WORKLOAD_KINDS = tuple(kind for _, kind in WORKLOAD_TYPES)
CLUSTER_SCOPED_WORKLOADS = frozenset({"Node", "MachineConfigPool", "MigrationPolicy"})
