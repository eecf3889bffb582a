"""Evaluation of policies. Only here do facts become findings with a severity and a message."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from rbacguard.policy.checks import Check
from rbacguard.policy.context import Context
from rbacguard.policy.facts import Fact
from rbacguard.policy.model import Policy, Severity, Stage
from rbacguard.policy.selection import Selection
from rbacguard.rbac import Grant
from rbacguard.snapshot.coverage import Location


class Outcome(StrEnum):
    """The result of a policy."""

    FAILED = "failed"
    """There are findings."""
    PASSED = "passed"
    """There are no findings, and the input is complete."""
    SKIPPED = "skipped"
    """The policy was not evaluated."""
    UNKNOWN = "unknown"
    """There are no findings, but the input is incomplete."""


class Finding(Struct, frozen=True):
    """A problem that a policy found.

    Attributes:
        policy: the ID of the policy.
        severity: the severity of the policy.
        message: the problem, with subject, scope, and cause.
        group_key: reports show the findings of a policy with the same key together.
        scope: the namespace, or '' for cluster-wide.
        grants: the grants that are evidence.
        locations: where the objects are defined in the input.
        commands: suggested commands, quoted for the shell.
        fingerprint: identifies the finding in other runs; see `fingerprint`.
    """

    policy: str
    severity: Severity
    message: str
    group_key: str
    scope: str
    grants: tuple[Grant, ...]
    locations: tuple[Location, ...]
    commands: tuple[str, ...]
    fingerprint: str


class PolicyResult(Struct, frozen=True):
    """The outcome and the findings of a policy; `reason` explains SKIPPED and UNKNOWN."""

    policy: Policy
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    reason: str = ""


def evaluate(
    policies: Iterable[Policy], context: Context, selection: Selection | None = None
) -> tuple[PolicyResult, ...]:
    """Evaluate the selected policies. A check that several policies use runs once.

    Raises:
        PolicyError: a condition cannot be evaluated for a fact.
    """
    selected = selection or Selection()
    results: list[PolicyResult | None] = []
    findings: list[list[Finding]] = []
    by_check: dict[Check, list[tuple[Policy, list[Finding]]]] = {}
    policies = tuple(policies)
    for policy in policies:
        results.append(_not_evaluated(policy, context, selected))
        findings.append([])
        if results[-1] is None:
            by_check.setdefault(policy.check, []).append((policy, findings[-1]))
    # Facts are not collected: a large cluster has hundreds of thousands.
    for check, users in by_check.items():
        for fact in check.run(context):
            for policy, found in users:
                if policy.matches(fact):
                    found.append(_finding(policy, fact, context))
    return tuple(
        result or _result(policy, found, context)
        for policy, result, found in zip(policies, results, findings, strict=True)
    )


def _not_evaluated(policy: Policy, context: Context, selection: Selection) -> PolicyResult | None:
    """Return the result of a policy that is not evaluated, else None."""
    if not selection.includes(policy.selectors):
        return PolicyResult(policy, Outcome.SKIPPED, reason="not selected")
    applies_to, now = policy.applies_to, context.installed
    if policy.stage is not Stage.ANY or applies_to.since or applies_to.before:
        if now.restricted is None:
            return PolicyResult(policy, Outcome.UNKNOWN, reason="the installed version is unknown")
        if policy.stage is (Stage.BEFORE if now.restricted else Stage.AFTER):
            return PolicyResult(
                policy, Outcome.SKIPPED, reason=f"applies only {policy.stage.replace('-', ' the ')}"
            )
        if now.release is not None and not applies_to.includes(now.release):
            return PolicyResult(policy, Outcome.SKIPPED, reason="applies to other releases")
    reason = policy.check.skip_reason(context)
    return PolicyResult(policy, Outcome.SKIPPED, reason=reason) if reason else None


def _result(policy: Policy, findings: list[Finding], context: Context) -> PolicyResult:
    """Return the result of a policy that was evaluated."""
    if findings:
        return PolicyResult(policy, Outcome.FAILED, tuple(findings))
    missing = policy.check.missing(context)
    if missing:
        return PolicyResult(policy, Outcome.UNKNOWN, reason="; ".join(missing))
    return PolicyResult(policy, Outcome.PASSED)


def fingerprint(*identity: str) -> str:
    """Return a digest of these strings, which is the same in each run."""
    return hashlib.sha256("\0".join(identity).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _finding(policy: Policy, fact: Fact, context: Context) -> Finding:
    locations = context.snapshot.locations
    commands, omitted = policy.commands_for(fact, context.inputs, context.suggested_target)
    return Finding(
        policy=policy.id,
        severity=policy.severity,
        message=f"{policy.message_for(fact)} {omitted}".rstrip(),
        group_key=fact.group_key,
        scope=fact.scope,
        grants=fact.grants,
        locations=tuple([locations[key] for key in fact.objects if key in locations]),
        commands=commands,
        # Neither the order of the objects nor their positions in files change the fingerprint.
        fingerprint=fingerprint(
            policy.id, fact.group_key, fact.scope, *sorted(map(str, fact.objects))
        ),
    )
