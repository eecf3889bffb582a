"""Snapshots from files and from plain values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rbacguard.snapshot import AggregateMode, Snapshot
from rbacguard.sources.collection import InputCollection
from rbacguard.sources.decode import read_objects, read_paths


def load(
    paths: Iterable[str], *, aggregate: AggregateMode = "as-recorded", workloads: bool = False
) -> Snapshot:
    """Return a snapshot of files, folders, archives, or `-` for standard input.

    Args:
        paths: what to read.
        aggregate: whether aggregated ClusterRoles have their recorded or their computed rules.
        workloads: whether to read VMs, nodes, pods, and storage, too.

    Raises:
        InputError: a path cannot be read or contains no object of a required kind.
    """
    collection = read_paths([str(path) for path in paths], workloads=workloads)
    return snapshot_of(collection, aggregate=aggregate)


def from_objects(
    objects: Iterable[dict[str, Any]],
    *,
    aggregate: AggregateMode = "as-recorded",
    workloads: bool = False,
) -> Snapshot:
    """Return a snapshot of Kubernetes objects as plain values with apiVersion and kind.

    Args:
        objects: the objects.
        aggregate: whether aggregated ClusterRoles have their recorded or their computed rules.
        workloads: whether to read VMs, nodes, pods, and storage, too.

    Raises:
        InputError: an object does not have the fields of its kind.
    """
    return snapshot_of(read_objects(objects, workloads=workloads), aggregate=aggregate)


def snapshot_of(
    collection: InputCollection, *, aggregate: AggregateMode = "as-recorded"
) -> Snapshot:
    """Return a snapshot of collected objects."""
    return Snapshot(
        collection.by_kind,
        coverage=collection.coverage(),
        locations=collection.locations,
        invalid_fields=collection.invalid_fields,
        aggregate=aggregate,
    )
