"""Whether access after the update matches the approvals, and nothing temporary remains."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from rbacguard.approvals.resolve import Decisions, Status
from rbacguard.kubevirt.access import (
    covers_actions,
    explicit_access,
    list_access,
)
from rbacguard.kubevirt.installed import installed
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, bound_to_migrate
from rbacguard.kubevirt.names import MIGRATE, UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.kubevirt.permissions import Action, live_migration
from rbacguard.kubevirt.releases import FIRST_RESTRICTED, migrate_rules
from rbacguard.kubevirt.subjects import is_cluster_admin_grant
from rbacguard.rbac import Grant, ObjectKey, Subject, covers
from rbacguard.rbac.types import CLUSTER_WIDE, AnyBinding
from rbacguard.shell import delete_step, object_reference
from rbacguard.snapshot import Snapshot
from rbacguard.update.simulate import apply_update
from rbacguard.update.temporary_role import (
    AGGREGATED_DEFAULTS,
    aggregated_into,
    granted_actions,
    migrate_aggregated_into,
    temporary_roles,
)

if TYPE_CHECKING:
    # Importing pydantic takes long.
    from rbacguard.approvals.model import MigrationAccess


_COMPLETE_DUMP = "Create a complete dump"


class Result(StrEnum):
    """The result of a check."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class VerifyCheck(Struct, frozen=True):
    """One check and its result.

    Attributes:
        id: a stable name.
        title: the statement that is checked.
        result: passed, failed, or unknown if the input is incomplete.
        details: what was found, one line each.
        next: what to do.
        grants: the evidence.
    """

    id: str
    title: str
    result: Result
    details: tuple[str, ...] = ()
    next: str = ""
    grants: tuple[Grant, ...] = ()


class Verification(Struct, frozen=True):
    """The results of all checks of a snapshot.

    Attributes:
        snapshot: the cluster after the update.
        checks: the checks, in the order in which to act on them.
        unaccepted: subjects with access that the approvals neither approve nor accept.
    """

    snapshot: Snapshot
    checks: tuple[VerifyCheck, ...]
    unaccepted: tuple[RequiredBinding, ...]

    @property
    def result(self) -> Result:
        """Failed if any check failed, passed if all checks passed, otherwise unknown."""
        results = {check.result for check in self.checks}
        for result in (Result.FAILED, Result.UNKNOWN):
            if result in results:
                return result
        return Result.PASSED

    @property
    def missing(self) -> str:
        """The checks that did not pass, on one line."""
        parts = [
            f"{result.value}: {'; '.join(titles)}"
            for result in (Result.FAILED, Result.UNKNOWN)
            if (titles := [check.title for check in self.checks if check.result is result])
        ]
        return ". ".join(parts) or Result.PASSED.value

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
        access: the approved and accepted subjects.
        before: the cluster before the temporary role was created. It shows which subjects had
            live migration access by roles of their own.
        today: the day on which approvals count.
    """
    verifier = _Verifier(snapshot, access.resolved(snapshot), before, today)
    checks = tuple(
        check()
        for check in (
            verifier.input_complete,
            verifier.updated,
            verifier.migrate_role,
            # Bindings come before deletions, so that users can follow the next steps in order.
            verifier.approved_bound,
            verifier.temporary_role_gone,
            verifier.default_roles,
            verifier.previous_default,
            verifier.only_approved,
            verifier.delegated_grants,
            verifier.dangling_bindings,
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
        self._before = before
        self._actions = live_migration().granting
        # Recorded and computed rules: the aggregation controller might not have finished.
        self._views = (
            snapshot.replace(aggregate="as-recorded"),
            snapshot.replace(aggregate="recompute"),
        )
        self._decisions = Decisions(access, today)
        self._bound = bound_to_migrate(snapshot)
        self.unaccepted: list[RequiredBinding] = []
        self._gaps = snapshot.coverage.missing()

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
        """Return failed if there are failures, and passed only if all needed kinds were read."""
        # The recorded and the computed rules usually give the same failures.
        details = tuple(dict.fromkeys(failures))
        evidence = tuple(grants)
        if details:
            return VerifyCheck(check_id, title, Result.FAILED, details, following, evidence)
        gaps = self._snapshot.coverage.missing(needs)
        if gaps:
            return VerifyCheck(check_id, title, Result.UNKNOWN, gaps, _COMPLETE_DUMP)
        return VerifyCheck(check_id, title, Result.PASSED)

    def input_complete(self) -> VerifyCheck:
        title = "Input contains all roles and bindings"
        gaps = list(self._gaps)
        if self._access.has_selectors:
            # The namespaces of a selector depend on the labels of all namespaces.
            gaps += self._snapshot.coverage.missing(["Namespace"])
        if self._before is not None:
            gaps += [f"before: {gap}" for gap in self._before.coverage.missing()]
            gaps += _problems_of_before(self._before, self._snapshot)
        following = _COMPLETE_DUMP
        if self._before is not None and temporary_roles(self._before):
            # Grants that were delegated by then would count as pre-existing.
            gaps.append("before: the temporary role already exists")
            following = (
                "Use a dump from before the temporary role, or omit --before and accept subjects "
                "in the approvals file"
            )
        if gaps:
            return VerifyCheck("input-complete", title, Result.UNKNOWN, tuple(gaps), following)
        return VerifyCheck("input-complete", title, Result.PASSED)

    def updated(self) -> VerifyCheck:
        now = installed(self._snapshot)
        title = "Update to 4.19 or later is complete"
        following = "Wait for the update to complete, then create a new dump"
        if now.update_in_progress:
            return VerifyCheck("updated", title, Result.FAILED, now.evidence, following)
        if now.restricted is None:
            return VerifyCheck("updated", title, Result.UNKNOWN, now.evidence, "Create a new dump")
        if not now.restricted:
            following = "Verify after the update; before the update, run 'rbacguard plan'"
            return VerifyCheck("updated", title, Result.FAILED, now.evidence, following)
        return VerifyCheck("updated", title, Result.PASSED, now.evidence)

    def migrate_role(self) -> VerifyCheck:
        role = self._snapshot.cluster_roles.get(MIGRATE)
        failures = []
        if role is None:
            if not self._snapshot.coverage.missing(["ClusterRole"]):
                failures.append(f"ClusterRole {MIGRATE} does not exist")
        elif (
            not covers(role.rules, migrate_rules())[0] or not covers(migrate_rules(), role.rules)[0]
        ):
            failures.append(f"ClusterRole {MIGRATE} does not have the rules that KubeVirt writes")
        return self._check(
            "migrate-role",
            f"ClusterRole {MIGRATE} has the rules of KubeVirt",
            failures,
            following="Check virt-operator: it writes this role at every reconciliation",
            needs=["ClusterRole"],
        )

    def temporary_role_gone(self) -> VerifyCheck:
        found = temporary_roles(self._snapshot)
        return self._check(
            "temporary-role-gone",
            "Temporary role is deleted",
            [
                f"ClusterRole {role.name} still exists"
                + (
                    f", aggregated into {', '.join(role.aggregated_into)}"
                    if role.aggregated_into
                    else ""
                )
                for role in found
            ],
            following=delete_step(
                "ClusterRole", [role.name for role in found], "Delete the role in Git"
            ),
            needs=["ClusterRole"],
        )

    def default_roles(self) -> VerifyCheck:
        failures = []
        names = {n for n in AGGREGATED_DEFAULTS if n in self._snapshot.cluster_roles}
        for name in AGGREGATED_DEFAULTS:
            names.update(aggregated_into(self._snapshot, name))
        for which, view in zip(("recorded", "computed"), self._views, strict=True):
            for name in sorted(names):
                role = view.cluster_roles[name]
                actions = granted_actions(view.rules[role.key])
                if actions and role.aggregation_rule is not None:
                    failures.append(
                        f"ClusterRole {name} ({which} rules): "
                        + ", ".join(a.short for a in actions)
                    )
        return self._check(
            "default-roles",
            "Default roles and roles aggregated from them do not grant live migration",
            failures,
            following="If the temporary role is deleted, wait for the aggregation controller. "
            "Otherwise, run 'rbacguard audit' to find the role that is aggregated",
            needs=["ClusterRole"],
        )

    def previous_default(self) -> VerifyCheck:
        return self._check(
            "previous-default",
            f"{MIGRATE} is not aggregated into a default role",
            [
                f"{MIGRATE} is aggregated into {name}"
                for name in migrate_aggregated_into(self._snapshot)
            ],
            following=f"Run: oc label {object_reference('ClusterRole', [MIGRATE])} "
            "rbac.authorization.k8s.io/aggregate-to-admin- "
            "rbac.authorization.k8s.io/aggregate-to-edit-",
            needs=["ClusterRole"],
        )

    def approved_bound(self) -> VerifyCheck:
        bound = self._bound
        exists = MIGRATE in self._snapshot.cluster_roles
        own = explicit_access(self._views[1])
        title = "All approved subjects are bound to an effective role"
        failures = [
            f"{need.subject} is approved {_in(need.namespace)} "
            + ("but not bound" if exists else f"but {MIGRATE} does not exist")
            for need in self._decisions.required
            if not (exists and (need in bound or RequiredBinding("", need.subject) in bound))
            and not covers_actions(own.get(need.subject, ()), self._actions, need.namespace)
        ]
        if not failures:
            return VerifyCheck("approved-bound", title, Result.PASSED)
        # A binding that was not read might be the missing one.
        gaps = self._snapshot.coverage.missing(["ClusterRole", "ClusterRoleBinding", "RoleBinding"])
        following = "Apply the bindings that 'rbacguard generate --approvals FILE' writes"
        if gaps:
            following = _COMPLETE_DUMP
        result = Result.UNKNOWN if gaps else Result.FAILED
        return VerifyCheck("approved-bound", title, result, (*failures, *gaps), following)

    def _is_approved(self, subject: Subject, namespace: str) -> bool:
        return self._decisions.decide(subject, namespace).status is Status.APPROVED

    def only_approved(self) -> VerifyCheck:
        """Fail for access that is neither approved, nor accepted, nor pre-existing."""
        pre_existing = self._pre_existing()
        failures: list[str] = []
        evidence: dict[Grant, None] = {}
        for view in self._views:
            for each in list_access(view, self._actions):
                decision = self._decisions.decide(each.subject, each.namespace)
                need = RequiredBinding(each.namespace, each.subject)
                refusal = " (refused)" if decision.status is Status.REFUSED else ""
                if each.namespace == CLUSTER_WIDE and not refusal:
                    # Cluster-wide access includes every namespace.
                    refused = self._decisions.refused_namespaces(each.subject)
                    refusal = f" (refused in {', '.join(refused)})" if refused else ""
                if refusal:
                    # A refusal counts for access of any age.
                    self._report(need, each.grants, failures, evidence, note=refusal)
                    continue
                if decision.status in (Status.APPROVED, Status.PLATFORM):
                    continue
                note = " (its approval has expired)" if decision.expired else ""
                for action, grants in each.grants_by_action:
                    new = [
                        grant
                        for grant in grants
                        if (each.subject, action, each.namespace, grant.binding) not in pre_existing
                    ]
                    if new:
                        self._report(need, new, failures, evidence, note=note)
        self.unaccepted = sorted(set(self.unaccepted))
        return self._check(
            "only-approved",
            "Only approved, accepted, or pre-existing subjects have live migration permission",
            failures,
            following=_next_step_for(evidence),
            needs=["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"],
            grants=evidence,
        )

    def _report(
        self,
        need: RequiredBinding,
        grants: Sequence[Grant],
        failures: list[str],
        evidence: dict[Grant, None],
        *,
        note: str,
    ) -> None:
        self.unaccepted.append(need)
        first = grants[0]
        failures.append(
            f"{need.subject} {_in(need.namespace)}{note}: {first.binding} to {first.role}"
        )
        evidence |= dict.fromkeys(grants)

    def _pre_existing(self) -> frozenset[tuple[Subject, Action, str, ObjectKey]]:
        """Return the access before the update that the update alone keeps, by roles of its own.

        A grant is pre-existing only if the same binding gave the same access before. A binding
        that was created since then is reported, and so is access that the update removes.
        """
        if self._before is None:
            return frozenset()
        release = installed(self._snapshot).release or FIRST_RESTRICTED
        target = max(release, FIRST_RESTRICTED)
        updated = apply_update(self._before, installed(self._before), target)
        return _explicit_grants(self._before) & _explicit_grants(updated)

    def delegated_grants(self) -> VerifyCheck:
        """Find bindings and Roles from the time when tenants could delegate live migration."""
        bound = self._bound
        known = set() if self._before is None else {b.ref for b in self._before.bindings}
        failures = [
            f"{bound[need].ref} binds {need.subject} to {MIGRATE}, created "
            f"{bound[need].metadata.creation_timestamp or 'at an unknown time'}"
            for need in sorted(bound)
            if not self._decisions.decide(need.subject, need.namespace).covers_binding
        ]
        binders: defaultdict[ObjectKey, list[AnyBinding]] = defaultdict(list)
        for binding in self._snapshot.bindings:
            if binding.role_ref.kind == "Role":
                binders[binding.role_ref.key(binding.scope)].append(binding)
        for role in self._snapshot.roles.values():
            if not granted_actions(role.rules):
                continue
            before = None if self._before is None else self._before.role(role.key)
            # The rules count. Labels and annotations can change.
            is_unchanged = before is not None and before.rules == role.rules
            for binding in binders[role.key]:
                holders = [
                    subject
                    for subject in binding.subjects
                    if not self._is_approved(subject, role.key.namespace)
                ]
                if holders and not (is_unchanged and binding.ref in known):
                    failures.append(
                        f"{binding.ref} to {role.key}, created "
                        f"{role.metadata.creation_timestamp or 'at an unknown time'}: "
                        + ", ".join(map(str, holders))
                    )
        return self._check(
            "delegated-grants",
            "No grants remain from the time the temporary role existed",
            failures,
            following="Ask the owner of the namespace. Then delete the binding, which removes all "
            "rights of its role, or add the subject to the approvals file",
            needs=["Role", "RoleBinding", "ClusterRoleBinding"],
        )

    def dangling_bindings(self) -> VerifyCheck:
        names = (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT)
        return self._check(
            "dangling-bindings",
            "No binding references the temporary role",
            [
                f"{binding.ref} references {binding.role_ref.name}: a role created with that name "
                "takes effect for its subjects"
                for binding in self._snapshot.bindings
                if binding.role_ref.name in names
            ],
            following="Delete the binding",
            needs=["ClusterRoleBinding", "RoleBinding"],
        )


def _explicit_grants(
    snapshot: Snapshot,
) -> frozenset[tuple[Subject, Action, str, ObjectKey]]:
    """Return live migration access by roles of the subject's own, with the binding of each."""
    return frozenset(
        (subject, action, each.namespace, grant.binding)
        for subject, access in explicit_access(snapshot).items()
        for each in access
        for action, grants in each.grants_by_action
        for grant in grants
    )


def _problems_of_before(before: Snapshot, after: Snapshot) -> list[str]:
    """Return why a snapshot cannot be the state of the same cluster before the update."""
    problems = []
    now = installed(before)
    if now.restricted:
        problems.append("before: its roles are those of 4.19 or later, from after the update")
    if now.update_in_progress:
        problems.append("before: an update is in progress")
    if before.cluster_id and after.cluster_id and before.cluster_id != after.cluster_id:
        problems.append("before: another cluster (the UID of namespace kube-system differs)")
    if before.latest_timestamp > after.latest_timestamp != "":
        problems.append(
            f"before: newer than the cluster state ({before.latest_timestamp}, "
            f"{after.latest_timestamp})"
        )
    return problems


def _next_step_for(grants: Iterable[Grant]) -> str:
    """Return what to do about access that is not approved. Administrators keep theirs."""
    is_administrator = [is_cluster_admin_grant(grant) for grant in grants]
    accept = "Accept the access of cluster administrators in the approvals file"
    if is_administrator and all(is_administrator):
        return accept
    revoke = (
        "Revoke the access ('rbacguard explain SUBJECT' shows how, and what else goes), or add "
        "the subject to the approvals file"
    )
    return f"{revoke}. {accept}" if any(is_administrator) else revoke


def _in(namespace: str) -> str:
    return f"in {namespace}" if namespace else "cluster-wide"
