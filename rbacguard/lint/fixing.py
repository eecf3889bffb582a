"""Mends what is safe to mend; every other byte of a file stays as it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from rbacguard.errors import OutputError
from rbacguard.lint.linting import Linting, LintRequest, lint_repository
from rbacguard.lint.reading import read_file
from rbacguard.lint.rules import Edit
from rbacguard.sources.files import NamedBytes
from rbacguard.writing import write_file

_BOM = b"\xef\xbb\xbf"
_PASSES = 5


class FixedFile(Struct, frozen=True):
    """A file, as it was and as it is to be.

    Attributes:
        name: its path.
        before: its bytes.
        after: what is to be written.
        fixes: how many findings are mended.
    """

    name: str
    before: bytes
    after: bytes
    fixes: int

    @property
    def diff(self) -> str:
        """The change, as a unified diff."""
        old, new = (
            text.decode("utf-8-sig").splitlines(keepends=True) for text in (self.before, self.after)
        )
        name = self.name.lstrip("/")
        lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )


def fixed(linting: Linting, request: LintRequest) -> tuple[FixedFile, ...]:
    """Return the files that can be mended, mended; nothing is written.

    What one fix brings to light is mended too. A file that would not read as before is left alone.
    """
    found = []
    for name in dict.fromkeys(each.file.name for each in linting.findings if each.edits):
        # Standard input and members of archives cannot be written to.
        path = Path(name)
        if name == "-" or path.is_symlink() or not path.is_file():
            continue
        before = path.read_bytes()
        first = next(each.file.data for each in linting.findings if each.file.name == name)
        if first != before:
            # Packed, or changed since it was read.
            continue
        after, fixes = _mended(name, before, request)
        if after != before:
            found.append(FixedFile(name, before, after, fixes))
    return tuple(found)


def _mended(name: str, data: bytes, request: LintRequest) -> tuple[bytes, int]:
    fixes = 0
    for _ in range(_PASSES):
        repository = read_file(NamedBytes(name, data, discovered=True))
        linting = lint_repository(repository, request)
        edits = [each.edits for each in linting.findings if each.edits]
        if not edits:
            break
        applied = _apply(linting.findings[0].file.text, edits)
        new = (_BOM if data.startswith(_BOM) else b"") + applied[0].encode()
        read = read_file(NamedBytes(name, new, discovered=True))
        if read.unreadable or len(read.manifests) != len(repository.manifests):
            break
        data, fixes = new, fixes + applied[1]
    return data, fixes


def _apply(text: str, fixes: Iterable[tuple[Edit, ...]]) -> tuple[str, int]:
    """Return the text with all fixes that do not overlap, and how many those are."""
    chosen: list[Edit] = []
    count = 0
    for edits in sorted(set(fixes)):
        if all(edit.end <= one.start or edit.start >= one.end for edit in edits for one in chosen):
            chosen += edits
            count += 1
    for edit in sorted(chosen, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text, count


def write_fixed(files: Iterable[FixedFile]) -> None:
    """Write mended files, each whole or not at all, with the permissions that they had.

    Raises:
        OutputError: one changed since it was read, or cannot be written; those before it are
            written.
    """
    for each in files:
        path = Path(each.name)
        try:
            if path.is_symlink() or path.read_bytes() != each.before:
                raise OutputError(f"{each.name}: changed since it was read; run again")
        except OSError as error:
            raise OutputError(f"{each.name}: {error.strerror or error}") from None
        write_file(path, each.after, force=True)
