"""What was read of machines, nodes and their surroundings, by kind and name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.snapshot.coverage import Coverage
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
from rbacguard.sources import Reading
from rbacguard.sources.decode import read_objects, read_paths

_DOMAIN = "kubevirt.io/domain"
_LAUNCHER = {"kubevirt.io": "virt-launcher"}
_ENDED = ("Succeeded", "Failed")


_Object = TypeVar("_Object", bound=Struct)


class Inventory:
    """One reading of a cluster's machines; nothing is judged here.

    Attributes:
        coverage: which kinds were read, and what is missing.
    """

    def __init__(self, objects: Mapping[ObjectKey, Struct], coverage: Coverage) -> None:
        """Hold what was read."""
        self._objects, self.coverage = objects, coverage

    @classmethod
    def of(cls, reading: Reading) -> Inventory:
        """Take a reading that was made with workloads."""
        return cls(reading.objects, reading.coverage())

    @classmethod
    def load(cls, paths: Iterable[str]) -> Inventory:
        """Read files, folders, archives, or `-` for standard input.

        Raises:
            InputError: something named cannot be read, or holds neither machines nor nodes.
        """
        return cls.of(read_paths([str(path) for path in paths], workloads=True))

    @classmethod
    def from_objects(cls, objects: Iterable[dict[str, Any]]) -> Inventory:
        """Take objects as plain values.

        Raises:
            InputError: one of them is not what its kind says.
        """
        return cls.of(read_objects(objects, workloads=True))

    @cached_property
    def _by_type(self) -> Mapping[type[Struct], dict[ObjectKey, Any]]:
        found: dict[type[Struct], dict[ObjectKey, Any]] = {}
        for key in sorted(self._objects):
            value = self._objects[key]
            found.setdefault(type(value), {})[key] = value
        return found

    def _all(self, kind: type[_Object]) -> dict[ObjectKey, _Object]:
        return self._by_type.get(kind, {})

    @cached_property
    def machines(self) -> Mapping[ObjectKey, VirtualMachineInstance]:
        """VirtualMachineInstances that have not ended."""
        found = self._all(VirtualMachineInstance)
        return {key: each for key, each in found.items() if each.status.phase not in _ENDED}

    @cached_property
    def owners(self) -> Mapping[tuple[str, str], VirtualMachine]:
        """VirtualMachines by namespace and name, which their instances share."""
        return {(key.namespace, key.name): vm for key, vm in self._all(VirtualMachine).items()}

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {key.name: node for key, node in self._all(Node).items()}

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """Pods that have not ended and stand on a node."""
        return tuple(
            pod
            for pod in self._all(Pod).values()
            if pod.status.phase not in _ENDED and pod.spec.node_name
        )

    @cached_property
    def launchers(self) -> Mapping[tuple[str, str], Pod]:
        """The virt-launcher pod of each machine, on the node where it runs, by namespace and name.

        A migration has a second one, on the node that the machine moves to.
        """
        found: dict[tuple[str, str], Pod] = {}
        for pod in self.pods:
            metadata = pod.metadata
            if _LAUNCHER.items() <= (metadata.labels or {}).items():
                name = (metadata.annotations or {}).get(_DOMAIN, "")
                machine = self.machines.get(
                    ObjectKey("VirtualMachineInstance", metadata.namespace, name)
                )
                if machine and machine.status.node_name == pod.spec.node_name:
                    found[metadata.namespace, name] = pod
        return found

    @cached_property
    def pools(self) -> Mapping[str, MachineConfigPool]:
        """MachineConfigPools by name."""
        return {key.name: pool for key, pool in self._all(MachineConfigPool).items()}

    @cached_property
    def policies(self) -> Mapping[str, MigrationPolicy]:
        """MigrationPolicies by name."""
        return {key.name: policy for key, policy in self._all(MigrationPolicy).items()}

    @cached_property
    def migrations(self) -> Mapping[ObjectKey, VirtualMachineInstanceMigration]:
        """VirtualMachineInstanceMigrations, those that have ended too."""
        return self._all(VirtualMachineInstanceMigration)

    @cached_property
    def claims(self) -> Mapping[tuple[str, str], PersistentVolumeClaim]:
        """PersistentVolumeClaims by namespace and name."""
        found = self._all(PersistentVolumeClaim)
        return {(key.namespace, key.name): claim for key, claim in found.items()}

    @cached_property
    def storage_classes(self) -> Mapping[str, StorageClass]:
        """StorageClasses by name."""
        return {key.name: each for key, each in self._all(StorageClass).items()}

    @cached_property
    def storage_profiles(self) -> Mapping[str, StorageProfile]:
        """StorageProfiles by the name of their StorageClass."""
        return {key.name: each for key, each in self._all(StorageProfile).items()}

    @cached_property
    def networks(self) -> frozenset[tuple[str, str]]:
        """NetworkAttachmentDefinitions by namespace and name."""
        return frozenset(
            (key.namespace, key.name) for key in self._all(NetworkAttachmentDefinition)
        )

    @cached_property
    def namespaces(self) -> Mapping[str, Namespace]:
        """Namespaces by name."""
        return {key.name: each for key, each in self._all(Namespace).items()}

    @cached_property
    def kubevirt(self) -> KubeVirt | None:
        """The KubeVirt resource, of which a cluster has one."""
        return next(iter(self._all(KubeVirt).values()), None)

    @cached_property
    def hyperconverged(self) -> HyperConverged | None:
        """The HyperConverged resource, of which a cluster has one."""
        return next(iter(self._all(HyperConverged).values()), None)
