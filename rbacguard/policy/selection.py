"""Which policies are asked, and where the configuration stands that says so."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec import Struct

from rbacguard.errors import InputError

FILE = "rbacguard.toml"
TABLE = "rbacguard"


def find_configuration(start: Path) -> Path | None:
    """Return the nearest configuration, from a folder upwards to the root of its repository."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
        project = folder / "pyproject.toml"
        if project.is_file() and _has_table(project):
            return project
        if (folder / ".git").exists():
            return None
    return None


def _has_table(project: Path) -> bool:
    try:
        return f"[tool.{TABLE}" in project.read_text("utf-8", "replace")
    except OSError:
        # Somebody else's file, which was not asked for.
        return False


class Selection(Struct, frozen=True):
    """Which policies or rules are asked: by id (a pattern), severity, stage or kind of check.

    Attributes:
        select: only these; empty for all.
        ignore: not these, whatever is selected.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def wants(self, names: Iterable[str]) -> bool:
        """Whether what goes by these names is asked; the first is its id."""
        known = tuple(names)

        def named(patterns: tuple[str, ...]) -> bool:
            return any(fnmatchcase(name, pattern) for name in known for pattern in patterns)

        return (not self.select or named(self.select)) and not named(self.ignore)

    def refuse_unknown(self, all_names: Iterable[Iterable[str]]) -> None:
        """Refuse what names nothing, which would silently select or ignore nothing.

        Raises:
            InputError: with the closest that there is.
        """
        import difflib

        known = sorted({name for names in all_names for name in names})
        for pattern in (*self.select, *self.ignore):
            if not any(fnmatchcase(name, pattern) for name in known):
                near = difflib.get_close_matches(pattern, known, 1)
                hint = f"; meant may be {near[0]}" if near else "; 'rbacguard rules' lists them"
                raise InputError(f"{pattern!r} names no policy, severity, stage or check{hint}")
