"""Findings that are known: accepted in the configuration, or there before. Shown, never hidden."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from rbacguard.errors import InputError
from rbacguard.output import wire
from rbacguard.output.names import name

if TYPE_CHECKING:
    from rbacguard.policy.configuration import Exemption


def load_baseline(path: str) -> frozenset[str]:
    """Return the fingerprints of a report that `audit -o json` or `lint -o json` wrote.

    Raises:
        InputError: it cannot be read, or is no such report.
    """
    import json

    try:
        value = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not well-formed JSON, expected a report of -o json") from None
    findings = value.get("findings") if isinstance(value, dict) else None
    if not isinstance(findings, list):
        raise InputError(f"{path}: expected a report of 'audit -o json' or 'lint -o json'")
    return frozenset(
        str(each["fingerprint"])
        for each in findings
        if isinstance(each, dict) and "fingerprint" in each
    )


class Suppression:
    """What makes findings known, and what became of each exemption."""

    def __init__(
        self, exemptions: Iterable[Exemption], baseline: frozenset[str], today: datetime.date
    ) -> None:
        """Start with nothing used."""
        self._exemptions = tuple(exemptions)
        self._baseline = baseline
        self._today = today
        self._used: set[int] = set()

    def of(self, rule: str, fingerprint: str, about: str, namespace: str) -> wire.Suppressed | None:
        """Return why a finding does not count, or None if it does."""
        found = None
        for index, each in enumerate(self._exemptions):
            if each.covers(rule, fingerprint, about, namespace):
                self._used.add(index)
                if each.expires >= self._today:
                    found = found or wire.Suppressed(
                        by="exemption",
                        owner=each.owner,
                        reason=each.reason,
                        expires=each.expires.isoformat(),
                    )
        if found is None and fingerprint in self._baseline:
            return wire.Suppressed(by="baseline", owner="", reason="there before", expires="")
        return found

    def notes(self) -> list[str]:
        """Return what is to be done about the exemptions themselves."""
        found = []
        for index, each in enumerate(self._exemptions):
            what = f"the exemption of {each.owner} for {each.rule or each.fingerprint}"
            if each.expires < self._today:
                found.append(f"{what} ended on {each.expires}: its findings count")
            elif index not in self._used:
                found.append(f"{what} fits no finding: delete it")
        return found


_ByPolicy = TypeVar("_ByPolicy", wire.AuditReport, wire.ReadinessReport, wire.MigrationsReport)


def suppressed_findings(report: _ByPolicy, known: Suppression) -> _ByPolicy:
    """Return a report whose known findings say why they do not count."""
    found = [
        replace(
            each,
            suppressed=known.of(each.policy, each.fingerprint, each.group, each.namespace or ""),
        )
        for each in report.findings
    ]
    return replace(report, findings=found, exemptions=known.notes())


def suppressed_lint(report: wire.LintReport, known: Suppression) -> wire.LintReport:
    """Return what lint found, where known findings say why they do not count."""
    found = []
    for each in report.findings:
        about = name(each.object) if each.object else ""
        namespace = (each.object.namespace if each.object else None) or ""
        why = known.of(each.rule, each.fingerprint, about, namespace)
        found.append(replace(each, suppressed=why))
    return replace(report, findings=found, exemptions=known.notes())
