"""PersistentVolumeClaims of VMIs."""

from __future__ import annotations

import pytest
from assessments import Object, inventory
from workload_objects import claim, on_claim, storage, vmi

from rbacguard.rbac import ObjectKey
from rbacguard.readiness.volumes import Claim, claims


def test_a_claim_is_reported_with_its_storage_class() -> None:
    objects = [*storage("shared", "ReadWriteMany"), claim("disk")]
    (found,) = claims(inventory(objects, on_claim(vmi("vm", "a"), "disk")))
    assert found == Claim(
        ObjectKey("PersistentVolumeClaim", "web", "disk"),
        ("ReadWriteMany",),
        "shared",
        "rbd.csi.ceph.com",
        class_shares=True,
        used_by=("web/vm",),
    )
    (unread,) = claims(inventory(on_claim(vmi("vm", "a"), "disk", "ReadWriteOnce")))
    assert unread == Claim(found.key, ("ReadWriteOnce",), "", "", None, ("web/vm",))
    bare = claim("disk", storageClassName=None)
    (default,) = claims(inventory(objects[:2], bare, on_claim(vmi("vm", "a"), "disk")))
    assert (default.storage_class, default.provisioner) == ("", "")


@pytest.mark.parametrize(
    ("of_claim", "of_class", "shares"),
    [
        (None, None, True),
        ("Filesystem", None, True),
        (None, "Filesystem", True),
        ("Block", None, False),
        (None, "Block", False),
    ],
)
def test_the_default_volume_mode_is_filesystem(
    *, of_claim: str | None, of_class: str | None, shares: bool
) -> None:
    disk, (_, profile) = claim("disk"), storage("shared", "ReadWriteMany")
    offered = profile["status"]["claimPropertySets"][0]
    for where, mode in ((disk["spec"], of_claim), (offered, of_class)):
        where["volumeMode"] = mode
        if mode is None:
            del where["volumeMode"]
    (found,) = claims(inventory(disk, profile, on_claim(vmi("vm", "a"), "disk")))
    assert found.class_shares is shares


ONCE = ("ReadWriteOnce",)


@pytest.mark.parametrize(
    ("claimed", "classes", "modes", "shared", "shares"),
    [
        (claim("d"), [], ONCE, True, None),
        (claim("d", modes=ONCE), [], ONCE, False, None),
        (claim("d", modes=ONCE), storage("shared", "ReadWriteMany"), ONCE, False, True),
        (claim("d", modes=ONCE), storage("shared", "ReadWriteOnce"), ONCE, False, False),
        (claim("d", modes=ONCE), storage("shared"), ONCE, False, None),
        (None, storage("shared", "ReadWriteMany"), ("ReadWriteMany",), True, None),
        (
            claim("d", volumeMode="Filesystem"),
            storage("shared", "ReadWriteMany"),
            ONCE,
            True,
            False,
        ),
    ],
)
def test_a_claim_is_shared_by_access_mode_and_a_class_by_its_profile(
    claimed: Object | None,
    classes: list[Object],
    modes: tuple[str, ...],
    shared: bool,
    shares: bool | None,
) -> None:
    vm = on_claim(vmi("vm", "a"), "d", *modes)
    (found,) = claims(inventory(vm, classes, claimed or [], claim("unused", modes=ONCE)))
    assert (found.is_shared, found.class_shares) == (shared, shares)
    assert found.used_by == ("web/vm",)


def test_a_claim_of_two_vmis_is_reported_once() -> None:
    vms = [on_claim(vmi(name, "a"), "d") for name in ("one", "two")]
    (found,) = claims(inventory(*vms, claim("d")))
    assert found.used_by == ("web/one", "web/two")
