"""Files, folders, archives and standard input as a stream of named bytes."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from rbacguard.errors import InputError

MAX_BYTES = 4 * 1024**3
"""The most that is read of one file or archive, unpacked, in bytes."""

SUFFIXES = (".yaml", ".yml", ".json", ".jsonl", ".ndjson")
PACKED = (".gz", ".zst")
_SKIPPED_FOLDERS = frozenset({".git", "node_modules"})
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")
GZIP, ZSTANDARD, XZ, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"PK\x03\x04"
"""How what is packed begins."""
CHUNK = 1 << 17
_LARGE = 1024 * 1024


def stem(name: str) -> str:
    """Return the name of a dump's file without what says its form; the whole name of another."""
    lower = name.lower()
    for packed in ("", *PACKED):
        for suffix in (*SUFFIXES, *_ARCHIVES):
            if lower.endswith(suffix + packed):
                return name[: -len(suffix + packed)]
    # As `rbacguard snapshot -o NAME.zst` may be called.
    return next((name[: -len(each)] for each in PACKED if lower.endswith(each)), name)


class Reader(Protocol):
    """What is read from bit by bit."""

    def read(self, size: int, /) -> bytes:
        """Return some more, or nothing at the end."""


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
            for suffix in PACKED:
                stem = stem.removesuffix(suffix)
            if not stem.lower().endswith(SUFFIXES):
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


def _endless(name: str, file: Reader) -> bytes:
    parts, size = [], 0
    while chunk := file.read(CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise InputError(f"{name}: more than {MAX_BYTES} bytes")
    return b"".join(parts)


def is_tar(data: bytes) -> bool:
    """Whether this is a tar archive, which says so in its first header."""
    return data[257:262] == b"ustar"


def _expand(name: str, data: bytes, *, loose: bool) -> Iterator[NamedBytes]:
    """Unpack by content, not by name."""
    if data.startswith((GZIP, ZSTANDARD, XZ, ZIP)) or is_tar(data):
        # The libraries that unpack take longer to load than most dumps to read.
        from rbacguard.sources import archives

        yield from archives.expand(name, data, loose=loose)
    else:
        yield NamedBytes(name, data, loose)


def sha256(data: bytes | memoryview) -> Callable[[], str]:
    """Return what returns the digest; that of a large file is made meanwhile, on another core."""
    digest = hashlib.sha256()
    if len(data) < _LARGE:
        digest.update(data)
        return digest.hexdigest
    thread = threading.Thread(target=digest.update, args=(data,))
    thread.start()

    def finished() -> str:
        thread.join()
        return digest.hexdigest()

    return finished
