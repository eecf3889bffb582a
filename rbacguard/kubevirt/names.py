"""Names of KubeVirt, OpenShift, and the documented update procedure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MIGRATE: Final = "kubevirt.io:migrate"
"""The ClusterRole that grants live migration since KubeVirt 1.5."""
UPGRADE_MIGRATE: Final = "kubevirt.io:upgrademigrate"
"""The temporary ClusterRole in the OpenShift Virtualization documentation."""
UPGRADE_MIGRATE_EDIT: Final = "kubevirt.io:upgrademigrate-edit"
"""The second temporary ClusterRole, for editors, which rbacguard adds."""
ADMIN: Final = "kubevirt.io:admin"
EDIT: Final = "kubevirt.io:edit"
VIEW: Final = "kubevirt.io:view"
AGGREGATE_TO: Final = "rbac.authorization.k8s.io/aggregate-to-"
"""Prefix of the labels that aggregate a ClusterRole. Only the value `true` has an effect."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OPERATORS: Final = ("virt-operator", "kubevirt-operator")
"""Values of `MANAGED_BY` for roles of virt-operator, which deletes such roles if its release does
not install them (kubevirt v1.9 pkg/controller/virtinformers.go, OperatorLabel)."""
EPHEMERAL_BACKUP: Final = "kubevirt.io/ephemeral-backup-object"
"""Annotation of the copies that virt-operator keeps during an update (kubevirt v1.9
pkg/virt-operator/resource/apply/rbacbackup.go)."""
INSTALL_STRATEGY_VERSION: Final = "kubevirt.io/install-strategy-version"
"""Annotation with the version of KubeVirt that wrote a role."""
EXPIRES: Final = "rbacguard.io/expires"
"""Annotation of a temporary role with its last valid day, as YYYY-MM-DD."""
RESOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "virtualmachines": ("kubevirt.io", "virtualmachine", "vm", "vms"),
    "virtualmachineinstances": ("kubevirt.io", "virtualmachineinstance", "vmi", "vmis"),
    "virtualmachineinstancemigrations": (
        *("kubevirt.io", "virtualmachineinstancemigration"),
        *("vmim", "vmims"),
    ),
    "kubevirts": ("kubevirt.io", "kubevirt", "kv", "kvs"),
    "migrationpolicies": ("migrations.kubevirt.io", "migrationpolicy"),
}
"""Plural names of resources, each with its API group, singular name, and short names (kubevirt v1.9
pkg/virt-operator/resource/generate/components/crds.go)."""
SUBRESOURCES: Final = "subresources.kubevirt.io"
"""The API group of subresources that virt-api serves, such as `virtualmachines/migrate`."""
WITH_SUBRESOURCES: Final = ("virtualmachines", "virtualmachineinstances")
SERVED_BY_CRD: Final = ("status", "scale", "finalizers")
"""Subresources that the API server serves in the API group of the resource itself."""
