"""Each policy through its own firing and silent cases.

A case is a YAML file of objects. Its first line names the cluster that they are added to:
`# cluster: before` (the roles of 4.18), `after` (4.20) or `after-4.21`, each with admin, edit and
view aggregated; or `vms`, a small cluster with VMs and the roles of 4.18. The file beside
it holds the exact findings; an empty one is a silent case.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from conftest import objects, role, rule, selecting
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples
from workload_objects import kubevirt, ready, vmi

from rbacguard.approvals.model import parse_approvals
from rbacguard.bundled import bundled, read_bundled
from rbacguard.errors import PolicyError
from rbacguard.kubevirt.releases import cluster_roles, parse_release
from rbacguard.output import formats
from rbacguard.policy import (
    Category,
    Context,
    Outcome,
    Policy,
    PolicyResult,
    Severity,
    Workloads,
    evaluate,
    load_policies,
)
from rbacguard.policy.facts import FactType
from rbacguard.rbac import Attributes, Review, Reviews
from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.coverage import RBAC_KINDS
from rbacguard.sources import from_objects, yaml

HERE = Path(__file__).parent
POLICIES = {policy.id: policy for policy in load_policies()}
CASES = sorted(HERE.glob("*/*.yaml"))
RELEASE = {"before": "4.18", "after": "4.20", "after-4.21": "4.21"}
TENANTS = ("web", "data", "payments", "legacy", "batch")
TODAY = datetime.date(2026, 11, 23)
NOW = datetime.datetime(2026, 11, 23, 9, tzinfo=datetime.UTC)
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"


def identity(value: dict[str, Any]) -> tuple[str, str, str]:
    metadata = value["metadata"]
    return value["kind"], metadata.get("namespace", ""), metadata["name"]


def base(name: str) -> list[dict[str, Any]]:
    """Return the roles of KubeVirt and the default roles; for `vms`, a cluster with VMs."""
    if name == "vms":
        # All of a real cluster's access, but for what tenants were given.
        access = [o for o in objects("A") if o["kind"] in RBAC_KINDS]
        kept = [o for o in access if o["metadata"].get("namespace", "") not in TENANTS]
        return [*kept, *ready()]
    found = [
        role(
            kubevirt.metadata.name,
            *(msgspec.to_builtins(each) for each in kubevirt.rules),
            labels=dict(kubevirt.metadata.labels),
        )
        for kubevirt in cluster_roles(parse_release(RELEASE[name])).values()
    ]
    labels = {"edit": {f"{AGGREGATE}admin": "true"}, "view": {f"{AGGREGATE}edit": "true"}}
    for default in ("admin", "edit", "view"):
        found.append(
            role(
                default,
                labels=labels.get(default, {}),
                aggregationRule=selecting({f"{AGGREGATE}{default}": "true"}),
            )
        )
    own = rule("create update", "rbac.authorization.k8s.io", "rolebindings roles")
    found.append(role("system:aggregate-to-admin", own, labels={f"{AGGREGATE}admin": "true"}))
    found.append(role("cluster-admin", rule("*", "*", "*")))
    return found


def review(document: dict[str, Any]) -> Review:
    """Return an access review as a server answered it."""
    spec, answer = document["spec"], document["status"]
    fields = dict(spec["resourceAttributes"])
    fields["api_group"] = fields.pop("group")
    attributes = Attributes(user=spec["user"], groups=spec.get("groups", ()), **fields)
    return Review(attributes, answer["allowed"], answer.get("reason", ""))


@cache
def context_of(path: Path) -> Context:
    data = path.read_bytes()
    first = re.match(rb"# cluster: (\S+)\n", data)
    assert first, f"{path}: the first line has to name a cluster, such as '# cluster: before'"
    documents = [d.value for d in yaml.documents(data) if isinstance(d.value, dict)]
    access = [d for d in documents if d.get("kind") == "MigrationAccess"]
    asked = [d for d in documents if d.get("kind") == "SubjectAccessReview"]
    mine = [d for d in documents if d not in (*access, *asked)]
    replaced = {identity(d) for d in mine}
    objects = [o for o in base(first[1].decode()) if identity(o) not in replaced]
    mode: Any = "as-recorded" if b"# recorded" in data else "recompute"
    snapshot = from_objects([*objects, *mine], aggregate=mode, workloads=True)
    return Context(
        snapshot,
        today=TODAY,
        approvals=parse_approvals(access[0]) if access else None,
        reviews=Reviews("SubjectAccessReview", tuple(map(review, asked))) if asked else None,
        workloads=Workloads(Inventory(snapshot), NOW) if first[1] == b"vms" else None,
    )


def evaluated(path: Path, policy_id: str) -> PolicyResult:
    (result,) = evaluate([POLICIES[policy_id]], context_of(path))
    return result


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_its_condition_compiles(policy: Policy) -> None:
    policy.compile()


@pytest.mark.parametrize("case", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_case_gives_exactly_these_findings(
    case: Path, golden: Callable[[Path, str], None]
) -> None:
    result = evaluated(case, case.parent.name)
    lines = [f"{finding.severity}: {finding.message}" for finding in result.findings]
    text = "".join(f"{line}\n" for line in lines)
    assert bool(text) == case.stem.startswith("fires"), text
    golden(case.with_suffix(".out"), text)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.stem.startswith("fires")],
    ids=lambda p: f"{p.parent.name}/{p.stem}",
)
def test_the_findings_rest_on_exactly_these_facts(
    case: Path, golden: Callable[[Path, str], None]
) -> None:
    """Conditions that people write may ask for all that is in them."""
    policy = POLICIES[case.parent.name]
    told = [
        {
            "fields": dict(sorted(fact.fields.items())),
            "group": fact.group_key,
            "scope": fact.scope,
            "objects": [(key.kind, key.namespace, key.name) for key in fact.objects],
            "grants": [f"{grant.binding} to {grant.subject}" for grant in fact.grants],
        }
        for fact in filter(policy.matches, policy.check.run(context_of(case)))
    ]
    lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in told]
    golden(case.with_suffix(".facts"), "".join(lines))


TYPES: dict[FactType, Callable[[Any], bool]] = {
    FactType.STRING: lambda value: isinstance(value, str),
    FactType.BOOL: lambda value: isinstance(value, bool),
    FactType.INT: lambda value: type(value) is int,
    FactType.LIST: lambda value: (
        isinstance(value, list) and all(isinstance(each, str) for each in value)
    ),
    FactType.MAP: lambda value: (
        isinstance(value, dict)
        and all(isinstance(each, str) for pair in value.items() for each in pair)
    ),
}


@pytest.mark.parametrize("case", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_facts_have_the_fields_and_types_that_conditions_are_checked_by(case: Path) -> None:
    check = POLICIES[case.parent.name].check
    for fact in check.run(context_of(case)):
        assert fact.fields.keys() == check.variables().keys()
        for name, value in fact.fields.items():
            assert TYPES[check.variables()[name]](value), (name, value)


@pytest.mark.parametrize("policy_id", POLICIES)
def test_every_policy_has_a_firing_and_a_silent_case(policy_id: str) -> None:
    stems = [case.stem for case in CASES if case.parent.name == policy_id]
    assert any(stem.startswith("fires") for stem in stems)
    assert any(stem.startswith("silent") for stem in stems)


@pytest.mark.parametrize("policy_id", POLICIES)
def test_every_policy_says_why_and_what_to_do(policy_id: str) -> None:
    policy = POLICIES[policy_id]
    assert len(policy.rationale) > 60
    assert len(policy.remediation) > 10
    assert policy.title[0].isupper() or policy.title.startswith(("kubevirt.io", "roleAgg"))
    assert policy.commands or policy.severity in (Severity.INFO, Severity.MEDIUM)


def test_what_ships_with_the_tool_is_read_as_the_exact_reader_reads_it() -> None:
    files = sorted(bundled("policies").rglob("*.yaml"))
    assert len(files) > len(POLICIES)
    for path in files:
        (document,) = yaml.documents(path.read_bytes())
        assert read_bundled(path) == document.value, path
        assert document.duplicates == [], path


BROKEN = {
    "id": "broken",
    "title": "T",
    "severity": "high",
    "stage": "any",
    "check": {"type": "access"},
    "message": "{subject}",
    "rationale": "r",
    "remediation": "r",
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"where": "subjct.kind == 'User'"},
            "line 1, column 7: undeclared reference to 'subjct.kind': subjct>>>.kind == 'User'",
        ),
        ({"where": "broad + 1"}, "no matching overload"),
        ({"where": "scope"}, "expected a condition (bool), found STRING"),
        ({"where": "broad &&"}, "Syntax error"),
        ({"message": "{nobody}"}, "has no such variable"),
        ({"message": "{input}"}, "has no such variable"),
        ({"message": "{scope.name}"}, "scope is not a map"),
        (
            {"severity": "awful"},
            "severity: expected info, low, medium, high or critical, found 'awful'",
        ),
        ({"check": {"type": "guess"}}, "check.type: expected access, access-change, binding, "),
        ({"check": {"type": "guess"}}, ", unapproved or vmi, found 'guess'"),
        ({"check": {}}, ", unapproved or vmi, found none"),
        ({"check": {"type": "access-change"}}, "check.change: expected gained or lost, found none"),
        (
            {"check": {"type": "access-change", "change": "kept"}},
            "check.change: expected gained or lost, found 'kept'",
        ),
        (
            {"check": {"type": "access", "permission": "flying"}},
            "check: permission: unknown permission",
        ),
        ({"check": {"type": "access", "extra": 1}}, "check.extra: unknown field"),
        (
            {"appliesTo": {"since": 4.2}},
            "appliesTo.since: expected a string or null, found a number; use quotes",
        ),
        ({"appliesTo": {"since": "4.99"}}, "appliesTo: since: unknown version 4.99"),
        ({"id": "other"}, "id: expected 'broken' (the file name)"),
        ({"id": "Not An Id"}, "id: expected a string matching regex"),
        ({"unknown": 1}, "unknown: unknown field (expected one of id, title, severity, "),
        ({"rationale": None}, "rationale: expected a string, found null"),
        ({"rationale": ""}, "rationale: must not be empty"),
        ({"title": ["T"]}, "title: expected a string, found a list"),
        ({"check": "holder"}, "check: expected a map, found a string"),
        (
            {"commands": ["oc get nodes", 1]},
            "commands[1]: expected a string, found a number; use quotes",
        ),
    ],
)
def test_a_broken_policy_is_refused_with_the_place(
    tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(msgspec.json.encode(BROKEN | change))
    with pytest.raises(PolicyError) as caught:
        load_policies([str(tmp_path)])
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_schema_takes_the_policies_that_are_taken_and_no_others() -> None:
    schema = jsonschema.Draft202012Validator(json.loads(formats.schema("policy")))
    for path in bundled("policies").rglob("*.yaml"):
        if path.stem in POLICIES:
            schema.validate(read_bundled(path))
    schema.validate(BROKEN)
    for change in (
        {"severity": "awful"},
        {"check": {"type": "guess"}},
        {"check": {"type": "access", "extra": 1}},
        {"appliesTo": {"since": 4.2}},
        {"id": "Not An Id"},
        {"unknown": 1},
        {"rationale": ""},
    ):
        assert not schema.is_valid(BROKEN | change), change


def test_a_policy_without_what_it_needs_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    for key in BROKEN:
        path.write_bytes(msgspec.json.encode({k: v for k, v in BROKEN.items() if k != key}))
        with pytest.raises(PolicyError, match=f": {key}: expected .*, found none") as caught:
            load_policies([str(tmp_path)])
        assert ("info, low" in str(caught.value)) == (key == "severity")


def test_policies_of_ones_own_are_loaded_and_may_not_shadow(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(msgspec.json.encode(BROKEN))
    assert "broken" in {policy.id for policy in load_policies([str(tmp_path)])}
    (tmp_path / "well-known-subject.yaml").write_bytes(
        msgspec.json.encode(BROKEN | {"id": "well-known-subject"})
    )
    with pytest.raises(PolicyError, match="already has the ID well-known-subject"):
        load_policies([str(tmp_path)])
    with pytest.raises(PolicyError, match="no such directory"):
        load_policies([str(tmp_path / "none")])


@pytest.mark.parametrize("folder", ["permissions", "rules"])
def test_policies_in_a_directory_of_any_name_are_read(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "broken.yaml"
    path.parent.mkdir()
    path.write_bytes(msgspec.json.encode(BROKEN))
    for directory in (path.parent, tmp_path):
        assert "broken" in {policy.id for policy in load_policies([str(directory)])}


def test_a_condition_that_fails_on_a_fact_is_an_error_not_a_silence(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(msgspec.json.encode(BROKEN | {"where": "subject.nothing == 'x'"}))
    (policy,) = [p for p in load_policies([str(tmp_path)]) if p.id == "broken"]
    snapshot = from_objects(
        [
            *base("before"),
            {
                "kind": "ClusterRoleBinding",
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "metadata": {"name": "b"},
                "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "User", "name": "root"}],
            },
        ]
    )
    with pytest.raises(PolicyError, match="Key not found"):
        evaluate([policy], Context(snapshot, today=TODAY))


def test_commands_are_quoted_for_the_shell() -> None:
    evil = {"kind": "User", "name": "$(rm -rf /); echo '"}
    grant = {
        "kind": "RoleBinding",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": "b", "namespace": "web"},
        "roleRef": {"kind": "ClusterRole", "name": "half"},
        "subjects": [evil],
    }
    half = role("half", rule("create", "kubevirt.io", "virtualmachineinstancemigrations"))
    snapshot = from_objects([*base("after"), half, grant])
    (result,) = evaluate([POLICIES["migration-without-virtctl"]], Context(snapshot, today=TODAY))
    assert result.findings[0].commands == (
        "rbacguard explain -f cluster.json -- 'user/$(rm -rf /); echo '\"'\"''",
    )


def test_without_kubevirts_roles_policies_of_a_stage_are_undetermined() -> None:
    snapshot = from_objects([role("r")])
    results = evaluate(POLICIES.values(), Context(snapshot, today=TODAY))
    staged = [r for r in results if r.policy.stage != "any"]
    assert {r.outcome for r in staged} == {Outcome.UNKNOWN}


def test_no_policy_is_clean_on_a_partial_view() -> None:
    roles_only = [o for o in base("after") if o["kind"] == "ClusterRole"]
    results = evaluate(POLICIES.values(), Context(from_objects(roles_only), today=TODAY))
    needing = {r.policy.id for r in results if r.outcome is Outcome.PASSED and r.policy.check.NEEDS}
    assert needing == set()


def test_fingerprints_do_not_depend_on_order() -> None:
    case = HERE / "namespace-admin-loses-migration" / "fires.yaml"
    one = evaluated(case, "namespace-admin-loses-migration")
    two = evaluated(case, "namespace-admin-loses-migration")
    assert [f.fingerprint for f in one.findings] == [f.fingerprint for f in two.findings]
    assert len({f.fingerprint for f in one.findings}) == len(one.findings)


def test_a_policy_that_needs_more_than_the_cluster_is_not_asked_without() -> None:
    context = Context(from_objects(base("after")), today=TODAY)
    results = {r.policy.id: r for r in evaluate(POLICIES.values(), context)}
    for policy_id, reason in (
        ("api-server-decision-differs", "requires --cross-check"),
        ("unapproved-subject", "requires --approvals"),
    ):
        assert results[policy_id].outcome is Outcome.SKIPPED
        assert results[policy_id].reason == reason


def test_a_server_that_answers_no_review_leaves_the_policy_undetermined() -> None:
    reviews = Reviews("", note="the server allows no access review")
    context = Context(from_objects(base("after")), today=TODAY, reviews=reviews)
    (result,) = evaluate([POLICIES["api-server-decision-differs"]], context)
    assert result.outcome is Outcome.UNKNOWN
    assert result.reason == "the server allows no access review"


def with_workloads(items: list[dict[str, Any]]) -> Context:
    snapshot = from_objects(items, workloads=True)
    return Context(snapshot, today=TODAY, workloads=Workloads(Inventory(snapshot), NOW))


def test_the_ready_cluster_has_no_findings() -> None:
    context = with_workloads(base("vms"))
    policies = load_policies(category=Category.READINESS)
    assert len(policies) > 20
    assert {each.outcome for each in evaluate(policies, context)} == {Outcome.PASSED}
    assert context.workloads
    assert context.workloads.readiness.is_ready is True


def test_readiness_policies_are_evaluated_only_if_vms_were_read() -> None:
    access, readiness = (
        load_policies(category=Category.RBAC),
        load_policies(category=Category.READINESS),
    )
    assert {policy.id for policy in (*access, *readiness)} == set(POLICIES)
    context = Context(from_objects(base("before")), today=TODAY)
    assert {each.outcome for each in evaluate(readiness, context)} == {Outcome.SKIPPED}


def test_a_readiness_policy_has_any_stage(tmp_path: Path) -> None:
    wrong = BROKEN | {"check": {"type": "vmi"}, "stage": "after-update", "message": "{node}"}
    (tmp_path / "broken.yaml").write_bytes(msgspec.json.encode(wrong))
    with pytest.raises(PolicyError, match="check vmi requires the stage 'any'"):
        load_policies([str(tmp_path)], Category.RBAC)


def outcomes(*values: dict[str, Any], without: tuple[str, ...] = ()) -> dict[str, Outcome]:
    replaced = {identity(each) for each in values}
    kept = [
        each
        for each in base("vms")
        if identity(each) not in replaced and each["kind"] not in without
    ]
    context = with_workloads([*kept, *values])
    found = evaluate(load_policies(category=Category.READINESS), context)
    return {each.policy.id: each.outcome for each in found}


@pytest.mark.parametrize(
    ("kind", "policies"),
    [
        ("Pod", ["vmi-unschedulable", "spare-memory-too-little"]),
        ("Node", ["vmi-unschedulable", "post-copy-on-rhel-10", "pool-paused"]),
        ("KubeVirt", ["migration-traffic-not-encrypted", "vmi-blocks-drain"]),
        ("VirtualMachineInstanceMigration", ["migration-failed", "migration-waits-long"]),
        ("PersistentVolumeClaim", ["claim-not-shared", "claim-could-be-shared"]),
    ],
)
def test_without_what_it_needs_a_policy_is_undetermined(kind: str, policies: list[str]) -> None:
    found = outcomes(without=(kind,))
    assert {found[each] for each in policies} == {Outcome.UNKNOWN}


def test_an_unknown_vmi_or_network_is_not_clean() -> None:
    started, *rest = vmi("vm", "a")
    started["status"]["conditions"] = []
    assert outcomes(started, *rest)["vmi-blocks-drain"] is Outcome.UNKNOWN
    named = kubevirt(migrations={"network": "gone", "bandwidthPerMigration": "1Gi"})
    without = outcomes(named, without=("NetworkAttachmentDefinition",))
    assert without["migration-network-missing"] is Outcome.UNKNOWN
    assert outcomes(named)["migration-network-missing"] is Outcome.FAILED


def test_without_rbac_the_losing_subjects_are_unknown() -> None:
    waiting, *rest = vmi("vm", "a")
    waiting["status"]["conditions"].append({"type": "MigrationRequired", "status": "True"})
    policy_id = "change-waits-for-a-migration"
    assert outcomes(waiting, *rest)[policy_id] is Outcome.PASSED
    assert outcomes(waiting, *rest, without=("RoleBinding",))[policy_id] is Outcome.FAILED


@cache
def troubles() -> list[list[dict[str, Any]]]:
    """Return the objects of one firing case of every readiness policy."""
    found: list[list[Any]] = []
    for policy in load_policies(category=Category.READINESS):
        case = next(path for path in CASES if path.match(f"{policy.id}/fires*.yaml"))
        found.append([document.value for document in yaml.documents(case.read_bytes())])
    return found


@examples(60)
@given(data=st.data())
def test_what_a_whole_view_finds_no_partial_view_calls_clean(data: st.DataObject) -> None:
    """Whichever kinds are left out, and whatever is wrong."""
    wrong = data.draw(st.sampled_from(troubles()))
    kinds = sorted({each["kind"] for each in (*base("vms"), *wrong)})
    gone = tuple(data.draw(st.sets(st.sampled_from(kinds), min_size=1, max_size=3)))
    whole = outcomes(*wrong)
    part = outcomes(*(o for o in wrong if o["kind"] not in gone), without=gone)
    for policy_id, outcome in whole.items():
        if outcome is Outcome.FAILED:
            assert part[policy_id] is not Outcome.PASSED, (policy_id, gone)
