"""Audit logs of the API server (k8s.io/apiserver pkg/apis/audit/v1/types.go)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rbacguard.errors import InputError
from rbacguard.sources.files import open_input


def read_audit_logs(paths: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the events of audit logs with one JSON object on each line.

    Args:
        paths: files, folders, archives, or `-` for standard input.

    Raises:
        InputError: a path cannot be read, or a line is not a JSON object.
    """
    for path in paths:
        for file in open_input(path):
            for number, line in enumerate(file.data.splitlines(), 1):
                if line.strip():
                    yield from _events(line, f"{file.name}, line {number}")


def _events(line: bytes, place: str) -> Iterator[Mapping[str, Any]]:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise InputError(f"{place}: expected an audit event as JSON, one on each line")
    items = event.get("items")
    if isinstance(items, list):
        # An EventList, as webhook backends receive.
        yield from (each for each in items if isinstance(each, dict))
    else:
        yield event
