"""Guard rails: admission policies that keep a clean cluster clean.

ValidatingAdmissionPolicies (admissionregistration.k8s.io/v1, CEL; Kubernetes 1.30). CEL has no
clock, but on CREATE the object's creationTimestamp is set by the time that a policy sees it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from typing import Any

from rbacguard.errors import OutputError
from rbacguard.kubevirt.migrate_bindings import RequiredBinding
from rbacguard.kubevirt.names import MIGRATE, UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.rbac import Subject
from rbacguard.rbac.types import RBAC_GROUP

OPERATORS = (
    "system:serviceaccount:openshift-cnv:kubevirt-operator",
    "system:serviceaccount:kubevirt-hyperconverged:kubevirt-operator",
    "system:serviceaccount:kubevirt:kubevirt-operator",
    "system:serviceaccount:kube-system:clusterrole-aggregation-controller",
)
"""Who writes roles that grant migration as a matter of course."""
NAMESPACE = "openshift-cnv"
"""Where the approvals stand that the policies look at, unless somebody says otherwise."""

_API = "admissionregistration.k8s.io/v1"
_NAME = "rbacguard-live-migration"
_CLUSTER = "_cluster"
_LARGEST = 1024 * 1024
_SPACE = "request.?namespace.orValue('')"


def guard(
    approved: Iterable[RequiredBinding],
    managers: Sequence[str],
    *,
    until: datetime.date | None,
    namespace: str = NAMESPACE,
) -> list[dict[str, Any]]:
    """Return the policies, their bindings, and the approvals that they look at.

    Args:
        approved: who may hold migration where.
        managers: user names that alone may bind kubevirt.io:migrate and make roles that grant
            migration; empty leaves that to whoever may by RBAC.
        until: the last day on which the temporary role may be made; None refuses it at once.
        namespace: where the approvals stand.

    Raises:
        OutputError: a name cannot be told apart from others in a list of lines, or the approvals
            are more than a ConfigMap holds.
    """
    params = _params(approved, namespace)
    return [
        params,
        *_policy("temporary-role", _temporary_role(until)),
        *_policy("roles", _roles(managers)),
        *_policy("bindings", _bindings(managers), params),
    ]


def _params(approved: Iterable[RequiredBinding], namespace: str) -> dict[str, Any]:
    lines: dict[str, list[str]] = {}
    for need in sorted(approved):
        lines.setdefault(need.namespace or _CLUSTER, []).append(_line(need.subject))
    data = {space: "\n".join(each) for space, each in sorted(lines.items())}
    size = sum(len(key.encode()) + len(value.encode()) for key, value in data.items())
    if size > _LARGEST:
        raise OutputError(
            f"the approvals have {size} bytes, more than a ConfigMap holds ({_LARGEST}); approve "
            "groups or the whole cluster, or leave the guard out"
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{_NAME}-approvals", "namespace": namespace},
        "data": data,
    }


def _line(subject: Subject) -> str:
    line = f"{subject.kind}/{subject.namespace}/{subject.name}"
    if "\n" in line or "\r" in line:
        raise OutputError(f"{subject!r}: a name with a line break cannot be guarded")
    return line


def _policy(
    name: str, spec: dict[str, Any], params: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    binding: dict[str, Any] = {
        "policyName": f"{_NAME}-{name}",
        "validationActions": ["Deny", "Audit"],
    }
    if params is not None:
        spec = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, **spec}
        # Without the approvals nobody is approved; a policy that passes then would be no guard.
        binding["paramRef"] = {**params["metadata"], "parameterNotFoundAction": "Deny"}
    metadata = {"name": f"{_NAME}-{name}"}
    return [
        {
            "apiVersion": _API,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": dict(metadata),
            "spec": {"failurePolicy": "Fail", **spec},
        },
        {
            "apiVersion": _API,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": dict(metadata),
            "spec": binding,
        },
    ]


def _matching(resources: Sequence[str], operations: Sequence[str], **more: Any) -> dict[str, Any]:
    rule = {
        "apiGroups": [RBAC_GROUP],
        "apiVersions": ["v1"],
        "operations": list(operations),
        "resources": list(resources),
        **more,
    }
    return {"resourceRules": [rule]}


def _temporary_role(until: datetime.date | None) -> dict[str, Any]:
    refused = "the temporary role for live migration may not be made any more"
    expression = "false"
    if until is not None:
        first = (until + datetime.timedelta(days=1)).isoformat()
        day = f"timestamp('{first}T00:00:00Z')"
        expression = f"timestamp(object.metadata.creationTimestamp) < {day}"
        refused += f" after {until.isoformat()}"
    names = [UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT]
    return {
        "matchConstraints": _matching(["clusterroles"], ["CREATE"], resourceNames=names),
        "validations": [{"expression": expression, "message": refused}],
    }


def _conditions(managers: Sequence[str]) -> list[dict[str, str]]:
    exempt = json.dumps([*OPERATORS, *managers])
    return [{"name": "not-a-manager", "expression": f"!(request.userInfo.username in {exempt})"}]


def _granting(role: str) -> str:
    """Return CEL for: a role states migration. Full wildcards are a cluster administrator's."""
    clauses = []
    by_resource: dict[tuple[str, str, str], list[str]] = {}
    for action in live_migration().granting:
        key = (action.api_group, action.resource, action.subresource)
        by_resource.setdefault(key, []).append(action.verb)
    for (group, plural, sub), verbs in by_resource.items():
        resource = f"{plural}/{sub}" if sub else plural
        wild = ["*", f"*/{sub}"] if sub else ["*"]
        clauses.append(
            f"(r.verbs.exists(v, v in {json.dumps([*verbs, '*'])})"
            f" && ((r.?apiGroups.orValue([]).exists(g, g in {json.dumps([group, '*'])})"
            f" && r.?resources.orValue([]).exists(x, x == {json.dumps(resource)}))"
            f" || (r.?apiGroups.orValue([]).exists(g, g == {json.dumps(group)})"
            f" && r.?resources.orValue([]).exists(x, x in {json.dumps(wild)}))))"
        )
    return f"{role}.?rules.orValue([]).exists(r, {' || '.join(clauses)})"


def _aggregated(role: str) -> str:
    keys = json.dumps([f"{RBAC_GROUP}/aggregate-to-{tier}" for tier in ("admin", "edit", "view")])
    return f"{keys}.exists(k, {role}.metadata.?labels[?k].orValue('') == 'true')"


def _roles(managers: Sequence[str]) -> dict[str, Any]:
    return {
        "matchConstraints": _matching(["clusterroles", "roles"], ["CREATE", "UPDATE"]),
        "matchConditions": _conditions(managers),
        "variables": [
            {"name": "grants", "expression": _granting("object")},
            {"name": "granted", "expression": f"oldObject != null && {_granting('oldObject')}"},
            {
                "name": "spreads",
                "expression": f"object.kind == 'ClusterRole' && {_aggregated('object')}",
            },
            {
                "name": "spread",
                "expression": "oldObject != null && object.kind == 'ClusterRole' && "
                + _aggregated("oldObject"),
            },
        ],
        "validations": [
            {
                # What was there before may be labelled, annotated and reduced.
                "expression": "!variables.grants || (variables.granted && "
                "(!variables.spreads || variables.spread))",
                "message": "only managers make roles that grant live migration; bind "
                f"{MIGRATE} to those who are approved",
            }
        ],
    }


def _bindings(managers: Sequence[str]) -> dict[str, Any]:
    roles = json.dumps([MIGRATE, UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT])
    lines = "(params.?data[?{key}].orValue('').split('\\n'))"
    here = lines.format(key=_SPACE)
    everywhere = lines.format(key=json.dumps(_CLUSTER))
    validations = [
        {
            "expression": "object.?subjects.orValue([]).all(s, variables.approved.exists(a, a == "
            "s.kind + '/' + (s.kind == 'ServiceAccount' ? "
            f"s.?namespace.orValue({_SPACE}) : '') + '/' + s.name))",
            "message": f"{MIGRATE} may be bound to those only whom the approvals name for here",
        }
    ]
    if managers:
        names = json.dumps(list(managers))
        validations.append(
            {
                "expression": f"request.userInfo.username in {names}",
                "message": f"only managers bind {MIGRATE}",
            }
        )
    return {
        "matchConstraints": _matching(
            ["clusterrolebindings", "rolebindings"], ["CREATE", "UPDATE"]
        ),
        "matchConditions": [
            {
                "name": "live-migration",
                "expression": "object.roleRef.kind == 'ClusterRole' && "
                f"object.roleRef.name in {roles}",
            }
        ],
        "variables": [
            {
                "name": "approved",
                "expression": f"{_SPACE} == '' ? {everywhere} : {here} + {everywhere}",
            }
        ],
        "validations": validations,
    }
