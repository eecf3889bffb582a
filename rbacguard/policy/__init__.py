"""Policies: what we know, as data over typed checks.

The configuration has a module of its own: most have none, and pydantic, which reads it, takes long
to load.
"""

from rbacguard.policy.engine import Finding, Outcome, PolicyResult, evaluate, fingerprint
from rbacguard.policy.loading import load_policies
from rbacguard.policy.model import About, Policy, Severity, Stage
from rbacguard.policy.selection import Selection, find_configuration

__all__ = [
    "About",
    "Finding",
    "Outcome",
    "Policy",
    "PolicyResult",
    "Selection",
    "Severity",
    "Stage",
    "evaluate",
    "find_configuration",
    "fingerprint",
    "load_policies",
]
