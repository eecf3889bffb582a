"""PersistentVolumeClaims of VMIs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rbacguard.policy.checks.base import ReadinessCheck
from rbacguard.policy.context import Context, Workloads
from rbacguard.policy.facts import ClaimFact, FactClass, object_map, yes_no_unknown


class ClaimCheck(ReadinessCheck, frozen=True, tag="claim"):
    """Yields the PersistentVolumeClaims that VMIs use."""

    FACT: ClassVar[FactClass] = ClaimFact
    NEEDS: ClassVar[tuple[str, ...]] = (
        "VirtualMachineInstance",
        "PersistentVolumeClaim",
        "StorageProfile",
    )

    def facts(self, workloads: Workloads, context: Context) -> Iterator[ClaimFact]:  # noqa: ARG002
        """Yield one fact for each claim."""
        for each in workloads.readiness.claims:
            key = each.key
            yield ClaimFact(
                claim=object_map(key),
                access_modes=list(each.access_modes),
                shared=each.is_shared,
                storage_class=each.storage_class or "unknown",
                provisioner=each.provisioner,
                class_shares=yes_no_unknown(each.class_shares),
                used_by=list(each.used_by),
                group_key=f"{key.namespace}/{key.name}",
                scope=key.namespace,
                objects=(key,),
            )
