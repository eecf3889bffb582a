"""For any cluster and any approvals: what is approved, what was there anyway, nothing more."""

from __future__ import annotations

import datetime
from typing import Any

from conftest import access_of, account, binding, group, objects, user
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from rbacguard import Snapshot
from rbacguard.approvals.model import parse_approvals
from rbacguard.approvals.resolve import Decisions
from rbacguard.kubevirt.migrate_bindings import RequiredBinding
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.kubevirt.releases import parse_release
from rbacguard.manifests import GenerateStrategy, Request, make_bundle
from rbacguard.sources import from_objects
from rbacguard.update.plan import make_plan
from rbacguard.update.simulate import apply_update

TODAY = datetime.date(2026, 11, 23)
SPACES = ["payments", "web", "data", "new"]
PEOPLE = [user("alice"), user("mallory"), group("devs"), account("bot", "web"), user("a b: #")]
ROLES = ["admin", "edit", "view", "cluster-admin", "kubevirt.io:admin", "kubevirt.io:edit"]

people = st.sampled_from(PEOPLE)
bound = st.builds(
    lambda name, role, who, space: binding(f"random-{name}", role, *who, namespace=space),
    st.integers(0, 10**6),
    st.sampled_from([*ROLES, "kubevirt.io:migrate"]),
    st.lists(people, max_size=3, unique_by=str),
    st.sampled_from(["", *SPACES]),
)


def decision(who: dict[str, str], spaces: list[str], approved: bool, ends: str) -> dict[str, Any]:
    """Return an entry of an approvals file; without namespaces it is for the whole cluster."""
    subject = {key: value for key, value in who.items() if key != "apiGroup"}
    scope: dict[str, Any] = {"namespaces": spaces} if spaces else {"clusterWide": True}
    expires = {"expires": ends} if ends else {}
    return {"subject": subject, "approved": approved, **scope, **expires}


decisions = st.lists(
    st.builds(
        decision,
        people,
        st.lists(st.sampled_from(SPACES), max_size=3, unique=True),
        st.booleans(),
        st.sampled_from(["", "2026-11-22", "2026-11-23"]),
    ),
    max_size=4,
    unique_by=lambda entry: str(entry["subject"]),
)


def held(snapshot: Snapshot) -> set[tuple[RequiredBinding, str]]:
    """Return who holds which action of migration, by bindings, where."""
    return {
        (RequiredBinding(namespace, subject), str(action))
        for subject, action, namespace in access_of(snapshot, live_migration().granting)
    }


@examples(40)
@given(extra=st.lists(bound, max_size=5, unique_by=lambda b: b["metadata"]["name"]), file=decisions)
def test_the_bundle_gives_exactly_what_is_approved(
    extra: list[dict[str, Any]], file: list[dict[str, Any]]
) -> None:
    head = {"apiVersion": "rbacguard.io/v1alpha1", "kind": "MigrationAccess"}
    access = parse_approvals({**head, "approvals": file})
    snapshot = from_objects([*objects("A"), *extra])
    plan = make_plan(snapshot, parse_release("4.20"))
    request = Request(
        strategy=GenerateStrategy.PREBIND,
        temporary_role="none",
        restore_default=(),
        access=access,
        expires=None,
        force=False,
        today=TODAY,
        version="0",
    )
    bundle = make_bundle(snapshot, plan, request)
    made = from_objects([*objects("A"), *extra, *map(dict, bundle.objects)])
    anyway = held(apply_update(snapshot, plan.now, plan.target))
    after = held(apply_update(made, plan.now, plan.target))
    approved = set(Decisions(access, TODAY).required)
    actions = {str(action) for action in live_migration().granting}
    assert anyway <= after
    # Nothing more: whatever came on top stands in the approvals, in that very scope.
    assert {need for need, _ in after - anyway} <= approved
    # Nothing less: everybody who is approved holds all of it there, or in the whole cluster.
    for need in approved:
        everywhere = RequiredBinding("", need.subject)
        assert all({(need, a), (everywhere, a)} & after for a in actions), need
