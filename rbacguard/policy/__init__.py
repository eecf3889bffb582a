"""Policies: data in policies/*.yaml that assigns severity and texts to what checks find.

`configuration` is not imported here, because it needs pydantic, which takes long to load.
"""

from rbacguard.policy.context import Context, Workloads
from rbacguard.policy.engine import Finding, Outcome, PolicyResult, evaluate, fingerprint
from rbacguard.policy.loading import load_policies
from rbacguard.policy.model import Category, Policy, Severity, Stage
from rbacguard.policy.selection import Selection, find_configuration

__all__ = [
    "Category",
    "Context",
    "Finding",
    "Outcome",
    "Policy",
    "PolicyResult",
    "Selection",
    "Severity",
    "Stage",
    "Workloads",
    "evaluate",
    "find_configuration",
    "fingerprint",
    "load_policies",
]
