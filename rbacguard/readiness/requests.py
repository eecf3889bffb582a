"""Resource requests of pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeAlias

from rbacguard.readiness.quantity import parse_quantity
from rbacguard.snapshot.workloads import Pod, ResourceList

Amounts: TypeAlias = dict[str, Decimal]
"""Numbers by resource name: bytes of memory, cores, or counts."""
_POD_LEVEL = ("cpu", "memory", "hugepages-")
"""Resources that the pod-level requests can contain."""


def pod_requests(pod: Pod) -> Amounts | None:
    """Return the resource requests of a pod; None if a quantity cannot be parsed.

    This is the larger one of the sum of the containers and the maximum of the init containers.
    Sidecars (init containers with restartPolicy Always) count for all containers after them.
    Pod-level requests replace this, and the overhead is added (kubernetes v1.36
    component-helpers/resource/helpers.go, PodRequests).
    """
    try:
        sidecars: Amounts = {}
        maximum: Amounts = {}
        for container in pod.spec.init_containers:
            own = _sum((sidecars, amounts(container.resources.requests)))
            if container.restart_policy == "Always":
                sidecars = own
            maximum = _maximum(maximum, own)
        containers = (amounts(container.resources.requests) for container in pod.spec.containers)
        requests = _maximum(_sum((*containers, sidecars)), maximum)
        for name, size in amounts(pod.spec.resources.requests).items():
            if name.startswith(_POD_LEVEL):
                requests[name] = size
        return _sum((requests, amounts(pod.spec.overhead)))
    except ValueError:
        return None


def amounts(resources: ResourceList) -> Amounts:
    """Return the quantities of a resource list as numbers.

    Raises:
        ValueError: a quantity cannot be parsed.
    """
    found = {}
    for name, value in resources.items():
        size = parse_quantity(value)
        if size is None:
            raise ValueError(name)
        found[name] = size
    return found


def _sum(parts: Iterable[Mapping[str, Decimal]]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, size in part.items():
            total[name] = total[name] + size if name in total else size
    return total


def _maximum(left: Amounts, right: Amounts) -> Amounts:
    return {**left, **{name: max(left.get(name, size), size) for name, size in right.items()}}
