"""Subjects that exist on each cluster: well-known accounts, and groups that include all users."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import msgspec
from msgspec import Struct, field

from rbacguard.bundled import bundled, read_bundled
from rbacguard.rbac import Grant, Subject

BROAD_GROUPS: Final = (
    "system:authenticated",
    "system:authenticated:oauth",
    "system:unauthenticated",
)
"""Groups that include all users: kubernetes staging/src/k8s.io/apiserver/pkg/authentication/user,
and OpenShift's group of all users with an OAuth token."""
SERVICE_ACCOUNT_GROUPS: Final = "system:serviceaccounts"
"""The group of all service accounts, and the prefix of the group for each namespace (kubernetes
staging/src/k8s.io/apiserver/pkg/authentication/serviceaccount/util.go)."""

CLUSTER_ADMIN: Final = "cluster-admin"
"""The ClusterRole of cluster administrators, which Kubernetes installs."""


class WellKnownSubject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subject that has live migration or a related permission by default.

    Attributes:
        label: a short description for reports.
        subject_class: `platform` or `product`; for `platform`, no binding is proposed.
    """

    kind: str
    name: str
    namespace: str = ""
    label: str
    subject_class: Literal["platform", "product"] = field(name="class")


@cache
def _well_known() -> dict[Subject, WellKnownSubject]:
    value = read_bundled(bundled("policies") / "well-known-subjects.yaml")
    found = msgspec.convert(value, list[WellKnownSubject])
    return {Subject(each.kind, each.name, each.namespace): each for each in found}


def well_known_subject(subject: Subject) -> WellKnownSubject | None:
    """Return the entry of policies/well-known-subjects.yaml for a subject, or None."""
    return _well_known().get(subject)


def well_known_label(subject: Subject) -> str:
    """Return the label of a well-known subject, or ''."""
    found = well_known_subject(subject)
    return found.label if found else ""


def is_platform(subject: Subject) -> bool:
    """Return whether a subject belongs to the platform. Reports show it without a binding."""
    found = well_known_subject(subject)
    return found is not None and found.subject_class == "platform"


def is_broad(subject: Subject) -> bool:
    """Return whether a subject is a group of all users or of all service accounts of a scope."""
    return subject.kind == "Group" and (
        subject.name in BROAD_GROUPS or subject.name.startswith(SERVICE_ACCOUNT_GROUPS)
    )


def is_service_account(subject: Subject) -> bool:
    """Return whether a subject is a service account, its user name, or a group of them."""
    return (
        subject.kind == "ServiceAccount"
        or subject.name.startswith("system:serviceaccount:")
        or (subject.kind == "Group" and subject.name.startswith(SERVICE_ACCOUNT_GROUPS))
    )


def is_cluster_admin_grant(grant: Grant) -> bool:
    """Return whether a ClusterRoleBinding to cluster-admin gives the access.

    Its subjects are cluster administrators. No report advises to revoke their access.
    """
    return grant.binding.kind == "ClusterRoleBinding" and grant.role.name == CLUSTER_ADMIN
