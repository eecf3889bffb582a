"""The result of evicting a VMI, and its reasons."""

from __future__ import annotations

from typing import Any

import pytest
from assessments import (
    TWO,
    Object,
    assessed,
    bare_inventory,
    eviction,
    inventory,
    outcome,
)
from workload_objects import kubevirt, node, on_claim, vmi

from rbacguard.readiness.assessment import assess
from rbacguard.readiness.eviction import EvictionOutcome, EvictionReason
from rbacguard.readiness.vmi import LIVE_MIGRATABLE_REASONS, uses_host_model
from rbacguard.snapshot.workloads import VirtualMachineInstance

DISKS: dict[str, Any] = {"reason": "DisksNotLiveMigratable", "message": "PVC x is not shared"}
NONE = EvictionReason(
    "eviction-strategy-none",
    "the eviction strategy is None (VMI), so a drain does not migrate it",
    "set evictionStrategy: LiveMigrate if it must migrate",
)
RESTARTS = EvictionReason(
    "restarts", "the VM stops and starts again on another node (runStrategy Always)"
)
STOPS = EvictionReason(
    "stays-stopped",
    "the VM stops and does not start again (runStrategy Halted)",
    "start the VM after the update",
)


def only_vmi(objects: list[Object]) -> VirtualMachineInstance:
    (found,) = inventory(objects).vmis.values()
    return found


@pytest.mark.parametrize(
    ("options", "expected", "reasons"),
    [
        ({}, EvictionOutcome.LIVE_MIGRATES, []),
        (DISKS, EvictionOutcome.BLOCKED, ["DisksNotLiveMigratable"]),
        ({"strategy": "LiveMigrateIfPossible"}, EvictionOutcome.LIVE_MIGRATES, []),
        (
            {"strategy": "LiveMigrateIfPossible", **DISKS},
            EvictionOutcome.RESTARTS,
            ["DisksNotLiveMigratable", "restarts"],
        ),
        (
            {"strategy": "LiveMigrateIfPossible", "run": "Manual", **DISKS},
            EvictionOutcome.STOPS,
            ["DisksNotLiveMigratable", "stays-stopped"],
        ),
        ({"strategy": "None"}, EvictionOutcome.RESTARTS, ["eviction-strategy-none", "restarts"]),
        (
            {"strategy": "None", "run": "RerunOnFailure"},
            EvictionOutcome.RESTARTS,
            ["eviction-strategy-none", "restarts"],
        ),
        (
            {"strategy": "None", "run": "Halted"},
            EvictionOutcome.STOPS,
            ["eviction-strategy-none", "stays-stopped"],
        ),
        ({"strategy": "External"}, EvictionOutcome.EXTERNAL, ["eviction-is-external"]),
        ({"strategy": "Sideways"}, EvictionOutcome.UNKNOWN, ["eviction-strategy-unknown"]),
        ({"strategy": None}, EvictionOutcome.LIVE_MIGRATES, []),
        ({"reason": "SomethingNew"}, EvictionOutcome.BLOCKED, ["SomethingNew"]),
    ],
)
def test_the_outcome_depends_on_eviction_strategy_condition_and_run_strategy(
    options: dict[str, Any], expected: EvictionOutcome, reasons: list[str]
) -> None:
    assert outcome(assessed(TWO, vmi("vm", "a", **options))) == (expected, reasons)


@pytest.mark.parametrize(
    ("strategy", "reasons"),
    [
        (
            "External",
            [
                EvictionReason(
                    "eviction-is-external",
                    "an external controller handles the eviction (eviction strategy External)",
                    "make sure that this controller is running",
                )
            ],
        ),
        ("None", [NONE, RESTARTS]),
        (
            "Sideways",
            [
                EvictionReason(
                    "eviction-strategy-unknown",
                    "eviction strategy 'Sideways' is not supported by this version",
                )
            ],
        ),
    ],
)
def test_a_strategy_without_migration_has_a_reason(
    strategy: str, reasons: list[EvictionReason]
) -> None:
    found = eviction(assessed(TWO, vmi("vm", "a", strategy=strategy)))
    assert list(found.reasons) == reasons
    assert (found.strategy, found.source, found.node) == (strategy, "VMI", "a")


@pytest.mark.parametrize(
    ("strategy", "expected", "source"),
    [
        ("LiveMigrate", EvictionOutcome.LIVE_MIGRATES, "KubeVirt"),
        ("None", EvictionOutcome.RESTARTS, "KubeVirt"),
        (None, EvictionOutcome.RESTARTS, "default of KubeVirt"),
        ("", EvictionOutcome.RESTARTS, "default of KubeVirt"),
        (5, EvictionOutcome.RESTARTS, "default of KubeVirt"),
        ([], EvictionOutcome.RESTARTS, "default of KubeVirt"),
    ],
)
def test_a_vmi_without_a_strategy_has_the_default_of_the_cluster(
    strategy: Any, expected: EvictionOutcome, source: str
) -> None:
    setting = kubevirt(evictionStrategy=strategy)
    found = eviction(assessed(TWO, vmi("vm", "a", strategy=None), setting=setting))
    assert (found.outcome, found.source) == (expected, source)


def test_without_kubevirt_the_default_strategy_is_unknown() -> None:
    readiness = assess(bare_inventory(TWO, vmi("vm", "a", strategy=None)))
    found = eviction(readiness)
    assert (found.outcome, found.strategy) == (EvictionOutcome.UNKNOWN, "")
    assert found.reasons == (
        EvictionReason(
            "eviction-strategy-unknown",
            "KubeVirt was not read, so the eviction strategy is unknown",
        ),
    )
    assert "KubeVirt: not in the input" in readiness.gaps
    assert readiness.is_ready is None


@pytest.mark.parametrize(
    ("is_running", "expected", "reason"),
    [
        (True, EvictionOutcome.RESTARTS, RESTARTS),
        (False, EvictionOutcome.STOPS, STOPS),
        (None, EvictionOutcome.STOPS, STOPS),
    ],
)
def test_without_a_run_strategy_the_field_running_decides(
    *, is_running: bool | None, expected: EvictionOutcome, reason: EvictionReason
) -> None:
    objects = vmi("vm", "a", strategy="None")
    objects[2]["spec"]["runStrategy"] = None
    objects[2]["spec"]["running"] = is_running
    found = eviction(assessed(TWO, objects))
    assert (found.outcome, found.reasons) == (expected, (NONE, reason))


def test_a_vmi_without_a_virtual_machine_stays_stopped() -> None:
    alone = vmi("vm", "a", strategy="None", run=None)
    found = eviction(assessed(TWO, alone, vmi("other", "b")))
    assert found.outcome is EvictionOutcome.STOPS
    assert found.reasons[-1] == EvictionReason(
        "no-virtual-machine",
        "the VMI stops and does not start again, because it has no VirtualMachine",
        "create a VirtualMachine for it",
    )
    unread = eviction(assessed(TWO, alone))
    assert unread.outcome is EvictionOutcome.UNKNOWN
    assert unread.reasons[-1] == EvictionReason(
        "run-strategy-unknown",
        "VirtualMachine was not read, so it is unknown whether the VM starts again",
    )


def test_a_vmi_without_a_node_is_in_no_drain() -> None:
    found = assessed(TWO, vmi("vm", ""), vmi("other", "a"))
    expected = EvictionReason("not-on-a-node", "the VMI is not on a node yet")
    assert eviction(found).reasons == (expected,)
    assert [each.node for each in found.drains] == ["a"]


@pytest.mark.parametrize("strategy", ["LiveMigrate", "LiveMigrateIfPossible"])
@pytest.mark.parametrize("status", [None, "Unknown", ""])
def test_without_a_status_of_live_migratable_the_outcome_is_unknown(
    strategy: str, status: str | None
) -> None:
    objects = vmi("vm", "a", strategy=strategy)
    conditions = [{"type": "LiveMigratable", "status": status}] if status is not None else []
    objects[0]["status"]["conditions"] = conditions
    found = eviction(assessed(TWO, objects))
    assert found.outcome is EvictionOutcome.UNKNOWN
    assert found.reasons[0] == EvictionReason(
        "not-determined",
        "KubeVirt does not report whether the VMI can migrate, as during its start",
        "check again when the VMI is running",
    )


def test_every_reason_of_kubevirt_has_an_explanation_and_an_action() -> None:
    assert len(LIVE_MIGRATABLE_REASONS) == 14
    for reason, explanation in LIVE_MIGRATABLE_REASONS.items():
        (found,) = eviction(assessed(TWO, vmi("vm", "a", reason=reason))).reasons
        assert (found.message, found.action) == explanation
        assert all(explanation)


def test_a_condition_can_have_no_reason() -> None:
    objects = vmi("vm", "a")
    objects[0]["status"]["conditions"] = [{"type": "LiveMigratable", "status": "False"}]
    assert outcome(assessed(TWO, objects)) == (EvictionOutcome.BLOCKED, ["no-reason"])


def test_claims_that_are_not_shared_are_reported_with_their_access_modes() -> None:
    objects = vmi("vm", "a", **DISKS)
    on_claim(objects, "r", "ReadWriteOnce", "ReadOnlyMany")
    objects[0]["status"]["volumeStatus"] += [
        {
            "name": "data",
            "persistentVolumeClaimInfo": {"claimName": "d", "accessModes": ["ReadWriteMany"]},
        },
        {"name": "odd", "persistentVolumeClaimInfo": {"claimName": "o"}},
        {"name": "config"},
    ]
    action = "use a claim with ReadWriteMany"
    assert eviction(assessed(TWO, objects)).reasons[1:] == (
        EvictionReason(
            "claim-not-shared", "volume root: claim r has ReadWriteOnce, ReadOnlyMany", action
        ),
        EvictionReason("claim-not-shared", "volume odd: claim o has no access mode", action),
    )


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        (None, True),
        ({"cores": 2}, True),
        ({"model": "host-model"}, True),
        ({"model": "host-passthrough"}, False),
        ({"model": "Haswell"}, False),
    ],
)
def test_a_cpu_without_a_model_is_host_model(*, cpu: Object | None, expected: bool) -> None:
    objects = vmi("vm", "a")
    objects[0]["spec"]["domain"]["cpu"] = cpu
    assert uses_host_model(only_vmi(objects)) is expected


def test_a_finished_vmi_is_ignored() -> None:
    objects = vmi("vm", "a")
    objects[0]["status"]["phase"] = "Succeeded"
    assert assessed(node("a"), objects).evictions == ()
