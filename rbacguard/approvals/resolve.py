"""Decisions of the approvals file about the access of subjects."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from rbacguard.kubevirt.migrate_bindings import RequiredBinding, without_covered
from rbacguard.kubevirt.subjects import is_platform
from rbacguard.rbac import Subject
from rbacguard.rbac.types import CLUSTER_WIDE

if TYPE_CHECKING:
    # The import of pydantic takes long, and most commands do not need it.
    from rbacguard.approvals.model import AcknowledgedHolder, Approval, MigrationAccess


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


class Decisions:
    """The decisions of an approvals file on one day.

    Args:
        access: the file, with selectors resolved.
        today: the day. An approval includes its last day.
    """

    def __init__(self, access: MigrationAccess, today: datetime.date) -> None:
        """Store the entries by subject and namespace."""
        self._today = today
        self._approvals = _by_pair(access.approvals)
        self._holders = _by_pair(access.holders)

    def decide(self, subject: Subject, namespace: str) -> Decision:
        """Return the decision about a subject in a namespace, or in `CLUSTER_WIDE`.

        Cluster-wide entries apply in every namespace. An entry that allows access takes precedence
        over every entry that refuses it, and over the platform status.
        """
        here, wide = RequiredBinding(namespace, subject), RequiredBinding(CLUSTER_WIDE, subject)
        own = self._approvals.get(here, ())
        approvals = (*own, *self._approvals.get(wide, ()))
        own_holders = self._holders.get(here, ())
        entries = (*approvals, *own_holders, *self._holders.get(wide, ()))
        today = self._today
        approved = any(each.allows(today) for each in approvals)
        if any(each.allows(today) for each in entries):
            status = Status.APPROVED
        elif is_platform(subject):
            status = Status.PLATFORM
        elif all(each.is_expired(today) for each in entries):
            status = Status.UNREVIEWED
        else:
            status = Status.REFUSED
        return Decision(
            status,
            expired=status is not Status.APPROVED and any(each.is_expired(today) for each in own),
            has_entry=bool(entries),
            requires_binding=approved,
            # Accepted cluster-wide access comes from another role than kubevirt.io:migrate, so it
            # does not cover a binding in a namespace.
            covers_binding=approved or any(each.allows(today) for each in own_holders),
        )

    @property
    def required(self) -> tuple[RequiredBinding, ...]:
        """The bindings to kubevirt.io:migrate that the approvals require, in order."""
        return without_covered(
            pair
            for pair in self._approvals
            if self.decide(pair.subject, pair.namespace).requires_binding
        )


def _by_pair(
    entries: list[Approval] | list[AcknowledgedHolder],
) -> Mapping[RequiredBinding, list[Approval | AcknowledgedHolder]]:
    found: dict[RequiredBinding, list[Approval | AcknowledgedHolder]] = {}
    for entry in entries:
        for pair in entry.pairs:
            found.setdefault(pair, []).append(entry)
    return found
