"""The report model: what every format shows, and what JSON consumers rely on.

Each report names its own version; a field is added without a new one, never changed or removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from rbacguard.text import encodable

ChangeName = Literal["kept", "lost", "gained"]


class Wire(Struct, frozen=True, gc=False, forbid_unknown_fields=True, rename="camel"):
    """Base of all report models."""


class Versioned(Wire, frozen=True, tag_field="schemaVersion"):
    """Base of reports: each says first which one it is, and of which version."""

    @property
    def made_by(self) -> str:
        """The command that makes this report."""
        return str(self.__struct_config__.tag).split("/")[1]


def encode(value: Wire) -> bytes:
    """Return JSON, on one line; of names of files that are no UTF-8 the bytes are written out."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_encodable(msgspec.to_builtins(value)))


def _encodable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encodable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    return encodable(value) if isinstance(value, str) else value


class SubjectModel(Wire, frozen=True, omit_defaults=True):
    """A subject; `namespace` only on service accounts."""

    kind: str
    name: str
    namespace: str | None = None


class ObjectModel(Wire, frozen=True, omit_defaults=True):
    """An object's identity; `namespace` only where it has one."""

    kind: str
    name: str
    namespace: str | None = None


class RuleModel(Wire, frozen=True, omit_defaults=True):
    """A rule as it stands in the role; empty lists are left out."""

    verbs: list[str]
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None
    non_resource_urls: list[str] | None = field(default=None, name="nonResourceURLs")


class GrantModel(Wire, frozen=True):
    """Why somebody may do something: binding, bound role, roles down to the source, rule."""

    subject: SubjectModel
    namespace: str | None
    binding: ObjectModel
    roles: list[ObjectModel]
    rule: RuleModel


class KindModel(Wire, frozen=True):
    """How much of a kind was read."""

    kind: str
    state: Literal["read", "partial", "absent"]
    count: int
    reasons: list[str]


class OriginModel(Wire, frozen=True):
    """Which cluster was read, when, as whom, and at which resource version of each kind."""

    context: str
    server: str
    user: str
    cluster_id: str
    server_version: str
    started: str
    finished: str
    resource_versions: dict[str, str]
    passes: int
    warnings: list[str]
    notes: list[str]
    redacted: bool


class InputModel(Wire, frozen=True):
    """What was given: a file, or a folder or archive as one; the digest is of what was read."""

    path: str
    files: int
    sha256: str


class CoverageModel(Wire, frozen=True):
    """What was read. `complete` is about RBAC's four kinds; `origin` null is: not told."""

    complete: bool
    gaps: list[str]
    kinds: list[KindModel]
    skipped: dict[str, int]
    origin: OriginModel | None = None
    inputs: list[InputModel] = []


class InstalledModel(Wire, frozen=True):
    """What is installed; `null` where the input does not tell."""

    label: str
    openshift_virtualization: str | None
    kubevirt: str | None
    restricted: bool | None
    update_in_progress: bool | None
    evidence: list[str]


class StatusReport(Versioned, frozen=True, tag="rbacguard.io/status/v1"):
    """`rbacguard status`."""

    step: str
    title: str
    next: str
    commands: list[str]
    installed: InstalledModel
    temporary_roles: list[str]
    bound: int
    restored: list[str]
    coverage: CoverageModel


class ActionModel(Wire, frozen=True):
    """One action of a permission."""

    verb: str
    resource: str
    api_group: str
    subresource: str
    directness: str


class HolderModel(Wire, frozen=True):
    """Who holds what of a permission, where: `namespaces` null is the whole cluster.

    `allows` tells of each of the grants which of the actions it allows, by place in `actions`.
    """

    subject: SubjectModel
    namespaces: list[str] | None
    actions: list[ActionModel]
    known: str | None
    grants: list[GrantModel]
    allows: list[tuple[int, ...]] = []


class LocationModel(Wire, frozen=True):
    """Where an object stands in the input; 0 is unknown."""

    file: str
    document: int
    line: int


class Suppressed(Wire, frozen=True):
    """Why a finding does not count: somebody answers for it until a day, or it was there before."""

    by: Literal["exemption", "baseline"]
    owner: str
    reason: str
    expires: str


class FindingModel(Wire, frozen=True):
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


class PolicyModel(Wire, frozen=True):
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


class PolicyResultModel(Wire, frozen=True):
    """What a policy came to."""

    policy: PolicyModel
    outcome: Literal["failed", "passed", "skipped", "unknown"]
    reason: str
    findings: int


class CrossCheckModel(Wire, frozen=True):
    """What the API server said itself; `by` is the kind of review, '' where none was allowed."""

    by: str
    asked: int
    disagreed: int
    note: str


class ExtentModel(Wire, frozen=True):
    """How many subjects, in how many places: namespaces, and the whole cluster as one."""

    subjects: int
    places: int


class UpdateModel(Wire, frozen=True):
    """What the update that is simulated does if nothing is done."""

    target: str
    target_kubevirt: str = field(name="targetKubeVirt")
    lost: ExtentModel
    kept: ExtentModel
    gained: ExtentModel


class AuditReport(Versioned, frozen=True, tag="rbacguard.io/audit/v1", kw_only=True):
    """`rbacguard audit`; `update` is null where none is ahead, `readiness` where not asked for."""

    status: StatusReport
    update: UpdateModel | None = None
    holders: list[HolderModel]
    findings: list[FindingModel]
    policies: list[PolicyResultModel]
    coverage: CoverageModel
    cross_check: CrossCheckModel | None = None
    exemptions: list[str] = []
    readiness: ReadinessReport | None = None


class ChainModel(Wire, frozen=True):
    """How a role comes by a rule: the bound role, roles down to the source, rule.

    `allows` tells what of it was asked, by place in `asked`.
    """

    roles: list[ObjectModel]
    rule: RuleModel
    allows: list[int]


class BoundModel(Wire, frozen=True):
    """A binding, and how the role that it gives comes by its rules, by place in `chains`."""

    kind: str
    name: str
    namespace: str | None
    chains: list[int]


class PlaceModel(Wire, frozen=True):
    """A namespace, or null for the whole cluster, and the bindings that count there."""

    namespace: str | None
    bindings: list[BoundModel]


class ChangeModel(Wire, frozen=True):
    """What happens alike to some permissions of one subject in some places.

    `actions` are places in `asked`: all of them reading, or none. The whole cluster as a place
    stands for every namespace that the same subject and permission have no place of their own for.
    What is lost rests on bindings and chains of before, all else on those of after.
    """

    subject: SubjectModel
    change: ChangeName
    reading: bool
    actions: tuple[int, ...]
    places: list[PlaceModel]


class ReachModel(Wire, frozen=True):
    """A subject and where; `null` among the namespaces is the whole cluster."""

    subject: SubjectModel
    namespaces: tuple[str | None, ...]


class StrategyModel(Wire, frozen=True):
    """What one way of dealing with the update leads to."""

    strategy: str
    title: str
    recommended: bool
    reached: list[ReachModel]
    missed: list[ReachModel]
    more: list[ReachModel]
    can_hand_on: list[ReachModel]
    gap: str
    undo: str
    caution: str


class PlanReport(Versioned, frozen=True, tag="rbacguard.io/plan/v1"):
    """`rbacguard plan`."""

    installed: InstalledModel
    target: str
    target_kubevirt: str = field(name="targetKubeVirt")
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


class CheckModel(Wire, frozen=True):
    """One thing that was verified."""

    id: str
    title: str
    result: Literal["passed", "failed", "unknown"]
    details: list[str]
    next: str
    grants: list[GrantModel]


class VerifyReport(Versioned, frozen=True, tag="rbacguard.io/verify/v1"):
    """`rbacguard verify`; `clean` null is: the input does not suffice to tell."""

    clean: bool | None
    checks: list[CheckModel]
    unaccepted: list[ReachModel]
    next: list[str]
    warnings: list[str]
    coverage: CoverageModel


class RequestModel(Wire, frozen=True):
    """What was asked of the authorizer; `namespace` null is the whole cluster, '*' everywhere."""

    verb: str
    resource: str
    api_group: str
    subresource: str
    name: str
    namespace: str | None
    path: str


class WhoCanReport(Versioned, frozen=True, tag="rbacguard.io/who-can/v1"):
    """`rbacguard who-can`."""

    request: RequestModel
    subjects: list[SubjectModel]
    grants: list[GrantModel]
    complete: bool
    gaps: list[str]
    origin: OriginModel | None = None
    notes: list[str] = []


class CanIReport(Versioned, frozen=True, tag="rbacguard.io/can-i/v1"):
    """`rbacguard can-i`; `allowed` null is: the input does not suffice to tell."""

    request: RequestModel
    user: str
    groups: list[str]
    allowed: bool | None
    reason: str
    grants: list[GrantModel]
    gaps: list[str]
    origin: OriginModel | None = None
    notes: list[str] = []


class RevokeModel(Wire, frozen=True):
    """How to end a grant that lets a subject start migrations.

    `others` are the other subjects of the binding, which lose the access too.
    """

    binding: ObjectModel
    others: list[SubjectModel]
    advice: str
    commands: list[str]


class ExplainReport(Versioned, frozen=True, tag="rbacguard.io/explain/v1"):
    """`rbacguard explain`."""

    subject: str
    identities: list[SubjectModel]
    members: list[str] | None
    holds: list[HolderModel]
    complete: bool
    gaps: list[str]
    origin: OriginModel | None = None
    notes: list[str] = []
    revoke: list[RevokeModel] = []


class DiffReport(Versioned, frozen=True, tag="rbacguard.io/diff/v1"):
    """`rbacguard diff`: only what is lost or gained."""

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


class RulesReport(Versioned, frozen=True, tag="rbacguard.io/rules/v1"):
    """`rbacguard rules`."""

    policies: list[PolicyModel]


class ObstacleModel(Wire, frozen=True):
    """Why an object would be refused to the applier; `rule` is what to grant, where one helps."""

    object: ObjectModel
    message: str
    rule: RuleModel | None
    namespace: str | None


class ApplierModel(Wire, frozen=True):
    """Who is to apply what was generated, and what hinders him."""

    user: str
    groups: list[str]
    obstacles: list[ObstacleModel]


class GenerateReport(Versioned, frozen=True, tag="rbacguard.io/generate/v1"):
    """`rbacguard generate`."""

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


class RemarkModel(Wire, frozen=True):
    """One thing that is odd about an entry of the approvals file."""

    id: str
    weight: Literal["error", "warning", "info"]
    place: str
    subject: SubjectModel
    message: str


class ApprovalsReport(Versioned, frozen=True, tag="rbacguard.io/approvals/v1"):
    """`rbacguard approvals check`."""

    file: str
    approved: list[ReachModel]
    undecided: int
    remarks: list[RemarkModel]
    gaps: list[str]
    origin: OriginModel | None = None


class LintFindingModel(Wire, frozen=True):
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


class PassedModel(Wire, frozen=True):
    """A file that was passed over."""

    file: str
    reason: str


class LintReport(Versioned, frozen=True, tag="rbacguard.io/lint/v1"):
    """`rbacguard lint`; `fixed` counts what --fix mended, which is no finding any more."""

    kubernetes: str
    files: int
    objects: int
    findings: list[LintFindingModel]
    fixed: int
    passed_over: list[PassedModel]
    others: int
    not_asked: list[str]
    rules: list[PolicyModel] = []
    exemptions: list[str] = []


class CompareReport(Versioned, frozen=True, tag="rbacguard.io/compare/v1"):
    """`rbacguard compare`: two audits; `same` counts the findings that stand in both."""

    before: InstalledModel
    after: InstalledModel
    new: list[FindingModel]
    gone: list[FindingModel]
    same: int
    holders_new: list[SubjectModel]
    holders_gone: list[SubjectModel]
    gaps: list[str]


FleetResult = Literal["clean", "findings", "unknown", "failed"]


class FleetFindingModel(Wire, frozen=True):
    """What was found: a finding of a policy, or a check of `verify` that failed."""

    rule: str
    severity: str
    message: str


class FleetClusterModel(Versioned, frozen=True, tag="rbacguard.io/fleet-cluster/v1"):
    """One cluster of a fleet: a line of the results file.

    `input` is the digest of what was read, '' of a live cluster; `asked` of what was asked, and by
    which version. `result` is the worst that holds: `failed` is not read at all, for `reason`.
    """

    cluster: str
    source: str
    input: str
    asked: str
    result: FleetResult
    reason: str = ""
    step: str = ""
    installed: str = ""
    lost: list[ReachModel] = []
    findings: list[FleetFindingModel] = []
    gaps: list[str] = []


class FleetStepModel(Wire, frozen=True):
    """Clusters at one step of the journey, '' where it could not be told."""

    step: str
    clusters: list[str]


class FleetLossModel(Wire, frozen=True):
    """Somebody who loses migration in the same places of each of these clusters."""

    subject: SubjectModel
    namespaces: list[str | None]
    clusters: list[str]


class FleetFoundModel(FleetFindingModel, frozen=True):
    """The same finding in each of these clusters."""

    clusters: list[str]


class FleetProblemModel(Wire, frozen=True):
    """A cluster that was not read, or not whole, and why."""

    cluster: str
    reasons: list[str]


class FleetReport(Versioned, frozen=True, tag="rbacguard.io/fleet/v1"):
    """`rbacguard fleet audit|plan|verify`: every cluster stands under one result and one step."""

    command: Literal["audit", "plan", "verify"]
    clusters: int
    as_before: int
    results: dict[str, int]
    steps: list[FleetStepModel]
    lost: list[FleetLossModel]
    findings: list[FleetFoundModel]
    unknown: list[FleetProblemModel]
    failed: list[FleetProblemModel]


EvictionName = Literal["live-migrates", "restarts", "stops", "external", "blocked", "unknown"]


class ReasonModel(Wire, frozen=True):
    """A reason for the result of an eviction; `action` can be empty."""

    reason: str
    message: str
    action: str


class PlacementModel(Wire, frozen=True):
    """The target node of a VMI, or the number of nodes that cannot run it by reason."""

    target: str | None
    filter_failures: dict[str, int]
    unknown: str | None


class VMIModel(Wire, frozen=True):
    """A VirtualMachineInstance and the result of evicting it.

    `seconds` is the minimum duration of its migration, null if unknown.
    """

    namespace: str
    name: str
    node: str | None
    eviction: EvictionName
    eviction_strategy: str | None
    strategy_source: str
    migration_policy: str | None
    reasons: list[ReasonModel]
    placement: PlacementModel | None
    bytes_to_copy: int | None
    seconds: int | None
    timeout_seconds: int | None


class NodeModel(Wire, frozen=True):
    """The drain of a node with VMIs; `completes` is null if unknown.

    `seconds` is the minimum duration of its migrations, null if unknown.
    """

    name: str
    pool: str | None
    vmis: dict[EvictionName, int]
    unschedulable: int
    completes: bool | None
    seconds: int | None


class ClaimModel(Wire, frozen=True):
    """A PersistentVolumeClaim of VMIs; `classShares` is null if unknown."""

    namespace: str
    name: str
    access_modes: list[str]
    shared: bool
    storage_class: str | None
    class_shares: bool | None
    used_by: list[str]


class RolloutModel(Wire, frozen=True):
    """The drain of all nodes in the order of the pools; `completes` is null if unknown.

    A batch contains the nodes that are drained at the same time, and `drained` is the number of
    batches that complete. `unavailable` lists VMs that cannot start again.
    """

    batches: list[list[str]]
    drained: int
    completes: bool | None
    blocked_at: list[str]
    blockers: list[str]
    unavailable: list[str]
    unknown: list[str]


class SpareMemoryModel(Wire, frozen=True):
    """The required and the free memory in bytes; null if unknown.

    If some pods were not read, `estimated` is true, `required` is a minimum, and `free` a maximum.
    """

    parallel_nodes: int
    source: str
    highest: int | None
    highest_node: str | None
    required: int | None
    free: int | None
    sufficient: bool | None
    estimated: bool


class SettingModel(Wire, frozen=True):
    """A setting of live migration, and the object or default that sets it."""

    value: bool | int | float | str | None
    source: str


class ReadinessReport(Versioned, frozen=True, tag="rbacguard.io/readiness/v1"):
    """`rbacguard readiness`; `ready` is null if unknown."""

    ready: bool | None
    nodes: list[NodeModel]
    rollout: RolloutModel
    vmis: list[VMIModel]
    memory: SpareMemoryModel
    settings: dict[str, SettingModel]
    claims: list[ClaimModel]
    findings: list[FindingModel]
    policies: list[PolicyResultModel]
    coverage: CoverageModel
    exemptions: list[str] = []


class MigrationModel(Wire, frozen=True):
    """A VirtualMachineInstanceMigration.

    `origin` is why it was created. `manager` is the program that created it, null if unknown.
    """

    namespace: str
    name: str
    vmi: str
    phase: str
    origin: Literal["drain", "workload-update", "user"]
    manager: str | None
    created: str | None
    age_seconds: int | None
    source: str | None
    target: str | None
    reason: str | None
    deleted: bool


class UseModel(Wire, frozen=True):
    """Somebody who used the permission, by the API server's audit log."""

    namespace: str | None
    user: str
    groups: list[str]
    verb: str
    count: int
    last: str


class MigrationsReport(Versioned, frozen=True, tag="rbacguard.io/migrations/v1"):
    """`rbacguard migrations`; `uses` is null where no audit log was given."""

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

REPORTS: dict[str, type[Versioned]] = {
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
