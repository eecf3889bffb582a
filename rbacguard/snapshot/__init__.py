"""The state of a cluster: its objects, and how completely they were read."""

from rbacguard.snapshot.coverage import (
    OTHER_KINDS,
    RBAC_KINDS,
    ClusterOrigin,
    Coverage,
    Input,
    InvalidField,
    KindCoverage,
    Location,
    State,
)
from rbacguard.snapshot.snapshot import AggregateMode, Drift, Snapshot

__all__ = [
    "OTHER_KINDS",
    "RBAC_KINDS",
    "AggregateMode",
    "ClusterOrigin",
    "Coverage",
    "Drift",
    "Input",
    "InvalidField",
    "KindCoverage",
    "Location",
    "Snapshot",
    "State",
]
