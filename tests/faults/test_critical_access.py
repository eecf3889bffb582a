"""Every way to the permission is shown: by the name of one object, and as another identity."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import AGGREGATE_ADMIN, AGGREGATE_EDIT, account, binding, role, rule, user, write_dump
from fault_inputs import (
    APPROVED,
    FAILED,
    MIGRATE,
    TODAY,
    VM_MIGRATE,
    VMIM,
    Done,
    Object,
    approvals,
    approved,
    cluster,
    find,
    rbacguard,
    verify,
)

# Grants that are limited by resourceNames

NAMED = ["ledger"]
MIGRATE_VM = ("update", "virtualmachines", "--subresource", "migrate")
KVM, SUB = "kubevirt.io", "subresources.kubevirt.io"
RULES = {
    "migrate one VM": ([rule("update", SUB, VM_MIGRATE, resourceNames=NAMED)], MIGRATE_VM),
    "migrate two VMs": (
        [rule("update", SUB, VM_MIGRATE, resourceNames=["ledger", "archive"])],
        MIGRATE_VM,
    ),
    "all verbs on migrate": ([rule("*", SUB, VM_MIGRATE, resourceNames=NAMED)], MIGRATE_VM),
    "migrate of any resource": (
        [rule("update", SUB, "*/migrate", resourceNames=NAMED)],
        MIGRATE_VM,
    ),
    "delete one VMIM": ([rule("delete", KVM, VMIM, resourceNames=NAMED)], ("delete", "vmim")),
    "patch one VMIM": ([rule("patch", KVM, VMIM, resourceNames=NAMED)], ("patch", "vmim")),
    "update one VMIM": ([rule("update", KVM, VMIM, resourceNames=NAMED)], ("update", "vmim")),
    # Server-side apply of a new object is a request to patch and to create, both with the name
    # (kubernetes 1.36, apiserver/pkg/endpoints/handlers/patch.go).
    "apply one VMIM": (
        [rule("create patch", KVM, VMIM, resourceNames=NAMED)],
        ("patch", "vmim"),
    ),
    "everything in the group": ([rule("*", KVM, "*", resourceNames=NAMED)], ("delete", "vmim")),
    "everything": ([rule("*", "*", "*", resourceNames=NAMED)], ("delete", "vmim")),
    "a whole temporary role": (
        [
            rule("get delete create update patch list watch", KVM, VMIM, resourceNames=NAMED),
            rule("update", SUB, VM_MIGRATE, resourceNames=NAMED),
        ],
        MIGRATE_VM,
    ),
}
SCOPES = {
    "cluster-wide": lambda rules: [
        role("named", *rules),
        binding("named", "named", user("zoe")),
    ],
    "ClusterRole in a namespace": lambda rules: [
        role("named", *rules),
        binding("named", "named", user("zoe"), namespace="web"),
    ],
    "Role": lambda rules: [
        role("named", *rules, kind="Role", namespace="web"),
        binding("named", "named", user("zoe"), namespace="web", role_kind="Role"),
    ],
}


def answer(folder: Path, command: str, case: str, scope: str = "cluster-wide") -> Done:
    """Return what a command prints about a cluster with a named grant."""
    rules, request = RULES[case]
    extra = SCOPES[scope](rules)
    if command == "verify":
        return verify(folder, [*cluster("D"), *extra])
    before = write_dump(folder / "before.json", cluster("A"))
    granted = write_dump(folder / "granted.json", [*cluster("A"), *extra])
    after = write_dump(folder / "after.json", [*cluster("D"), *extra])
    arguments = {
        "explain": ("explain", "zoe", "-f", after),
        "audit": ("audit", "-f", after, "--today", TODAY),
        "plan": ("plan", "-v", "-f", granted, "--to", "4.20"),
        "diff": ("diff", before, granted),
        "who-can": ("who-can", *request, "-n", "web", "-f", after),
    }[command]
    return rbacguard(folder, *arguments, "-o", "json")


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="A grant that is limited by resourceNames is not shown.",
)
@pytest.mark.parametrize("command", ["verify", "explain", "audit", "plan", "diff", "who-can"])
@pytest.mark.parametrize("case", RULES)
def test_named_grants_are_listed_with_the_names(tmp_path: Path, case: str, command: str) -> None:
    done = answer(tmp_path, command, case)
    assert "zoe" in done.stdout
    assert "ledger" in done.stdout


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="A cluster with a grant that is limited by resourceNames is clean.",
)
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("case", RULES)
def test_verify_fails_on_named_grants(tmp_path: Path, case: str, scope: str) -> None:
    done = answer(tmp_path, "verify", case, scope)
    assert done.returncode == FAILED, done.stdout
    assert "zoe" in done.stdout


@pytest.mark.parametrize(
    ("case", "name", "code"), [("migrate one VM", "ledger", 0), ("migrate one VM", "other", 1)]
)
def test_can_i_evaluates_names(tmp_path: Path, case: str, name: str, code: int) -> None:
    rules, (verb, resource, *rest) = RULES[case]
    items = [*cluster("D"), *SCOPES["cluster-wide"](rules)]
    path = write_dump(tmp_path / "after.json", items)
    request = ("can-i", verb, resource, name, *rest)
    done = rbacguard(tmp_path, *request, "-n", "web", "--as", "zoe", "-f", path)
    assert done.returncode == code, done.stdout


@pytest.mark.parametrize(
    "verbs",
    [
        pytest.param("get", id="read"),
        # A request to create in the ordinary way, and deletecollection, carry no name.
        pytest.param("create", id="create"),
        pytest.param("deletecollection", id="delete all"),
    ],
)
def test_names_that_no_request_carries_grant_nothing(tmp_path: Path, verbs: str) -> None:
    rules = [rule(verbs, KVM, VMIM, resourceNames=NAMED)]
    done = verify(tmp_path, [*cluster("D"), *SCOPES["cluster-wide"](rules)])
    assert "zoe" not in done.stdout


def test_an_empty_name_is_a_request_without_a_name(tmp_path: Path) -> None:
    rules = [rule("create", KVM, VMIM, resourceNames=[""])]
    done = verify(tmp_path, [*cluster("D"), *SCOPES["cluster-wide"](rules)])
    assert done.returncode == FAILED, done.stdout
    assert "zoe" in done.stdout


def with_temporary_role(name: str, label: str) -> list[Object]:
    """Return state D with a temporary role for two objects, aggregated into the default roles."""
    rules, _ = RULES["a whole temporary role"]
    items = cluster("D")
    receivers = ["admin", "tenant-admin", *(["edit"] if label == AGGREGATE_EDIT else [])]
    for each in receivers:
        find(items, "ClusterRole", each)["rules"] += rules
    return [*items, role(name, *rules, labels={label: "true"})]


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="A temporary role that is limited by resourceNames is not found unless it has the "
    "documented name.",
)
@pytest.mark.parametrize("label", [AGGREGATE_ADMIN, AGGREGATE_EDIT])
def test_a_temporary_role_with_names_is_found(tmp_path: Path, label: str) -> None:
    done = verify(tmp_path, with_temporary_role("acme:vm-mover", label))
    assert done.returncode == FAILED, done.stdout
    assert "acme:vm-mover" in done.stdout


@pytest.mark.parametrize("label", [AGGREGATE_ADMIN, AGGREGATE_EDIT])
def test_a_temporary_role_with_names_is_found_by_its_name(tmp_path: Path, label: str) -> None:
    done = verify(tmp_path, with_temporary_role("kubevirt.io:upgrademigrate", label))
    assert done.returncode == FAILED, done.stdout
    assert "kubevirt.io:upgrademigrate" in done.stdout


# Reach: the permission of a service account, or of another user

MOVER = [
    {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "mover", "namespace": "web"},
    },
    binding("mover", MIGRATE, account("mover", "web"), namespace="web"),
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mover-0", "namespace": "web"},
        "spec": {"serviceAccountName": "mover", "containers": [{"name": "mover", "image": "i"}]},
        "status": {"phase": "Running"},
    },
]
"""A service account that holds the permission, and a Pod that runs as it."""
MOVER_APPROVED = approved({"kind": "ServiceAccount", "name": "mover", "namespace": "web"}, "web")
STEPS = {
    "impersonate service accounts": rule("impersonate", "core", "serviceaccounts"),
    "impersonate this account": rule(
        "impersonate", "core", "serviceaccounts", resourceNames=["mover"]
    ),
    "create tokens": rule("create", "core", "serviceaccounts/token"),
    "create tokens of this account": rule(
        "create", "core", "serviceaccounts/token", resourceNames=["mover"]
    ),
    "read and create Secrets": rule("get create", "core", "secrets"),
    "create Pods": rule("create", "core", "pods"),
    "run commands in Pods": rule("create", "core", "pods/exec"),
    "add containers to Pods": rule("update patch", "core", "pods/ephemeralcontainers"),
    "create Deployments": rule("create", "apps", "deployments"),
    "create StatefulSets": rule("create", "apps", "statefulsets"),
    "create DaemonSets": rule("create", "apps", "daemonsets"),
    "create ReplicaSets": rule("create", "apps", "replicasets"),
    "create ReplicationControllers": rule("create", "core", "replicationcontrollers"),
    "create Jobs": rule("create", "batch", "jobs"),
    "create CronJobs": rule("create", "batch", "cronjobs"),
    "everything in the core group": rule("*", "core", "*"),
}


def stepping(each: Object, namespace: str = "web") -> list[Object]:
    """Return the objects that allow User dave a request."""
    return [*MOVER, role("step", each), binding("step", "step", user("dave"), namespace=namespace)]


def reached(folder: Path, command: str, extra: list[Object]) -> Done:
    """Return what a command prints about User dave in state D."""
    items = [*cluster("D"), *extra]
    if command == "verify":
        return verify(folder, items, entries=[*APPROVED, MOVER_APPROVED])
    path = write_dump(folder / "after.json", items)
    file = approvals(folder, *APPROVED, MOVER_APPROVED)
    arguments = {
        "explain": ("explain", "dave"),
        "audit": ("audit", "--today", TODAY, "--approvals", file),
        "who-can": ("who-can", "create", "vmim", "-n", "web", "--reach"),
    }[command]
    return rbacguard(folder, *arguments, "-f", path, "-o", "json")


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="A cluster is clean although a subject can act as a service account with the "
    "permission.",
)
@pytest.mark.parametrize("step", STEPS)
def test_verify_fails_on_reach(tmp_path: Path, step: str) -> None:
    done = reached(tmp_path, "verify", stepping(STEPS[step]))
    assert done.returncode == FAILED, done.stdout
    assert "dave" in done.stdout


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="A subject who can act as a service account with the permission is shown without it.",
)
@pytest.mark.parametrize("step", STEPS)
def test_explain_names_the_account_that_is_reached(tmp_path: Path, step: str) -> None:
    done = reached(tmp_path, "explain", stepping(STEPS[step]))
    assert "mover" in done.stdout, done.stdout


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Subjects who reach a permission as another identity cannot be listed.",
)
@pytest.mark.parametrize("step", STEPS)
def test_who_can_lists_reach(tmp_path: Path, step: str) -> None:
    done = reached(tmp_path, "who-can", stepping(STEPS[step]))
    assert done.returncode == 0, done.stderr
    assert "dave" in done.stdout


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="No finding says which service account with the permission a subject can act as.",
)
@pytest.mark.parametrize("step", STEPS)
def test_audit_finds_reach(tmp_path: Path, step: str) -> None:
    done = reached(tmp_path, "audit", stepping(STEPS[step]))
    findings = [json.dumps(each) for each in json.loads(done.stdout)["findings"]]
    assert any("dave" in each and "mover" in each for each in findings)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="A cluster is clean although a subject can impersonate a user with the permission.",
)
@pytest.mark.parametrize(
    "step",
    [
        pytest.param(rule("impersonate", "core", "users"), id="all users"),
        pytest.param(rule("impersonate", "core", "users", resourceNames=["carol"]), id="one user"),
        pytest.param(rule("impersonate", "core", "users groups"), id="users and groups"),
    ],
)
def test_verify_fails_on_impersonated_users(tmp_path: Path, step: Object) -> None:
    extra = [role("step", step), binding("step", "step", user("dave"))]
    done = verify(tmp_path, [*cluster("D"), *extra])
    assert done.returncode == FAILED, done.stdout
    assert "dave" in done.stdout


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Users of the default roles admin and edit, who can impersonate the service accounts "
    "of their namespace, are shown without the permission of these accounts.",
)
@pytest.mark.parametrize("command", ["verify", "explain"])
@pytest.mark.parametrize("default", ["admin", "edit"])
def test_users_of_default_roles_reach_service_accounts(
    tmp_path: Path, default: str, command: str
) -> None:
    extra = [*MOVER, binding("team", default, user("dave"), namespace="web")]
    done = reached(tmp_path, command, extra)
    assert "dave" in done.stdout
    assert "mover" in done.stdout


@pytest.mark.parametrize(
    ("step", "namespace"),
    [
        pytest.param(
            rule("impersonate", "core", "serviceaccounts", resourceNames=["default"]),
            "web",
            id="another account",
        ),
        pytest.param(STEPS["create Pods"], "empty", id="another namespace"),
        pytest.param(rule("create", KVM, "virtualmachines"), "web", id="VMs"),
        pytest.param(rule("get", "core", "pods serviceaccounts"), "web", id="read"),
    ],
)
def test_other_permissions_reach_nothing(tmp_path: Path, step: Object, namespace: str) -> None:
    done = reached(tmp_path, "verify", stepping(step, namespace))
    assert "dave" not in done.stdout
