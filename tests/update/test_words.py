"""What is said of each state, word for word: the golden files are for reading, too."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import (
    AGGREGATE_ADMIN,
    AGGREGATE_EDIT,
    ROOT,
    account,
    binding,
    group,
    objects,
    role,
    rule,
    selecting,
    state,
    user,
)

from rbacguard import Snapshot
from rbacguard.approvals.model import MigrationAccess, load_approvals
from rbacguard.kubevirt.migrate_bindings import RequiredBinding
from rbacguard.kubevirt.releases import parse_release
from rbacguard.queries.diff import diff
from rbacguard.rbac import Grant, Subject
from rbacguard.sources import from_objects
from rbacguard.update.delegation import delegations
from rbacguard.update.plan import make_plan
from rbacguard.update.status import status
from rbacguard.update.verify import verify

GOLDEN = Path(__file__).parent / "golden"
TODAY = datetime.date(2026, 11, 23)
APPROVALS = str(ROOT / "examples" / "approvals.yaml")
VMIM = "virtualmachineinstancemigrations"
EARLIER = "2026-11-20T08:00:00Z"
LATER = TODAY + datetime.timedelta(days=4000)


def cluster(letter: str, *more: dict[str, Any], without: tuple[str, ...] = ()) -> Snapshot:
    kept = [
        each
        for each in objects(letter)
        if not {each["kind"], each["metadata"]["name"]} & set(without)
    ]
    return from_objects([*kept, *more])


def label(**labels: str) -> dict[str, Any]:
    """Return kubevirt.io:migrate as the operator has it, with labels on top."""
    (found,) = [
        each
        for each in objects("D")
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] == "kubevirt.io:migrate"
    ]
    found["metadata"]["labels"] |= labels
    return found


def updating(letter: str) -> Snapshot:
    """Return a state whose operator is on its way to another version."""
    items = objects(letter)
    for each in items:
        if each["kind"] == "KubeVirt":
            each["status"] = {
                "observedKubeVirtVersion": "v1.5.3",
                "targetKubeVirtVersion": "v1.6.2",
                "observedDeploymentID": "a",
                "targetDeploymentID": "b",
            }
    return from_objects(items)


MIGRATE = rule("create", "kubevirt.io", VMIM)
RING = [
    role(name, labels={"ring": name}, aggregationRule=selecting({"ring": other}))
    for name, other in (("one", "two"), ("two", "one"), ("red", "blue"), ("blue", "red"))
]
CASES: dict[str, Callable[[], Snapshot]] = {
    **{letter: partial(state, letter) for letter in "ABCDEF"},
    "bound-in-advance": lambda: cluster(
        "A", binding("early", "kubevirt.io:migrate", user("alice"), user("carol"), namespace="web")
    ),
    "two-temporary-roles": lambda: cluster(
        "A",
        role("keep", MIGRATE, labels={AGGREGATE_ADMIN: "true"}),
        role("keep-edit", MIGRATE, labels={AGGREGATE_EDIT: "true"}),
    ),
    "role-made-by-hand": lambda: cluster("A", role("kubevirt.io:migrate", MIGRATE)),
    "left-over": lambda: cluster(
        "D",
        role("sneaky", MIGRATE, labels={AGGREGATE_ADMIN: "true"}),
        binding("old", "kubevirt.io:upgrademigrate", user("frank"), namespace="legacy"),
        binding("old-everywhere", "kubevirt.io:upgrademigrate", group("devs")),
    ),
    "delegated-grants": lambda: cluster(
        "D",
        role(
            "own", MIGRATE, kind="Role", namespace="web", creationTimestamp="2026-11-20T08:00:00Z"
        ),
        binding("own", "own", user("frank"), namespace="web", role_kind="Role"),
        binding("more", "kubevirt.io:migrate", account("bot"), namespace="data"),
        binding(
            "late",
            "kubevirt.io:migrate",
            user("dora"),
            namespace="legacy",
            creationTimestamp=EARLIER,
        ),
    ),
    "reverted-for-two": lambda: cluster(
        "D",
        label(**{AGGREGATE_ADMIN: "true", AGGREGATE_EDIT: "true"}),
        without=("kubevirt.io:migrate",),
    ),
    "other-rules": lambda: cluster(
        "D", role("kubevirt.io:migrate", rule("*", "*", "*")), without=("kubevirt.io:migrate",)
    ),
    "migrate-missing": lambda: cluster("D", without=("kubevirt.io:migrate",)),
    "roles-missing": lambda: cluster("D", without=("Role",)),
    "bindings-missing": lambda: cluster("D", without=("RoleBinding",)),
    "kubevirt-missing": lambda: from_objects(
        [each for each in objects("D") if "kubevirt" not in each["metadata"]["name"]]
    ),
    "bound-everywhere": lambda: cluster(
        "D", binding("wide", "kubevirt.io:migrate", user("alice"), user("frank"), group("devs"))
    ),
    "a-role-is-missing": lambda: cluster("D", without=("view",)),
    "own-roles": lambda: cluster(
        "D",
        role("own", MIGRATE),
        binding("own", "own", user("frank"), user("gina"), namespace="web"),
        binding("own", "own", user("alice")),
        role("local", MIGRATE, kind="Role", namespace="legacy"),
        binding(
            "local", "local", user("frank"), user("gina"), namespace="legacy", role_kind="Role"
        ),
    ),
    "binders": lambda: cluster(
        "D",
        role("maker", rule("create", "rbac.authorization.k8s.io", "rolebindings")),
        role("old-maker", rule("create", "authorization.openshift.io", "rolebindings")),
        role(
            "binder",
            rule(
                "bind",
                "rbac.authorization.k8s.io",
                "clusterroles",
                resourceNames=["kubevirt.io:migrate"],
            ),
        ),
        role(
            "other-binder",
            rule("bind", "rbac.authorization.k8s.io", "clusterroles", resourceNames=["view"]),
        ),
        binding("m", "maker", user("zoe"), user("gina"), namespace="web"),
        binding("m", "maker", user("hugo"), user("zoe")),
        binding("m", "old-maker", user("ida"), namespace="data"),
        binding("b", "binder", user("zoe"), namespace="web"),
        binding("c", "binder", user("hugo"), user("ida"), user("zoe")),
        binding("d", "other-binder", user("gina")),
    ),
    "updating": partial(updating, "D"),
    "cycles": lambda: from_objects([*objects("A"), *RING], aggregate="recompute"),
    "not-cleaned-up": lambda: cluster(
        "C",
        binding("m", "kubevirt.io:migrate", user("alice"), namespace="payments"),
        role("second", MIGRATE, labels={AGGREGATE_EDIT: "true"}),
    ),
    "version-unknown": lambda: cluster("D", without=("KubeVirt", "HyperConverged")),
}


def proof(grants: tuple[Grant, ...]) -> list[str]:
    return [
        f"{each.subject} in {each.namespace or '*'} by {each.binding}: "
        f"{' -> '.join(part.name for part in each.role_chain)}: {','.join(each.rule.verbs)} "
        f"{','.join(each.rule.resources)}"
        for each in grants
    ]


def places(found: Mapping[Subject, tuple[str, ...]]) -> dict[str, list[str]]:
    return {str(subject): list(scopes) for subject, scopes in found.items()}


def needs(found: tuple[RequiredBinding, ...]) -> list[str]:
    return [f"{each.subject} in {each.namespace or '*'}" for each in found]


def words(snapshot: Snapshot) -> dict[str, Any]:
    """Return everything that is said about a state, as plain values."""
    access = load_approvals(APPROVALS)
    expiring = MigrationAccess.model_validate(
        access.model_dump()
        | {"approvals": [each.model_dump() | {"expires": TODAY} for each in access.approvals]}
    )
    everywhere = [
        each.model_dump(exclude={"namespaces"}) | {"cluster_wide": True, "reason": ""}
        for each in access.approvals
    ]
    wide = MigrationAccess.model_validate(access.model_dump() | {"approvals": everywhere})
    step = status(snapshot)
    said: dict[str, Any] = {
        "status": [step.step, step.title, step.next, step.bound, list(step.restored)],
        "commands": list(step.commands),
        "installed": [
            str(step.installed.release),
            step.installed.restricted,
            step.installed.update_in_progress,
        ],
        "gaps": list(step.gaps),
        "temporary roles": list(step.temporary_roles),
        "delegations": {
            f"{each.subject} in {each.namespace or '*'}": [each.how, *proof((each.grant,))]
            for each in delegations(snapshot)
        },
        "against D": [
            [str(each.subject), *{row.change.value: None for row in each.rows()}]
            for each in diff(state("D"), snapshot).changes
        ],
        "gaps against D": list(diff(state("D"), snapshot).gaps),
    }
    for title, approved, before, today in (
        ("verify", access, None, TODAY),
        ("verify before A", access, state("A"), TODAY),
        ("verify before B", access, state("B"), TODAY),
        ("verify when all has expired", expiring, state("A"), LATER),
        ("verify approvals for the whole cluster", wide, state("A"), TODAY),
    ):
        found = verify(snapshot, approved, before=before, today=today)
        said[title] = {
            "result": found.result.value,
            "unaccepted": needs(found.unaccepted),
            **{
                each.id: [each.result, each.title, each.next, *each.details, *proof(each.grants)]
                for each in found.checks
            },
        }
    plan = make_plan(snapshot, parse_release("4.22"))
    said["plan"] = {
        "warnings": list(plan.warnings),
        "gaps": list(plan.gaps),
        "needs": needs(plan.needs),
        "platform": places(plan.platform),
        **{
            each.strategy: [
                *(each.title, each.recommended),
                *(each.interruption, each.rollback, each.caution),
                *map(places, each.effect),
            ]
            for each in plan.outcomes
        },
    }
    return said


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_is_exactly_this(case: str, golden: Callable[[Path, str], None]) -> None:
    text = json.dumps(words(CASES[case]()), indent=1, ensure_ascii=False)
    golden(GOLDEN / f"{case}.json", text + "\n")
