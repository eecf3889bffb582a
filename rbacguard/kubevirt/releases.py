"""Releases, and the ClusterRoles that each release installs.

The versions of OpenShift Virtualization, HyperConverged, and KubeVirt that belong together are in
hack/config of each release branch of kubevirt/hyperconverged-cluster-operator. The roles in
cluster-roles.json are the output of pkg/virt-operator/resource/generate/rbac/cluster.go of
kubevirt/kubevirt v1.3.0 to v1.9.0. Patch releases of a minor release grant the same migration
permissions.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from rbacguard.errors import VersionError
from rbacguard.kubevirt.names import MIGRATE
from rbacguard.rbac import ClusterRole, ObjectMeta, PolicyRule

MinorVersion = tuple[int, int]
"""The first two numbers of a version."""


class Release(Struct, frozen=True, order=True):
    """A minor release with its three version numbers.

    Attributes:
        cnv: OpenShift Virtualization, such as (4, 19).
        hco: HyperConverged, such as (1, 15).
        kubevirt: KubeVirt, such as (1, 5).
    """

    cnv: MinorVersion
    hco: MinorVersion
    kubevirt: MinorVersion

    def __str__(self) -> str:
        """Return `4.19 (KubeVirt 1.5)`."""
        return f"{self.cnv_version} (KubeVirt {self.kubevirt_version})"

    @property
    def cnv_version(self) -> str:
        """The OpenShift Virtualization version, such as `4.19`."""
        return "{}.{}".format(*self.cnv)

    @property
    def kubevirt_version(self) -> str:
        """The KubeVirt version, such as `1.5`."""
        return "{}.{}".format(*self.kubevirt)

    @property
    def kubernetes_version(self) -> str:
        """The version of Kubernetes in this release: OpenShift 4.18 has 1.31, 5.0 follows 4.22."""
        minor = self.cnv[1] + 13 if self.cnv[0] == 4 else 36 + self.cnv[1]  # noqa: PLR2004
        return f"1.{minor}"


RELEASES = (
    *(Release((4, 14 + n), (1, 10 + n), (1, n)) for n in range(9)),
    Release((5, 0), (1, 19), (1, 9)),
)
"""All supported releases, oldest first."""
FIRST_RESTRICTED = RELEASES[5]
"""4.19 (KubeVirt 1.5): the first release in which kubevirt.io:admin and kubevirt.io:edit do not
grant live migration."""
MANUAL_AGGREGATION = RELEASES[8]
"""4.22 (KubeVirt 1.8): the first release with `roleAggregationStrategy: Manual`."""

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:[.+-].*)?$")


def parse_minor_version(text: str) -> MinorVersion | None:
    """Return the first two numbers of a version such as `v1.5.2-12-gabc`, or None."""
    match = _VERSION.match(text.strip())
    return (int(match[1]), int(match[2])) if match else None


def parse_release(text: str) -> Release:
    """Return the release for a version of OpenShift Virtualization or KubeVirt that a user gave.

    Raises:
        VersionError: there is no such release. The message lists the supported versions.
    """
    minor = parse_minor_version(text)
    first, last = RELEASES[0], RELEASES[-1]
    supported = (
        f"supported are {first.cnv_version} to {last.cnv_version} (OpenShift Virtualization) "
        f"and {first.kubevirt_version} to {last.kubevirt_version} (KubeVirt)"
    )
    if minor is None:
        raise VersionError(
            f"invalid version {text!r} (expected for example 4.20 or 1.6); {supported}"
        )
    for release in RELEASES:
        if minor in (release.cnv, release.kubevirt):
            return release
    for release in RELEASES:
        if minor == release.hco:
            raise VersionError(
                f"{text} is a version of HyperConverged; use {release.cnv_version} instead"
            )
    raise VersionError(f"unknown version {text}; {supported}")


def release_from_reported(text: str | None, *, kubevirt_only: bool = False) -> Release | None:
    """Return the release for a version that a cluster reports, or None if there is none.

    Args:
        text: such as `4.18.3`, `1.14.0` (HyperConverged), or `v1.4.1`.
        kubevirt_only: whether the text is always a version of KubeVirt.
    """
    minor = parse_minor_version(text or "")
    for release in RELEASES:
        if minor == release.kubevirt or (not kubevirt_only and minor in (release.cnv, release.hco)):
            return release
    return None


class _RoleData(Struct, frozen=True):
    labels: dict[str, str]
    rules: tuple[PolicyRule, ...]


@cache
def _data() -> dict[str, dict[str, _RoleData]]:
    path = Path(__file__).with_name("cluster-roles.json")
    return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, _RoleData]])


def cluster_roles(release: Release) -> dict[str, ClusterRole]:
    """Return the ClusterRoles that a release installs, by name.

    Raises:
        VersionError: the roles of the release are not in cluster-roles.json.
    """
    data = _data().get(release.kubevirt_version)
    if data is None:
        oldest = next(each for each in RELEASES if each.kubevirt_version in _data())
        raise VersionError(f"the roles of {release} are unknown (the oldest known are {oldest})")
    return {
        name: ClusterRole(ObjectMeta(name=name, labels=role.labels), role.rules)
        for name, role in data.items()
    }


def migrate_rules() -> tuple[PolicyRule, ...]:
    """Return the rules of kubevirt.io:migrate, which are the same in each release since 4.19."""
    return cluster_roles(FIRST_RESTRICTED)[MIGRATE].rules
