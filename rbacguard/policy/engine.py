"""Runs policies over one context."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from rbacguard.policy.checks import Check, Context, Fact
from rbacguard.policy.model import Policy, Severity, Stage
from rbacguard.policy.selection import Selection
from rbacguard.rbac import Grant
from rbacguard.snapshot.coverage import Location


class Outcome(StrEnum):
    """What became of a policy."""

    FINDINGS = "findings"
    CLEAN = "clean"
    NOT_ASKED = "not-asked"
    UNDETERMINED = "undetermined"


class Finding(Struct, frozen=True):
    """One result: what, where, why, and how to fix it.

    Attributes:
        policy: the policy that found it.
        severity: its severity.
        message: what was found.
        group: findings of one policy with the same group belong together.
        scope: the namespace, or '' for the whole cluster.
        grants: the evidence.
        locations: where the objects stand in the input.
        commands: what can be pasted, quoted for the shell.
        fingerprint: stable between runs; depends on policy and objects, not on order or lines.
    """

    policy: str
    severity: Severity
    message: str
    group: str
    scope: str
    grants: tuple[Grant, ...]
    locations: tuple[Location, ...]
    commands: tuple[str, ...]
    fingerprint: str


class PolicyResult(Struct, frozen=True):
    """What one policy came to; `reason` says why it was not asked or not determined."""

    policy: Policy
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    reason: str = ""


def evaluate(
    policies: Iterable[Policy], context: Context, selection: Selection | None = None
) -> tuple[PolicyResult, ...]:
    """Evaluate every policy that is selected; each distinct check runs once.

    Raises:
        PolicyError: a condition fails on a fact.
    """
    chosen = selection or Selection()
    told = [
        (policy, *(_why_not(policy, context) if chosen.wants(policy.names) else _NOT_SELECTED))
        for policy in policies
    ]
    found: list[list[Finding]] = [[] for _ in told]
    asked: dict[Check, list[tuple[Policy, list[Finding]]]] = {}
    for (policy, outcome, _), findings in zip(told, found, strict=True):
        if outcome is None:
            asked.setdefault(policy.check, []).append((policy, findings))
    # A fact is forgotten before the next one is made: a large cluster has hundreds of thousands.
    for check, those in asked.items():
        for fact in check.run(context):
            for policy, findings in those:
                if policy.holds(fact):
                    findings.append(_finding(policy, fact, context))
    return tuple(
        PolicyResult(policy, outcome, reason=reason)
        if outcome is not None
        else _result(policy, findings, context)
        for (policy, outcome, reason), findings in zip(told, found, strict=True)
    )


def _result(policy: Policy, findings: list[Finding], context: Context) -> PolicyResult:
    """Return what a policy came to that was asked."""
    if findings:
        return PolicyResult(policy, Outcome.FINDINGS, tuple(findings))
    gaps = policy.check.gaps(context)
    if gaps:
        return PolicyResult(policy, Outcome.UNDETERMINED, reason="; ".join(gaps))
    return PolicyResult(policy, Outcome.CLEAN)


def fingerprint(*identity: str) -> str:
    """Return what stays the same between runs for a finding of this identity."""
    return hashlib.sha256("\0".join(identity).encode("utf-8", "surrogatepass")).hexdigest()[:32]


_NOT_SELECTED: tuple[Outcome | None, str] = (Outcome.NOT_ASKED, "not selected")


def _why_not(policy: Policy, context: Context) -> tuple[Outcome | None, str]:
    """Return why a policy is not evaluated on a cluster, if it is not."""
    hardened = context.now.hardened
    if policy.stage is not Stage.ANY or policy.applies_to.since or policy.applies_to.before:
        if hardened is None:
            return Outcome.UNDETERMINED, "the installed version is not known"
        if policy.stage is (Stage.BEFORE if hardened else Stage.AFTER):
            return Outcome.NOT_ASKED, f"asked {policy.stage.value}"
        release = context.now.release
        if release is not None and not policy.applies_to.includes(release):
            return Outcome.NOT_ASKED, "another release"
    reason = policy.check.not_asked(context)
    return (Outcome.NOT_ASKED, reason) if reason else (None, "")


def _finding(policy: Policy, fact: Fact, context: Context) -> Finding:
    identity = [policy.id, fact.group, fact.scope, *sorted(map(str, fact.objects))]
    where = context.snapshot.locations
    locations = [place for key in fact.objects if (place := where.get(key)) is not None]
    return Finding(
        policy=policy.id,
        severity=policy.severity,
        message=policy.words(fact),
        group=fact.group,
        scope=fact.scope,
        grants=fact.grants,
        locations=tuple(locations),
        commands=policy.paste(fact, context.inputs),
        fingerprint=fingerprint(*identity),
    )
