"""A cluster is clean only if neither the approvals nor the input leave a question open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import account, binding, role, selecting, user, write_dump
from fault_inputs import (
    APPROVED,
    FAILED,
    MIGRATE,
    MIGRATE_RULES,
    UNKNOWN,
    Object,
    cluster,
    find,
    rbacguard,
    verify,
    without,
)

RUNNER = {"kind": "ServiceAccount", "name": "runner", "namespace": "batch"}
FORKLIFT = {"kind": "ServiceAccount", "name": "forklift-controller", "namespace": "openshift-mtv"}
PLATFORM_VM = {"kind": "Group", "name": "platform-vm"}


def test_the_recorded_cluster_is_clean(tmp_path: Path) -> None:
    done = verify(tmp_path, cluster("D"))
    assert done.returncode == 0, done.stdout


# Refusals


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"subject": RUNNER, "namespaces": ["batch"]}, id="own Role"),
        pytest.param({"subject": FORKLIFT, "clusterWide": True}, id="own ClusterRole"),
        pytest.param({"subject": PLATFORM_VM, "clusterWide": True}, id="aggregated role"),
        pytest.param(
            {"subject": {"kind": "Group", "name": "cluster-admins"}, "clusterWide": True},
            id="cluster-admin",
        ),
    ],
)
def test_a_refused_subject_that_keeps_the_access_is_reported(tmp_path: Path, entry: Object) -> None:
    refused = {**entry, "approved": False, "reason": "must lose it"}
    done = verify(tmp_path, cluster("D"), entries=[*APPROVED, refused])
    assert done.returncode == FAILED, done.stdout
    assert entry["subject"]["name"] in done.stdout


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"subject": RUNNER, "namespaces": ["batch"]}, id="own Role"),
        pytest.param({"subject": PLATFORM_VM, "clusterWide": True}, id="aggregated role"),
    ],
)
def test_a_refused_holder_that_keeps_the_access_is_reported(tmp_path: Path, entry: Object) -> None:
    refused = {**entry, "accepted": False, "reason": "must lose it"}
    done = verify(tmp_path, cluster("D"), holders=[refused])
    assert done.returncode == FAILED, done.stdout
    assert entry["subject"]["name"] in done.stdout


def test_cluster_wide_access_includes_a_refused_namespace(tmp_path: Path) -> None:
    wide = binding("wide", MIGRATE, {"kind": "Group", "name": "payments-admins"})
    entries = [
        {"subject": {"kind": "Group", "name": "payments-admins"}, "clusterWide": True},
        {
            "subject": {"kind": "Group", "name": "payments-admins"},
            "namespaces": ["web"],
            "approved": False,
        },
    ]
    entries[0]["approved"] = True
    done = verify(tmp_path, [*cluster("D"), wide], entries=[*APPROVED, *entries])
    assert done.returncode == FAILED, done.stdout
    assert "refused in web" in done.stdout


# Access through custom aggregated roles

LEADS = {"example.com/vm-leads": "true"}
TEAMS = {"example.com/vm-teams": "true"}


def with_leads(state: str, *extra: Object, chained: bool = False) -> list[Object]:
    """Return a state in which User leonie is bound to a role that aggregates kubevirt.io:admin.

    Args:
        state: the state of the recorded cluster.
        extra: further objects; their rules are aggregated too if they carry the label.
        chained: bind the user to a second role that aggregates the first.
    """
    items = [*cluster(state), *extra]
    find(items, "ClusterRole", "kubevirt.io:admin")["metadata"]["labels"].update(LEADS)
    selected = [
        each
        for each in items
        if LEADS.items() <= (each["metadata"].get("labels") or {}).items()
        and each["kind"] == "ClusterRole"
    ]
    rules = [rule for each in selected for rule in each["rules"]]
    items.append(role("vm-leads", *rules, aggregationRule=selecting(LEADS), labels=TEAMS))
    items.append(role("vm-teams", *rules, aggregationRule=selecting(TEAMS)))
    items.append(
        binding("leads", "vm-teams" if chained else "vm-leads", user("leonie"), namespace="web")
    )
    return items


def labelled_default(*, chained: bool) -> list[Object]:
    """Return state D with kubevirt.io:migrate labelled for a custom aggregated role."""
    items = with_leads("D", chained=chained)
    find(items, "ClusterRole", MIGRATE)["metadata"]["labels"].update(LEADS)
    for name in ("vm-leads", "vm-teams"):
        find(items, "ClusterRole", name)["rules"] += MIGRATE_RULES
    return items


def further_role(*, chained: bool) -> list[Object]:
    """Return state D with a new role that is labelled for a custom aggregated role."""
    return with_leads("D", role("vm-movers", *MIGRATE_RULES, labels=LEADS), chained=chained)


def test_plan_lists_users_of_custom_aggregated_roles_as_lost(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "before.json", with_leads("A"))
    done = rbacguard(tmp_path, "plan", "-f", path, "--to", "4.20", "-v", "-o", "json")
    changes = json.loads(done.stdout)["changes"]
    assert {each["change"] for each in changes if each["subject"]["name"] == "leonie"} == {"lost"}


@pytest.mark.parametrize("chained", [False, True], ids=["direct", "through a second role"])
@pytest.mark.parametrize("after", [labelled_default, further_role])
def test_access_that_the_update_removes_is_not_held_before(
    tmp_path: Path, after: Callable[..., list[Object]], *, chained: bool
) -> None:
    done = verify(tmp_path, after(chained=chained), before=with_leads("A", chained=chained))
    assert done.returncode == FAILED, done.stdout
    assert "leonie" in done.stdout


def test_access_that_the_update_keeps_is_held_before(tmp_path: Path) -> None:
    kept = [
        role("vm-movers", *MIGRATE_RULES, labels=LEADS),
        role("leads", *MIGRATE_RULES, aggregationRule=selecting(LEADS)),
        binding("leads", "leads", user("leonie"), namespace="web"),
    ]
    done = verify(tmp_path, [*cluster("D"), *kept], before=[*cluster("A"), *kept])
    assert done.returncode == 0, done.stdout


# The state before the update

MADE_IN_BETWEEN = (
    role("own-migrate", *MIGRATE_RULES, kind="Role", namespace="web"),
    binding(
        "own-migrate", "own-migrate", account("mallory-bot"), namespace="web", role_kind="Role"
    ),
)
"""A grant that a namespace administrator made while they had the permission."""


def with_grant(state: str) -> list[Object]:
    """Return a state with the grant."""
    return [*cluster(state), *MADE_IN_BETWEEN]


def of_another_cluster() -> list[Object]:
    """Return state A of another cluster, whose objects have other UIDs."""
    items = with_grant("A")
    for number, each in enumerate(items):
        each["metadata"]["uid"] = f"00000000-0000-4000-8000-{number:012}"
    return items


def with_another_identity() -> list[Object]:
    """Return state A with another UID of namespace kube-system, which identifies a cluster."""
    items = with_grant("A")
    find(items, "Namespace", "kube-system")["metadata"]["uid"] = "another-cluster"
    return items


def read_later() -> list[Object]:
    """Return state A with an object that was created after everything in state D."""
    later = role("later", namespace="web", kind="Role", creationTimestamp="2026-11-28T18:00:00Z")
    later["metadata"] |= {"resourceVersion": "999999", "uid": "later"}
    return [*with_grant("A"), later]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(lambda: with_grant("D"), id="the same dump"),
        pytest.param(lambda: with_grant("E"), id="after the update, nothing bound"),
        pytest.param(lambda: with_grant("F"), id="after the update, previous default restored"),
        pytest.param(lambda: with_grant("G"), id="after the next update"),
        pytest.param(of_another_cluster, id="another cluster"),
        pytest.param(with_another_identity, id="another cluster, same UIDs of roles"),
        pytest.param(read_later, id="newer than the cluster"),
    ],
)
def test_the_state_before_must_be_older_and_of_the_same_cluster(
    tmp_path: Path, before: Callable[[], list[Object]]
) -> None:
    done = verify(tmp_path, with_grant("D"), before=before())
    assert done.returncode in (FAILED, UNKNOWN), done.stdout


@pytest.mark.parametrize("state", ["B", "C"])
def test_the_state_before_must_have_no_temporary_role(tmp_path: Path, state: str) -> None:
    done = verify(tmp_path, with_grant("D"), before=with_grant(state))
    assert done.returncode == UNKNOWN, done.stdout


def test_a_grant_made_since_the_state_before_is_reported(tmp_path: Path) -> None:
    done = verify(tmp_path, with_grant("D"), before=cluster("A"))
    assert done.returncode == FAILED, done.stdout
    assert "mallory-bot" in done.stdout


# The update has finished


def changed(kind: str, status: Object | None, *removed: str) -> list[Object]:
    """Return state D with another status of one object, and without objects of some kinds."""
    items = without(cluster("D"), *removed)
    (found,) = (each for each in items if each["kind"] == kind)
    found.pop("status")
    if status is not None:
        found["status"] = status
    return items


def no_status(status: Object | None) -> list[Object]:
    """Return state D in which KubeVirt and HyperConverged have this status, or none."""
    (hyperconverged,) = (
        each for each in changed("HyperConverged", status) if each["kind"] == "HyperConverged"
    )
    return [*changed("KubeVirt", status, "HyperConverged"), hyperconverged]


ONLY_ROLES = {
    "neither KubeVirt nor HyperConverged": lambda: without(
        cluster("D"), "KubeVirt", "HyperConverged"
    ),
    "no status": lambda: no_status(None),
    "empty status": lambda: no_status({}),
    "no versions": lambda: changed("KubeVirt", {"phase": "Deploying"}, "HyperConverged"),
}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Without a status of KubeVirt, the roles alone pass as a finished update.",
)
@pytest.mark.parametrize("case", ONLY_ROLES)
def test_the_update_is_unknown_without_the_status_of_kubevirt(tmp_path: Path, case: str) -> None:
    done = verify(tmp_path, ONLY_ROLES[case]())
    assert done.returncode == UNKNOWN, done.stdout


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Without a status of KubeVirt, the roles alone show the last step of the procedure.",
)
@pytest.mark.parametrize("case", ONLY_ROLES)
def test_the_step_is_unknown_without_the_status_of_kubevirt(tmp_path: Path, case: str) -> None:
    path = write_dump(tmp_path / "after.json", ONLY_ROLES[case]())
    done = rbacguard(tmp_path, "status", "-f", path)
    assert done.returncode == UNKNOWN, done.stdout


def test_the_status_of_kubevirt_alone_suffices(tmp_path: Path) -> None:
    done = verify(tmp_path, without(cluster("D"), "HyperConverged"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "status",
    [
        {"observedKubeVirtVersion": "v1.4.1", "targetKubeVirtVersion": "v1.6.2"},
        {
            "observedKubeVirtVersion": "v1.6.2",
            "targetKubeVirtVersion": "v1.6.2",
            "observedDeploymentID": "old",
            "targetDeploymentID": "new",
        },
    ],
    ids=["versions", "deployment IDs"],
)
def test_an_update_in_progress_fails(tmp_path: Path, status: Object) -> None:
    done = verify(tmp_path, changed("KubeVirt", status))
    assert done.returncode == FAILED, done.stdout
