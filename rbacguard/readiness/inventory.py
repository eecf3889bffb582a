"""VMs, nodes, and related objects of a snapshot, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeVar

from msgspec import Struct

from rbacguard.kubevirt.installed import reported_release
from rbacguard.kubevirt.releases import Release
from rbacguard.rbac import ObjectKey
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.objects import HyperConverged, KubeVirt, Namespace
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

_DOMAIN = "kubevirt.io/domain"
_LAUNCHER = ("kubevirt.io", "virt-launcher")
_FINISHED = ("Succeeded", "Failed")

_Object = TypeVar("_Object", bound=Struct)


class Inventory:
    """VMs, nodes, and related objects of a snapshot that was read with workloads.

    Attributes:
        coverage: which kinds the input contains completely.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        """Index the objects of a snapshot by type."""
        self.coverage = snapshot.coverage
        self._by_type: dict[type[Struct], dict[ObjectKey, Any]] = {}
        for key, value in sorted(snapshot.objects.items(), key=itemgetter(0)):
            self._by_type.setdefault(type(value), {})[key] = value

    def _by_key(self, kind: type[_Object]) -> Mapping[ObjectKey, _Object]:
        return self._by_type.get(kind, {})

    def _by_name(self, kind: type[_Object]) -> Mapping[str, _Object]:
        return {key.name: value for key, value in self._by_key(kind).items()}

    def _by_namespace_and_name(self, kind: type[_Object]) -> Mapping[tuple[str, str], _Object]:
        return {(key.namespace, key.name): value for key, value in self._by_key(kind).items()}

    @cached_property
    def vmis(self) -> Mapping[ObjectKey, VirtualMachineInstance]:
        """VirtualMachineInstances that have not finished."""
        found = self._by_key(VirtualMachineInstance)
        return {key: vmi for key, vmi in found.items() if vmi.status.phase not in _FINISHED}

    @cached_property
    def vms(self) -> Mapping[tuple[str, str], VirtualMachine]:
        """VirtualMachines by namespace and name, which are also those of the VMI."""
        return self._by_namespace_and_name(VirtualMachine)

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return self._by_name(Node)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """Pods that are assigned to a node and have not finished."""
        return tuple(
            pod
            for pod in self._by_key(Pod).values()
            if pod.status.phase not in _FINISHED and pod.spec.node_name
        )

    @cached_property
    def launchers(self) -> Mapping[ObjectKey, Pod]:
        """The virt-launcher pod of each VMI on the node where the VMI runs.

        During a migration, a second pod on the target node has the same labels.
        """
        found: dict[ObjectKey, Pod] = {}
        for pod in self.pods:
            metadata = pod.metadata
            if _LAUNCHER not in metadata.labels.items():
                continue
            name = metadata.annotations.get(_DOMAIN, "")
            key = ObjectKey("VirtualMachineInstance", metadata.namespace, name)
            vmi = self.vmis.get(key)
            if vmi and vmi.status.node_name == pod.spec.node_name:
                found[key] = pod
        return found

    @cached_property
    def pools(self) -> Mapping[str, MachineConfigPool]:
        """MachineConfigPools by name."""
        return self._by_name(MachineConfigPool)

    @cached_property
    def migration_policies(self) -> Mapping[str, MigrationPolicy]:
        """MigrationPolicies by name."""
        return self._by_name(MigrationPolicy)

    @cached_property
    def migrations(self) -> Mapping[ObjectKey, VirtualMachineInstanceMigration]:
        """VirtualMachineInstanceMigrations, including finished ones."""
        return self._by_key(VirtualMachineInstanceMigration)

    @cached_property
    def claims(self) -> Mapping[tuple[str, str], PersistentVolumeClaim]:
        """PersistentVolumeClaims by namespace and name."""
        return self._by_namespace_and_name(PersistentVolumeClaim)

    @cached_property
    def storage_classes(self) -> Mapping[str, StorageClass]:
        """StorageClasses by name."""
        return self._by_name(StorageClass)

    @cached_property
    def storage_profiles(self) -> Mapping[str, StorageProfile]:
        """StorageProfiles by the name of their StorageClass."""
        return self._by_name(StorageProfile)

    @cached_property
    def networks(self) -> frozenset[tuple[str, str]]:
        """Namespace and name of each NetworkAttachmentDefinition."""
        return frozenset(self._by_namespace_and_name(NetworkAttachmentDefinition))

    @cached_property
    def namespace_labels(self) -> Mapping[str, Mapping[str, str]]:
        """Labels of each namespace that was read."""
        found = self._by_name(Namespace)
        return {name: namespace.metadata.labels for name, namespace in found.items()}

    @cached_property
    def kubevirt(self) -> KubeVirt | None:
        """The KubeVirt resource; a cluster has one."""
        return next(iter(self._by_key(KubeVirt).values()), None)

    @cached_property
    def hyperconverged(self) -> HyperConverged | None:
        """The HyperConverged resource; a cluster has one."""
        return next(iter(self._by_key(HyperConverged).values()), None)

    @cached_property
    def release(self) -> Release | None:
        """The release that KubeVirt, or else HyperConverged, reports."""
        kubevirt, hyperconverged = self.kubevirt, self.hyperconverged
        return reported_release(
            [kubevirt] if kubevirt else [], [hyperconverged] if hyperconverged else []
        )
