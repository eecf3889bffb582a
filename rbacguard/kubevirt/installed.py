"""The installed release, detected from the rules of KubeVirt's roles and from reported versions."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from rbacguard.errors import VersionError
from rbacguard.kubevirt.names import (
    ADMIN,
    EDIT,
    EPHEMERAL_BACKUP,
    INSTALL_STRATEGY_VERSION,
    MIGRATE,
    VIEW,
)
from rbacguard.kubevirt.permissions import Directness, live_migration
from rbacguard.kubevirt.releases import (
    FIRST_RESTRICTED,
    RELEASES,
    Release,
    cluster_roles,
    release_from_reported,
)
from rbacguard.rbac import ClusterRole, rules_allow
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.objects import HyperConverged, KubeVirt


class Installed(Struct, frozen=True):
    """The installed release and how it was detected.

    Attributes:
        release: the release; None if it cannot be determined exactly.
        restricted: whether the roles are those of 4.19 or later; None if KubeVirt's roles were not
            read.
        update_in_progress: None if the snapshot does not show it.
        evidence: one sentence for each observation, the most reliable first.
    """

    release: Release | None
    restricted: bool | None
    update_in_progress: bool | None
    evidence: tuple[str, ...]

    @property
    def label(self) -> str:
        """The release as text."""
        if self.release is not None:
            return str(self.release)
        if self.restricted is None:
            return "unknown"
        return "4.19 or later (by its roles)" if self.restricted else "4.18 or older (by its roles)"


def is_ephemeral_backup(role: ClusterRole) -> bool:
    """Return whether a role is a copy that virt-operator keeps only during an update."""
    return EPHEMERAL_BACKUP in role.metadata.annotations


def grants_start(role: ClusterRole) -> bool:
    """Return whether the recorded rules of a role allow to start a live migration."""
    return any(
        rules_allow(action.attributes, role.rules)
        for action in live_migration().of(Directness.DIRECT)
    )


def installed(snapshot: Snapshot) -> Installed:
    """Detect the installed release.

    The rules of KubeVirt's roles take precedence over reported versions, because virt-operator
    writes the roles at another time of an update than the status.
    """
    evidence: list[str] = []
    restricted = _restricted(snapshot, evidence)
    matching = _releases_with_these_roles(snapshot, evidence)
    updating = _kubevirt_status(snapshot, evidence)
    updating = _hyperconverged_status(snapshot, evidence) or updating
    release = reported_release(snapshot.kubevirts, snapshot.hyperconvergeds)
    release = release or _release_of_annotation(snapshot, evidence)
    roles_updating = _roles_updating(snapshot, evidence)
    if release and restricted is not None and restricted != (release >= FIRST_RESTRICTED):
        evidence.append("KubeVirt's roles do not match the reported version and take precedence")
        release = None
        updating = True if updating is None else updating
    if release is None and matching:
        release = matching[-1]
    return Installed(release, restricted, roles_updating or updating, tuple(evidence))


def reported_release(
    kubevirts: Iterable[KubeVirt], hyperconvergeds: Iterable[HyperConverged]
) -> Release | None:
    """Return the release in the status of KubeVirt, or else in the status of HyperConverged."""
    release: Release | None = None
    for kubevirt in kubevirts:
        if kubevirt.status is not None:
            observed = kubevirt.status.observed_kubevirt_version
            release = release_from_reported(observed, kubevirt_only=True) or release
    for version in _operator_versions(hyperconvergeds):
        release = release or release_from_reported(version)
    return release


def _operator_versions(hyperconvergeds: Iterable[HyperConverged]) -> list[str | None]:
    return [
        version.version
        for each in hyperconvergeds
        for version in (each.status and each.status.versions) or ()
        if version.name == "operator"
    ]


def _restricted(snapshot: Snapshot, evidence: list[str]) -> bool | None:
    admin = snapshot.cluster_roles.get(ADMIN)
    if admin is None:
        evidence.append(f"ClusterRole {ADMIN} was not read")
        return None
    if grants_start(admin):
        evidence.append(f"ClusterRole {ADMIN} grants migration: the roles of 4.18 or older")
        return False
    exists = "exists" if MIGRATE in snapshot.cluster_roles else "does not exist"
    evidence.append(
        f"ClusterRole {ADMIN} does not grant migration and {MIGRATE} {exists}: "
        "the roles of 4.19 or later"
    )
    return True


def _releases_with_these_roles(snapshot: Snapshot, evidence: list[str]) -> list[Release]:
    """Return the releases with the same rules in kubevirt.io:admin, edit, and view."""
    found = []
    for release in RELEASES[3:]:
        expected = cluster_roles(release)
        if all(
            name in snapshot.cluster_roles
            and set(snapshot.cluster_roles[name].rules) == set(expected[name].rules)
            for name in (ADMIN, EDIT, VIEW)
        ):
            found.append(release)
    if found:
        evidence.append("KubeVirt's roles are exactly those of " + " or ".join(map(str, found)))
    return found


def _release_of_annotation(snapshot: Snapshot, evidence: list[str]) -> Release | None:
    """Return the release in the annotation that virt-operator writes to kubevirt.io:admin."""
    admin = snapshot.cluster_roles.get(ADMIN)
    version = admin.metadata.annotations.get(INSTALL_STRATEGY_VERSION) if admin else None
    release = release_from_reported(version, kubevirt_only=True)
    if release is not None:
        evidence.append(f"ClusterRole {ADMIN} was written by KubeVirt {version}")
    return release


def _kubevirt_status(snapshot: Snapshot, evidence: list[str]) -> bool | None:
    """Return whether KubeVirt's status shows an update."""
    updating: bool | None = None
    for kubevirt in snapshot.kubevirts:
        status = kubevirt.status
        if status is None:
            continue
        observed, target = status.observed_kubevirt_version, status.target_kubevirt_version
        ids = (status.observed_deployment_id, status.target_deployment_id)
        if None not in ids:
            updating = ids[0] != ids[1]
        elif observed and target:
            updating = observed != target
        if observed:
            evidence.append(
                f"KubeVirt runs {observed}" + (f", its target is {target}" if updating else "")
            )
    return updating


def _hyperconverged_status(snapshot: Snapshot, evidence: list[str]) -> bool | None:
    """Return True if HyperConverged's status shows an update, else None."""
    updating: bool | None = None
    for hyperconverged in snapshot.hyperconvergeds:
        evidence += [f"HyperConverged reports {v}" for v in _operator_versions([hyperconverged])]
        status = hyperconverged.status
        for condition in (status and status.conditions) or ():
            if condition.type == "Progressing" and condition.status == "True":
                # With any other reason, the operator only reconciles.
                updating = True if condition.reason == "HCOUpgrading" else updating
                evidence.append(f"HyperConverged is progressing: {condition.message}")
    return updating


def _roles_updating(snapshot: Snapshot, evidence: list[str]) -> bool:
    """Return whether virt-operator is replacing its roles."""
    roles = snapshot.cluster_roles.values()
    backups = sum(map(is_ephemeral_backup, roles))
    if backups:
        evidence.append(f"virt-operator keeps {backups} backup roles, which exist during an update")
    versions = {
        role.metadata.annotations[INSTALL_STRATEGY_VERSION]
        for role in roles
        if INSTALL_STRATEGY_VERSION in role.metadata.annotations and not is_ephemeral_backup(role)
    }
    if len(versions) > 1:
        evidence.append("KubeVirt's roles were written by " + " and ".join(sorted(versions)))
    return bool(backups) or len(versions) > 1


def aggregation_is_manual(snapshot: Snapshot) -> bool:
    """Return whether HyperConverged or KubeVirt has `roleAggregationStrategy: Manual`."""
    settings: list[object] = []
    for hyperconverged in snapshot.hyperconvergeds:
        spec = hyperconverged.spec or {}
        settings += [spec, spec.get("virtualization")]
    settings += [(kubevirt.spec or {}).get("configuration") for kubevirt in snapshot.kubevirts]
    return any(
        isinstance(each, dict) and each.get("roleAggregationStrategy") == "Manual"
        for each in settings
    )


def suggested_target(now: Installed) -> Release:
    """Return the release to update to in suggested commands.

    This is the installed release after the update to 4.19, and before it 4.19, the next release
    whose roles grant live migration differently.
    """
    return now.release if now.restricted and now.release is not None else FIRST_RESTRICTED


def default_target(snapshot: Snapshot) -> Release:
    """Return the installed release, which is the target if the user names no other.

    Raises:
        VersionError: the cluster runs 4.18 or older, or the release is unknown.
    """
    now = installed(snapshot)
    if now.restricted and now.release is not None:
        return now.release
    raise VersionError("specify the release to update to with --to VERSION, for example 4.20")
