"""Input sources. Each returns a `Snapshot`, or a `Reading` to which more can be added."""

from rbacguard.sources.collection import COLLECT_COMMAND, INSPECT_COMMAND, Reading
from rbacguard.sources.load import from_objects, load, snapshot_of

__all__ = [
    "COLLECT_COMMAND",
    "INSPECT_COMMAND",
    "Reading",
    "from_objects",
    "load",
    "snapshot_of",
]
