"""The names that KubeVirt, OpenShift and the documented procedure use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MIGRATE: Final = "kubevirt.io:migrate"
"""The ClusterRole that grants live migration from KubeVirt 1.5 on."""
UPGRADE_MIGRATE: Final = "kubevirt.io:upgrademigrate"
"""The temporary ClusterRole of the public documentation."""
UPGRADE_MIGRATE_EDIT: Final = "kubevirt.io:upgrademigrate-edit"
"""The second temporary ClusterRole, for editors, that this tool adds."""
ADMIN: Final = "kubevirt.io:admin"
EDIT: Final = "kubevirt.io:edit"
VIEW: Final = "kubevirt.io:view"
AGGREGATE_TO: Final = "rbac.authorization.k8s.io/aggregate-to-"
"""Prefix of the labels by which a ClusterRole is aggregated; only the value `true` counts."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OPERATORS: Final = ("virt-operator", "kubevirt-operator")
"""Values of `MANAGED_BY` by which virt-operator takes a role for its own, and deletes it when it
does not know it (kubevirt pkg/controller/virtinformers.go, OperatorLabel)."""
EPHEMERAL_BACKUP: Final = "kubevirt.io/ephemeral-backup-object"
"""Annotation of the copies that virt-operator keeps while it updates (apply/rbacbackup.go)."""
INSTALL_STRATEGY_VERSION: Final = "kubevirt.io/install-strategy-version"
"""Annotation that tells which KubeVirt version wrote a role."""
EXPIRES: Final = "rbacguard.io/expires"
"""Annotation on what is temporary: the last day, as YYYY-MM-DD."""
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
"""Resources: their API group, and what else kubectl takes for them (kubevirt v1.9
pkg/virt-operator/resource/generate/components/crds.go)."""
SUBRESOURCES: Final = "subresources.kubevirt.io"
"""The API group in which virt-api serves what is done to a machine, such as `migrate`."""
WITH_SUBRESOURCES: Final = ("virtualmachines", "virtualmachineinstances")
SERVED_BY_CRD: Final = ("status", "scale", "finalizers")
"""Subresources that are in the resource's own API group all the same."""
