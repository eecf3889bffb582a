"""Policy reports for clusters that collect them: wgpolicyk8s.io and openreports.io."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rbacguard.output import wire
from rbacguard.output.results import Case, Result, cases

_OUTCOMES = {"failed": "fail", "passed": "pass", "skipped": "skip", "unknown": "error"}
_RBAC = "rbac.authorization.k8s.io/v1"
_MOST_RESOURCES = 20


def to_policyreport(report: wire.Report) -> str:
    """Return a ClusterPolicyReport of wgpolicyk8s.io/v1alpha2.

    Raises:
        FormatError: the report consists of no results.
    """
    return _written(report, "wgpolicyk8s.io/v1alpha2", "ClusterPolicyReport")


def to_openreports(report: wire.Report) -> str:
    """Return a ClusterReport of openreports.io/v1alpha1.

    Raises:
        FormatError: the report consists of no results.
    """
    return _written(report, "openreports.io/v1alpha1", "ClusterReport")


def _written(report: wire.Report, api_version: str, kind: str) -> str:
    from rbacguard.manifests.emit import to_yaml

    found = [result for case in cases(report) for result in _results(case)]
    counted = Counter(result["result"] for result in found)
    command = report.made_by
    value = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": f"rbacguard-{command}",
            "labels": {"app.kubernetes.io/name": "rbacguard"},
        },
        **({"source": "rbacguard"} if kind == "ClusterReport" else {}),
        "summary": {key: counted[key] for key in ("pass", "fail", "warn", "error", "skip")},
        "results": found,
    }
    return to_yaml(value).lstrip("\n") + "\n"


def _results(case: Case) -> list[dict[str, Any]]:
    outcome = _OUTCOMES[case.outcome]
    if not case.results:
        return [_entry(case, outcome, case.reason or case.rule.title)]
    return [_found(case, outcome, each) for each in case.results]


def _entry(case: Case, outcome: str, message: str) -> dict[str, Any]:
    return {
        "source": "rbacguard",
        "policy": case.rule.id,
        "category": "RBAC",
        "result": outcome,
        "severity": case.rule.severity,
        "scored": True,
        "message": message,
    }


def _found(case: Case, outcome: str, each: Result) -> dict[str, Any]:
    resources = [
        {
            "apiVersion": _RBAC,
            "kind": binding.kind,
            "name": binding.name,
            **({"namespace": binding.namespace} if binding.namespace else {}),
        }
        for binding in each.bindings[:_MOST_RESOURCES]
    ]
    return {
        **_entry(case, "skip" if each.suppressed else outcome, each.message),
        "severity": each.severity,
        **({"resources": resources} if resources else {}),
        "properties": {
            "fingerprint": each.fingerprint,
            "about": each.about,
            **({"suppressed": each.suppressed} if each.suppressed else {}),
        },
    }
