"""Two audits of one cluster, a while apart: what is new, what is gone."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rbacguard.errors import InputError
from rbacguard.output import wire
from rbacguard.output.names import name


def compare(old: str, new: str) -> wire.CompareReport:
    """Return what changed from one report of `audit -o json` to another.

    Raises:
        InputError: one cannot be read, or is no such report.
    """
    before, after = _read(old), _read(new)
    known = {finding.fingerprint for finding in before.findings}
    now = {finding.fingerprint for finding in after.findings}
    held, holds = _holders(before), _holders(after)
    return wire.CompareReport(
        before=before.status.installed,
        after=after.status.installed,
        new=[finding for finding in after.findings if finding.fingerprint not in known],
        gone=[finding for finding in before.findings if finding.fingerprint not in now],
        same=len(known & now),
        holders_new=[subject for key, subject in holds.items() if key not in held],
        holders_gone=[subject for key, subject in held.items() if key not in holds],
        gaps=[*before.coverage.gaps, *after.coverage.gaps],
    )


def _holders(report: wire.AuditReport) -> dict[str, wire.SubjectModel]:
    return {name(holder.subject): holder.subject for holder in report.holders}


def _read(path: str) -> wire.AuditReport:
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=wire.AuditReport)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message, _, place = str(error).replace("`", "").partition(" - at ")
        where = place.removeprefix("$.") or "the document"
        raise InputError(
            f"{path}: {where}: {message}; expected a report of 'audit -o json'"
        ) from None
