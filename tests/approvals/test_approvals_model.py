"""The approvals file is read, checked, and resolved by the labels of namespaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from approval_files import APPROVALS, SELECTED, TODAY, access, entry, labelled
from conftest import objects, state, user

from rbacguard.approvals import model as approvals
from rbacguard.approvals.check import check_approvals
from rbacguard.approvals.model import load_approvals
from rbacguard.errors import InputError
from rbacguard.sources import from_objects
from rbacguard.update.verify import Result, verify


def test_an_invalid_file_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "approvals.yaml"

    def refused(data: bytes) -> str:
        file.write_bytes(data)
        with pytest.raises(InputError) as caught:
            load_approvals(str(file))
        return str(caught.value).replace(str(file), "FILE")

    head = b"apiVersion: rbacguard.io/v1alpha1\nkind: MigrationAccess\n"
    assert refused(b"a: 1\nb: [\n") == (
        "FILE, line 3: not well-formed YAML: did not find expected node content"
    )
    assert refused(b"\xff").startswith("FILE: not well-formed YAML: unacceptable character #")
    assert refused(b"") == "FILE: expected one MigrationAccess document, found 0"
    assert refused(head + b"---\n" + head) == (
        "FILE: expected one MigrationAccess document, found 2"
    )
    assert refused(head + b"kind: MigrationAccess\napiVersion: x\n") == (
        "FILE, line 3: key 'kind' is given twice"
    )
    assert refused(b"kind: MigrationAccess\n") == "FILE: apiVersion: field required"
    with pytest.raises(InputError, match=r"^none: No such file or directory$"):
        load_approvals("none")


def test_a_file_that_is_too_large_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "approvals.yaml"
    file.write_text("apiVersion: rbacguard.io/v1alpha1\nkind: MigrationAccess\n")
    size = file.stat().st_size
    monkeypatch.setattr(approvals, "MAX_BYTES", size)
    assert load_approvals(str(file)).approvals == []
    monkeypatch.setattr(approvals, "MAX_BYTES", size - 1)
    with pytest.raises(InputError, match=f"larger than {size - 1} bytes, expected an approvals"):
        load_approvals(str(file))


def test_contradictory_approvals_name_the_entry() -> None:
    yes = entry(user("carol"), clusterWide=True)
    no = entry(user("carol"), clusterWide=True, approved=False)
    with pytest.raises(InputError) as caught:
        access(yes, no)
    assert str(caught.value) == (
        "approvals: approvals[1]: User carol cluster-wide is approved in one entry and not "
        "approved in another; keep one of them"
    )
    with pytest.raises(InputError, match=r"approvals\[1\]: User carol in namespace web is"):
        access(entry(user("carol")), entry(user("carol"), approved=False))


def test_a_selector_that_contradicts_an_approval_is_rejected() -> None:
    both = access(SELECTED, entry(user("carol"), approved=False))
    with pytest.raises(InputError) as caught:
        both.resolved(labelled("web"))
    assert str(caught.value) == (
        "approvals: approvals[1]: User carol in namespace web is approved in one entry and not "
        "approved in another; keep one of them"
    )


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "values"),
        ({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}, "operator"),
        ({"namespaceSelector": {"matchLabels": {"a": 1}}}, "valid string"),
        ({"namespaceSelector": {}, "clusterWide": True}, "give one of"),
        ({"namespaceSelector": {}, "namespaces": ["a"]}, "give one of"),
    ],
)
def test_an_invalid_selector_is_rejected(scope: dict[str, Any], expected: str) -> None:
    value = {"subject": {"kind": "User", "name": "a"}, "approved": True, **scope}
    with pytest.raises(InputError, match=expected):
        access(value)


def test_verify_uses_the_current_namespaces() -> None:
    file = load_approvals(APPROVALS)
    others = [each.model_dump(mode="json", by_alias=True) for each in file.approvals[:2]]
    for other in others:
        other.pop("namespaceSelector")
    found = access(*others, SELECTED)
    clean = verify(labelled("web"), found, before=state("A"), today=TODAY)
    assert clean.result is Result.PASSED
    missing = verify(labelled("web", "data"), found, before=state("A"), today=TODAY)
    assert "User carol is approved in data but not bound" in str(missing.checks)


def test_verify_is_unknown_if_selected_namespaces_were_not_read() -> None:
    partial = from_objects([o for o in objects("D") if o["kind"] != "Namespace"])
    assert verify(partial, access(SELECTED), today=TODAY).result is not Result.PASSED
    (check,) = [
        c for c in verify(partial, access(SELECTED), today=TODAY).checks if c.id == "input-complete"
    ]
    assert "Namespace: not in the input" in check.details
    assert "selection-unknown" in {
        r.id for r in check_approvals(access(SELECTED), partial, today=TODAY)
    }
