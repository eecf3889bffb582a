"""Facts: what checks find. Each field of a fact is a variable of conditions and messages.

A field has one of the types in `Value`. Maps identify a subject or an object and have the keys
`kind`, `name`, and `namespace`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import TypeAlias, get_type_hints

from msgspec import Struct

from rbacguard.rbac import Grant, ObjectKey, Subject

Value: TypeAlias = str | bool | int | list[str] | dict[str, str]


class FactType(StrEnum):
    """The type of a variable. Conditions are type-checked when a policy is loaded."""

    STRING = "string"
    BOOL = "bool"
    INT = "int"
    LIST = "list"
    MAP = "map"


_TYPES: Mapping[object, FactType] = {
    str: FactType.STRING,
    bool: FactType.BOOL,
    int: FactType.INT,
    list[str]: FactType.LIST,
    dict[str, str]: FactType.MAP,
}


class Fact(Struct, frozen=True, kw_only=True):
    """The base of all facts. It has no severity and no text.

    Conditions and messages can use `scope`, `scope_text`, and the fields of the subclass.

    Attributes:
        group_key: reports show the facts of a policy with the same key together.
        scope: the namespace, or '' for cluster-wide.
        grants: the grants that are evidence.
        objects: the objects that the fact is about. Reports show where they are defined.
    """

    group_key: str
    scope: str = ""
    grants: tuple[Grant, ...] = ()
    objects: tuple[ObjectKey, ...] = ()

    @property
    def scope_text(self) -> str:
        """The scope as text: `in namespace web` or `cluster-wide`."""
        return f"in namespace {self.scope}" if self.scope else "cluster-wide"

    @classmethod
    def variables(cls) -> Mapping[str, FactType]:
        """Return the names and types of the variables."""
        return _variables(cls)

    @property
    def fields(self) -> Mapping[str, Value]:
        """The values of all variables."""
        return {name: getattr(self, name) for name in self.variables()}


FactClass: TypeAlias = type[Fact]


@cache
def _variables(fact: FactClass) -> Mapping[str, FactType]:
    own = {
        name: _TYPES[hint]
        for name, hint in get_type_hints(fact).items()
        if name in fact.__struct_fields__ and name not in Fact.__struct_fields__
    }
    return {"scope": FactType.STRING, "scope_text": FactType.STRING, **own}


class AccessFact(Fact, frozen=True, kw_only=True):
    """A subject that has a permission in one scope.

    Attributes:
        subject: the subject.
        actions: the granted actions, such as `create VMIM`.
        directness: how the actions are related to live migration, sorted.
        bound_role: kind and name of the role in the first binding.
        chain: the first binding and its chain of roles, as text.
        broad: whether the subject is a group of all users or of all service accounts of a scope.
        wildcard: whether a rule uses a wildcard.
        cluster_admin: whether a rule allows all verbs on all resources.
        console_only: whether only the web console can start a migration, not `virtctl`.
        virtctl_only: whether only `virtctl` can start a migration, not the web console.
        platform: whether the subject belongs to the platform.
        well_known: the label of a well-known subject, or ''.
    """

    subject: dict[str, str]
    actions: list[str]
    directness: list[str]
    bound_role: dict[str, str]
    chain: str
    broad: bool
    wildcard: bool
    cluster_admin: bool
    console_only: bool
    virtctl_only: bool
    platform: bool
    well_known: str


class AccessChangeFact(Fact, frozen=True, kw_only=True):
    """A subject that loses or gains live migration in one scope with the update.

    Attributes:
        subject: the subject.
        actions: the actions that are lost or gained, such as `create VMIM`.
        bound_role: kind and name of the role in the bindings.
        chain: the first binding and its chain of roles, as text.
        aggregated: whether the role has an aggregation rule.
        service_account: whether the subject is a service account or a group of them.
        platform: whether the subject belongs to the platform.
        well_known: the label of a well-known subject, or ''.
        fleet_managed: whether ACM manages one of the bindings.
    """

    subject: dict[str, str]
    actions: list[str]
    bound_role: dict[str, str]
    chain: str
    aggregated: bool
    service_account: bool
    platform: bool
    well_known: str
    fleet_managed: bool


class DelegationFact(Fact, frozen=True, kw_only=True):
    """A subject that can grant live migration to others in one scope.

    Attributes:
        subject: the subject.
        method: `holds` if the subject has all rules that it grants, `bind` for the verb `bind`.
        through_default_role: whether this ends with the update and without the temporary role.
        platform: whether the subject belongs to the platform.
        chain: the binding and its chain of roles, as text.
    """

    subject: dict[str, str]
    method: str
    through_default_role: bool
    platform: bool
    chain: str


class UnapprovedFact(Fact, frozen=True, kw_only=True):
    """A subject with live migration that the approvals file neither approves nor accepts.

    Attributes:
        subject: the subject.
    """

    subject: dict[str, str]


class RestrictionFact(Fact, frozen=True, kw_only=True):
    """A required RoleBinding that the RoleBindingRestrictions of its namespace reject.

    Attributes:
        subject: the subject of the RoleBinding.
        restrictions: the names of the RoleBindingRestrictions.
        by_label: whether one of them selects users or groups by label.
    """

    subject: dict[str, str]
    restrictions: list[str]
    by_label: bool


class CrossCheckFact(Fact, frozen=True, kw_only=True):
    """A request for which the API server and the RBAC objects give different decisions.

    Attributes:
        user: the user name in the request.
        groups: the groups in the request.
        action: the verb and the resource.
        allowed: whether the API server allows the request.
        server_reason: the reason of the API server, or `yes` or `no`.
        rbac_reason: the decision by the RBAC objects, with its reason.
    """

    user: str
    groups: list[str]
    action: str
    allowed: bool
    server_reason: str
    rbac_reason: str


class BindingFact(Fact, frozen=True, kw_only=True):
    """A binding.

    Attributes:
        binding: the binding.
        role: kind and name of the role.
        role_exists: whether the role exists, or roles of this kind were not read completely.
        to_migrate: whether the role is the ClusterRole kubevirt.io:migrate.
        to_temporary: whether the role is a temporary role with a documented name.
        to_kubevirt_default: whether the role is kubevirt.io:admin or kubevirt.io:edit.
        subjects: all subjects, as text.
        broad: the names of groups of all users or of all service accounts of a scope.
        fleet_managed: whether ACM manages the binding.
    """

    binding: dict[str, str]
    role: dict[str, str]
    role_exists: bool
    to_migrate: bool
    to_temporary: bool
    to_kubevirt_default: bool
    subjects: list[str]
    broad: list[str]
    fleet_managed: bool


class RoleFact(Fact, frozen=True, kw_only=True):
    """A role that grants live migration, or has the name of a role that must grant it.

    These are the names of kubevirt.io:migrate and of the temporary roles.

    Attributes:
        role: the role.
        actions: the granted actions, such as `create VMIM`.
        labels: the labels of the role.
        aggregated: whether the role has an aggregation rule.
        aggregated_into: which of admin, edit, and view the role is aggregated into.
        invalid_aggregation_labels: aggregation labels with another value than true or false.
        label_corrections: arguments of `oc label` that correct these labels: before the update to
            4.19 they set the value true, after it they remove the label.
        label_removals: arguments of `oc label` that remove the aggregation labels with the value
            true.
        documented_name: whether this is a ClusterRole with the name of a temporary role.
        kubevirt_role: whether virt-operator installs a ClusterRole with this name.
        kubernetes_role: whether Kubernetes installs a ClusterRole with this name.
        missing_actions: for a temporary role: the actions that it must grant but does not.
        grants_more: for a temporary role: whether it grants more than it must.
        wildcard: whether a rule with a wildcard grants live migration.
        bound_subjects: the number of subjects in all bindings.
        operator_label: whether the role has virt-operator's label, but virt-operator did not
            write it.
        ephemeral_backup: whether this is a copy that virt-operator keeps during an update.
        expires: the last valid day of a temporary role, or ''.
        expired: whether that day is over, or is not a date.
        default_role_copy: whether the role has rules that were copied from admin or edit.
        gitops_controller_role: whether OpenShift GitOps writes the role for Argo CD.
        aggregates_migrate: whether this is a custom role that aggregates kubevirt.io:migrate, now
            or after the update.
        preexisting_migrate_role: whether this is kubevirt.io:migrate, existing before the update.
        manual_aggregation: whether roleAggregationStrategy is Manual.
    """

    role: dict[str, str]
    actions: list[str]
    labels: dict[str, str]
    aggregated: bool
    aggregated_into: list[str]
    invalid_aggregation_labels: list[str]
    label_corrections: list[str]
    label_removals: list[str]
    documented_name: bool
    kubevirt_role: bool
    kubernetes_role: bool
    missing_actions: list[str]
    grants_more: bool
    wildcard: bool
    bound_subjects: int
    operator_label: bool
    ephemeral_backup: bool
    expires: str
    expired: bool
    default_role_copy: bool
    gitops_controller_role: bool
    aggregates_migrate: bool
    preexisting_migrate_role: bool
    manual_aggregation: bool


class OutdatedRoleFact(Fact, frozen=True, kw_only=True):
    """An aggregated ClusterRole whose recorded rules differ from those of its source roles.

    Attributes:
        role: the name of the ClusterRole.
        unexpected: the number of recorded rules that no source role has.
        missing: the number of rules of source roles that are not recorded.
        affects_migration: whether one of these rules grants live migration.
    """

    role: str
    unexpected: int
    missing: int
    affects_migration: bool


class InvalidFieldFact(Fact, frozen=True, kw_only=True):
    """A field that the API server would reject.

    Attributes:
        kind: the kind of the object.
        name: the name of the object.
        path: the field, such as `metadata.labels`.
        found: what is wrong with its value.
        documented_name: whether the object has the name of a temporary role.
    """

    kind: str
    name: str
    path: str
    found: str
    documented_name: bool


class StatusFact(Fact, frozen=True, kw_only=True):
    """The step of the update, and what is prepared or remains to do.

    Attributes:
        step: the step, as in `rbacguard status`.
        losing_subjects: the number of subjects that lose live migration with the update.
        bound_subjects: the number of subjects that are bound to kubevirt.io:migrate.
        temporary_roles: the names of temporary roles.
        restored_defaults: which of admin, edit, and view aggregate kubevirt.io:migrate.
        manual_aggregation: whether roleAggregationStrategy is Manual.
    """

    step: str
    losing_subjects: int
    bound_subjects: int
    temporary_roles: list[str]
    restored_defaults: list[str]
    manual_aggregation: bool


class ClaimFact(Fact, frozen=True, kw_only=True):
    """A PersistentVolumeClaim of a running virtual machine.

    Attributes:
        claim: the PersistentVolumeClaim.
        access_modes: its access modes.
        shared: whether two nodes can mount it at the same time.
        storage_class: the name of its storage class, or `unknown`.
        provisioner: the provisioner of the storage class.
        class_shares: whether the storage class supports volumes for two nodes: `yes`, `no`, or
            `unknown`.
        used_by: the virtual machine instances that use it.
    """

    claim: dict[str, str]
    access_modes: list[str]
    shared: bool
    storage_class: str
    provisioner: str
    class_shares: str
    used_by: list[str]


class VMIFact(Fact, frozen=True, kw_only=True):
    """A virtual machine instance, and the result of an eviction of its pod.

    Attributes:
        vmi: the VMI.
        node: the name of its node.
        eviction: the result of an eviction, as in `rbacguard readiness`.
        reason: the reason in the VMI's condition LiveMigratable, or ''.
        cause: why the VMI cannot live-migrate, or what delays it.
        eviction_strategy: the effective eviction strategy.
        storage_live_migratable: the status of the VMI's condition StorageLiveMigratable, or ''.
        pod_network_bridges: interfaces with bridge binding on the pod network.
        hotplugged_volumes: names of hot-plugged volumes.
        host_model: whether the VMI uses the CPU model host-model.
        schedulable: whether another node fits: `yes`, `no`, or `unknown`.
        target: the node that fits, or ''.
        filter_failures: why nodes do not fit, each with the number of nodes.
        no_compatible_cpu: whether no node fits because of the CPU model.
        migration_policy: the name of the effective MigrationPolicy, or ''.
        post_copy: whether post-copy is allowed.
        bandwidth: the effective bandwidthPerMigration.
        memory_mib: the data to transfer in MiB; -1 if unknown.
        seconds: the shortest duration of a migration; -1 if unknown.
        timeout: the completion timeout in seconds; -1 if unknown.
        exceeds_timeout: whether a migration exceeds the timeout: `yes`, `no`, or `unknown`.
        migration_required: whether a change of the VM takes effect only with a migration.
        losing_subjects: subjects that lose live migration in its namespace with the update.
    """

    vmi: dict[str, str]
    node: str
    eviction: str
    reason: str
    cause: str
    eviction_strategy: str
    storage_live_migratable: str
    pod_network_bridges: list[str]
    hotplugged_volumes: list[str]
    host_model: bool
    schedulable: str
    target: str
    filter_failures: list[str]
    no_compatible_cpu: bool
    migration_policy: str
    post_copy: bool
    bandwidth: str
    memory_mib: int
    seconds: int
    timeout: int
    exceeds_timeout: str
    migration_required: bool
    losing_subjects: list[str]


class MigrationFact(Fact, frozen=True, kw_only=True):
    """A VirtualMachineInstanceMigration.

    Attributes:
        migration: the migration.
        vmi: the name of the VMI.
        phase: the phase, or `new`.
        running: whether the migration has started and not finished.
        waiting: whether the migration waits for other migrations or for a target pod.
        origin: what created the migration, as in `rbacguard migrations`.
        manager: the field manager that created the migration.
        age_minutes: the age in minutes; -1 if unknown.
        source: the source node.
        target: the target node.
        reason: the reason for a failure.
        deleted: whether the migration is being deleted.
        vmi_exists: whether the VMI exists.
        user_migrations: the number of migrations in the namespace that users created.
        first_in_namespace: whether this is the first migration of its namespace in the report.
    """

    migration: dict[str, str]
    vmi: str
    phase: str
    running: bool
    waiting: bool
    origin: str
    manager: str
    age_minutes: int
    source: str
    target: str
    reason: str
    deleted: bool
    vmi_exists: bool
    user_migrations: int
    first_in_namespace: bool


class MigrationSettingsFact(Fact, frozen=True, kw_only=True):
    """The live migration settings of the cluster.

    Attributes:
        parallel_migrations: parallelMigrationsPerCluster.
        parallel_outbound_migrations: parallelOutboundMigrationsPerNode.
        bandwidth: bandwidthPerMigration.
        bandwidth_limited: whether the bandwidth is limited.
        completion_timeout_per_gib: completionTimeoutPerGiB, in seconds.
        progress_timeout: progressTimeout, in seconds.
        auto_converge: allowAutoConverge.
        post_copy: allowPostCopy.
        workload_disruption: allowWorkloadDisruption.
        tls: whether migrations are encrypted.
        unsafe_override: unsafeMigrationOverride.
        network: the name of the migration network, or ''.
        network_exists: whether it exists: `yes`, `no`, or `unknown`.
        other_network_namespaces: other namespaces with a network of this name.
        namespace: the namespace of KubeVirt.
        rhel10_nodes: nodes that run RHEL 10 or RHEL CoreOS 10.
        memory_sufficient: whether the spare memory is sufficient: `yes`, `no`, or `unknown`.
        workload_update_methods: workloadUpdateMethods.
        workload_update_methods_known: whether KubeVirt was read.
        json_patch: whether HyperConverged has a JSON patch annotation for KubeVirt.
        vmis: the number of VMIs.
        nodes: the number of nodes with VMIs.
    """

    parallel_migrations: int
    parallel_outbound_migrations: int
    bandwidth: str
    bandwidth_limited: bool
    completion_timeout_per_gib: int
    progress_timeout: int
    auto_converge: bool
    post_copy: bool
    workload_disruption: bool
    tls: bool
    unsafe_override: bool
    network: str
    network_exists: str
    other_network_namespaces: str
    namespace: str
    rhel10_nodes: list[str]
    memory_sufficient: str
    workload_update_methods: list[str]
    workload_update_methods_known: bool
    json_patch: bool
    vmis: int
    nodes: int


class NodeDrainFact(Fact, frozen=True, kw_only=True):
    """A node with VMIs, and whether its drain can complete.

    Attributes:
        node: the node.
        pool: its MachineConfigPool, or ''.
        pool_paused: whether the MachineConfigPool is paused.
        os_image: the operating system of the node.
        completes: whether the drain can complete: `yes`, `no`, or `unknown`.
        vmis: the number of VMIs on the node.
        blocked: VMIs that block the drain.
        unschedulable: VMIs that fit on no other node.
        seconds: the shortest duration of the drain; -1 if unknown.
    """

    node: dict[str, str]
    pool: str
    pool_paused: bool
    os_image: str
    completes: str
    vmis: int
    blocked: list[str]
    unschedulable: list[str]
    seconds: int


def yes_no_unknown(value: bool | None) -> str:
    """Return `yes`, `no`, or `unknown`."""
    return {True: "yes", False: "no", None: "unknown"}[value]


def subject_map(subject: Subject) -> dict[str, str]:
    """Return a subject as a map for conditions."""
    return {"kind": subject.kind, "name": subject.name, "namespace": subject.namespace}


def object_map(key: ObjectKey) -> dict[str, str]:
    """Return the identity of an object as a map for conditions."""
    return {"kind": key.kind, "name": key.name, "namespace": key.namespace}


def role_map(key: ObjectKey) -> dict[str, str]:
    """Return kind and name of a role as a map for conditions."""
    return {"kind": key.kind, "name": key.name}


def chain_text(grants: Sequence[Grant]) -> str:
    """Return the first grant as text: its binding, then its roles, and how many grants follow."""
    first = grants[0]
    names = [str(first.binding), *(role.name for role in first.role_chain)]
    more = len({(grant.binding, grant.role_chain) for grant in grants}) - 1
    return " -> ".join(names) + (f" (+{more} more)" if more else "")


def evidence_objects(grants: Sequence[Grant]) -> tuple[ObjectKey, ...]:
    """Return the bindings and source roles of grants, each once."""
    keys: dict[ObjectKey, None] = {}
    for grant in grants:
        keys[grant.binding] = None
        keys[grant.source_role] = None
    return tuple(keys)
