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
from functools import partial

from rbacguard import Attributes
from rbacguard.kubevirt.access import in_order, requests_of
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.rbac.access import AccessRow, EffectiveAccess
from rbacguard.sources import load

QUESTIONS = 1_000
VERBS = ("get", "list", "create", "update", "delete")
RESOURCES = (("", "pods"), ("apps", "deployments"), ("kubevirt.io", "virtualmachines"))


def _allows(number: int, row: AccessRow) -> bool:
    return bool(row.allowed(0) >> number & 1)


def main() -> None:
    """Load, ask, print."""
    gc.disable()
    started = time.perf_counter()
    snapshot = load([sys.argv[1]])
    namespaces = sorted(snapshot.namespaces)
    loaded = time.perf_counter()
    granting = in_order(live_migration().granting)
    access = EffectiveAccess(requests_of(granting), [snapshot.resolved_roles], snapshot.bindings_in)
    places = dict.fromkeys(granting, 0)
    found = access.select([partial(_allows, number) for number in range(len(granting))])
    for action, where in zip(granting, found, strict=True):
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
