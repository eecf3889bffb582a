"""Advice to revoke access says what else goes, and does not lock administrators out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import binding, role, rule, user, write_dump
from fault_inputs import (
    APPROVED,
    MIGRATE,
    MIGRATE_RULES,
    TODAY,
    Object,
    approvals,
    cluster,
    rbacguard,
)

OTHER_HOLDERS = (
    "platform-vm-operators",
    "mtv-controller",
    "openshift-gitops-argocd",
    "runner",
)
"""Bindings of other subjects that hold the permission without an approval."""


def advice(folder: Path, subject: str, items: list[Object]) -> str:
    """Return what explain prints from the first line on that is about revoking access."""
    path = write_dump(folder / "cluster.json", items)
    done = rbacguard(folder, "explain", subject, "-f", path)
    assert done.returncode == 0, done.stderr
    found = re.search(r"revoke.*", done.stdout, re.IGNORECASE | re.DOTALL)
    return found[0] if found else ""


def bound(state: str, to: str, *extra: Object) -> list[Object]:
    """Return a state in which User dave is bound to a role in namespace web."""
    return [*cluster(state), *extra, binding("team", to, user("dave"), namespace="web")]


WIDE = role("vm-owner", *MIGRATE_RULES, rule("*", "core", "secrets configmaps"))
NARROW = role("vm-mover", *MIGRATE_RULES)


@pytest.mark.parametrize(
    "name", ["admin", "edit", "kubevirt.io:admin", "cluster-admin", "vm-owner"]
)
def test_advice_names_the_role_whose_other_rights_go(tmp_path: Path, name: str) -> None:
    found = advice(tmp_path, "dave", bound("A", name, WIDE))
    assert "team" not in found or re.search(rf"(?<!\w){name}(?!\w)", found), found


@pytest.mark.parametrize("name", [MIGRATE, "vm-mover"])
def test_a_binding_that_grants_nothing_else_is_the_advice(tmp_path: Path, name: str) -> None:
    assert "team" in advice(tmp_path, "dave", bound("D", name, NARROW))


def test_the_binding_that_grants_the_permission_is_the_advice(tmp_path: Path) -> None:
    # The user is bound to admin too, which does not grant the permission after the update.
    found = advice(tmp_path, "alice", cluster("D"))
    assert "kvmigrate" in found
    assert "payments/admin" not in found


@pytest.mark.parametrize(
    ("state", "subject", "source"),
    [
        pytest.param("C", "Bob@example.com", "kubevirt.io:upgrademigrate", id="temporary role"),
        pytest.param("C", "frank", "kubevirt.io:upgrademigrate", id="custom aggregated role"),
        pytest.param("F", "Bob@example.com", MIGRATE, id="previous default restored"),
        pytest.param("F", "frank", MIGRATE, id="previous default restored, custom role"),
    ],
)
def test_advice_prefers_the_role_that_grants_only_the_permission(
    tmp_path: Path, state: str, subject: str, source: str
) -> None:
    assert source in advice(tmp_path, subject, cluster(state))


@pytest.mark.parametrize("subject", ["system:masters", "cluster-admins", "root"])
def test_cluster_administrators_are_never_revoked(tmp_path: Path, subject: str) -> None:
    found = advice(tmp_path, subject, cluster("D"))
    assert not re.search(r"clusterrolebinding[ /]+(-- )?cluster-admin", found, re.IGNORECASE), found


def test_verify_does_not_advise_to_revoke_cluster_administrators(tmp_path: Path) -> None:
    items = [e for e in cluster("D") if e["metadata"]["name"] not in OTHER_HOLDERS]
    path = write_dump(tmp_path / "after.json", items)
    file = approvals(tmp_path, *APPROVED)
    done = rbacguard(tmp_path, "verify", "-f", path, "--approvals", file, "--today", TODAY)
    assert done.returncode in (0, 1), done.stdout
    assert not re.search(r"(?<!not )(?<!never )\brevoke\b", done.stdout, re.IGNORECASE), done.stdout
