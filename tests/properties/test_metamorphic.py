"""What must stay the same, or may only grow, when a cluster is changed in a known way."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from conftest import ROOT, access_of, binding, objects, role, rule, state, user
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import is_circular
from strategies import NAMESPACES, ROLE_NAMES, SUBJECTS, Objects, additions, clusters, examples

from rbacguard import Snapshot
from rbacguard.approvals.model import load_approvals
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, bindings_for
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.kubevirt.releases import parse_release
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.output import reports
from rbacguard.policy import Context, evaluate, load_policies
from rbacguard.queries.diff import diff
from rbacguard.rbac import ObjectKey
from rbacguard.rbac.access import Change
from rbacguard.snapshot.coverage import ClusterOrigin
from rbacguard.sources import from_objects, load, snapshot_of
from rbacguard.sources.decode import read_objects
from rbacguard.sources.redact import redact
from rbacguard.update.plan import Plan, make_plan
from rbacguard.update.propose import propose_approvals
from rbacguard.update.simulate import apply_update
from rbacguard.update.status import status
from rbacguard.update.strategies import Strategy
from rbacguard.update.verify import Result, verify

TODAY = datetime.date(2026, 11, 23)
TARGET = parse_release("4.20")
APPROVALS = load_approvals(str(ROOT / "examples" / "approvals.yaml"))
POLICIES = load_policies([])
TEMPORARY = ("kubevirt.io:upgrademigrate", "kubevirt.io:upgrademigrate-edit")


def recomputed(items: Objects) -> Snapshot:
    return from_objects(items, aggregate="recompute")


def access(snapshot: Snapshot) -> set[tuple[str, str, str]]:
    """Return who may do what where: subject, action and scope."""
    return {
        (str(subject), str(action), namespace)
        for subject, action, namespace in access_of(snapshot, live_migration().actions)
    }


def changes(plan: Plan) -> set[tuple[str, str, str, str]]:
    return {
        (str(row.subject), str(row.action), row.namespace, row.change.value) for row in plan.rows()
    }


def answers(snapshot: Snapshot) -> dict[str, Any]:
    """Return what each part of the tool says, without where the input came from."""
    context = Context(snapshot, today=TODAY, approvals=APPROVALS)
    found = evaluate(POLICIES, context)
    audit = reports.audit(context, status(snapshot), found)
    verified = verify(snapshot, APPROVALS, before=state("A"), today=TODAY)
    report: dict[str, Any] = {
        "audit": msgspec.to_builtins(audit),
        "verify": msgspec.to_builtins(reports.verify(verified, ())),
    }
    if snapshot.coverage.is_complete() and context.installed.restricted is False:
        plan = reports.plan(make_plan(snapshot, TARGET), snapshot)
        report["plan"] = msgspec.to_builtins(plan)
    _forget(report)
    return report


def differing(first: Any, second: Any, place: str = "") -> list[str]:
    """Return where two values differ."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        return [d for key in first for d in differing(first[key], second[key], f"{place}.{key}")]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [
            d
            for number, pair in enumerate(zip(first, second, strict=True))
            for d in differing(*pair, f"{place}[{number}]")
        ]
    return [] if first == second else [f"{place}: {first!r} != {second!r}"]


def _forget(value: Any) -> None:
    """Remove what tells of the input's files."""
    if isinstance(value, dict):
        for key in ("inputs", "locations", "file", "item", "line", "document"):
            value.pop(key, None)
        for each in value.values():
            _forget(each)
    elif isinstance(value, list):
        for each in value:
            _forget(each)


@examples(100)
@given(
    clusters(),
    st.sampled_from(ROLE_NAMES),
    st.sampled_from(SUBJECTS),
    st.sampled_from(["", *NAMESPACES]),
)
def test_a_binding_more_never_takes_access_away(
    items: Objects, named: str, subject: dict[str, str], namespace: str
) -> None:
    more = binding("one-more", named, subject, namespace=namespace)
    assert access(recomputed(items)) <= access(recomputed([*items, more]))


@examples(100)
@given(clusters("BC"))
def test_deleting_the_temporary_role_gives_nothing(items: Objects) -> None:
    assume(not is_circular(items))
    before = recomputed(items)
    after = before.replace(delete=[ObjectKey("ClusterRole", "", name) for name in TEMPORARY])
    assert access(after) <= access(before)


def renamed(value: Any, words: dict[str, str]) -> Any:
    """Return objects with namespaces renamed wherever they stand."""
    if isinstance(value, list):
        return [renamed(each, words) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: renamed(each, words) for key, each in value.items()}
    if isinstance(found.get("namespace"), str):
        found["namespace"] = words.get(found["namespace"], found["namespace"])
    if found.get("kind") in ("User", "Group") and isinstance(found.get("name"), str):
        found["name"] = renamed_text(found["name"], words)
    if found.get("kind") == "Namespace":
        name = found["metadata"]["name"]
        found["metadata"]["name"] = words.get(name, name)
        labels = found["metadata"].get("labels") or {}
        if "kubernetes.io/metadata.name" in labels:
            labels["kubernetes.io/metadata.name"] = words.get(name, name)
    return found


def renamed_text(name: str, words: dict[str, str]) -> str:
    for prefix in ("system:serviceaccount:", "system:serviceaccounts:"):
        if name.startswith(prefix):
            namespace, colon, rest = name.removeprefix(prefix).partition(":")
            return prefix + words.get(namespace, namespace) + colon + rest
    return name


@examples(60)
@given(clusters("ABCDEF"))
def test_renaming_namespaces_changes_nothing_else(items: Objects) -> None:
    words = {name: f"{name}-of-old" for name in ("payments", "web", "data", "legacy", "batch")}
    plain, other = from_objects(items), from_objects(renamed(items, words))

    def told(found: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
        back = {new: old for old, new in words.items()}
        return {
            tuple(
                renamed_text(part.replace("-of-old/", "/"), back).replace("-of-old", "")
                for part in each
            )
            for each in found
        }

    assert {tuple(each) for each in access(plain)} == told(set(access(other)))
    assert status(plain).step is status(other).step
    if status(plain).installed.restricted is False:
        first, second = make_plan(plain, TARGET), make_plan(other, TARGET)
        assert set(changes(first)) == told(set(changes(second)))
        assert [each.strategy for each in first.outcomes if each.recommended] == [
            each.strategy for each in second.outcomes if each.recommended
        ]


@examples(40)
@given(clusters(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_no_answer(items: Objects, random: Any) -> None:
    shuffled = items[:]
    random.shuffle(shuffled)
    first, second = (from_objects(each) for each in (items, shuffled))
    assert differing(answers(first), answers(second)) == []


@examples(25)
@given(clusters())
def test_json_and_yaml_of_the_same_objects_give_the_same_answers(items: Objects) -> None:
    value = {"apiVersion": "v1", "kind": "List", "items": list(items)}
    with tempfile.TemporaryDirectory() as folder:
        texts = {
            "dump.json": json.dumps(value),
            "dump.yaml": yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False),
            "lines.json": "\n".join(map(json.dumps, items)),
            "documents.yaml": yaml.dump_all(items, Dumper=yaml.CSafeDumper),
        }
        found = []
        for name, text in texts.items():
            path = Path(folder) / name
            path.write_text(text, "utf-8")
            found.append(answers(load([str(path)])))
    for each in found[1:]:
        assert differing(found[0], each) == []


OPERATORS = {"app.kubernetes.io/managed-by": "virt-operator"}
DELETED = [rule("*", "*", "*"), rule("get", "kubevirt.io", "virtualmachineinstancemigrations")]


@pytest.mark.parametrize("gone", DELETED, ids=["everything", "reading"])
def test_a_role_that_the_update_deletes_is_planned_like_any_other(gone: dict[str, Any]) -> None:
    bound = binding("b0", "c0", user("alice"))
    items = [*objects("A"), role("c0", gone, labels=OPERATORS), bound]
    _planned_is_what_happens(items)


@examples(60)
@given(clusters("AB"))
def test_what_was_planned_is_what_the_update_then_does(items: Objects) -> None:
    """The plan, then its bindings, then the update, against the plan and against `verify`."""
    assume(not is_circular(items))
    _planned_is_what_happens(items)


def _planned_is_what_happens(items: Objects) -> None:
    before = recomputed(items)
    plan = make_plan(before, TARGET)
    if any("AlreadyExists" in each for each in plan.warnings):
        return
    nothing = apply_update(before, plan.now, TARGET)
    # A comparison tells of evacuations as well, which a plan keeps apart.
    evacuations = {
        (str(row.subject), str(row.action), row.namespace, row.change.value)
        for change in plan.evacuation_changes
        for row in change.rows()
    }
    planned = {row for row in changes(plan) if row[3] != Change.KEPT.value} | evacuations
    assert planned == _differences(before, nothing)
    proposed = propose_approvals(before, plan)
    agreed = proposed.model_copy(
        update={
            "approvals": [a.model_copy(update={"approved": True}) for a in proposed.approvals],
            "holders": [h.model_copy(update={"accepted": True}) for h in proposed.holders],
        }
    )
    bound = before.replace(bindings_for(plan.needs, before))
    after = apply_update(bound, plan.now, TARGET)
    (prebound,) = [each for each in plan.outcomes if each.strategy is Strategy.BINDINGS_FIRST]
    # That somebody no longer looks on, as by a role that the update deletes, misses no migration.
    granting = {str(action) for action in live_migration().granting}
    lost = {
        row
        for row in _differences(before, after)
        if row[3] == Change.LOST.value and row[1] in granting
    }
    assert {row[0] for row in lost} == {str(subject) for subject in prebound.effect.not_covered}
    # Who is approved holds it, and a temporary role of before is found.
    found = {each.id: each for each in verify(after, agreed, today=TODAY).checks}
    assert found["approved-bound"].result is Result.PASSED
    assert found["updated"].result is Result.PASSED


def _differences(before: Snapshot, after: Snapshot) -> set[tuple[str, str, str, str]]:
    return {
        (str(row.subject), str(row.action), row.namespace, row.change.value)
        for change in diff(before, after).changes
        for row in change.rows()
        if row.change is not Change.KEPT
    }


def identified(items: Objects) -> Snapshot:
    """Return a snapshot of a cluster that is known, so that the same names get the same words."""
    reading = read_objects(items)
    reading.origin = ClusterOrigin(cluster_id="6f0c1a52")
    return snapshot_of(reading)


@examples(60)
@given(clusters(), additions())
def test_redaction_keeps_the_verdict(items: Objects, more: Objects) -> None:
    known = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in items}
    older = identified(
        [
            *items,
            *(
                o
                for o in more
                if (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) not in known
            ),
        ]
    )
    now = identified(items)
    nobody = APPROVALS.model_copy(update={"approvals": [], "holders": []})

    def verdicts(snapshot: Snapshot, before: Snapshot) -> Any:
        checks = verify(snapshot, nobody, before=before, today=TODAY).checks
        found = evaluate(POLICIES, Context(snapshot, today=TODAY))
        return {
            "step": status(snapshot).step,
            "checks": {each.id: each.result for each in checks},
            "policies": {each.policy.id: (each.outcome, len(each.findings)) for each in found},
            "access": len(access(snapshot)),
        }

    whole, redacted = verdicts(now, older), verdicts(redact(now), redact(older))
    assert differing(whole, redacted) == []


def _people(found: Iterable[RequiredBinding]) -> set[RequiredBinding]:
    return {need for need in found if not is_platform(need.subject)}


@examples(60)
@given(clusters("A"))
def test_nobody_is_left_without_what_he_had_and_nobody_else_gets_it(items: Objects) -> None:
    """The smallest set of bindings that a plan proposes suffices, and each of them is needed."""
    assume(not is_circular(items))
    before = recomputed(items)
    plan = make_plan(before, TARGET)
    assume(not any("AlreadyExists" in each for each in plan.warnings))
    assert _people(plan.needs) == set(plan.needs)
    whole = access(apply_update(before.replace(bindings_for(plan.needs, before)), plan.now, TARGET))
    for need in plan.needs:
        rest = [each for each in plan.needs if each != need]
        less = access(apply_update(before.replace(bindings_for(rest, before)), plan.now, TARGET))
        assert less < whole
