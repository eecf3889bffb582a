"""From what the engine found to the report model."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from rbacguard.approvals.resolve import Decisions
from rbacguard.errors import InputError
from rbacguard.kubevirt.access import ActionAccess, ActionChange, list_access, selected
from rbacguard.kubevirt.installed import Installed
from rbacguard.kubevirt.migrate_bindings import RequiredBinding
from rbacguard.kubevirt.permissions import Action, live_migration
from rbacguard.kubevirt.subjects import well_known_subject
from rbacguard.output import wire
from rbacguard.queries.can_i import AccessCheck
from rbacguard.queries.cross_check import mismatches
from rbacguard.queries.diff import AccessDiff
from rbacguard.queries.explain import Explanation
from rbacguard.queries.who_can import AllowedSubjects
from rbacguard.rbac import Attributes, Grant, ObjectKey, PolicyRule, Subject
from rbacguard.rbac.access import Change
from rbacguard.rbac.types import CLUSTER_WIDE
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import ClusterOrigin, Coverage
from rbacguard.update.plan import Plan
from rbacguard.update.status import Status
from rbacguard.update.verify import Result

if TYPE_CHECKING:
    # What most commands do not need, and takes long to load.
    from rbacguard.approvals.check import ApprovalIssue
    from rbacguard.approvals.model import MigrationAccess
    from rbacguard.lint import Linting, LintRule
    from rbacguard.manifests import Bundle
    from rbacguard.policy import Context, Finding, Policy, PolicyResult
    from rbacguard.update.verify import Verification


def subject(value: Subject) -> wire.SubjectModel:
    """Return a subject."""
    return wire.SubjectModel(kind=value.kind, name=value.name, namespace=value.namespace or None)


def _object(value: ObjectKey) -> wire.ObjectModel:
    return wire.ObjectModel(kind=value.kind, name=value.name, namespace=value.namespace or None)


def _rule(rule: PolicyRule) -> wire.RuleModel:
    return wire.RuleModel(
        verbs=list(rule.verbs),
        api_groups=list(rule.api_groups) or None,
        resources=list(rule.resources) or None,
        resource_names=list(rule.resource_names) or None,
        non_resource_urls=list(rule.non_resource_urls) or None,
    )


@lru_cache(maxsize=1_000)
def _way(
    path: tuple[ObjectKey, ...], rule: PolicyRule
) -> tuple[list[wire.ObjectModel], wire.RuleModel]:
    """Return roles down to the source, and the rule; many grants have them in common."""
    return [_object(role) for role in path], _rule(rule)


def grant(value: Grant) -> wire.GrantModel:
    """Return a grant."""
    roles, rule = _way(value.role_chain, value.rule)
    return wire.GrantModel(
        subject=subject(value.subject),
        namespace=value.namespace or None,
        binding=_object(value.binding),
        roles=roles,
        rule=rule,
    )


def _grants(values: Iterable[Grant]) -> list[wire.GrantModel]:
    """Return grants, each once."""
    return [grant(value) for value in dict.fromkeys(values)]


def origin(value: ClusterOrigin | None) -> wire.OriginModel | None:
    """Return where a reading came from, if that is known."""
    if value is None:
        return None
    return wire.OriginModel(
        context=value.context,
        server=value.server,
        user=value.user,
        cluster_id=value.cluster_id,
        server_version=value.server_version,
        started=value.started,
        finished=value.finished,
        resource_versions=dict(value.resource_versions),
        passes=value.passes,
        warnings=list(value.warnings),
        notes=list(value.notes),
        redacted=value.redacted,
    )


def coverage(snapshot: Snapshot) -> wire.CoverageModel:
    """Return what was read."""
    return coverage_of(snapshot.coverage, snapshot.coverage.missing())


def coverage_of(found: Coverage, gaps: Sequence[str]) -> wire.CoverageModel:
    """Return what was read, and what of it is missing."""
    return wire.CoverageModel(
        complete=not gaps,
        gaps=list(gaps),
        kinds=[
            wire.KindModel(
                kind=kind, state=each.state.value, count=each.count, reasons=list(each.reasons)
            )
            for kind, each in found.kinds.items()
        ],
        skipped=dict(found.skipped),
        origin=origin(found.origin),
        inputs=[
            wire.InputModel(path=each.path, files=each.files, sha256=each.sha256)
            for each in found.inputs
        ],
    )


def installed(value: Installed) -> wire.InstalledModel:
    """Return what is installed."""
    return wire.InstalledModel(
        label=value.label,
        openshift_virtualization=value.release.cnv_version if value.release else None,
        kubevirt=value.release.kubevirt_version if value.release else None,
        restricted=value.restricted,
        update_in_progress=value.update_in_progress,
        evidence=list(value.evidence),
    )


def status(
    value: Status, snapshot: Snapshot, inputs: Sequence[str] = ("-f", "cluster.json")
) -> wire.StatusReport:
    """Return the report of `status`."""
    read = "".join(f" {shlex.quote(each)}" for each in inputs)
    return wire.StatusReport(
        step=value.step.value,
        title=value.title,
        next=value.next,
        commands=[each.replace(" {input}", read) for each in value.commands],
        installed=installed(value.installed),
        temporary_roles=list(value.temporary_roles),
        bound=value.bound,
        restored=list(value.restored),
        coverage=coverage(snapshot),
    )


def _action(action: Action) -> wire.ActionModel:
    return wire.ActionModel(
        verb=action.verb,
        resource=action.resource,
        api_group=action.api_group,
        subresource=action.subresource,
        directness=action.directness.value,
    )


def _holders(found: Iterable[ActionAccess]) -> list[wire.HolderModel]:
    """Return holders, folded: one entry for each subject and set of actions."""
    folded: dict[tuple[Subject, tuple[Action, ...], bool], list[ActionAccess]] = {}
    for each in found:
        key = (each.subject, each.actions, each.namespace == CLUSTER_WIDE)
        folded.setdefault(key, []).append(each)
    return [
        wire.HolderModel(
            subject=subject(who),
            namespaces=None if everywhere else [each.namespace for each in alike],
            actions=[_action(action) for action in actions],
            known=holder.label if (holder := well_known_subject(who)) else None,
            grants=[grant(one) for each in alike for one in each.grants],
            allows=[allowed for each in alike for allowed in each.allows],
        )
        for (who, actions, everywhere), alike in folded.items()
    ]


def _finding(value: Finding) -> wire.FindingModel:
    return wire.FindingModel(
        policy=value.policy,
        severity=value.severity.value,
        message=value.message,
        group=value.group_key,
        namespace=value.scope or None,
        fingerprint=value.fingerprint,
        locations=[
            wire.LocationModel(file=each.name, document=each.document, line=each.line)
            for each in value.locations
        ],
        commands=list(value.commands),
        grants=[grant(each) for each in value.grants],
    )


def policy(value: Policy) -> wire.PolicyModel:
    """Return a policy."""
    return wire.PolicyModel(
        id=value.id,
        title=value.title,
        severity=value.severity.value,
        stage=value.stage.value,
        rationale=value.rationale,
        remediation=value.remediation,
        commands=[
            command.replace("{input}", "-f cluster.json").replace("{target}", "VERSION")
            for command in value.commands
        ],
        check=value.check.type,
        where=value.where,
    )


def by_policy(
    results: Iterable[PolicyResult],
) -> tuple[list[wire.FindingModel], list[wire.PolicyResultModel]]:
    """Return what policies found, and what became of each policy."""
    results = tuple(results)
    asked = [
        wire.PolicyResultModel(
            policy=policy(result.policy),
            outcome=result.outcome.value,
            reason=result.reason,
            findings=len(result.findings),
        )
        for result in results
    ]
    return [_finding(f) for result in results for f in result.findings], asked


def audit(context: Context, where: Status, results: Iterable[PolicyResult]) -> wire.AuditReport:
    """Return the report of `audit`."""
    results = tuple(results)
    snapshot = context.snapshot
    found, asked = by_policy(results)
    return wire.AuditReport(
        status=status(where, snapshot, context.inputs),
        update=_update(context.plan),
        holders=_holders(list_access(snapshot, live_migration().granting)),
        findings=found,
        policies=asked,
        coverage=coverage(snapshot),
        cross_check=_cross_check(context),
    )


def _update(value: Plan | None) -> wire.UpdateModel | None:
    if value is None:
        return None
    found: dict[Change, set[tuple[Subject, str]]] = {each: set() for each in Change}
    for each in value.changes:
        if not each.is_reading:
            found[each.change].update((each.subject, scope) for scope in each.namespaces)
    lost, kept, gained = (
        wire.ExtentModel(subjects=len({who for who, _ in rows}), places=len({at for _, at in rows}))
        for rows in (found[Change.LOST], found[Change.KEPT], found[Change.GAINED])
    )
    return wire.UpdateModel(
        target=value.target.cnv_version,
        target_kubevirt=value.target.kubevirt_version,
        lost=lost,
        kept=kept,
        gained=gained,
    )


def _cross_check(context: Context) -> wire.CrossCheckModel | None:
    found = context.reviews
    if found is None:
        return None
    return wire.CrossCheckModel(
        by=found.by,
        asked=len(found.answers),
        disagreed=len(mismatches(context.snapshot, found.answers)),
        note=found.note,
    )


class _Subjects(dict[Subject, wire.SubjectModel]):
    """The models of subjects, each made when it is first asked for."""

    def __missing__(self, who: Subject) -> wire.SubjectModel:
        made = self[who] = subject(who)
        return made


class _Models:
    """Makes the models of a plan or a diff. Equal parts of models are made once.

    A large cluster has few roles, and many subjects and bindings.
    """

    def __init__(self, asked: Sequence[Action]) -> None:
        self.asked = [_action(each) for each in asked]
        self.chains: list[wire.ChainModel] = []
        self._rule_grants: dict[tuple[int, ObjectKey], list[tuple[int, int]]] = {}
        # By state and changed requests, then by role.
        self._chains: dict[tuple[int, int], dict[tuple[str, str, str], list[int]]] = {}
        self._subjects = _Subjects()
        self._known_numbers: dict[int, tuple[int, ...]] = {}

    def changes(self, found: Iterable[ActionChange]) -> list[wire.ChangeModel]:
        """Return changes with the bindings and chains behind them."""
        return [self._change(each) for each in found]

    def _change(self, value: ActionChange) -> wire.ChangeModel:
        known = self._chains.setdefault((value.state, value.requests), {})
        bound: dict[str, list[wire.BoundModel]] = {CLUSTER_WIDE: []}
        for namespace in value.namespaces:
            bound[namespace] = []
        for binding in value.access.bindings_of(value.subject, value.state):
            namespace = binding.scope
            models = bound.get(namespace)
            if models is None:
                continue
            ref = binding.role_ref
            role = (ref.kind, namespace if ref.kind == "Role" else "", ref.name)
            chains = known.get(role)
            if chains is None:
                chains = known[role] = self._chains_of(value, ObjectKey(*role))
            if chains:
                name = binding.metadata.name
                models.append(wire.BoundModel(binding.kind, name, namespace or None, chains))
        everywhere = bound[CLUSTER_WIDE]
        return wire.ChangeModel(
            self._subjects[value.subject],
            value.change.value,
            value.is_reading,
            self._numbers(value.requests),
            [
                # ClusterRoleBindings count in a namespace too.
                wire.PlaceModel(
                    namespace or None,
                    everywhere + bound[namespace] if namespace and everywhere else bound[namespace],
                )
                for namespace in value.namespaces
            ],
        )

    def _chains_of(self, value: ActionChange, role: ObjectKey) -> list[int]:
        """Return the numbers of the chains by which a role allows any of the changed actions."""
        known = self._rule_grants.get((value.state, role))
        if known is None:
            known = self._rule_grants[value.state, role] = []
            for found in value.access.rule_grants(role, value.state):
                allows = self._numbers(found.requests)
                if allows:
                    known.append((len(self.chains), found.requests))
                    roles = [_object(each) for each in found.role_chain]
                    self.chains.append(
                        wire.ChainModel(roles=roles, rule=_rule(found.rule), allows=list(allows))
                    )
        return [number for number, requests in known if requests & value.requests]

    def _numbers(self, requests: int) -> tuple[int, ...]:
        if requests not in self._known_numbers:
            self._known_numbers[requests] = selected(range(len(self.asked)), requests)
        return self._known_numbers[requests]

    def reach(self, found: Mapping[Subject, tuple[str, ...]]) -> list[wire.ReachModel]:
        """Return subjects with their namespaces."""
        return [
            # Cluster-wide access comes first.
            wire.ReachModel(
                self._subjects[who], namespaces if namespaces[0] else (None, *namespaces[1:])
            )
            for who, namespaces in found.items()
        ]


def reach(found: Mapping[Subject, tuple[str, ...]]) -> list[wire.ReachModel]:
    """Return subjects and where."""
    return _Models(()).reach(found)


def _by_subject(found: Iterable[RequiredBinding]) -> Mapping[Subject, tuple[str, ...]]:
    by_subject: dict[Subject, list[str]] = {}
    for need in found:
        by_subject.setdefault(need.subject, []).append(need.namespace)
    return {who: tuple(scopes) for who, scopes in sorted(by_subject.items())}


def needs(found: Iterable[RequiredBinding]) -> list[wire.ReachModel]:
    """Return needs, one entry for each subject."""
    return reach(_by_subject(found))


def plan(value: Plan, snapshot: Snapshot) -> wire.PlanReport:
    """Return the report of `plan`."""
    models = _Models(value.asked)
    return wire.PlanReport(
        installed=installed(value.now),
        target=value.target.cnv_version,
        target_kubevirt=value.target.kubevirt_version,
        warnings=list(value.warnings),
        changes=models.changes(value.changes),
        related=models.changes(value.evacuation_changes),
        asked=models.asked,
        chains=models.chains,
        strategies=[
            wire.StrategyModel(
                strategy=outcome.strategy.value,
                title=outcome.title,
                recommended=outcome.recommended,
                reached=models.reach(outcome.effect.covered),
                missed=models.reach(outcome.effect.not_covered),
                more=models.reach(outcome.effect.extra_access),
                can_hand_on=models.reach(outcome.effect.delegation),
                gap=outcome.interruption,
                undo=outcome.rollback,
                caution=outcome.caution,
            )
            for outcome in value.outcomes
        ],
        actions=models.reach(value.required),
        platform=models.reach(value.platform),
        coverage=coverage(snapshot),
        gaps=list(value.gaps),
    )


def verify(value: Verification, warnings: Iterable[str]) -> wire.VerifyReport:
    """Return the report of `verify`."""
    return wire.VerifyReport(
        clean={Result.PASSED: True, Result.FAILED: False, Result.UNKNOWN: None}[value.result],
        checks=[
            wire.CheckModel(
                id=check.id,
                title=check.title,
                result=check.result.value,
                details=list(check.details),
                next=check.next,
                grants=_grants(check.grants),
            )
            for check in value.checks
        ],
        unaccepted=needs(value.unaccepted),
        next=list(value.next_steps),
        warnings=list(warnings),
        coverage=coverage(value.snapshot),
    )


def request(attributes: Attributes, *, everywhere: bool = False) -> wire.RequestModel:
    """Return what was asked."""
    return wire.RequestModel(
        verb=attributes.verb,
        resource=attributes.resource,
        api_group=attributes.api_group,
        subresource=attributes.subresource,
        name=attributes.name,
        namespace="*" if everywhere else attributes.namespace or None,
        path=attributes.path,
    )


def who_can(answer: AllowedSubjects, origin_of: ClusterOrigin | None) -> wire.WhoCanReport:
    """Return the report of `who-can`."""
    return wire.WhoCanReport(
        request=request(answer.request, everywhere=answer.all_namespaces),
        subjects=[subject(each) for each in answer.subjects],
        grants=_grants(answer.grants),
        complete=not answer.gaps,
        gaps=list(answer.gaps),
        origin=origin(origin_of),
        notes=list(answer.hints),
    )


def can_i(answer: AccessCheck, origin_of: ClusterOrigin | None) -> wire.CanIReport:
    """Return the report of `can-i`. With gaps, a request that is not allowed is unknown."""
    decision = answer.decision
    return wire.CanIReport(
        request=request(answer.request),
        user=answer.request.user,
        groups=list(answer.request.groups),
        allowed=True if decision.allowed else (None if answer.gaps else False),
        reason=decision.reason,
        grants=_grants(decision.grants),
        gaps=list(answer.gaps),
        origin=origin(origin_of),
        notes=list(answer.hints),
    )


def diff(value: AccessDiff) -> wire.DiffReport:
    """Return the report of `diff`."""
    models = _Models(value.actions)
    return wire.DiffReport(
        before=installed(value.before),
        after=installed(value.after),
        changes=models.changes(value.changes),
        asked=models.asked,
        chains=models.chains,
        gaps=list(value.gaps),
        origins=[found for each in value.origins if (found := origin(each))],
    )


def generate(
    out: str,
    value: Bundle,
    found: Plan,
    snapshot: Snapshot,
    *,
    changed: bool,
    more: Iterable[str],
    different: Iterable[str] | None = None,
) -> wire.GenerateReport:
    """Return the report of `generate`."""
    return wire.GenerateReport(
        out=out,
        changed=changed,
        files=list(value.files),
        approved=not value.unapproved,
        reached=reach(value.reached),
        warnings=[*found.warnings, *more],
        gaps=list(found.gaps),
        differences=None if different is None else list(different),
        applier=_applier(value),
        origin=origin(snapshot.coverage.origin),
    )


def generate_job(
    out: str, files: Iterable[str], *, changed: bool, different: Iterable[str] | None = None
) -> wire.GenerateReport:
    """Return the report of `generate` where it writes a job, and nobody is approved anything."""
    return wire.GenerateReport(
        out=out,
        changed=changed,
        files=list(files),
        approved=True,
        reached=[],
        warnings=[],
        gaps=[],
        differences=None if different is None else list(different),
    )


def _applier(value: Bundle) -> wire.ApplierModel | None:
    if value.applier is None:
        return None
    return wire.ApplierModel(
        user=value.applier.name,
        groups=list(value.applier.groups),
        obstacles=[
            wire.ObstacleModel(
                object=_object(each.object),
                message=each.message,
                rule=_rule(each.rule) if each.rule else None,
                namespace=each.namespace or None,
            )
            for each in value.denials
        ],
    )


def approvals(
    file: str,
    access: MigrationAccess,
    issues: Iterable[ApprovalIssue],
    snapshot: Snapshot,
    today: datetime.date,
) -> wire.ApprovalsReport:
    """Return the report of `approvals check`."""
    return wire.ApprovalsReport(
        file=file,
        approved=needs(Decisions(access.resolved(snapshot), today).required),
        undecided=sum(not entry.approved for entry in access.approvals),
        remarks=[
            wire.RemarkModel(
                id=each.id,
                weight=each.severity.value,
                place=each.entry,
                subject=subject(each.subject),
                message=each.message,
            )
            for each in issues
        ],
        gaps=list(snapshot.coverage.missing()),
        origin=origin(snapshot.coverage.origin),
    )


def explain(text: str, value: Explanation, origin_of: ClusterOrigin | None) -> wire.ExplainReport:
    """Return the report of `explain`."""
    return wire.ExplainReport(
        subject=text,
        identities=[subject(each) for each in value.identities],
        members=None if value.members is None else list(value.members),
        holds=_holders(value.access),
        complete=not value.gaps,
        gaps=list(value.gaps),
        origin=origin(origin_of),
        notes=[value.hint] if value.hint else [],
        revoke=[
            wire.RevokeModel(
                _object(each.binding),
                [subject(other) for other in each.other_subjects],
                each.advice,
                [each.command] if each.command else [],
            )
            for each in value.revocations
        ],
    )


def lint(value: Linting, *, fixed: int = 0) -> wire.LintReport:
    """Return the report of `lint`."""
    return wire.LintReport(
        kubernetes=value.kubernetes_version,
        files=value.files,
        objects=value.objects,
        findings=[
            wire.LintFindingModel(
                rule=each.rule.id,
                severity=each.rule.severity.value,
                message=each.message,
                object=_object(each.object) if each.object else None,
                file=each.file.name,
                document=each.document,
                line=each.line,
                column=each.column,
                fixable=bool(each.edits),
                fingerprint=each.fingerprint,
            )
            for each in value.findings
        ],
        fixed=fixed,
        passed_over=[wire.PassedModel(file=each.file, reason=each.reason) for each in value.passed],
        others=value.others,
        not_asked=list(value.not_asked),
        rules=[lint_rule(each) for each in value.rules],
    )


def lint_rule(value: LintRule) -> wire.PolicyModel:
    """Return a rule of `lint`, in the form of a policy."""
    return wire.PolicyModel(
        id=value.id,
        title=value.title,
        severity=value.severity.value,
        stage="in-git",
        rationale=value.rationale,
        remediation=value.remediation,
        commands=[],
        check="lint",
        where="",
    )


def rules(
    policies: Iterable[Policy], lint_rules: Iterable[LintRule], policy_id: str | None
) -> wire.RulesReport:
    """Return the report of `rules`.

    Raises:
        InputError: there is none of that id; the message names those that are close.
    """
    known = {each.id: policy(each) for each in policies}
    known |= {each.id: lint_rule(each) for each in lint_rules}
    if policy_id is not None and policy_id not in known:
        import difflib

        close = difflib.get_close_matches(policy_id, known, n=3)
        hint = f"; did you mean {' or '.join(close)}" if close else "; 'rbacguard rules' lists them"
        raise InputError(f"no policy or rule {policy_id!r}{hint}")
    chosen = list(known.values()) if policy_id is None else [known[policy_id]]
    return wire.RulesReport(policies=chosen)
