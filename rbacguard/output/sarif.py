"""SARIF 2.1.0, as GitHub's code scanning takes it (docs.github.com, SARIF support)."""

from __future__ import annotations

import json
from typing import Any

from rbacguard import __version__
from rbacguard.output import wire
from rbacguard.output.results import Result, cases, results

_LEVELS = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "note",
}
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "1.0"}
_MOST = 25_000
"""The most results that code scanning takes in one run."""


def to_sarif(report: wire.Report) -> str:
    """Return a report as SARIF.

    Raises:
        FormatError: the report consists of no results.
    """
    found = results(report)
    rules = {case.rule.id: case.rule for case in cases(report)}
    order = {key: index for index, key in enumerate(rules)}
    notes = [_note(each.message) for each in found if each.rule.id == "incomplete-input"]
    if len(found) > _MOST:
        notes.append(_note(f"{len(found) - _MOST} results are left out: {_MOST} are taken"))
    run = {
        "tool": {
            "driver": {
                "name": "rbacguard",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(rule) for rule in rules.values()],
            }
        },
        "automationDetails": {"id": f"rbacguard/{report.made_by}/"},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, order) for each in found[:_MOST]],
    }
    value = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


def _note(text: str) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": text}}


def _rule(rule: wire.PolicyModel) -> dict[str, Any]:
    why = rule.rationale or rule.title
    what = f" {rule.remediation}" if rule.remediation else ""
    commands = "".join(f"\n\n    {command}" for command in rule.commands)
    return {
        "id": rule.id,
        "name": _name(rule.id),
        "shortDescription": {"text": _sentence(rule.title)},
        "fullDescription": {"text": _sentence(why)},
        "help": {
            "text": _sentence(why) + what,
            "markdown": f"{_sentence(why)}\n\n**What to do:**{what}{commands}",
        },
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {
            "tags": ["security", "rbac", "kubernetes"],
            "precision": "very-high",
            "security-severity": _SCORES[rule.severity],
        },
    }


def _name(rule_id: str) -> str:
    """Return a Pascal-case name, which may not be the id itself, nor hold words of one letter."""
    words = [word for word in rule_id.split("-") if len(word) > 1]
    return "".join(word.title() for word in words) + ("Check" if len(words) == 1 else "")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _result(each: Result, order: dict[str, int]) -> dict[str, Any]:
    evidence = "".join(f"\n{chained}" for chained in each.chains[:10])
    return {
        "ruleId": each.rule.id,
        "ruleIndex": order[each.rule.id],
        "level": _LEVELS[each.severity],
        "message": {"text": _sentence(each.message) + evidence},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": each.file},
                    "region": {"startLine": each.line, "startColumn": each.column},
                },
                "logicalLocations": [{"fullyQualifiedName": each.about, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"rbacguard/v1": each.fingerprint},
        "suppressions": [{"kind": "external", "justification": each.suppressed}]
        if each.suppressed
        else [],
    }
