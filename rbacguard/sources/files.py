"""Files, folders, archives, and standard input as a stream of named bytes.

Archives and compressed files are unpacked in memory, also inside each other. Links in archives
are skipped, and the unpacked size is limited.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from rbacguard.errors import InputError

MAX_BYTES = 4 * 1024**3
"""Limit of the size of one file, and of an archive after unpacking, in bytes."""
MAX_RATIO = 200
"""Limit of the ratio of unpacked to packed size. Dumps reach 16 (gzip -1) to 49 (zstd -19)."""
ALWAYS_ALLOWED = 64 * 1024**2
"""Unpacked size that is allowed regardless of the packed size, in bytes."""
MAX_MEMBERS = 500_000
"""Limit of the number of members of one archive."""

SUFFIXES = (".yaml", ".yml", ".json", ".jsonl", ".ndjson")
COMPRESSED = (".gz", ".zst")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")
_SKIPPED_FOLDERS = frozenset({".git", "node_modules"})
_GZIP, _ZSTANDARD, _XZ, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\x00", b"PK\x03\x04"
_CHUNK = 1 << 17
_LARGE = 1024 * 1024


class NamedBytes(NamedTuple):
    """The content of one file.

    Attributes:
        name: the path, or `archive!member`.
        data: the content.
        discovered: whether the file was found in a folder or an archive. An error in such a file
            is reported, and an error in a file that the user named ends the command.
    """

    name: str
    data: bytes
    discovered: bool


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""


def stem(name: str) -> str:
    """Return the name of a file without the suffixes of dumps, archives, and compression."""
    lower = name.lower()
    for compressed in ("", *COMPRESSED):
        for suffix in (*SUFFIXES, *_ARCHIVES):
            if lower.endswith(suffix + compressed):
                return name[: -len(suffix + compressed)]
    return next((name[: -len(each)] for each in COMPRESSED if lower.endswith(each)), name)


def open_input(path: str) -> Iterator[NamedBytes]:
    """Yield the files at one path: a file, a folder, an archive, or `-` for standard input.

    Raises:
        InputError: the path does not exist, cannot be read, or exceeds a limit.
    """
    try:
        if path == "-":
            if sys.stdin is None or sys.stdin.isatty():
                raise InputError("-: standard input is a terminal; pipe a dump into it")
            yield from _unpack("-", _read_limited("-", sys.stdin.buffer), discovered=False)
        elif Path(path).is_dir():
            yield from _read_folder(Path(path))
        else:
            yield from _unpack(path, _read_file(path, Path(path)), discovered=False)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def _read_folder(root: Path) -> Iterator[NamedBytes]:
    """Yield the files of a folder, sorted. Linked folders are skipped, which avoids loops."""
    found = False
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            file = Path(folder, name)
            if _has_suffix(name) and file.is_file():
                found = True
                yield from _unpack(str(file), _read_file(str(file), file), discovered=True)
    if not found:
        raise InputError(f"{root}: no .yaml, .yml, .json or .jsonl file in this folder")


def _has_suffix(name: str) -> bool:
    lower = name.lower()
    for suffix in COMPRESSED:
        lower = lower.removesuffix(suffix)
    return lower.endswith(SUFFIXES)


def _read_file(name: str, path: Path) -> bytes:
    with path.open("rb") as file:
        # The size of a regular file is known. A pipe or a device might be endless.
        is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return file.read() if is_regular else _read_limited(name, file)


def _read_limited(name: str, file: _Reader) -> bytes:
    parts, size = [], 0
    while chunk := file.read(_CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise InputError(f"{name}: more than {MAX_BYTES} bytes")
    return b"".join(parts)


class ExpansionBudget:
    """How many bytes may still be unpacked from one file, nested archives included.

    Args:
        name: name of the file, for the error message.
        size: size of the file in bytes.
    """

    def __init__(self, name: str, size: int) -> None:
        """Compute the budget."""
        self._name = name
        self.left = min(max(size * MAX_RATIO, ALWAYS_ALLOWED), MAX_BYTES)

    def consume(self, size: int) -> None:
        """Subtract bytes that were unpacked.

        Raises:
            InputError: the budget is exhausted.
        """
        self.left -= size
        if self.left < 0:
            raise InputError(
                f"{self._name}: unpacks to more than {MAX_RATIO} times its size, or than "
                f"{MAX_BYTES} bytes; unpack it yourself if that is right"
            )


def _unpack(
    name: str, data: bytes, *, discovered: bool, budget: ExpansionBudget | None = None
) -> Iterator[NamedBytes]:
    """Yield the files in an archive or a compressed file. The content decides, not the name.

    Raises:
        InputError: the file is damaged, or exceeds a limit.
    """
    if not (data.startswith((_GZIP, _ZSTANDARD, _XZ, _ZIP)) or _is_tar(data)):
        yield NamedBytes(name, data, discovered)
        return
    budget = budget or ExpansionBudget(name, len(data))
    try:
        data = _decompress(data, budget)
        if data.startswith(_ZIP):
            yield from _unpack_zip(name, data, budget)
        elif _is_tar(data):
            yield from _unpack_tar(name, data, budget)
        else:
            yield NamedBytes(name, data, discovered)
    except _unpacking_errors() as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{name}: cannot be unpacked: {reason}") from None


def _is_tar(data: bytes) -> bool:
    return data[257:262] == b"ustar"


def _unpacking_errors() -> tuple[type[Exception], ...]:
    """Return the errors that damaged data raise."""
    import gzip
    import lzma
    import tarfile
    import zipfile

    import zstandard

    return (
        *(EOFError, NotImplementedError, RuntimeError, OverflowError, ValueError),
        *(struct.error, zlib.error, lzma.LZMAError, zstandard.ZstdError),
        *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile),
    )


def _decompress(data: bytes, budget: ExpansionBudget) -> bytes:
    """Return decompressed data; unchanged if not compressed."""
    if data.startswith(_GZIP):
        import gzip

        with gzip.GzipFile(fileobj=io.BytesIO(data)) as compressed:
            return _read_budgeted(compressed, budget)
    if data.startswith(_ZSTANDARD):
        return _decompress_zstandard(data, budget)
    if data.startswith(_XZ):
        import lzma

        with lzma.LZMAFile(io.BytesIO(data)) as xz:
            return _read_budgeted(xz, budget)
    return data


def _decompress_zstandard(data: bytes, budget: ExpansionBudget) -> bytes:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=2**31)
    if 0 <= zstandard.frame_content_size(data) <= budget.left:
        try:
            # Decompressing a single frame of known size needs no second copy of the data.
            whole = decompressor.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError:
            pass
        else:
            budget.consume(len(whole))
            return whole
    return _read_budgeted(decompressor.stream_reader(data, read_across_frames=True), budget)


def _read_budgeted(reader: _Reader, budget: ExpansionBudget) -> bytes:
    whole = io.BytesIO()
    while chunk := reader.read(_CHUNK):
        budget.consume(len(chunk))
        whole.write(chunk)
    return whole.getvalue()


def _unpack_tar(name: str, data: bytes, budget: ExpansionBudget) -> Iterator[NamedBytes]:
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, member in enumerate(archive):
            if count >= MAX_MEMBERS:
                raise InputError(f"{name}: more than {MAX_MEMBERS} members")
            # A sparse file can claim any size.
            if member.issparse() or not (member.isfile() and _has_suffix(member.name)):
                continue
            file = archive.extractfile(member)
            if file is not None:
                full_name = f"{name}!{member.name}"
                yield from _unpack(full_name, file.read(), discovered=True, budget=budget)


def _unpack_zip(name: str, data: bytes, budget: ExpansionBudget) -> Iterator[NamedBytes]:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise InputError(f"{name}: more than {MAX_MEMBERS} members")
        for member in members:
            if member.is_dir() or not _has_suffix(member.filename):
                continue
            # The size in the header is not reliable.
            with archive.open(member) as file:
                content = file.read(budget.left + 1)
            budget.consume(len(content))
            full_name = f"{name}!{member.filename}"
            yield from _unpack(full_name, content, discovered=True, budget=budget)


def sha256(data: bytes | memoryview) -> Callable[[], str]:
    """Start to compute a digest, and return a function that returns it in hexadecimal.

    The digest of a large file is computed in a thread while the file is decoded.
    """
    digest = hashlib.sha256()
    if len(data) < _LARGE:
        digest.update(data)
        return digest.hexdigest
    thread = threading.Thread(target=digest.update, args=(data,))
    thread.start()

    def result() -> str:
        thread.join()
        return digest.hexdigest()

    return result
