"""One function decides about the access of a subject in a namespace."""

from __future__ import annotations

import datetime
from itertools import product
from typing import Any

import pytest
from approval_files import SELECTED, TODAY, access, entry, labelled
from conftest import account, user

from rbacguard.approvals.resolve import Decision, Decisions, Status
from rbacguard.kubevirt.migrate_bindings import RequiredBinding
from rbacguard.rbac import Subject

CAROL = Subject("User", "carol")
PLATFORM = Subject("ServiceAccount", "template-instance-controller", "openshift-infra")
ENTRIES: dict[str, dict[str, Any]] = {
    "approved": {"approved": True},
    "last day": {"approved": True, "expires": str(TODAY)},
    "expired": {"approved": True, "expires": str(TODAY - datetime.timedelta(days=1))},
    "refused": {"approved": False},
    "accepted": {"accepted": True},
    "not accepted": {"accepted": False},
    "not decided": {"approved": None},
    "holder not decided": {"accepted": None},
    "none": {},
}


def decide(here: str, wide: str, subject: Subject = CAROL, namespace: str = "web") -> Decision:
    """Return the decision that an entry of the namespace and a cluster-wide entry lead to."""
    who: Any = {"kind": subject.kind, "name": subject.name}
    if subject.namespace:
        who["namespace"] = subject.namespace
    approvals, holders = [], []
    for name, scope in ((here, {"namespaces": ["web"]}), (wide, {"clusterWide": True})):
        found = {"subject": who, **scope, **ENTRIES[name]}
        if "approved" in found:
            approvals.append(found)
        elif "accepted" in found:
            holders.append(found)
    return Decisions(access(*approvals, holders=holders), TODAY).decide(subject, namespace)


APPROVED, REFUSED, UNREVIEWED = Status.APPROVED, Status.REFUSED, Status.UNREVIEWED
ALONE = {
    # Status, and whether the decision requires and covers a binding.
    "approved": (APPROVED, True, True),
    "last day": (APPROVED, True, True),
    "expired": (UNREVIEWED, False, False),
    "refused": (REFUSED, False, False),
    "accepted": (APPROVED, False, True),
    "not accepted": (REFUSED, False, False),
    "not decided": (UNREVIEWED, False, False),
    "holder not decided": (UNREVIEWED, False, False),
    "none": (UNREVIEWED, False, False),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_one_entry_decides_for_its_namespace_only(name: str) -> None:
    status, requires, covers = ALONE[name]
    entries = name != "none"
    assert decide(name, "none") == Decision(status, name == "expired", entries, requires, covers)
    elsewhere = decide(name, "none", namespace="data")
    assert elsewhere == Decision(UNREVIEWED, False, False, False, False)
    assert decide(name, "none", namespace="") == elsewhere


@pytest.mark.parametrize("name", ENTRIES)
def test_a_cluster_wide_entry_decides_for_every_namespace(name: str) -> None:
    status, requires, covers = ALONE[name]
    entries = name != "none"
    wide = decide("none", name, namespace="")
    assert wide == Decision(status, name == "expired", entries, requires, covers)
    # An accepted grant is no binding to kubevirt.io:migrate in a namespace. The expiry of a
    # cluster-wide approval is reported for cluster-wide access only.
    inside = decide("none", name)
    assert inside == Decision(status, False, entries, requires, covers and name != "accepted")


@pytest.mark.parametrize(("here", "wide"), list(product(ENTRIES, ENTRIES)))
def test_an_entry_for_the_namespace_takes_precedence(here: str, wide: str) -> None:
    expected = ALONE[wide][0] if ALONE[here][0] is UNREVIEWED else ALONE[here][0]
    found = decide(here, wide)
    allowed = expected is APPROVED
    assert found.status is expected
    assert found.expired is (here == "expired" and not allowed)
    assert found.requires_binding is (allowed and (ALONE[here][1] or ALONE[wide][1]))
    assert found.covers_binding is (allowed and (ALONE[here][2] or ALONE[wide][1]))
    assert found.has_entry is ({here, wide} != {"none"})


@pytest.mark.parametrize(("here", "wide"), list(product(ENTRIES, ENTRIES)))
def test_a_decision_takes_precedence_over_the_platform_status(here: str, wide: str) -> None:
    other = decide(here, wide)
    status = Status.PLATFORM if other.status is UNREVIEWED else other.status
    assert decide(here, wide, PLATFORM) == other._replace(status=status)


def test_a_refusal_takes_precedence_in_the_same_namespace() -> None:
    refused = entry(user("carol"), approved=False)
    subject = {"kind": "User", "name": "carol"}
    accepted = {"subject": subject, "namespaces": ["web"], "accepted": True}
    found = Decisions(access(refused, holders=[accepted]), TODAY).decide(CAROL, "web")
    assert found == Decision(REFUSED, False, True, False, False)


def test_a_refusal_under_a_cluster_wide_approval_is_a_contradiction() -> None:
    found = Decisions(
        access(
            entry(user("carol"), clusterWide=True),
            entry(user("carol"), namespaces=["web", "data"], approved=False),
            entry(user("alice"), approved=False),
        ),
        TODAY,
    )
    assert found.refused_namespaces(CAROL) == ("data", "web")
    assert found.contradictions == (
        RequiredBinding("data", CAROL),
        RequiredBinding("web", CAROL),
    )


def test_required_bindings_are_those_of_approvals_without_covered_ones() -> None:
    found = access(
        entry(user("carol"), namespaces=["web", "data"]),
        entry(user("carol"), namespaces=["batch"], expires="2026-11-22"),
        entry(user("alice"), clusterWide=True),
        entry(user("alice")),
        entry(user("bob"), approved=False),
        entry(account("bot", "ci"), expires=str(TODAY)),
    )
    assert Decisions(found, TODAY).required == (
        RequiredBinding("", Subject("User", "alice")),
        RequiredBinding("data", CAROL),
        RequiredBinding("web", Subject("ServiceAccount", "bot", "ci")),
        RequiredBinding("web", CAROL),
    )


def test_a_selector_applies_to_the_namespaces_that_it_selects() -> None:
    def required(found: Any, *labels: str) -> set[str]:
        decisions = Decisions(access(found).resolved(labelled(*labels)), TODAY)
        return {each.namespace for each in decisions.required}

    assert required(SELECTED, "web", "data") == {"web", "data"}
    assert required(SELECTED) == set()
    expression = {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["x"]}]}
    others = entry(user("carol"), namespaceSelector=expression)
    assert required(others, "web") >= {"web", "data", "payments"}


def test_a_holder_can_be_accepted_by_selector() -> None:
    holder = {key: value for key, value in SELECTED.items() if key != "approved"}
    found = access(holders=[{**holder, "accepted": True}])
    assert Decisions(found, TODAY).decide(CAROL, "web").status is UNREVIEWED
    decisions = Decisions(found.resolved(labelled("web", "data")), TODAY)
    statuses = [decisions.decide(CAROL, each).status for each in ("web", "data", "batch")]
    assert statuses == [APPROVED, APPROVED, UNREVIEWED]
