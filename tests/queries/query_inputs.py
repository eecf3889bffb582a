"""Clusters for tests of queries."""

from __future__ import annotations

from typing import Any

from conftest import account, binding, group, objects, user

from rbacguard import Snapshot
from rbacguard.sources import from_objects


def members(name: str, *users: str) -> dict[str, Any]:
    return {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": name},
        "users": list(users),
    }


MORE = [
    members("ops", "gina"),
    members("unbound", "gina"),
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "idle", "namespace": "web"},
    },
    binding("both", "view", user("twin"), group("twin"), namespace="web"),
    binding("bots", "view", account("bot", "ci"), account("bot", "web"), namespace="web"),
]


def cluster(*without: str, more: Any = MORE) -> Snapshot:
    kept = [each for each in objects("A") if each["kind"] not in without]
    return from_objects([*kept, *more])
