"""Random clusters and random partial views of them, for property tests.

`RBACGUARD_EXAMPLES` multiplies how many examples each property gets: `make nightly` sets it to 20.
"""

from __future__ import annotations

import os
from typing import Any

from conftest import (
    AGGREGATE_ADMIN,
    AGGREGATE_EDIT,
    account,
    binding,
    group,
    objects,
    role,
    rule,
    selecting,
    user,
)
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

SCALE = float(os.environ.get("RBACGUARD_EXAMPLES", "1"))
Objects = list[dict[str, Any]]


def examples(count: int) -> settings:
    """Return settings for so many examples, or so many times that.

    Fewer than usual are for mutation testing: always the same ones, and no time goes into finding
    the smallest example of a failure.
    """
    few = {
        "derandomize": True,
        "database": None,
        "phases": (Phase.explicit, Phase.generate),
    }
    more: dict[str, Any] = few if SCALE < 1 else {}
    return settings(
        max_examples=max(int(count * SCALE), 1),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        **more,
    )


NAMESPACES = ("payments", "web", "data", "legacy", "kube-system")
SUBJECTS = (
    user("alice"),
    user("mallory"),
    user("system:serviceaccount:web:deployer"),
    group("payments-admins"),
    group("system:serviceaccounts:batch"),
    group("system:authenticated"),
    account("deployer", "web"),
    account("runner"),
)
RULES = (
    rule("create delete", "kubevirt.io", "virtualmachineinstancemigrations"),
    rule("get", "kubevirt.io", "virtualmachineinstancemigrations"),
    rule("update", "subresources.kubevirt.io", "virtualmachines/migrate"),
    rule("update", "subresources.kubevirt.io", "*/migrate"),
    rule("*", "kubevirt.io", "*"),
    rule("*", "*", "*"),
    rule("create", "kubevirt.io", "virtualmachineinstancemigrations", resourceNames=["one"]),
    rule("create", "rbac.authorization.k8s.io", "rolebindings"),
    rule("bind", "rbac.authorization.k8s.io", "clusterroles"),
    rule("get list", "core", "pods"),
)
LABELS: tuple[dict[str, str], ...] = (
    {},
    {AGGREGATE_ADMIN: "true"},
    {AGGREGATE_EDIT: "true"},
    {AGGREGATE_ADMIN: "True"},
    {"to": "a"},
    {"app.kubernetes.io/managed-by": "virt-operator"},
)
ROLE_NAMES = (
    *("admin", "edit", "view", "cluster-admin"),
    *("kubevirt.io:admin", "kubevirt.io:edit", "kubevirt.io:migrate", "kubevirt.io:upgrademigrate"),
    *("c0", "c1", "missing"),
)

_rules = st.lists(st.sampled_from(RULES), max_size=3)


@st.composite
def additions(draw: st.DrawFn) -> Objects:
    """Roles and bindings that might stand in a cluster with KubeVirt."""
    found = []
    for name in draw(st.sets(st.sampled_from(["c0", "c1", "kubevirt.io:upgrademigrate"]))):
        extra: dict[str, Any] = {"labels": draw(st.sampled_from(LABELS))}
        if draw(st.booleans()):
            extra["aggregationRule"] = selecting(draw(st.sampled_from(LABELS[1:])))
        found.append(role(name, *draw(_rules), **extra))
    for namespace in draw(st.sets(st.sampled_from(NAMESPACES), max_size=2)):
        found.append(role("r0", *draw(_rules), kind="Role", namespace=namespace))
    for number in range(draw(st.integers(0, 4))):
        namespace = draw(st.sampled_from(["", *NAMESPACES]))
        local = bool(namespace) and draw(st.booleans())
        found.append(
            binding(
                f"b{number}",
                "r0" if local else draw(st.sampled_from(ROLE_NAMES)),
                *draw(st.lists(st.sampled_from(SUBJECTS), max_size=3)),
                namespace=namespace,
                role_kind="Role" if local else "ClusterRole",
            )
        )
    return found


class Cluster(list[dict[str, Any]]):
    """The objects of a cluster; shown as what makes it differ from a known one."""

    def __init__(self, items: Objects, told: str) -> None:
        """Hold the objects, and what to show."""
        super().__init__(items)
        self._told = told

    def __repr__(self) -> str:
        """Return what differs."""
        return self._told


@st.composite
def clusters(draw: st.DrawFn, letters: str = "ABCDEF") -> Cluster:
    """One of the six states, with something added and something taken away."""
    more = draw(additions())
    named = {(o["kind"], o["metadata"]["name"]) for o in more}
    letter = draw(st.sampled_from(letters))
    found = [o for o in objects(letter) if (o["kind"], o["metadata"]["name"]) not in named]
    gone = draw(st.sets(st.sampled_from(["alice", "payments-admins", "carol"]), max_size=2))
    for each in found:
        if "subjects" in each:
            each["subjects"] = [s for s in each["subjects"] or () if s["name"] not in gone]
    return Cluster([*found, *more], f"state {letter} without {sorted(gone)} and with {more}")
