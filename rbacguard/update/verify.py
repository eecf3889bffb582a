"""After the update: is everything as approved, and is nothing left over."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from rbacguard.kubevirt.access import (
    covers_actions,
    explicit_access,
    list_access,
)
from rbacguard.kubevirt.installed import installed
from rbacguard.kubevirt.migrate_bindings import Need, bound_to_migrate
from rbacguard.kubevirt.names import MIGRATE, UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.kubevirt.permissions import Action, is_platform, live_migration
from rbacguard.kubevirt.releases import migrate_rules
from rbacguard.rbac import Grant, ObjectKey, Subject, covers
from rbacguard.rbac.types import AnyBinding
from rbacguard.snapshot import Snapshot
from rbacguard.update.temporary_role import (
    AGGREGATED_DEFAULTS,
    actions_of,
    reaches,
    restored_default,
    temporary_roles,
)

if TYPE_CHECKING:
    # Read by pydantic, which takes long to load.
    from rbacguard.approvals.model import MigrationAccess


class Result(StrEnum):
    """What a check found."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class VerifyCheck(Struct, frozen=True):
    """One thing that was verified.

    Attributes:
        id: a stable name.
        title: what must hold.
        result: passed, failed, or unknown where the input does not tell.
        details: what was found, one line each.
        next: what to do about it.
        grants: the evidence.
    """

    id: str
    title: str
    result: Result
    details: tuple[str, ...] = ()
    next: str = ""
    grants: tuple[Grant, ...] = ()


class Verification(Struct, frozen=True):
    """The verdict on a snapshot: clean only if every check passed; None where it is not known."""

    snapshot: Snapshot
    checks: tuple[VerifyCheck, ...]
    unaccepted: tuple[Need, ...]

    @property
    def clean(self) -> bool | None:
        """True, False, or None."""
        results = {check.result for check in self.checks}
        if Result.FAILED in results:
            return False
        return None if Result.UNKNOWN in results else True

    @property
    def missing(self) -> str:
        """What is still missing, on one line."""
        found = {
            check.result: [c.title for c in self.checks if c.result is check.result]
            for check in self.checks
        }
        failed, unknown = found.get(Result.FAILED, []), found.get(Result.UNKNOWN, [])
        parts = [f"not yet: {'; '.join(failed)}"] if failed else []
        parts += [f"not known: {'; '.join(unknown)}"] if unknown else []
        return ". ".join(parts) or "clean"

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to do, in order."""
        return tuple(
            dict.fromkeys(c.next for c in self.checks if c.result is not Result.PASSED and c.next)
        )


def verify(
    snapshot: Snapshot,
    access: MigrationAccess,
    *,
    before: Snapshot | None = None,
    today: datetime.date,
) -> Verification:
    """Verify a cluster against its approvals.

    Args:
        snapshot: the cluster after the update.
        access: who is approved, and which holders are accepted.
        before: the cluster before the temporary role was made: tells who held migration of old by
            grants of his own.
        today: the day on which approvals count.
    """
    verifier = _Verifier(snapshot, access.resolved(snapshot), before, today)
    checks = tuple(
        check()
        for check in (
            verifier.input_complete,
            verifier.updated,
            verifier.migrate_role,
            # Binding comes before taking away, so that the next steps can be followed in order.
            verifier.approved_bound,
            verifier.temporary_role_gone,
            verifier.default_roles,
            verifier.default_not_restored,
            verifier.only_approved,
            verifier.nothing_handed_on,
            verifier.nothing_dangling,
        )
    )
    return Verification(snapshot, checks, tuple(verifier.unaccepted))


class _Verifier:
    def __init__(
        self,
        snapshot: Snapshot,
        access: MigrationAccess,
        before: Snapshot | None,
        today: datetime.date,
    ) -> None:
        self._snapshot, self._access = snapshot, access
        self._before, self._today = before, today
        self._actions = live_migration().granting
        # Recorded and computed: the controller may not have run yet, or not have run through.
        self._views = (
            snapshot.replace(aggregate="as-recorded"),
            snapshot.replace(aggregate="recompute"),
        )
        self._approved = frozenset(access.approved(today))
        self._decided = self._approved | access.accepted_needs()
        self._bound = bound_to_migrate(snapshot)
        self.unaccepted: list[Need] = []
        self._gaps = snapshot.coverage.gaps()

    def _check(
        self,
        check_id: str,
        title: str,
        failures: Iterable[str],
        *,
        following: str,
        needs: Iterable[str],
        grants: Iterable[Grant] = (),
    ) -> VerifyCheck:
        """Fail on what was found; without a finding, pass only if what it needs was read."""
        # What is recorded and what is computed mostly tell the same.
        details = tuple(dict.fromkeys(failures))
        evidence = tuple(grants)
        if details:
            return VerifyCheck(check_id, title, Result.FAILED, details, following, evidence)
        gaps = self._snapshot.coverage.gaps(needs)
        if gaps:
            return VerifyCheck(check_id, title, Result.UNKNOWN, gaps, "take a complete dump")
        return VerifyCheck(check_id, title, Result.PASSED)

    def input_complete(self) -> VerifyCheck:
        title = "the input holds every role and binding of the cluster"
        gaps = list(self._gaps)
        if self._access.has_selectors:
            # Whom a selector approves where depends on every namespace's labels.
            gaps += self._snapshot.coverage.gaps(["Namespace"])
        if self._before is not None:
            gaps += [f"before: {gap}" for gap in self._before.coverage.gaps()]
        following = "take a complete dump"
        if self._before is not None and temporary_roles(self._before):
            # What was handed on by then would pass for old.
            gaps.append("before: the temporary role was there already")
            following = (
                "give a dump from before the temporary role, or leave --before out and accept "
                "holders in the approvals file"
            )
        if gaps:
            return VerifyCheck("input-complete", title, Result.UNKNOWN, tuple(gaps), following)
        return VerifyCheck("input-complete", title, Result.PASSED)

    def updated(self) -> VerifyCheck:
        now = installed(self._snapshot)
        title = "the update to 4.19 or later is through"
        following = "wait until the update is through, then take a new dump"
        if now.updating:
            return VerifyCheck("updated", title, Result.FAILED, now.evidence, following)
        if now.hardened is None:
            return VerifyCheck("updated", title, Result.UNKNOWN, now.evidence, "take a new dump")
        if not now.hardened:
            following = "verify after the update; before it, run 'rbacguard plan'"
            return VerifyCheck("updated", title, Result.FAILED, now.evidence, following)
        return VerifyCheck("updated", title, Result.PASSED, now.evidence)

    def migrate_role(self) -> VerifyCheck:
        role = self._snapshot.cluster_roles.get(MIGRATE)
        failures = []
        if role is None:
            if not self._snapshot.coverage.gaps(["ClusterRole"]):
                failures.append(f"ClusterRole {MIGRATE} does not exist")
        elif (
            not covers(role.rules, migrate_rules())[0] or not covers(migrate_rules(), role.rules)[0]
        ):
            failures.append(f"ClusterRole {MIGRATE} does not hold the rules that KubeVirt writes")
        return self._check(
            "migrate-role",
            f"ClusterRole {MIGRATE} is KubeVirt's own",
            failures,
            following="look at the KubeVirt operator: it writes this role on every reconcile",
            needs=["ClusterRole"],
        )

    def temporary_role_gone(self) -> VerifyCheck:
        found = temporary_roles(self._snapshot)
        return self._check(
            "temporary-role-gone",
            "no temporary role is left",
            [
                f"ClusterRole {role.name} is still there"
                + (
                    f", aggregated into {', '.join(role.aggregated_to)}"
                    if role.aggregated_to
                    else ""
                )
                for role in found
            ],
            following="remove it from Git, or: oc delete clusterrole "
            + " ".join(role.name for role in found),
            needs=["ClusterRole"],
        )

    def default_roles(self) -> VerifyCheck:
        failures = []
        names = {n for n in AGGREGATED_DEFAULTS if n in self._snapshot.cluster_roles}
        for name in AGGREGATED_DEFAULTS:
            names.update(reaches(self._snapshot, name))
        for which, view in zip(("recorded", "computed"), self._views, strict=True):
            for name in sorted(names):
                role = view.cluster_roles[name]
                actions = actions_of(view.rules[role.key])
                if actions and role.aggregation_rule is not None:
                    failures.append(
                        f"ClusterRole {name} ({which} rules): "
                        + ", ".join(a.short for a in actions)
                    )
        return self._check(
            "default-roles",
            "admin, edit, view and what is made of them do not grant migration",
            failures,
            following="if the temporary role is gone, wait for the aggregation controller; "
            "otherwise find what feeds it with 'rbacguard audit'",
            needs=["ClusterRole"],
        )

    def default_not_restored(self) -> VerifyCheck:
        return self._check(
            "old-default",
            f"{MIGRATE} is aggregated into no default role",
            [f"{MIGRATE} is aggregated into {name}" for name in restored_default(self._snapshot)],
            following=f"oc label clusterrole {MIGRATE} "
            "rbac.authorization.k8s.io/aggregate-to-admin- "
            "rbac.authorization.k8s.io/aggregate-to-edit-",
            needs=["ClusterRole"],
        )

    def approved_bound(self) -> VerifyCheck:
        bound = self._bound
        exists = MIGRATE in self._snapshot.cluster_roles
        own = explicit_access(self._views[1])
        title = "everybody who is approved is bound, and the binding is effective"
        failures = [
            f"{need.subject} is approved in {need.namespace or 'the whole cluster'} "
            + ("but not bound" if exists else f"but {MIGRATE} does not exist")
            for need in sorted(self._approved)
            if not (exists and (need in bound or Need("", need.subject) in bound))
            and not covers_actions(own.get(need.subject, ()), self._actions, need.namespace)
        ]
        if not failures:
            return VerifyCheck("approved-bound", title, Result.PASSED)
        # A binding that was not read may be the one that is missing.
        gaps = self._snapshot.coverage.gaps(["ClusterRole", "ClusterRoleBinding", "RoleBinding"])
        following = "apply the bindings that 'rbacguard generate --approvals FILE' writes"
        if gaps:
            following = "take a complete dump"
        result = Result.UNKNOWN if gaps else Result.FAILED
        return VerifyCheck("approved-bound", title, result, (*failures, *gaps), following)

    def _is_decided(self, need: Need) -> bool:
        """Whether somebody is approved or accepted in a scope, or in the whole cluster."""
        return any(each in self._decided for each in (need, Need("", need.subject)))

    def only_approved(self) -> VerifyCheck:
        """Question every holder who is neither approved nor accepted nor held it of old."""
        expired = set(self._access.expired(self._today))
        of_old = self._held_of_old()
        failures: list[str] = []
        evidence: dict[Grant, None] = {}
        for view in self._views:
            for each in list_access(view, self._actions):
                need = Need(each.namespace, each.subject)
                if is_platform(each.subject) or self._is_decided(need):
                    continue
                for action, grants in each.grants_by_action:
                    new = [
                        grant
                        for grant in grants
                        if (each.subject, action, each.namespace, grant.binding) not in of_old
                    ]
                    if new:
                        self._question(need, new, failures, evidence, expired)
        self.unaccepted = sorted(set(self.unaccepted))
        return self._check(
            "only-approved",
            "nobody holds migration who is not approved, accepted, or held it of old",
            failures,
            following="revoke it ('rbacguard explain SUBJECT' shows how it is granted), "
            "or take it up in the approvals file",
            needs=["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
            grants=evidence,
        )

    def _question(
        self,
        need: Need,
        grants: Sequence[Grant],
        failures: list[str],
        evidence: dict[Grant, None],
        expired: set[Need],
    ) -> None:
        self.unaccepted.append(need)
        first = grants[0]
        note = " (its approval has expired)" if need in expired else ""
        failures.append(
            f"{need.subject} in {need.namespace or 'the whole cluster'}{note}: "
            f"{first.binding} to {first.role}"
        )
        evidence |= dict.fromkeys(grants)

    def _held_of_old(self) -> frozenset[tuple[Subject, Action, str, ObjectKey]]:
        """Return what was held before, and by which bindings, owing nothing to the old default.

        A grant counts as old only if the same binding gave the same before: who made himself
        another one in the meantime is questioned.
        """
        if self._before is None:
            return frozenset()
        return frozenset(
            (subject, action, each.namespace, grant.binding)
            for subject, access in explicit_access(self._before).items()
            for each in access
            for action, grants in each.grants_by_action
            for grant in grants
        )

    def nothing_handed_on(self) -> VerifyCheck:
        """Find bindings and Roles of the window in which tenants could hand migration on."""
        bound = self._bound
        known = set() if self._before is None else {b.ref for b in self._before.bindings}
        failures = [
            f"{bound[need].ref} binds {need.subject} to {MIGRATE}, made "
            f"{bound[need].metadata.creation_timestamp or 'at an unknown time'}"
            for need in sorted(bound)
            # Accepted in the whole cluster is a grant of his own, and no binding to this role here.
            if need not in self._decided and Need("", need.subject) not in self._approved
        ]
        binders: defaultdict[ObjectKey, list[AnyBinding]] = defaultdict(list)
        for binding in self._snapshot.bindings:
            if binding.role_ref.kind == "Role":
                binders[binding.role_ref.key(binding.scope)].append(binding)
        for role in self._snapshot.roles.values():
            if not actions_of(role.rules):
                continue
            before = None if self._before is None else self._before.role(role.key)
            # What it grants counts, not who labelled or annotated it meanwhile.
            old = before is not None and before.rules == role.rules
            for binding in binders[role.key]:
                holders = [
                    subject
                    for subject in binding.subjects
                    if not self._is_decided(Need(role.key.namespace, subject))
                ]
                if holders and not (old and binding.ref in known):
                    failures.append(
                        f"{binding.ref} to {role.key}, made "
                        f"{role.metadata.creation_timestamp or 'at an unknown time'}: "
                        + ", ".join(map(str, holders))
                    )
        return self._check(
            "handed-on",
            "no binding or Role of the temporary window hands migration on",
            failures,
            following="ask the namespace's owner, then delete the binding, or take it up in the "
            "approvals file",
            needs=["Role", "RoleBinding", "ClusterRoleBinding"],
        )

    def nothing_dangling(self) -> VerifyCheck:
        names = (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT)
        return self._check(
            "dangling",
            "no binding waits for the temporary role",
            [
                f"{binding.ref} points at {binding.role_ref.name}: whoever makes a role of that "
                "name arms it"
                for binding in self._snapshot.bindings
                if binding.role_ref.name in names
            ],
            following="delete the binding",
            needs=["ClusterRoleBinding", "RoleBinding"],
        )
