"""What dumps look like, and what is wrong with some of them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml as pyyaml
import zstandard
from conftest import STATES, binding, objects, role, rule, state, user, write_dump
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from strategies import examples

from rbacguard import Attributes, Snapshot
from rbacguard.errors import InputError
from rbacguard.rbac import ObjectMeta
from rbacguard.snapshot.coverage import State
from rbacguard.snapshot.resources import ACCESS
from rbacguard.sources import InputCollection, files, from_objects, kubectl_yaml, load, yaml
from rbacguard.sources.decode import read_bytes
from rbacguard.sources.decoders import ListDecoder, list_decoder
from rbacguard.sources.files import NamedBytes

ALLOWED = Attributes(user="alice", verb="get", resource="pods")
SMALL = [role("r", rule("get", "core", "pods")), binding("b", "r", user("alice"))]


def as_yaml(items: list[dict[str, Any]]) -> str:
    return "---\n".join(json.dumps(item) + "\n" for item in items)


def loaded(tmp_path: Path, content: str | bytes, name: str = "dump.yaml") -> Snapshot:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load([str(path)])


def refused(tmp_path: Path, content: str | bytes, name: str = "dump.yaml") -> str:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, content, name)
    message = str(caught.value)
    assert "\n" not in message
    return message


LIST = {"apiVersion": "v1", "kind": "List", "items": SMALL}


def packed_tar(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        link = tarfile.TarInfo("evil.yaml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for index, item in enumerate(SMALL):
            data = json.dumps(item).encode()
            member = tarfile.TarInfo(f"../../up/{index}.yaml")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def packed_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../up/all.json", json.dumps(LIST))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(LIST),
        json.dumps(LIST, indent=4),
        json.dumps(SMALL),
        "\n".join(json.dumps(item) for item in SMALL),
        "\n\n".join(json.dumps(item, indent=2) for item in SMALL),
        as_yaml(SMALL),
        "---\n" + as_yaml(SMALL) + "---\n---\n",
        "\ufeff" + as_yaml(SMALL),
        as_yaml(SMALL).replace("\n", "\r\n"),
        as_yaml([LIST]),
        as_yaml([{"kind": "List", "apiVersion": "v1", "items": [LIST]}]),
        gzip.compress(json.dumps(LIST).encode()),
        zstandard.ZstdCompressor().compress(json.dumps(LIST).encode()),
        zstandard.ZstdCompressor(write_content_size=False).compress(json.dumps(LIST).encode()),
        # In two frames, as `zstd` in parallel writes a large file.
        b"".join(
            zstandard.ZstdCompressor().compress(part.encode())
            for part in (json.dumps(LIST)[:99], json.dumps(LIST)[99:])
        ),
    ],
)
def test_every_shape_of_a_dump_gives_the_same_answer(tmp_path: Path, content: str | bytes) -> None:
    assert loaded(tmp_path, content).authorizer.authorize(ALLOWED).allowed


def test_items_of_a_typed_list_take_its_kind(tmp_path: Path) -> None:
    bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in SMALL]
    lists = [
        {"apiVersion": item["apiVersion"], "kind": f"{item['kind']}List", "items": [content]}
        for item, content in zip(SMALL, bare, strict=True)
    ]
    for text in (as_yaml(lists), "\n".join(map(json.dumps, lists))):
        assert loaded(tmp_path, text).authorizer.authorize(ALLOWED).allowed


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha1"])
def test_older_versions_are_read(tmp_path: Path, version: str) -> None:
    text = as_yaml(SMALL).replace("k8s.io/v1", f"k8s.io/{version}", 2)
    assert loaded(tmp_path, text).authorizer.authorize(ALLOWED).allowed


def test_openshifts_own_forms_are_read() -> None:
    old = {
        "apiVersion": "authorization.openshift.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "web"},
        "roleRef": {"name": "r"},
        "subjects": [{"kind": "SystemGroup", "name": "system:authenticated"}],
        "userNames": ["alice", "system:serviceaccount:web:bot"],
        "groupNames": ["devs"],
    }
    local = old | {
        "metadata": {"name": "l", "namespace": "web"},
        "roleRef": {"name": "r", "namespace": "web"},
    }
    snapshot = from_objects([old, local])
    first, second = snapshot.bindings
    assert [str(s) for s in first.subjects] == [
        "Group system:authenticated",
        "User alice",
        "ServiceAccount web/bot",
        "Group devs",
    ]
    assert (first.role_ref.kind, second.role_ref.kind) == ("ClusterRole", "Role")


def test_openshifts_form_of_an_object_is_no_contradiction() -> None:
    old = {
        "apiVersion": "authorization.openshift.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "b", "annotations": {"x": "y"}},
        "roleRef": {"name": "r"},
        "userNames": ["alice"],
    }
    for order in ([*SMALL, old], [old, *SMALL]):
        assert from_objects(order).bindings[0].metadata.annotations == {}


def test_the_same_object_twice_is_fine_and_a_different_one_is_refused(tmp_path: Path) -> None:
    assert loaded(tmp_path, as_yaml([*SMALL, *SMALL])).authorizer.authorize(ALLOWED).allowed
    other = role("r", rule("list", "core", "pods"))
    message = refused(tmp_path, as_yaml([*SMALL, other]))
    assert "dump.yaml, document 3, line 5: ClusterRole r differs from the one at" in message
    assert "dump.yaml, line 1" in message


def test_other_kinds_are_counted_and_passed_over(tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "b"}}
    snapshot = loaded(tmp_path, as_yaml([*SMALL, secret, {"not": "kubernetes"}]))
    assert snapshot.coverage.skipped == {"Secret": 1, "(not a Kubernetes object)": 1}


@pytest.mark.parametrize("letter", "AF")
def test_a_whole_cluster_has_no_gaps(letter: str) -> None:
    assert state(letter).coverage.missing() == ()


@pytest.mark.parametrize("kind", ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"])
def test_a_kind_that_is_missing_is_a_gap(tmp_path: Path, kind: str) -> None:
    items = [item for item in objects("D") if item["kind"] != kind]
    coverage = load([write_dump(tmp_path / "d.json", items)]).coverage
    assert coverage.missing() == (f"{kind}: not in the input",)


def test_a_list_with_a_continue_token_is_truncated(tmp_path: Path) -> None:
    items = [item for item in objects("A") if item["kind"] == "RoleBinding"]
    page = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBindingList",
        "metadata": {"continue": "abc"},
        "items": items,
    }
    for name, text in (("d.json", json.dumps(page)), ("d.yaml", as_yaml([page]))):
        coverage = loaded(tmp_path, text, name).coverage
        assert coverage.kinds["RoleBinding"].state is State.PARTIAL
        assert "continue token" in coverage.kinds["RoleBinding"].reasons[0]


def test_one_namespace_is_not_the_cluster(tmp_path: Path) -> None:
    items = [
        item
        for item in objects("A")
        if item["metadata"].get("namespace", "web") == "web" or item["kind"].startswith("Cluster")
    ]
    gaps = load([write_dump(tmp_path / "d.json", items)]).coverage.missing()
    assert any("RoleBinding: every cluster has some in kube-system" in gap for gap in gaps)


def test_an_empty_list_of_groups_is_known_to_be_empty(tmp_path: Path) -> None:
    empty = {"apiVersion": "user.openshift.io/v1", "kind": "GroupList", "items": []}
    assert loaded(tmp_path, as_yaml([*SMALL, empty])).coverage.kinds["Group"].state is State.READ
    assert loaded(tmp_path, as_yaml(SMALL)).coverage.kinds["Group"].state is State.ABSENT


def inspect_tree(root: Path, items: list[dict[str, Any]]) -> None:
    plural = {
        "ClusterRole": "clusterroles",
        "ClusterRoleBinding": "clusterrolebindings",
        "Role": "roles",
        "RoleBinding": "rolebindings",
    }
    for item in items:
        if item["kind"] not in plural:
            continue
        namespace = item["metadata"].get("namespace")
        folder = root / ("namespaces" if namespace else "cluster-scoped-resources")
        folder = folder / namespace if namespace else folder
        path = folder / "rbac.authorization.k8s.io" / plural[item["kind"]]
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{item['metadata']['name']}.yaml").write_text("---\n" + json.dumps(item))


@pytest.mark.parametrize("top", ["", "must-gather.local.123/quay-io-image-sha256-abc"])
def test_an_inspect_tree_is_read_whatever_its_top_folder(tmp_path: Path, top: str) -> None:
    inspect_tree(tmp_path / "dump" / top, objects("A"))
    snapshot = load([str(tmp_path / "dump")])
    assert snapshot.rules == state("A").rules
    assert snapshot.coverage.missing() == ()


def test_namespaces_that_were_not_collected_are_a_gap(tmp_path: Path) -> None:
    inspect_tree(tmp_path, objects("A"))
    (tmp_path / "namespaces" / "secret-project").mkdir()
    (tmp_path / "namespaces" / "secret-project" / "pods.yaml").write_text(
        "kind: PodList\nitems: []"
    )
    gaps = load([str(tmp_path)]).coverage.missing()
    assert any("nothing was collected from 1 namespaces (secret-project)" in gap for gap in gaps)


def test_a_must_gather_without_rbac_names_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "namespaces" / "web" / "core"
    folder.mkdir(parents=True)
    (folder / "pods.yaml").write_text("apiVersion: v1\nkind: PodList\nitems: []\n")
    with pytest.raises(InputError, match="oc adm inspect --dest-dir=rbac"):
        load([str(tmp_path)])


def test_error_text_in_a_gathered_file_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    inspect_tree(tmp_path, objects("A"))
    bad = tmp_path / "cluster-scoped-resources" / "error.yaml"
    bad.write_text("Unable to connect: the server:\tdid not answer: 5xx\n: [")
    problems = load([str(tmp_path)]).coverage.problems
    assert len(problems) == 1
    assert "error.yaml" in problems[0]


@pytest.mark.parametrize(
    "content", [packed_tar("w"), packed_tar("w:gz"), packed_tar("w:xz"), packed_zip()]
)
def test_archives_are_read_in_place(tmp_path: Path, content: bytes) -> None:
    assert loaded(tmp_path, content, "dump.bin").authorizer.authorize(ALLOWED).allowed
    assert [p.name for p in tmp_path.iterdir()] == ["dump.bin"]


def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1 << 20)
    zeros = bytes(1 << 21)
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.yaml")
        member.size = len(zeros)
        archive.addfile(member, io.BytesIO(zeros))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.yaml", zeros)
    for content in (
        gzip.compress(zeros),
        zstandard.ZstdCompressor().compress(zeros),
        zstandard.ZstdCompressor(write_content_size=False).compress(zeros),
        zstandard.ZstdCompressor().compress(zeros[: 1 << 19]) * 4,
        tarred.getvalue(),
        zipped.getvalue(),
    ):
        assert "unpacks to more than" in refused(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "empty file"),
        ("  \n\n", "empty file"),
        ('{"kind": "List", "items": [', "the JSON ends half-way; the file is truncated"),
        ('{"kind": "List",\n"items": [}]}', "line 2: not well-formed JSON"),
        ("kind: List\nitems:\n- a: [1,", "not well-formed YAML"),
        ("kind: ClusterRole\n\tmetadata: {}\n", "line 2: not well-formed YAML: a tab"),
        ("kind: X\nname: é".encode("latin-1"), "not UTF-8 at byte"),
        ("kind: X".encode("utf-16"), "UTF-16 text, expected UTF-8"),
        (b"\x7fELF\x00\x00\x00", "binary data, expected YAML or JSON"),
        (b"\x1f\x8b\x08broken", "cannot be unpacked"),
        (b"PK\x03\x04broken", "cannot be unpacked"),
        ("a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "not a Kubernetes object"),
        ("kind: ConfigMap\napiVersion: v1\n", "no ClusterRole, Role or binding among 1 objects"),
        ("{{ .Values.x }}: {{ y }\nkind: : x", "a template, not YAML; render it first"),
        ("a: !!python/object/apply:os.system [ls]", "not well-formed YAML"),
        ("[" * 100_000, "nested too deeply"),
        ("a:\n" + "".join(" " * i + "- \n" for i in range(400)), "nested deeper than 200 levels"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("- " * 5000 + "x", "nested deeper than 200 levels"),
    ],
)
def test_bad_files_get_one_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert expected in refused(tmp_path, content)


ROLE_LIST = '{"kind": "RoleList", "apiVersion": "rbac.authorization.k8s.io/v1", "items": [], '


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"kind": "List", "apiVersion": "v1", "items": "x"}', "got `str` - at `$.items`"),
        ('{"kind": "List", "apiVersion": "v1", "items": [1]}', "items[0]: Expected `object`"),
        ("kind: List\nitems: abc\n", "items: expected a list"),
        ("kind: List\nitems: [1]\n", "items[0]: expected an object"),
        (ROLE_LIST + '"metadata": {"continue": 5}}', "RoleList: metadata: Expected `str | null`"),
        (ROLE_LIST + '"metadata": "x"}', "RoleList: metadata: Expected `object`"),
        ('{"kind": 5}', "at `$.kind`"),
        ("[1, 2]", "Expected `object`"),
        ('"abc"', "not a Kubernetes object"),
        (as_yaml([{**SMALL[0], "metadata": None}]), "metadata: expected object, got null"),
        (as_yaml([{**SMALL[0], "metadata": {}}]), "metadata.name: expected a name, found none"),
        (json.dumps({**SMALL[1], "roleRef": None}), "roleRef: expected object, got null"),
        (json.dumps(SMALL[1]).replace("alice", "\\ud800"), "JSON is malformed"),
        ("kind: X\na: " + "9" * 5000, "not well-formed YAML"),
        (json.dumps(SMALL[1]).encode().replace(b"alice", b"\xff"), "not UTF-8"),
        (json.dumps(LIST).encode().replace(b"alice", b"\xff"), "not UTF-8"),
        (packed_zip()[:-60] + b"x" * 60, "cannot be unpacked"),
        (packed_tar("w")[:200], "YAML"),
    ],
)
def test_odd_shapes_get_one_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert expected in refused(tmp_path, content)


def test_a_role_binding_without_a_namespace_does_not_count_for_the_cluster(tmp_path: Path) -> None:
    nowhere = {**binding("b", "r", user("eve"), namespace="x")}
    nowhere["metadata"] = {"name": "b"}
    snapshot = loaded(tmp_path, as_yaml([*SMALL, nowhere]))
    eve = Attributes(user="eve", verb="get", resource="pods")
    assert not snapshot.authorizer.authorize(eve).allowed
    assert "RoleBinding b: no namespace" in snapshot.coverage.problems[0]


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [" + ",".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 12)]
    assert "aliases expand to more than" in refused(tmp_path, "\n".join(lines))
    assert "an alias contains itself" in refused(tmp_path, "a: &a [*a]")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("yes", "bool"),
        ("on", "bool"),
        ("n", "bool"),
        ("0123", "int"),
        ("1e3", "int"),
        ("~", "null"),
    ],
)
def test_names_that_kubectl_does_not_read_as_text_are_refused(
    tmp_path: Path, name: str, found: str
) -> None:
    text = (
        "kind: RoleBinding\napiVersion: rbac.authorization.k8s.io/v1\n"
        "metadata: {name: b, namespace: web}\n"
        "roleRef: {kind: ClusterRole, name: r, apiGroup: rbac.authorization.k8s.io}\n"
        f"subjects:\n- kind: User\n  name: {name}\n"
    )
    message = refused(tmp_path, text)
    assert f"RoleBinding web/b: subjects[0].name: expected str, got {found}" in message


@pytest.mark.parametrize(
    "name", ["=", "<<", "2001-01-01", "1:30", "null2", "nUll", "é", "a: b", "#x"]
)
def test_names_that_kubectl_reads_as_text_are_text(tmp_path: Path, name: str) -> None:
    quoted = name if name in ("=", "<<", "2001-01-01", "1:30", "nUll") else json.dumps(name)
    text = f"kind: X\nname: {quoted}\n"
    (document,) = yaml.documents(text.encode())
    assert document.value == {"kind": "X", "name": name}


def test_keys_are_text_as_kubectl_makes_them() -> None:
    (document,) = yaml.documents(b"{1: a, 1.5: b, on: c, 012: d, x: e}")
    assert document.value == {"1": "a", "1.5": "b", "true": "c", "10": "d", "x": "e"}


def test_a_key_that_kubectl_refuses_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "kind: Role\nmetadata:\n  labels: {~: a}\n")
    assert "line 3: not well-formed YAML: expected text as a key, found null" in message


def test_scalars_are_read_by_kubectls_rules() -> None:
    text = (
        "a: 0123\nb: 08\nc: 0o17\nd: 0b101\ne: 1_000\nf: 1e3\ng: -1.5\nh: 0x1F\ni: +12\nj: .5\n"
        "k: Yes\nl: oFF\nm:\nn2: Null\no: 0.0\n"
    )
    (document,) = yaml.documents(text.encode())
    assert document.value == {
        "a": 83,
        "b": 8,
        "c": 15,
        "d": 5,
        "e": 1000,
        "f": 1000,
        "g": -1.5,
        "h": 31,
        "i": 12,
        "j": 0.5,
        "k": True,
        "l": "oFF",
        "m": None,
        "n2": None,
        "o": 0,
    }


@pytest.mark.parametrize("letter", "ABCDEF")
def test_the_fast_reader_and_the_exact_one_agree_on_real_dumps(letter: str) -> None:
    data = with_managed_fields(STATES[letter].read_bytes())
    assert kubectl_yaml.is_kubectl_output(data)
    (exact,) = yaml.documents(data)
    fast = kubectl_yaml.parse_kubectl_output(data)
    assert exact.value == kubectl_yaml.parse_kubectl_output(data, whole=True).value
    assert isinstance(exact.value, dict)
    for item in exact.value["items"]:
        assert "uid" in item["metadata"]
        item["metadata"] = {
            k: v for k, v in item["metadata"].items() if k not in kubectl_yaml.UNUSED
        }
    assert exact.value == fast.value
    assert exact.item_lines == fast.item_lines


def with_managed_fields(data: bytes) -> bytes:
    """Give every second item of a dump managedFields as kubectl shows them."""
    fields = (
        b"    managedFields:\n    - apiVersion: v1\n      fieldsType: FieldsV1\n      fieldsV1:\n"
        b"        f:metadata:\n          f:labels:\n            .: {}\n      manager: kubectl\n"
        b"    - apiVersion: v1\n      manager: 'a: b'\n"
    )
    first, *items = data.split(b"\n- ")
    found = [
        item.replace(b"\n    name: ", b"\n" + fields + b"    name: ", 1) if place % 2 else item
        for place, item in enumerate(items)
    ]
    return b"\n- ".join([first, *found])


LINES = [
    *("\n", " ", "    ", "a", "é", "'", '"', ": ", "- ", "#", "|", "\\n", "\t"),
    *("uid: x", "\n    uid: x\n", "\n    resourceVersion: '1'", "\n    generation: 1\n"),
    *("    managedFields:\n", "\n    managedFields:\n    - a\n      b: c\n", "    - a\n"),
]


@examples(150)
@given(
    names=st.lists(
        st.lists(st.sampled_from(LINES), min_size=1, max_size=5).map("".join),
        min_size=1,
        max_size=4,
    ),
    width=st.sampled_from([20, 80, 10_000]),
)
def test_no_text_is_taken_for_metadata_that_is_cut_out(names: list[str], width: int) -> None:
    items = [
        {
            **role(
                f"r{number}",
                {**rule("get", "core", "pods"), "resourceNames": [name, "a"]},
                labels={"l": name},
                annotations={name: name},
            ),
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {name: name}}]},
        }
        for number, name in enumerate(names)
    ]
    items += [binding(f"b{number}", name, user(name)) for number, name in enumerate(names)]
    for item in items:
        item["metadata"]["uid"] = "8d5c1e0f-7f0e-4b8e-9a56-3f3d7c1f3f11"
    data = pyyaml.safe_dump(
        {"apiVersion": "v1", "items": items, "kind": "List"}, width=width, allow_unicode=True
    ).encode()
    if kubectl_yaml.is_kubectl_output(data):
        found = kubectl_yaml.parse_kubectl_output(data).value
        assert found == {"apiVersion": "v1", "items": items, "kind": "List"}


def test_no_type_has_what_the_fast_reader_leaves_out() -> None:
    todo: list[Any] = [each.type for each in ACCESS]
    seen: set[type[Struct]] = set()
    while todo:
        each = todo.pop()
        if isinstance(each, type) and issubclass(each, Struct) and each not in seen:
            seen.add(each)
            assert not set(each.__struct_encode_fields__) & set(kubectl_yaml.UNUSED), each
            todo += get_type_hints(each).values()
        todo += get_args(each)
    assert ObjectMeta in seen


@pytest.mark.parametrize("end", ["", "x: &a 1\n", "x: *a\n", "&a x: 1\n", "---\na: 1\n", "...\n"])
def test_what_two_dialects_may_read_differently_is_left_to_the_exact_reader(end: str) -> None:
    data = STATES["A"].read_bytes()
    assert b"'*'" in data
    assert b"/api/*" in data
    assert kubectl_yaml.is_kubectl_output(data + b"x: a&b\ny: '& *'\n" + end.encode()) is (not end)


def read(data: bytes) -> InputCollection:
    found = InputCollection()
    read_bytes(NamedBytes("dump.json", data, discovered=False), found)
    return found


def read_one_by_one(data: bytes) -> InputCollection:
    """Read a list without decoding it in one go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ListDecoder, "decode", lambda _self, _data: None)
        return read(data)


def is_decoded_in_one_go(data: bytes) -> bool:
    return list_decoder(workloads=False).decode(data) is not None


def as_list(items: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items, **more}).encode()


@pytest.mark.parametrize("letter", "ABCDEF")
def test_a_list_in_one_go_is_what_its_pieces_are(letter: str) -> None:
    odd = [
        role("nothing", labels={"a": "b"}, annotations={"c": "d"}, rules=None),
        {**binding("nobody", "r"), "subjects": None},
        binding("lost", "r", user("alice"), namespace=""),
    ]
    data = as_list([*objects(letter), *odd], metadata={"continue": ""})
    assert is_decoded_in_one_go(data)
    whole, pieces = read(data), read_one_by_one(data)
    assert whole.by_kind == pieces.by_kind
    assert whole.locations == pieces.locations
    assert whole.coverage() == pieces.coverage()


@pytest.mark.parametrize(
    "odd",
    [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}},
        {**role("r"), "apiVersion": "rbac.authorization.k8s.io/v1beta1"},
        {**role("r"), "apiVersion": "authorization.openshift.io/v1"},
        {**role("r"), "apiVersion": None},
        role("r", labels={"a": None}),
        role("r", labels=None),
        {"apiVersion": "v1", "kind": "List", "items": SMALL},
        {"metadata": {"name": "r"}},
        "r",
    ],
    ids=str,
)
def test_what_is_odd_is_left_to_the_pieces(odd: Any) -> None:
    assert not is_decoded_in_one_go(as_list([*SMALL, odd]))
    assert is_decoded_in_one_go(as_list(SMALL))


FEW = as_list([*objects("A")[::7], *SMALL])


@examples(300)
@given(
    place=st.integers(0, len(FEW)),
    cut=st.integers(0, 8),
    put=st.sampled_from(
        [b"", b"null", b'"', b",", b"}", b"]", b"5", b"\xff", b"\\u0000", b'"x":1,', b"{}", b"x"]
    ),
)
def test_a_damaged_list_is_refused_or_read_as_its_pieces_are(
    place: int, cut: int, put: bytes
) -> None:
    data = FEW[:place] + put + FEW[place + cut :]
    assert said(lambda: read(data)) == said(lambda: read_one_by_one(data))


def said(read: Callable[[], InputCollection]) -> object:
    """Return the objects that are read, or why the data are refused."""
    try:
        return read().by_kind
    except InputError as error:
        return str(error)


def test_one_page_of_several_is_left_to_the_pieces_and_known_as_one() -> None:
    data = as_list(objects("A"), metadata={"continue": "more"})
    assert not is_decoded_in_one_go(data)
    for cut in (data[:-1], b"[]", b"{}", b"\xff"):
        assert not is_decoded_in_one_go(cut)


def test_a_large_list_is_read_in_one_go_and_what_is_wrong_in_it_has_its_place(
    tmp_path: Path,
) -> None:
    many = [binding(f"b{n}", "admin", user("x" * 500), namespace="web") for n in range(3000)]
    data = as_list([*objects("A"), *many])
    assert len(loaded(tmp_path, data, "dump.json").bindings) > 3000
    many[7]["subjects"][0]["name"] = 5
    message = refused(tmp_path, as_list(many), "dump.json")
    assert "RoleBinding web/b7: subjects[0].name: expected str" in message


def test_a_key_given_twice_is_reported(tmp_path: Path) -> None:
    text = (
        as_yaml(SMALL) + "---\nkind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1\n"
        "metadata: {name: a}\nmetadata: {name: b}\n"
    )
    snapshot = loaded(tmp_path, text)
    assert "key 'metadata' is given twice" in snapshot.coverage.problems[0]
    assert "b" in snapshot.cluster_roles


def test_the_documentations_string_label_is_kept_as_a_defect() -> None:
    documented = role(
        "kubevirt.io:upgrademigrate", labels="rbac.authorization.k8s.io/aggregate-to-admin=true"
    )
    boolean = role("other", labels={"rbac.authorization.k8s.io/aggregate-to-admin": True, "a": "b"})
    snapshot = from_objects([documented, boolean])
    assert [(d.key.name, d.path) for d in snapshot.invalid_fields] == [
        ("kubevirt.io:upgrademigrate", "metadata.labels"),
        ("other", "metadata.labels"),
    ]
    assert snapshot.cluster_roles["other"].metadata.labels == {"a": "b"}


def test_a_link_loop_and_a_missing_file_get_one_line(tmp_path: Path) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    for path in (loop, tmp_path / "none.yaml"):
        with pytest.raises(InputError, match=str(path)):
            load([str(path)])


def test_linked_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "d.yaml").write_text(as_yaml(SMALL))
    assert load([str(tmp_path / "a")]).authorizer.authorize(ALLOWED).allowed


def test_a_folder_without_manifests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.yaml"):
        load([str(tmp_path)])


def test_names_go_through_json_and_yaml_unharmed(tmp_path: Path) -> None:
    names = [
        "null",
        "yes",
        "0123",
        "1e3",
        "a: b",
        "#x",
        '"q"',
        "{{7*7}}",
        "<script>",
        "é",
        "a\nb",
        "\x1b[31m",
        "=",
    ]
    items = [binding(f"b{i}", "r", user(name)) for i, name in enumerate(names)]
    for text in (json.dumps({"kind": "List", "items": items}), as_yaml(items)):
        found = [b.subjects[0].name for b in loaded(tmp_path, text).bindings]
        assert sorted(names) == sorted(found)
