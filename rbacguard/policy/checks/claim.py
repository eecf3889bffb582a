"""PersistentVolumeClaims of VMIs: whether two nodes can mount them at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.policy.checks.base import (
    Context,
    Fact,
    FactType,
    ReadinessCheck,
    Workloads,
    answer,
    key_fields,
)


class ClaimCheck(ReadinessCheck, frozen=True, tag="claim"):
    """One fact for each PersistentVolumeClaim of a VMI."""

    NEEDS: ClassVar[tuple[str, ...]] = (
        "VirtualMachineInstance",
        "PersistentVolumeClaim",
        "StorageProfile",
    )
    FACTS: ClassVar[Mapping[str, FactType]] = {
        "claim": FactType.MAP,
        "access_modes": FactType.LIST,
        "shared": FactType.BOOL,
        "storage_class": FactType.STRING,
        "provisioner": FactType.STRING,
        "class_shares": FactType.STRING,
        "used_by": FactType.LIST,
    }

    def facts(self, workloads: Workloads, context: Context) -> Iterator[Fact]:  # noqa: ARG002
        """Yield one fact for each claim."""
        for each in workloads.readiness.claims:
            key = each.key
            yield Fact(
                fields={
                    "claim": key_fields(key),
                    "access_modes": list(each.access_modes),
                    "shared": each.is_shared,
                    "storage_class": each.storage_class or "unknown",
                    "provisioner": each.provisioner,
                    "class_shares": answer(each.class_shares),
                    "used_by": list(each.used_by),
                },
                group=f"{key.namespace}/{key.name}",
                scope=key.namespace,
                objects=(key,),
            )
