"""The difference in access between two states of a cluster."""

from __future__ import annotations

from conftest import objects, state

from rbacguard.kubevirt.access import in_order
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.queries.diff import diff
from rbacguard.rbac.access import Change
from rbacguard.sources import from_objects


def test_a_diff_has_both_states_and_the_actions() -> None:
    found = diff(state("A"), state("E"))
    assert (found.before.restricted, found.after.restricted) == (False, True)
    assert found.origins == (None, None)
    assert found.actions == in_order(found.actions)
    assert {str(action) for action in found.actions} > {
        str(action) for action in live_migration().actions
    }
    assert {change.change for change in found.changes} == {Change.LOST}


def test_a_diff_has_the_gaps_of_both_states() -> None:
    some = from_objects([each for each in objects("A") if each["kind"] != "Role"])
    other = from_objects([each for each in objects("E") if each["kind"] != "ClusterRole"])
    assert [gap[:22] for gap in diff(some, other).gaps] == [
        "before: Role: not in t",
        "after: ClusterRole: no",
    ]
