"""Policies: what we know, as data over typed checks."""

from rbacguard.policy.engine import Finding, Outcome, PolicyResult, evaluate
from rbacguard.policy.model import Policy, Severity, Stage, load_policies

__all__ = [
    "Finding",
    "Outcome",
    "Policy",
    "PolicyResult",
    "Severity",
    "Stage",
    "evaluate",
    "load_policies",
]
