"""What is packed: gzip, zstandard, xz, tar and zip, one in another too.

Nothing is unpacked to disk, links inside archives are passed over, and what is unpacked is bounded.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from rbacguard.errors import InputError
from rbacguard.sources.files import (
    CHUNK,
    GZIP,
    MAX_BYTES,
    PACKED,
    SUFFIXES,
    XZ,
    ZIP,
    ZSTANDARD,
    NamedBytes,
    Reader,
    is_tar,
)

MAX_RATIO = 200
"""How many times its own size it may unpack to; large dumps make 16 (gzip -1) to 49 (zstd -19)."""
ALWAYS = 64 * 1024**2
"""What it may unpack to whatever its size, in bytes."""
MAX_MEMBERS = 500_000
"""The most members that an archive may have."""


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


def expand(
    name: str, data: bytes, *, loose: bool, room: _Room | None = None
) -> Iterator[NamedBytes]:
    """Yield what is in an archive or a packed file, by content, not by name.

    Raises:
        InputError: it is damaged, or unpacks to more than is allowed.
    """
    room = room or _Room(name, len(data))
    try:
        data = _unpacked(data, room)
        if data.startswith(ZIP):
            yield from _zip(name, data, room)
        elif is_tar(data):
            yield from _tar(name, data, room)
        else:
            yield NamedBytes(name, data, loose)
    except _damage() as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{name}: cannot be unpacked: {reason}") from None


def _damage() -> tuple[type[Exception], ...]:
    """Return what damaged data raise; who unpacks loads what he needs, which takes its time."""
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


def _unpacked(data: bytes, room: _Room) -> bytes:
    """Return what is in a packed file, or what is none as it is."""
    if data.startswith(GZIP):
        import gzip

        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            return _bounded(packed, room)
    if data.startswith(ZSTANDARD):
        return _unpacked_zstandard(data, room)
    if data.startswith(XZ):
        import lzma

        with lzma.LZMAFile(io.BytesIO(data)) as xz:
            return _bounded(xz, room)
    return data


def _unpacked_zstandard(data: bytes, room: _Room) -> bytes:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=2**31)
    if 0 <= zstandard.frame_content_size(data) <= room.left:
        try:
            # One frame that says how large it is needs no more room than that.
            whole = decompressor.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError:
            pass
        else:
            room.take(len(whole))
            return whole
    return _bounded(decompressor.stream_reader(data, read_across_frames=True), room)


def _bounded(reader: Reader, room: _Room) -> bytes:
    whole = io.BytesIO()
    while chunk := reader.read(CHUNK):
        room.take(len(chunk))
        whole.write(chunk)
    return whole.getvalue()


def _wanted(member: str) -> bool:
    lower = member.lower()
    for suffix in PACKED:
        lower = lower.removesuffix(suffix)
    return lower.endswith(SUFFIXES)


def _tar(name: str, data: bytes, room: _Room) -> Iterator[NamedBytes]:
    import tarfile

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
    import zipfile

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
    yield from expand(f"{archive}!{member}", data, loose=True, room=room)
