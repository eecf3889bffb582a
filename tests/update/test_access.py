"""Access compared by combinations of roles agrees with access compared one by one."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from conftest import account, binding, group, objects, role, rule, user
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from rbacguard import Snapshot
from rbacguard.kubevirt.access import Access, Change, Compared, Masks, Transition, in_order
from rbacguard.kubevirt.holding import Held, holders, holdings, own_grants
from rbacguard.kubevirt.permissions import Tier, live_migration
from rbacguard.kubevirt.places import Places, Shape
from rbacguard.rbac import Grant, ObjectKey, Subject
from rbacguard.rbac.questions import Questions
from rbacguard.sources import from_objects

ASKED = in_order(live_migration().actions)
QUESTIONS = Questions(action.attributes for action in ASKED)
WHO = [user("alice"), group("devs"), account("bot", "web"), account("bot")]
ROLES = ["admin", "edit", "view", "kubevirt.io:migrate", "half", "missing"]
HALF = role("half", rule("create", "kubevirt.io", "virtualmachineinstancemigrations"))

bound = st.builds(
    lambda name, named, who, space: binding(f"b-{name}", named, *who, namespace=space),
    st.integers(0, 10**6),
    st.sampled_from(ROLES),
    st.lists(st.sampled_from(WHO), max_size=3),
    st.sampled_from(["", "web", "data"]),
)
many = st.lists(bound, max_size=8, unique_by=lambda each: each["metadata"]["name"])
Naive = dict[tuple[Subject, int, str], set[Grant]]


def held(snapshot: Snapshot) -> Naive:
    """Return the grants of each subject, action and scope, asking the authorizer one by one."""
    found: Naive = defaultdict(set)
    for number, action in enumerate(ASKED):
        for grant in snapshot.authorizer.grants_everywhere(action.attributes):
            found[grant.subject, number, grant.namespace].add(grant)
    return found


def one_by_one(before: Naive, after: Naive) -> set[tuple[Subject, int, str, Change]]:
    rows = set()
    for subject, number, scope in before.keys() | after.keys():
        everywhere, here = (subject, number, ""), (subject, number, scope)
        was = bool(before.get(everywhere) or before.get(here))
        now = bool(after.get(everywhere) or after.get(here))
        change = Change.KEPT if was and now else Change.LOST if was else Change.GAINED
        was_all, now_all = bool(before.get(everywhere)), bool(after.get(everywhere))
        whole = Change.KEPT if was_all and now_all else Change.LOST if was_all else Change.GAINED
        differs = scope == "" or not (was_all or now_all) or change is not whole
        news = change is not Change.KEPT or ASKED[number].tier is not Tier.READ
        if differs and news:
            rows.add((subject, number, scope, change))
    return rows


def told(found: tuple[Transition, ...]) -> set[tuple[Subject, int, str, Change]]:
    rows = [
        (each.subject, number, scope, each.change)
        for each in found
        for number in each.numbers
        for scope in each.namespaces
    ]
    assert len(rows) == len(set(rows))
    return set(rows)


@examples(120)
@given(first=many, second=many)
def test_what_is_compared_together_is_what_is_found_one_by_one(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    before = from_objects([*objects("A"), HALF, *first])
    after = from_objects([*objects("D"), HALF, *second])
    compared = Compared(ASKED, Access(before, QUESTIONS), Access(after, QUESTIONS))
    found = compared.transitions()
    old, new = held(before), held(after)
    rows = one_by_one(old, new)
    assert told(found) == rows
    for each in found:
        for row in each.rows():
            number = ASKED.index(row.action)
            scopes = dict.fromkeys(["", row.namespace])
            assert set(row.before) == {g for s in scopes for g in old[row.subject, number, s]}
            assert set(row.after) == {g for s in scopes for g in new[row.subject, number, s]}
        state = old if each.change is Change.LOST else new
        for scope in each.namespaces:
            rests_on: dict[ObjectKey, set[tuple[int, Grant]]] = defaultdict(set)
            for number in each.numbers:
                for where in dict.fromkeys(["", scope]):
                    for grant in state[each.subject, number, where]:
                        rests_on[grant.role].add((number, grant))
            by_role = each.by_role(scope)
            assert by_role.keys() == rests_on.keys()
            for key, found_here in rests_on.items():
                assert by_role[key].actions == tuple(
                    ASKED[number] for number in sorted({number for number, _ in found_here})
                )
                assert len(by_role[key].grants) == len({grant for _, grant in found_here})
                assert set(by_role[key].grants) == {grant for _, grant in found_here}
    for change in Change:
        expected: dict[Subject, set[str]] = defaultdict(set)
        for subject, number, scope, what in rows:
            if what is change and ASKED[number].tier is not Tier.READ:
                expected[subject].add(scope)
        assert {who: set(at) for who, at in compared.summary(change).items()} == expected


@examples(80)
@given(first=many, more=many)
def test_bindings_that_are_added_count_as_if_they_had_been_there(
    first: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    base = from_objects([*objects("D"), HALF, *first])
    added = from_objects([*objects("D"), *more]).bindings
    known = {each.ref for each in base.bindings}
    planned = [each for each in added if each.ref not in known]
    before = Access(base, QUESTIONS)
    grown = before.with_bindings(lambda: planned)
    whole = Access(base.replace(planned), QUESTIONS)
    assert told(Compared(ASKED, before, grown).transitions()) == told(
        Compared(ASKED, before, whole).transitions()
    )
    assert places(grown.table.places) == places(whole.table.places)


def places(found: Places) -> dict[tuple[Shape, Shape], set[tuple[Subject, str]]]:
    """Return where what is bound, before and after."""
    at: dict[tuple[Shape, Shape], set[tuple[Subject, str]]] = defaultdict(set)
    for subject, scopes, pattern in found.each(found.patterns):
        assert list(scopes) == sorted(scopes)
        for scope, number in zip(scopes, pattern, strict=True):
            at[found.shapes[number]].add((subject, scope))
    assert found.subjects == sorted(found.subjects)
    return at


@examples(120)
@given(first=many, data=st.data())
def test_a_role_that_is_added_to_places_is_what_bindings_of_it_would_add(
    first: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Those who get it everywhere need it nowhere else; some do not get it at all."""
    snapshot = from_objects([*objects("D"), HALF, *first])
    before = Access(snapshot, QUESTIONS)
    table = before.table.places
    numbers = data.draw(st.sets(st.sampled_from(range(len(table.shapes)))))
    but = data.draw(st.sets(st.sampled_from(table.subjects)))
    half = ObjectKey("ClusterRole", "", "half")
    wanted = {who: at for who, at in table.where(numbers, widest=True).items() if who not in but}
    for scopes in wanted.values():
        assert scopes == ("",) or "" not in scopes
    planned = from_objects(
        [
            *objects("D"),
            *(
                binding(f"new-{n}", "half", {"kind": who.kind, "name": who.name}, namespace=scope)
                if who.kind != "ServiceAccount"
                else binding(f"new-{n}", "half", account(who.name, who.namespace), namespace=scope)
                for n, (who, scope) in enumerate((w, s) for w, at in wanted.items() for s in at)
            ),
        ]
    )
    added = [each for each in planned.bindings if each.ref.name.startswith("new-")]
    after = before.with_bindings(lambda: added)
    assert places(table.with_role(half, numbers, but)) == places(before.table.both(after.table))
    assert places(table.with_role(half, numbers, but).unchanged()) == places(table)


def test_places_are_told_by_number_and_the_whole_cluster_may_stand_for_all() -> None:
    given = [
        binding("z", "admin", user("zoe"), namespace="web"),
        binding("y", "view", user("zoe"), namespace="data"),
        binding("x", "edit", user("zoe")),
        binding("w", "edit", user("yan"), namespace="data"),
        binding("v", "edit", user("yan"), namespace="web"),
        # By the first role in order, and by the binding that comes last.
        binding("u", "view", user("yan"), namespace="web"),
    ]
    snapshot = from_objects([*objects("D"), *given])
    table = Access(snapshot, QUESTIONS).table
    zoe, yan = Subject("User", "zoe"), Subject("User", "yan")
    every = range(len(table.places.shapes))
    found = table.places.where(every)
    assert (found[yan], found[zoe]) == (("data", "web"), ("", "data", "web"))
    widest = table.places.where(every, widest=True)
    assert (widest[yan], widest[zoe]) == (("data", "web"), ("",))
    assert table.places.where(()) == {}
    assert [each.binding.name for each in table.bound(yan)["web"]] == ["u", "v"]
    edit = ObjectKey("ClusterRole", "", "edit")
    local = [n for n in every if table.places.shapes[n][0] == Shape((), (edit,))]
    assert table.places.where(local)[yan] == ("data",)
    # A role is bound besides where it is needed; in the whole cluster, it is everywhere.
    half, view, admin = (ObjectKey("ClusterRole", "", name) for name in ("half", "view", "admin"))
    whole = [n for n in every if table.places.shapes[n][0] == Shape((edit,), None)]
    after = table.places.with_role(half, {*local, *whole})
    told = {
        subject: {
            scope: after.shapes[number][1] for scope, number in zip(scopes, pattern, strict=True)
        }
        for subject, scopes, pattern in after.each(after.patterns)
    }
    assert told[yan] == {"data": Shape((), (edit, half)), "web": Shape((), (edit, view))}
    assert told[zoe] == {
        "": Shape((edit, half), None),
        "data": Shape((edit, half), (view,)),
        "web": Shape((edit, half), (admin,)),
    }


def test_whom_a_binding_names_twice_holds_it_once() -> None:
    without = {key: text for key, text in user("zoe").items() if key != "apiGroup"}
    given = binding("b", "admin", user("zoe"), without, user("zoe"), namespace="web")
    snapshot = from_objects([*objects("A"), given])
    zoe = Subject("User", "zoe")
    (found,) = holders(snapshot, ASKED, [zoe])
    assert len(set(found.grants)) == len(found.grants)
    assert [len(grants) for _, grants in found.by_action] == [1] * len(found.combined.actions)
    assert len(Access(snapshot, QUESTIONS).table.bound(zoe)["web"]) == 1


def test_whom_bindings_name_in_several_ways_is_one() -> None:
    """With a namespace of his own or that of the binding; a user's namespace says nothing."""
    odd = {**user("zoe"), "namespace": "anywhere"}
    given = [
        binding("c", "admin", account("bot", "web"), odd, namespace="web"),
        binding("b", "edit", account("bot"), user("zoe"), namespace="web"),
        binding("a", "view", account("bot"), account("bot", "web"), odd, namespace="web"),
        binding("d", "edit", account("bot"), user("zoe"), namespace="data"),
        binding("e", "edit", account("bot")),
    ]
    table = Access(from_objects([*objects("D"), *given]), QUESTIONS).table
    bot, zoe = Subject("ServiceAccount", "bot", "web"), Subject("User", "zoe")
    for subject in (bot, zoe):
        assert [each.binding.name for each in table.bound(subject)["web"]] == ["a", "b", "c"]
    assert (list(table.bound(bot)), list(table.bound(zoe))) == (["web"], ["data", "web"])
    other = Subject("ServiceAccount", "bot", "data")
    assert [each.binding.name for each in table.bound(other)["data"]] == ["d"]
    # One without a namespace in the whole cluster is nobody.
    assert Subject("ServiceAccount", "bot") not in table.subjects


def test_a_binding_that_is_added_may_give_a_role_of_its_namespace() -> None:
    own = {**HALF, "kind": "Role", "metadata": {"name": "half", "namespace": "web"}}
    snapshot = from_objects([*objects("D"), own])
    (added,) = from_objects(
        [binding("b", "half", user("zoe"), namespace="web", role_kind="Role")]
    ).bindings
    before = Access(snapshot, QUESTIONS)
    gained = Compared(ASKED, before, before.with_bindings(lambda: [added])).summary(Change.GAINED)
    assert gained == {Subject("User", "zoe"): ("web",)}


def test_what_a_change_rests_on_is_told_by_role_place_and_path() -> None:
    """Carol may by `admin`, which has it of kubevirt.io:admin; the update takes that away."""
    given = [
        binding("a", "admin", user("zoe"), namespace="web"),
        binding("m", "kubevirt.io:migrate", user("zoe")),
    ]
    before, after = (from_objects([*objects(letter), *given]) for letter in "AE")
    states = [Access(each, QUESTIONS) for each in (before, after)]
    Access.share(states)
    found = [
        each
        for each in Compared(ASKED, *states).transitions()
        if each.subject.name == "zoe" and not each.is_reading
    ]
    (kept,) = [each for each in found if "web" in each.namespaces]
    roles = kept.by_role("web")
    assert {key.name: [grant.namespace for grant in by.grants] for key, by in roles.items()} == {
        "kubevirt.io:migrate": ["", ""],
    }
    (gained,) = [each for each in found if "" in each.namespaces]
    assert [key.name for key in gained.by_role("")] == ["kubevirt.io:migrate"]
    assert [entry.binding.name for _, entry in states[1].bound(gained.subject, "")] == ["m"]
    admin = ObjectKey("ClusterRole", "", "admin")
    chains = states[0].chains(admin)
    assert {tuple(key.name for key in each.path) for each in chains} >= {
        ("admin", "kubevirt.io:admin")
    }
    assert {n for each in chains for n in each.allows} == {
        number for number, rule_ in enumerate(states[0].rules[admin]) if rule_ is not None
    }
    assert states[0].chains(ObjectKey("ClusterRole", "", "nothing")) == ()


def test_each_change_has_its_own_mask() -> None:
    assert [Masks(1, 2, 4).of(change) for change in Change] == [1, 2, 4]


def test_a_role_of_a_namespace_is_nobodys_default_whatever_its_name() -> None:
    own = {**HALF, "kind": "Role", "metadata": {"name": "admin", "namespace": "web"}}
    given = binding("b", "admin", user("zoe"), namespace="web", role_kind="Role")
    default = binding("c", "admin", user("yan"), namespace="web")
    found = own_grants(from_objects([*objects("B"), own, given, default]))
    zoe = [held for held in found if held.subject.name == "zoe"]
    assert zoe == [Held(Subject("User", "zoe"), zoe[0].action)]
    assert {str(grant.binding) for grant in found[zoe[0]]} == {"RoleBinding web/b"}
    assert "yan" not in {held.subject.name for held in found}


@examples(60)
@given(first=many)
def test_holdings_are_the_grants_that_the_authorizer_finds(first: list[dict[str, Any]]) -> None:
    snapshot = from_objects([*objects("A"), HALF, *first])
    found = {
        (each.subject, ASKED.index(each.action), scope): set(grants)
        for each, scopes in holdings(snapshot, ASKED).items()
        for scope, grants in scopes.items()
    }
    assert found == held(snapshot)
