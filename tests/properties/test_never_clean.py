"""If the whole cluster is not clean, no part of it, and no damaged copy of it, says that it is."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import AGGREGATE_ADMIN, ROOT, objects, role, state
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import NAMESPACES, RULES, Objects, clusters, examples

from rbacguard import Snapshot, sources
from rbacguard.approvals.model import load_approvals
from rbacguard.errors import InputError
from rbacguard.snapshot.coverage import RBAC_KINDS, KindCoverage, State
from rbacguard.sources import from_objects, snapshot_file
from rbacguard.update.status import Step, status
from rbacguard.update.verify import Result, verify

TODAY = datetime.date(2026, 11, 23)
APPROVALS = load_approvals(str(ROOT / "examples" / "approvals.yaml"))
View = Callable[[Objects], Snapshot]
KINDS = st.sampled_from(RBAC_KINDS)


def verdict(snapshot: Snapshot) -> bool | None:
    """Return what verify says; 'done' goes with it only for what was read whole."""
    found = verify(snapshot, APPROVALS, before=state("A"), today=TODAY)
    if status(snapshot).step is Step.DONE:
        assert snapshot.coverage.is_complete()
    return {Result.PASSED: True, Result.FAILED: False, Result.UNKNOWN: None}[found.result]


def load(**files: Any) -> Snapshot:
    """Read documents from files of these names."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (Path(folder) / f"{name}.json").write_bytes(data)
        return sources.load([folder])


def listed(items: Objects, kind: str = "", **metadata: Any) -> dict[str, Any]:
    version = "rbac.authorization.k8s.io/v1" if kind else "v1"
    return {"apiVersion": version, "kind": f"{kind}List", "metadata": metadata, "items": items}


@st.composite
def without_kinds(draw: st.DrawFn) -> View:
    gone = draw(st.sets(KINDS, min_size=1, max_size=3))
    return lambda items: load(dump=listed([o for o in items if o["kind"] not in gone]))


@st.composite
def some_namespaces(draw: st.DrawFn) -> View:
    """What somebody sees who may look into a few namespaces."""
    kept = draw(st.sets(st.sampled_from(NAMESPACES[:-1])))
    kinds = draw(st.sets(st.sampled_from(["Role", "RoleBinding"]), min_size=1))

    def view(items: Objects) -> Snapshot:
        return load(
            dump=listed(
                [o for o in items if o["kind"] not in kinds or o["metadata"]["namespace"] in kept]
            )
        )

    return view


@st.composite
def pages(draw: st.DrawFn) -> View:
    """The first page of a list that has more."""
    kind, share = draw(KINDS), draw(st.floats(0, 1))

    def view(items: Objects) -> Snapshot:
        of_kind = [o for o in items if o["kind"] == kind]
        first = of_kind[: int(len(of_kind) * share)]
        rest = [o for o in items if o["kind"] != kind]
        return load(page=listed(first, kind, **{"continue": "next"}), rest=listed(rest))

    return view


@st.composite
def forbidden(draw: st.DrawFn) -> View:
    """What the API server refused, wholly or in some namespaces, and was saved."""
    kind, share = draw(KINDS), draw(st.floats(0, 1))

    def view(items: Objects) -> Snapshot:
        whole = from_objects(items)
        keys = [key for key in whole.locations if key.kind == kind]
        gone = set(keys[int(len(keys) * share) :])
        kept = [o for o in items if _key(o) not in {(k.kind, k.namespace, k.name) for k in gone}]
        partial = from_objects(kept)
        known = KindCoverage(State.PARTIAL, len(keys) - len(gone), ("forbidden",))
        coverage = replace(partial.coverage, kinds={**partial.coverage.kinds, kind: known})
        made = Snapshot(partial.by_kind, coverage=coverage, invalid_fields=partial.invalid_fields)
        return load(saved=snapshot_file.encode(made))

    return view


def _key(each: dict[str, Any]) -> tuple[str, str, str]:
    return each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]


@st.composite
def cut_short(draw: st.DrawFn) -> View:
    share = draw(st.floats(0.5, 0.999))

    def view(items: Objects) -> Snapshot:
        data = json.dumps(listed(items)).encode()
        return load(dump=data[: int(len(data) * share)])

    return view


WRONG = st.sampled_from(["text", 7, True, ["list"], {"a": {"b": 1}}])


@st.composite
def damaged(draw: st.DrawFn) -> View:
    """Values of another type than the API has, in some objects that RBAC consists of."""
    places = draw(
        st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), WRONG), max_size=4)
    )
    assume(places)

    def view(items: Objects) -> Snapshot:
        made = json.loads(json.dumps(items))
        # What was added last is what is not clean, most of the time.
        ours = [o for o in reversed(made) if o["kind"] in RBAC_KINDS]
        # By place, what was there: a text that is damaged twice must not become another text.
        sound: dict[tuple[int, Any], tuple[type, Any]] = {}
        for which, where, wrong in places:
            some = ours[:6] if where % 2 else ours
            spots = list(_spots(some[which % len(some)]))
            holder, key = spots[where % len(spots)]
            was, _ = sound.setdefault((id(holder), key), (type(holder[key]), holder))
            if was is not type(wrong):
                holder[key] = json.loads(json.dumps(wrong))
        return load(dump=listed(made))

    return view


def _spots(value: Any) -> Any:
    """Yield every place in an object, as its holder and key."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(each, dict | list):
            yield from _spots(each)


partial = st.one_of(without_kinds(), some_namespaces(), pages(), forbidden(), cut_short())


@examples(500)
@given(clusters(), partial)
def test_no_partial_view_is_clean(items: Objects, view: View) -> None:
    """A partial view of a clean cluster is not called clean either."""
    try:
        found = view(items)
    except InputError:
        return
    assert not found.coverage.is_complete()
    assert verdict(found) is not True


@examples(300)
@given(clusters(), damaged())
def test_no_damaged_copy_of_an_unclean_cluster_is_clean(items: Objects, view: View) -> None:
    whole = verdict(load(dump=listed(items)))
    try:
        found = verdict(view(items))
    except InputError:
        return
    assert found is not True or whole is True


@pytest.mark.parametrize(
    "labels", ["text", ["text"], {AGGREGATE_ADMIN: True}, {AGGREGATE_ADMIN: None}]
)
def test_a_role_whose_labels_cannot_be_read_may_be_a_temporary_role(labels: Any) -> None:
    """It is read without them, and what it is aggregated into is then not known."""
    made = role("other", *RULES[:1], labels=labels)
    found = load(dump=listed([*objects("D"), made]))
    assert verdict(found) is None
    assert verdict(load(saved=snapshot_file.encode(found))) is None


def test_the_whole_of_the_clean_state_is_clean() -> None:
    """What the properties deny is there to be said."""
    assert verdict(load(dump=listed(objects("D")))) is True
