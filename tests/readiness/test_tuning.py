"""The patch with recommended settings."""

from __future__ import annotations

from decimal import Decimal

import yaml
from assessments import TWO, bare_inventory
from workload_objects import GIB, hyperconverged, kubevirt, node, ready, vmi

from rbacguard.manifests.tuning import tuning
from rbacguard.readiness.assessment import assess


def test_the_patch_fits_the_version_of_hyperconverged() -> None:
    """1.2 GB/s x 0.8 / 2 migrations = 457.76 MiB/s; a GB takes 2.09 s, twice that is 5 s."""
    for new in (False, True):
        vm = vmi("vm", "a", memory=8 * GIB)
        setting = kubevirt(migrations={"completionTimeoutPerGiB": 3})
        hco = hyperconverged(new=new, progressTimeout=99)
        found = bare_inventory(TWO, vm, setting, hco)
        text = tuning(found, assess(found), Decimal("1.2e9"))
        patch = yaml.safe_load(text)["spec"]
        assert (patch["virtualization"] if new else patch) == {
            "liveMigrationConfig": {
                "bandwidthPerMigration": "457Mi",
                "completionTimeoutPerGiB": 5,
            }
        }
        assert "# HyperConverged" not in text
        assert "in namespace openshift-cnv. Nothing was changed." in text
        assert "8 GiB, takes at least 18 s" in text


def test_the_patch_contains_only_settings_that_must_change() -> None:
    found = bare_inventory(ready())
    text = tuning(found, assess(found), Decimal(2**40))
    assert yaml.safe_load(text) == {}
    assert "# No setting must change." in text
    without = tuning(found, assess(found), None)
    assert "specify it with --network-bandwidth" in without


def test_a_name_cannot_end_its_comment() -> None:
    odd = hyperconverged()
    odd["metadata"]["name"] = "a\nspec: {evil: true}\n# \x1b[31m"
    found = bare_inventory(node("a"), odd)
    text = tuning(found, assess(found), None)
    assert yaml.safe_load(text) == {}
    assert "\x1b" not in text
