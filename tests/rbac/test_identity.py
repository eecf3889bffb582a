"""Users, their groups, and the users to whom a subject applies."""

from __future__ import annotations

import pytest

from rbacguard.rbac import Subject
from rbacguard.rbac.identity import User, identify_subject, service_account_groups

PROBE_USER = "probe"


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        (
            "system:serviceaccount:web:bot",
            ("system:serviceaccounts", "system:serviceaccounts:web"),
        ),
        (
            "system:serviceaccount:web:a:b",
            ("system:serviceaccounts", "system:serviceaccounts:web"),
        ),
        ("system:serviceaccount:web", ()),
        ("system:serviceaccount:web:", ()),
        ("system:serviceaccount::bot", ()),
        ("web:bot", ()),
        ("alice", ()),
    ],
)
def test_the_groups_of_a_service_account_follow_from_its_user_name(
    name: str, groups: tuple[str, ...]
) -> None:
    assert service_account_groups(name) == groups


@pytest.mark.parametrize(
    ("subject", "name", "groups"),
    [
        (Subject("User", "alice"), "alice", ("system:authenticated",)),
        (
            Subject("User", "system:serviceaccount:web:bot"),
            "system:serviceaccount:web:bot",
            ("system:serviceaccounts", "system:serviceaccounts:web", "system:authenticated"),
        ),
        (
            Subject("ServiceAccount", "bot", "web"),
            "system:serviceaccount:web:bot",
            ("system:serviceaccounts", "system:serviceaccounts:web", "system:authenticated"),
        ),
        (Subject("Group", "devs"), PROBE_USER, ("devs", "system:authenticated")),
        (Subject("Group", "system:authenticated"), PROBE_USER, ("system:authenticated",)),
    ],
)
def test_a_subject_has_no_more_groups_than_it_must_have(
    subject: Subject, name: str, groups: tuple[str, ...]
) -> None:
    assert identify_subject(subject, nobody=PROBE_USER) == User(name, groups)
