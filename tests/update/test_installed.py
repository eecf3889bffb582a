"""Which release a cluster runs, by what it is told, and whether an update is under way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from conftest import role

from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.releases import cluster_roles, parse_release
from rbacguard.sources import from_objects

Object = dict[str, Any]
OLD = "ClusterRole kubevirt.io:admin grants migration: the roles of 4.18 or older"
NEW = (
    "ClusterRole kubevirt.io:admin does not grant migration and kubevirt.io:migrate exists: "
    "the roles of 4.19 or later"
)
WRITTEN = "kubevirt.io/install-strategy-version"


def roles(release: str, **annotations: str) -> list[Object]:
    """Return the ClusterRoles that a release installs."""
    return [
        role(
            each.metadata.name,
            *(msgspec.to_builtins(rule) for rule in each.rules),
            annotations=annotations,
        )
        for each in cluster_roles(parse_release(release)).values()
    ]


def kubevirt(name: str = "kubevirt", **status: str) -> Object:
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": name, "namespace": "openshift-cnv"},
        "spec": {},
        **({"status": status} if status else {}),
    }


def hyperconverged(*conditions: Object, name: str = "hco", **versions: str) -> Object:
    return {
        "apiVersion": "hco.kubevirt.io/v1beta1",
        "kind": "HyperConverged",
        "metadata": {"name": name, "namespace": "openshift-cnv"},
        "spec": {},
        "status": {
            "versions": [{"name": key, "version": value} for key, value in versions.items()],
            "conditions": list(conditions),
        },
    }


def found(*items: Object | list[Object]) -> Installed:
    more = [each for item in items for each in (item if isinstance(item, list) else [item])]
    return installed(from_objects(more))


def told(of: Installed) -> tuple[str | None, bool | None, bool | None]:
    return (of.release.cnv_version if of.release else None, of.restricted, of.update_in_progress)


@pytest.mark.parametrize("version", ["4.17", "4.18", "4.19", "4.20", "4.21", "4.22", "5.0"])
def test_a_release_is_known_by_its_roles_alone(version: str) -> None:
    of = found(roles(version))
    restricted = parse_release(version) >= parse_release("4.19")
    assert of.restricted is restricted
    assert of.evidence[0] == (NEW if restricted else OLD)
    start, _, releases = of.evidence[1].partition("KubeVirt's roles are exactly those of ")
    assert start == ""
    alike = releases.split(" or ")
    assert str(parse_release(version)) in alike
    assert str(of.release) == alike[-1]


def test_roles_that_are_no_releases_tell_the_side_alone() -> None:
    changed = roles("4.18")
    (view,) = [each for each in changed if each["metadata"]["name"] == "kubevirt.io:view"]
    view["rules"].append({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]})
    of = found(changed)
    assert (of.release, of.evidence) == (None, (OLD,))
    assert of.label == "4.18 or older (by its roles)"
    nothing = found(role("x"))
    assert told(nothing) == (None, None, None)
    assert nothing.evidence == ("ClusterRole kubevirt.io:admin was not read",)


def test_what_wrote_the_roles_tells_the_release() -> None:
    of = found(roles("4.18", **{WRITTEN: "v1.4.1"}))
    assert told(of) == ("4.18", False, None)
    assert of.evidence[-1] == "ClusterRole kubevirt.io:admin was written by KubeVirt v1.4.1"
    # A version of HyperConverged stands in no such annotation.
    assert len(found(roles("4.18", **{WRITTEN: "v1.14.0"})).evidence) == 2


def test_roles_that_contradict_the_report_count_and_an_update_is_under_way() -> None:
    of = found(roles("4.18"), kubevirt(observedKubeVirtVersion="v1.6.0"))
    assert told(of) == ("4.18", False, True)
    assert of.evidence == (
        OLD,
        of.evidence[1],
        "KubeVirt runs v1.6.0",
        "KubeVirt's roles do not match the reported version and take precedence",
    )
    ids = {"observedDeploymentID": "a", "targetDeploymentID": "a"}
    quiet = found(roles("4.18"), kubevirt(observedKubeVirtVersion="v1.6.0", **ids))
    assert told(quiet) == ("4.18", False, False)
    agrees = found(roles("4.18"), kubevirt(observedKubeVirtVersion="v1.4.0", **ids))
    assert told(agrees) == ("4.18", False, False)


@pytest.mark.parametrize(
    ("status", "updating", "said"),
    [
        ({"observedKubeVirtVersion": "v1.4.0"}, None, "KubeVirt runs v1.4.0"),
        (
            {"observedKubeVirtVersion": "v1.4.0", "targetKubeVirtVersion": "v1.4.0"},
            False,
            "KubeVirt runs v1.4.0",
        ),
        (
            {"observedKubeVirtVersion": "v1.4.0", "targetKubeVirtVersion": "v1.6.0"},
            True,
            "KubeVirt runs v1.4.0, its target is v1.6.0",
        ),
        # The ids count, where both are known.
        (
            {
                "observedKubeVirtVersion": "v1.4.0",
                "targetKubeVirtVersion": "v1.4.0",
                "observedDeploymentID": "a",
                "targetDeploymentID": "b",
            },
            True,
            "KubeVirt runs v1.4.0, its target is v1.4.0",
        ),
        (
            {"observedKubeVirtVersion": "v1.4.0", "observedDeploymentID": "a"},
            None,
            "KubeVirt runs v1.4.0",
        ),
    ],
)
def test_kubevirt_tells_whether_it_is_being_updated(
    status: dict[str, str], updating: bool | None, said: str
) -> None:
    of = found(roles("4.18"), kubevirt(**status))
    assert told(of) == ("4.18", False, updating)
    assert of.evidence[-1] == said


def test_one_that_tells_nothing_does_not_hide_another() -> None:
    of = found(roles("4.20"), kubevirt("a"), kubevirt("b", observedKubeVirtVersion="v1.6.2"))
    assert of.evidence[-1] == "KubeVirt runs v1.6.2"
    silent = hyperconverged(name="a")
    del silent["status"]
    of = found(roles("4.20"), silent, hyperconverged(name="b", operator="1.16.0"))
    assert of.evidence[-1] == "HyperConverged reports 1.16.0"


def test_kubevirts_version_is_none_of_hyperconvergeds() -> None:
    of = found(role("x"), kubevirt(observedKubeVirtVersion="v1.16.0"))
    assert of.release is None


def progressing(reason: str, *, status: str = "True", kind: str = "Progressing") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": f"{reason} it is"}


@pytest.mark.parametrize(
    ("condition", "updating", "said"),
    [
        (progressing("HCOUpgrading"), True, True),
        (progressing("Reconciling"), None, True),
        (progressing("HCOUpgrading", status="False"), None, False),
        (progressing("HCOUpgrading", kind="Available"), None, False),
    ],
)
def test_hyperconverged_tells_its_version_and_whether_it_is_upgrading(
    *, condition: Object, updating: bool | None, said: bool
) -> None:
    of = found(role("x"), hyperconverged(condition, other="9.9.9", operator="1.16.0"))
    assert told(of) == ("4.20", None, updating)
    reason = condition["reason"]
    assert of.evidence[1:] == (
        "HyperConverged reports 1.16.0",
        *([f"HyperConverged is progressing: {reason} it is"] if said else []),
    )
    # What KubeVirt says of itself comes first.
    both = found(
        role("x"), kubevirt(observedKubeVirtVersion="v1.7.0"), hyperconverged(operator="1.16.0")
    )
    assert told(both)[0] == "4.21"


def test_roles_of_two_versions_or_kept_aside_are_an_update_under_way() -> None:
    mixed = roles("4.20", **{WRITTEN: "v1.6.2"})
    assert told(found(mixed)) == ("4.20", True, None)
    mixed[0]["metadata"]["annotations"] = {WRITTEN: "v1.4.1"}
    of = found(mixed)
    assert told(of)[2] is True
    assert of.evidence[-1] == "KubeVirt's roles were written by v1.4.1 and v1.6.2"
    kept = role("backup-1", annotations={"kubevirt.io/ephemeral-backup-object": "", WRITTEN: "v1"})
    of = found(roles("4.20", **{WRITTEN: "v1.6.2"}), kept)
    assert told(of)[2] is True
    assert of.evidence[-1] == "virt-operator keeps 1 backup roles, which exist during an update"
