"""The state of a cluster: its objects, and how completely they were read."""

from rbacguard.snapshot.coverage import (
    OTHER_KINDS,
    RBAC_KINDS,
    Coverage,
    Defect,
    Input,
    KindCoverage,
    Location,
    Origin,
    State,
)
from rbacguard.snapshot.snapshot import AggregateMode, Snapshot

__all__ = [
    "OTHER_KINDS",
    "RBAC_KINDS",
    "AggregateMode",
    "Coverage",
    "Defect",
    "Input",
    "KindCoverage",
    "Location",
    "Origin",
    "Snapshot",
    "State",
]
