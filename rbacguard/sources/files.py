"""Files, folders, archives and standard input as a stream of named bytes.

Nothing is unpacked to disk, links inside archives are passed over, and what is unpacked is
bounded.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import zstandard

from rbacguard.errors import InputError

MAX_BYTES = 4 * 1024**3
"""The most that is read of one file or archive, unpacked, in bytes."""
MAX_RATIO = 200
"""How many times its own size it may unpack to; large dumps make 16 (gzip -1) to 49 (zstd -19)."""
ALWAYS = 64 * 1024**2
"""What it may unpack to whatever its size, in bytes."""
MAX_MEMBERS = 500_000
"""The most members that an archive may have."""

_SUFFIXES = (".yaml", ".yml", ".json", ".jsonl", ".ndjson")
_PACKED = (".gz", ".zst")
_SKIPPED_FOLDERS = frozenset({".git", "node_modules"})
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")
_CHUNK = 1 << 20


def stem(name: str) -> str:
    """Return the name of a dump's file without what says its form; the whole name of another."""
    lower = name.lower()
    for packed in ("", *_PACKED):
        for suffix in (*_SUFFIXES, *_ARCHIVES):
            if lower.endswith(suffix + packed):
                return name[: -len(suffix + packed)]
    # As `rbacguard snapshot -o NAME.zst` may be called.
    return next((name[: -len(each)] for each in _PACKED if lower.endswith(each)), name)


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Room:
    """How much may still be unpacked of what one name stands for, archives in archives included."""

    def __init__(self, name: str, size: int) -> None:
        """Start from the size of the file itself, in bytes."""
        self._name = name
        self.left = min(max(size * MAX_RATIO, ALWAYS), MAX_BYTES)

    def take(self, size: int) -> None:
        """Note bytes that were unpacked.

        Raises:
            InputError: they are too many.
        """
        self.left -= size
        if self.left < 0:
            raise InputError(
                f"{self._name}: unpacks to more than {MAX_RATIO} times its size, or than "
                f"{MAX_BYTES} bytes; unpack it yourself if that is right"
            )


class NamedBytes:
    """One file's content; `loose` when it was found rather than named, so a flaw is reported."""

    __slots__ = ("data", "loose", "name")

    def __init__(self, name: str, data: bytes, loose: bool) -> None:
        """Hold a file's content."""
        self.name = name
        self.data = data
        self.loose = loose


def open_input(path: str) -> Iterator[NamedBytes]:
    """Yield the files behind one `--filename`: a file, a folder, an archive, or `-` for stdin.

    Raises:
        InputError: it does not exist, cannot be read, or unpacks to more than is allowed.
    """
    try:
        if path == "-":
            if sys.stdin is None or sys.stdin.isatty():
                raise InputError("-: standard input is a terminal; pipe a dump into it")
            yield from _expand("-", _endless("-", sys.stdin.buffer), loose=False)
        elif Path(path).is_dir():
            yield from _folder(Path(path))
        else:
            yield from _expand(path, _whole(path, Path(path)), loose=False)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def _folder(root: Path) -> Iterator[NamedBytes]:
    """Walk a folder in order of name; linked folders are not followed, so no loop can be."""
    found = False
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            stem = name
            for suffix in _PACKED:
                stem = stem.removesuffix(suffix)
            if not stem.lower().endswith(_SUFFIXES):
                continue
            file = Path(folder, name)
            if file.is_file():
                found = True
                yield from _expand(str(file), _whole(str(file), file), loose=True)
    if not found:
        raise InputError(f"{root}: no .yaml, .yml, .json or .jsonl file in this folder")


def _whole(name: str, path: Path) -> bytes:
    with path.open("rb") as file:
        # A file says how large it is; a pipe or a device may never end.
        known = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return file.read() if known else _endless(name, file)


def _endless(name: str, file: _Reader) -> bytes:
    parts, size = [], 0
    while chunk := file.read(_CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise InputError(f"{name}: more than {MAX_BYTES} bytes")
    return b"".join(parts)


def _expand(
    name: str, data: bytes, *, loose: bool, room: _Room | None = None
) -> Iterator[NamedBytes]:
    """Unpack by content, not by name."""
    room = room or _Room(name, len(data))
    try:
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = _bounded(packed, room)
        elif data[:4] == b"\x28\xb5\x2f\xfd":
            reader = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(
                data, read_across_frames=True
            )
            data = _bounded(reader, room)
        elif data[:6] == b"\xfd7zXZ\x00":
            with lzma.LZMAFile(io.BytesIO(data)) as xz:
                data = _bounded(xz, room)
        if data[:4] == b"PK\x03\x04":
            yield from _zip(name, data, room)
        elif data[257:262] == b"ustar":
            yield from _tar(name, data, room)
        else:
            yield NamedBytes(name, data, loose)
    except (
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zstandard.ZstdError,
        tarfile.TarError,
        zipfile.BadZipFile,
        gzip.BadGzipFile,
        NotImplementedError,
        RuntimeError,
        OverflowError,
        ValueError,
        struct.error,
    ) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{name}: cannot be unpacked: {reason}") from None


def _bounded(reader: _Reader, room: _Room) -> bytes:
    parts = []
    while chunk := reader.read(_CHUNK):
        room.take(len(chunk))
        parts.append(chunk)
    return b"".join(parts)


def _wanted(member: str) -> bool:
    lower = member.lower()
    for suffix in _PACKED:
        lower = lower.removesuffix(suffix)
    return lower.endswith(_SUFFIXES)


def _tar(name: str, data: bytes, room: _Room) -> Iterator[NamedBytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, member in enumerate(archive):
            if count >= MAX_MEMBERS:
                raise InputError(f"{name}: more than {MAX_MEMBERS} members")
            # A sparse file may claim any size.
            if member.issparse() or not (member.isfile() and _wanted(member.name)):
                continue
            file = archive.extractfile(member)
            if file is not None:
                yield from _member(name, member.name, file.read(), room)


def _zip(name: str, data: bytes, room: _Room) -> Iterator[NamedBytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise InputError(f"{name}: more than {MAX_MEMBERS} members")
        for member in members:
            if member.is_dir() or not _wanted(member.filename):
                continue
            # The size in the header is a claim: read no more than what is left.
            with archive.open(member) as file:
                content = file.read(room.left + 1)
            room.take(len(content))
            yield from _member(name, member.filename, content, room)


def _member(archive: str, member: str, data: bytes, room: _Room) -> Iterator[NamedBytes]:
    yield from _expand(f"{archive}!{member}", data, loose=True, room=room)
