"""Pages of text: what goes to a pipe is what rich would lay out without a width or colours."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from strategies import examples

from rbacguard.output.formats import Options
from rbacguard.output.page import Node, Page
from rbacguard.output.terminal import TerminalPage

TEXTS = st.one_of(
    st.sampled_from(["", "admin", "kubevirt.io:migrate", "[bold]x[/]", ":smile:", "- a", "high"]),
    st.text(max_size=12),
)
NAMES = TEXTS.filter(bool)
TREES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(NAMES, st.just({}), max_size=3),
    lambda below: st.dictionaries(NAMES, below, max_size=3),
    max_leaves=12,
)
"""Names and what hangs from them; a branch without a name is in no tree of ours."""


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows; a column with nothing in it is in no table of ours."""
    columns = draw(st.lists(st.text("ABC 字", min_size=1, max_size=6), min_size=1, max_size=4))
    row = st.lists(TEXTS, min_size=len(columns), max_size=len(columns))
    return columns, draw(st.lists(row, max_size=6))


def _node(tree: dict[str, Any]) -> Node:
    node = Node()
    for text, below in tree.items():
        node.branches[text] = _node(below)
    return node


@examples(100)
@given(TEXTS, st.integers(0, 12), TREES, tables())
@example(
    "a\x1b[31m\n", 2, {"字": {"b": {"c": {}}, "d": {}}}, (["A", "字"], [["ü", ""], ["字字", "x"]])
)
def test_a_pipe_gets_what_rich_would_lay_out(
    text: str, indent: int, tree: dict[str, Any], table: tuple[list[str], list[list[str]]]
) -> None:
    pages = Page(Options(limit=1)), TerminalPage(Options(limit=1))
    for page in pages:
        page.line("first")
        page.line(text, indent=indent)
        page.command(text, indent)
        page.heading(text)
        page.tree(_node(tree), indent)
        page.table(*table)
        page.line("last")
    plain, rich = (page.text() for page in pages)
    assert plain == rich


def test_a_chain_of_any_depth_is_laid_out() -> None:
    root = node = Node()
    for number in range(3_000):
        node = node.branch(str(number))
    page = Page(Options())
    page.tree(root)
    assert page.text().splitlines()[-1].endswith("└── 2999")
