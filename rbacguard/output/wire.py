"""The report model: what every format shows, and what JSON consumers rely on.

Each report names its own version; a field is added without a new one, never changed or removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ChangeName = Literal["kept", "lost", "gained"]


def _is_none(value: object) -> bool:
    return value is None


class Wire(BaseModel):
    """Base of all report models."""

    # Only the models of the report that is made are ever built.
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)


class SubjectModel(Wire):
    """A subject; `namespace` only on service accounts."""

    kind: str
    name: str
    namespace: str | None = Field(default=None, exclude_if=_is_none)


class ObjectModel(Wire):
    """An object's identity; `namespace` only where it has one."""

    kind: str
    name: str
    namespace: str | None = Field(default=None, exclude_if=_is_none)


class RuleModel(Wire):
    """A rule as it stands in the role; empty lists are left out."""

    verbs: list[str]
    api_groups: list[str] | None = Field(default=None, alias="apiGroups", exclude_if=_is_none)
    resources: list[str] | None = Field(default=None, exclude_if=_is_none)
    resource_names: list[str] | None = Field(
        default=None, alias="resourceNames", exclude_if=_is_none
    )
    non_resource_urls: list[str] | None = Field(
        default=None, alias="nonResourceURLs", exclude_if=_is_none
    )


class GrantModel(Wire):
    """Why somebody may do something: binding, bound role, roles down to the source, rule."""

    subject: SubjectModel
    namespace: str | None
    binding: ObjectModel
    roles: list[ObjectModel]
    rule: RuleModel


class KindModel(Wire):
    """How much of a kind was read."""

    kind: str
    state: Literal["read", "partial", "absent"]
    count: int
    reasons: list[str]


class OriginModel(Wire):
    """Which cluster was read, when, as whom, and at which resource version of each kind."""

    context: str
    server: str
    user: str
    cluster_id: str = Field(alias="clusterId")
    server_version: str = Field(alias="serverVersion")
    started: str
    finished: str
    resource_versions: dict[str, str] = Field(alias="resourceVersions")
    passes: int
    warnings: list[str]
    notes: list[str]
    redacted: bool


class InputModel(Wire):
    """What was given: a file, or a folder or archive as one; the digest is of what was read."""

    path: str
    files: int
    sha256: str


class CoverageModel(Wire):
    """What was read. `complete` is about RBAC's four kinds; `origin` null is: not told."""

    complete: bool
    gaps: list[str]
    kinds: list[KindModel]
    skipped: dict[str, int]
    origin: OriginModel | None = None
    inputs: list[InputModel] = []


class InstalledModel(Wire):
    """What is installed; `null` where the input does not tell."""

    label: str
    openshift_virtualization: str | None = Field(alias="openshiftVirtualization")
    kubevirt: str | None
    hardened: bool | None
    updating: bool | None
    evidence: list[str]


class StatusReport(Wire):
    """`rbacguard status`."""

    schema_version: Literal["rbacguard.io/status/v1"] = Field(
        default="rbacguard.io/status/v1", alias="schemaVersion"
    )
    step: str
    title: str
    next: str
    commands: list[str] = []
    installed: InstalledModel
    temporary_roles: list[str] = Field(alias="temporaryRoles")
    bound: int
    restored: list[str]
    coverage: CoverageModel


class ActionModel(Wire):
    """One action of a permission."""

    verb: str
    resource: str
    api_group: str = Field(alias="apiGroup")
    subresource: str
    tier: str


class HolderModel(Wire):
    """Who holds what of a permission, where: `namespaces` null is the whole cluster."""

    subject: SubjectModel
    namespaces: list[str] | None
    actions: list[ActionModel]
    known: str | None
    grants: list[GrantModel]


class LocationModel(Wire):
    """Where an object stands in the input; 0 is unknown."""

    file: str
    document: int
    line: int


class Suppressed(Wire):
    """Why a finding does not count: somebody answers for it until a day, or it was there before."""

    by: Literal["exemption", "baseline"]
    owner: str
    reason: str
    expires: str


class FindingModel(Wire):
    """One finding; one that is suppressed is known and does not count."""

    policy: str
    severity: str
    message: str
    group: str
    namespace: str | None
    fingerprint: str
    locations: list[LocationModel]
    commands: list[str]
    grants: list[GrantModel]
    suppressed: Suppressed | None = None


class PolicyModel(Wire):
    """A policy."""

    id: str
    title: str
    severity: str
    stage: str
    rationale: str
    remediation: str
    commands: list[str]
    check: str
    where: str


class PolicyResultModel(Wire):
    """What a policy came to."""

    policy: PolicyModel
    outcome: Literal["findings", "clean", "not-asked", "undetermined"]
    reason: str
    findings: int


class CrossCheckModel(Wire):
    """What the API server said itself; `by` is the kind of review, '' where none was allowed."""

    by: str
    asked: int
    disagreed: int
    note: str


class ExtentModel(Wire):
    """How many subjects, in how many places: namespaces, and the whole cluster as one."""

    subjects: int
    places: int


class UpdateModel(Wire):
    """What the update that is simulated does if nothing is done."""

    target: str
    target_kubevirt: str = Field(alias="targetKubeVirt")
    lost: ExtentModel
    kept: ExtentModel
    gained: ExtentModel


class AuditReport(Wire):
    """`rbacguard audit`; `update` is null where none is ahead, `readiness` where not asked for."""

    schema_version: Literal["rbacguard.io/audit/v1"] = Field(
        default="rbacguard.io/audit/v1", alias="schemaVersion"
    )
    status: StatusReport
    update: UpdateModel | None = None
    holders: list[HolderModel]
    findings: list[FindingModel]
    policies: list[PolicyResultModel]
    coverage: CoverageModel
    cross_check: CrossCheckModel | None = Field(default=None, alias="crossCheck")
    exemptions: list[str] = []
    readiness: ReadinessReport | None = None


class ChainModel(Wire):
    """How a role comes by a rule: the bound role, roles down to the source, rule.

    `allows` tells what of it was asked, by place in `asked`.
    """

    roles: list[ObjectModel]
    rule: RuleModel
    allows: list[int]


class BoundModel(Wire):
    """A binding, and how the role that it gives comes by its rules, by place in `chains`."""

    kind: str
    name: str
    namespace: str | None = None
    chains: list[int]


class PlaceModel(Wire):
    """A namespace, or null for the whole cluster, and the bindings that count there."""

    namespace: str | None
    bindings: list[BoundModel]


class ChangeModel(Wire):
    """What happens alike to some permissions of one subject in some places.

    `actions` are places in `asked`: all of them reading, or none. The whole cluster as a place
    stands for every namespace that the same subject and permission have no place of their own for.
    What is lost rests on bindings and chains of before, all else on those of after.
    """

    subject: SubjectModel
    change: ChangeName
    reading: bool
    actions: list[int]
    places: list[PlaceModel]


class ReachModel(Wire):
    """A subject and where; `null` among the namespaces is the whole cluster."""

    subject: SubjectModel
    namespaces: list[str | None]


class StrategyModel(Wire):
    """What one way of dealing with the update leads to."""

    strategy: str
    title: str
    recommended: bool
    reached: list[ReachModel]
    missed: list[ReachModel]
    more: list[ReachModel]
    can_hand_on: list[ReachModel] = Field(alias="canHandOn")
    gap: str
    undo: str
    caution: str


class PlanReport(Wire):
    """`rbacguard plan`."""

    schema_version: Literal["rbacguard.io/plan/v1"] = Field(
        default="rbacguard.io/plan/v1", alias="schemaVersion"
    )
    installed: InstalledModel
    target: str
    target_kubevirt: str = Field(alias="targetKubeVirt")
    warnings: list[str]
    asked: list[ActionModel]
    chains: list[ChainModel]
    changes: list[ChangeModel]
    related: list[ChangeModel]
    strategies: list[StrategyModel]
    actions: list[ReachModel]
    platform: list[ReachModel]
    coverage: CoverageModel
    gaps: list[str]


class CheckModel(Wire):
    """One thing that was verified."""

    id: str
    title: str
    result: Literal["passed", "failed", "unknown"]
    details: list[str]
    next: str
    grants: list[GrantModel]


class VerifyReport(Wire):
    """`rbacguard verify`; `clean` null is: the input does not suffice to tell."""

    schema_version: Literal["rbacguard.io/verify/v1"] = Field(
        default="rbacguard.io/verify/v1", alias="schemaVersion"
    )
    clean: bool | None
    checks: list[CheckModel]
    unaccepted: list[ReachModel]
    next: list[str]
    warnings: list[str]
    coverage: CoverageModel


class RequestModel(Wire):
    """What was asked of the authorizer; `namespace` null is the whole cluster, '*' everywhere."""

    verb: str
    resource: str
    api_group: str = Field(alias="apiGroup")
    subresource: str
    name: str
    namespace: str | None
    path: str


class WhoCanReport(Wire):
    """`rbacguard who-can`."""

    schema_version: Literal["rbacguard.io/who-can/v1"] = Field(
        default="rbacguard.io/who-can/v1", alias="schemaVersion"
    )
    request: RequestModel
    subjects: list[SubjectModel]
    grants: list[GrantModel]
    complete: bool
    gaps: list[str]
    origin: OriginModel | None = None


class CanIReport(Wire):
    """`rbacguard can-i`; `allowed` null is: the input does not suffice to tell."""

    schema_version: Literal["rbacguard.io/can-i/v1"] = Field(
        default="rbacguard.io/can-i/v1", alias="schemaVersion"
    )
    request: RequestModel
    user: str
    groups: list[str]
    allowed: bool | None
    reason: str
    grants: list[GrantModel]
    gaps: list[str]
    origin: OriginModel | None = None


class ExplainReport(Wire):
    """`rbacguard explain`."""

    schema_version: Literal["rbacguard.io/explain/v1"] = Field(
        default="rbacguard.io/explain/v1", alias="schemaVersion"
    )
    subject: str
    identities: list[SubjectModel]
    members: list[str] | None
    holds: list[HolderModel]
    complete: bool
    gaps: list[str]
    origin: OriginModel | None = None


class DiffReport(Wire):
    """`rbacguard diff`: only what is lost or gained."""

    schema_version: Literal["rbacguard.io/diff/v1"] = Field(
        default="rbacguard.io/diff/v1", alias="schemaVersion"
    )
    before: InstalledModel
    after: InstalledModel
    asked: list[ActionModel]
    chains: list[ChainModel]
    changes: list[ChangeModel]
    gaps: list[str]
    origins: list[OriginModel] = []


def actions_of(report: PlanReport | DiffReport, change: ChangeModel) -> list[ActionModel]:
    """Return what a change is about."""
    return [report.asked[number] for number in change.actions]


def grants_of(
    report: PlanReport | DiffReport,
    change: ChangeModel,
    place: PlaceModel,
    action: int | None = None,
) -> Iterator[GrantModel]:
    """Yield what a change, or one action of it, rests on in one of its places."""
    wanted = set(change.actions) if action is None else {action}
    for bound in place.bindings:
        for chain in (report.chains[number] for number in bound.chains):
            if not wanted.isdisjoint(chain.allows):
                yield GrantModel(
                    subject=change.subject,
                    namespace=bound.namespace,
                    binding=ObjectModel(
                        kind=bound.kind, name=bound.name, namespace=bound.namespace
                    ),
                    roles=chain.roles,
                    rule=chain.rule,
                )


class RulesReport(Wire):
    """`rbacguard rules`."""

    schema_version: Literal["rbacguard.io/rules/v1"] = Field(
        default="rbacguard.io/rules/v1", alias="schemaVersion"
    )
    policies: list[PolicyModel]


class ObstacleModel(Wire):
    """Why an object would be refused to the applier; `rule` is what to grant, where one helps."""

    object: ObjectModel
    message: str
    rule: RuleModel | None
    namespace: str | None


class ApplierModel(Wire):
    """Who is to apply what was generated, and what hinders him."""

    user: str
    groups: list[str]
    obstacles: list[ObstacleModel]


class GenerateReport(Wire):
    """`rbacguard generate`."""

    schema_version: Literal["rbacguard.io/generate/v1"] = Field(
        default="rbacguard.io/generate/v1", alias="schemaVersion"
    )
    out: str
    changed: bool
    files: list[str]
    approved: bool
    reached: list[ReachModel]
    warnings: list[str]
    gaps: list[str]
    differences: list[str] | None = None
    applier: ApplierModel | None = None
    origin: OriginModel | None = None


class RemarkModel(Wire):
    """One thing that is odd about an entry of the approvals file."""

    id: str
    weight: Literal["error", "warning", "info"]
    place: str
    subject: SubjectModel
    message: str


class ApprovalsReport(Wire):
    """`rbacguard approvals check`."""

    schema_version: Literal["rbacguard.io/approvals/v1"] = Field(
        default="rbacguard.io/approvals/v1", alias="schemaVersion"
    )
    file: str
    approved: list[ReachModel]
    undecided: int
    remarks: list[RemarkModel]
    gaps: list[str]
    origin: OriginModel | None = None


class LintFindingModel(Wire):
    """One thing that is wrong in a file; `object` is null where the file cannot be read."""

    rule: str
    severity: Literal["info", "low", "medium", "high", "critical"]
    message: str
    object: ObjectModel | None
    file: str
    document: int
    line: int
    column: int
    fixable: bool
    fingerprint: str
    suppressed: Suppressed | None = None


class PassedModel(Wire):
    """A file that was passed over."""

    file: str
    reason: str


class LintReport(Wire):
    """`rbacguard lint`; `fixed` counts what --fix mended, which is no finding any more."""

    schema_version: Literal["rbacguard.io/lint/v1"] = Field(
        default="rbacguard.io/lint/v1", alias="schemaVersion"
    )
    kubernetes: str
    files: int
    objects: int
    findings: list[LintFindingModel]
    fixed: int
    passed_over: list[PassedModel] = Field(alias="passedOver")
    others: int
    not_asked: list[str] = Field(alias="notAsked")
    rules: list[PolicyModel] = []
    exemptions: list[str] = []


class CompareReport(Wire):
    """`rbacguard compare`: two audits; `same` counts the findings that stand in both."""

    schema_version: Literal["rbacguard.io/compare/v1"] = Field(
        default="rbacguard.io/compare/v1", alias="schemaVersion"
    )
    before: InstalledModel
    after: InstalledModel
    new: list[FindingModel]
    gone: list[FindingModel]
    same: int
    holders_new: list[SubjectModel] = Field(alias="holdersNew")
    holders_gone: list[SubjectModel] = Field(alias="holdersGone")
    gaps: list[str]


class FleetFindingModel(Wire):
    """What was found: a finding of a policy, or a check of `verify` that failed."""

    rule: str
    severity: str
    message: str


class FleetClusterModel(Wire):
    """One cluster of a fleet: a line of the results file.

    `input` is the digest of what was read, '' of a live cluster; `asked` of what was asked, and by
    which version. `result` is the worst that holds: `failed` is not read at all, for `reason`.
    """

    schema_version: Literal["rbacguard.io/fleet-cluster/v1"] = Field(
        default="rbacguard.io/fleet-cluster/v1", alias="schemaVersion"
    )
    cluster: str
    source: str
    input: str
    asked: str
    result: Literal["clean", "findings", "unknown", "failed"]
    reason: str = ""
    step: str = ""
    installed: str = ""
    lost: list[ReachModel] = []
    findings: list[FleetFindingModel] = []
    gaps: list[str] = []


class FleetStepModel(Wire):
    """Clusters at one step of the journey, '' where it could not be told."""

    step: str
    clusters: list[str]


class FleetLossModel(Wire):
    """Somebody who loses migration in the same places of each of these clusters."""

    subject: SubjectModel
    namespaces: list[str | None]
    clusters: list[str]


class FleetFoundModel(FleetFindingModel):
    """The same finding in each of these clusters."""

    clusters: list[str]


class FleetProblemModel(Wire):
    """A cluster that was not read, or not whole, and why."""

    cluster: str
    reasons: list[str]


class FleetReport(Wire):
    """`rbacguard fleet audit|plan|verify`: every cluster stands under one result and one step."""

    schema_version: Literal["rbacguard.io/fleet/v1"] = Field(
        default="rbacguard.io/fleet/v1", alias="schemaVersion"
    )
    command: Literal["audit", "plan", "verify"]
    clusters: int
    as_before: int = Field(alias="asBefore")
    results: dict[str, int]
    steps: list[FleetStepModel]
    lost: list[FleetLossModel]
    findings: list[FleetFoundModel]
    unknown: list[FleetProblemModel]
    failed: list[FleetProblemModel]


DrainName = Literal["migrates", "restarts", "stops", "waits", "blocks", "unknown"]


class ReasonModel(Wire):
    """Why a machine does what it does, and what to do about it; `advice` may be empty."""

    reason: str
    message: str
    advice: str


class TargetModel(Wire):
    """Where a machine that migrates goes: `target`, or `refusals` by reason, or what is unknown."""

    target: str | None
    refusals: dict[str, int]
    unknown: str | None


class MachineModel(Wire):
    """A VirtualMachineInstance and what a drain of its node does to it.

    `seconds` is how long its migration takes at least, null where that is not known.
    """

    namespace: str
    name: str
    node: str | None
    drain: DrainName
    eviction_strategy: str | None = Field(alias="evictionStrategy")
    set_by: str = Field(alias="setBy")
    policy: str | None
    remarks: list[ReasonModel]
    place: TargetModel | None
    bytes_to_copy: int | None = Field(alias="bytesToCopy")
    seconds: int | None
    timeout_seconds: int | None = Field(alias="timeoutSeconds")


class NodeModel(Wire):
    """A node with machines: what its drain comes to; `completes` null is not known.

    `seconds` is how long its migrations take at least, null where that is not known.
    """

    name: str
    pool: str | None
    machines: dict[DrainName, int]
    homeless: int
    completes: bool | None
    seconds: int | None


class ClaimModel(Wire):
    """A PersistentVolumeClaim of running machines; `classShares` null is not known."""

    namespace: str
    name: str
    access_modes: list[str] = Field(alias="accessModes")
    shared: bool
    storage_class: str | None = Field(alias="storageClass")
    class_shares: bool | None = Field(alias="classShares")
    used_by: list[str] = Field(alias="usedBy")


class RolloutModel(Wire):
    """All nodes drained one after the other, as the pools do it; `completes` null is not known.

    `order` holds the nodes that are drained at once together; `drained` counts these; `down` tells
    of machines that are stopped and find no place to start again.
    """

    order: list[list[str]]
    drained: int
    completes: bool | None
    waits_at: list[str] = Field(alias="waitsAt")
    waits_for: list[str] = Field(alias="waitsFor")
    down: list[str]
    unknown: list[str]


class SpareMemoryModel(Wire):
    """Nodes that drain in parallel times the highest total of a node, against what is free.

    In bytes; null where an amount is not known. Where some pods were not read, `estimated`: what is
    needed is the least, by KubeVirt's formula, and what is free the most.
    """

    parallel: int
    because: str
    highest: int | None
    highest_node: str | None = Field(alias="highestNode")
    needed: int | None
    free: int | None
    suffices: bool | None
    estimated: bool


class SettingModel(Wire):
    """A setting of live migration and what sets it."""

    value: bool | int | float | str | None
    set_by: str = Field(alias="setBy")


class ReadinessReport(Wire):
    """`rbacguard readiness`; `ready` null is not known."""

    schema_version: Literal["rbacguard.io/readiness/v1"] = Field(
        default="rbacguard.io/readiness/v1", alias="schemaVersion"
    )
    ready: bool | None
    nodes: list[NodeModel]
    rollout: RolloutModel
    machines: list[MachineModel]
    memory: SpareMemoryModel
    settings: dict[str, SettingModel]
    claims: list[ClaimModel]
    findings: list[FindingModel]
    policies: list[PolicyResultModel]
    coverage: CoverageModel
    exemptions: list[str] = []


class MigrationModel(Wire):
    """A VirtualMachineInstanceMigration; `askedBy` says for what it was made.

    `manager` is the program that made it, null where that is not known.
    """

    namespace: str
    name: str
    machine: str
    phase: str
    asked_by: Literal["drain", "workload-update", "somebody"] = Field(alias="askedBy")
    manager: str | None
    created: str | None
    age_seconds: int | None = Field(alias="ageSeconds")
    source: str | None
    target: str | None
    reason: str | None
    deleted: bool


class UseModel(Wire):
    """Somebody who used the permission, by the API server's audit log."""

    namespace: str | None
    user: str
    groups: list[str]
    verb: str
    count: int
    last: str


class MigrationsReport(Wire):
    """`rbacguard migrations`; `uses` is null where no audit log was given."""

    schema_version: Literal["rbacguard.io/migrations/v1"] = Field(
        default="rbacguard.io/migrations/v1", alias="schemaVersion"
    )
    migrations: list[MigrationModel]
    uses: list[UseModel] | None
    unused: list[SubjectModel] | None
    findings: list[FindingModel]
    policies: list[PolicyResultModel]
    coverage: CoverageModel
    exemptions: list[str] = []


Report = (
    StatusReport
    | AuditReport
    | PlanReport
    | VerifyReport
    | WhoCanReport
    | CanIReport
    | ExplainReport
    | DiffReport
    | RulesReport
    | GenerateReport
    | ApprovalsReport
    | LintReport
    | CompareReport
    | FleetReport
    | ReadinessReport
    | MigrationsReport
)
ByPolicy = AuditReport | ReadinessReport | MigrationsReport
"""Reports that consist of what policies found, and more."""

REPORTS: dict[str, type[Wire]] = {
    "approvals": ApprovalsReport,
    "audit": AuditReport,
    "can-i": CanIReport,
    "compare": CompareReport,
    "diff": DiffReport,
    "explain": ExplainReport,
    "fleet": FleetReport,
    "generate": GenerateReport,
    "lint": LintReport,
    "migrations": MigrationsReport,
    "plan": PlanReport,
    "readiness": ReadinessReport,
    "rules": RulesReport,
    "status": StatusReport,
    "verify": VerifyReport,
    "who-can": WhoCanReport,
}
"""The report of each command, for `rbacguard schema`."""
