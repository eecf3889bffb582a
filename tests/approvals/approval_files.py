"""Approvals files for tests."""

from __future__ import annotations

import datetime
from typing import Any

from conftest import ROOT, objects, user

from rbacguard import Snapshot
from rbacguard.approvals.model import MigrationAccess, parse_approvals
from rbacguard.sources import from_objects

TODAY = datetime.date(2026, 11, 23)
APPROVALS = str(ROOT / "examples" / "approvals.yaml")


def access(*entries: dict[str, Any], **more: Any) -> MigrationAccess:
    value = {"apiVersion": "rbacguard.io/v1alpha1", "kind": "MigrationAccess"}
    return parse_approvals({**value, "approvals": list(entries), **more})


def entry(who: dict[str, str], **more: Any) -> dict[str, Any]:
    subject = {key: value for key, value in who.items() if key != "apiGroup"}
    scope = {} if {"clusterWide", "namespaceSelector"} & more.keys() else {"namespaces": ["web"]}
    return {"subject": subject, "approved": True, **scope, **more}


def labelled(*names: str) -> Snapshot:
    items = objects("D")
    for item in items:
        if item["kind"] == "Namespace" and item["metadata"]["name"] in names:
            item["metadata"]["labels"] = {"team": "vm"}
    return from_objects(items)


SELECTED = entry(user("carol"), namespaceSelector={"matchLabels": {"team": "vm"}})
