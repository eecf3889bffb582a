"""A live cluster: who to be, how to ask, and what comes back as a `Reading`.

Only `get` and `list` are ever asked, and, where a cross-check is wanted, access reviews, which
create nothing.
"""

from rbacguard.sources.live.connection import Connection
from rbacguard.sources.live.kubeconfig import (
    Access,
    Impersonation,
    Overrides,
    context_names,
    find_access,
)
from rbacguard.sources.live.lists import namespace_names, object_names, read_cluster
from rbacguard.sources.live.resources import NEEDS, access_rules

__all__ = [
    "NEEDS",
    "Access",
    "Connection",
    "Impersonation",
    "Overrides",
    "access_rules",
    "context_names",
    "find_access",
    "namespace_names",
    "object_names",
    "read_cluster",
]
