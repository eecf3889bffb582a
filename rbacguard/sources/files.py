"""Files, folders, archives, and standard input as a stream of named bytes.

Archives and compressed files are unpacked in memory, also inside each other. Links in archives
and linked folders are not followed, and the unpacked size is limited.

In folders and archives, the suffix decides which files are read. Another file is a problem if its
content resembles a manifest, because its objects are missing then.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from rbacguard.errors import InputError
from rbacguard.text import encodable

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
_SNIFFED = 1 << 16
"""How much of a file with another suffix is examined, in bytes."""
_COLLECTED = re.compile(r"(?:^|[/!])(?:namespaces/[^/]+|cluster-scoped-resources)/")
"""Folders of `oc adm inspect` and must-gather. Logs and dumps of tools in them are normal."""
_FIRST_LINE = re.compile(
    r"(?:[ \t]*(?:#.*|---.*|%YAML.*)?\r?\n)*(?:- +|--- +)?"
    r"(?:[\"']?(?:apiVersion|kind|metadata|items|roleRef|subjects|rules|aggregationRule"
    r"|data|spec|status)[\"']? *:|\{\{)"
)
_YAML_FIELD = re.compile(
    r"^(?:- )?[\"']?(?:apiVersion|kind|items|roleRef)[\"']?[ ]*:", re.MULTILINE
)
_JSON_FIELD = re.compile(r'"(?:apiVersion|kind|items|roleRef)"\s*:')
_AUDIT_EVENT = '"audit.k8s.io/'
_USE_SUFFIX = "rename it to .yaml, .yml, .json, or .jsonl, or remove it"


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


def open_input(path: str, problems: list[str] | None = None) -> Iterator[NamedBytes]:
    """Yield the files at one path: a file, a folder, an archive, or `-` for standard input.

    Args:
        path: what to open.
        problems: a list to which a sentence is added for each file or folder that is not read
            although it might hold objects.

    Raises:
        InputError: the path does not exist, cannot be read, or exceeds a limit.
    """
    problems = [] if problems is None else problems
    try:
        if not path:
            raise InputError("the path is empty; give a file, a folder, or - for standard input")
        if path == "-":
            if sys.stdin is None or sys.stdin.isatty():
                raise InputError("-: standard input is a terminal; pipe a dump into it")
            data = _read_limited("-", sys.stdin.buffer)
            yield from _unpack("-", data, problems, discovered=False)
        elif Path(path).is_dir():
            yield from _read_folder(Path(path), problems)
        else:
            yield from _unpack(path, _read_file(path, Path(path)), problems, discovered=False)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def _read_folder(root: Path, problems: list[str]) -> Iterator[NamedBytes]:
    """Yield the files of a folder, sorted. Linked folders are not followed, which avoids loops."""
    found = False
    real_root = root.resolve()
    unread: list[str] = []

    def unreadable(error: OSError) -> None:
        unread.append(f"{error.filename}: {error.strerror or error}; correct its permissions")

    for folder, folders, files in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        # The walk reads a target inside the folder anyway, as in a mounted ConfigMap.
        unread += [
            f"{link}: a link to a folder is not followed; give its target too"
            for link in (Path(folder, name) for name in folders)
            if link.is_symlink() and not link.resolve().is_relative_to(real_root)
        ]
        for name in sorted(files):
            file = Path(folder, name)
            problem = _unread_file(file)
            if problem:
                unread.append(f"{file}: {problem}")
            elif _has_suffix(name):
                found = True
                data = _read_file(str(file), file)
                yield from _unpack(str(file), data, problems, discovered=True)
    problems += [encodable(each) for each in unread]
    if not found:
        hint = f"; first problem: {encodable(unread[0])}" if unread else ""
        raise InputError(f"{root}: no .yaml, .yml, .json or .jsonl file in this folder{hint}")


def _unread_file(file: Path) -> str | None:
    """Return why a file in a folder is not read and might hold objects; None otherwise."""
    if not file.is_file():
        if file.is_symlink() and not file.exists():
            return "a link to nothing; restore its target or remove the link"
        return f"not a regular file; {_USE_SUFFIX}" if _has_suffix(file.name) else None
    if _has_suffix(file.name) or _COLLECTED.search(file.as_posix()):
        return None
    with file.open("rb") as opened:
        return _resembles_manifest(opened.read(_SNIFFED))


def _resembles_manifest(data: bytes) -> str | None:
    """Return why a file with another suffix might hold objects; None if it is something else.

    Args:
        data: the first bytes of the file.
    """
    if data.startswith((_XZ, _ZIP)) or _is_tar(data):
        return "an archive inside is not read; give it by itself"
    if data.startswith((_GZIP, _ZSTANDARD)):
        data = _first_bytes(data)
        if _is_tar(data):
            return "an archive inside is not read; give it by itself"
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = data.decode(encoding, "replace")
    start = text.lstrip()
    if start.startswith(("{", "[")) and not start.startswith("{{"):
        # Logs of the API server have other suffixes, and hold no objects.
        is_manifest = _JSON_FIELD.search(text) is not None and _AUDIT_EVENT not in text
    else:
        # A page or a script that only shows a manifest begins with other text.
        is_manifest = bool(_FIRST_LINE.match(text) and _YAML_FIELD.search(text))
    return f"a manifest with an unknown suffix; {_USE_SUFFIX}" if is_manifest else None


def _first_bytes(data: bytes) -> bytes:
    """Return the first bytes of compressed data; none if they cannot be unpacked."""
    import zstandard

    try:
        if data.startswith(_GZIP):
            return zlib.decompressobj(wbits=31).decompress(data, _SNIFFED)
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return reader.read(_SNIFFED)
    except (zlib.error, zstandard.ZstdError):
        return b""


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
    name: str,
    data: bytes,
    problems: list[str],
    *,
    discovered: bool,
    budget: ExpansionBudget | None = None,
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
            yield from _unpack_zip(name, data, problems, budget)
        elif _is_tar(data):
            yield from _unpack_tar(name, data, problems, budget)
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


def _unpack_tar(
    name: str, data: bytes, problems: list[str], budget: ExpansionBudget
) -> Iterator[NamedBytes]:
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, member in enumerate(archive):
            if count >= MAX_MEMBERS:
                raise InputError(f"{name}: more than {MAX_MEMBERS} members")
            full_name = f"{name}!{member.name}"
            # A sparse file can claim any size.
            if member.issparse() or not member.isfile():
                if _has_suffix(member.name) and not member.isdir():
                    problem = "a link or a special file in an archive is not read; unpack it"
                    problems.append(encodable(f"{full_name}: {problem}"))
                continue
            file = archive.extractfile(member)
            if file is None:
                continue
            if _has_suffix(member.name):
                yield from _unpack(full_name, file.read(), problems, discovered=True, budget=budget)
            else:
                _note_member(full_name, file, problems)


def _unpack_zip(
    name: str, data: bytes, problems: list[str], budget: ExpansionBudget
) -> Iterator[NamedBytes]:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise InputError(f"{name}: more than {MAX_MEMBERS} members")
        for member in members:
            if member.is_dir():
                continue
            full_name = f"{name}!{member.filename}"
            if not _has_suffix(member.filename):
                with archive.open(member) as file:
                    _note_member(full_name, file, problems)
                continue
            # The size in the header is not reliable.
            with archive.open(member) as file:
                content = file.read(budget.left + 1)
            budget.consume(len(content))
            yield from _unpack(full_name, content, problems, discovered=True, budget=budget)


def _note_member(name: str, file: _Reader, problems: list[str]) -> None:
    """Add a problem if a member with another suffix might hold objects."""
    problem = None if _COLLECTED.search(name) else _resembles_manifest(file.read(_SNIFFED))
    if problem:
        problems.append(encodable(f"{name}: {problem}"))


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
