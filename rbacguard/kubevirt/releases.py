"""Releases, and the ClusterRoles that each of them installs.

CNV to HyperConverged to KubeVirt: kubevirt/hyperconverged-cluster-operator, hack/config of each
release branch. Roles: printed by the operator code of KubeVirt v1.3.0 to v1.9.0; patch releases of
one minor do not differ in what they grant for migration.
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

Minor = tuple[int, int]


class Release(Struct, frozen=True, order=True):
    """One minor release, by its three version numbers.

    Attributes:
        cnv: OpenShift Virtualization, such as (4, 19).
        hco: HyperConverged, such as (1, 15).
        kubevirt: KubeVirt, such as (1, 5).
    """

    cnv: Minor
    hco: Minor
    kubevirt: Minor

    def __str__(self) -> str:
        """Return `4.19 (KubeVirt 1.5)`."""
        return f"{self.cnv_version} (KubeVirt {self.kubevirt_version})"

    @property
    def cnv_version(self) -> str:
        """Return the OpenShift Virtualization version, such as `4.19`."""
        return "{}.{}".format(*self.cnv)

    @property
    def kubevirt_version(self) -> str:
        """Return the KubeVirt version, such as `1.5`."""
        return "{}.{}".format(*self.kubevirt)

    @property
    def kubernetes_version(self) -> str:
        """Return the Kubernetes version below it (OpenShift 4.18 is 1.31; 5.0 follows 4.22)."""
        minor = self.cnv[1] + 13 if self.cnv[0] == 4 else 36 + self.cnv[1]  # noqa: PLR2004
        return f"1.{minor}"


RELEASES = (
    *(Release((4, 14 + n), (1, 10 + n), (1, n)) for n in range(9)),
    Release((5, 0), (1, 19), (1, 9)),
)
"""Every release that is known, in order."""
HARDENED = RELEASES[5]
"""4.19 (KubeVirt 1.5): the first that takes migration away from administrators and editors."""
MANUAL_AGGREGATION = RELEASES[8]
"""4.22 (KubeVirt 1.8): the first that knows `roleAggregationStrategy: Manual`."""

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:[.+-].*)?$")


def parse_minor(text: str) -> Minor | None:
    """Return the first two numbers of a version such as `v1.5.2-12-gabc`, or None."""
    match = _VERSION.match(text.strip())
    return (int(match[1]), int(match[2])) if match else None


def find_release(text: str) -> Release:
    """Return the release that a person means: OpenShift Virtualization's version or KubeVirt's.

    Raises:
        VersionError: no such release; the message lists those that are known.
    """
    minor = parse_minor(text)
    known = f"known are {RELEASES[0].cnv_version} to {RELEASES[-1].cnv_version} (OpenShift \
Virtualization) and {RELEASES[0].kubevirt_version} to {RELEASES[-1].kubevirt_version} (KubeVirt)"
    if minor is None:
        raise VersionError(f"{text!r} is no version; expected one like 4.20 or 1.6; {known}")
    for release in RELEASES:
        if minor in (release.cnv, release.kubevirt):
            return release
    for release in RELEASES:
        if minor == release.hco:
            raise VersionError(
                f"{text} is a version of HyperConverged; give {release.cnv_version} instead"
            )
    raise VersionError(f"version {text} is unknown; {known}")


def release_of(text: str | None, *, kubevirt_only: bool = False) -> Release | None:
    """Return the release behind a version that a cluster reports, or None.

    Args:
        text: such as `4.18.3`, `1.14.0` (HyperConverged) or `v1.4.1`.
        kubevirt_only: read it as KubeVirt's version.
    """
    minor = parse_minor(text or "")
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
        VersionError: the release is older than the first whose roles are known.
    """
    data = _data().get(release.kubevirt_version)
    if data is None:
        raise VersionError(
            f"the roles of {release} are not known; known are those from "
            f"{next(r for r in RELEASES if r.kubevirt_version in _data())} on"
        )
    return {
        name: ClusterRole(ObjectMeta(name=name, labels=role.labels), role.rules)
        for name, role in data.items()
    }


def migrate_rules() -> tuple[PolicyRule, ...]:
    """Return what kubevirt.io:migrate grants; the same in every release since 4.19."""
    return cluster_roles(HARDENED)[MIGRATE].rules
