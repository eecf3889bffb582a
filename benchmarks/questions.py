"""Asks a loaded cluster many questions and prints how long each part took, as JSON.

`python benchmarks/questions.py FILE`: every permission that is or starts a migration, in all
namespaces at once; then a thousand different `who-can` questions, one after the other.
"""

from __future__ import annotations

import gc
import itertools
import json
import sys
import time

from rbacguard import Attributes
from rbacguard.kubevirt.access import Access, in_order
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.rbac.questions import Questions
from rbacguard.sources import load

QUESTIONS = 1_000
VERBS = ("get", "list", "create", "update", "delete")
RESOURCES = (("", "pods"), ("apps", "deployments"), ("kubevirt.io", "virtualmachines"))


def main() -> None:
    """Load, ask, print."""
    gc.disable()
    started = time.perf_counter()
    snapshot = load([sys.argv[1]])
    namespaces = sorted(snapshot.namespaces)
    loaded = time.perf_counter()
    granting = in_order(live_migration().granting)
    access = Access(snapshot, Questions(action.attributes for action in granting))
    places = dict.fromkeys(granting, 0)
    found = access.table.places
    held = [access.mask(shape.cluster) | access.mask(shape.local) for shape, _ in found.shapes]
    for number, action in enumerate(granting):
        where = found.where(place for place, mask in enumerate(held) if mask >> number & 1)
        places[action] += sum(map(len, where.values()))
    asked = time.perf_counter()
    kinds = itertools.product(VERBS, RESOURCES, namespaces)
    for verb, (group, resource), namespace in itertools.islice(kinds, 0, 7 * QUESTIONS, 7):
        snapshot.authorizer.allowed_subjects(
            Attributes(verb=verb, api_group=group, resource=resource, namespace=namespace)
        )
    ended = time.perf_counter()
    print(
        json.dumps(
            {
                "load": loaded - started,
                "permissions": len(granting),
                "places": list(places.values()),
                "everywhere": asked - loaded,
                "questions": ended - asked,
            }
        )
    )


if __name__ == "__main__":
    main()
