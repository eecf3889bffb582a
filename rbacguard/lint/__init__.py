"""What people wrote for Git: RBAC manifests, with what the update makes wrong in them."""

from rbacguard.lint.fixing import FixedFile, fixed, write_fixed
from rbacguard.lint.linting import LintFinding, Linting, LintRequest, lint
from rbacguard.lint.rules import RULES, LintRule

__all__ = [
    "RULES",
    "FixedFile",
    "LintFinding",
    "LintRequest",
    "LintRule",
    "Linting",
    "fixed",
    "lint",
    "write_fixed",
]
