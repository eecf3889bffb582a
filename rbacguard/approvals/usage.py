"""Who used the permission, by the API server's audit log, and who holds it and did not."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from rbacguard.kubevirt.access import list_access
from rbacguard.kubevirt.permissions import Directness, live_migration
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.rbac import Subject
from rbacguard.rbac.identity import service_account_groups, service_account_user
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.objects import dict_at, parse_timestamp

_RESOURCE = "virtualmachineinstancemigrations"
_SUBRESOURCE = ("virtualmachines", "migrate")


class Use(Struct, frozen=True, order=True):
    """Somebody who used the permission, as the API server's audit log tells.

    Attributes:
        namespace: where.
        user: the user name.
        groups: the groups that he had.
        verb: what he did: create, delete, update and so on.
        count: how often.
        last: when for the last time.
    """

    namespace: str
    user: str
    groups: tuple[str, ...]
    verb: str
    count: int
    last: str


def uses(events: Iterable[Mapping[str, Any]], since: datetime.datetime | None) -> tuple[Use, ...]:
    """Return who used the permission, by the API server's audit events.

    Args:
        events: of audit.k8s.io/v1, kind Event; others are passed over.
        since: leave out what is older; None for everything.
    """
    found: dict[tuple[str, str, str], tuple[int, str, tuple[str, ...]]] = {}
    for event in events:
        use = _use(event)
        if use is None:
            continue
        key, at, groups = use
        happened = parse_timestamp(at)
        if since is not None and (happened is None or happened < since):
            continue
        count, last, known = found.get(key, (0, "", ()))
        found[key] = (count + 1, max(last, at), groups or known)
    return tuple(
        sorted(
            Use(namespace, user, groups, verb, count, last)
            for (namespace, user, verb), (count, last, groups) in found.items()
        )
    )


def _use(event: Mapping[str, Any]) -> tuple[tuple[str, str, str], str, tuple[str, ...]] | None:
    """Return of a request that was allowed who, where, what and when; None for any other."""
    # A long one, such as a watch, is told several times; the last one tells how it ended.
    if event.get("kind") != "Event" or event.get("stage") != "ResponseComplete":
        return None
    target, who = dict_at(event, "objectRef"), dict_at(event, "user")
    verb, code = event.get("verb"), dict_at(event, "responseStatus").get("code")
    resource, subresource = target.get("resource"), target.get("subresource")
    is_migration = resource == _RESOURCE and verb not in ("get", "list", "watch")
    if not is_migration and (resource, subresource) != _SUBRESOURCE:
        return None
    if not isinstance(code, int) or not 200 <= code < 300:  # noqa: PLR2004 - HTTP
        return None
    # Whoever is impersonated is who the server decided about, with his groups alone.
    who = dict_at(event, "impersonatedUser") or who
    user, groups = who.get("username"), who.get("groups")
    namespace, at = target.get("namespace"), event.get("requestReceivedTimestamp")
    if not (isinstance(user, str) and user and isinstance(verb, str) and isinstance(at, str)):
        return None
    what = verb if is_migration else f"{verb} virtualmachines/migrate"
    named = tuple(g for g in groups if isinstance(g, str)) if isinstance(groups, list) else ()
    return (namespace if isinstance(namespace, str) else "", user, what), at, named


def used_by(subject: Subject, used: Iterable[Use], namespace: str = "") -> tuple[Use, ...]:
    """Return the uses behind which a subject stands: the user himself, or a group that he had.

    Args:
        subject: as bindings name it.
        used: what the log tells.
        namespace: the only one that counts; '' for all.
    """
    match subject.kind:
        case "Group":
            mine = [u for u in used if subject.name in (*u.groups, *service_account_groups(u.user))]
        case "ServiceAccount":
            user = service_account_user(subject.namespace, subject.name)
            mine = [each for each in used if each.user == user]
        case _:
            mine = [each for each in used if each.user == subject.name]
    return tuple(each for each in mine if namespace in ("", each.namespace))


def unused(snapshot: Snapshot, used: Iterable[Use]) -> tuple[Subject, ...]:
    """Return who can start migrations and stands behind no use, the platform left out.

    Whoever is listed did not use it in the time that the log covers; that he needs it all the same,
    as for an emergency, the log does not tell.
    """
    known = tuple(used)
    able = {each.subject for each in list_access(snapshot, live_migration().of(Directness.DIRECT))}
    return tuple(
        sorted(each for each in able if not is_platform(each) and not used_by(each, known))
    )


def told(subject: Subject, namespace: str, used: Iterable[Use]) -> str:
    """Return in words whether somebody used the permission in a scope ('' = anywhere)."""
    found = used_by(subject, used, namespace)
    if not found:
        return "not used in the audit log given"
    times = sum(each.count for each in found)
    return f"used {times} times, last on {max(each.last for each in found)[:10]}"
