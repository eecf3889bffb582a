"""Label selectors (kubernetes apimachinery, pkg/labels/selector.go and meta/v1/helpers.go)."""

from __future__ import annotations

from collections.abc import Mapping

from rbacguard.rbac.types import LabelSelector, LabelSelectorRequirement

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def requirement_matches(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    """Return whether labels meet a requirement (Requirement.Matches). No label meets NotIn."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case _:
            return value is None


def selector_matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether a selector selects an object with these labels.

    An empty selector selects everything.
    """
    return selector.match_labels.items() <= labels.items() and all(
        requirement_matches(requirement, labels) for requirement in selector.match_expressions
    )


def selector_error(selector: LabelSelector) -> str | None:
    """Return why the API server does not evaluate a selector (LabelSelectorAsSelector), or None."""
    for requirement in selector.match_expressions:
        if requirement.operator not in OPERATORS:
            return f"operator {requirement.operator!r}, expected one of {', '.join(OPERATORS)}"
        needs_values = requirement.operator in ("In", "NotIn")
        if needs_values != bool(requirement.values):
            expected = "at least one value" if needs_values else "none"
            found = len(requirement.values)
            return f"operator {requirement.operator} with {found} values: {expected}"
    return None
