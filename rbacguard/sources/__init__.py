"""Input sources. Each returns a `Snapshot`, or an `InputCollection` to add more objects to."""

from rbacguard.sources.collection import COLLECT_COMMAND, INSPECT_COMMAND, InputCollection
from rbacguard.sources.load import from_objects, load, snapshot_of

__all__ = [
    "COLLECT_COMMAND",
    "INSPECT_COMMAND",
    "InputCollection",
    "from_objects",
    "load",
    "snapshot_of",
]
