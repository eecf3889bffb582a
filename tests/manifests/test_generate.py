"""What is generated is valid, gives what the plan promised, and harms nothing on disk."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml as pyyaml
import yaml12
from conftest import ROOT, access_of, binding, group, objects, state, user
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import examples

from rbacguard import Snapshot, Subject
from rbacguard.approvals.model import MigrationAccess, load_approvals, parse_approvals
from rbacguard.approvals.resolve import Decisions
from rbacguard.errors import OutputError
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.kubevirt.releases import parse_release
from rbacguard.manifests import Bundle, GenerateStrategy, Request, make_bundle
from rbacguard.manifests.emit import scalar, to_yaml
from rbacguard.manifests.render import code, markdown, render_approvals
from rbacguard.rbac import ClusterRole
from rbacguard.rbac.access import Change
from rbacguard.sources import from_objects, yaml
from rbacguard.update.plan import Plan, make_plan
from rbacguard.update.simulate import apply_update
from rbacguard.update.strategies import Strategy
from rbacguard.validation import problems
from rbacguard.writing import write_bundle

TODAY = datetime.date(2026, 11, 23)
APPROVALS = load_approvals(str(ROOT / "examples" / "approvals.yaml"))


def request(**options: Any) -> Request:
    plain = Request(
        strategy=GenerateStrategy.PREBIND,
        temporary_role="none",
        restore_default=(),
        access=APPROVALS,
        expires=None,
        force=False,
        today=TODAY,
        version="0.0.0",
    )
    return replace(plain, **options)


def generated(letter: str, to: str = "4.20", **options: Any) -> tuple[Plan, Bundle]:
    plan = make_plan(state(letter), parse_release(to))
    return plan, make_bundle(state(letter), plan, request(**options))


def approving(plan: Plan) -> MigrationAccess:
    """Approve every proposed need."""
    _, bundle = generated("A", access=None)
    value = next(yaml.documents(bundle.files["approvals.yaml"].encode())).value
    assert isinstance(value, dict)
    assert len(value["approvals"]) == len({need.subject for need in plan.needs})
    for approval in value["approvals"]:
        approval["approved"] = True
    return parse_approvals(value)


def applied(letter: str, files: dict[str, str], folder: str) -> Snapshot:
    """Apply the files of a folder as server-side apply does: labels merge, rules replace."""
    snapshot = state(letter)
    found = [
        document.value
        for name, text in files.items()
        if name.startswith(folder)
        for document in yaml.documents(text.encode())
    ]
    read = from_objects([each for each in found if isinstance(each, dict)])
    put: list[Any] = list(read.bindings)
    for role in read.cluster_roles.values():
        existing = snapshot.cluster_roles.get(role.metadata.name)
        if existing is None:
            put.append(role)
        else:
            labels = {**existing.metadata.labels, **role.metadata.labels}
            put.append(
                ClusterRole(
                    replace(existing.metadata, labels=labels),
                    role.rules or existing.rules,
                    existing.aggregation_rule,
                )
            )
    return snapshot.replace(put)


def rows(plan: Plan, strategy: Strategy) -> set[tuple[Any, ...]]:
    (outcome,) = [o for o in plan.outcomes if o.strategy is strategy]
    return {(row.subject, row.namespace, row.action, row.change) for row in outcome.rows()}


def after_update(snapshot: Snapshot, plan: Plan) -> set[tuple[Any, ...]]:
    updated = make_plan(snapshot, plan.target)
    return {(row.subject, row.namespace, row.action, row.change) for row in updated.rows()}


def holders(snapshot: Snapshot) -> set[tuple[Any, ...]]:
    return access_of(snapshot, live_migration().actions)


def test_bindings_for_all_give_exactly_what_the_plan_promised() -> None:
    plan, _ = generated("A")
    bundle = make_bundle(state("A"), plan, request(access=approving(plan)))
    after = apply_update(applied("A", dict(bundle.files), "10-"), plan.now, plan.target)
    planned, before = rows(plan, Strategy.BINDINGS_FIRST), holders(state("A"))
    assert {(s, a, n) for s, n, a, change in planned if change is Change.LOST} == set()
    gained = {(s, a, n) for s, n, a, change in planned if change is Change.GAINED}
    assert gained == holders(after) - before
    assert before <= holders(after)


def test_after_the_update_the_approved_hold_it_and_nobody_else_who_lost_it() -> None:
    plan, bundle = generated("A")
    alone = holders(apply_update(state("A"), plan.now, plan.target))
    after = holders(apply_update(applied("A", dict(bundle.files), "10-"), plan.now, plan.target))
    approved = {(need.subject, need.namespace) for need in Decisions(APPROVALS, TODAY).required}
    assert {(subject, scope) for subject, _, scope in after - alone} == approved
    # Everything but get, which the default roles keep.
    assert len(after - alone) == 6 * len(approved)


@pytest.mark.parametrize(
    ("tier", "strategy"),
    [("admin", Strategy.TEMPORARY_ROLE), ("edit", Strategy.TEMPORARY_ROLES)],
)
def test_a_temporary_role_gives_exactly_what_the_plan_promised(
    tier: str, strategy: Strategy
) -> None:
    plan, bundle = generated("A", strategy=GenerateStrategy.TEMPORARY_ROLE, temporary_role=tier)
    after = applied("A", dict(bundle.files), "10-")
    changed = {row for row in after_update(after, plan) if row[3] is Change.LOST}
    promised = {row for row in rows(plan, strategy) if row[3] is Change.LOST}
    assert promised == changed
    reached = {subject.name for subject in bundle.reached}
    assert ("carol" in reached) == (tier == "edit")
    assert {"alice", "frank"} <= reached


def test_the_restored_default_gives_exactly_what_the_plan_promised() -> None:
    _, bundle = generated("E", restore_default=("admin",), access=None)
    after = applied("E", dict(bundle.files), "20-").replace(aggregate="recompute")
    assert holders(after) == holders(state("F"))


@pytest.mark.parametrize("to", ["4.19", "4.20", "4.21", "4.22", "5.0"])
def test_every_manifest_passes_kubernetes_validate(to: str) -> None:
    release = parse_release(to)
    for options in (
        {},
        {"strategy": GenerateStrategy.TEMPORARY_ROLE, "temporary_role": "edit"},
    ):
        _, bundle = generated("A", to, expires=datetime.date(2026, 12, 24), **options)
        documents = [
            d.value
            for name, text in bundle.files.items()
            if name.endswith(".yaml")
            for d in yaml.documents(text.encode())
        ]
        assert len(documents) > 2
        for document in documents:
            kubernetes_validate.validate(document, release.kubernetes_version, strict=True)
            assert isinstance(document, dict)
            if document["kind"] == "SubjectAccessReview":
                continue
            # What is for `oc delete` alone has no labels.
            labels = document["metadata"].get("labels", {})
            assert "app.kubernetes.io/managed-by" not in labels
            assert document["metadata"]["name"] != "kubevirt.io:migrate"


def test_the_summary_names_a_digest_of_what_the_bundle_follows_from() -> None:
    def digest(*arguments: Any, **options: Any) -> str:
        _, bundle = generated(*arguments, **options)
        first = bundle.files["README.md"].partition("\n")[0]
        found = re.fullmatch(r"<!-- .* from input sha256:([0-9a-f]{64}) -->", first)
        assert found
        return str(found[1])

    assert digest("A") == digest("A")
    assert len({digest("A"), digest("A", "4.21"), digest("D")}) == 3
    assert digest("A") != digest("A", access=None)


def test_editors_get_no_deletecollection_by_the_second_role() -> None:
    _, bundle = generated("A", temporary_role="edit")
    roles = {o["metadata"]["name"]: o for o in bundle.objects if o["kind"] == "ClusterRole"}
    verbs = {name: {v for r in o["rules"] for v in r["verbs"]} for name, o in roles.items()}
    assert "deletecollection" in verbs["kubevirt.io:upgrademigrate"]
    assert "deletecollection" not in verbs["kubevirt.io:upgrademigrate-edit"]
    assert (
        roles["kubevirt.io:upgrademigrate"]["metadata"]["labels"][
            "rbac.authorization.k8s.io/aggregate-to-admin"
        ]
        == "true"
    )


def test_nothing_is_approved_by_default() -> None:
    _, bundle = generated("A", access=None)
    assert bundle.objects == ()
    access = parse_approvals(next(yaml.documents(bundle.files["approvals.yaml"].encode())).value)
    assert not any(each.approved for each in access.approvals)
    assert not any(each.accepted for each in access.holders)
    assert {h.subject.name for h in access.holders} >= {"root", "cluster-admins", "runner"}


def test_a_temporary_role_on_an_updated_cluster_is_refused_without_force() -> None:
    with pytest.raises(OutputError, match="would not preserve"):
        generated("E", temporary_role="admin")
    _, bundle = generated("E", temporary_role="admin", force=True)
    assert [o["metadata"]["name"] for o in bundle.objects if o["kind"] == "ClusterRole"]


def test_a_cluster_wide_approval_with_a_refused_namespace_is_an_error() -> None:
    """A ClusterRoleBinding includes every namespace."""
    group_name = {"kind": "Group", "name": "payments-admins"}
    contradiction = parse_approvals(
        {
            "apiVersion": "rbacguard.io/v1alpha1",
            "kind": "MigrationAccess",
            "approvals": [
                {"subject": group_name, "clusterWide": True, "approved": True},
                {"subject": group_name, "namespaces": ["payments"], "approved": False},
            ],
        }
    )
    with pytest.raises(OutputError, match="refused in namespace payments"):
        generated("A", access=contradiction)


def test_restoring_the_default_before_the_update_is_refused() -> None:
    with pytest.raises(OutputError, match="stop the update"):
        generated("A", restore_default=("admin",))


def test_bindings_keep_the_scope_of_the_approval_and_a_free_name() -> None:
    taken = binding("rbacguard-live-migration", "view", user("x"), namespace="web")
    snapshot = from_objects([*objects("A"), taken])
    access = parse_approvals(
        {
            "apiVersion": "rbacguard.io/v1alpha1",
            "kind": "MigrationAccess",
            "approvals": [
                {"subject": {"kind": "User", "name": "zoe"}, "clusterWide": True, "approved": True},
                {
                    "subject": {"kind": "User", "name": "zoe"},
                    "namespaces": ["web"],
                    "approved": True,
                },
                {
                    "subject": {"kind": "User", "name": "carol"},
                    "namespaces": ["web"],
                    "approved": True,
                },
            ],
        }
    )
    plan = make_plan(snapshot, parse_release("4.20"))
    bundle = make_bundle(snapshot, plan, request(access=access))
    made = {
        (o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]): o["subjects"]
        for o in bundle.objects
    }
    assert {key: [s["name"] for s in subjects] for key, subjects in made.items()} == {
        ("ClusterRoleBinding", None, "rbacguard-live-migration"): ["zoe"],
        ("RoleBinding", "web", "rbacguard-live-migration-2"): ["carol"],
    }


def test_what_is_bound_already_is_not_bound_again() -> None:
    _, bundle = generated("D", to="4.21")
    assert bundle.objects == ()


HOSTILE = [
    "null",
    "yes",
    "0123",
    "1e3",
    "a: b",
    "#x",
    '"q"',
    "{{7*7}}",
    "<script>alert(1)</script>",
    "é",
    "a\nb: c",
    "\x1b[31mred",
    "=",
    "-",
    "`id`",
    "$(id)",
    "| a | b |",
    "\u202eevil",
    "'",
    "~",
    " ",
]


def hostile_access() -> MigrationAccess:
    return parse_approvals(
        {
            "apiVersion": "rbacguard.io/v1alpha1",
            "kind": "MigrationAccess",
            "approvals": [
                {
                    "subject": {"kind": kind, "name": name},
                    "namespaces": ["web"],
                    "approved": True,
                    "reason": name,
                }
                for name in HOSTILE
                for kind in ("User", "Group")
            ],
        }
    )


def test_hostile_names_come_out_as_they_went_in() -> None:
    plan = make_plan(state("A"), parse_release("4.20"))
    bundle = make_bundle(state("A"), plan, request(access=hostile_access()))
    name = "10-before-update/rolebinding-web-rbacguard-live-migration.yaml"
    wanted = sorted([*HOSTILE, *HOSTILE])
    text = bundle.files[name]
    for read in (
        next(yaml.documents(text.encode())).value,
        pyyaml.safe_load(text),
        yaml12.parse_yaml(text),
    ):
        assert isinstance(read, dict)
        assert sorted(subject["name"] for subject in read["subjects"]) == wanted
    for content in bundle.files.values():
        assert "\x1b" not in content
        assert "\u202e" not in content
    summary = bundle.files["README.md"]
    assert "49" not in summary.split("Kubernetes")[0].replace("4.9", "") or "{{7*7}}" in summary
    again = next(yaml.documents(render_approvals(hostile_access()).encode())).value
    assert parse_approvals(again) == hostile_access()


@examples(500)
@given(st.text())
def test_any_text_is_read_back_as_it_was_by_every_reader(text: str) -> None:
    written = f"{scalar(text)}: {scalar(text)}\nlist:\n- {scalar(text)}\n"
    if text == "list":
        return
    expected = {text: text, "list": [text]}
    (document,) = yaml.documents(written.encode())
    assert expected == document.value
    assert expected == pyyaml.safe_load(written)
    if text.isprintable():
        assert expected == yaml12.parse_yaml(written)


SCALARS = st.text(max_size=5) | st.booleans() | st.integers(-9, 9)
KEYS = st.text(max_size=5)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return inner | st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)


@examples(300)
@given(st.dictionaries(KEYS, nested(nested(SCALARS)), min_size=1, max_size=3))
def test_any_structure_is_read_back_as_it_was(value: Any) -> None:
    (document,) = yaml.documents(to_yaml(value).encode())
    assert value == document.value


@given(st.text())
def test_markdown_never_opens_a_tag_nor_leaves_its_cell(text: str) -> None:
    assert "<" not in markdown(text)
    assert "\n" not in markdown(text)
    assert "|" not in code(text).replace("\\|", "")
    assert "\n" not in code(text)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"kind": "RoleBinding", "subjects": [{"kind": "Foo", "name": "a"}]}, "unknown kind"),
        (
            {"kind": "ClusterRoleBinding", "subjects": [{"kind": "ServiceAccount", "name": "a"}]},
            "namespace is required for a ServiceAccount",
        ),
        (
            {
                "kind": "ClusterRoleBinding",
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            },
            "expected ClusterRole",
        ),
        (
            {"kind": "RoleBinding", "subjects": [{"kind": "User", "name": "a", "apiGroup": "x"}]},
            "is not the API group of User",
        ),
        ({"kind": "RoleBinding", "metadata": {"name": "a/b"}}, "is not a valid name"),
        (
            {"kind": "RoleBinding", "metadata": {"name": "a", "labels": {"x": "a b"}}},
            "is not a valid label",
        ),
        (
            {"kind": "ClusterRole", "metadata": {"name": "a", "labels": "a=b"}},
            'metadata.labels: expected a map, found "a=b"',
        ),
        (
            {
                "kind": "ClusterRole",
                "rules": [{"verbs": [], "apiGroups": [""], "resources": ["x"]}],
            },
            "at least one verb is required",
        ),
        (
            {"kind": "Role", "rules": [{"verbs": ["get"], "nonResourceURLs": ["/"]}]},
            "not allowed in a Role",
        ),
        (
            {"kind": "ClusterRole", "rules": [{"verbs": ["get"]}]},
            "apiGroups and resources are required",
        ),
        ({"kind": "ClusterRole", "surplus": 1}, "surplus: unknown field"),
    ],
)
def test_what_the_api_server_refuses_is_refused_here(wrong: dict[str, Any], expected: str) -> None:
    manifest = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "a"}}
    if wrong["kind"].endswith("Binding"):
        manifest["roleRef"] = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "r",
        }
    found = [str(each) for each in problems({**manifest, **wrong}, "1.33")]
    assert any(expected in each for each in found), found


def test_a_folder_is_written_again_without_a_change(tmp_path: Path) -> None:
    _, bundle = generated("A")
    out = tmp_path / "out"
    assert write_bundle(bundle.files, out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert not write_bundle(bundle.files, out)
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_what_is_no_longer_approved_is_removed_and_a_reviewed_file_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    _, proposed = generated("A", access=None)
    write_bundle(proposed.files, out)
    reviewed = (out / "approvals.yaml").read_text().replace("approved: null", "approved: true", 1)
    (out / "approvals.yaml").write_text(reviewed)
    with pytest.raises(OutputError, match=r"approvals\.yaml: exists; review it"):
        write_bundle(proposed.files, out)
    _, many = generated("A")
    write_bundle(many.files, out)
    _, none = generated(
        "A",
        access=parse_approvals({"apiVersion": "rbacguard.io/v1alpha1", "kind": "MigrationAccess"}),
    )
    write_bundle(none.files, out)
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "approvals.yaml"]
    assert (out / "approvals.yaml").read_text() == reviewed


def test_files_of_others_are_never_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    _, bundle = generated("A")
    with pytest.raises(OutputError, match="exists with other content"):
        write_bundle(bundle.files, out)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    write_bundle(bundle.files, out, force=True)
    assert (out / "mine.txt").read_text() == "mine"
    assert (out / "README.md").exists()


@pytest.mark.parametrize("name", ["../evil.yaml", "/etc/evil.yaml", "a/../../evil", ""])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="not a name inside"):
        write_bundle({name: "x"}, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    with pytest.raises(OutputError, match="is a link"):
        write_bundle({"a.yaml": "x"}, link)
    (real / "inner").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="is a link"):
        write_bundle({"a.yaml": "x"}, real, force=True)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        write_bundle({"a.yaml": "x"}, tmp_path / "out", force=True)


@pytest.mark.parametrize(
    ("case", "letter", "options"),
    [
        ("prebind", "A", {}),
        ("proposal", "A", {"access": None}),
        (
            "temporary-role",
            "A",
            {
                "strategy": GenerateStrategy.TEMPORARY_ROLE,
                "temporary_role": "edit",
                "expires": datetime.date(2026, 12, 24),
            },
        ),
        ("restore-default", "E", {"restore_default": ("admin", "edit")}),
    ],
)
def test_the_whole_folder_is_as_expected(
    case: str, letter: str, options: dict[str, Any], golden: Callable[[Path, str], None]
) -> None:
    _, bundle = generated(letter, **options)
    folder = Path(__file__).parent / "golden" / case
    for name, text in bundle.files.items():
        golden(folder / name, text)
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(bundle.files) == found


def test_file_names_are_plain_whatever_the_namespace_is_called() -> None:
    access = parse_approvals(
        {
            "apiVersion": "rbacguard.io/v1alpha1",
            "kind": "MigrationAccess",
            "approvals": [
                {
                    "subject": {"kind": "User", "name": "a"},
                    "namespaces": ["../../etc", "a/b", "x" * 250],
                    "approved": True,
                }
            ],
        }
    )
    plan = make_plan(state("A"), parse_release("4.20"))
    bundle = make_bundle(state("A"), plan, request(access=access))
    for name in bundle.files:
        assert ".." not in name.split("/")
        assert len(name.split("/")) <= (3 if name.startswith("90-rollback/") else 2)
        assert max(len(part) for part in name.split("/")) < 200


def test_a_group_that_an_account_is_in_is_tried_as_a_group() -> None:
    _, bundle = generated("A")
    reviews = [
        d.value for d in yaml.documents(bundle.files["try/subject-access-reviews.yaml"].encode())
    ]
    specs = [json.dumps(r["spec"], sort_keys=True) for r in reviews if isinstance(r, dict)]
    assert len(specs) == 2 * len(Decisions(APPROVALS, TODAY).required)
    assert any('"groups": ["payments-admins"]' in spec for spec in specs)
    assert any('"subresource": "migrate"' in spec for spec in specs)


def test_subjects_are_written_as_the_api_takes_them() -> None:
    assert str(Subject("ServiceAccount", "bot", "web")) == "ServiceAccount web/bot"
    assert group("g")["apiGroup"] == "rbac.authorization.k8s.io"
