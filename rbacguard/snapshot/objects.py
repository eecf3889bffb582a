"""Kubernetes objects other than RBAC's own, and OpenShift's form of RBAC objects."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from rbacguard.rbac.types import (
    AggregationRule,
    ClusterRole,
    ClusterRoleBinding,
    ObjectMeta,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)


def dict_at(value: Any, key: str) -> dict[str, Any]:
    """Return the map at a key of an untrusted value; empty if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def parse_timestamp(text: str) -> datetime.datetime | None:
    """Return a time in the format of the API (RFC 3339); None if the text is not a time."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


def _user(name: str) -> Subject:
    """Return the subject of an entry of `userNames`, which lists service accounts as users."""
    namespace, colon, account = name.removeprefix("system:serviceaccount:").partition(":")
    if name.startswith("system:serviceaccount:") and colon:
        return Subject("ServiceAccount", account, namespace)
    return Subject("User", name)


class NamespaceMeta(ObjectMeta, frozen=True, gc=False, rename="camel"):
    """The metadata of a Namespace. The UID of kube-system identifies a cluster."""

    uid: str = ""


class Namespace(Struct, frozen=True):
    """A Namespace, or OpenShift's Project."""

    metadata: NamespaceMeta


class ServiceAccount(Struct, frozen=True):
    """A ServiceAccount. Its secrets are never decoded."""

    metadata: ObjectMeta


class Group(Struct, frozen=True):
    """OpenShift's user.openshift.io/v1 Group."""

    metadata: ObjectMeta
    users: tuple[str, ...] = ()


class Condition(Struct, frozen=True):
    """One entry of `status.conditions`."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class NamedVersion(Struct, frozen=True):
    """One entry of HyperConverged's `status.versions`."""

    name: str = ""
    version: str = ""


class KubeVirtStatus(Struct, frozen=True, rename="camel"):
    """The fields of KubeVirt's status that show which version runs.

    Field names: kubevirt/kubevirt staging/src/kubevirt.io/api/core/v1/types.go, KubeVirtStatus.
    """

    observed_kubevirt_version: str | None = field(default=None, name="observedKubeVirtVersion")
    target_kubevirt_version: str | None = field(default=None, name="targetKubeVirtVersion")
    observed_deployment_id: str | None = field(default=None, name="observedDeploymentID")
    target_deployment_id: str | None = field(default=None, name="targetDeploymentID")
    conditions: tuple[Condition, ...] | None = None


class KubeVirt(Struct, frozen=True):
    """The KubeVirt resource."""

    metadata: ObjectMeta
    spec: dict[str, Any] | None = None
    status: KubeVirtStatus | None = None


class HyperConvergedStatus(Struct, frozen=True):
    """The fields of HyperConverged's status that show which version runs."""

    conditions: tuple[Condition, ...] | None = None
    versions: tuple[NamedVersion, ...] | None = None


class HyperConverged(Struct, frozen=True):
    """The HyperConverged resource; `spec` differs between v1beta1 and v1, `status` does not."""

    metadata: ObjectMeta
    spec: dict[str, Any] | None = None
    status: HyperConvergedStatus | None = None


class UserRestriction(Struct, frozen=True):
    """Users that a RoleBindingRestriction admits."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    labels: tuple[Any, ...] | None = None


class GroupRestriction(Struct, frozen=True):
    """Groups that a RoleBindingRestriction admits."""

    groups: tuple[str, ...] = ()
    labels: tuple[Any, ...] | None = None


class ServiceAccountReference(Struct, frozen=True):
    """A service account in a RoleBindingRestriction."""

    name: str = ""
    namespace: str = ""


class ServiceAccountRestriction(Struct, frozen=True, rename="camel"):
    """Service accounts that a RoleBindingRestriction admits."""

    service_accounts: tuple[ServiceAccountReference, ...] | None = field(
        default=None, name="serviceaccounts"
    )
    namespaces: tuple[str, ...] = ()


class RestrictionSpec(Struct, frozen=True):
    """The spec of a RoleBindingRestriction. Exactly one field is set."""

    userrestriction: UserRestriction | None = None
    grouprestriction: GroupRestriction | None = None
    serviceaccountrestriction: ServiceAccountRestriction | None = None


class RoleBindingRestriction(Struct, frozen=True):
    """A limit on the subjects of RoleBindings in a namespace, from OpenShift.

    Once a namespace has a RoleBindingRestriction, each new subject must match one of them
    (openshift-kube-apiserver/admission/authorization/restrictusers).
    """

    metadata: ObjectMeta
    spec: RestrictionSpec = RestrictionSpec()

    def allows(self, subject: Subject, groups: dict[str, tuple[str, ...]]) -> bool:
        """Return whether a subject can be bound; label selectors are not evaluated.

        Args:
            subject: the subject of a RoleBinding.
            groups: the users of each OpenShift Group.
        """
        users, group, accounts = (
            self.spec.userrestriction,
            self.spec.grouprestriction,
            self.spec.serviceaccountrestriction,
        )
        match subject.kind:
            case "User" if users:
                return subject.name in (users.users or ()) or any(
                    subject.name in groups.get(name, ()) for name in users.groups or ()
                )
            case "Group" if group:
                return subject.name in (group.groups or ())
            case "ServiceAccount" if accounts:
                return subject.namespace in (accounts.namespaces or ()) or any(
                    account.name == subject.name
                    and (account.namespace or self.metadata.namespace) == subject.namespace
                    for account in accounts.service_accounts or ()
                )
            case _:
                return False

    @property
    def has_selector(self) -> bool:
        """Whether it admits subjects by label, which RBAC objects do not show."""
        users, group = self.spec.userrestriction, self.spec.grouprestriction
        return bool((users and users.labels) or (group and group.labels))


class _OpenShiftRole(Struct, frozen=True):
    metadata: ObjectMeta
    rules: tuple[PolicyRule, ...] | None = None
    aggregation_rule: AggregationRule | None = field(default=None, name="aggregationRule")


class _ObjectReference(Struct, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str | None = None


class _OpenShiftBinding(Struct, frozen=True, rename="camel"):
    metadata: ObjectMeta
    role_ref: _ObjectReference
    subjects: tuple[_ObjectReference, ...] | None = None
    user_names: tuple[str, ...] | None = None
    group_names: tuple[str, ...] | None = None


def _openshift_subjects(binding: _OpenShiftBinding) -> tuple[Subject, ...]:
    kinds = {"SystemUser": "User", "SystemGroup": "Group"}
    subjects = [
        Subject(
            kinds.get(reference.kind, reference.kind),
            reference.name,
            (reference.namespace or "") if reference.kind == "ServiceAccount" else "",
        )
        for reference in binding.subjects or ()
    ]
    # `userNames` and `groupNames` repeat the subjects, with service accounts as user names.
    subjects += [_user(name) for name in binding.user_names or ()]
    subjects += [Subject("Group", name) for name in binding.group_names or ()]
    return tuple(dict.fromkeys(subjects))


OPENSHIFT_TYPES: Mapping[tuple[str, str], type[Struct]] = {
    ("authorization.openshift.io", "ClusterRole"): _OpenShiftRole,
    ("authorization.openshift.io", "Role"): _OpenShiftRole,
    ("authorization.openshift.io", "ClusterRoleBinding"): _OpenShiftBinding,
    ("authorization.openshift.io", "RoleBinding"): _OpenShiftBinding,
    ("project.openshift.io", "Project"): Namespace,
}
"""OpenShift's own forms of Kubernetes objects, by API group and kind; see `to_rbac`."""


def to_rbac(kind: str, value: Struct) -> tuple[str, Struct]:
    """Return the kind and value of an object, with OpenShift's own forms converted.

    An object in authorization.openshift.io/v1 becomes the same object in
    rbac.authorization.k8s.io/v1, and a Project becomes a Namespace.
    """
    if isinstance(value, _OpenShiftRole):
        rules = value.rules or ()
        if kind == "Role":
            return kind, Role(value.metadata, rules)
        return kind, ClusterRole(value.metadata, rules, value.aggregation_rule)
    if isinstance(value, _OpenShiftBinding):
        reference = value.role_ref
        role_ref = RoleRef("Role" if reference.namespace else "ClusterRole", reference.name)
        subjects = _openshift_subjects(value)
        if kind == "ClusterRoleBinding":
            return kind, ClusterRoleBinding(value.metadata, role_ref, subjects)
        return kind, RoleBinding(value.metadata, role_ref, subjects)
    if isinstance(value, Namespace):
        return "Namespace", value
    return kind, value
