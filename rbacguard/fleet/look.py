"""One cluster, looked at: the unit of work, done in any process on any machine alike."""

from __future__ import annotations

import datetime
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import Struct

from rbacguard import __version__
from rbacguard.errors import RbacguardError
from rbacguard.fleet.clusters import PLACEHOLDER, Cluster, file_name
from rbacguard.kubevirt.releases import parse_release
from rbacguard.output import exits, reports, wire
from rbacguard.snapshot import Snapshot
from rbacguard.sources import load, snapshot_of
from rbacguard.sources.decode import fingerprint
from rbacguard.sources.live import NEEDS, Connection, Overrides, find_config, read_cluster
from rbacguard.update.status import Status, status

if TYPE_CHECKING:
    # The last two are read by pydantic, which takes long to load.
    from rbacguard.approvals.model import MigrationAccess
    from rbacguard.policy import Policy
    from rbacguard.policy.configuration import Exemption

Command: TypeAlias = Literal["audit", "plan", "verify"]
_RESULTS: Mapping[int, wire.FleetResult] = {
    exits.NOTHING_TO_DO: "clean",
    exits.FINDINGS: "findings",
    exits.INCOMPLETE: "unknown",
}


class Task(Struct, frozen=True):
    """What to ask of every cluster.

    Attributes:
        command: which command.
        target: release to update to, for `plan` and findings about an update; '' for the default.
        approvals: an approvals file, `{cluster}` in its path standing for the name; '' for none.
        before: a snapshot of before the update, likewise.
        policies: one's own policies, each as JSON, so that a worker needs no folder of them.
        select: the only policies to ask, by name; empty for all.
        ignore: policies not to ask.
        exemptions: findings that somebody answers for, each as JSON.
        fail_on: severity from which findings of `audit` count.
        today: the day that expiry is judged by, ISO 8601; not for `plan`.
        by_clock: whether that is what this machine's clock says, and nobody's choice.
    """

    command: Command
    target: str = ""
    approvals: str = ""
    before: str = ""
    policies: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exemptions: tuple[str, ...] = ()
    fail_on: str = "medium"
    today: str = ""
    by_clock: bool = False

    def digest(self, cluster: Cluster) -> str:
        """Return what an answer depends on besides the cluster's own input."""
        found = hashlib.sha256(__version__.encode() + msgspec.json.encode(self))
        for path in (self._path(self.approvals, cluster), self._path(self.before, cluster)):
            found.update((fingerprint(path) if path else "").encode() + b"\0")
        return found.hexdigest()

    @staticmethod
    def _path(path: str, cluster: Cluster) -> str:
        return path.replace(PLACEHOLDER, file_name(cluster.name))

    def run(self, cluster: Cluster, snapshot: Snapshot, step: Status) -> _Answer:
        """Ask a snapshot, of which the step of the journey is known.

        Raises:
            RbacguardError: a file that goes with the cluster cannot be read.
        """
        approvals = self._path(self.approvals, cluster)
        if self.command == "plan":
            return self._plan(snapshot)
        day = datetime.date.fromisoformat(self.today)
        if self.by_clock:
            snapshot.check_clock(day)
        if self.command == "verify":
            return self._verify(snapshot, approvals, self._path(self.before, cluster), day)
        return self._audit(snapshot, approvals, day, step)

    def _audit(
        self, snapshot: Snapshot, approvals: str, day: datetime.date, step: Status
    ) -> _Answer:
        from rbacguard.output.suppress import Suppression, suppressed_findings
        from rbacguard.policy import Context, Selection, evaluate

        context = Context(
            snapshot,
            today=day,
            target=parse_release(self.target) if self.target else None,
            approvals=_approvals(approvals) if approvals else None,
        )
        selection = Selection(self.select, self.ignore)
        results = evaluate(_policies(self.policies), context, selection)
        known = Suppression(_exemptions(self.exemptions), frozenset(), day)
        report = suppressed_findings(reports.audit(context, step, results), known)
        undecided = [
            f"{each.policy.id}: {each.reason}"
            for each in report.policies
            if each.outcome == "unknown"
        ]
        return _Answer(
            exits.of_findings(report, self.fail_on),
            [
                wire.FleetFindingModel(
                    rule=each.policy, severity=each.severity, message=each.message
                )
                for each in report.findings
                if each.suppressed is None
            ],
            list(dict.fromkeys([*report.coverage.gaps, *undecided])),
        )

    def _plan(self, snapshot: Snapshot) -> _Answer:
        from rbacguard.update.plan import make_plan

        report = reports.plan(make_plan(snapshot, parse_release(self.target)), snapshot)
        lost = next(each.missed for each in report.strategies if each.strategy == "none")
        return _Answer(exits.of_plan(report), [], report.gaps, lost)

    def _verify(
        self, snapshot: Snapshot, approvals: str, before: str, day: datetime.date
    ) -> _Answer:
        from rbacguard.update.verify import verify

        access = _approvals(approvals)
        old = _snapshot(before, fingerprint(before)) if before else None
        report = reports.verify(verify(snapshot, access, before=old, today=day), ())
        return _Answer(
            exits.of_verify(report),
            [
                wire.FleetFindingModel(rule=check.id, severity="high", message=_told(check))
                for check in report.checks
                if check.result == "failed"
            ],
            [_told(check) for check in report.checks if check.result == "unknown"],
        )


@lru_cache(maxsize=1)
def _snapshot(path: str, _content: str) -> Snapshot:
    """Read a snapshot that many clusters are compared with, once as long as it stays the same."""
    return load([path])


def _told(check: wire.CheckModel) -> str:
    return "; ".join([check.title, *check.details])


@cache
def _policies(own: tuple[str, ...]) -> tuple[Policy, ...]:
    """Return the bundled policies and further ones, compiled once in each process."""
    from rbacguard.policy import Category, Policy, load_policies

    more = (msgspec.json.decode(each, type=Policy) for each in own)
    return tuple(
        sorted((*load_policies(category=Category.RBAC), *more), key=lambda policy: policy.id)
    )


def _approvals(path: str) -> MigrationAccess:
    from rbacguard.approvals.model import load_approvals

    return load_approvals(path)


def _exemptions(given: tuple[str, ...]) -> list[Exemption]:
    if not given:
        return []
    from rbacguard.policy.configuration import Exemption

    return [Exemption.model_validate_json(each) for each in given]


class _Answer(Struct, frozen=True):
    code: int
    findings: list[wire.FleetFindingModel]
    gaps: list[str]
    lost: list[wire.ReachModel] = []


def look(cluster: Cluster, task: Task, known: str = "") -> bytes:
    """Look at one cluster; whatever is wrong with it is an answer, not an exception.

    Args:
        cluster: which.
        task: what to ask.
        known: digests of an answer that is there already, input and task, as `known_by` has them.

    Returns:
        A `FleetClusterModel` as JSON, or nothing where the known answer still holds.
    """
    asked = ""
    try:
        asked = task.digest(cluster)
        with _local(cluster) as path:
            if known and path and known == known_by(fingerprint(path), asked):
                return b""
            snapshot = load([path]) if path else _live(cluster, task.command)
        # Of what was read, which may have changed since it was looked at.
        digest = "".join(each.sha256 for each in snapshot.coverage.inputs)
        step = status(snapshot)
        answer = task.run(cluster, snapshot, step)
        made = wire.FleetClusterModel(
            cluster=cluster.name,
            source=cluster.source,
            input=digest,
            asked=asked,
            result=_RESULTS[answer.code],
            step=step.step.value,
            installed=step.installed.label,
            lost=answer.lost,
            findings=answer.findings,
            gaps=answer.gaps,
        )
    except RbacguardError as error:
        made = failed(cluster, str(error), asked)
    except Exception as error:  # noqa: BLE001 - one cluster must not take the others with it
        made = failed(cluster, f"error of the tool: {type(error).__name__}: {error}", asked)
    return wire.encode(made)


def known_by(digest: str, asked: str) -> str:
    """Return what an answer is known by."""
    return f"{digest} {asked}"


def failed(cluster: Cluster, reason: str, asked: str = "") -> wire.FleetClusterModel:
    """Return the answer of a cluster that could not be read."""
    return wire.FleetClusterModel(
        cluster=cluster.name,
        source=cluster.source,
        input="",
        asked=asked,
        result="failed",
        reason=" ".join(reason.split()),
    )


@contextmanager
def _local(cluster: Cluster) -> Iterator[str]:
    """Give the path of what was saved; what lies elsewhere is there as long as this lasts."""
    if "://" not in cluster.path:
        yield cluster.path
        return
    import fsspec

    with tempfile.TemporaryDirectory(prefix="rbacguard-") as folder:
        system, remote = fsspec.core.url_to_fs(cluster.path)
        path = Path(folder, file_name(remote.rstrip("/").rpartition("/")[2]))
        try:
            system.get(remote, str(path), recursive=system.isdir(remote))
        except OSError as error:
            raise RbacguardError(f"{cluster.path}: {error.strerror or error}") from None
        try:
            yield str(path)
        except RbacguardError as error:
            raise RbacguardError(str(error).replace(str(path), cluster.path)) from None


def _live(cluster: Cluster, command: Command) -> Snapshot:
    overrides = Overrides(kubeconfig=cluster.kubeconfig, context=cluster.context)
    access = find_config(overrides, os.environ, Path.home())
    with Connection(access) as connection:
        return snapshot_of(read_cluster(connection, NEEDS[command]))
