"""Metrics of KubeVirt in alerts and in the guide."""

from __future__ import annotations

import re

import yaml
from conftest import ROOT

METRICS = {
    # kubevirt/kubevirt v1.9 docs/observability/metrics.md
    f"kubevirt_vmi_{name}"
    for name in (
        "migration_data_bytes_total",
        "migration_data_processed_bytes",
        "migration_data_remaining_bytes",
        "migration_data_total_bytes",
        "migration_dirty_memory_rate_bytes",
        "migration_end_time_seconds",
        "migration_failed",
        "migration_memory_transfer_rate_bytes",
        "migration_phase_transition_time_from_creation_seconds",
        "migration_start_time_seconds",
        "migration_succeeded",
        "migrations_in_pending_phase",
        "migrations_in_running_phase",
        "migrations_in_scheduling_phase",
        "migrations_in_unset_phase",
        "non_evictable",
    )
}


def test_rules_and_queries_use_existing_metrics() -> None:
    rules = (ROOT / "examples" / "monitoring" / "live-migration-rules.yaml").read_text("utf-8")
    guide = (ROOT / "docs" / "how-to" / "watch-migrations.md").read_text("utf-8")
    for text in (rules, guide):
        named = set(re.findall(r"\bkubevirt_[a-z_]+", text))
        assert len(named) > 4
        assert named <= METRICS
    (each,) = yaml.safe_load(rules)["spec"]["groups"]
    assert {rule["alert"] for rule in each["rules"]} >= {"LiveMigrationsWait"}
    assert all(rule["annotations"]["summary"] for rule in each["rules"])
