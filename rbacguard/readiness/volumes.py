"""PersistentVolumeClaims of VMIs, and whether their storage class can share them."""

from __future__ import annotations

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory
from rbacguard.snapshot.workloads import PersistentVolumeClaimSpec

READ_WRITE_MANY = "ReadWriteMany"
"""The access mode that a volume needs to be mounted on two nodes at the same time."""


class Claim(Struct, frozen=True):
    """A PersistentVolumeClaim of VMIs.

    Attributes:
        key: the PersistentVolumeClaim.
        access_modes: its access modes; empty if they are unknown.
        storage_class: the name of its storage class; '' if it has none, or it is unknown.
        provisioner: the provisioner of the storage class; '' if it was not read.
        class_shares: whether the storage class offers ReadWriteMany in the volume mode of the
            claim, according to its StorageProfile; None if this is unknown.
        used_by: the VMIs, as namespace/name.
    """

    key: ObjectKey
    access_modes: tuple[str, ...]
    storage_class: str
    provisioner: str
    class_shares: bool | None
    used_by: tuple[str, ...]

    @property
    def is_shared(self) -> bool:
        """Whether two nodes can mount it at the same time."""
        return READ_WRITE_MANY in self.access_modes


def claims(inventory: Inventory) -> tuple[Claim, ...]:
    """Return the claims of VMIs, by name.

    If a claim was not read, its access modes are those in the status of the VMI.
    """
    users: dict[tuple[str, str], dict[str, None]] = {}
    reported: dict[tuple[str, str], tuple[str, ...]] = {}
    for key, vmi in inventory.vmis.items():
        for volume in vmi.status.volume_status:
            if volume.claim and volume.claim.claim_name:
                name = key.namespace, volume.claim.claim_name
                users.setdefault(name, {})[f"{key.namespace}/{key.name}"] = None
                reported[name] = volume.claim.access_modes
    return tuple(
        _claim(inventory, name, reported[name], tuple(users[name])) for name in sorted(users)
    )


def _claim(
    inventory: Inventory,
    name: tuple[str, str],
    reported: tuple[str, ...],
    used_by: tuple[str, ...],
) -> Claim:
    claim = inventory.claims.get(name)
    spec = claim.spec if claim else PersistentVolumeClaimSpec()
    storage_class = inventory.storage_classes.get(spec.storage_class_name)
    profile = inventory.storage_profiles.get(spec.storage_class_name)
    offers = profile.status.claim_property_sets if profile else ()
    return Claim(
        key=ObjectKey("PersistentVolumeClaim", *name),
        access_modes=spec.access_modes or reported,
        # The API server writes the default class into the claim, so '' is not the default.
        storage_class=spec.storage_class_name,
        provisioner=storage_class.provisioner if storage_class else "",
        class_shares=any(
            READ_WRITE_MANY in offer.access_modes
            for offer in offers
            if offer.volume_mode == spec.volume_mode
        )
        if offers
        else None,
        used_by=used_by,
    )
