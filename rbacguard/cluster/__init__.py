"""A live cluster: who to be, how to ask, and what comes back as a `Reading`.

Only `get` and `list` are ever asked, and, where a cross-check is wanted, access reviews, which
create nothing.
"""

from rbacguard.cluster.connection import Connection
from rbacguard.cluster.kubeconfig import (
    Access,
    Impersonation,
    Overrides,
    context_names,
    find_access,
)
from rbacguard.cluster.reading import namespace_names, object_names, read_cluster
from rbacguard.cluster.resources import NEEDS, access_rules

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
