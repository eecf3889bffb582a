"""Policies: what we know, as data over typed checks."""

from rbacguard.policy.configuration import (
    Configuration,
    Exemption,
    Selection,
    find_configuration,
    load_configuration,
)
from rbacguard.policy.engine import Finding, Outcome, PolicyResult, evaluate, fingerprint
from rbacguard.policy.model import About, Policy, Severity, Stage, load_policies

__all__ = [
    "About",
    "Configuration",
    "Exemption",
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
    "load_configuration",
    "load_policies",
]
