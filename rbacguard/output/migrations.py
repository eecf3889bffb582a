"""The report of `rbacguard migrations`, and its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rbacguard.approvals.usage import UsageRecord
from rbacguard.output import wire
from rbacguard.output.readiness import Section, format_duration
from rbacguard.output.reports import by_policy, coverage_of, subject
from rbacguard.rbac import Subject
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.migrations import FINISHED, Migration

if TYPE_CHECKING:
    from rbacguard.output.page import Page
    from rbacguard.policy import PolicyResult


def report(
    migrations: Sequence[Migration],
    inventory: Inventory,
    results: Iterable[PolicyResult],
    uses: Sequence[UsageRecord] | None,
    unused: Sequence[Subject] | None,
) -> wire.MigrationsReport:
    """Return the report.

    Args:
        migrations: all migrations.
        inventory: the objects of the cluster.
        results: the results of the policies.
        uses: uses of the permission; None without an audit log.
        unused: subjects with the permission that did not use it; None if unknown.
    """
    findings, policies = by_policy(results)
    return wire.MigrationsReport(
        migrations=[_migration(each) for each in migrations],
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
            inventory.coverage, inventory.coverage.missing(["VirtualMachineInstanceMigration"])
        ),
    )


def _migration(migration: Migration) -> wire.MigrationModel:
    return wire.MigrationModel(
        namespace=migration.key.namespace,
        name=migration.key.name,
        vmi=migration.vmi,
        phase=migration.phase,
        origin=migration.origin.value,
        manager=migration.manager or None,
        created=migration.created or None,
        age_seconds=migration.age,
        source=migration.source or None,
        target=migration.target or None,
        reason=migration.reason or None,
        deleted=migration.is_deleted,
    )


def summary(report: wire.MigrationsReport, page: Page) -> None:
    """Write the number of migrations with each phase and each origin."""
    phases = Counter(each.phase or "new" for each in report.migrations)
    origins = Counter[str](each.origin for each in report.migrations)
    page.line(f"Migrations: {_counts(phases) or 'none'}")
    if origins:
        page.line(f"Triggers:  {_counts(origins)}")
    if report.coverage.gaps:
        page.line(f"Note:      incomplete input: {report.coverage.gaps[0]}", "bold yellow")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


def sections(report: wire.MigrationsReport, *, everything: bool) -> list[Section]:
    """Return the migrations, and the uses of the permission.

    Args:
        report: the report.
        everything: whether to include finished migrations without a reason.
    """
    rows = [
        (
            f"{each.namespace}/{each.name}",
            each.vmi,
            each.phase or "new",
            format_duration(each.age_seconds),
            each.source or "",
            each.target or "",
            each.origin,
            each.manager or "unknown",
            "; ".join(
                [
                    *(["deletion requested"] if each.deleted else []),
                    *([each.reason] if each.reason else []),
                ]
            ),
        )
        for each in report.migrations
        if everything or each.phase not in FINISHED or each.reason
    ]
    hidden = len(report.migrations) - len(rows)
    title = f"migrations ({hidden} finished not shown; use -v)" if hidden else "migrations"
    columns = ("MIGRATION", "VM", "PHASE", "AGE", "FROM", "TO", "TRIGGER", "CREATED BY", "NOTE")
    found = [Section(title, columns, rows)]
    if report.uses is not None:
        used = [(e.user, e.namespace or "", e.verb, str(e.count), e.last) for e in report.uses]
        did = ("USER", "NAMESPACE", "VERB", "COUNT", "LAST USED")
        found.append(Section("uses of the permission", did, used))
    if report.unused is not None:
        idle = [(each.kind, each.namespace or "", each.name) for each in report.unused]
        who = ("KIND", "NAMESPACE", "NAME")
        found.append(Section("subjects that did not use the permission", who, idle))
    return found
