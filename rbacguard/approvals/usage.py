"""Evidence from the API server's audit log: who used live migration permission, and who did not."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from rbacguard.kubevirt.access import list_access
from rbacguard.kubevirt.permissions import Directness, live_migration
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.rbac import Subject
from rbacguard.rbac.identity import service_account_groups, subject_applies
from rbacguard.rbac.types import CLUSTER_WIDE
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.objects import dict_at, parse_timestamp

_MIGRATIONS = "virtualmachineinstancemigrations"
_MIGRATE = ("virtualmachines", "migrate")


class UsageRecord(Struct, frozen=True, order=True):
    """The successful requests of one kind by one user in one namespace.

    Attributes:
        namespace: the namespace.
        user: the user name.
        groups: the groups of the user.
        verb: the verb, such as `create` or `update virtualmachines/migrate`.
        count: the number of requests.
        last: the time of the last request, as in the log.
    """

    namespace: str
    user: str
    groups: tuple[str, ...]
    verb: str
    count: int
    last: str


def extract_usage(
    events: Iterable[Mapping[str, Any]], since: datetime.datetime | None
) -> tuple[UsageRecord, ...]:
    """Return the use of live migration permission, from audit events.

    Args:
        events: events of audit.k8s.io/v1. Objects of other kinds are skipped.
        since: the time before which events do not count; None for all events.
    """
    found: dict[tuple[str, str, str], tuple[int, str, tuple[str, ...]]] = {}
    for event in events:
        request = _request(event)
        if request is None:
            continue
        key, time, groups = request
        happened = parse_timestamp(time)
        if since is not None and (happened is None or happened < since):
            continue
        count, last, known = found.get(key, (0, "", ()))
        found[key] = (count + 1, max(last, time), groups or known)
    return tuple(
        sorted(
            UsageRecord(namespace, user, groups, verb, count, last)
            for (namespace, user, verb), (count, last, groups) in found.items()
        )
    )


def _request(event: Mapping[str, Any]) -> tuple[tuple[str, str, str], str, tuple[str, ...]] | None:
    """Return namespace, user, and verb, the time, and the groups of a relevant event, or None."""
    # A long request has several events. Only the last one has the response.
    if event.get("kind") != "Event" or event.get("stage") != "ResponseComplete":
        return None
    target, user = dict_at(event, "objectRef"), dict_at(event, "user")
    verb, code = event.get("verb"), dict_at(event, "responseStatus").get("code")
    resource, subresource = target.get("resource"), target.get("subresource")
    is_migration = resource == _MIGRATIONS and verb not in ("get", "list", "watch")
    if not is_migration and (resource, subresource) != _MIGRATE:
        return None
    if not isinstance(code, int) or not 200 <= code < 300:  # noqa: PLR2004 - HTTP
        return None
    # The server authorizes the impersonated user, with the impersonated groups only.
    user = dict_at(event, "impersonatedUser") or user
    name, groups = user.get("username"), user.get("groups")
    namespace, time = target.get("namespace"), event.get("requestReceivedTimestamp")
    if not (isinstance(name, str) and name and isinstance(verb, str) and isinstance(time, str)):
        return None
    action = verb if is_migration else f"{verb} virtualmachines/migrate"
    named = tuple(g for g in groups if isinstance(g, str)) if isinstance(groups, list) else ()
    return (namespace if isinstance(namespace, str) else "", name, action), time, named


def usage_of(
    subject: Subject, records: Iterable[UsageRecord], namespace: str = CLUSTER_WIDE
) -> tuple[UsageRecord, ...]:
    """Return the records of a user, or of the users in a group.

    Args:
        subject: as in bindings, normalised.
        records: the records.
        namespace: the namespace that counts, or `CLUSTER_WIDE` for all.
    """
    return tuple(
        each
        for each in records
        if namespace in (CLUSTER_WIDE, each.namespace)
        and subject_applies(subject, each.user, (*each.groups, *service_account_groups(each.user)))
    )


def unused_grants(snapshot: Snapshot, records: Iterable[UsageRecord]) -> tuple[Subject, ...]:
    """Return the subjects that can start migrations and did not use it, without the platform.

    The log covers a limited time. A subject might still need the permission, for example in an
    emergency.
    """
    known = tuple(records)
    able = {each.subject for each in list_access(snapshot, live_migration().of(Directness.DIRECT))}
    return tuple(
        sorted(each for each in able if not is_platform(each) and not usage_of(each, known))
    )


def usage_summary(subject: Subject, namespace: str, records: Iterable[UsageRecord]) -> str:
    """Return whether a subject used the permission, for messages.

    Args:
        subject: as in bindings, normalised.
        namespace: the namespace that counts, or `CLUSTER_WIDE` for all.
        records: the records.
    """
    found = usage_of(subject, records, namespace)
    if not found:
        return "not used in the audit log"
    count = sum(each.count for each in found)
    times = "once" if count == 1 else f"{count} times"
    return f"used {times}, last on {max(each.last for each in found)[:10]}"
