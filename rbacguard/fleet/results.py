"""Answers of clusters as lines of JSON, added as they come; a later run finds them again."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import msgspec

from rbacguard.errors import InputError, OutputError
from rbacguard.fleet.look import known_by
from rbacguard.output.wire import FleetClusterModel, encode

_OPENING = b'{"schemaVersion":"rbacguard.io/fleet-cluster/v1"'
"""What every line begins with: a last one that is cut off is told from something else by it."""


_decode = msgspec.json.Decoder(FleetClusterModel).decode


class _Line(NamedTuple):
    place: int
    length: int
    known_by: str


class Results:
    """One file of answers; only where each stands is held in memory.

    A run that was cut off leaves whole lines and at most a part of one, which the next run drops.

    Args:
        path: the file; '' for one that is gone with the process.

    Raises:
        InputError: it is not such a file.
        OutputError: it cannot be written, or another run writes it.
    """

    def __init__(self, path: str = "") -> None:
        """Open the file and note what is in it."""
        self._path = path
        self._lines: dict[str, _Line] = {}
        try:
            self._file: IO[bytes] = open(path, "a+b") if path else tempfile.TemporaryFile()  # noqa: PTH123, SIM115 - closed by `close`
            self._lock()
            self._index()
        except BlockingIOError:
            self._file.close()
            raise OutputError(f"{path}: another run is writing it; wait, or name another") from None
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror or error}") from None
        except InputError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; what was added stays."""
        # What could not be written was told by `add`, and would be tried again here.
        with suppress(OSError):
            self._file.close()

    def _lock(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.fstat(self._file.fileno())
        if self._path and not os.path.samestat(ours, Path(self._path).stat()):
            # Another run put a new file in its place before this one had the lock.
            raise BlockingIOError

    def _index(self) -> None:
        self._file.seek(0)
        place = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n") and _OPENING.startswith(line[: len(_OPENING)]):
                self._file.truncate(place)
                break
            try:
                self._note(_decode(line), place, len(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise InputError(
                    f"{self._path}, line {number}: expected results of 'rbacguard fleet'; "
                    "name another file"
                ) from None
            place += len(line)

    def _note(self, found: FleetClusterModel, place: int, length: int) -> None:
        # What could not be read is tried again, and a live cluster always.
        holds = found.input and found.result != "failed"
        by = known_by(found.input, found.asked) if holds else ""
        self._lines[found.cluster] = _Line(place, length, by)

    def known_by(self, cluster: str) -> str:
        """Return what the answer of a cluster is known by, '' where there is none that may hold."""
        line = self._lines.get(cluster)
        return line.known_by if line else ""

    def get(self, cluster: str) -> FleetClusterModel:
        """Return the answer of a cluster."""
        return _decode(self._raw(cluster))

    def _raw(self, cluster: str) -> bytes:
        place, length, _ = self._lines[cluster]
        self._file.seek(place)
        return self._file.read(length)

    def add(self, found: FleetClusterModel) -> FleetClusterModel:
        """Write an answer and return it.

        Raises:
            OutputError: it cannot be written.
        """
        line = encode(found) + b"\n"
        try:
            place = self._file.seek(0, os.SEEK_END)
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self._path}: {error.strerror or error}") from None
        self._note(found, place, len(line))
        return found

    def finish(self, clusters: Iterable[str]) -> None:
        """Put the answers of these clusters in order, whole or not at all; drop all others.

        Raises:
            OutputError: it cannot be written.
        """
        if not self._path:
            return
        # Only the run that holds the lock is here: what one left that was killed is written over.
        part = Path(f"{self._path}.part")
        try:
            with part.open("wb") as file:
                for name in sorted(clusters):
                    file.write(self._raw(name))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise OutputError(f"{self._path}: {error.strerror or error}") from None
