"""The resource of a request is resolved from what a user types."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import objects, role, rule, state

from rbacguard import Attributes, Snapshot
from rbacguard.errors import QuestionError
from rbacguard.queries.resolve import resolve_resource
from rbacguard.sources import from_objects

VMIM = "virtualmachineinstancemigrations"


def request(resource: str, subresource: str = "", **more: Any) -> Attributes:
    fields = {"verb": "get", "resource": resource, "subresource": subresource}
    return Attributes(**{**fields, **more})


def own(*rules: Any) -> Snapshot:
    return from_objects([*objects("A"), role("own", *rules)])


def names(text: str, subresource: str = "", snapshot: Snapshot | None = None) -> tuple[str, str]:
    found = resolve_resource(snapshot or state("A"), request(text, subresource))
    assert found.subresource == subresource
    return found.resource, found.api_group


@pytest.mark.parametrize(
    ("text", "subresource", "resource", "group"),
    [
        (VMIM, "", VMIM, "kubevirt.io"),
        ("vmim", "", VMIM, "kubevirt.io"),
        ("VMIMs", "", VMIM, "kubevirt.io"),
        ("VirtualMachineInstanceMigration", "", VMIM, "kubevirt.io"),
        (f"{VMIM}.kubevirt.io", "", VMIM, "kubevirt.io"),
        ("vmim.kubevirt.io", "", VMIM, "kubevirt.io"),
        ("vmim.example.com", "", "vmim", "example.com"),
        ("vmim.", "", "vmim", ""),
        ("vm", "", "virtualmachines", "kubevirt.io"),
        ("vm", "migrate", "virtualmachines", "subresources.kubevirt.io"),
        ("vm.kubevirt.io", "migrate", "virtualmachines", "kubevirt.io"),
        ("vm.subresources.kubevirt.io", "migrate", "virtualmachines", "subresources.kubevirt.io"),
        ("virtualmachines.kubevirt.io", "migrate", "virtualmachines", "kubevirt.io"),
        ("vmi", "evacuate/cancel", "virtualmachineinstances", "subresources.kubevirt.io"),
        ("vm", "status", "virtualmachines", "kubevirt.io"),
        ("vmim", "status", VMIM, "kubevirt.io"),
        ("migrationpolicy", "", "migrationpolicies", "migrations.kubevirt.io"),
        ("pods", "", "pods", ""),
        ("pods", "eviction", "pods", ""),
        ("pods", "nothing-of-that-name", "pods", ""),
        ("pods.metrics.k8s.io", "", "pods", "metrics.k8s.io"),
        ("deployments", "", "deployments", "apps"),
        ("deployments", "scale", "deployments", "apps"),
        ("roles", "", "roles", "rbac.authorization.k8s.io"),
        ("foos.example.com", "", "foos", "example.com"),
        ("*", "", "*", ""),
    ],
)
def test_a_resource_is_found_as_kubectl_would(
    text: str, subresource: str, resource: str, group: str
) -> None:
    assert names(text, subresource) == (resource, group)


def test_a_path_is_not_changed() -> None:
    path = Attributes(verb="get", path="/healthz")
    assert resolve_resource(state("A"), path) == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pod", "'pod': no rule in the input contains this resource; did you mean pods"),
        ("deploymnts", "did you mean deployments.apps"),
        (
            "xyzzy",
            "'xyzzy': no rule in the input contains this resource (to check",
        ),
    ],
)
def test_a_resource_that_no_rule_contains_is_an_error(text: str, expected: str) -> None:
    with pytest.raises(QuestionError) as error:
        names(text)
    assert expected in str(error.value)
    assert "for the core group" in str(error.value)


def refused(text: str, snapshot: Snapshot) -> str:
    with pytest.raises(QuestionError) as error:
        names(text, snapshot=snapshot)
    return str(error.value).partition(" (")[0]


def test_similar_resources_are_suggested() -> None:
    start = "'abcd': no rule in the input contains this resource; did you mean "
    many = own(rule("get", "core x.io", "abcd1"), rule("get", "x.io", "abcd2 abcd3 abcd4 abcd/5"))
    near = "abcd4.x.io or abcd3.x.io or abcd2.x.io?"
    assert refused("abcd", many) == start + near
    assert refused("abcd", own(rule("get", "core x.io", "abcd1"))) == start + "abcd1?"
    assert refused("abcd", own(rule("get", "*", "abcd1"))) == start + "abcd1?"
    assert refused("abcd", own(rule("get", "", "abcd1"))) == start + "abcd1?"


def test_the_error_says_that_roles_were_not_read() -> None:
    items = [each for each in objects("A") if each["kind"] != "ClusterRole"]
    message = refused("daemonsets", from_objects(items))
    assert message == (
        "'daemonsets': no rule in the input contains this resource, and not all roles were read"
    )
    assert names("vmim", snapshot=from_objects(items)) == (VMIM, "kubevirt.io")


def test_a_subresource_can_be_in_another_api_group() -> None:
    rules = [rule("get", "a.io", "foos"), rule("update", "sub.a.io", "foos/run")]
    assert names("foos", snapshot=own(*rules)) == ("foos", "a.io")
    assert names("foos", "run", own(*rules)) == ("foos", "sub.a.io")
    assert names("foos", "stop", own(*rules)) == ("foos", "a.io")
    assert names("olds", snapshot=own(rule("get", "extensions", "olds"))) == ("olds", "extensions")


def test_a_resource_in_several_api_groups_is_an_error() -> None:
    rules = [rule("get", "b.example.com a.example.com", "foos"), rule("get", "*", "bars")]
    snapshot = from_objects([*objects("A"), role("own", *rules)])
    with pytest.raises(QuestionError) as error:
        names("foos", snapshot=snapshot)
    assert str(error.value).endswith("use foos.a.example.com or foos.b.example.com")
    assert names("foos.b.example.com", snapshot=snapshot) == ("foos", "b.example.com")
    # A rule for all API groups does not determine one.
    with pytest.raises(QuestionError, match="no rule in the input contains this resource"):
        names("bars", snapshot=snapshot)
