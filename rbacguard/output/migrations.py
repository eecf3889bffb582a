"""The report of `rbacguard migrations`, and its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rbacguard.approvals.usage import Use
from rbacguard.output import wire
from rbacguard.output.readiness import Section, duration
from rbacguard.output.reports import by_policy, coverage_of, subject
from rbacguard.rbac import Subject
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.migrations import ENDED, Migration

if TYPE_CHECKING:
    from rbacguard.output.page import Page
    from rbacguard.policy import PolicyResult


def report(
    found: Sequence[Migration],
    inventory: Inventory,
    results: Iterable[PolicyResult],
    uses: Sequence[Use] | None,
    unused: Sequence[Subject] | None,
) -> wire.MigrationsReport:
    """Return the report.

    Args:
        found: every migration.
        inventory: what was read.
        results: what policies found.
        uses: who used the permission; None where no audit log was given.
        unused: who holds the permission and did not use it; None where that is not known.
    """
    findings, policies = by_policy(results)
    return wire.MigrationsReport(
        migrations=[_migration(each) for each in found],
        uses=None
        if uses is None
        else [
            wire.UseModel(
                namespace=each.namespace or None,
                user=each.user,
                groups=list(each.groups),
                verb=each.verb,
                count=each.count,
                last=each.last,
            )
            for each in uses
        ],
        unused=None if unused is None else [subject(each) for each in unused],
        findings=findings,
        policies=policies,
        coverage=coverage_of(
            inventory.coverage, inventory.coverage.gaps(["VirtualMachineInstanceMigration"])
        ),
    )


def _migration(found: Migration) -> wire.MigrationModel:
    return wire.MigrationModel(
        namespace=found.key.namespace,
        name=found.key.name,
        machine=found.machine,
        phase=found.phase,
        asked_by=found.asked_by.value,
        manager=found.manager or None,
        created=found.created or None,
        age_seconds=found.age,
        source=found.source or None,
        target=found.target or None,
        reason=found.reason or None,
        deleted=found.deleted,
    )


def summary(report: wire.MigrationsReport, page: Page) -> None:
    """Say how many there are in which phase."""
    phases = Counter(each.phase or "new" for each in report.migrations)
    told = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items())) or "none"
    page.line(f"Migrations: {told}")
    asked = Counter[str](each.asked_by for each in report.migrations)
    if asked:
        page.line(f"Asked by:  {', '.join(f'{asked[k]} {k}' for k in sorted(asked))}")
    if report.coverage.gaps:
        page.line(f"Not seen:  {report.coverage.gaps[0]}", "bold yellow")


def sections(report: wire.MigrationsReport, *, everything: bool) -> list[Section]:
    """Return the migrations, and who used the permission.

    Args:
        report: what to show.
        everything: also migrations that ended without a note.
    """
    rows = [
        (
            f"{each.namespace}/{each.name}",
            each.machine,
            each.phase or "new",
            duration(each.age_seconds),
            each.source or "",
            each.target or "",
            each.asked_by,
            each.manager or "unknown",
            "; ".join(
                [
                    *(["its deletion was asked for"] if each.deleted else []),
                    *([each.reason] if each.reason else []),
                ]
            ),
        )
        for each in report.migrations
        if everything or each.phase not in ENDED or each.reason
    ]
    left_out = len(report.migrations) - len(rows)
    title = (
        f"migrations (without {left_out} that ended; -v shows all)" if left_out else "migrations"
    )
    columns = ("MIGRATION", "MACHINE", "PHASE", "AGE", "FROM", "TO", "FOR", "BY PROGRAM", "NOTE")
    found = [Section(title, columns, rows)]
    if report.uses is not None:
        used = [(e.user, e.namespace or "", e.verb, str(e.count), e.last) for e in report.uses]
        did = ("USER", "WHERE", "DID", "TIMES", "LAST")
        found.append(Section("who used the permission", did, used))
    if report.unused is not None:
        idle = [(each.kind, each.namespace or "", each.name) for each in report.unused]
        who = ("KIND", "NAMESPACE", "NAME")
        found.append(Section("who holds it and did not use it", who, idle))
    return found
