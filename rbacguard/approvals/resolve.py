"""Decisions of the approvals file about the access of subjects."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Mapping
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, NamedTuple

from rbacguard.kubevirt.migrate_bindings import RequiredBinding, without_covered
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.rbac import Subject
from rbacguard.rbac.types import CLUSTER_WIDE

if TYPE_CHECKING:
    # The import of pydantic takes long, and most commands do not need it.
    from rbacguard.approvals.model import MigrationAccess


class Status(StrEnum):
    """The decision about the access of a subject."""

    APPROVED = "approved"
    REFUSED = "refused"
    UNREVIEWED = "unreviewed"
    PLATFORM = "platform"


class Decision(NamedTuple):
    """The decision about the access of a subject in a namespace.

    Attributes:
        status: `UNREVIEWED` if there is no entry, if an entry is not decided yet, or if an approval
            has expired.
        expired: whether an approval for this namespace, or cluster-wide access, has expired.
        has_entry: whether any entry applies, whatever it decides.
        requires_binding: whether the subject must be bound to kubevirt.io:migrate.
        covers_binding: whether a binding of the subject to kubevirt.io:migrate is approved.
    """

    status: Status
    expired: bool
    has_entry: bool
    requires_binding: bool
    covers_binding: bool


class _Entry(Enum):
    """What an entry says about a subject in a namespace."""

    APPROVED = auto()
    EXPIRED = auto()
    ACCEPTED = auto()
    REFUSED = auto()
    UNDECIDED = auto()


_VALUES = {None: _Entry.UNDECIDED, False: _Entry.REFUSED}


class Decisions:
    """The decisions of an approvals file on one day.

    Args:
        access: the file, with selectors resolved.
        today: the day. An approval includes its last day.
    """

    def __init__(self, access: MigrationAccess, today: datetime.date) -> None:
        """Store what the entries say, by subject and namespace."""
        found: defaultdict[RequiredBinding, set[_Entry]] = defaultdict(set)
        for approval in access.approvals:
            entry = _VALUES.get(approval.approved, _Entry.APPROVED)
            if approval.is_expired(today):
                entry = _Entry.EXPIRED
            for pair in approval.pairs:
                found[pair].add(entry)
        for holder in access.holders:
            for pair in holder.pairs:
                found[pair].add(_VALUES.get(holder.accepted, _Entry.ACCEPTED))
        self._entries: Mapping[RequiredBinding, Collection[_Entry]] = dict(found)
        self._refused: defaultdict[Subject, list[str]] = defaultdict(list)
        for pair, entries in sorted(found.items()):
            if _Entry.REFUSED in entries:
                self._refused[pair.subject].append(pair.namespace)

    def decide(self, subject: Subject, namespace: str) -> Decision:
        """Return the decision about a subject in a namespace, or in `CLUSTER_WIDE`.

        Entries for the namespace take precedence over cluster-wide entries. For the same
        namespace, a refusal takes precedence. A decision takes precedence over the platform status.
        """
        own = self._entries.get(RequiredBinding(namespace, subject), ())
        wide = self._entries.get(RequiredBinding(CLUSTER_WIDE, subject), ())
        status, approved = Status.UNREVIEWED, False
        for entries in (own, wide):
            if _Entry.REFUSED in entries:
                status = Status.REFUSED
                break
            approved = _Entry.APPROVED in {*own, *wide}
            if _Entry.APPROVED in entries or _Entry.ACCEPTED in entries:
                status = Status.APPROVED
                break
        if status is Status.UNREVIEWED and is_platform(subject):
            status = Status.PLATFORM
        approved = approved and status is Status.APPROVED
        return Decision(
            status,
            expired=status is not Status.APPROVED and _Entry.EXPIRED in own,
            has_entry=bool(own or wide),
            requires_binding=approved,
            # Accepted cluster-wide access comes from another role than kubevirt.io:migrate, so it
            # does not cover a binding in a namespace.
            covers_binding=approved or (status is Status.APPROVED and _Entry.ACCEPTED in own),
        )

    def refused_namespaces(self, subject: Subject) -> tuple[str, ...]:
        """Return the namespaces in which a subject is refused, in order.

        Cluster-wide access includes them.
        """
        return tuple(self._refused.get(subject, ()))

    @property
    def contradictions(self) -> tuple[RequiredBinding, ...]:
        """The refusals in namespaces of subjects that must be bound cluster-wide, in order."""
        return tuple(
            RequiredBinding(namespace, pair.subject)
            for pair in self.required
            if pair.namespace == CLUSTER_WIDE
            for namespace in self.refused_namespaces(pair.subject)
        )

    @property
    def required(self) -> tuple[RequiredBinding, ...]:
        """The bindings to kubevirt.io:migrate that the approvals require, in order."""
        return without_covered(
            pair
            for pair in self._entries
            if self.decide(pair.subject, pair.namespace).requires_binding
        )
