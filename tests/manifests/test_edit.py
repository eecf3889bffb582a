"""Adding to a file that people wrote leaves everything else as it is."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rbacguard.errors import InputError
from rbacguard.manifests.edit import append_items
from rbacguard.sources.yaml import documents

NEW = [{"name": "yes", "where": ["a", "b"]}]

TEXTS = {
    "block": "a: 1\nlist:\n- x: 1 # one\n- x: 2\n",
    "indented": "list:\n    - x: 1\n    # about two\n    - x: 2\n\n# the end\nother: 1\n",
    "comment behind": "list:\n- x: 1\n# stays behind\n",
    "no newline at the end": "list:\n- x: 1",
    "flow items": "list:\n- {x: 1, y: [1, 2]} # c\n",
    "flow": "list: [{x: 1}] # c\nother: 1\n",
    "flow with a comma": "list: [{x: 1},]\n",
    "flow on lines": "list: [\n  {x: 1},\n  {x: 2} # last\n]\nother: 1\n",
    "empty": "list: []\nother: 1\n",
    "nothing": "list:\nother: 1\n",
    "null": "list: null # none\nother: 1\n",
    "tilde": "list: ~\n",
    "missing": "other: 1\n",
    "missing, no newline": "other: 1",
    "literal": "list:\n- x: |\n    text\n    # no comment\nother: 1\n",
    "literal at the end": "list:\n- x: |\n    text\n",
    "quoted": 'list:\n- x: "a\n    b"\n',
    "windows": "# c\r\nlist:\r\n- x: 1\r\nother: 1\r\n",
    "start and end": "---\nlist:\n- x: 1\n...\n",
    "nested": "list:\n- x:\n  - y:\n    - z: 1 # deep\n- x: 2\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_items_are_added_and_nothing_else_changes(text: str) -> None:
    made = append_items(text, "list", NEW)
    (before,), (after,) = list(documents(text.encode())), list(documents(made.encode()))
    assert isinstance(before.value, dict)
    expected = {**before.value, "list": [*(before.value.get("list") or []), *NEW]}
    assert after.value == expected
    for line in text.splitlines():
        if "#" in line:
            assert line.partition("#")[2] in made
    position = 0
    for line in text.splitlines():
        if "list" not in line and "[" not in text:
            position = made.index(line, position)
    assert ("\r\n" in made) == ("\r\n" in text)


def test_adding_nothing_changes_nothing() -> None:
    assert append_items("list: [1]\n", "list", []) == "list: [1]\n"


@pytest.mark.parametrize("text", ["- 1\n", "list: {a: 1}\n", "list: text\n"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        append_items(text, "list", NEW)


texts = st.text(alphabet="ab: #-'\"[]{}\n,é", max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["p", "q"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(
    items=st.lists(st.dictionaries(st.sampled_from(["x", "y"]), values, max_size=2), max_size=3),
    flow=st.sampled_from([None, False, True]),
    indent=st.sampled_from([2, 4]),
)
def test_whatever_was_in_the_list_stays_in_it(
    items: list[dict[str, Any]], flow: bool | None, indent: int
) -> None:
    value = {"first": 1, "list": items, "last": "end"}
    text = yaml.safe_dump(value, default_flow_style=flow, indent=indent, allow_unicode=True)
    made = append_items(text, "list", NEW) if not text.startswith("{") else text
    expected = {**value, "list": [*items, *NEW]} if made != text else value
    assert yaml.safe_load(made) == expected
