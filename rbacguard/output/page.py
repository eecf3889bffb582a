"""A page of text: every text on it is made harmless, and rich markup is never read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from rbacguard.output.formats import Options
from rbacguard.visible import visible

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
_PIPE_WIDTH = 100_000


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
        self._buffer = io.StringIO()
        self._console = Console(
            file=self._buffer,
            width=options.width or _PIPE_WIDTH,
            force_terminal=options.colour,
            no_color=not options.colour,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )

    def line(self, text: str = "", style: str = "", indent: int = 0) -> None:
        """Add a line, `indent` columns in; what does not fit goes on below, indented likewise."""
        item = Text(visible(text), style=style)
        if self.options.width is None:
            self._put(Text(" " * indent).append(item))
        else:
            hang = 2 if text.startswith("- ") else 0
            lines = item.wrap(self._console, max(self.options.width - indent - hang, 20))
            for number, each in enumerate(lines):
                space = " " * (indent + (hang if number else 0))
                self._put(Text(space).append(each))

    def _put(self, text: Text) -> None:
        """Add a line as it is."""
        if self.options.colour:
            self._console.print(text, soft_wrap=True)
        else:
            self._buffer.write(f"{text.plain}\n")

    def command(self, text: str, indent: int = 0) -> None:
        """Add a command to paste, which is never broken into lines."""
        padded = Text(" " * indent).append(f"$ {visible(text)}", "bold")
        self._put(padded)

    def heading(self, text: str) -> None:
        """Add a heading."""
        self.line()
        self.line(text.upper(), "bold")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table; a cell that names a severity, a change or a result has its colour."""
        table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 3, 0, 0))
        for column in columns:
            table.add_column(column, header_style="bold", overflow="fold")
        rows = list(rows)
        for row in rows[: self.options.rows]:
            table.add_row(*(Text(visible(cell), style=COLOURS.get(cell, "")) for cell in row))
        self._console.print(table)
        if len(rows) > self.options.rows:
            self.line(f"… and {len(rows) - self.options.rows} more; -v shows all", "yellow")

    def tree(self, root: Node, indent: int = 0) -> None:
        """Add the branches of a node, each with what hangs from it."""
        for text, node in root.branches.items():
            tree = Tree(Text(visible(text)), guide_style="dim")
            below = [(tree, node)]
            while below:
                upper, found = below.pop()
                below += [
                    (upper.add(Text(visible(key))), each) for key, each in found.branches.items()
                ]
            self._console.print(
                Padding(tree, (0, 0, 0, indent), expand=False),
                soft_wrap=self.options.width is None,
            )

    def text(self) -> str:
        """Return the page."""
        lines = [line.rstrip() for line in self._buffer.getvalue().split("\n")]
        return "\n".join(lines).strip("\n") + "\n"
