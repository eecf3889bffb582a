"""The claims behind machines' volumes, and whether their class of storage could share them."""

from __future__ import annotations

from msgspec import Struct

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.inventory import Inventory

SHARED = "ReadWriteMany"
"""The access mode that a volume needs to be mounted on two nodes at once."""


class Claim(Struct, frozen=True):
    """A claim that running machines use.

    Attributes:
        key: which PersistentVolumeClaim.
        access_modes: those that it asks for; empty where none is known.
        storage_class: the name of its class; '' for none, or where it is not known.
        provisioner: of that class; '' where the class was not read.
        class_shares: whether that class offers ReadWriteMany in the claim's volume mode, by its
            StorageProfile; None where that is not known.
        used_by: machines, as namespace/name.
    """

    key: ObjectKey
    access_modes: tuple[str, ...]
    storage_class: str
    provisioner: str
    class_shares: bool | None
    used_by: tuple[str, ...]

    @property
    def is_shared(self) -> bool:
        """Whether two nodes can mount it at once."""
        return SHARED in self.access_modes


def claims(inventory: Inventory) -> tuple[Claim, ...]:
    """Return the claims of running machines, in order of name.

    What KubeVirt notes in a machine's status counts where the claim itself was not read.
    """
    users: dict[tuple[str, str], list[str]] = {}
    noted: dict[tuple[str, str], tuple[str, ...]] = {}
    for key, machine in inventory.machines.items():
        for volume in machine.status.volume_status or ():
            if volume.claim and volume.claim.claim_name:
                where = key.namespace, volume.claim.claim_name
                users.setdefault(where, []).append(f"{key.namespace}/{key.name}")
                noted[where] = volume.claim.access_modes or ()
    return tuple(
        _claim(inventory, where, noted[where], tuple(dict.fromkeys(users[where])))
        for where in sorted(users)
    )


def _claim(
    inventory: Inventory,
    where: tuple[str, str],
    noted: tuple[str, ...],
    used_by: tuple[str, ...],
) -> Claim:
    namespace, name = where
    found = inventory.claims.get(where)
    modes, class_name, volume_mode = noted, "", "Filesystem"
    if found is not None:
        modes = found.spec.access_modes or noted
        # None is the cluster's default; the API server writes it in when the claim is made.
        class_name = found.spec.storage_class_name or ""
        volume_mode = found.spec.volume_mode or volume_mode
    storage_class = inventory.storage_classes.get(class_name)
    profile = inventory.storage_profiles.get(class_name)
    sets = profile.status.claim_property_sets if profile else None
    shares = None
    if sets:
        shares = any(
            SHARED in each.access_modes
            for each in sets
            if (each.volume_mode or "Filesystem") == volume_mode
        )
    return Claim(
        key=ObjectKey("PersistentVolumeClaim", namespace, name),
        access_modes=modes,
        storage_class=class_name,
        provisioner=storage_class.provisioner if storage_class else "",
        class_shares=shares,
        used_by=used_by,
    )
