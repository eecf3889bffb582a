"""A page fitted into a window, or in colour; rich markup in names is never read."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from rbacguard.output.formats import Options
from rbacguard.output.page import COLOURS, Node, Page
from rbacguard.text import visible

_ENDLESS = 100_000
"""Columns of a page without a width."""


class TerminalPage(Page):
    """A page whose lines are broken at the width of a window, where there is one."""

    def __init__(self, options: Options) -> None:
        """Start an empty page."""
        super().__init__(options)
        self._buffer = io.StringIO()
        self._console = Console(
            file=self._buffer,
            width=options.width or _ENDLESS,
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
            return
        hang = 2 if text.startswith("- ") else 0
        lines = item.wrap(self._console, max(self.options.width - indent - hang, 20))
        for number, each in enumerate(lines):
            space = " " * (indent + (hang if number else 0))
            self._put(Text(space).append(each))

    def command(self, text: str, indent: int = 0) -> None:
        """Add a command to paste, which is never broken into lines."""
        self._put(Text(" " * indent).append(f"$ {visible(text)}", "bold"))

    def _put(self, text: Text) -> None:
        """Add a line as it is."""
        if self.options.colour:
            self._console.print(text, soft_wrap=True)
        else:
            self._buffer.write(f"{text.plain}\n")

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table of harmless text."""
        table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 3, 0, 0))
        for column in columns:
            table.add_column(column, header_style="bold", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
        self._console.print(table)

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
        self._lines = self._buffer.getvalue().split("\n")
        return super().text()
