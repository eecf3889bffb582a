"""Audit who may live-migrate virtual machines before and after OpenShift Virtualization 4.19.

>>> from rbacguard import Attributes, Snapshot
>>> snapshot = Snapshot.load(["dump.yaml"])
>>> snapshot.authorizer.authorize(Attributes(user="alice", verb="get", resource="pods"))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that `--help` stays fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "rbacguard.snapshot" if name == "Snapshot" else "rbacguard.rbac"
    return getattr(import_module(module), name)
