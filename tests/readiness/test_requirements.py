"""Storage, time, settings, migrations and evidence: worked out by hand, and as properties."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import DATA, ROOT, STATES, Run, account, binding, group, objects, user
from hypothesis import given
from hypothesis import strategies as st
from machines import (
    GIB,
    MODELS,
    OVERHEAD,
    claim,
    cluster,
    dump,
    hyperconverged,
    kubevirt,
    machine,
    migration,
    network,
    node,
    on_claim,
    policy,
    pool,
    ready,
    storage,
)
from strategies import examples

from rbacguard import Subject
from rbacguard.approvals.usage import Use, unused, uses
from rbacguard.errors import InputError
from rbacguard.kubevirt.releases import RELEASES, find_release
from rbacguard.manifests.tuning import tuning
from rbacguard.readiness.drain import Rollout, judge
from rbacguard.readiness.duration import Timing, data_size, drain_seconds, timing
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.migrations import AskedBy, migrations
from rbacguard.readiness.settings import defaults, settings
from rbacguard.readiness.volumes import claims
from rbacguard.sources import from_objects
from rbacguard.sources.audit_log import read_audit_logs
from rbacguard.sources.kubectl_yaml import is_machine_written

Object = dict[str, Any]
NOW = datetime.datetime(2026, 11, 23, 9, tzinfo=datetime.UTC)


def inventory(*values: Object | list[Object]) -> Inventory:
    flat: list[Object] = []
    for each in values:
        flat += each if isinstance(each, list) else [each]
    return Inventory.from_objects(flat)


def timed(vm: list[Object], link: Decimal | None = None, **setting: Any) -> Timing:
    found = inventory(node("a"), vm, kubevirt(migrations=setting))
    (only,) = found.machines.values()
    return timing(only, settings(found), link)


def test_the_timeout_counts_whole_gigabytes_of_a_thousand() -> None:
    """4 GiB are 4.29 GB, so 5 of them; 150 s each."""
    found = timed(machine("vm", "a", memory=4 * GIB))
    assert found.data == 4 * GIB
    assert found.timeout == 750
    # 1,000,000,000 bytes are exactly one; one MiB more are two.
    exact, more = machine("vm", "a"), machine("vm", "a")
    exact[0]["spec"]["domain"]["memory"]["guest"] = "1G"
    more[0]["spec"]["domain"]["memory"]["guest"] = "1000000001"
    assert (timed(exact).timeout, timed(more).timeout) == (150, 300)


def test_a_limited_migration_takes_its_memory_over_its_bandwidth() -> None:
    vm = machine("vm", "a", memory=4 * GIB)
    found = timed(vm, bandwidthPerMigration="64Mi")
    assert found.rate == 64 * 2**20
    assert found.seconds == 64
    assert found.too_slow is False
    slow = timed(vm, bandwidthPerMigration="5Mi")
    assert slow.seconds == Decimal(4 * GIB) / (5 * 2**20)
    assert slow.too_slow is True
    # Two leave the node at once, so each gets half of what the network carries.
    shared = timed(vm, Decimal(64 * 2**20))
    assert shared.rate == 32 * 2**20
    assert shared.seconds == 128
    # What is smaller counts.
    assert timed(vm, Decimal(2**40), bandwidthPerMigration="64Mi").seconds == 64
    assert timed(vm, Decimal(64 * 2**20), bandwidthPerMigration="1Gi").seconds == 128


def test_without_a_limit_and_a_link_nobody_knows_how_long_it_takes() -> None:
    found = timed(machine("vm", "a"))
    assert (found.rate, found.seconds, found.too_slow) == (None, None, None)


def test_memory_is_the_guests_before_what_is_requested() -> None:
    vm = machine("vm", "a", memory=2 * GIB)
    vm[0]["spec"]["domain"]["resources"] = {"requests": {"memory": "8Gi"}}
    assert timed(vm).data == 2 * GIB
    del vm[0]["spec"]["domain"]["memory"]
    assert timed(vm).data == 8 * GIB
    vm[0]["spec"]["domain"]["resources"] = {"requests": {"memory": "lots"}}
    assert timed(vm) == Timing(None, None, None, None)
    vm[0]["status"]["migrationMethod"] = "BlockMigration"
    (only,) = inventory(vm).machines.values()
    assert data_size(only) is None


def test_a_drain_takes_the_sum_shared_out_or_the_longest() -> None:
    def of(*seconds: int | None) -> list[Timing]:
        return [Timing(None, None, None if s is None else Decimal(s), None) for s in seconds]

    assert drain_seconds(of(60, 60, 60, 60), Decimal(2)) == 120
    assert drain_seconds(of(10, 10, 100), Decimal(2)) == 100
    assert drain_seconds(of(), Decimal(2)) == 0
    assert drain_seconds(of(10, None), Decimal(2)) is None


@examples(60)
@given(
    sizes=st.lists(st.integers(1, 64), min_size=1, max_size=6),
    more=st.integers(1, 64),
    limit=st.integers(1, 2000),
)
def test_more_memory_never_makes_a_drain_shorter(sizes: list[int], more: int, limit: int) -> None:
    def seconds(found: list[int]) -> Decimal:
        vms = [machine(f"vm{n}", "a", memory=size * GIB) for n, size in enumerate(found)]
        setting = kubevirt(migrations={"bandwidthPerMigration": f"{limit}Mi"})
        nodes = [node("a"), node("b", memory="1000Gi")]
        (drain,) = judge(inventory(nodes, setting, *vms)).drains
        assert drain.seconds is not None
        return drain.seconds

    assert seconds([*sizes, more]) >= seconds(sizes)
    assert seconds([sizes[0] + more, *sizes[1:]]) >= seconds(sizes)


def test_a_policy_changes_the_limits_of_the_machines_that_it_selects() -> None:
    fast = policy("fast", machine={"kubevirt.io/domain": "one"}, bandwidthPerMigration="128Mi")
    vms = [machine("one", "a"), machine("two", "a")]
    found = judge(
        inventory(
            node("a"), node("b"), kubevirt(migrations={"bandwidthPerMigration": "64Mi"}), fast, *vms
        )
    )
    assert {key.name: each.seconds for key, each in found.timings.items()} == {"one": 32, "two": 64}
    assert {key.name: each for key, each in found.policies.items()} == {"one": "fast"}
    limits = {key.name: each for key, each in found.limits.items()}
    assert limits["one"]["bandwidthPerMigration"].set_by == "MigrationPolicy fast"
    assert limits["one"]["progressTimeout"] == limits["two"]["progressTimeout"]


DEFAULTS = {
    # KubeVirt's timeout, HyperConverged's, and how many migrations leave a node at once.
    "4.16": (800, 800, 2),
    "4.17": (800, 800, 2),
    "4.18": (150, 150, 2),
    "4.22": (150, 150, 2),
    "5.0": (150, 20, 1),
}


@pytest.mark.parametrize("version", DEFAULTS)
def test_defaults_are_those_of_the_release(version: str) -> None:
    release = find_release(version)
    own, theirs = defaults("KubeVirt", release), defaults("HyperConverged", release)
    assert (
        own["completionTimeoutPerGiB"],
        theirs["completionTimeoutPerGiB"],
        theirs["parallelOutboundMigrationsPerNode"],
    ) == DEFAULTS[version]
    assert own["parallelOutboundMigrationsPerNode"] == 2
    for component in ("KubeVirt", "HyperConverged"):
        newest = defaults(component, RELEASES[-1])
        assert defaults(component, None) == newest


def test_the_release_is_read_from_kubevirt_then_from_hyperconverged() -> None:
    old = kubevirt()
    old["status"]["observedKubeVirtVersion"] = "v1.3.1"
    found = settings(inventory(node("a"), old, hyperconverged("1.19.0")))
    assert found["completionTimeoutPerGiB"].value == 800
    assert found["completionTimeoutPerGiB"].set_by == "default of KubeVirt"
    alone = settings(inventory(node("a"), hyperconverged("1.19.0", new=True, network="m")))
    assert (alone["completionTimeoutPerGiB"].value, alone["network"].value) == (20, "m")
    assert alone["completionTimeoutPerGiB"].set_by == "default of HyperConverged"
    unknown = settings(inventory(node("a"), hyperconverged("9.9.9")))
    assert unknown["completionTimeoutPerGiB"].set_by.endswith("(of the newest release)")


ONCE = ("ReadWriteOnce",)


@pytest.mark.parametrize(
    ("claimed", "classes", "modes", "shared", "shares"),
    [
        (claim("d"), [], ONCE, True, None),
        (claim("d", modes=ONCE), [], ONCE, False, None),
        (claim("d", modes=ONCE), storage("shared", "ReadWriteMany"), ONCE, False, True),
        (claim("d", modes=ONCE), storage("shared", "ReadWriteOnce"), ONCE, False, False),
        (claim("d", modes=ONCE), storage("shared"), ONCE, False, None),
        (None, storage("shared", "ReadWriteMany"), ("ReadWriteMany",), True, None),
        (
            claim("d", volumeMode="Filesystem"),
            storage("shared", "ReadWriteMany"),
            ONCE,
            True,
            False,
        ),
    ],
)
def test_a_claim_is_shared_by_its_modes_and_a_class_by_its_profile(
    claimed: Object | None,
    classes: list[Object],
    modes: tuple[str, ...],
    shared: bool,
    shares: bool | None,
) -> None:
    vm = on_claim(machine("vm", "a"), "d", *modes)
    (found,) = claims(inventory(vm, classes, claimed or [], claim("unused", modes=ONCE)))
    assert (found.is_shared, found.class_shares) == (shared, shares)
    assert found.used_by == ("web/vm",)


def test_a_claim_of_two_machines_is_told_once() -> None:
    vms = [on_claim(machine(name, "a"), "d") for name in ("one", "two")]
    (found,) = claims(inventory(*vms, claim("d")))
    assert found.used_by == ("web/one", "web/two")


def test_migrations_tell_for_what_they_were_made_and_how_far_they_are() -> None:
    update = migration("u", "vm", annotations={"kubevirt.io/workloadUpdateMigration": ""})
    named = migration("g", "vm", generateName="kubevirt-evacuation-")
    pending = migration("p", "vm", "Pending", created="2026-11-23T08:59:00Z")
    pending["status"]["conditions"] = [
        {"type": "migrationRejectedByResourceQuota", "status": "True", "message": "exceeded quota"}
    ]
    cancelled = migration("c", "vm", deletionTimestamp="2026-11-23T08:30:00Z")
    failed = migration("f", "vm", "Failed")
    failed["status"]["migrationState"]["failureReason"] = "lost"
    bare = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": "bare", "namespace": "web"},
    }
    drain = migration("d", "vm", node="a")
    items = [update, named, pending, cancelled, failed, bare, drain]
    found = {each.key.name: each for each in migrations(inventory(*items), NOW)}
    assert {name: each.asked_by for name, each in found.items()} == {
        **dict.fromkeys(("p", "c", "f", "bare"), AskedBy.SOMEBODY),
        **dict.fromkeys(("g", "d"), AskedBy.DRAIN),
        "u": AskedBy.UPDATE,
    }
    assert (found["p"].age, found["p"].reason) == (60, "exceeded quota")
    assert [name for name, each in found.items() if each.deleted] == ["c"]
    assert (found["f"].is_running, found["f"].reason) == (False, "lost")
    assert (found["bare"].age, found["bare"].manager, found["bare"].phase) == (None, "", "")
    assert (found["d"].manager, found["c"].manager) == ("virt-controller", "virtctl")
    # Those under way come first.
    assert list(found)[-1] == "f"


def test_who_made_a_migration_is_told_whatever_form_the_dump_has(tmp_path: Path) -> None:
    items = [migration("m", "vm", manager="argocd"), *machine("vm", "a")]
    for item in items:
        item["metadata"]["uid"] = "8d5c1e0f-7f0e-4b8e-9a56-3f3d7c1f3f11"
    listed = {"apiVersion": "v1", "items": items, "kind": "List"}
    path = tmp_path / "dump.yaml"
    path.write_text(yaml.safe_dump(listed), "utf-8")
    assert is_machine_written(path.read_bytes())
    (found,) = migrations(Inventory.load([str(path)]), NOW)
    assert found.manager == "argocd"


def event(verb: str, who: str, **more: Any) -> Object:
    """Return an audit event as the API server writes it."""
    target = {
        "resource": "virtualmachineinstancemigrations",
        "namespace": "web",
        "apiGroup": "kubevirt.io",
        "apiVersion": "v1",
        **more.pop("target", {}),
    }
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": who, "groups": ["devs", "system:authenticated"]},
        "objectRef": target,
        "responseStatus": {"code": 201},
        "requestReceivedTimestamp": "2026-11-20T08:00:00.000000Z",
        **more,
    }


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


def test_a_use_is_a_request_of_the_permission_that_was_allowed() -> None:
    assert uses(NO_USE, None) == ()
    # What does not count hides nothing that comes after it.
    assert [each.count for each in uses([*NO_USE, event("create", "zoe")], None)] == [1]
    for code in (200, 299):
        assert len(uses([event("create", "zoe", responseStatus={"code": code})], None)) == 1
    (nowhere,) = uses([event("create", "zoe", target={"namespace": None})], None)
    assert nowhere.namespace == ""
    late = "2026-11-22T08:00:00.000000Z"
    boss = {"username": "boss", "groups": ["bosses"]}
    found = uses(
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
        Use("web", "boss", ("bosses",), "delete", 1, early),
        Use("web", "zoe", groups, "create", 2, late),
        Use("web", "zoe", groups, "update virtualmachines/migrate", 1, early),
    )
    since = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    assert uses([event("create", "zoe")], since) == ()
    newer = event("create", "zoe", requestReceivedTimestamp=late)
    assert [each.count for each in uses([event("create", "zoe"), newer], since)] == [1]
    exactly = datetime.datetime(2026, 11, 22, 8, tzinfo=datetime.UTC)
    assert [each.count for each in uses([newer], exactly)] == [1]
    alone = event("delete", "yan", impersonatedUser={"username": "boss"})
    assert uses([alone], None) == (Use("web", "boss", (), "delete", 1, early),)


def test_who_holds_it_and_did_not_use_it_is_told_by_user_group_and_account() -> None:
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
    everybody = unused(snapshot, ())
    assert len(everybody) == 7
    bot = event("create", robot, user={"username": robot})
    used = uses([event("create", "zoe"), bot], None)
    assert unused(snapshot, used) == (
        Subject("Group", "ops"),
        Subject("ServiceAccount", "idle", "web"),
        Subject("User", "yan"),
    )


def test_the_log_is_told_beside_each_entry_to_be_decided(run: Run, tmp_path: Path) -> None:
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
    # What he did elsewhere is no use here.
    assert reasons["carol"] == "not used in the audit log given"


METRICS = {
    # kubevirt/kubevirt v1.9 docs/observability/metrics.md
    f"kubevirt_vmi_{name}"
    for name in (
        "migration_data_bytes_total",
        "migration_data_processed_bytes",
        "migration_data_remaining_bytes",
        "migration_data_total_bytes",
        "migration_dirty_memory_rate_bytes",
        "migration_end_time_seconds",
        "migration_failed",
        "migration_memory_transfer_rate_bytes",
        "migration_phase_transition_time_from_creation_seconds",
        "migration_start_time_seconds",
        "migration_succeeded",
        "migrations_in_pending_phase",
        "migrations_in_running_phase",
        "migrations_in_scheduling_phase",
        "migrations_in_unset_phase",
        "non_evictable",
    )
}


def test_rules_and_queries_name_metrics_that_there_are() -> None:
    rules = (ROOT / "examples" / "monitoring" / "live-migration-rules.yaml").read_text("utf-8")
    guide = (ROOT / "docs" / "how-to" / "watch-migrations.md").read_text("utf-8")
    for text in (rules, guide):
        named = set(re.findall(r"\bkubevirt_[a-z_]+", text))
        assert len(named) > 4
        assert named <= METRICS
    (each,) = yaml.safe_load(rules)["spec"]["groups"]
    assert {rule["alert"] for rule in each["rules"]} >= {"LiveMigrationsWait"}
    assert all(rule["annotations"]["summary"] for rule in each["rules"])


@pytest.mark.parametrize("packed", [False, True])
def test_an_audit_log_is_read_plain_or_packed(tmp_path: Path, packed: bool) -> None:
    lines = [event("create", "zoe"), {"kind": "EventList", "items": [event("delete", "yan"), 5]}]
    data = b"\n".join(json.dumps(each).encode() for each in lines) + b"\n\n"
    path = tmp_path / "audit.log"
    path.write_bytes(gzip.compress(data) if packed else data)
    found = uses(read_audit_logs([str(path)]), None)
    assert [(each.user, each.verb) for each in found] == [("yan", "delete"), ("zoe", "create")]


@pytest.mark.parametrize("line", [b"{", b"[]", b"5", b"\xff", b'{"a": "\xdd"}', b"[" * 100_000])
def test_a_line_that_is_no_event_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"{}\n" + line + b"\n")
    with pytest.raises(InputError, match=r"audit\.log, line 2: expected an audit event as JSON"):
        list(read_audit_logs([str(path)]))


def test_tuning_is_worked_out_by_hand_and_is_a_patch_of_its_version() -> None:
    """1.2 GB/s x 0.8 / 2 migrations = 457.76 MiB/s; a GB takes 2.09 s, twice that is 5 s."""
    for new in (False, True):
        vm = machine("vm", "a", memory=8 * GIB)
        setting = kubevirt(migrations={"completionTimeoutPerGiB": 3})
        hco = hyperconverged(new=new, progressTimeout=99)
        found = inventory(node("a"), node("b"), vm, setting, hco)
        text = tuning(found, judge(found), Decimal("1.2e9"))
        patch = yaml.safe_load(text)["spec"]
        assert (patch["virtualization"] if new else patch) == {
            "liveMigrationConfig": {
                "bandwidthPerMigration": "457Mi",
                "completionTimeoutPerGiB": 5,
            }
        }
        assert "# HyperConverged" not in text
        assert "in namespace openshift-cnv; nothing was changed." in text
        assert "8 GiB, takes 18 s at least" in text


def test_tuning_leaves_what_is_enough_alone() -> None:
    found = inventory(*ready())
    text = tuning(found, judge(found), Decimal(2**40))
    assert yaml.safe_load(text) == {}
    assert "# Nothing of this needs to change." in text
    without = tuning(found, judge(found), None)
    assert "give it with --network-bandwidth" in without


def test_a_name_cannot_leave_its_comment() -> None:
    odd = hyperconverged()
    odd["metadata"]["name"] = "a\nspec: {evil: true}\n# \x1b[31m"
    found = inventory(node("a"), odd)
    text = tuning(found, judge(found), None)
    assert yaml.safe_load(text) == {}
    assert "\x1b" not in text


def rolled(*values: Object | list[Object], unavailable: int | str = 1) -> Rollout:
    return judge(inventory(kubevirt(), pool(unavailable=unavailable), *values)).rollout


def small(*names: str) -> list[Object]:
    """Return nodes with room for one machine of 6 GiB, but not for two."""
    return [node(name, memory="10Gi") for name in names]


def test_one_after_the_other_machines_move_on_into_what_was_freed() -> None:
    vms = [machine("one", "a", memory=6 * GIB), machine("two", "b", memory=6 * GIB)]
    found = rolled(small("a", "b", "c"), *vms)
    assert found.order == (("a",), ("b",), ("c",))
    assert (found.drained, found.completes, found.waits_for) == (3, True, ())
    # Two nodes at once need two free ones.
    both = rolled(small("a", "b", "c"), *vms, unavailable=2)
    assert both.order == (("a", "b"), ("c",))
    assert (both.drained, both.completes, both.waits_at) == (0, False, ("a", "b"))
    assert both.waits_for == ("web/two on b finds no place",)
    assert rolled(small("a", "b", "c", "d"), *vms, unavailable="50%").completes is True


def test_it_stops_where_a_machine_blocks_and_says_so() -> None:
    stuck = machine("vm", "b", reason="DisksNotLiveMigratable", message="no")
    found = rolled(small("a", "b", "c"), stuck)
    assert (found.drained, found.waits_at) == (1, ("b",))
    assert found.waits_for == ("web/vm on b blocks",)
    external = rolled(small("a", "b"), machine("vm", "a", strategy="External"))
    assert (external.completes, external.unknown) == (None, ("web/vm on a: waits",))


def test_machines_that_are_started_again_take_their_place_after_those_that_migrate() -> None:
    again = machine("again", "a", memory=6 * GIB, strategy="None")
    moves = machine("moves", "b", memory=6 * GIB)
    found = rolled(small("a", "b", "c"), again, moves)
    assert (found.completes, found.down) == (True, ())
    # On two nodes at once the free one is for the machine that a drain waits for.
    both = rolled(small("a", "b", "c"), again, moves, unavailable=2)
    assert (both.completes, both.drained) == (True, 2)
    assert both.down == ("web/again on a starts again only when a node is back",)
    # What is started again and again moves on as the others do.
    assert rolled(small("a", "b"), again).down == ()
    assert rolled(small("a"), again).down == both.down
    closed = [*small("a"), node("b", memory="1Gi")]
    closed[0]["spec"]["unschedulable"] = True
    assert rolled(closed, again).down == ("web/again on a finds no place to start again",)
    # A machine that stays stopped gives its place to others, one that is back does not.
    stopped = machine("again", "a", memory=6 * GIB, strategy="None", run="Manual")
    assert rolled(small("a", "b"), stopped, moves).waits_for == ()
    assert rolled(small("a", "b"), again, moves).waits_for == ("web/moves on b finds no place",)


def test_without_machines_in_the_input_nothing_is_said_to_suffice() -> None:
    found = judge(inventory(kubevirt(), pool(), node("a"), node("b")))
    assert found.memory.suffices is None
    assert (found.memory.highest, found.rollout.completes, found.ready) == (None, None, None)
    assert "VirtualMachineInstance: not in the input" in found.rollout.unknown


def test_started_again_a_machine_has_the_cpu_that_it_meets() -> None:
    cascade, _, epyc = MODELS
    nodes = [node("a", cascade, memory="512Gi"), node("b", epyc), node("c", cascade)]
    label = {f"cpu-model-migration.node.kubevirt.io/{cascade}": "true"}
    full = machine("full", "c", memory=250 * GIB, selector=label)
    vm = machine("vm", "a", memory=6 * GIB, strategy="None", selector=label)
    # It starts on the other maker's node, where a migration could not have taken it.
    found = rolled(nodes, full, vm)
    assert (found.completes, found.down) == (True, ())
    moves = machine("vm", "a", memory=6 * GIB, selector=label)
    assert rolled(nodes, full, moves).waits_for == ("web/vm on a finds no place",)


def test_a_pool_goes_by_zone_then_age_and_a_paused_one_not_at_all() -> None:
    zone = "topology.kubernetes.io/zone"
    nodes = [
        node("d", **{zone: "1"}),
        node("c", **{zone: "2"}),
        node("b", **{zone: "1"}),
        node("infra", **{"node-role.kubernetes.io/infra": ""}),
    ]
    nodes[0]["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    nodes[2]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    infra = pool("infra", **{"node-role.kubernetes.io/infra": ""})
    assert rolled(nodes, infra).order == (("infra", "b"), ("d",), ("c",))
    infra["spec"]["paused"] = True
    assert rolled(nodes, infra).order == (("b",), ("d",), ("c",))


@examples(40)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    nodes=st.integers(2, 4),
    unavailable=st.integers(1, 2),
)
def test_no_drain_of_the_order_puts_more_on_a_node_than_it_holds(
    sizes: list[int], nodes: int, unavailable: int
) -> None:
    """What the naive sum says to be impossible is never said to complete.

    Nodes begin with no more than they hold: what is too much from the start can stay where it is.
    """
    room = {f"n{number}": 10 * GIB for number in range(nodes)}
    vms = []
    for number, size in enumerate(sizes):
        at, needed = f"n{number % nodes}", size * GIB + OVERHEAD
        if needed <= room[at]:
            room[at] -= needed
            vms.append(machine(f"vm{number}", at, memory=size * GIB))
    found = rolled([node(name, memory="10Gi") for name in room], *vms, unavailable=unavailable)
    for batch in found.order[: found.drained]:
        # All that is used has to fit into the nodes that are left.
        assert sum(room.values()) >= len(batch) * 10 * GIB


def test_the_bundled_dumps_are_what_the_generator_makes() -> None:
    for name, new in (("v1beta1", False), ("v1", True)):
        data = gzip.decompress((DATA / f"machines-3-20-{name}.json.gz").read_bytes())
        assert data.decode("utf-8") == dump(3, 20, new=new)


def test_what_is_told_besides_changes_no_answer() -> None:
    parts, told = (
        judge(Inventory.from_objects(items))
        for items in (cluster(3, 20), json.loads(dump(3, 20))["items"])
    )
    assert parts.machines == told.machines
    # What the launchers ask for besides is little: all find a place, if another one.
    placed = [{place.key: bool(place.target) for place in drain.places} for drain in parts.drains]
    assert placed == [
        {place.key: bool(place.target) for place in drain.places} for drain in told.drains
    ]
    assert parts.rollout == told.rollout


@pytest.fixture(name="dump")
def dump_of_parts(tmp_path: Path) -> str:
    path = tmp_path / "machines.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": cluster(3, 20)}))
    return str(path)


def test_machines_can_be_saved_and_are_judged_alike(run: Run, dump: str, tmp_path: Path) -> None:
    saved, plain = tmp_path / "saved.zst", tmp_path / "plain.zst"
    whole = tmp_path / "whole.json"
    kinds = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    items = [*(o for o in objects("A") if o["kind"] in kinds), *cluster(3, 20)]
    whole.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for file, more in ((saved, ("--machines",)), (plain, ())):
        done = run("snapshot", "-f", str(whole), "-o", str(file), *more)
        assert done.returncode == 0, done.stderr
    reports = []
    for path in (str(whole), str(saved)):
        at = ("--at", "2026-11-23")
        report = json.loads(run("readiness", "-f", path, "-o", "json", *at).stdout)
        moves = json.loads(run("migrations", "-f", path, "-o", "json", *at).stdout)
        for each in (report, moves):
            del each["coverage"]
            for finding in each["findings"]:
                del finding["locations"], finding["commands"]
        reports.append((report, moves))
    assert reports[0] == reports[1]
    assert len(reports[0][0]["machines"]) == 20
    # Whoever asks about access does not see them.
    audits = [
        json.loads(run("audit", "-f", str(path), "-o", "json", "--today", "2026-11-23").stdout)
        for path in (saved, plain)
    ]
    for audit in audits:
        del audit["coverage"]["inputs"], audit["status"]["coverage"]["inputs"]
        assert "Node" not in {kind["kind"] for kind in audit["coverage"]["kinds"]}
    told = [{f["fingerprint"] for f in audit["findings"]} for audit in audits]
    assert told[0] == told[1]
    refused = run("snapshot", "-f", str(whole), "-o", str(plain), "--machines", "--redact")
    assert refused.returncode == 2
    without = json.loads(run("readiness", "-f", str(plain), "-o", "json").stdout)
    assert without["ready"] is None
    assert "VirtualMachineInstance: not in the input" in without["coverage"]["gaps"]


def test_an_inspect_tree_with_machines_is_judged_like_its_list(run: Run, tmp_path: Path) -> None:
    """As `oc adm inspect` and must-gather lay objects out: a folder for each namespace."""
    plurals = {"NetworkAttachmentDefinition": "network-attachment-definitions"}
    items = cluster(3, 20)
    for item in items:
        metadata, kind = item["metadata"], item["kind"]
        group = item["apiVersion"].rpartition("/")[0] or "core"
        plural = plurals.get(kind, kind.lower() + "s")
        namespace = metadata.get("namespace")
        place = f"namespaces/{namespace}" if namespace else "cluster-scoped-resources"
        path = tmp_path / "inspect" / place / group / plural / f"{metadata['name']}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n" + yaml.safe_dump(item))
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    found = [
        json.loads(run("readiness", "-f", str(path), "-o", "json").stdout)
        for path in (tmp_path / "inspect", plain)
    ]
    for key in ("ready", "nodes", "machines", "memory", "claims", "settings", "rollout"):
        assert found[0][key] == found[1][key], key


FORMS = ("json", "yaml", "sarif", "junit", "github", "gitlab", "csv", "markdown", "html")


@pytest.mark.parametrize("command", ["readiness", "migrations"])
@pytest.mark.parametrize("form", [*FORMS, "prometheus", "openreports"])
def test_both_commands_have_every_form_of_findings(
    run: Run, dump: str, command: str, form: str
) -> None:
    done = run(command, "-f", dump, "-o", form, "--at", "2026-11-23T09:00:00Z")
    assert not done.stderr, done.stderr
    assert done.returncode in (0, 1, 3)
    if command == "readiness" and form != "prometheus":
        assert "vm-00007" in done.stdout


@pytest.mark.parametrize("guest", ["1e999", 10**40, "9E", "-1e999"])
@pytest.mark.parametrize("rate", ["1n", "1e999", "512Mi"])
def test_no_size_that_a_tenant_writes_stops_the_report(
    guest: Any, rate: str, run: Run, tmp_path: Path
) -> None:
    items = [*ready(), *machine("vm", "worker-a"), *machine("other", "worker-a")]
    for item in items:
        if item["kind"] == "VirtualMachineInstance":
            item["spec"]["domain"]["memory"]["guest"] = guest
        if item["kind"] == "KubeVirt":
            item["spec"]["configuration"]["migrations"] = {"bandwidthPerMigration": rate}
    for left in (items, [item for item in items if item["kind"] != "Pod"]):
        path = tmp_path / "dump.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": left}))
        done = run("readiness", "-f", str(path), "-o", "json")
        assert done.returncode in (0, 1, 3), done.stderr
        assert len(json.loads(done.stdout)["machines"]) >= 2


def test_an_audit_can_tell_of_machines_too(run: Run, tmp_path: Path) -> None:
    kinds = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    items = [*(o for o in objects("E") if o["kind"] in kinds), *cluster(3, 20)]
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def asked(command: str, *more: str) -> str:
        done = run(command, "-f", str(path), *more)
        assert done.returncode == 1, done.stderr
        return done.stdout

    day = "2026-11-23"
    both = json.loads(asked("audit", "--machines", "-o", "json", "--today", day))
    alone = json.loads(asked("readiness", "-o", "json", "--at", f"{day}T00:00:00Z"))
    assert both["readiness"] == alone
    access = json.loads(asked("audit", "-o", "json", "--today", day))
    assert access["readiness"] is None
    assert {k: v for k, v in both.items() if k not in ("readiness", "coverage", "status")} == {
        k: v for k, v in access.items() if k not in ("readiness", "coverage", "status")
    }
    # Formats that list findings have those of both; the page has a section for each table.
    rules = {
        result["ruleId"]
        for each in json.loads(asked("audit", "--machines", "-o", "sarif"))["runs"]
        for result in each["results"]
    }
    assert {f["policy"] for f in (*alone["findings"], *access["findings"])} <= rules
    page = asked("audit", "--machines", "-o", "html")
    assert "Ready: not every drain completes." in page
    assert "Machines that do not simply move</h2>" in page
    assert page.count('<h2 id="findings">') == 1
    assert page.count(">VirtualMachineInstances<") == page.count(">ClusterRoles<") == 1
    text = asked("audit", "--machines")
    assert (
        text.index("WHO CAN MIGRATE TODAY") < text.index("READINESS") < text.index("SPARE MEMORY")
    )
    assert "READINESS" not in asked("audit")


def test_an_audit_ends_as_the_worse_of_both(run: Run, tmp_path: Path) -> None:
    def ended(*items: Object, more: tuple[str, ...] = ()) -> int:
        path = tmp_path / "dump.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        return run("audit", "-f", str(path), *more).returncode

    kept = [o for o in objects("D") if o["kind"] not in ("KubeVirt", "HyperConverged", "Namespace")]
    blocked = machine("vm", "worker-a", reason="DisksNotLiveMigratable", message="no")
    at = ("--fail-on", "critical", "--machines")
    assert ended(*kept, *ready(), more=at) == 0
    assert ended(*kept, *ready(), *blocked, more=at) == 1
    assert ended(*kept, *ready(), *blocked, more=at[:2]) == 0
    assert ended(*kept, *(o for o in ready() if o["kind"] != "Pod"), more=at) == 3


def test_findings_decide_how_it_ends_and_can_be_exempt(run: Run, tmp_path: Path) -> None:
    def ended(*values: Any, more: tuple[str, ...] = ()) -> int:
        flat = [o for each in values for o in (each if isinstance(each, list) else [each])]
        path = tmp_path / "dump.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": flat}))
        done = run("readiness", "-f", str(path), *more)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode

    access = objects("A")
    kept = [o for o in access if o["kind"] not in ("KubeVirt", "HyperConverged", "Namespace")]
    everything = [*kept, *ready()]
    assert ended(everything) == 0
    insecure = kubevirt(migrations={"disableTLS": True, "bandwidthPerMigration": "512Mi"})
    worse = [insecure, *(o for o in everything if o["kind"] != "KubeVirt")]
    assert ended(worse) == 1
    assert ended(worse, more=("--exit-zero",)) == 0
    assert ended(worse, more=("--fail-on", "critical")) == 0
    assert ended(worse, more=("--ignore", "migration-traffic-not-encrypted")) == 0
    assert ended(worse, more=("--select", "no-such")) == 2
    assert ended([o for o in everything if o["kind"] != "Pod"]) == 3


def test_who_used_the_permission_is_told_beside_who_did_not(
    run: Run, dump: str, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(event("create", "alice")) + "\n")
    state = str(STATES["A"])
    done = run("migrations", "-f", state, "-f", dump, "--audit-log", str(log), "-o", "json")
    assert done.returncode == 2
    assert "differs from the one" in done.stderr
    access = tmp_path / "access.json"
    kinds = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    items = [o for o in objects("A") if o["kind"] in kinds]
    access.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    at = ("--at", "2026-11-23", "--days", "30")
    asked = ("migrations", "-f", str(access), "-f", dump, "--audit-log", str(log), *at)
    report = json.loads(run(*asked, "-o", "json").stdout)
    assert [(each["user"], each["count"]) for each in report["uses"]] == [("alice", 1)]
    names = {each["name"] for each in report["unused"]}
    assert "carol" in names
    assert "alice" not in names
    table = run(*asked).stdout
    assert "WHO USED THE PERMISSION" in table
    assert re.search(r"^User +carol *$", table, re.MULTILINE)
    later = run(*asked[:-1], "1", "-o", "json").stdout
    assert json.loads(later)["uses"] == []


def test_odd_objects_are_no_traceback(run: Run, tmp_path: Path) -> None:
    """Empty, contradicting or hostile machines and everything around them."""
    odd = "<script>\x1b[31m=1+1\n{{ 7*7 }}"
    vm = on_claim(machine("vm", "a"), odd, odd)
    vm[0]["spec"]["networks"] = [{"name": odd, "pod": {}}]
    vm[0]["spec"]["domain"]["devices"]["interfaces"] = [{"name": odd, "bridge": {}}]
    vm[0]["status"]["conditions"] = [{"type": "MigrationRequired", "status": "True"}]
    setting = kubevirt(
        migrations={
            "bandwidthPerMigration": "fast",
            "completionTimeoutPerGiB": odd,
            "parallelOutboundMigrationsPerNode": -1,
            "network": odd,
        }
    )
    setting["spec"]["workloadUpdateStrategy"] = {"workloadUpdateMethods": odd}
    moving = migration("m", odd, odd, created=odd)
    bare = [
        {"apiVersion": api, "kind": kind, "metadata": {"name": "bare", "namespace": "web"}}
        for api, kind in (
            ("v1", "PersistentVolumeClaim"),
            ("storage.k8s.io/v1", "StorageClass"),
            ("cdi.kubevirt.io/v1beta1", "StorageProfile"),
            ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
            ("kubevirt.io/v1", "VirtualMachineInstanceMigration"),
        )
    ]
    items = [node("a"), *vm, setting, moving, network(odd, odd), *bare]
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for command in (["readiness"], ["readiness", "--emit-tuning"], ["migrations"]):
        done = run(*command, "-f", str(path))
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, 1, 3), done.stderr
        assert "\x1b" not in done.stdout
    page = run("readiness", "-f", str(path), "-o", "html").stdout
    assert "<script>\\x1b" not in page
    rows = run("readiness", "-f", str(path), "-o", "csv").stdout
    assert not any(cell.startswith("=") for row in csv.reader(io.StringIO(rows)) for cell in row)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--network-bandwidth", "fast", "is no amount; expected one like 1200M or 1Gi"),
        ("--network-bandwidth", "0", "is no amount"),
        ("--at", "soon", "is no time; expected one like 2026-11-23"),
    ],
)
def test_wrong_options_are_one_line(
    run: Run, dump: str, option: str, value: str, expected: str
) -> None:
    done = run("readiness", "-f", dump, option, value)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
