"""The selection of policies and rules, and the search for the configuration file."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec import Struct

from rbacguard.errors import InputError

FILE = "rbacguard.toml"
TABLE = "rbacguard"


def find_configuration(start: Path) -> Path | None:
    """Return the nearest configuration file in a directory or its parents in the repository."""
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
        # The user did not name this file, so it is not an error.
        return False


class Selection(Struct, frozen=True):
    """Patterns for IDs, severities, stages, and types of checks.

    Attributes:
        select: what is evaluated; empty for everything.
        ignore: what is not evaluated, even if it is selected.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def includes(self, selectors: Iterable[str]) -> bool:
        """Return whether a policy or rule with these selectors is evaluated."""
        names = tuple(selectors)

        def matches(patterns: tuple[str, ...]) -> bool:
            return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

        return (not self.select or matches(self.select)) and not matches(self.ignore)

    def check_patterns(self, selectors: Iterable[Iterable[str]]) -> None:
        """Check that each pattern matches something.

        Args:
            selectors: the selectors of each policy and rule.

        Raises:
            InputError: a pattern matches nothing; the message names the closest selector.
        """
        import difflib

        known = sorted({name for names in selectors for name in names})
        for pattern in (*self.select, *self.ignore):
            if not any(fnmatchcase(name, pattern) for name in known):
                near = difflib.get_close_matches(pattern, known, 1)
                hint = f"did you mean {near[0]}?" if near else "list them with 'rbacguard rules'"
                raise InputError(f"{pattern!r} matches no ID, severity, stage, or check; {hint}")
