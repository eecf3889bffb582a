"""What checks find in small clusters, fact by fact; policies are tested by their own cases."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from conftest import account, binding, group, objects, role, rule, selecting, user
from workload_objects import (
    GIB,
    hyperconverged,
    kubevirt,
    migration,
    network,
    node,
    policy,
    pool,
    ready,
    vmi,
)

from rbacguard.approvals.model import parse_approvals
from rbacguard.kubevirt.names import ADMIN, UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.policy import Context, Workloads
from rbacguard.policy.checks import Check
from rbacguard.policy.checks.access import AccessCheck
from rbacguard.policy.checks.access_change import AccessChangeCheck
from rbacguard.policy.checks.approval import RestrictionCheck, UnapprovedCheck
from rbacguard.policy.checks.authorizer import CrossCheck
from rbacguard.policy.checks.binding import BindingCheck
from rbacguard.policy.checks.delegation import DelegationCheck
from rbacguard.policy.checks.migration import MigrationCheck
from rbacguard.policy.checks.migration_settings import MigrationSettingsCheck
from rbacguard.policy.checks.node_drain import NodeDrainCheck
from rbacguard.policy.checks.recorded import InvalidFieldCheck
from rbacguard.policy.checks.role import RoleCheck
from rbacguard.policy.checks.status import StatusCheck
from rbacguard.policy.checks.vmi import VMICheck
from rbacguard.rbac import ObjectKey, Reviews
from rbacguard.readiness.inventory import Inventory
from rbacguard.sources import from_objects
from rbacguard.update.temporary_role import temporary_role

Object = dict[str, Any]
TODAY = datetime.date(2026, 11, 23)
NOW = datetime.datetime(2026, 11, 23, 9, tzinfo=datetime.UTC)


def context(*items: Object | list[Object], letter: str = "A") -> Context:
    more = [each for item in items for each in (item if isinstance(item, list) else [item])]
    return Context(from_objects([*objects(letter), *more]), today=TODAY)


def with_workloads(*items: Object | list[Object], access: bool = True) -> Context:
    more = [each for item in items for each in (item if isinstance(item, list) else [item])]
    known = [
        o for o in objects("A") if o["kind"] not in ("KubeVirt", "HyperConverged", "Namespace")
    ]
    kept = known if access else [o for o in known if o["kind"] != "RoleBinding"]
    snapshot = from_objects([*kept, *more], workloads=True)
    return Context(snapshot, today=TODAY, workloads=Workloads(Inventory(snapshot), NOW))


def facts(check: Check, where: Context) -> list[Any]:
    return list(check.run(where))


def fields(check: Check, where: Context, **having: Any) -> Any:
    """Return the fields of the only fact that has these values."""
    (found,) = [fact for fact in facts(check, where) if having.items() <= dict(fact.fields).items()]
    return found.fields


MIGRATES = rule("create", "kubevirt.io", "virtualmachineinstancemigrations")

# Access.


def test_how_many_subjects_a_role_is_bound_to_is_counted_over_its_bindings() -> None:
    given = [
        binding("one", "own", user("a"), user("b"), namespace="web"),
        binding("two", "own", user("a"), namespace="data"),
        binding("three", "own", user("c"), namespace="web", role_kind="Role"),
    ]
    local = role("own", MIGRATES, kind="Role", namespace="web")
    roles = [role("own", MIGRATES), local, role("unbound", MIGRATES)]
    found = {
        fact.group_key: fact.fields["bound_subjects"]
        for fact in facts(RoleCheck(), context(given, roles))
        if fact.fields["role"]["name"] in ("own", "unbound")
    }
    assert found == {"ClusterRole own": 3, "Role web/own": 1, "ClusterRole unbound": 0}


def of_role(made: Object) -> Any:
    wanted = {"kind": made["kind"], "name": made["metadata"]["name"]}
    wanted["namespace"] = made["metadata"].get("namespace", "")
    return fields(RoleCheck(), context(made), role=wanted)


def documented(tier: str, **more: Any) -> Object:
    made = temporary_role(tier)
    rules = [
        rule(" ".join(each.verbs), " ".join(each.api_groups), " ".join(each.resources))
        for each in made.rules
    ]
    rules += more.pop("rules", [])
    return role(more.pop("name", made.metadata.name), *rules, **more)


@pytest.mark.parametrize(
    ("made", "extra", "missing"),
    [
        (documented("admin"), False, 0),
        (documented("edit"), False, 0),
        (documented("admin", name="kubevirt.io:other"), False, 0),
        (documented("admin", rules=[rule("get", "core", "pods")]), True, 0),
        (documented("admin", rules=[rule("get", "kubevirt.io", "virtualmachines")]), True, 0),
        (
            documented("admin", rules=[rule("get", "apps", "virtualmachineinstancemigrations")]),
            True,
            0,
        ),
        # What editors never had.
        (documented("admin", name=UPGRADE_MIGRATE_EDIT), True, 0),
        (documented("edit", name=UPGRADE_MIGRATE), False, 1),
        (role(UPGRADE_MIGRATE), False, 6),
        (role(UPGRADE_MIGRATE_EDIT), False, 5),
    ],
)
def test_the_temporary_role_holds_what_is_documented_and_no_more(
    *, made: Object, extra: bool, missing: int
) -> None:
    found = of_role(made)
    assert (found["grants_more"], len(found["missing_actions"])) == (extra, missing)


COPIED = rule("update", "core subresources.kubevirt.io", "secrets virtualmachines/migrate")


def test_a_copy_is_told_from_what_is_made_of_others() -> None:
    (admin,) = [
        each
        for each in objects("A")
        if (each["kind"], each["metadata"]["name"]) == ("ClusterRole", "admin")
    ]
    copied = {**role("our-admin"), "rules": admin["rules"]}
    assert of_role(copied)["default_role_copy"] is True
    made_of = {**copied, **role("made-of", aggregationRule=selecting({"a": "b"}))}
    made_of["rules"] = admin["rules"]
    assert of_role(made_of)["default_role_copy"] is False
    assert of_role(role("small", COPIED))["default_role_copy"] is False
    backup = {**copied, **role("backup", annotations={"kubevirt.io/ephemeral-backup-object": ""})}
    backup["rules"] = admin["rules"]
    assert of_role(backup)["default_role_copy"] is (not of_role(backup)["ephemeral_backup"])


@pytest.mark.parametrize(
    ("name", "own"),
    [("system:x", True), ("cluster-admin", True), ("admin", True), ("x-system:", False)],
)
def test_kubernetes_own_roles_are_known(*, name: str, own: bool) -> None:
    found = fields(
        RoleCheck(),
        Context(from_objects([role(name, MIGRATES)]), today=TODAY),
        role={"kind": "ClusterRole", "name": name, "namespace": ""},
    )
    assert found["kubernetes_role"] is own


def test_a_wildcard_counts_where_it_grants_migration() -> None:
    for rules, wildcard in (
        ([rule("create", "kubevirt.io", "*")], True),
        ([MIGRATES], False),
        ([MIGRATES, rule("get", "apps", "*")], False),
    ):
        assert of_role(role("own", *rules))["wildcard"] is wildcard
    labels = {"rbac.authorization.k8s.io/aggregate-to-admin": "true", "a": "b"}
    found = of_role(role("own", MIGRATES, labels=labels))
    assert (found["labels"], found["aggregated_into"]) == (labels, ["admin"])
    local = of_role(role("own", MIGRATES, kind="Role", namespace="web", labels=labels))
    assert local["aggregated_into"] == []


@pytest.mark.parametrize(
    ("metadata", "managed"),
    [
        ({}, False),
        ({"labels": {"open-cluster-management.io/x": "y"}}, True),
        ({"labels": {"a": "open-cluster-management-agent"}}, True),
        ({"annotations": {"a": "open-cluster-management"}}, True),
        ({"labels": {"a": "b"}}, False),
        ({"ownerReferences": [{"kind": "AppliedManifestWork", "name": "x"}]}, True),
        ({"ownerReferences": [{"kind": "ClusterPermission", "name": "x"}]}, True),
        ({"ownerReferences": [{"kind": "Deployment", "name": "x"}]}, False),
    ],
)
def test_what_a_fleet_manager_made_is_known_by_its_marks(
    *, metadata: dict[str, Any], managed: bool
) -> None:
    for each in metadata.get("ownerReferences", ()):
        each |= {"apiVersion": "v1", "uid": "1"}
    given = binding("own", "edit", user("zoe"), namespace="web", **metadata)
    where = context(given)
    found = fields(
        BindingCheck(), where, binding={"kind": "RoleBinding", "name": "own", "namespace": "web"}
    )
    assert found["fleet_managed"] is managed
    lost = [f for f in facts(AccessChangeCheck("lost"), where) if f.group_key == "User zoe"]
    assert [fact.fields["fleet_managed"] for fact in lost] == [managed]


def test_each_role_is_told_with_what_it_gives() -> None:
    """Zoe holds more by `edit` than by a role of her own, and that one stays hers."""
    own = role("own", rule("deletecollection", "kubevirt.io", "virtualmachineinstancemigrations"))
    local = role("local", kind="Role", namespace="web")
    given = [
        binding("e", "edit", user("zoe"), namespace="web"),
        binding("f", "edit", user("zoe"), namespace="web"),
        binding("o", "own", user("zoe"), namespace="web"),
        binding("k", ADMIN, user("yan"), namespace="data"),
    ]
    where = context(own, local, given)
    (lost,) = [f for f in facts(AccessChangeCheck("lost"), where) if f.group_key == "User zoe"]
    assert lost.fields["bound_role"] == {"kind": "ClusterRole", "name": "edit"}
    assert lost.fields["aggregated"] is True
    assert "deletecollection VMIM" not in lost.fields["actions"]
    assert {str(grant.binding) for grant in lost.grants} == {
        "RoleBinding web/e",
        "RoleBinding web/f",
    }
    assert {*lost.objects} >= {ObjectKey("RoleBinding", "web", "e")}
    (direct,) = [f for f in facts(AccessChangeCheck("lost"), where) if f.group_key == "User yan"]
    assert (direct.scope, direct.fields["scope"], direct.fields["aggregated"]) == (
        "data",
        "data",
        False,
    )
    assert direct.fields["well_known"] == ""


def test_who_holds_everything_is_told_apart_from_who_holds_all_of_kubevirt() -> None:
    roles = [
        role("all", rule("*", "*", "*")),
        role("group", rule("*", "kubevirt.io", "*")),
        role("verbs", rule("create", "*", "*")),
        role("named", rule("*", "*", "virtualmachineinstancemigrations")),
    ]
    given = [
        binding(
            each["metadata"]["name"],
            each["metadata"]["name"],
            user(each["metadata"]["name"]),
            namespace="web",
        )
        for each in roles
    ]
    where = context(roles, given)
    found = {
        fact.group_key: (fact.fields["cluster_admin"], fact.fields["wildcard"])
        for fact in facts(AccessCheck(), where)
        if fact.group_key.removeprefix("User ") in ("all", "group", "verbs", "named")
    }
    assert found == {
        "User all": (True, True),
        "User group": (False, True),
        "User verbs": (False, True),
        "User named": (False, True),
    }
    everybody = fields(
        AccessCheck(), where, subject={"kind": "User", "name": "all", "namespace": ""}
    )
    assert everybody["directness"] == ["cancel", "direct"]
    assert everybody["scope"] == "web"
    assert everybody["bound_role"] == {"kind": "ClusterRole", "name": "all"}


def test_half_a_permission_counts_with_what_is_held_everywhere() -> None:
    make = role("make", MIGRATES)
    move = role("move", rule("update", "subresources.kubevirt.io", "virtualmachines/migrate"))
    given = [
        binding("a", "make", user("both")),
        binding("b", "move", user("both"), namespace="web"),
        binding("c", "make", user("half"), namespace="web"),
        binding("d", "move", user("half"), namespace="data"),
    ]
    found = {
        (fact.group_key, fact.scope): (fact.fields["console_only"], fact.fields["virtctl_only"])
        for fact in facts(AccessCheck(), context(make, move, given))
        if fact.group_key in ("User both", "User half")
    }
    assert found == {
        ("User both", ""): (True, False),
        ("User both", "web"): (False, False),
        ("User half", "web"): (True, False),
        ("User half", "data"): (False, True),
    }


def test_who_can_hand_on_is_told_with_the_platforms_accounts_marked() -> None:
    accounts = account("template-instance-controller", "openshift-infra")
    where = context(
        binding("t", "admin", accounts), binding("z", "admin", group("ring"), namespace="web")
    )
    found = {
        fact.group_key: (
            fact.scope,
            fact.fields["scope"],
            fact.fields["platform"],
            fact.fields["through_default_role"],
        )
        for fact in facts(DelegationCheck(), where)
    }
    assert found["ServiceAccount openshift-infra/template-instance-controller"] == (
        "",
        "",
        True,
        True,
    )
    assert found["Group ring"] == ("web", "web", False, True)
    holders = {fact.group_key: fact.fields["platform"] for fact in facts(AccessCheck(), where)}
    assert holders["ServiceAccount openshift-infra/template-instance-controller"] is True
    assert holders["Group ring"] is False


def test_the_journey_is_told_with_what_it_rests_on() -> None:
    before = fields(StatusCheck(), context())
    assert (before["losing_subjects"], before["temporary_roles"], before["restored_defaults"]) == (
        12,
        [],
        [],
    )
    left = fields(StatusCheck(), context(letter="C"))
    assert (left["losing_subjects"], left["temporary_roles"]) == (0, [UPGRADE_MIGRATE])
    assert left["manual_aggregation"] is False
    assert fields(StatusCheck(), context(letter="F"))["restored_defaults"] == ["admin"]


def test_a_defect_is_told_by_name() -> None:
    made = role(UPGRADE_MIGRATE, rule("get", "core", "pods"))
    made["metadata"]["labels"] = "rbac.authorization.k8s.io/aggregate-to-admin=true"
    other = role("other", rule("get", "core", "pods"))
    other["metadata"]["labels"] = "a=b"
    found = {
        fact.fields["name"]: (fact.group_key, fact.fields["documented_name"], fact.objects)
        for fact in facts(InvalidFieldCheck(), context(made, other))
    }
    names = {UPGRADE_MIGRATE: True, "other": False}
    assert found == {
        name: (f"ClusterRole {name}", known, (ObjectKey("ClusterRole", "", name),))
        for name, known in names.items()
    }


def test_reviews_that_were_not_answered_are_a_gap() -> None:
    check, snapshot = CrossCheck(), context().snapshot
    silent = Reviews("", (), "no review is allowed")
    assert check.missing(Context(snapshot, today=TODAY, reviews=silent)) == (
        "no review is allowed",
    )
    assert check.missing(Context(snapshot, today=TODAY)) == ()
    assert facts(check, Context(snapshot, today=TODAY)) == []


def approving(*entries: Object) -> Any:
    return parse_approvals(
        {
            "apiVersion": "rbacguard.io/v1alpha1",
            "kind": "MigrationAccess",
            "approvals": [
                {
                    "subject": {"kind": "User", "name": entry.pop("who")},
                    "namespaces": ["web"],
                    "approved": True,
                    "owner": "web",
                    **entry,
                }
                for entry in entries
            ],
        }
    )


def restriction(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "authorization.openshift.io/v1",
        "kind": "RoleBindingRestriction",
        "metadata": {"name": name, "namespace": "web"},
        "spec": spec,
    }


def test_whom_a_restriction_refuses_is_told_of_losers_and_of_the_approved() -> None:
    ops = {
        "apiVersion": "user.openshift.io/v1",
        "kind": "Group",
        "metadata": {"name": "ops"},
        "users": ["gina"],
    }
    only = [
        restriction("people", userrestriction={"users": ["carol"], "groups": ["ops"]}),
        restriction("none", grouprestriction={"groups": ["nobody"]}),
    ]
    snapshot = context(ops, only).snapshot
    access = approving(
        {"who": "zoe"},
        {"who": "gina"},
        {"who": "today", "expires": "2026-11-23"},
        {"who": "past", "expires": "2026-11-22"},
    )
    found = facts(RestrictionCheck(), Context(snapshot, today=TODAY, approvals=access))
    named = {fact.fields["subject"]["name"]: fact for fact in found}
    assert sorted(named) == ["Bob@example.com", "deployer", "today", "zoe"]
    assert named["zoe"].fields["restrictions"] == ["none", "people"]
    assert {fact.scope for fact in found} == {"web"}
    losers = facts(RestrictionCheck(), Context(snapshot, today=TODAY))
    assert {fact.fields["subject"]["name"] for fact in losers} == {
        "Bob@example.com",
        "deployer",
    }


def test_whose_approval_has_ended_holds_it_without_one() -> None:
    def unapproved(today: datetime.date) -> set[str]:
        access = approving({"who": "carol", "expires": "2026-11-22"})
        where = Context(context(letter="D").snapshot, today=today, approvals=access)
        return {fact.group_key for fact in facts(UnapprovedCheck(), where)}

    assert "User carol" in unapproved(TODAY)
    assert "User carol" not in unapproved(datetime.date(2026, 11, 22))
    assert "User alice" in unapproved(datetime.date(2026, 11, 22))


# VMs and nodes.


def test_a_node_drain_reports_blocked_and_unschedulable_vmis() -> None:
    blocked = vmi("blocked", "a", reason="DisksNotLiveMigratable")
    large = vmi("large", "a", memory=512 * GIB)
    unread = [each for each in vmi("unread", "a") if each["kind"] != "Pod"]
    paused = {**pool(), "spec": {**pool()["spec"], "paused": True}}
    where = with_workloads(
        kubevirt(), node("a"), node("b"), paused, blocked, large, unread, vmi("vm", "a")
    )
    found = fields(NodeDrainCheck(), where)
    assert found == {
        "scope": "",
        "scope_text": "cluster-wide",
        "node": {"kind": "Node", "name": "a", "namespace": ""},
        "pool": "worker",
        "pool_paused": True,
        "os_image": "Red Hat Enterprise Linux CoreOS 9.6",
        "completes": "no",
        "vmis": 4,
        "blocked": ["web/blocked"],
        "unschedulable": ["web/large"],
        "seconds": -1,
    }
    lost = with_workloads(kubevirt(), node("b"), vmi("vm", "ghost"), vmi("vm-2", "b"))
    ghost = fields(NodeDrainCheck(), lost, vmis=1, os_image="")
    assert (ghost["pool"], ghost["completes"]) == ("", "unknown")


def test_a_vmi_has_its_facts() -> None:
    made = vmi("vm", "a", reason="DisksNotLiveMigratable", message="no")
    made[0]["metadata"]["labels"]["tier"] = "gold"
    made[0]["status"]["volumeStatus"] = [{"name": "hot", "hotplugVolume": {}}, {"name": "cold"}]
    fast = policy("fast", vmi={"tier": "gold"}, allowPostCopy=True, bandwidthPerMigration="2Gi")
    where = with_workloads(kubevirt(), node("a"), node("b"), fast, made, vmi("other", "a"))
    names = (
        "reason",
        "eviction_strategy",
        "hotplugged_volumes",
        "host_model",
        "target",
        "migration_policy",
    )
    found = fields(VMICheck(), where, eviction="blocked")
    assert [found[name] for name in names] == [
        "DisksNotLiveMigratable",
        "LiveMigrate",
        ["hot"],
        True,
        "",
        "fast",
    ]
    amounts = ("post_copy", "bandwidth", "memory_mib", "seconds", "timeout")
    assert [found[name] for name in amounts] == [True, "2Gi", 4096, 2, 750]
    other = fields(VMICheck(), where, eviction="live-migrates")
    assert [other[name] for name in names] == ["", "LiveMigrate", [], True, "b", ""]
    assert [other[name] for name in amounts] == [False, "0", 4096, -1, 750]
    copied = vmi("vm", "a")
    copied[0]["status"]["migrationMethod"] = "BlockMigration"
    unknown = fields(VMICheck(), with_workloads(kubevirt(), node("a"), copied))
    assert [unknown[name] for name in amounts[2:]] == [-1, -1, -1]
    (fact,) = facts(VMICheck(), with_workloads(kubevirt(), node("a"), copied))
    assert (fact.scope, fact.objects) == (
        "web",
        (ObjectKey("VirtualMachineInstance", "web", "vm"),),
    )


def test_losing_subjects_are_those_of_the_namespace() -> None:
    """Service accounts of the platform are not reported."""
    waiting = vmi("vm", "a")
    waiting[0]["status"]["conditions"].append({"type": "MigrationRequired", "status": "True"})
    accounts = binding("t", "admin", account("template-instance-controller", "openshift-infra"))
    small: list[Object | list[Object]] = [
        kubevirt(),
        hyperconverged(),
        node("a"),
        node("b"),
        waiting,
        accounts,
    ]
    found = fields(VMICheck(), with_workloads(*small))
    assert found["losing_subjects"] == [
        "ServiceAccount web/deployer",
        "User Bob@example.com",
        "User carol",
    ]
    partial = fields(VMICheck(), with_workloads(*small, access=False))
    unknown = partial["losing_subjects"][-1]
    assert unknown == "unknown subjects, because RBAC was not read completely"


def test_the_settings_are_the_effective_ones() -> None:
    (found,) = facts(MigrationSettingsCheck(), with_workloads(ready()))
    assert dict(found.fields) == {
        "scope": "",
        "scope_text": "cluster-wide",
        "parallel_migrations": 5,
        "parallel_outbound_migrations": 2,
        "bandwidth": "512Mi",
        "bandwidth_limited": True,
        "completion_timeout_per_gib": 150,
        "progress_timeout": 150,
        "auto_converge": False,
        "post_copy": False,
        "workload_disruption": False,
        "tls": True,
        "unsafe_override": False,
        "network": "",
        "network_exists": "unknown",
        "other_network_namespaces": "no other namespace",
        "namespace": "openshift-cnv",
        "rhel10_nodes": [],
        "memory_sufficient": "yes",
        "workload_update_methods": ["LiveMigrate"],
        "workload_update_methods_known": True,
        "json_patch": False,
        "vmis": 1,
        "nodes": 1,
    }
    assert found.group_key == "settings"
    assert [str(key) for key in found.objects] == [
        "KubeVirt openshift-cnv/kubevirt-kubevirt-hyperconverged",
        "HyperConverged openshift-cnv/kubevirt-hyperconverged",
    ]


def test_settings_can_be_invalid_or_from_hyperconverged() -> None:
    odd = {"parallelMigrationsPerCluster": "many", "allowAutoConverge": True, "network": "move"}
    where = with_workloads(
        kubevirt(migrations=odd), node("a"), network("move", "web"), network("move"), network("x")
    )
    found = fields(MigrationSettingsCheck(), where)
    assert (found["parallel_migrations"], found["auto_converge"]) == (-1, True)
    assert (found["network"], found["network_exists"], found["other_network_namespaces"]) == (
        "move",
        "yes",
        "web",
    )
    bare = node("a")
    del bare["status"]["nodeInfo"]
    alone = with_workloads(hyperconverged(progressTimeout=99), bare)
    found = fields(MigrationSettingsCheck(), alone)
    assert (found["progress_timeout"], found["workload_update_methods_known"]) == (99, False)
    assert found["rhel10_nodes"] == []
    assert facts(MigrationSettingsCheck(), with_workloads(node("a"))) == []


def test_gaps_of_settings() -> None:
    check = MigrationSettingsCheck()
    assert check.missing(with_workloads(ready())) == ()
    items: list[Object] = [each for each in ready() if each["kind"] != "HyperConverged"]
    assert check.missing(with_workloads(items)) == ("HyperConverged: not in the input",)
    own: list[Object] = [
        {**each, "metadata": {**each["metadata"], "name": "kubevirt"}}
        if each["kind"] == "KubeVirt"
        else each
        for each in items
    ]
    assert check.missing(with_workloads(own)) == ()
    moved = kubevirt(migrations={"network": "move"})
    without = [e for e in ready() if e["kind"] not in ("NetworkAttachmentDefinition", "KubeVirt")]
    kind = "NetworkAttachmentDefinition: not in the input"
    assert check.missing(with_workloads(without, moved)) == (kind,)
    unread = [each for each in ready() if each["kind"] != "Pod"]
    gaps = check.missing(with_workloads(unread))
    assert gaps[-1] == "it is unknown whether the spare memory is sufficient"
    assert check.missing(context()) == ()


def test_a_migration_has_age_and_manager() -> None:
    made = migration("move", "vm", created="2026-11-23T08:30:30Z")
    drained = migration("drain", "vm", namespace="data", node="a")
    undated = migration("odd", "vm", created="once")
    where = with_workloads(kubevirt(), node("a"), made, drained, undated)
    found = {fact.objects[0].name: fact for fact in facts(MigrationCheck(), where)}
    told = {
        name: [fact.fields[key] for key in ("manager", "age_minutes", "user_migrations")]
        for name, fact in found.items()
    }
    assert told == {
        "move": ["virtctl", 29, 2],
        "drain": ["virt-controller", 60, 0],
        "odd": ["virtctl", -1, 2],
    }
    assert {name: fact.scope for name, fact in found.items()} == {
        "move": "web",
        "drain": "data",
        "odd": "web",
    }
