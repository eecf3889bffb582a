"""Which subjects have which actions of a permission, and through which grants."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct

from rbacguard.kubevirt.names import ADMIN, EDIT, MIGRATE
from rbacguard.kubevirt.permissions import Action, Directness, live_migration
from rbacguard.rbac import Grant, ObjectKey, Subject
from rbacguard.rbac.access import Change, EffectiveAccess
from rbacguard.rbac.rules import RequestSet
from rbacguard.snapshot import Snapshot

DEFAULT_ROLES = frozenset(
    ObjectKey("ClusterRole", "", name) for name in ("admin", "edit", "view", ADMIN, EDIT, MIGRATE)
)
"""Roles that grant live migration by default, or after a decision."""
_DIRECTNESS = tuple(Directness)
_T = TypeVar("_T")


class ActionAccess(NamedTuple):
    """The actions that a subject has in one namespace, by bindings of that namespace alone.

    Attributes:
        subject: as in bindings, normalised.
        namespace: `CLUSTER_WIDE` for access by ClusterRoleBindings.
        actions: the actions, in the order of the question.
        grants: every grant, those of the first action first.
        allows: for each grant, the indexes of its actions in `actions`.
    """

    subject: Subject
    namespace: str
    actions: tuple[Action, ...]
    grants: tuple[Grant, ...]
    allows: tuple[tuple[int, ...], ...]

    @property
    def grants_by_action(self) -> Iterator[tuple[Action, tuple[Grant, ...]]]:
        """Each action with its grants, in order of binding."""
        in_order = sorted(zip(self.grants, self.allows, strict=True), key=lambda e: e[0].binding)
        for index, action in enumerate(self.actions):
            yield action, tuple(grant for grant, allows in in_order if index in allows)


def requests_of(actions: Iterable[Action]) -> RequestSet:
    """Return the requests of actions; request number n is that of action n."""
    return RequestSet(action.attributes for action in actions)


def selected(items: Sequence[_T], mask: int) -> tuple[_T, ...]:
    """Return the items whose numbers are bits of a mask."""
    return tuple(item for number, item in enumerate(items) if mask >> number & 1)


def mask_of(numbers: Iterable[int]) -> int:
    """Return the mask with these bits."""
    return sum(1 << number for number in numbers)


def in_order(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Return actions in the order of reports: the most direct ones first."""
    return tuple(sorted(actions, key=lambda each: (_DIRECTNESS.index(each.directness), str(each))))


def list_access(
    snapshot: Snapshot,
    actions: Iterable[Action],
    subjects: Iterable[Subject] | None = None,
    *,
    without: Collection[ObjectKey] = (),
) -> Iterator[ActionAccess]:
    """Yield the access of all subjects to some actions.

    Args:
        snapshot: the cluster.
        actions: the actions.
        subjects: the subjects to report, in this order; by default all.
        without: roles that do not count.
    """
    asked = tuple(actions)
    access = EffectiveAccess(
        requests_of(asked), [snapshot.resolved_roles], snapshot.bindings_in, without=without
    )
    actions_of: dict[int, tuple[Action, ...]] = {}
    indexes: dict[tuple[int, int], tuple[int, ...]] = {}
    for subject, namespace, mask, grants in access.entries(subjects):
        if mask not in actions_of:
            actions_of[mask] = selected(asked, mask)
        for _, allowed in grants:
            if (mask, allowed) not in indexes:
                numbers = [number for number in range(len(asked)) if mask >> number & 1]
                indexes[mask, allowed] = tuple(
                    index for index, number in enumerate(numbers) if allowed >> number & 1
                )
        yield ActionAccess(
            subject,
            namespace,
            actions_of[mask],
            tuple(grant for grant, _ in grants),
            tuple(indexes[mask, allowed] for _, allowed in grants),
        )


def explicit_access(snapshot: Snapshot) -> Mapping[Subject, Sequence[ActionAccess]]:
    """Return the live migration access that subjects have by roles of their own.

    Such a role is neither a default role nor kubevirt.io:migrate: cluster-admin, roles of
    controllers, roles that a customer wrote.
    """
    found: dict[Subject, list[ActionAccess]] = {}
    for each in list_access(snapshot, live_migration().granting, without=DEFAULT_ROLES):
        found.setdefault(each.subject, []).append(each)
    return found


def covers_actions(
    access: Iterable[ActionAccess], actions: Collection[Action], namespace: str
) -> bool:
    """Return whether access includes all of these actions in a namespace."""
    covered = {
        action for each in access if each.namespace in ("", namespace) for action in each.actions
    }
    return covered.issuperset(actions)


class RoleEvidence(NamedTuple):
    """The actions that one bound role allows, and its grants."""

    actions: tuple[Action, ...]
    grants: tuple[Grant, ...]


class ChangedAction(NamedTuple):
    """What happens to one action of one subject in one namespace, and the grants behind it."""

    subject: Subject
    namespace: str
    action: Action
    change: Change
    grants: tuple[Grant, ...]


class ActionChange(Struct, frozen=True):
    """One change of the same actions for one subject in one or more namespaces.

    Attributes:
        subject: as in bindings, normalised.
        change: kept, lost, or gained.
        asked: all actions that were compared.
        requests: the mask of the changed actions among `asked`: read actions or others, not both.
        namespaces: in order. `CLUSTER_WIDE` includes every namespace that has no change of its own
            for this subject.
        access: the states that were compared.
        state: the state whose grants explain the change: the old one for lost access, otherwise
            the new one.
    """

    subject: Subject
    change: Change
    asked: Sequence[Action]
    requests: int
    namespaces: tuple[str, ...]
    access: EffectiveAccess
    state: int

    @property
    def actions(self) -> tuple[Action, ...]:
        """The changed actions."""
        return selected(self.asked, self.requests)

    @property
    def is_reading(self) -> bool:
        """Whether all changed actions are read actions."""
        first = (self.requests & -self.requests).bit_length() - 1
        return self.asked[first].directness is Directness.READ

    def evidence(self, namespace: str) -> Mapping[ObjectKey, RoleEvidence]:
        """Return the grants behind the change in a namespace, by bound role."""
        found: dict[ObjectKey, tuple[int, tuple[Grant, ...]]] = {}
        for grant, mask in self._grants(namespace):
            known, grants = found.get(grant.role, (0, ()))
            found[grant.role] = (known | mask, (*grants, grant))
        return {
            role: RoleEvidence(selected(self.asked, mask), grants)
            for role, (mask, grants) in found.items()
        }

    def rows(self) -> Iterator[ChangedAction]:
        """Yield the change of each action in each namespace."""
        for namespace in self.namespaces:
            grants = self._grants(namespace)
            for number, action in enumerate(self.asked):
                if self.requests >> number & 1:
                    allowing = tuple(grant for grant, mask in grants if mask >> number & 1)
                    yield ChangedAction(self.subject, namespace, action, self.change, allowing)

    def _grants(self, namespace: str) -> list[tuple[Grant, int]]:
        return self.access.grants(self.subject, namespace, state=self.state, requests=self.requests)


def changes(
    access: EffectiveAccess,
    asked: Sequence[Action],
    before: int,
    after: int,
    *,
    requests: int = -1,
) -> Iterator[ActionChange]:
    """Yield what is kept, lost, and gained from one state to another.

    Changes of read actions are separate. Read actions that are kept are left out.

    Args:
        access: the states; the first requests are those of `asked`.
        asked: the actions.
        before: the old state.
        after: the new state.
        requests: the mask of the actions to compare, by default all.
    """
    reading = (
        mask_of(n for n, action in enumerate(asked) if action.directness is Directness.READ)
        & requests
    )
    others = mask_of(range(len(asked))) & ~reading & requests
    parts = {others: tuple(Change), reading: (Change.LOST, Change.GAINED)}
    for each in access.compare(before, after, parts):
        yield ActionChange(
            each.subject, each.change, asked, each.requests, each.namespaces, access, each.state
        )


def changed_namespaces(
    found: Iterable[ActionChange], change: Change
) -> Mapping[Subject, tuple[str, ...]]:
    """Return by subject the namespaces in which actions other than read actions change."""
    namespaces: dict[Subject, set[str]] = {}
    for each in found:
        if each.change is change and not each.is_reading:
            namespaces.setdefault(each.subject, set()).update(each.namespaces)
    return {subject: tuple(sorted(found)) for subject, found in sorted(namespaces.items())}
