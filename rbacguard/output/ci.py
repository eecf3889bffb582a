"""Annotations for GitHub's workflows and GitLab's code quality report."""

from __future__ import annotations

import json

from rbacguard.output import wire
from rbacguard.output.results import Result, counting, results

_GITHUB = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "notice",
    "info": "notice",
}
_GITLAB = {
    "critical": "blocker",
    "high": "critical",
    "medium": "major",
    "low": "minor",
    "info": "info",
}


def to_github(report: wire.Report) -> str:
    """Return workflow commands, worst first, since only ten of each level are shown in a step.

    Raises:
        FormatError: the report consists of no results.
    """
    return "".join(_annotation(each) for each in counting(results(report)))


def _annotation(each: Result) -> str:
    fields = {
        "file": each.file,
        "line": str(each.line),
        "col": str(each.column),
        "title": f"{each.rule.title} [{each.rule.id}]",
    }
    properties = ",".join(f"{key}={_property(value)}" for key, value in fields.items())
    return f"::{_GITHUB[each.severity]} {properties}::{_data(each.message)}\n"


def _data(text: str) -> str:
    """Escape as actions/toolkit's command.ts does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def to_gitlab(report: wire.Report) -> str:
    """Return a report in the form of GitLab's code quality.

    Raises:
        FormatError: the report consists of no results.
    """
    found = {
        f"{each.rule.id}-{each.fingerprint}": {
            "description": each.message,
            "check_name": each.rule.id,
            "fingerprint": f"{each.rule.id}-{each.fingerprint}",
            "severity": _GITLAB[each.severity],
            "location": {"path": each.file, "lines": {"begin": each.line}},
        }
        for each in counting(results(report))
    }
    return json.dumps(list(found.values()), indent=2, ensure_ascii=True) + "\n"
