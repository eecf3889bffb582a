"""Use of the permission in audit logs."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path

import pytest
import yaml
from assessments import Object
from conftest import STATES, Run, account, binding, group, objects, user
from workload_objects import event

from rbacguard import Subject
from rbacguard.approvals.usage import UsageRecord, extract_usage, unused_grants
from rbacguard.errors import InputError
from rbacguard.sources import from_objects
from rbacguard.sources.audit_log import read_audit_logs

MIGRATE = {"resource": "virtualmachines", "subresource": "migrate"}


NO_USE: list[Object] = [
    event("list", "zoe"),
    event("get", "zoe"),
    event("watch", "zoe"),
    event("create", "zoe", responseStatus={"code": 199}),
    event("create", "zoe", responseStatus={"code": 300}),
    event("create", "zoe", stage="RequestReceived"),
    event("create", "zoe", responseStatus={"code": 403}),
    event("create", "zoe", responseStatus={}),
    event("create", "zoe", target={"resource": "virtualmachines"}),
    event("create", "zoe", kind="Policy"),
    event("create", ""),
    event("create", "zoe", user="zoe"),
    event("create", "zoe", requestReceivedTimestamp=5),
    {},
]


def test_a_use_is_an_allowed_request_of_the_permission() -> None:
    assert extract_usage(NO_USE, None) == ()
    # An event that does not count does not hide later events.
    assert [each.count for each in extract_usage([*NO_USE, event("create", "zoe")], None)] == [1]
    for code in (200, 299):
        allowed = event("create", "zoe", responseStatus={"code": code})
        assert len(extract_usage([allowed], None)) == 1
    (nowhere,) = extract_usage([event("create", "zoe", target={"namespace": None})], None)
    assert nowhere.namespace == ""
    late = "2026-11-22T08:00:00.000000Z"
    boss = {"username": "boss", "groups": ["bosses"]}
    found = extract_usage(
        [
            event("create", "zoe"),
            event("create", "zoe", requestReceivedTimestamp=late),
            event("update", "zoe", target=MIGRATE),
            event("delete", "yan", impersonatedUser=boss),
        ],
        None,
    )
    groups = ("devs", "system:authenticated")
    early = "2026-11-20T08:00:00.000000Z"
    assert found == (
        UsageRecord("web", "boss", ("bosses",), "delete", 1, early),
        UsageRecord("web", "zoe", groups, "create", 2, late),
        UsageRecord("web", "zoe", groups, "update virtualmachines/migrate", 1, early),
    )
    since = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    assert extract_usage([event("create", "zoe")], since) == ()
    newer = event("create", "zoe", requestReceivedTimestamp=late)
    assert [each.count for each in extract_usage([event("create", "zoe"), newer], since)] == [1]
    exactly = datetime.datetime(2026, 11, 22, 8, tzinfo=datetime.UTC)
    assert [each.count for each in extract_usage([newer], exactly)] == [1]
    alone = event("delete", "yan", impersonatedUser={"username": "boss"})
    assert extract_usage([alone], None) == (UsageRecord("web", "boss", (), "delete", 1, early),)


def test_unused_permissions_are_listed_by_user_group_and_service_account() -> None:
    robot = "system:serviceaccount:web:bot"
    more = [
        binding("b1", "kubevirt.io:migrate", user("zoe"), user("yan"), namespace="web"),
        binding("b2", "kubevirt.io:migrate", group("devs"), group("ops"), namespace="web"),
        binding("b3", "kubevirt.io:migrate", account("bot"), account("idle"), namespace="web"),
        binding("b4", "kubevirt.io:migrate", group("system:serviceaccounts:web"), namespace="web"),
        binding("b5", "kubevirt.io:migrate", group("system:masters"), namespace="web"),
    ]
    kept = [o for o in objects("E") if o["kind"] not in ("RoleBinding", "ClusterRoleBinding")]
    snapshot = from_objects([*kept, *more])
    everybody = unused_grants(snapshot, ())
    assert len(everybody) == 7
    bot = event("create", robot, user={"username": robot})
    used = extract_usage([event("create", "zoe"), bot], None)
    assert unused_grants(snapshot, used) == (
        Subject("Group", "ops"),
        Subject("ServiceAccount", "idle", "web"),
        Subject("User", "yan"),
    )


def test_new_approvals_show_the_usage_in_the_audit_log(run: Run, tmp_path: Path) -> None:
    log, out = tmp_path / "audit.log", tmp_path / "approvals.yaml"
    events = [
        event("create", "alice", target={"namespace": "payments"}),
        event("delete", "alice", target={"namespace": "payments"}),
        event("create", "carol", target={"namespace": "elsewhere"}),
    ]
    log.write_text("".join(json.dumps(each) + "\n" for each in events))
    args = ("--to", "4.20", "-o", str(out), "--audit-log", str(log))
    done = run("approvals", "init", "-f", str(STATES["A"]), *args)
    assert done.returncode == 0, done.stderr
    reasons = {
        each["subject"]["name"]: each["reason"].partition("; ")[2]
        for each in yaml.safe_load(out.read_text())["approvals"]
    }
    assert reasons["alice"] == "used 2 times, last on 2026-11-20"
    # A use in another namespace does not count.
    assert reasons["carol"] == "not used in the audit log"


@pytest.mark.parametrize("packed", [False, True])
def test_an_audit_log_can_be_compressed(tmp_path: Path, packed: bool) -> None:
    lines = [event("create", "zoe"), {"kind": "EventList", "items": [event("delete", "yan"), 5]}]
    data = b"\n".join(json.dumps(each).encode() for each in lines) + b"\n\n"
    path = tmp_path / "audit.log"
    path.write_bytes(gzip.compress(data) if packed else data)
    found = extract_usage(read_audit_logs([str(path)]), None)
    assert [(each.user, each.verb) for each in found] == [("yan", "delete"), ("zoe", "create")]


@pytest.mark.parametrize("line", [b"{", b"[]", b"5", b"\xff", b'{"a": "\xdd"}', b"[" * 100_000])
def test_a_line_that_is_not_an_event_is_an_error_with_its_number(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"{}\n" + line + b"\n")
    with pytest.raises(InputError, match=r"audit\.log, line 2: expected an audit event as JSON"):
        list(read_audit_logs([str(path)]))
