"""What is odd about an approvals file, seen against a cluster."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from rbacguard.approvals.model import Approval, MigrationAccess, OwnHolder
from rbacguard.kubevirt.access import covers_actions, explicit_access, list_access
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, bound_to_migrate
from rbacguard.kubevirt.permissions import Directness, live_migration
from rbacguard.rbac import Subject
from rbacguard.rbac.identity import identify
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import State

WARN_BEFORE = datetime.timedelta(days=14)
"""How long before its end an approval is announced, unless somebody says otherwise."""

_EVERYBODY = ("system:authenticated", "system:authenticated:oauth", "system:unauthenticated")
_ACCOUNTS = "system:serviceaccounts"


class Weight(StrEnum):
    """How much a remark weighs: only errors and warnings need something to be done."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Remark(Struct, frozen=True):
    """One thing that is odd.

    Attributes:
        id: a stable name for the kind of remark.
        weight: how much it weighs.
        place: the entry, such as `approvals[2]`.
        subject: whom it is about.
        message: what is odd.
    """

    id: str
    weight: Weight
    place: str
    subject: Subject
    message: str


def review(
    access: MigrationAccess,
    snapshot: Snapshot,
    *,
    today: datetime.date,
    warn_before: datetime.timedelta = WARN_BEFORE,
) -> tuple[Remark, ...]:
    """Review an approvals file, entry by entry.

    Args:
        access: the file, as it stands.
        snapshot: the cluster.
        today: the day on which approvals count.
        warn_before: how long before its end an approval is announced.
    """
    reviewer = _Reviewer(snapshot, today, warn_before)
    resolved = access.resolved(snapshot)
    remarks: list[Remark] = []
    for index, approval in enumerate(resolved.approvals):
        remarks += reviewer.entry(f"approvals[{index}]", approval)
    for index, holder in enumerate(resolved.holders):
        remarks += reviewer.entry(f"holders[{index}]", holder)
    return tuple(remarks)


_Said: TypeAlias = tuple[str, Weight, str]


class _Reviewer:
    def __init__(
        self, snapshot: Snapshot, today: datetime.date, warn_before: datetime.timedelta
    ) -> None:
        self._snapshot, self._today, self._warn_before = snapshot, today, warn_before
        self._actions = live_migration().granting
        self._held: dict[Subject, set[str]] = {}
        for each in list_access(snapshot, live_migration().of(Directness.DIRECT)):
            self._held.setdefault(each.subject, set()).add(each.namespace)
        self._own = explicit_access(snapshot)
        self._bound = bound_to_migrate(snapshot)
        named = {subject for binding in snapshot.bindings for subject in binding.subjects}
        self._names = {(subject.kind, subject.name) for subject in named}
        self._members = {user for members in snapshot.groups.values() for user in members}
        self._seen: dict[RequiredBinding, str] = {}

    def entry(self, place: str, entry: Approval | OwnHolder) -> Iterator[Remark]:
        """Yield what is odd about one entry."""
        parts = [self._unknown(entry), self._selection(entry), self._again(place, entry)]
        if isinstance(entry, Approval) and entry.approved:
            parts += [self._ends(entry), self._reaches(entry)]
        for part in parts:
            for kind, weight, message in part:
                yield Remark(kind, weight, place, entry.subject.subject, message)

    def _unknown(self, entry: Approval | OwnHolder) -> Iterator[_Said]:
        """Yield names that the cluster does not know."""
        subject = entry.subject.subject
        if not self._is_known(subject):
            message = f"{subject} is named nowhere in the input; is it spelt right?"
            yield "unknown-name", Weight.WARNING, message
        for namespace in entry.namespaces:
            if namespace not in self._snapshot.namespaces:
                message = f"namespace {namespace} is not in the input"
                yield "unknown-namespace", Weight.WARNING, message

    def _selection(self, entry: Approval | OwnHolder) -> Iterator[_Said]:
        """Yield whether a selector selects nothing, or nobody knows what."""
        if entry.namespace_selector is None:
            return
        gaps = self._snapshot.coverage.missing(["Namespace"])
        if gaps:
            message = f"which namespaces are selected is not all known: {gaps[0]}"
            yield "selection-unknown", Weight.WARNING, message
        elif not entry.namespaces:
            message = f"the selector of {entry.subject.subject} selects no namespace"
            yield "selects-nothing", Weight.WARNING, message

    def _again(self, place: str, entry: Approval | OwnHolder) -> Iterator[_Said]:
        """Yield what stands in an entry before this one."""
        for need in entry.needs:
            other = self._seen.setdefault(need, place)
            if other != place:
                where = need.namespace or "the whole cluster"
                yield "given-twice", Weight.INFO, f"{need.subject} in {where} stands in {other} too"

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

    def _ends(self, entry: Approval) -> Iterator[_Said]:
        """Yield whether an approval has expired, or is about to."""
        if entry.expires is None:
            return
        who = entry.subject.subject
        left = entry.expires - self._today
        if left < datetime.timedelta():
            yield "expired", Weight.ERROR, f"the approval of {who} has expired on {entry.expires}"
        elif left <= self._warn_before:
            days = f"in {left.days} days" if left.days else "today"
            message = f"the approval of {who} ends on {entry.expires}, {days}"
            yield "ends-soon", Weight.WARNING, message

    def _reaches(self, entry: Approval) -> Iterator[_Said]:
        """Yield whether an approval reaches further than what is held, or adds nothing."""
        subject = entry.subject.subject
        if subject.kind == "Group" and subject.name in _EVERYBODY:
            message = f"{subject} is everybody"
            yield "group-of-everybody", Weight.ERROR, message
        elif subject.kind == "Group" and subject.name.startswith(_ACCOUNTS):
            message = f"{subject} is every service account, of today and to come"
            yield "group-of-accounts", Weight.WARNING, message
        held = self._held.get(subject) or set[str]()
        if entry.cluster_wide and held and "" not in held:
            message = (
                f"{subject} is approved in the whole cluster, but holds migration in "
                f"{len(held)} namespaces only"
            )
            yield "broader-than-held", Weight.WARNING, message
        anew = [n.namespace for n in entry.needs if n.namespace and not {n.namespace, ""} & held]
        if anew:
            some = ", ".join(anew[:3]) + (f" and {len(anew) - 3} more" if len(anew) > 3 else "")  # noqa: PLR2004
            message = f"{subject} holds no migration in {some} now: this grants it anew"
            yield "granted-anew", Weight.INFO, message
        for need in entry.needs:
            why = self._held_otherwise(need)
            if why:
                yield "held-otherwise", Weight.INFO, why

    def _held_otherwise(self, need: RequiredBinding) -> str:
        """Return by what somebody holds all of migration in a scope besides this approval."""
        where = need.namespace or "the whole cluster"
        who = need.subject
        own = self._own.get(who, ())
        if covers_actions(own, self._actions, need.namespace):
            # Grants of the first action come first.
            first = next(
                grant
                for each in own
                if each.namespace in ("", need.namespace) and each.actions[0] == self._actions[0]
                for grant in each.grants
            )
            return f"{who} holds it in {where} already, by {first.binding} to {first.role.name}"
        everywhere = self._bound.get(RequiredBinding("", who))
        if need.namespace and everywhere is not None:
            return f"{who} holds it in {where} already, by {everywhere.ref}"
        if who.kind != "User":
            return ""
        for group in identify(who.name, members=self._snapshot.groups).groups:
            for scope in {"", need.namespace}:
                binding = self._bound.get(RequiredBinding(scope, Subject("Group", group)))
                if binding is not None:
                    return f"{who} holds it in {where} already, as a member of Group {group}"
        return ""


def warnings(remarks: Iterable[Remark]) -> tuple[str, ...]:
    """Return what weighs, each once, for reports about something else."""
    return tuple(dict.fromkeys(r.message for r in remarks if r.weight is not Weight.INFO))
