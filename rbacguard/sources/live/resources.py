"""Which resources are read, for which command, and what that needs in RBAC's own terms."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from rbacguard.errors import InputError
from rbacguard.rbac.types import RBAC_GROUP, PolicyRule


class Resource(Struct, frozen=True):
    """One resource of the API.

    Attributes:
        kind: the kind of its objects.
        group: its API group; '' is the core group.
        versions: versions whose fields this tool knows, the preferred one first.
        plural: its name in paths and rules.
        namespaced: whether its objects have a namespace.
    """

    kind: str
    group: str
    versions: tuple[str, ...]
    plural: str
    namespaced: bool = False

    def path(self, version: str, namespace: str = "") -> str:
        """Return the path of its list, in one namespace or everywhere."""
        from urllib.parse import quote

        root = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        return f"{root}{inside}/{self.plural}"


RBAC = (
    Resource("ClusterRole", RBAC_GROUP, ("v1",), "clusterroles"),
    Resource("ClusterRoleBinding", RBAC_GROUP, ("v1",), "clusterrolebindings"),
    Resource("Role", RBAC_GROUP, ("v1",), "roles", namespaced=True),
    Resource("RoleBinding", RBAC_GROUP, ("v1",), "rolebindings", namespaced=True),
)
NAMESPACES = Resource("Namespace", "", ("v1",), "namespaces")
GROUPS = Resource("Group", "user.openshift.io", ("v1",), "groups")
RESTRICTIONS = Resource(
    "RoleBindingRestriction",
    "authorization.openshift.io",
    ("v1",),
    "rolebindingrestrictions",
    namespaced=True,
)
KUBEVIRTS = Resource("KubeVirt", "kubevirt.io", ("v1", "v1alpha3"), "kubevirts", namespaced=True)
HYPERCONVERGEDS = Resource(
    "HyperConverged", "hco.kubevirt.io", ("v1", "v1beta1"), "hyperconvergeds", namespaced=True
)

_VIRT = "kubevirt.io"
MIGRATIONS = Resource(
    "VirtualMachineInstanceMigration",
    _VIRT,
    ("v1",),
    "virtualmachineinstancemigrations",
    namespaced=True,
)
VMIS = Resource(
    "VirtualMachineInstance", _VIRT, ("v1",), "virtualmachineinstances", namespaced=True
)
WORKLOADS = (
    VMIS,
    Resource("VirtualMachine", _VIRT, ("v1",), "virtualmachines", namespaced=True),
    Resource("Node", "", ("v1",), "nodes"),
    Resource("Pod", "", ("v1",), "pods", namespaced=True),
    Resource("MigrationPolicy", "migrations.kubevirt.io", ("v1alpha1",), "migrationpolicies"),
    Resource(
        "MachineConfigPool", "machineconfiguration.openshift.io", ("v1",), "machineconfigpools"
    ),
    MIGRATIONS,
    Resource("PersistentVolumeClaim", "", ("v1",), "persistentvolumeclaims", namespaced=True),
    Resource("StorageClass", "storage.k8s.io", ("v1",), "storageclasses"),
    Resource("StorageProfile", "cdi.kubevirt.io", ("v1beta1",), "storageprofiles"),
    Resource(
        "NetworkAttachmentDefinition",
        "k8s.cni.cncf.io",
        ("v1",),
        "network-attachment-definitions",
        namespaced=True,
    ),
)

_VERSION = (KUBEVIRTS, HYPERCONVERGEDS)
_ALL = (*RBAC, NAMESPACES, GROUPS, RESTRICTIONS, *_VERSION)

NEEDS: Mapping[str, tuple[Resource, ...]] = {
    "audit": _ALL,
    "plan": _ALL,
    "generate": _ALL,
    "snapshot": _ALL,
    "approvals": _ALL,
    "status": (*RBAC, *_VERSION),
    "verify": (*RBAC, NAMESPACES, GROUPS, *_VERSION),
    "watch": (*RBAC, NAMESPACES, GROUPS, *_VERSION),
    "diff": (*RBAC, *_VERSION),
    "who-can": RBAC,
    "can-i": (*RBAC, GROUPS),
    "explain": (*RBAC, GROUPS),
    "readiness": (*WORKLOADS, NAMESPACES, *_VERSION, *RBAC),
    "migrations": (VMIS, MIGRATIONS, *RBAC),
}
"""What each command reads of a cluster."""

REVIEWS = (PolicyRule(("create",), ("authorization.k8s.io",), ("subjectaccessreviews",)),)
"""What `audit --cross-check` needs on top."""


def access_rules(command: str, *, cross_check: bool = False) -> tuple[PolicyRule, ...]:
    """Return the smallest rules with which a command reads a whole cluster.

    Only `list`: nothing is read one by one. The server's version and its API groups are open to
    everybody who is logged in (ClusterRole system:discovery).

    Raises:
        InputError: that command reads no cluster.
    """
    if command not in NEEDS:
        raise InputError(f"{command!r} reads no cluster; those that do are {', '.join(NEEDS)}")
    by_group: dict[str, list[str]] = {}
    for resource in NEEDS[command]:
        by_group.setdefault(resource.group, []).append(resource.plural)
    rules = [
        PolicyRule(("list",), (group,), tuple(sorted(plurals)))
        for group, plurals in sorted(by_group.items())
    ]
    return (*rules, *(REVIEWS if cross_check else ()))
