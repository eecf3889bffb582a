"""Which release a snapshot's cluster runs, by the content of its roles first."""

from __future__ import annotations

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
from rbacguard.kubevirt.permissions import Tier, live_migration
from rbacguard.kubevirt.releases import HARDENED, RELEASES, Release, cluster_roles, release_of
from rbacguard.rbac import ClusterRole, rules_allow
from rbacguard.snapshot import Snapshot


class Installed(Struct, frozen=True):
    """What a snapshot tells of the installed release.

    Attributes:
        release: the release, or None when nothing tells it exactly.
        hardened: whether the roles are those of 4.19 or later; None when KubeVirt's roles are not
            in the input.
        updating: whether an update is under way; None when nothing tells.
        evidence: one sentence for each observation, most trustworthy first.
    """

    release: Release | None
    hardened: bool | None
    updating: bool | None
    evidence: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return the release in words."""
        if self.release is not None:
            return str(self.release)
        if self.hardened is None:
            return "unknown"
        return "4.19 or later (by its roles)" if self.hardened else "4.18 or older (by its roles)"


def is_ephemeral_backup(role: ClusterRole) -> bool:
    """Whether this is a copy that virt-operator keeps only while it updates."""
    return EPHEMERAL_BACKUP in role.metadata.annotations


def grants_start(role: ClusterRole) -> bool:
    """Whether a role's recorded rules start a migration."""
    return any(
        rules_allow(action.attributes, role.rules) for action in live_migration().of(Tier.DIRECT)
    )


def installed(snapshot: Snapshot) -> Installed:
    """Read the installed release from a snapshot."""
    evidence: list[str] = []
    hardened = _hardened(snapshot, evidence)
    by_content = _by_content(snapshot, evidence)
    reported, updating = _reported(snapshot, evidence)
    reported = reported or _by_annotation(snapshot, evidence)
    roles_updating = _roles_updating(snapshot, evidence)
    release = reported
    if reported is not None and hardened is not None and hardened != (reported >= HARDENED):
        evidence.append("the roles are not those of the reported version; the roles count")
        release = None
        updating = True if updating is None else updating
    if release is None and by_content:
        release = by_content[-1]
    if roles_updating:
        updating = True
    return Installed(release, hardened, updating, tuple(evidence))


def _hardened(snapshot: Snapshot, evidence: list[str]) -> bool | None:
    admin = snapshot.cluster_roles.get(ADMIN)
    has_migrate = MIGRATE in snapshot.cluster_roles
    if admin is None:
        evidence.append(f"ClusterRole {ADMIN} is not in the input")
        return None
    if grants_start(admin):
        evidence.append(f"ClusterRole {ADMIN} grants migration: the roles of 4.18 or older")
        return False
    exists = "exists" if has_migrate else "does not exist"
    evidence.append(
        f"ClusterRole {ADMIN} does not grant migration and {MIGRATE} {exists}: "
        "the roles of 4.19 or later"
    )
    return True


def _by_content(snapshot: Snapshot, evidence: list[str]) -> list[Release]:
    """Return the releases whose roles are exactly those of the snapshot."""
    found = []
    for release in RELEASES[3:]:
        wanted = cluster_roles(release)
        if all(
            name in snapshot.cluster_roles
            and set(snapshot.cluster_roles[name].rules) == set(wanted[name].rules)
            for name in (ADMIN, EDIT, VIEW)
        ):
            found.append(release)
    if found:
        evidence.append("KubeVirt's roles are exactly those of " + " or ".join(map(str, found)))
    return found


def _by_annotation(snapshot: Snapshot, evidence: list[str]) -> Release | None:
    """Return the release that the operator says wrote kubevirt.io:admin."""
    admin = snapshot.cluster_roles.get(ADMIN)
    version = admin.metadata.annotations.get(INSTALL_STRATEGY_VERSION) if admin else None
    release = release_of(version, kubevirt_only=True)
    if release is not None:
        evidence.append(f"ClusterRole {ADMIN} was written by KubeVirt {version}")
    return release


def _reported(snapshot: Snapshot, evidence: list[str]) -> tuple[Release | None, bool | None]:
    release, updating = _kubevirt_reports(snapshot, evidence)
    for hyperconverged in snapshot.hyperconvergeds:
        hco = hyperconverged.status
        if hco is None:
            continue
        for version in hco.versions or ():
            if version.name == "operator":
                release = release or release_of(version.version)
                evidence.append(f"HyperConverged reports {version.version}")
        for condition in hco.conditions or ():
            if condition.type == "Progressing" and condition.status == "True":
                # Any other reason is a reconcile, not an update.
                updating = True if condition.reason == "HCOUpgrading" else updating
                evidence.append(f"HyperConverged is progressing: {condition.message}")
    return release, updating


def _kubevirt_reports(
    snapshot: Snapshot, evidence: list[str]
) -> tuple[Release | None, bool | None]:
    release: Release | None = None
    updating: bool | None = None
    for kubevirt in snapshot.kubevirts:
        status = kubevirt.status
        if status is None:
            continue
        observed, target = status.observed_kubevirt_version, status.target_kubevirt_version
        release = release_of(observed, kubevirt_only=True) or release
        ids = (status.observed_deployment_id, status.target_deployment_id)
        known_ids = None not in ids
        if known_ids or (observed and target):
            updating = ids[0] != ids[1] if known_ids else observed != target
        if observed:
            evidence.append(
                f"KubeVirt runs {observed}" + (f", its target is {target}" if updating else "")
            )
    return release, updating


def _roles_updating(snapshot: Snapshot, evidence: list[str]) -> bool:
    backups = [r.metadata.name for r in snapshot.cluster_roles.values() if is_ephemeral_backup(r)]
    if backups:
        evidence.append(
            f"virt-operator keeps {len(backups)} backup roles, as it does while updating"
        )
    versions = {
        role.metadata.annotations[INSTALL_STRATEGY_VERSION]
        for role in snapshot.cluster_roles.values()
        if INSTALL_STRATEGY_VERSION in role.metadata.annotations and not is_ephemeral_backup(role)
    }
    if len(versions) > 1:
        evidence.append("KubeVirt's roles were written by " + " and ".join(sorted(versions)))
    return bool(backups) or len(versions) > 1


def aggregation_is_manual(snapshot: Snapshot) -> bool:
    """Whether `roleAggregationStrategy: Manual` is set on HyperConverged or KubeVirt."""
    for hyperconverged in snapshot.hyperconvergeds:
        spec = hyperconverged.spec or {}
        virtualization = spec.get("virtualization")
        nested = virtualization if isinstance(virtualization, dict) else {}
        if "Manual" in (spec.get("roleAggregationStrategy"), nested.get("roleAggregationStrategy")):
            return True
    for kubevirt in snapshot.kubevirts:
        configuration = (kubevirt.spec or {}).get("configuration")
        if (
            isinstance(configuration, dict)
            and configuration.get("roleAggregationStrategy") == "Manual"
        ):
            return True
    return False


def default_target(snapshot: Snapshot) -> Release:
    """Return the installed release, as the target where no further update is meant.

    Raises:
        VersionError: the update to 4.19 is still ahead, or the release is not known.
    """
    now = installed(snapshot)
    if now.hardened and now.release is not None:
        return now.release
    raise VersionError("give --to VERSION: the release to update to, such as 4.20")
