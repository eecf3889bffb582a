"""Kubernetes RBAC: rules, aggregation, escalation, decisions, and effective access.

The behaviour is that of kubernetes/kubernetes; each function names the upstream file. The package
takes roles, bindings, and requests as arguments. It does not depend on KubeVirt or on snapshots.
"""

from rbacguard.rbac.aggregation import Aggregation, aggregate
from rbacguard.rbac.attributes import Attributes, Review, Reviews
from rbacguard.rbac.authorizer import Authorizer, Decision, Grant
from rbacguard.rbac.escalation import covers
from rbacguard.rbac.rules import rule_allows, rules_allow
from rbacguard.rbac.types import (
    AggregationRule,
    ClusterRole,
    ClusterRoleBinding,
    LabelSelector,
    LabelSelectorRequirement,
    ObjectKey,
    ObjectMeta,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)

__all__ = [
    "Aggregation",
    "AggregationRule",
    "Attributes",
    "Authorizer",
    "ClusterRole",
    "ClusterRoleBinding",
    "Decision",
    "Grant",
    "LabelSelector",
    "LabelSelectorRequirement",
    "ObjectKey",
    "ObjectMeta",
    "PolicyRule",
    "Review",
    "Reviews",
    "Role",
    "RoleBinding",
    "RoleRef",
    "Subject",
    "aggregate",
    "covers",
    "rule_allows",
    "rules_allow",
]
