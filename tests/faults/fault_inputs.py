"""Inputs of the tests of critical faults: one recorded cluster, approvals, and calls of commands.

The data holds dumps of one cluster in several states of an update: a Kubernetes 1.36 API server
on which virt-operator 1.4.1, 1.6.2, and 1.7.4 wrote the roles. Tests add the objects that matter.
"""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from conftest import environment, rule, run_here, write_dump

DATA = Path(__file__).resolve().parent / "data"
TODAY = "2026-11-28"
VMIM = "virtualmachineinstancemigrations"
VM_MIGRATE = "virtualmachines/migrate"
MIGRATE = "kubevirt.io:migrate"
MIGRATE_RULES = (
    rule("get delete create update patch list watch deletecollection", "kubevirt.io", VMIM),
    rule("update", "subresources.kubevirt.io", VM_MIGRATE),
)

FAILED, UNKNOWN = 1, 3
"""Exit codes of verify, readiness, and status."""

Object = dict[str, Any]
Done = subprocess.CompletedProcess[str]


def approved(subject: Object, *namespaces: str) -> Object:
    """Return an entry of an approvals file that approves a subject in namespaces."""
    return {"subject": subject, "namespaces": list(namespaces), "approved": True}


APPROVED = (
    approved({"kind": "User", "name": "alice"}, "payments"),
    approved({"kind": "Group", "name": "payments-admins"}, "payments"),
    approved({"kind": "User", "name": "carol"}, "web"),
)
"""Approvals of the subjects that are bound to kubevirt.io:migrate in state D."""


@cache
def _recorded(name: str) -> str:
    (file,) = DATA.glob(f"{name}*.json.gz")
    return gzip.decompress(file.read_bytes()).decode()


def recorded(name: str) -> list[Object]:
    """Return the objects of a file in the data folder, new ones at each call."""
    items: list[Object] = json.loads(_recorded(name))["items"]
    return items


def cluster(state: str) -> list[Object]:
    """Return a state of the recorded cluster: A and B before the update, C to G after it.

    One RoleBinding is left out. It makes every service account of namespace batch an administrator
    there, who can act as the service account that holds the permission.
    """
    return [
        each for each in recorded(f"{state}-") if key(each) != ("RoleBinding", "batch", "admin")
    ]


def key(item: Object) -> tuple[str, str, str]:
    """Return kind, namespace, and name of an object."""
    metadata = item["metadata"]
    return item["kind"], metadata.get("namespace", ""), metadata["name"]


def find(items: Sequence[Object], kind: str, name: str) -> Object:
    """Return the only object of this kind and name."""
    (found,) = (each for each in items if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def without(items: Sequence[Object], *kinds: str) -> list[Object]:
    """Return the objects of other kinds."""
    return [each for each in items if each["kind"] not in kinds]


def rbacguard(folder: Path, *arguments: str) -> Done:
    """Run the command in this process, in a folder, without access to a cluster."""
    return run_here(arguments, cwd=folder, env=environment(folder), given="")


def approvals(folder: Path, *entries: Object, holders: Sequence[Object] = ()) -> str:
    """Write an approvals file with these entries and return its path."""
    content = {"apiVersion": "rbacguard.io/v1alpha1", "kind": "MigrationAccess"}
    more = {"holders": list(holders)} if holders else {}
    path = folder / "approvals.yaml"
    path.write_text(json.dumps({**content, "approvals": list(entries), **more}), "utf-8")
    return str(path)


def verify(
    folder: Path,
    after: Sequence[Object],
    *inputs: str,
    before: Sequence[Object] | None = None,
    entries: Sequence[Object] = APPROVED,
    holders: Sequence[Object] = (),
) -> Done:
    """Verify a cluster and return the call, with JSON output.

    Args:
        folder: where the inputs are written.
        after: the objects of the cluster.
        inputs: further files and folders of the same cluster.
        before: the objects of the cluster before the update, by default those of state A.
        entries: the approvals.
        holders: the accepted and refused holders.
    """
    earlier = cluster("A") if before is None else list(before)
    return rbacguard(
        folder,
        *("verify", "-o", "json", "--today", TODAY),
        *("-f", write_dump(folder / "after.json", list(after))),
        *(word for path in inputs for word in ("-f", path)),
        *("--before", write_dump(folder / "before.json", earlier)),
        *("--approvals", approvals(folder, *entries, holders=holders)),
    )


def texts(value: object) -> Iterator[str]:
    """Yield every string in a JSON document, except in the list of policies of an audit."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name != "policies":
                yield from texts(each)
