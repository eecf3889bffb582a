"""The bundled dumps of clusters with VMs."""

from __future__ import annotations

import gzip
import json

from assessments import bare_inventory
from conftest import DATA
from workload_objects import cluster, dump

from rbacguard.readiness.assessment import assess


def test_the_dumps_are_the_output_of_the_generator() -> None:
    for name, new in (("v1beta1", False), ("v1", True)):
        data = gzip.decompress((DATA / f"vms-3-20-{name}.json.gz").read_bytes())
        assert data.decode("utf-8") == dump(3, 20, new=new)


def test_complete_objects_do_not_change_the_result() -> None:
    """Complete launchers request a little more, so VMs can have other target nodes."""
    small, whole = (
        assess(bare_inventory(items))
        for items in (cluster(3, 20), json.loads(dump(3, 20))["items"])
    )
    assert small.evictions == whole.evictions
    assert small.rollout == whole.rollout
    placed, placed_whole = (
        {key: bool(each.target) for key, each in found.placements.items()}
        for found in (small, whole)
    )
    assert placed == placed_whole
