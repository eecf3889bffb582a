"""Bindings of a saved snapshot: in columns, whole, and made into objects when somebody asks."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from conftest import binding, objects, role, rule, state, user
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_saved import packed, unpacked, write

from rbacguard import Snapshot
from rbacguard.errors import ContradictionError, InputError
from rbacguard.kubevirt.releases import find_release
from rbacguard.rbac import ObjectKey, Subject
from rbacguard.rbac.columns import Columns, ColumnsOfObjects
from rbacguard.sources import load
from rbacguard.sources.packed import Late
from rbacguard.update.plan import make_plan


def repacked(value: dict[str, Any]) -> bytes:
    """Return a snapshot that somebody changed, digest and all."""
    content = json.dumps(value["content"], separators=(",", ":")).encode()
    digests = {**value["digests"], "content": hashlib.sha256(content).hexdigest()}
    return packed({**value, "digests": digests})


def as_objects(value: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot as the first format has it: bindings among the other objects."""
    content = dict(value["content"])
    content["objects"] = [
        *content["objects"],
        *(o for o in objects("A") if o["kind"] in ("RoleBinding", "ClusterRoleBinding")),
    ]
    del content["bindings"]
    return {**value, "apiVersion": "rbacguard.io/snapshot/v1", "content": content}


def test_the_first_format_is_read_too(tmp_path: Path) -> None:
    now = state("A").encode()
    old = repacked(as_objects(unpacked(now)))
    one, two = (Snapshot.load([write(tmp_path / str(n), d)]) for n, d in enumerate((now, old)))
    assert one.rules == two.rules
    assert [(b.ref, b.subjects) for b in one.bindings] == [
        (b.ref, b.subjects) for b in two.bindings
    ]
    assert replace(one.coverage, inputs=()) == replace(two.coverage, inputs=())


def told(columns: Columns) -> tuple[Any, ...]:
    """Return what columns tell of each binding and of each subject, wherever that stands."""
    roles = [columns.roles[place] for place in columns.role_of]
    numbers = range(len(roles))
    some = dict(columns.naming(numbers[::2]))
    return columns.scopes, columns.names, roles, dict(columns.naming(numbers)), some


NAMED = st.sampled_from(["a", "b", "ä", "A/b", "\u202e", "system:serviceaccount:ns:a"])
SUBJECTS = st.builds(
    Subject,
    st.sampled_from(["User", "Group", "ServiceAccount", "Robot"]),
    NAMED | st.just(""),
    st.sampled_from(["", "ns", "web"]),
)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(NAMED, NAMED, max_size=2),
        "annotations": st.dictionaries(st.sampled_from(["rbacguard.io/x", "helm.sh/y"]), NAMED),
        "creationTimestamp": st.sampled_from(["2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"]),
        "ownerReferences": st.just([{"apiVersion": "v1", "kind": "A", "name": "b"}]),
    },
)
BINDINGS = st.lists(
    st.tuples(
        st.sampled_from(["", "ns", "web"]),
        NAMED,
        st.sampled_from(["Role", "ClusterRole"]),
        NAMED,
        st.lists(SUBJECTS, max_size=4),
        METADATA,
    ),
    unique_by=lambda each: each[:2],
    max_size=12,
)


@given(BINDINGS)
def test_bindings_come_back_as_they_were(made: list[Any]) -> None:
    """With whatever subjects, in their order, also those that nobody can be, and given twice."""
    items = [role("r", rule("get", "core", "pods"))]
    for namespace, name, kind, target, subjects, metadata in made:
        items.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
                "metadata": {
                    "name": name,
                    **({"namespace": namespace} if namespace else {}),
                    **metadata,
                },
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": target},
                "subjects": [
                    {"kind": s.kind, "name": s.name, "namespace": s.namespace} for s in subjects
                ],
            }
        )
    before = Snapshot.from_objects(items)
    data = before.encode()
    with tempfile.TemporaryDirectory() as folder:
        after = Snapshot.load([write(Path(folder, "s"), data)])
    assert told(after.columns) == told(before.columns)
    assert after.bindings == before.bindings
    assert len(after) == len(before)
    assert after.encode() == data


def test_no_object_is_made_for_a_plan(tmp_path: Path) -> None:
    after = Snapshot.load([write(tmp_path / "s", state("A").encode())])
    late = after._by_kind["RoleBinding"]  # noqa: SLF001 - what nobody is to see
    assert isinstance(late, Late)
    make_plan(after, find_release("4.20"))
    assert "objects" not in vars(late.source)
    assert len(late) == len(state("A")._by_kind["RoleBinding"])  # noqa: SLF001 - likewise
    assert after.binding(next(iter(late))) is not None
    assert "objects" in vars(late.source)


def column(name: str, change: Any) -> Any:
    def changed(bindings: dict[str, Any]) -> dict[str, Any]:
        columns = bindings["columns"]
        return {**bindings, "columns": {**columns, name: change(list(columns[name]))}}

    return changed


def past(name: str, values: str) -> Any:
    """Return what makes the last binding name a value just after the last one."""

    def changed(bindings: dict[str, Any]) -> dict[str, Any]:
        count = sum(len(each.get("names", "1")) for each in map(dict_of, bindings[values]))
        made: dict[str, Any] = column(name, lambda v: [*v[:-1], count])(bindings)
        return made

    return changed


def dict_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def pool(name: str, change: Any) -> Any:
    return lambda bindings: {**bindings, name: change(list(bindings[name]))}


NOT_WHOLE = {
    "no columns": (
        lambda b: {key: value for key, value in b.items() if key != "columns"},
        "missing required field columns",
    ),
    "no counts": (
        lambda b: {**b, "columns": {k: v for k, v in b["columns"].items() if k != "count"}},
        "missing required field count",
    ),
    "one name too few": (column("name", lambda v: v[1:]), r"expected \d+ bindings"),
    "one role too many": (column("roleRef", lambda v: [*v, 0]), r"expected \d+ bindings"),
    "one count too few": (column("count", lambda v: v[1:]), r"expected \d+ bindings"),
    "metadata too few": (column("metadata", lambda v: v[1:]), r"expected \d+ bindings"),
    "one subject too few": (column("subjects", lambda v: v[1:]), r"expected \d+ subjects"),
    "no such name": (past("name", "names"), "not in the file"),
    "no such subject": (past("subjects", "subjects"), "not in the file"),
    "no such role": (past("roleRef", "roleRefs"), "not in the file"),
    "no such metadata": (past("metadata", "metadata"), "not in the file"),
    "no number of ours": (column("subjects", lambda v: [*v[:-1], 10**30]), "not in the file"),
    "a place before the first": (column("name", lambda v: [-1, *v[1:]]), "broken snapshot"),
    "a count of less than none": (column("count", lambda v: [-1, *v[1:]]), "broken snapshot"),
    "names in disorder": (pool("names", lambda v: v[::-1]), "not in order"),
    "a name twice": (pool("names", lambda v: [v[0], *v[:-1]]), "not in order"),
    "no name": (pool("names", lambda v: ["", *v[1:]]), "no name"),
    "kinds in disorder": (pool("subjects", lambda v: v[::-1]), "not in order"),
    "subjects in disorder": (
        pool("subjects", lambda v: [{**each, "names": each["names"][::-1]} for each in v]),
        "not in order",
    ),
    "a binding twice": (column("name", lambda v: [v[1], *v[1:]]), "not in order"),
    "no scope": (lambda b: {**b, "scopes": {}}, r"expected 0 bindings"),
    "scopes in disorder": (
        lambda b: {**b, "scopes": dict(reversed(b["scopes"].items()))},
        "not in order",
    ),
    "a scope of none": (
        lambda b: {**b, "scopes": {**b["scopes"], "zzz": 0}},
        "broken snapshot",
    ),
    "more than there can be": (
        lambda b: {**b, "scopes": {**b["scopes"], "zzz": 10**12}},
        r"expected \d+ bindings",
    ),
}


@pytest.mark.parametrize(("change", "expected"), NOT_WHOLE.values(), ids=NOT_WHOLE)
def test_columns_that_are_not_whole_are_refused(change: Any, expected: str, tmp_path: Path) -> None:
    value = unpacked(state("D").encode())
    changed = change(value["content"]["bindings"])
    assert json.dumps(changed) != json.dumps(value["content"]["bindings"])
    value["content"] = {**value["content"], "bindings": changed}
    path = write(tmp_path / "s", repacked(value))
    with pytest.raises(InputError, match=f"a broken snapshot: .*{expected}|{expected}") as caught:
        load([path])
    assert str(caught.value).startswith(f"{path}: a broken snapshot: ")
    assert "\n" not in str(caught.value)


def test_a_file_without_bindings_is_not_one_of_a_cluster_without_any(tmp_path: Path) -> None:
    value = unpacked(state("D").encode())
    del value["content"]["bindings"]
    with pytest.raises(InputError, match="a broken snapshot: expected bindings, found none"):
        load([write(tmp_path / "s", repacked(value))])


MORE = binding("more", "admin", user("zoe"), namespace="web")


@pytest.mark.parametrize("first", ["snapshot", "file"])
def test_a_binding_from_another_file_is_added(first: str, tmp_path: Path) -> None:
    saved_ = write(tmp_path / "s", state("A").encode())
    other = write(tmp_path / "more.json", json.dumps(MORE).encode())
    found = Snapshot.load([saved_, other] if first == "snapshot" else [other, saved_])
    added = [b for b in found.bindings if b not in state("A").bindings]
    assert [str(b.ref) for b in added] == ["RoleBinding web/more"]
    assert told(found.columns) == told(ColumnsOfObjects(found.bindings_in))
    assert found.locations[added[0].ref].file == other
    assert {found.locations[b.ref].file for b in found.bindings if b not in added} == {saved_}


def test_a_binding_that_differs_in_another_file_is_a_contradiction(tmp_path: Path) -> None:
    saved_ = write(tmp_path / "s", Snapshot.from_objects([role("r"), MORE]).encode())
    other = {**MORE, "subjects": [{"kind": "User", "name": "yan"}]}
    file = write(tmp_path / "more.json", json.dumps(other).encode())
    for paths in ([saved_, file], [file, saved_]):
        with pytest.raises(ContradictionError, match="RoleBinding web/more differs"):
            load(paths)
    same = write(tmp_path / "same.json", json.dumps(MORE).encode())
    for paths in ([saved_, same], [same, saved_]):
        assert len(Snapshot.load(paths).bindings) == 1


def test_what_changed_is_found_anew_and_the_rest_is_kept() -> None:
    before = state("A")
    made = binding("more", "admin", user("zoe"), namespace="web")
    (added,) = Snapshot.from_objects([made]).bindings
    with_binding = before.replace([added])
    assert added in with_binding.bindings
    assert added not in before.bindings
    assert told(with_binding.columns) == told(ColumnsOfObjects(with_binding.bindings_in))
    assert with_binding.cluster_roles is before.cluster_roles
    with_role = with_binding.replace(delete=[ObjectKey("ClusterRole", "", "admin")])
    assert with_role.columns is with_binding.columns
    assert with_role.bindings is with_binding.bindings
    assert "admin" not in with_role.cluster_roles
    assert "admin" in before.cluster_roles
    assert before.replace(delete=[added.ref]).bindings == before.bindings
