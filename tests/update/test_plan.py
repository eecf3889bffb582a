"""The simulation against what a real API server said before and after the update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from conftest import (
    AGGREGATE_ADMIN,
    account,
    binding,
    flat_verdicts,
    objects,
    role,
    rule,
    selecting,
    state,
    user,
    verdicts,
)

from rbacguard import Snapshot, Subject
from rbacguard.errors import VersionError
from rbacguard.kubevirt.access import changed_namespaces
from rbacguard.kubevirt.installed import Installed, aggregation_is_manual, installed
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, bindings_for
from rbacguard.kubevirt.permissions import permissions
from rbacguard.kubevirt.releases import (
    FIRST_RESTRICTED,
    RELEASES,
    Release,
    cluster_roles,
    parse_release,
)
from rbacguard.rbac.access import Change
from rbacguard.sources import from_objects
from rbacguard.update.plan import Plan, check_target, make_plan, resolve_installed
from rbacguard.update.simulate import apply_update, preexisting_migrate_role
from rbacguard.update.strategies import Strategy
from rbacguard.update.temporary_role import (
    granted_actions,
    temporary_role,
    temporary_roles,
    without_temporary,
)

VMIM = "virtualmachineinstancemigrations"


def plan(snapshot: Snapshot, to: str = "4.20", **options: Any) -> Plan:
    return make_plan(snapshot, parse_release(to), **options)


def expanded(found: Plan, letter: str) -> dict[Change, set[tuple[str, str, str, str, str]]]:
    """Apply the rows as documented: a namespace's own row counts before the cluster's."""
    rows = {(row.subject, row.action, row.namespace): row.change for row in found.rows()}
    result: dict[Change, set[tuple[str, str, str, str, str]]] = {change: set() for change in Change}
    for subject, action in {(subject, action) for subject, action, _ in rows}:
        for name in verdicts()[letter]:
            scope = "" if name == "(cluster)" else name
            change = rows.get((subject, action, scope)) or rows.get((subject, action, ""))
            if change:
                who = (subject.kind, subject.namespace, subject.name)
                result[change].add((scope, str(action), *who))
    return result


@pytest.mark.parametrize(("before", "after", "lost"), [("A", "E", 69), ("B", "C", 21)])
def test_the_plan_is_what_really_happened(before: str, after: str, lost: int) -> None:
    rows = expanded(plan(state(before)), before)
    assert flat_verdicts(before) - flat_verdicts(after) == rows[Change.LOST]
    assert flat_verdicts(after) - flat_verdicts(before) == rows[Change.GAINED]
    # That somebody goes on reading is no news, and is left out.
    kept = {each for each in flat_verdicts(before) & flat_verdicts(after) if "get " not in each[1]}
    assert kept == rows[Change.KEPT]
    assert lost == len(rows[Change.LOST])


def test_every_row_is_proved_by_grants() -> None:
    for row in plan(state("A")).rows():
        assert row.grants
        for grant in row.grants:
            assert grant.subject == row.subject
            assert grant.namespace in ("", row.namespace)


def outcomes(snapshot: Snapshot, to: str = "4.20") -> dict[Strategy, Any]:
    return {outcome.strategy: outcome for outcome in plan(snapshot, to).outcomes}


def names(found: Mapping[Subject, tuple[str, ...]]) -> set[str]:
    return {subject.name for subject in found}


def test_the_documented_role_misses_editors_and_those_bound_directly() -> None:
    found = outcomes(state("A"))[Strategy.TEMPORARY_ROLE]
    assert names(found.effect.not_covered) == {"carol", "payments-devs", "dana", "data-operators"}
    assert found.effect.extra_access == {}


@pytest.mark.parametrize(
    ("strategy", "after"),
    [
        (Strategy.NONE, "E"),
        # The temporary role of state B was applied to A; C is B after the update.
        (Strategy.TEMPORARY_ROLE, "C"),
        (Strategy.RESTORE_DEFAULT, "F"),
    ],
)
def test_the_simulated_strategy_is_what_really_happened(strategy: Strategy, after: str) -> None:
    lost = {
        (row.namespace, str(row.action), row.subject.kind, row.subject.namespace, row.subject.name)
        for row in outcomes(state("A"))[strategy].rows()
        if row.change is Change.LOST
    }
    assert flat_verdicts("A") - flat_verdicts(after) == lost


def test_two_tiers_miss_only_those_bound_directly_and_give_nobody_more() -> None:
    found = outcomes(state("A"))[Strategy.TEMPORARY_ROLES]
    assert names(found.effect.not_covered) == {"dana", "data-operators"}
    assert found.effect.extra_access == {}


def test_bindings_in_advance_miss_nobody_and_give_editors_deletecollection() -> None:
    found = outcomes(state("A"))[Strategy.BINDINGS_FIRST]
    assert found.recommended
    assert found.effect.not_covered == {}
    assert names(found.effect.extra_access) == {"carol", "payments-devs", "data-operators"}
    gained = {row.action.verb for row in found.rows() if row.change is Change.GAINED}
    assert gained == {"deletecollection"}


def test_the_actions_are_one_need_for_each_loser() -> None:
    found = plan(state("A"))
    assert len(found.needs) == 12
    lost = {row.subject for row in found.rows() if row.change is Change.LOST}
    assert {need.subject for need in found.needs} == lost


def test_who_is_reached_in_one_namespace_only_is_reached_there_and_missed_elsewhere() -> None:
    both = [
        binding("a", "admin", user("zoe"), namespace="web"),
        binding("k", "kubevirt.io:admin", user("zoe"), namespace="data"),
    ]
    zoe = Subject("User", "zoe")
    found = outcomes(from_objects([*objects("A"), *both]))
    tiers = found[Strategy.TEMPORARY_ROLES]
    assert tiers.effect.covered[zoe] == ("web",)
    assert tiers.effect.not_covered[zoe] == ("data",)
    assert found[Strategy.NONE].effect.not_covered[zoe] == ("data", "web")
    assert zoe not in found[Strategy.NONE].effect.covered
    assert found[Strategy.BINDINGS_FIRST].effect.covered[zoe] == ("data", "web")


def test_more_than_today_is_only_what_the_update_alone_would_not_give() -> None:
    # Zoe may migrate in two namespaces once the role exists; an editor elsewhere gets it besides.
    both = [
        binding("m", "kubevirt.io:migrate", user("zoe"), namespace="data"),
        binding("e", "edit", user("zoe"), namespace="web"),
    ]
    zoe = Subject("User", "zoe")
    found = outcomes(from_objects([*objects("A"), *both]))
    assert changed_namespaces(found[Strategy.NONE].changes(), Change.GAINED)[zoe] == ("data",)
    assert {strategy: each.effect.extra_access.get(zoe) for strategy, each in found.items()} == {
        Strategy.NONE: None,
        Strategy.TEMPORARY_ROLE: None,
        Strategy.TEMPORARY_ROLES: None,
        Strategy.BINDINGS_FIRST: ("web",),
        Strategy.RESTORE_DEFAULT: None,
    }


def test_a_migrate_role_of_somebody_elses_stays_in_an_update_that_has_none() -> None:
    snapshot = with_migrate_made_by_hand()
    after = apply_update(snapshot, installed(snapshot), parse_release("4.18"))
    assert (
        after.cluster_roles["kubevirt.io:migrate"]
        == (snapshot.cluster_roles["kubevirt.io:migrate"])
    )


def test_an_update_that_takes_nothing_knows_no_migrate_role_to_restore() -> None:
    found = plan(state("A"), "4.18")
    assert found.needs == ()
    assert all(not each.effect.not_covered for each in found.outcomes)
    assert "kubevirt.io:migrate" not in str(found.changes)


def test_without_temporary_roles_nothing_hands_migration_to_the_default_roles() -> None:
    for letter in "CF":
        # Recorded rules would still hold what the aggregation controller has yet to take away.
        admin = without_temporary(state(letter)).cluster_roles["admin"]
        assert granted_actions(state(letter).rules[admin.key]) != ()
        assert granted_actions(without_temporary(state(letter)).rules[admin.key]) == ()


def test_a_temporary_role_without_an_end_has_no_annotation() -> None:
    assert temporary_role("admin").metadata.annotations == {}
    assert temporary_role("admin", expires="2027-01-31").metadata.annotations == {
        "rbacguard.io/expires": "2027-01-31"
    }


def test_bindings_in_advance_are_told_for_the_first_release_too() -> None:
    early = binding("m", "kubevirt.io:migrate", user("zoe"), namespace="web")
    snapshot = from_objects([*objects("A"), early])
    told = "1 subjects are already bound to kubevirt.io:migrate"
    for target, expected in (("4.18", False), ("4.19", True), ("4.20", True)):
        assert (told in str(plan(snapshot, target).warnings)) is expected
    # Whatever the role of that name grants until then.
    foreign = role("kubevirt.io:migrate", rule("get", "core", "pods"))
    assert told in str(plan(from_objects([*objects("A"), early, foreign])).warnings)


def test_tenants_can_hand_it_on_while_a_default_role_holds_it() -> None:
    found = outcomes(state("B"))[Strategy.NONE]
    assert "alice" in names(found.effect.delegation)
    assert "carol" not in names(found.effect.delegation)
    assert names(outcomes(state("A"))[Strategy.NONE].effect.delegation) == set()


def test_nothing_is_lost_on_a_cluster_that_is_updated_already() -> None:
    found = plan(state("E"), "4.21")
    assert {row.change for row in found.rows()} == {Change.KEPT}
    assert any("it grants new access" in warning for warning in found.warnings)
    by_strategy = {outcome.strategy: outcome for outcome in found.outcomes}
    assert "alice" in names(by_strategy[Strategy.TEMPORARY_ROLE].effect.extra_access)
    assert by_strategy[Strategy.NONE].recommended


def test_from_4_21_on_editors_may_cancel_evacuations() -> None:
    related = plan(state("A"), "4.21").evacuation_changes
    assert {row.change for row in related} == {Change.GAINED}
    assert {"carol", "alice", "dana"} <= {row.subject.name for row in related}
    assert {
        r for r in plan(state("A"), "4.20").evacuation_changes if r.change is Change.GAINED
    } == set()


@pytest.mark.parametrize("to", ["4.20", "4.20.3", "1.6", "v1.6.2", "v1.6.2-12-gabc"])
def test_versions_are_read_in_both_numberings(to: str) -> None:
    assert parse_release(to).cnv == (4, 20)


def test_5_0_follows_4_22() -> None:
    assert sorted(RELEASES) == list(RELEASES)
    assert parse_release("5.0") > parse_release("4.22") > parse_release("4.19")
    assert parse_release("5.0").kubernetes_version == "1.36"
    assert parse_release("4.18").kubernetes_version == "1.31"


@pytest.mark.parametrize("to", ["", "four", "4", "4.99", "9.1", "1.14", "-4.20", "4.20;ls"])
def test_unknown_versions_are_refused(to: str) -> None:
    with pytest.raises(VersionError, match=r"invalid version|unknown version|use 4\.18"):
        parse_release(to)


def test_downgrades_and_contradictions_are_refused() -> None:
    with pytest.raises(VersionError, match="downgrade"):
        plan(state("C"), "4.18")
    with pytest.raises(VersionError, match="roles in the input are those of 4.18"):
        plan(state("A"), source=parse_release("4.20"))
    with pytest.raises(VersionError, match="roles of 4.15"):
        make_plan(from_objects([]), parse_release("4.15"))


def test_a_version_that_is_known_by_the_roles_alone_is_no_gap() -> None:
    for letter, restricted in (("A", False), ("E", True)):
        kept = [
            each
            for each in objects(letter)
            if each["kind"] not in ("KubeVirt", "HyperConverged", "ClusterServiceVersion")
        ]
        for each in kept:
            each["metadata"].pop("annotations", None)
            if each["metadata"]["name"] == "kubevirt.io:view":
                each["rules"] = each["rules"][1:]
        found = plan(from_objects(kept))
        assert found.now.release is None
        assert found.now.restricted is restricted
        assert found.gaps == ()


def test_an_unknown_source_is_a_gap() -> None:
    found = plan(from_objects([role("r")]))
    assert any("installed version is not known" in gap for gap in found.gaps)


def with_migrate_made_by_hand() -> Snapshot:
    mine = role("kubevirt.io:migrate", rule("create", "kubevirt.io", VMIM))
    return from_objects([*objects("A"), mine])


def test_a_migrate_role_made_by_hand_stops_the_update() -> None:
    found = plan(with_migrate_made_by_hand())
    assert any("AlreadyExists" in warning for warning in found.warnings)


def test_a_role_with_the_operators_label_is_deleted_by_the_update() -> None:
    copied = role(
        "kubevirt.io:upgrademigrate",
        rule("create", "kubevirt.io", VMIM),
        labels={AGGREGATE_ADMIN: "true", "app.kubernetes.io/managed-by": "virt-operator"},
    )
    found = plan(from_objects([*objects("A"), copied]))
    lost = {row.subject.name for row in found.rows() if row.change is Change.LOST}
    assert "alice" in lost


def test_only_a_role_that_bears_the_operators_label_and_not_its_version_is_deleted() -> None:
    def copied(name: str, **annotations: str) -> dict[str, Any]:
        return role(
            name,
            rule("create", "kubevirt.io", VMIM),
            labels={"app.kubernetes.io/managed-by": "virt-operator"},
            annotations=annotations,
        )

    version = {"kubevirt.io/install-strategy-version": "v1.4.1"}
    added = [
        copied("copied"),
        copied("installed", **version),
        role("own", rule("get", "core", "pods")),
    ]
    snapshot = from_objects([*objects("A"), *added])
    after = apply_update(snapshot, installed(snapshot), parse_release("4.20"))
    gone = snapshot.cluster_roles.keys() - after.cluster_roles.keys()
    assert gone == {"copied"}


def test_a_custom_role_on_kubevirts_label_keeps_access() -> None:
    rows = [row for row in plan(state("A")).rows() if row.subject.name == "platform-vm"]
    assert {row.change for row in rows} == {Change.KEPT}
    assert {
        grant.source_role.name
        for row in rows
        for grant in row.grants
        if row.action.verb == "create"
    } == {"kubevirt.io:migrate"}


def test_a_binding_made_in_advance_takes_effect_by_the_update() -> None:
    early = binding("early", "kubevirt.io:migrate", user("eve"), namespace="web")
    rows = [r for r in plan(from_objects([*objects("A"), early])).rows() if r.subject.name == "eve"]
    assert {row.change for row in rows} == {Change.GAINED}


def test_a_cluster_wide_row_stands_for_all_namespaces_but_those_that_differ() -> None:
    extra = [
        binding("everywhere", "edit", user("zoe")),
        role("own", rule("create", "kubevirt.io", VMIM), kind="Role", namespace="web"),
        binding("own", "own", user("zoe"), namespace="web", role_kind="Role"),
    ]
    rows = {
        row.namespace: row.change
        for row in plan(from_objects([*objects("A"), *extra])).rows()
        if row.subject.name == "zoe" and row.action.verb == "create"
    }
    assert rows == {"": Change.LOST, "web": Change.KEPT}
    needs = plan(from_objects([*objects("A"), *extra])).needs
    assert [need.namespace for need in needs if need.subject.name == "zoe"] == [""]


def test_what_is_wanted_for_the_whole_cluster_is_wanted_nowhere_else() -> None:
    """Zoe loses in the whole cluster what editors have, and in web what administrators have."""
    zoe = Subject("User", "zoe")
    extra = [
        binding("everywhere", "edit", user("zoe")),
        binding("more", "admin", user("zoe"), namespace="web"),
    ]
    found = plan(from_objects([*objects("A"), *extra]))
    by_strategy = {outcome.strategy: outcome for outcome in found.outcomes}
    assert by_strategy[Strategy.NONE].effect.not_covered[zoe] == ("", "web")
    assert found.required[zoe] == ("",)
    assert [need.namespace for need in found.needs if need.subject == zoe] == [""]
    assert by_strategy[Strategy.BINDINGS_FIRST].effect.covered[zoe] == ("", "web")
    assert zoe not in by_strategy[Strategy.BINDINGS_FIRST].effect.not_covered
    assert [need.namespace for need in found.needs] == sorted(n.namespace for n in found.needs)


def test_who_can_hand_it_on_everywhere_is_told_once() -> None:
    zoe = Subject("User", "zoe")
    extra = [
        binding("everywhere", "admin", user("zoe")),
        binding("more", "admin", user("zoe"), namespace="web"),
    ]
    found = outcomes(from_objects([*objects("A"), *extra]))
    assert found[Strategy.TEMPORARY_ROLE].effect.delegation[zoe] == ("",)


def test_the_platforms_accounts_are_shown_and_get_no_binding() -> None:
    template = account("template-instance-controller", "openshift-infra")
    found = plan(from_objects([*objects("A"), binding("t", "admin", template)]))
    assert names(found.platform) == {"template-instance-controller"}
    assert "template-instance-controller" not in {need.subject.name for need in found.needs}
    prebind = next(each for each in found.outcomes if each.strategy is Strategy.BINDINGS_FIRST)
    assert names(prebind.effect.not_covered) == {"template-instance-controller"}


def test_manual_aggregation_from_4_22_takes_all_access_but_not_the_restored_default() -> None:
    items = objects("A")
    for item in items:
        if item["kind"] == "HyperConverged":
            item["spec"]["roleAggregationStrategy"] = "Manual"
    found = plan(from_objects(items), "4.22")
    reads = {
        row.change
        for row in found.rows()
        if row.subject.name == "alice" and row.action.verb == "get"
    }
    assert reads == {Change.LOST}


@pytest.mark.parametrize(
    ("kind", "spec", "manual"),
    [
        ("HyperConverged", {"roleAggregationStrategy": "Manual"}, True),
        ("HyperConverged", {"virtualization": {"roleAggregationStrategy": "Manual"}}, True),
        ("HyperConverged", {"virtualization": "Manual"}, False),
        ("KubeVirt", {"configuration": {"roleAggregationStrategy": "Manual"}}, True),
        ("KubeVirt", {"configuration": {"roleAggregationStrategy": "AggregateToDefault"}}, False),
        ("KubeVirt", {"configuration": {"roleAggregationStrategy": "manual"}}, False),
        ("KubeVirt", {"configuration": {}}, False),
        ("KubeVirt", {"configuration": "Manual"}, False),
        ("KubeVirt", {"roleAggregationStrategy": "Manual"}, False),
        ("KubeVirt", None, False),
    ],
)
def test_manual_aggregation_is_set_by_hyperconverged_or_by_kubevirt_itself(
    *, kind: str, spec: Any, manual: bool
) -> None:
    items = objects("A")
    for item in items:
        if item["kind"] == kind:
            item["spec"] = spec
    assert aggregation_is_manual(from_objects(items)) is manual


def test_a_version_that_is_unknown_is_told_with_those_that_are() -> None:
    with pytest.raises(VersionError) as error:
        parse_release("4.99")
    first, last = RELEASES[0], RELEASES[-1]
    assert str(error.value).endswith(
        f"supported are {first.cnv_version} to {last.cnv_version} (OpenShift Virtualization) "
        f"and {first.kubevirt_version} to {last.kubevirt_version} (KubeVirt)"
    )


def test_a_role_of_the_temporary_roles_name_is_one_whatever_is_in_it() -> None:
    made = role("kubevirt.io:upgrademigrate", aggregationRule=selecting({"a": "b"}))
    other = role("made-of-others", aggregationRule=selecting({"a": "b"}))
    found = temporary_roles(from_objects([*objects("D"), made, other]))
    assert [each.name for each in found] == ["kubevirt.io:upgrademigrate"]


def test_actions_are_written_as_kubectl_writes_them() -> None:
    written = {str(action) for each in permissions().values() for action in each.actions}
    assert written >= {
        "create virtualmachineinstancemigrations.kubevirt.io",
        "update virtualmachines.subresources.kubevirt.io/migrate",
        "create pods/eviction",
    }


def test_a_custom_aggregated_role_follows_kubevirts() -> None:
    mine = role("ops", aggregationRule=selecting({AGGREGATE_ADMIN: "true"}))
    bound = binding("ops", "ops", user("olga"))
    items = [*objects("A"), mine, bound]
    snapshot = from_objects(items, aggregate="recompute")
    rows = {r.action.verb: r.change for r in plan(snapshot).rows() if r.subject.name == "olga"}
    assert rows["create"] is Change.LOST


def test_the_roles_of_every_release_since_4_19_grant_migration_to_migrate_alone() -> None:
    for release in RELEASES[RELEASES.index(FIRST_RESTRICTED) :]:
        assert isinstance(release, Release)
        found = plan(state("A"), release.cnv_version)
        lost = {row.subject.name for row in found.rows() if row.change is Change.LOST}
        assert {"alice", "carol", "dana"} <= lost


def test_a_version_that_the_user_gives_must_fit_the_roles() -> None:
    unknown = from_objects(
        [each for each in objects("A") if each["kind"] not in ("KubeVirt", "HyperConverged")]
    )
    assert resolve_installed(unknown, parse_release("4.18")).release == parse_release("4.18")
    assert resolve_installed(state("E"), FIRST_RESTRICTED).release == FIRST_RESTRICTED
    assert resolve_installed(unknown, None) == installed(unknown)
    with pytest.raises(VersionError) as old:
        resolve_installed(state("A"), parse_release("4.19"))
    assert str(old.value) == "--from 4.19: the roles in the input are those of 4.18 or older"
    with pytest.raises(VersionError) as new:
        resolve_installed(state("D"), parse_release("4.18"))
    assert str(new.value) == "--from 4.18: the roles in the input are those of 4.19 or later"
    nothing = from_objects([role("a", rule("get", "core", "pods"))])
    found = resolve_installed(nothing, parse_release("4.17"))
    assert (found.release, found.restricted) == (parse_release("4.17"), None)


def test_a_downgrade_is_told_by_release_or_by_the_roles_alone() -> None:
    by_roles = Installed(None, True, None, ())
    check_target(by_roles, FIRST_RESTRICTED)
    with pytest.raises(
        VersionError, match="4.19 or later .by its roles. is installed; a downgrade"
    ):
        check_target(by_roles, parse_release("4.18"))
    known = Installed(parse_release("4.20"), True, None, ())
    check_target(known, parse_release("4.20"))
    with pytest.raises(VersionError) as caught:
        check_target(known, parse_release("4.19"))
    assert str(caught.value) == (
        "--to 4.19: 4.20 (KubeVirt 1.6) is installed; a downgrade is not supported, give that "
        "version or a later one"
    )
    check_target(Installed(None, False, None, ()), parse_release("4.17"))
    check_target(Installed(None, None, None, ()), parse_release("4.17"))


def test_bindings_are_made_by_scope_under_a_free_name() -> None:
    ann, bob = Subject("User", "ann"), Subject("User", "bob")
    taken = [
        binding("rbacguard-live-migration", "view", user("x"), namespace="web"),
        binding("rbacguard-live-migration-2", "view", user("x"), namespace="web"),
        binding("rbacguard-live-migration", "view", user("x")),
        binding("other", "kubevirt.io:migrate", user("bob")),
        binding("mine", "kubevirt.io:migrate", user("ann"), namespace="legacy"),
        binding(
            "rbacguard-live-migration",
            "kubevirt.io:migrate",
            user("ann"),
            namespace="data",
            annotations={"rbacguard.io/generated-by": "0.1.0"},
        ),
    ]
    snapshot = from_objects(taken)
    wanted = [
        RequiredBinding(place, who) for place in ("web", "data", "legacy") for who in (ann, bob)
    ]
    made = bindings_for(wanted, snapshot)
    assert [(str(each.ref), each.subjects) for each in made] == [
        ("RoleBinding data/rbacguard-live-migration", (ann,)),
        ("RoleBinding web/rbacguard-live-migration-3", (ann,)),
    ]
    assert {str(each.role_ref.key("")) for each in made} == {"ClusterRole kubevirt.io:migrate"}
    (wide,) = bindings_for([RequiredBinding("", ann), RequiredBinding("web", ann)], snapshot)
    assert str(wide.ref) == "ClusterRoleBinding rbacguard-live-migration-2"
    assert bindings_for([RequiredBinding("", bob), RequiredBinding("web", bob)], snapshot) == ()


def test_what_the_operator_writes_is_written_and_nothing_else() -> None:
    """Labels of others stay, its own come on top, rules are its own; for 4.22 also by hand."""
    label = {"team": "virt"}
    items = objects("A")
    for item in items:
        if item["metadata"]["name"] == "kubevirt.io:edit":
            item["metadata"]["labels"] |= label
            item["aggregationRule"] = selecting({"a": "b"})
            item["rules"] = [rule("get", "core", "pods")]
    before = from_objects(items)
    wanted = cluster_roles(parse_release("4.22"))
    after = apply_update(before, installed(before), parse_release("4.22")).cluster_roles
    assert {name for name in wanted if name not in after} == set()
    for name, expected in wanted.items():
        old = before.cluster_roles.get(name)
        labels = dict(old.metadata.labels) if old else {}
        assert after[name].metadata.labels == {**labels, **expected.metadata.labels}
        if name != "kubevirt.io:edit":
            assert after[name].rules == expected.rules
    assert after["kubevirt.io:edit"].metadata.labels["team"] == "virt"
    assert after["kubevirt.io:edit"].aggregation_rule is not None
    for item in items:
        if item["kind"] == "HyperConverged":
            item["spec"]["roleAggregationStrategy"] = "Manual"
    manual = from_objects(items)
    without = [each for each in items if each["metadata"]["name"] != "kubevirt.io:view"]
    anew = apply_update(
        from_objects(without), installed(manual), parse_release("4.22")
    ).cluster_roles["kubevirt.io:view"]
    assert anew.rules == wanted["kubevirt.io:view"].rules
    assert {v for k, v in anew.metadata.labels.items() if "aggregate-to" in k} == {"false"}
    for version, value in (("4.21", "true"), ("4.22", "false")):
        found = apply_update(manual, installed(manual), parse_release(version)).cluster_roles
        labels = found["kubevirt.io:admin"].metadata.labels
        assert labels[AGGREGATE_ADMIN] == value
        written = wanted["kubevirt.io:admin"].metadata.labels
        others = {k: v for k, v in written.items() if "aggregate-to" not in k}
        assert others
        assert others.items() <= labels.items()
    assert not aggregation_is_manual(before)


@pytest.mark.parametrize(
    ("release", "restricted", "foreign"),
    [
        ("4.18", False, True),
        ("4.18", None, True),
        (None, False, True),
        (None, None, False),
        (None, True, False),
        ("4.19", None, False),
        ("4.20", True, False),
    ],
)
def test_a_migrate_role_of_somebody_elses_matters_before_the_update_alone(
    release: str | None, restricted: bool | None, foreign: bool
) -> None:
    made = role("kubevirt.io:migrate", rule("get", "core", "pods"))
    now = Installed(parse_release(release) if release else None, restricted, None, ())
    found = preexisting_migrate_role(from_objects([made]), now)
    assert (found is not None) is foreign
    for operator in ("virt-operator", "kubevirt-operator"):
        own = {**made, "metadata": {**made["metadata"]}}
        own["metadata"]["labels"] = {"app.kubernetes.io/managed-by": operator}
        assert preexisting_migrate_role(from_objects([own]), now) is None
    assert preexisting_migrate_role(from_objects([role("other")]), now) is None
