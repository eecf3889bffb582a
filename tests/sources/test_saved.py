"""A saved snapshot is the cluster again: whole, checkable, deterministic, and without secrets."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import zstandard
from conftest import STATES, account, binding, group, objects, role, rule, selecting, state, user
from msgspec.structs import replace

from rbacguard import Snapshot
from rbacguard.errors import InputError
from rbacguard.policy import Context, evaluate, load_policies
from rbacguard.snapshot.coverage import ClusterOrigin, Coverage
from rbacguard.sources import from_objects, load, snapshot_of
from rbacguard.sources import snapshot_file as saved
from rbacguard.sources.decode import read_objects
from rbacguard.sources.redact import redact

ORIGIN = ClusterOrigin(
    context="prod",
    server="https://api.prod.example:6443",
    user="auditor",
    cluster_id="0b7c-uid",
    server_version="v1.33.1",
    started="2026-11-23T10:00:00Z",
    finished="2026-11-23T10:00:02Z",
    resource_versions={"ClusterRole": "7"},
)


def with_origin(snapshot: Snapshot, origin: ClusterOrigin = ORIGIN) -> Snapshot:
    """Return a snapshot as if it had been read from a cluster."""
    read = snapshot.coverage
    coverage = Coverage(read.kinds, read.problems, read.skipped, origin)
    return Snapshot(
        snapshot.by_kind,
        coverage=coverage,
        invalid_fields=snapshot.invalid_fields,
    )


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def unpacked(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zstandard.decompress(data))
    return found


def packed(value: object) -> bytes:
    return zstandard.compress(json.dumps(value, separators=(",", ":")).encode())


@pytest.mark.parametrize("letter", STATES)
def test_what_was_saved_is_what_is_read(letter: str, tmp_path: Path) -> None:
    before = with_origin(state(letter))
    after = load([write(tmp_path / "s", saved.encode(before))])
    assert after.cluster_roles.keys() == before.cluster_roles.keys()
    assert after.rules == before.rules
    assert [(b.ref, b.role_ref, b.subjects) for b in after.bindings] == [
        (b.ref, b.role_ref, b.subjects) for b in before.bindings
    ]
    assert after.groups == before.groups
    assert after.aggregation == before.aggregation
    # The file that it was read from is another one, and nothing else is.
    assert [each.files for each in after.coverage.inputs] == [1]
    assert replace(after.coverage, inputs=before.coverage.inputs) == before.coverage


def findings(snapshot: Snapshot) -> list[tuple[str, str]]:
    context = Context(snapshot, today=datetime.date(2026, 11, 23))
    return sorted(
        (f.policy, f.message) for r in evaluate(load_policies(), context) for f in r.findings
    )


@pytest.mark.parametrize("letter", STATES)
def test_findings_are_the_same(letter: str, tmp_path: Path) -> None:
    after = load([write(tmp_path / "s", saved.encode(state(letter)))])
    assert findings(after) == findings(state(letter))


def test_odd_roles_come_back_as_they_were(tmp_path: Path) -> None:
    """An empty selector, an empty aggregation rule and a label of '' mean something."""
    odd = [
        role("all", aggregationRule=selecting({}), labels={"kubevirt.io": ""}),
        role("none", aggregationRule={"clusterRoleSelectors": []}),
        role("empty", {"verbs": [], "apiGroups": [""], "resources": ["pods"]}),
        role("urls", {"verbs": ["get"], "nonResourceURLs": ["/healthz"]}),
        binding("b", "all", account("a"), group("="), user("\u202e"), namespace="ns"),
    ]
    before = from_objects(odd)
    after = load([write(tmp_path / "s", saved.encode(before))])
    assert after.cluster_roles == before.cluster_roles
    assert after.bindings == before.bindings


def test_the_content_is_the_same_for_the_same_state_and_order_does_not_matter() -> None:
    later = ClusterOrigin(context="prod", finished="2027-01-01T00:00:00Z")
    one = unpacked(saved.encode(with_origin(from_objects(objects("A")))))
    two = unpacked(saved.encode(with_origin(from_objects(reversed(objects("A"))), later)))
    assert one["digests"]["content"] == two["digests"]["content"]
    assert one["content"] == two["content"]
    assert one["digests"]["origin"] != two["digests"]["origin"]
    assert saved.encode(with_origin(state("A"))) == saved.encode(with_origin(state("A")))


def test_it_fits_its_published_schema() -> None:
    schema = saved.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    value = unpacked(saved.encode(with_origin(state("C"))))
    validator.validate(value)
    broken: dict[str, Any]
    for broken in ({"kind": "Other"}, {"content": {}}, {"digests": {}}):
        assert not validator.is_valid({**value, **broken})


def test_nothing_that_may_be_secret_is_saved() -> None:
    items = objects("A")
    for item in items:
        annotations = item["metadata"].setdefault("annotations", {})
        annotations["kubectl.kubernetes.io/last-applied-configuration"] = '{"password": "hunter2"}'
        annotations["example.com/token"] = "hunter2"
        if item["kind"] in ("KubeVirt", "HyperConverged"):
            item["spec"] = {
                "imagePullSecrets": ["hunter2"],
                "customizeComponents": {"patches": ["hunter2"]},
                "configuration": {
                    "token": "hunter2",
                    "migrations": {"parallelMigrationsPerCluster": 5},
                },
            }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "n"},
        "data": {"k": "hunter2"},
    }
    text = zstandard.decompress(saved.encode(from_objects([*items, secret]))).decode()
    assert "hunter2" not in text
    assert "parallelMigrationsPerCluster" in text


CHANGED = {
    "content": lambda v: {**v, "content": {**v["content"], "problems": ["nothing"]}},
    "origin": lambda v: {**v, "origin": {**v["origin"], "finished": "2030-01-01T00:00:00Z"}},
}


@pytest.mark.parametrize("part", CHANGED)
def test_what_was_changed_afterwards_is_refused(part: str, tmp_path: Path) -> None:
    value = CHANGED[part](unpacked(saved.encode(with_origin(state("D")))))
    with pytest.raises(InputError, match=f"its {part} is not what was saved"):
        load([write(tmp_path / "s", packed(value))])


BROKEN = {
    "later format": (
        lambda v: {**v, "apiVersion": "rbacguard.io/snapshot/v2"},
        "saved as 'rbacguard.io/snapshot/v2', expected 'rbacguard.io/snapshot/v1'",
    ),
    "no content": (
        lambda v: {k: x for k, x in v.items() if k != "content"},
        "not a whole saved snapshot",
    ),
    "digests of a number": (lambda v: {**v, "digests": 1}, "not a whole saved snapshot"),
}


@pytest.mark.parametrize(("change", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_snapshot_is_one_line(change: Any, expected: str, tmp_path: Path) -> None:
    value = change(unpacked(saved.encode(state("D"))))
    with pytest.raises(InputError) as caught:
        load([write(tmp_path / "s", packed(value))])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_snapshot_is_no_snapshot(tmp_path: Path) -> None:
    data = saved.encode(state("D"))
    for length in (5, len(data) // 2, len(data) - 1):
        with pytest.raises(InputError):
            load([write(tmp_path / "s", data[:length])])


def test_two_clusters_are_not_mixed(tmp_path: Path) -> None:
    one = write(tmp_path / "1", saved.encode(with_origin(state("A"))))
    other = ClusterOrigin(context="other", cluster_id="another")
    two = write(tmp_path / "2", saved.encode(with_origin(state("A"), other)))
    with pytest.raises(InputError, match="a second snapshot; give one state of a cluster"):
        load([one, two])


def test_gaps_are_saved_too(tmp_path: Path) -> None:
    reading = read_objects([o for o in objects("A") if o["kind"] != "RoleBinding"])
    snapshot = snapshot_of(reading)
    after = load([write(tmp_path / "s", saved.encode(snapshot))])
    assert after.coverage.missing() == snapshot.coverage.missing() != ()


NAMES = {
    "users": {"alice", "carol", "dana", "frank", "Bob@example.com", "root", "yes", "123"},
    "groups": {"payments-devs", "payments-admins", "platform-vm", "cluster-admins"},
    "namespaces": {"payments", "web", "legacy", "data"},  # batch is an API group too
}


def test_a_redacted_snapshot_still_identifies_its_cluster() -> None:
    """The key of replaced names follows from the UID of kube-system, so the UID is replaced."""
    before, after = state("A"), state("D")
    assert before.cluster_id == after.cluster_id != ""
    assert redact(before).cluster_id == redact(after).cluster_id
    assert before.cluster_id not in zstandard.decompress(saved.encode(redact(before))).decode()


def test_redaction_leaves_no_name() -> None:
    text = zstandard.decompress(saved.encode(redact(with_origin(state("D"))))).decode()
    strings = set(re.findall(r'"((?:[^"\\]|\\.)*)"', text))
    words = {word for string in strings for word in re.split(r"[:/ ]", string)}
    for names in NAMES.values():
        assert not names & (strings | words)
    assert "api.prod.example" not in text
    assert "0b7c-uid" not in text
    assert '"redacted":true' in text


@pytest.mark.parametrize("letter", STATES)
def test_findings_hold_on_a_redacted_snapshot(letter: str, tmp_path: Path) -> None:
    before = with_origin(state(letter))
    after = load([write(tmp_path / "s", saved.encode(redact(before)))])
    expected = Counter(policy for policy, _ in findings(before))
    assert Counter(policy for policy, _ in findings(after)) == expected
    assert after.authorizer is not None


def test_a_name_is_replaced_alike_in_every_snapshot_of_a_cluster() -> None:
    before, after = redact(with_origin(state("A"))), redact(with_origin(state("D")))
    subjects = [
        {s.name for b in snapshot.bindings for s in b.subjects if s.kind == "User"}
        for snapshot in (before, after)
    ]
    assert subjects[0] <= subjects[1]
    elsewhere = redact(with_origin(state("A"), ClusterOrigin(context="x", cluster_id="other")))
    others = {s.name for b in elsewhere.bindings for s in b.subjects if s.kind == "User"}
    assert not {n for n in others if n.startswith("user-")} & subjects[0]


def test_groups_accounts_and_restrictions_stay_joined_to_their_names() -> None:
    items = [
        role("r", rule("get", "core", "pods", resourceNames=["alice", "other"])),
        role("own", rule("get", "core", "pods"), kind="Role", namespace="web"),
        binding("b", "r", user("alice"), group("devs"), account("bot", "web"), namespace="web"),
        binding(
            "c", "own", user("system:serviceaccount:web:bot"), namespace="web", role_kind="Role"
        ),
        binding("e", "system:x", account("bot"), namespace="web"),
        binding("d", "r", group("system:serviceaccounts:web")),
        {
            "apiVersion": "user.openshift.io/v1",
            "kind": "Group",
            "metadata": {"name": "devs"},
            "users": ["alice"],
        },
        {
            "apiVersion": "authorization.openshift.io/v1",
            "kind": "RoleBindingRestriction",
            "metadata": {"name": "only", "namespace": "web"},
            "spec": {"userrestriction": {"users": ["alice"], "groups": ["devs"]}},
        },
        {
            "apiVersion": "authorization.openshift.io/v1",
            "kind": "RoleBindingRestriction",
            "metadata": {"name": "bots", "namespace": "web"},
            "spec": {
                "serviceaccountrestriction": {
                    "serviceaccounts": [{"name": "bot"}],
                    "namespaces": ["web"],
                }
            },
        },
    ]
    found = redact(from_objects(items))
    by_ref = {b.role_ref.name: b for b in found.bindings if b.ref.namespace}
    alice, devs, bot = by_ref["r"].subjects
    assert alice.name.startswith("user-")
    assert found.groups[devs.name] == (alice.name,)
    (web,) = {b.ref.namespace for b in found.bindings if b.ref.namespace}
    (own,) = [b for b in found.bindings if b.role_ref.kind == "Role"]
    assert own.subjects[0].name == f"system:serviceaccount:{bot.namespace}:{bot.name}"
    assert bot.namespace == web
    assert by_ref["system:x"].subjects[0].name == bot.name
    assert found.role(own.role_ref.key(web)) is not None
    (everybody,) = [b for b in found.bindings if not b.ref.namespace]
    assert everybody.subjects[0].name == f"system:serviceaccounts:{web}"
    users, bots = sorted(found.restrictions[web], key=lambda r: not r.spec.userrestriction)
    assert users.allows(alice, dict(found.groups))
    assert bots.allows(bot, {})
    (rule_of,) = found.cluster_roles["r"].rules
    assert rule_of.resource_names == (alice.name, "other")
    assert found.coverage.kinds["ClusterRole"].reasons[0].startswith("every cluster has")
