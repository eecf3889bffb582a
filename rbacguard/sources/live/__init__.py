"""Input from a live cluster.

All requests are `get` and `list`, and for a cross-check also access reviews, which create nothing.
"""

from rbacguard.sources.live.connection import Connection
from rbacguard.sources.live.kubeconfig import (
    ClusterConfig,
    Impersonation,
    Overrides,
    context_names,
    find_config,
)
from rbacguard.sources.live.lists import namespace_names, object_names, read_cluster
from rbacguard.sources.live.resources import NEEDS, access_rules

__all__ = [
    "NEEDS",
    "ClusterConfig",
    "Connection",
    "Impersonation",
    "Overrides",
    "access_rules",
    "context_names",
    "find_config",
    "namespace_names",
    "object_names",
    "read_cluster",
]
