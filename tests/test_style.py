"""The terms that docs/style-guide.md rejects do not occur in the texts that users read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

GUIDE = ROOT / "docs" / "style-guide.md"
# Add the patterns of further texts here when they follow the guide.
CHECKED = ("policies/**/*.yaml",)
ALLOWED = re.compile(r"virtual machines?|machine config", re.IGNORECASE)


def rejected_terms() -> list[str]:
    table = GUIDE.read_text("utf-8").partition("## Enforced terms")[2]
    rows = re.findall(r"^\| (.*) \| (`.*`) \|$", table, re.MULTILINE)
    return [term for _, terms in rows for term in re.findall(r"`([^`]+)`", terms)]


def violations(text: str) -> list[str]:
    """Return the rejected terms in a text, with inflections of single words."""
    text = re.sub(r"\s+", " ", ALLOWED.sub("", text))
    found = []
    for term in rejected_terms():
        ending = r"(?:s|ed|ing)?" if term.isalpha() and len(term) > 3 else ""
        boundary = r"\b" if term[-1].isalpha() else ""
        found += re.findall(rf"(?<![\w.-]){re.escape(term)}{ending}{boundary}", text, re.IGNORECASE)
    return found


def test_the_guide_has_a_table_of_terms() -> None:
    assert {"machine", "hand on", "told", "whom", "anew", "mind:"} <= set(rejected_terms())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The machine migrates.", ["machine"]),
        ("Virtual machines of a MachineConfigPool, virtual machine", []),
        ("Mind: they hand\n  on what is mended", ["hand on", "mended", "Mind:"]),
        ("The theme is clustered and sheds light", []),
        ("Nobody asked him", ["him", "Nobody", "asked"]),
    ],
)
def test_violations_are_found(text: str, expected: list[str]) -> None:
    assert violations(text) == expected


@pytest.mark.parametrize(
    "path",
    sorted({path for pattern in CHECKED for path in ROOT.glob(pattern)}),
    ids=lambda path: path.name,
)
def test_texts_use_the_terms_of_the_guide(path: Path) -> None:
    assert violations(path.read_text("utf-8")) == []
