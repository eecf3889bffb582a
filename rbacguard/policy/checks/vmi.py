"""VMIs: what an eviction does to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from rbacguard.kubevirt.access import changed_namespaces
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.policy.checks.base import ReadinessCheck
from rbacguard.policy.context import Context, Workloads
from rbacguard.policy.facts import FactClass, VMIFact, object_map, yes_no_unknown
from rbacguard.rbac.access import Change
from rbacguard.readiness.duration import round_up
from rbacguard.readiness.eviction import Eviction, EvictionOutcome
from rbacguard.readiness.scheduling import Placement
from rbacguard.readiness.vmi import (
    condition,
    hotplugged_volumes,
    migration_required,
    pod_network_bridges,
    storage_live_migratable,
    uses_host_model,
)

_MIB = 2**20


class VMICheck(ReadinessCheck, frozen=True, tag="vmi"):
    """One fact for each VMI."""

    NEEDS: ClassVar[tuple[str, ...]] = (
        *("VirtualMachineInstance", "VirtualMachine", "Node", "Pod", "KubeVirt"),
        *("MigrationPolicy", "Namespace"),
    )
    FACT: ClassVar[FactClass] = VMIFact

    def missing(self, context: Context) -> tuple[str, ...]:
        """Return the incomplete kinds, and the number of VMIs with an unknown result."""
        gaps = super().missing(context)
        if context.workloads is None:
            return gaps
        readiness = context.workloads.readiness
        unknown = {e.key for e in readiness.evictions if e.outcome is EvictionOutcome.UNKNOWN}
        unknown |= {key for key, each in readiness.placements.items() if each.unknown}
        text = f"the result of an eviction, or the target node, is unknown for {len(unknown)} VMIs"
        return (*gaps, text) if unknown else gaps

    def facts(self, workloads: Workloads, context: Context) -> Iterator[VMIFact]:
        """Yield one fact for each VMI."""
        placements = workloads.readiness.placements
        losing_subjects = _losing_subjects(context)
        for eviction in workloads.readiness.evictions:
            yield _fact(eviction, placements.get(eviction.key), workloads, losing_subjects)


def _losing_subjects(context: Context) -> Mapping[str, list[str]]:
    """Return by scope the subjects that lose live migration with the update."""
    subjects: dict[str, list[str]] = {}
    lost = changed_namespaces(context.plan.changes, Change.LOST) if context.plan else {}
    for subject, scopes in lost.items():
        for scope in scopes if not is_platform(subject) else ():
            subjects.setdefault(scope, []).append(str(subject))
    if context.snapshot.coverage.missing():
        subjects.setdefault("", []).append("unknown subjects, because RBAC was not read completely")
    return subjects


def _fact(
    eviction: Eviction,
    placement: Placement | None,
    workloads: Workloads,
    losing_subjects: Mapping[str, list[str]],
) -> VMIFact:
    key, readiness = eviction.key, workloads.readiness
    vmi = workloads.inventory.vmis[key]
    duration, settings = readiness.durations[key], readiness.effective[key]
    failures = placement.filter_failures if placement else {}
    by_cpu = sum(count for text, count in failures.items() if "cpu-model-migration" in text)
    return VMIFact(
        vmi=object_map(key),
        node=eviction.node,
        eviction=eviction.outcome.value,
        reason=condition(vmi, "LiveMigratable").reason,
        cause="; ".join(each.message for each in eviction.reasons),
        eviction_strategy=eviction.strategy,
        storage_live_migratable=storage_live_migratable(vmi),
        pod_network_bridges=list(pod_network_bridges(vmi)),
        hotplugged_volumes=list(hotplugged_volumes(vmi)),
        host_model=uses_host_model(vmi),
        schedulable=yes_no_unknown(
            None if placement is None or placement.unknown else not placement.is_unschedulable
        ),
        target=placement.target if placement else "",
        filter_failures=[f"{count} {text}" for text, count in failures.items()],
        no_compatible_cpu=bool(failures) and by_cpu == sum(failures.values()),
        migration_policy=readiness.policies.get(key, ""),
        post_copy=settings["allowPostCopy"].value is True,
        bandwidth=str(settings["bandwidthPerMigration"].value),
        memory_mib=-1 if duration.data is None else int(duration.data / _MIB),
        seconds=-1 if duration.seconds is None else round_up(duration.seconds),
        timeout=-1 if duration.timeout is None else duration.timeout,
        exceeds_timeout=yes_no_unknown(duration.exceeds_timeout),
        migration_required=migration_required(vmi),
        losing_subjects=sorted(
            {*losing_subjects.get(key.namespace, ()), *losing_subjects.get("", ())}
        ),
        group_key=f"{key.namespace}/{key.name}",
        scope=key.namespace,
        objects=(key,),
    )
