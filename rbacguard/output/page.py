"""A page of text: every text on it is made harmless.

For a pipe or a file, lines as long as they are, without colour; `terminal` fits it into a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rbacguard.output.formats import Options
from rbacguard.text import visible

COLOURS = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "info": "dim",
    "lost": "red",
    "gained": "green",
    "kept": "",
    "error": "red",
    "warning": "yellow",
    "failed": "red",
    "passed": "green",
    "unknown": "yellow",
}
_BETWEEN = " " * 3
_BELOW = {"├── ": "│   ", "└── ": "    "}
"""By how a branch begins, what stands before those below it."""


class Node:
    """A tree of text; a branch that is asked for again is the same branch."""

    def __init__(self) -> None:
        """Start without branches."""
        self.branches: dict[str, Node] = {}

    def branch(self, text: str) -> Node:
        """Return the branch of that text."""
        return self.branches.setdefault(text, Node())


class Page:
    """Collects lines and tables, in the order in which they are to be read."""

    def __init__(self, options: Options) -> None:
        """Start an empty page."""
        self.options = options
        self._lines: list[str] = []

    def line(self, text: str = "", style: str = "", indent: int = 0) -> None:
        """Add a line, `indent` columns in; its style is seen in colour alone."""
        del style
        self._lines.append(" " * indent + visible(text))

    def command(self, text: str, indent: int = 0) -> None:
        """Add a command to paste, which is never broken into lines."""
        self._lines.append(f"{' ' * indent}$ {visible(text)}")

    def heading(self, text: str) -> None:
        """Add a heading."""
        self.line()
        self.line(text.upper(), "bold")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table; a cell that names a severity, a change or a result has its colour."""
        rows = list(rows)
        self._table(columns, [[visible(cell) for cell in row] for row in rows[: self.options.rows]])
        if len(rows) > self.options.rows:
            self.line(f"… and {len(rows) - self.options.rows} more; -v shows all", "yellow")

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table of harmless text."""
        rows = [columns, *rows]
        widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
        self._lines += [
            _BETWEEN.join(
                cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
            )
            for row in rows
        ]

    def tree(self, root: Node, indent: int = 0) -> None:
        """Add the branches of a node, each with what hangs from it."""
        for text, node in root.branches.items():
            self._lines.append(" " * indent + visible(text))
            self._lines += _hanging(node, " " * indent)

    def text(self) -> str:
        """Return the page."""
        return "\n".join(line.rstrip() for line in self._lines).strip("\n") + "\n"


def _width(text: str) -> int:
    """Return how many columns a terminal takes for a text."""
    if text.isascii():
        return len(text)
    # Imported here, as what goes to a pipe seldom needs it.
    from rich.cells import cell_len

    return cell_len(text)


def _hanging(node: Node, indent: str) -> Iterator[str]:
    """Yield the lines of what hangs from a node."""
    waiting = _branches(node, indent)
    while waiting:
        before, corner, text, each = waiting.pop()
        yield before + corner + visible(text)
        waiting += _branches(each, before + _BELOW[corner])


def _branches(node: Node, before: str) -> list[tuple[str, str, str, Node]]:
    """Return the branches of a node, the last first, and what stands before each on its line."""
    corners = ["└── ", *["├── "] * len(node.branches)]
    return [
        (before, corner, text, each)
        for corner, (text, each) in zip(corners, reversed(node.branches.items()), strict=False)
    ]
