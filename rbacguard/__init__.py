"""Audit who may live-migrate virtual machines before and after OpenShift Virtualization 4.19.

>>> from rbacguard import Attributes, Snapshot
>>> Snapshot.load(["dump.yaml"]).authorizer.authorize(Attributes(user="alice", verb="get", ...))
"""

from rbacguard.rbac import Attributes, Decision, Grant, PolicyRule, RoleRef, Subject
from rbacguard.snapshot import Snapshot

__version__ = "0.1.0"

__all__ = [
    "Attributes",
    "Decision",
    "Grant",
    "PolicyRule",
    "RoleRef",
    "Snapshot",
    "Subject",
    "__version__",
]
