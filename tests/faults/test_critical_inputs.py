"""What an input holds and the command does not read never counts as read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import binding, role, user, write_dump
from fault_inputs import FAILED, MIGRATE_RULES, UNKNOWN, Done, Object, cluster, verify

from rbacguard.sources import load

INPUT_ERROR = 2
"""Exit code for an input that cannot be read."""
OWN_ROLE = role("own", *MIGRATE_RULES, kind="Role", namespace="web")
GRANT = binding("own", "own", user("mallory"), namespace="web", role_kind="Role")
"""A grant that no approval covers; a cluster with it is not clean."""


def with_field(item: Object, field: str, value: Any) -> Object:
    """Return an object with another value of a field, or without the field if it is None."""
    kept = {name: each for name, each in item.items() if name != field}
    return kept if value is None else {field: value, **kept}


def is_not_clean(done: Done) -> bool:
    """Whether the grant was found, or the input is incomplete or refused."""
    found = done.returncode == FAILED and "mallory" in done.stdout
    return found or done.returncode in (INPUT_ERROR, UNKNOWN)


def test_the_grant_is_found(tmp_path: Path) -> None:
    done = verify(tmp_path, [*cluster("D"), OWN_ROLE, GRANT])
    assert done.returncode == FAILED
    assert "mallory" in done.stdout


# Objects without a usable apiVersion or kind

ODD = {
    "no apiVersion": ("apiVersion", None),
    "empty apiVersion": ("apiVersion", ""),
    "apiVersion without a version": ("apiVersion", "rbac.authorization.k8s.io"),
    "apiVersion of the core group": ("apiVersion", "v1"),
    "apiVersion in capitals": ("apiVersion", "RBAC.authorization.k8s.io/v1"),
    "no kind": ("kind", None),
    "empty kind": ("kind", ""),
    "kind in small letters": ("kind", "rolebinding"),
    "kind in the plural": ("kind", "RoleBindings"),
    "kind in another case": ("kind", "Rolebinding"),
    "kind with a space": ("kind", "RoleBinding "),
}


@pytest.mark.parametrize("place", ["list", "file", "YAML"])
@pytest.mark.parametrize("case", ODD)
def test_an_object_of_no_known_kind_is_incomplete_input(
    tmp_path: Path, case: str, place: str
) -> None:
    odd = with_field(GRANT, *ODD[case])
    if place == "list":
        done = verify(tmp_path, [*cluster("D"), OWN_ROLE, odd])
    else:
        path = tmp_path / ("more.json" if place == "file" else "more.yaml")
        path.write_text(json.dumps(odd) if place == "file" else yaml.safe_dump(odd), "utf-8")
        done = verify(tmp_path, [*cluster("D"), OWN_ROLE], str(path))
    assert is_not_clean(done), done.stdout


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"apiVersion": "v1", "kind": "List", "items": [{}]}, id="empty item"),
        pytest.param({"apiVersion": "v1", "items": [OWN_ROLE, GRANT]}, id="list without kind"),
    ],
)
def test_a_document_of_no_known_kind_is_incomplete_input(tmp_path: Path, document: Object) -> None:
    path = tmp_path / "more.json"
    path.write_text(json.dumps(document), "utf-8")
    assert is_not_clean(verify(tmp_path, cluster("D"), str(path)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("apiVersion", 1),
        ("apiVersion", "rbac.authorization.k8s.io/v1beta1"),
        ("apiVersion", "rbac.authorization.k8s.io/v2"),
        ("kind", 7),
    ],
)
def test_a_field_of_another_type_or_version_is_not_skipped(
    tmp_path: Path, field: str, value: Any
) -> None:
    done = verify(tmp_path, [*cluster("D"), OWN_ROLE, with_field(GRANT, field, value)])
    assert is_not_clean(done), done.stdout


@pytest.mark.parametrize("item", [None, 7, "text", []])
def test_an_item_that_is_no_object_is_not_skipped(tmp_path: Path, item: Any) -> None:
    path = tmp_path / "more.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [item]}), "utf-8")
    assert is_not_clean(verify(tmp_path, cluster("D"), str(path)))


BARE = with_field(with_field(GRANT, "kind", None), "apiVersion", None)
LISTS = {
    "array": [OWN_ROLE, GRANT],
    "list without apiVersion": {"kind": "List", "items": [OWN_ROLE, GRANT]},
    "lists in a list": {"kind": "List", "items": [{"kind": "List", "items": [OWN_ROLE, GRANT]}]},
    "list of one kind": {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBindingList",
        "items": [BARE],
    },
}


@pytest.mark.parametrize("case", LISTS)
def test_other_lists_are_read(tmp_path: Path, case: str) -> None:
    path = tmp_path / "more.json"
    path.write_text(json.dumps(LISTS[case]), "utf-8")
    roles = [OWN_ROLE] if case == "list of one kind" else []
    done = verify(tmp_path, [*cluster("D"), *roles], str(path))
    assert done.returncode == FAILED
    assert "mallory" in done.stdout


# A key given twice

AGAIN = {
    "subjects": (GRANT, '"subjects": []'),
    "kind": (GRANT, '"kind": "ConfigMap"'),
    "apiVersion": (GRANT, '"apiVersion": "v1"'),
    "roleRef": (
        GRANT,
        '"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "none"}',
    ),
    "rules": (OWN_ROLE, '"rules": []'),
    "escaped": (GRANT, '"\\u0073ubjects": []'),
}


@pytest.mark.parametrize("case", AGAIN)
def test_a_key_twice_in_json_is_incomplete_input(tmp_path: Path, case: str) -> None:
    item, again = AGAIN[case]
    other = OWN_ROLE if item is GRANT else GRANT
    path = tmp_path / "more.json"
    path.write_text(f"{json.dumps(item)[:-1]}, {again}}}", "utf-8")
    done = verify(tmp_path, [*cluster("D"), other], str(path))
    assert is_not_clean(done), done.stdout


def test_items_twice_in_json_are_incomplete_input(tmp_path: Path) -> None:
    path = tmp_path / "more.json"
    first = json.dumps({"apiVersion": "v1", "kind": "List", "items": [OWN_ROLE, GRANT]})
    path.write_text(f'{first[:-1]}, "items": []}}', "utf-8")
    assert is_not_clean(verify(tmp_path, cluster("D"), str(path)))


@pytest.mark.parametrize("case", ["subjects", "roleRef", "rules"])
def test_a_key_twice_in_a_large_list_is_incomplete_input(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbacguard.sources.decode.MAX_CHECKED", 0)
    item, again = AGAIN[case]
    other = OWN_ROLE if item is GRANT else GRANT
    items = f"{json.dumps(other)}, {json.dumps(item)[:-1]}, {again}}}"
    path = tmp_path / "more.json"
    path.write_text(f'{{"apiVersion": "v1", "kind": "List", "items": [{items}]}}', "utf-8")
    done = verify(tmp_path, cluster("D"), str(path))
    assert is_not_clean(done)
    assert f"more.json#items[1]: key '{case}' is given twice" in done.stdout


NORMAL = {
    "README.md": "# Grants\n\nBind them:\n\n```yaml\napiVersion: v1\nkind: List\n```\n",
    "apply.sh": "#!/bin/sh\noc apply -f - <<EOF\napiVersion: v1\nkind: List\nEOF\n",
    "audit.log": '{"kind":"Event","apiVersion":"audit.k8s.io/v1"}\n',
    "namespaces/web/pods/a/current.log": '{"kind":"Pod","apiVersion":"v1"}\n',
    "values.yaml": "replicas: 3\n",
    "index.html": "<html></html>",
}


@pytest.mark.parametrize("name", NORMAL)
def test_other_files_in_a_folder_are_normal(tmp_path: Path, name: str) -> None:
    path = tmp_path / "dumps" / name
    path.parent.mkdir(parents=True)
    path.write_text(NORMAL[name], "utf-8")
    write_dump(tmp_path / "dumps" / "D.json", [*cluster("D"), OWN_ROLE])
    assert load([str(tmp_path / "dumps")]).coverage.problems == ()


def test_a_key_twice_in_yaml_is_incomplete_input(tmp_path: Path) -> None:
    path = tmp_path / "more.yaml"
    path.write_text(f"{yaml.safe_dump(GRANT)}subjects: []\n", "utf-8")
    assert is_not_clean(verify(tmp_path, [*cluster("D"), OWN_ROLE], str(path)))


# Files and folders inside a folder


def folder_with(tmp_path: Path, name: str, content: bytes) -> str:
    """Return a folder with this file beside another one."""
    folder = tmp_path / "dumps"
    folder.mkdir()
    write_dump(folder / "first.json", [OWN_ROLE])
    (folder / name).write_bytes(content)
    return str(folder)


FILE = json.dumps({"apiVersion": "v1", "kind": "List", "items": [GRANT]}).encode()


@pytest.mark.parametrize(
    "name", ["own", "own.txt", "own.out", "own.dump", "own.json.bak", "own.yaml.old", "own.json.1"]
)
def test_a_file_with_an_unknown_suffix_is_incomplete_input(tmp_path: Path, name: str) -> None:
    done = verify(tmp_path, cluster("D"), folder_with(tmp_path, name, FILE))
    assert is_not_clean(done), done.stdout


@pytest.mark.parametrize(
    "name", ["own.json", "own.yaml", "own.YML", "own.jsonl", "own.json.gz", ".own.json"]
)
def test_files_in_a_folder_are_read(tmp_path: Path, name: str) -> None:
    content = gzip.compress(FILE) if name.endswith(".gz") else FILE
    done = verify(tmp_path, cluster("D"), folder_with(tmp_path, name, content))
    assert done.returncode == FAILED
    assert "mallory" in done.stdout


@pytest.mark.parametrize("depth", ["here", "below"])
def test_a_linked_folder_is_incomplete_input(tmp_path: Path, depth: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_dump(elsewhere / "own.json", [GRANT])
    folder = Path(folder_with(tmp_path, "second.json", b"[]"))
    link = folder / "web" if depth == "here" else folder / "namespaces" / "web"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    done = verify(tmp_path, cluster("D"), str(folder))
    assert is_not_clean(done), done.stdout


def test_a_link_to_nothing_is_incomplete_input(tmp_path: Path) -> None:
    folder = Path(folder_with(tmp_path, "second.json", b"[]"))
    (folder / "grant.json").symlink_to(tmp_path / "nowhere.json")
    assert is_not_clean(verify(tmp_path, cluster("D"), str(folder)))


def test_a_linked_file_is_read(tmp_path: Path) -> None:
    path = write_dump(tmp_path / "elsewhere.json", [GRANT])
    folder = Path(folder_with(tmp_path, "second.json", b"[]"))
    (folder / "own.json").symlink_to(path)
    done = verify(tmp_path, cluster("D"), str(folder))
    assert done.returncode == FAILED
    assert "mallory" in done.stdout
