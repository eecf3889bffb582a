"""Approvals by the labels of a namespace count only if the labels were read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import binding, group, write_dump
from fault_inputs import (
    APPROVED,
    FAILED,
    MIGRATE,
    TODAY,
    UNKNOWN,
    Object,
    approvals,
    cluster,
    rbacguard,
    verify,
    without,
)


def expression(operator: str, *values: str) -> Object:
    """Return a namespace selector on the label env."""
    expressions = [{"key": "env", "operator": operator, "values": list(values)}]
    return {"matchExpressions": expressions}


MATCH_WITHOUT_LABEL = {
    "NotIn": expression("NotIn", "prod"),
    "NotIn with two values": expression("NotIn", "prod", "stage"),
    "DoesNotExist": expression("DoesNotExist"),
}
MATCH_WITH_LABEL = {
    "In": expression("In", "dev"),
    "Exists": {"matchExpressions": [{"key": "dev", "operator": "Exists"}]},
    "matchLabels": {"matchLabels": {"env": "dev"}},
}
BOUND = binding("kvmigrate", MIGRATE, group("data-operators"), namespace="data")


def in_production(state: str, *unread: str) -> list[Object]:
    """Return a state in which every namespace has env=prod, without some Namespace objects."""
    items = cluster(state)
    for each in items:
        if each["kind"] == "Namespace":
            each["metadata"]["labels"]["env"] = "prod"
    return [e for e in items if e["kind"] != "Namespace" or e["metadata"]["name"] not in unread]


def selected(name: str, selector: Object) -> Object:
    """Return an approval of a group in the namespaces that a selector matches."""
    subject = {"kind": "Group", "name": name}
    return {"subject": subject, "namespaceSelector": selector, "approved": True}


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="A namespace whose labels were not read counts as a namespace without labels.",
)
@pytest.mark.parametrize("selector", MATCH_WITHOUT_LABEL)
def test_approvals_by_unread_labels_are_unknown(tmp_path: Path, selector: str) -> None:
    entry = selected("data-operators", MATCH_WITHOUT_LABEL[selector])
    done = verify(tmp_path, [*in_production("D", "data"), BOUND], entries=[*APPROVED, entry])
    assert done.returncode == UNKNOWN, done.stdout


@pytest.mark.parametrize("selector", MATCH_WITHOUT_LABEL)
def test_approvals_by_read_labels_are_evaluated(tmp_path: Path, selector: str) -> None:
    entry = selected("data-operators", MATCH_WITHOUT_LABEL[selector])
    done = verify(tmp_path, [*in_production("D"), BOUND], entries=[*APPROVED, entry])
    assert done.returncode == FAILED, done.stdout
    assert "data-operators" in done.stdout


@pytest.mark.parametrize("selector", MATCH_WITH_LABEL)
def test_approvals_by_a_label_are_not_passed_if_it_was_not_read(
    tmp_path: Path, selector: str
) -> None:
    entry = selected("data-operators", MATCH_WITH_LABEL[selector])
    done = verify(tmp_path, [*in_production("D", "data"), BOUND], entries=[*APPROVED, entry])
    assert done.returncode in (FAILED, UNKNOWN), done.stdout


def generated(folder: Path, items: Sequence[Object], selector: Object) -> tuple[int, str]:
    """Return the exit code and all manifests for a group that a selector approves."""
    path = write_dump(folder / "before.json", list(items))
    file = approvals(folder, *APPROVED, selected("vm-testers", selector))
    done = rbacguard(
        folder,
        *("generate", "-f", path, "--to", "4.20", "--approvals", file),
        *("--out", "bundle", "--today", TODAY),
    )
    files = sorted((folder / "bundle").glob("*/*.yaml"))
    return done.returncode, "\n".join(each.read_text("utf-8") for each in files)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="Bindings are generated for namespaces whose labels were not read.",
)
@pytest.mark.parametrize("unread", ["one", "all"])
@pytest.mark.parametrize("selector", MATCH_WITHOUT_LABEL)
def test_nothing_is_generated_for_unread_labels(tmp_path: Path, selector: str, unread: str) -> None:
    items = in_production("A", "data") if unread == "one" else without(cluster("A"), "Namespace")
    code, manifests = generated(tmp_path, items, MATCH_WITHOUT_LABEL[selector])
    assert "vm-testers" not in manifests
    assert code != 0


@pytest.mark.parametrize("selector", [*MATCH_WITHOUT_LABEL, *MATCH_WITH_LABEL])
def test_nothing_is_generated_for_labels_that_do_not_match(tmp_path: Path, selector: str) -> None:
    both = {**MATCH_WITHOUT_LABEL, **MATCH_WITH_LABEL}
    _, manifests = generated(tmp_path, in_production("A"), both[selector])
    assert "vm-testers" not in manifests
