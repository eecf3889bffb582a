"""Audit who can live-migrate virtual machines before and after OpenShift Virtualization 4.19.

>>> from rbacguard import Attributes, load
>>> snapshot = load(["dump.yaml"])
>>> snapshot.authorizer.authorize(Attributes(user="alice", verb="get", resource="pods"))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbacguard.rbac import Attributes, Decision, Grant, PolicyRule, RoleRef, Subject
    from rbacguard.snapshot import Snapshot
    from rbacguard.sources import load

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
    "load",
]
_MODULES = {"Snapshot": "rbacguard.snapshot", "load": "rbacguard.sources"}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `--help` stays fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "rbacguard.rbac")), name)
