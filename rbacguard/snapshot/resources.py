"""The API resources that are read: group, versions, names, and the type of their objects."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from rbacguard.rbac.types import RBAC_GROUP, ClusterRole, ClusterRoleBinding, Role, RoleBinding
from rbacguard.snapshot.objects import (
    Group,
    HyperConverged,
    KubeVirt,
    Namespace,
    RoleBindingRestriction,
    ServiceAccount,
)
from rbacguard.snapshot.workloads import (
    MachineConfigPool,
    MigrationPolicy,
    NetworkAttachmentDefinition,
    Node,
    PersistentVolumeClaim,
    Pod,
    StorageClass,
    StorageProfile,
    VirtualMachine,
    VirtualMachineInstance,
    VirtualMachineInstanceMigration,
)


class Resource(Struct, frozen=True):
    """One resource of the Kubernetes API.

    Attributes:
        type: the type of its objects; the name of the type is their kind.
        group: the API group; '' is the core group.
        versions: API versions with the fields of `type`, the preferred one first.
        plural: the name in URL paths and in rules.
        namespaced: whether objects have a namespace.
    """

    type: type[Struct]
    group: str
    versions: tuple[str, ...]
    plural: str
    namespaced: bool = False

    @property
    def kind(self) -> str:
        """The kind of its objects."""
        return self.type.__name__

    @property
    def api_versions(self) -> tuple[str, ...]:
        """The values of `apiVersion`, the preferred one first."""
        return tuple(f"{self.group}/{version}".removeprefix("/") for version in self.versions)


RBAC = (
    Resource(ClusterRole, RBAC_GROUP, ("v1",), "clusterroles"),
    Resource(ClusterRoleBinding, RBAC_GROUP, ("v1",), "clusterrolebindings"),
    Resource(Role, RBAC_GROUP, ("v1",), "roles", namespaced=True),
    Resource(RoleBinding, RBAC_GROUP, ("v1",), "rolebindings", namespaced=True),
)
NAMESPACES = Resource(Namespace, "", ("v1",), "namespaces")
SERVICE_ACCOUNTS = Resource(ServiceAccount, "", ("v1",), "serviceaccounts", namespaced=True)
GROUPS = Resource(Group, "user.openshift.io", ("v1",), "groups")
RESTRICTIONS = Resource(
    RoleBindingRestriction,
    "authorization.openshift.io",
    ("v1",),
    "rolebindingrestrictions",
    namespaced=True,
)
KUBEVIRTS = Resource(KubeVirt, "kubevirt.io", ("v1", "v1alpha3"), "kubevirts", namespaced=True)
HYPERCONVERGEDS = Resource(
    HyperConverged, "hco.kubevirt.io", ("v1", "v1beta1"), "hyperconvergeds", namespaced=True
)
VMIS = Resource(
    VirtualMachineInstance, "kubevirt.io", ("v1",), "virtualmachineinstances", namespaced=True
)
MIGRATIONS = Resource(
    VirtualMachineInstanceMigration,
    "kubevirt.io",
    ("v1",),
    "virtualmachineinstancemigrations",
    namespaced=True,
)

ACCESS = (
    *RBAC,
    NAMESPACES,
    SERVICE_ACCOUNTS,
    GROUPS,
    RESTRICTIONS,
    KUBEVIRTS,
    HYPERCONVERGEDS,
)
"""Resources that answers about access depend on."""

WORKLOADS = (
    Resource(Node, "", ("v1",), "nodes"),
    Resource(Pod, "", ("v1",), "pods", namespaced=True),
    Resource(VirtualMachine, "kubevirt.io", ("v1",), "virtualmachines", namespaced=True),
    VMIS,
    MIGRATIONS,
    Resource(MachineConfigPool, "machineconfiguration.openshift.io", ("v1",), "machineconfigpools"),
    Resource(MigrationPolicy, "migrations.kubevirt.io", ("v1alpha1",), "migrationpolicies"),
    Resource(PersistentVolumeClaim, "", ("v1",), "persistentvolumeclaims", namespaced=True),
    Resource(StorageClass, "storage.k8s.io", ("v1",), "storageclasses"),
    Resource(StorageProfile, "cdi.kubevirt.io", ("v1beta1",), "storageprofiles"),
    Resource(
        NetworkAttachmentDefinition,
        "k8s.cni.cncf.io",
        ("v1",),
        "network-attachment-definitions",
        namespaced=True,
    ),
)
"""Resources that answers about node drains and VMs depend on as well."""
WORKLOAD_KINDS = tuple(resource.kind for resource in WORKLOADS)
SENTINEL_KINDS = ("Node", "VirtualMachineInstance", "VirtualMachineInstanceMigration")
"""An input without RBAC objects must contain an object of one of these kinds."""

BY_KIND: Mapping[str, Resource] = {each.kind: each for each in (*ACCESS, *WORKLOADS)}
