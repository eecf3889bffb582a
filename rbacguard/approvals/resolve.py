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
        status: `UNREVIEWED` if there is no entry, or if an approval has expired.
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
            entry = _Entry.APPROVED if approval.approved else _Entry.REFUSED
            if approval.is_expired(today):
                entry = _Entry.EXPIRED
            for pair in approval.pairs:
                found[pair].add(entry)
        for holder in access.holders:
            for pair in holder.pairs:
                found[pair].add(_Entry.ACCEPTED if holder.accepted else _Entry.REFUSED)
        self._entries: Mapping[RequiredBinding, Collection[_Entry]] = dict(found)

    def decide(self, subject: Subject, namespace: str) -> Decision:
        """Return the decision about a subject in a namespace, or in `CLUSTER_WIDE`.

        Cluster-wide entries apply in every namespace. An entry that allows access takes precedence
        over every entry that refuses it, and over the platform status.
        """
        own = self._entries.get(RequiredBinding(namespace, subject), ())
        entries = {*own, *self._entries.get(RequiredBinding(CLUSTER_WIDE, subject), ())}
        approved = _Entry.APPROVED in entries
        if approved or _Entry.ACCEPTED in entries:
            status = Status.APPROVED
        elif is_platform(subject):
            status = Status.PLATFORM
        elif _Entry.REFUSED in entries:
            status = Status.REFUSED
        else:
            status = Status.UNREVIEWED
        return Decision(
            status,
            expired=status is not Status.APPROVED and _Entry.EXPIRED in own,
            has_entry=bool(entries),
            requires_binding=approved,
            # Accepted cluster-wide access comes from another role than kubevirt.io:migrate, so it
            # does not cover a binding in a namespace.
            covers_binding=approved or _Entry.ACCEPTED in own,
        )

    @property
    def required(self) -> tuple[RequiredBinding, ...]:
        """The bindings to kubevirt.io:migrate that the approvals require, in order."""
        return without_covered(
            pair
            for pair in self._entries
            if self.decide(pair.subject, pair.namespace).requires_binding
        )
