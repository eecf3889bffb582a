"""VirtualMachineInstanceMigrations: origin, creator, age, and reason."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import yaml
from assessments import Object, inventory
from workload_objects import migration, vmi

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.migrations import Migration, Origin, migrations, user_migrations
from rbacguard.sources import load
from rbacguard.sources.kubectl_yaml import is_kubectl_output

NOW = datetime.datetime(2026, 11, 23, 9, tzinfo=datetime.UTC)


def listed(*made: Object) -> list[Migration]:
    return list(migrations(inventory(*made), NOW))


def test_a_migration_has_its_fields() -> None:
    assert listed(migration("move", "vm")) == [
        Migration(
            key=ObjectKey("VirtualMachineInstanceMigration", "web", "move"),
            vmi="vm",
            phase="Running",
            origin=Origin.USER,
            manager="virtctl",
            created="2026-11-23T08:00:00Z",
            age=3600,
            source="a",
            target="b",
            reason="",
            is_deleted=False,
        )
    ]
    early = migration("move", "vm", "", created="2026-11-23T10:00:00Z")
    del early["status"]
    (found,) = listed(early)
    assert (found.age, found.source, found.target, found.reason) == (0, "", "", "")


def test_the_first_manager_is_the_creator() -> None:
    made = migration("move", "vm")
    (first,) = made["metadata"]["managedFields"]
    status = {**first, "manager": "aaa", "subresource": "status", "time": "2026-11-23T07:00:00Z"}
    later = {**first, "manager": "bbb", "time": "2026-11-23T08:30:00Z"}
    made["metadata"]["managedFields"] = [status, later, first]
    assert listed(made)[0].manager == "virtctl"


@pytest.mark.parametrize(
    ("metadata", "origin"),
    [
        ({"generateName": "kubevirt-workload-update-"}, Origin.WORKLOAD_UPDATE),
        ({"annotations": {"kubevirt.io/workloadUpdateMigration": ""}}, Origin.WORKLOAD_UPDATE),
        ({"generateName": "kubevirt-evacuation-"}, Origin.DRAIN),
        ({"annotations": {"kubevirt.io/evacuationMigration": "a"}}, Origin.DRAIN),
        ({"generateName": "mine-"}, Origin.USER),
    ],
)
def test_the_origin_follows_from_annotations_and_names(metadata: Object, origin: Origin) -> None:
    assert listed(migration("move", "vm", **metadata))[0].origin is origin


def conditions(*found: tuple[str, str, str, str]) -> list[Object]:
    names = ("type", "status", "reason", "message")
    return [dict(zip(names, each, strict=True)) for each in found]


def test_the_reason_of_an_unfinished_migration_is_its_conditions() -> None:
    reported = conditions(
        ("quota", "True", "Exceeded", "no quota is left"),
        ("gate", "True", "Closed", ""),
        ("odd", "True", "", ""),
        ("past", "False", "Over", "it is over"),
        ("migrationAbortRequested", "True", "Asked", "it was asked for"),
    )
    pending = migration("move", "vm", "Pending")
    pending["status"]["conditions"] = reported
    assert listed(pending)[0].reason == "no quota is left; Closed; odd"
    finished = migration("move", "vm", "Succeeded")
    finished["status"]["conditions"] = reported
    assert listed(finished)[0].reason == ""


@pytest.mark.parametrize("phase", ["Running", "Failed"])
def test_the_failure_reason_wins_over_conditions(phase: str) -> None:
    failed = migration("move", "vm", phase)
    failed["status"]["conditions"] = conditions(("quota", "True", "Exceeded", "no quota is left"))
    failed["status"]["migrationState"]["failureReason"] = "it broke"
    assert listed(failed)[0].reason == "it broke"


def test_a_migration_that_is_being_cancelled_is_deleted() -> None:
    aborted = migration("move", "vm")
    aborted["status"]["migrationState"]["abortRequested"] = True
    deleted = migration("move", "vm", deletionTimestamp="2026-11-23T08:30:00Z")
    assert [listed(each)[0].is_deleted for each in (aborted, deleted)] == [True, True]


def test_migrations_of_the_platform_are_not_user_migrations() -> None:
    made = [
        migration("own", "vm"),
        migration("drain", "vm", node="a"),
        migration("operator", "vm", manager="virt-operator"),
        migration("typed", "vm", annotations={"kubevirt.io/evacuationMigration": "a"}),
    ]
    assert user_migrations(listed(*made)) == {"web": 1}


def test_unfinished_migrations_are_first_and_older_ones_before_newer() -> None:
    found = listed(
        migration("finished", "vm", "Failed", created="2026-11-23T07:00:00Z"),
        migration("new", "vm", "Pending", created="2026-11-23T08:59:00Z"),
        migration("old", "vm"),
    )
    assert [each.key.name for each in found] == ["old", "new", "finished"]
    assert [each.is_running for each in found] == [True, True, False]


def test_a_migration_without_status_and_timestamps_is_unknown() -> None:
    metadata = {"name": "bare", "namespace": "web"}
    kind = "VirtualMachineInstanceMigration"
    (bare,) = listed({"apiVersion": "kubevirt.io/v1", "kind": kind, "metadata": metadata})
    assert (bare.age, bare.manager, bare.phase, bare.origin) == (None, "", "", Origin.USER)


def test_the_creator_is_read_from_kubectl_yaml(tmp_path: Path) -> None:
    items = [migration("m", "vm", manager="argocd"), *vmi("vm", "a")]
    for item in items:
        item["metadata"]["uid"] = "8d5c1e0f-7f0e-4b8e-9a56-3f3d7c1f3f11"
    path = tmp_path / "dump.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "items": items, "kind": "List"}), "utf-8")
    assert is_kubectl_output(path.read_bytes())
    (found,) = migrations(Inventory(load([str(path)], workloads=True)), NOW)
    assert found.manager == "argocd"
