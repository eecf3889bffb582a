"""Scheduling rules of a node that do not depend on its pods.

The reasons are those of kube-scheduler, with details in parentheses (kubernetes v1.36
pkg/scheduler/framework/plugins: nodeunschedulable, nodeaffinity, tainttoleration).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rbacguard.rbac import LabelSelectorRequirement
from rbacguard.rbac.selectors import OPERATORS, requirement_matches
from rbacguard.snapshot.workloads import Node, NodeSelectorTerm, Pod, Toleration

CPU_MODEL = "cpu-model-migration.node.kubevirt.io/"
CPU_FEATURE = "cpu-feature.node.kubevirt.io/"
_HOST_MODEL = "host-model-cpu.node.kubevirt.io/"
_REQUIRED_FEATURES = "host-model-required-features.node.kubevirt.io/"
_SCHEDULABLE = "kubevirt.io/schedulable"
"""virt-handler sets this label to "true" on nodes that can run VMs."""
_EFFECTS = ("NoSchedule", "NoExecute")
_SELECTOR = "node(s) didn't match Pod's node affinity/selector"
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def filter_failure(node: Node, pod: Pod, selector: Mapping[str, str]) -> str:
    """Return why a pod cannot run on a node, '' if it can.

    Args:
        node: the node.
        pod: the pod, for its node affinity and tolerations.
        selector: the node selector to use instead of the selector of the pod.
    """
    if not is_schedulable(node):
        return "node(s) were unschedulable"
    labels = node.metadata.labels
    missing = [key for key, value in selector.items() if labels.get(key) != value]
    if missing:
        # The CPU label is more informative than others.
        label = min(missing, key=lambda key: (not key.startswith((CPU_MODEL, CPU_FEATURE)), key))
        return f"{_SELECTOR} ({label})"
    if not _matches_node_affinity(pod, node):
        return _SELECTOR
    taint = _untolerated_taint(node, pod.spec.tolerations)
    return f"node(s) had untolerated taint(s) ({taint})" if taint else ""


def is_schedulable(node: Node) -> bool:
    """Whether a node can run VMs: not cordoned, ready, and labelled by virt-handler."""
    if node.spec.unschedulable or node.metadata.labels.get(_SCHEDULABLE) != "true":
        return False
    statuses = {condition.type: condition.status for condition in node.status.conditions}
    return statuses.get("Ready", "True") == "True"


def host_model_selector(node: Node) -> dict[str, str]:
    """Return the node selector that the host-model CPU of a node requires of a migration target.

    It is empty if the node does not report its host-model CPU (kubevirt/kubevirt v1.9
    pkg/virt-controller/watch/migration/migration.go, prepareNodeSelectorForHostCpuModel).
    """
    labels = node.metadata.labels
    model = next((label for label in labels if label.startswith(_HOST_MODEL)), None)
    if model is None:
        return {}
    selector = {CPU_MODEL + model.removeprefix(_HOST_MODEL): labels[model]}
    for label, value in labels.items():
        if label.startswith(_REQUIRED_FEATURES):
            selector[CPU_FEATURE + label.removeprefix(_REQUIRED_FEATURES)] = value
    return selector


def _untolerated_taint(node: Node, tolerations: Iterable[Toleration]) -> str:
    for taint in node.spec.taints:
        if taint.effect in _EFFECTS and not any(
            toleration.key in ("", taint.key)
            and toleration.effect in ("", taint.effect)
            and (
                toleration.operator == "Exists"
                or (
                    toleration.operator in ("", "Equal")
                    and toleration.key
                    and toleration.value == taint.value
                )
            )
            for toleration in tolerations
        ):
            return f"{taint.key}:{taint.effect}"
    return ""


def _matches_node_affinity(pod: Pod, node: Node) -> bool:
    required = pod.spec.affinity.node_affinity.required
    return required is None or any(
        _term_matches(term, node) for term in required.node_selector_terms
    )


def _term_matches(term: NodeSelectorTerm, node: Node) -> bool:
    """Whether a term matches a node (component-helpers/scheduling/corev1/nodeaffinity)."""
    if not term.match_expressions and not term.match_fields:
        return False
    fields = {"metadata.name": node.metadata.name}
    return all(
        _requirement_matches(each, node.metadata.labels) for each in term.match_expressions
    ) and all(_requirement_matches(each, fields) for each in term.match_fields)


def _requirement_matches(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    """Whether a requirement matches; node selectors also have the operators Gt and Lt."""
    if requirement.operator in OPERATORS:
        return requirement_matches(requirement, labels)
    if requirement.operator not in ("Gt", "Lt"):
        return False
    values = (labels.get(requirement.key, ""), *requirement.values)
    if len(requirement.values) != 1 or not all(map(_INTEGER.fullmatch, values)):
        return False
    value, limit = map(int, values)
    return value > limit if requirement.operator == "Gt" else value < limit
