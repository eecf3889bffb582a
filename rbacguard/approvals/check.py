"""Issues of an approvals file, found by comparison with a cluster."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from rbacguard.approvals.model import AcknowledgedHolder, Approval, MigrationAccess
from rbacguard.kubevirt.access import covers_actions, explicit_access, list_access
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, bound_to_migrate
from rbacguard.kubevirt.permissions import Directness, live_migration
from rbacguard.rbac import Subject
from rbacguard.rbac.identity import (
    AUTHENTICATED,
    OAUTH,
    SERVICE_ACCOUNTS_GROUP,
    UNAUTHENTICATED,
    identify,
)
from rbacguard.rbac.types import CLUSTER_WIDE
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import State

WARN_BEFORE = datetime.timedelta(days=14)
"""The default time before its expiry at which an approval is reported."""

_ALL_USERS = (AUTHENTICATED, OAUTH, UNAUTHENTICATED)
_MAX_NAMESPACES = 3
"""The most namespaces that a message names."""


class Severity(StrEnum):
    """The severity of an issue. `INFO` requires no action."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class ApprovalIssue(Struct, frozen=True):
    """An issue of one entry.

    Attributes:
        id: the stable ID of the kind of issue.
        severity: the severity.
        entry: the entry, such as `approvals[2]`.
        subject: the subject of the entry.
        message: the issue.
    """

    id: str
    severity: Severity
    entry: str
    subject: Subject
    message: str


def check_approvals(
    access: MigrationAccess,
    snapshot: Snapshot,
    *,
    today: datetime.date,
    warn_before: datetime.timedelta = WARN_BEFORE,
) -> tuple[ApprovalIssue, ...]:
    """Return the issues of an approvals file, in the order of its entries.

    Args:
        access: the file. Its selectors do not need to be resolved.
        snapshot: the cluster.
        today: the day that expiry dates are compared with.
        warn_before: the time before its expiry at which an approval is reported.

    Raises:
        InputError: two approvals contradict each other.
    """
    checker = _Checker(snapshot, today, warn_before)
    resolved = access.resolved(snapshot)
    entries: list[tuple[str, _Entry]] = [
        *((f"approvals[{n}]", each) for n, each in enumerate(resolved.approvals)),
        *((f"holders[{n}]", each) for n, each in enumerate(resolved.holders)),
    ]
    return tuple(
        ApprovalIssue(issue, severity, name, entry.subject.subject, message)
        for name, entry in entries
        for issue, severity, message in checker.issues(name, entry)
    )


def warning_messages(issues: Iterable[ApprovalIssue]) -> tuple[str, ...]:
    """Return the messages of errors and warnings, each once."""
    return tuple(dict.fromkeys(e.message for e in issues if e.severity is not Severity.INFO))


_Entry: TypeAlias = Approval | AcknowledgedHolder
_Issues: TypeAlias = Iterator[tuple[str, Severity, str]]


class _Checker:
    def __init__(
        self, snapshot: Snapshot, today: datetime.date, warn_before: datetime.timedelta
    ) -> None:
        self._snapshot, self._today, self._warn_before = snapshot, today, warn_before
        self._actions = live_migration().granting
        self._namespaces: dict[Subject, set[str]] = {}
        for each in list_access(snapshot, live_migration().of(Directness.DIRECT)):
            self._namespaces.setdefault(each.subject, set()).add(each.namespace)
        self._explicit = explicit_access(snapshot)
        self._bound = bound_to_migrate(snapshot)
        named = {subject for binding in snapshot.bindings for subject in binding.subjects}
        self._names = {(subject.kind, subject.name) for subject in named}
        self._members = {user for members in snapshot.groups.values() for user in members}
        self._seen: dict[RequiredBinding, str] = {}

    def issues(self, name: str, entry: _Entry) -> _Issues:
        """Yield the issues of one entry: ID, severity, and message."""
        yield from self._unknown_names(entry)
        yield from self._selector(entry)
        yield from self._duplicates(name, entry)
        if isinstance(entry, Approval) and entry.approved:
            yield from self._expiry(entry)
            yield from self._broad_groups(entry.subject.subject)
            yield from self._new_access(entry)
            for pair in entry.pairs:
                source = self._other_source(pair)
                if source:
                    message = f"{pair.subject} already has the permission {pair.where}, {source}"
                    yield "already-granted", Severity.INFO, message

    def _unknown_names(self, entry: _Entry) -> _Issues:
        subject = entry.subject.subject
        if not self._is_known(subject):
            message = f"{subject} was not found in the input; check the spelling"
            yield "unknown-name", Severity.WARNING, message
        for namespace in entry.namespaces:
            if namespace not in self._snapshot.namespaces:
                message = f"namespace {namespace} was not found in the input"
                yield "unknown-namespace", Severity.WARNING, message

    def _is_known(self, subject: Subject) -> bool:
        snapshot = self._snapshot
        if subject.kind == "ServiceAccount":
            if snapshot.coverage.kinds["ServiceAccount"].state is State.READ:
                return (subject.namespace, subject.name) in snapshot.service_accounts
            return subject.namespace in snapshot.namespaces
        return (
            (subject.kind, subject.name) in self._names
            or (subject.kind == "User" and subject.name in self._members)
            or (subject.kind == "Group" and subject.name in snapshot.groups)
            or subject.name.startswith("system:")
        )

    def _selector(self, entry: _Entry) -> _Issues:
        if entry.namespace_selector is None:
            return
        gaps = self._snapshot.coverage.missing(["Namespace"])
        if gaps:
            message = f"the selected namespaces are not all known: {gaps[0]}"
            yield "selection-unknown", Severity.WARNING, message
        elif not entry.namespaces:
            message = f"the selector of {entry.subject.subject} selects no namespace"
            yield "selects-nothing", Severity.WARNING, message

    def _duplicates(self, name: str, entry: _Entry) -> _Issues:
        for pair in entry.pairs:
            other = self._seen.setdefault(pair, name)
            if other != name:
                yield "duplicate-entry", Severity.INFO, f"{pair} is also in {other}"

    def _expiry(self, entry: Approval) -> _Issues:
        subject, expires = entry.subject.subject, entry.expires
        if entry.is_expired(self._today):
            message = f"the approval of {subject} expired on {expires}"
            yield "expired", Severity.ERROR, message
        elif expires is not None and expires - self._today <= self._warn_before:
            days = (expires - self._today).days
            when = f"in {days} {'day' if days == 1 else 'days'}" if days else "today"
            message = f"the approval of {subject} expires on {expires}, {when}"
            yield "expires-soon", Severity.WARNING, message

    def _broad_groups(self, subject: Subject) -> _Issues:
        if subject.kind != "Group":
            return
        if subject.name in _ALL_USERS:
            message = f"{subject} includes all users"
            yield "group-of-all-users", Severity.ERROR, message
        elif subject.name.startswith(SERVICE_ACCOUNTS_GROUP):
            message = f"{subject} includes current and future service accounts"
            yield "group-of-service-accounts", Severity.WARNING, message

    def _new_access(self, entry: Approval) -> _Issues:
        """Yield issues of approvals that grant more than the subject has now."""
        subject = entry.subject.subject
        now = self._namespaces.get(subject) or set[str]()
        if entry.cluster_wide and now and CLUSTER_WIDE not in now:
            message = (
                f"{subject} is approved cluster-wide, but has the permission only in "
                + _listed(sorted(now))
            )
            yield "wider-than-now", Severity.WARNING, message
        if entry.cluster_wide or CLUSTER_WIDE in now:
            return
        new = [each.namespace for each in entry.pairs if each.namespace not in now]
        if new:
            message = (
                f"{subject} does not have the permission in {_listed(new)} now; "
                "the approval grants it"
            )
            yield "new-grant", Severity.INFO, message

    def _other_source(self, pair: RequiredBinding) -> str:
        """Return through what a subject has live migration permission besides the approval."""
        subject, namespace = pair.subject, pair.namespace
        explicit = self._explicit.get(subject, ())
        if covers_actions(explicit, self._actions, namespace):
            # The first action comes first, and so do its grants.
            first = next(
                each.grants[0]
                for each in explicit
                if each.namespace in (CLUSTER_WIDE, namespace)
                and each.actions[0] == self._actions[0]
            )
            return f"through {first.binding} to {first.role.name}"
        wide = self._bound.get(RequiredBinding(CLUSTER_WIDE, subject))
        if namespace and wide is not None:
            return f"through {wide.ref}"
        if subject.kind == "User":
            for group in identify(subject.name, members=self._snapshot.groups).groups:
                member = Subject("Group", group)
                if any(
                    RequiredBinding(each, member) in self._bound
                    for each in (CLUSTER_WIDE, namespace)
                ):
                    return f"as a member of {member}"
        return ""


def _listed(namespaces: list[str]) -> str:
    more = len(namespaces) - _MAX_NAMESPACES
    names = ", ".join(namespaces[:_MAX_NAMESPACES])
    noun = "namespace" if len(namespaces) == 1 else "namespaces"
    return f"{noun} {names}" + (f" and {more} more" if more > 0 else "")
