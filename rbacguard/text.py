"""Safe text from untrusted names."""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069"
    r"\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return text with control characters, escapes, and direction marks as visible escapes."""
    return _HIDDEN.sub(_escape, text)


def encodable(text: str) -> str:
    """Return text that UTF-8 can encode, with undecodable bytes of file names as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(number) or (
        f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"  # noqa: PLR2004
    )
