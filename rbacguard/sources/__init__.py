"""Where a cluster's objects come from: files, folders, archives, standard input."""

from rbacguard.sources.load import from_objects, load
from rbacguard.sources.reading import (
    COLLECT_COMMAND,
    INSPECT_COMMAND,
    OTHER_KINDS,
    RBAC_KINDS,
    Coverage,
    Defect,
    KindCoverage,
    Location,
    Origin,
    Reading,
    State,
)

__all__ = [
    "COLLECT_COMMAND",
    "INSPECT_COMMAND",
    "OTHER_KINDS",
    "RBAC_KINDS",
    "Coverage",
    "Defect",
    "KindCoverage",
    "Location",
    "Origin",
    "Reading",
    "State",
    "from_objects",
    "load",
]
