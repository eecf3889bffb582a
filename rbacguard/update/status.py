"""Which step of the update a cluster is at, by what its roles say first."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.migrate_bindings import bound_to_migrate
from rbacguard.kubevirt.names import MIGRATE
from rbacguard.snapshot import Snapshot
from rbacguard.update.temporary_role import restored_default, temporary_roles


class Step(StrEnum):
    """The steps, in order."""

    BEFORE = "before"
    TEMPORARY_ROLE = "temporary-role-in-place"
    UPDATING = "updating"
    NOT_BOUND = "updated-not-bound"
    NOT_CLEANED_UP = "bound-not-cleaned-up"
    DONE = "done"
    REVERTED = "reverted"
    UNKNOWN = "unknown"


_PLAN = "rbacguard plan {input} --to 4.20"
_GENERATE = "rbacguard generate {input} --to 4.20 --out live-migration"
_VERIFY = "rbacguard verify {input} --approvals live-migration/approvals.yaml"
_COMMANDS = {
    Step.BEFORE: (_PLAN, _GENERATE),
    Step.TEMPORARY_ROLE: (_PLAN,),
    Step.UPDATING: ("rbacguard status",),
    Step.NOT_BOUND: (_GENERATE,),
    Step.NOT_CLEANED_UP: (_VERIFY,),
    Step.DONE: (_VERIFY,),
    Step.REVERTED: (_GENERATE,),
    Step.UNKNOWN: ("rbacguard snapshot -o cluster.json.zst",),
}


class Status(Struct, frozen=True):
    """Where a cluster stands.

    Attributes:
        step: the step.
        title: the step in words.
        next: what to do next.
        installed: what is installed, and how that is known.
        temporary_roles: names of the roles that aggregate migration into the default roles.
        bound: how many subjects are bound to kubevirt.io:migrate.
        restored: which default roles take up kubevirt.io:migrate.
        gaps: what was not read.
    """

    step: Step
    title: str
    next: str
    installed: Installed
    temporary_roles: tuple[str, ...]
    bound: int
    restored: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """What to run next; `{input}` stands for the arguments that say what is read."""
        return _COMMANDS[self.step]


def status(snapshot: Snapshot) -> Status:
    """Tell the step of the journey."""
    now = installed(snapshot)
    temporary = tuple(role.name for role in temporary_roles(snapshot))
    bound = len(bound_to_migrate(snapshot))
    restored = restored_default(snapshot)
    step, title, following = _step(snapshot, now, temporary, bound, restored)
    gaps = snapshot.coverage.gaps()
    if gaps and step is Step.DONE:
        step, title = Step.UNKNOWN, "looks done, but the input is incomplete"
        following = "take a complete dump and run 'rbacguard verify'"
    return Status(step, title, following, now, temporary, bound, restored, gaps)


def _step(
    snapshot: Snapshot,
    now: Installed,
    temporary: tuple[str, ...],
    bound: int,
    restored: tuple[str, ...],
) -> tuple[Step, str, str]:
    if now.updating or (now.hardened and MIGRATE not in snapshot.cluster_roles):
        return Step.UPDATING, "updating", "wait until the update is through, then take a new dump"
    if now.hardened is None:
        return Step.UNKNOWN, "unknown: KubeVirt's roles are not in the input", "take a new dump"
    if now.hardened:
        return _step_after(temporary, bound, restored)
    if temporary:
        return (
            Step.TEMPORARY_ROLE,
            "before the update, temporary role in place",
            "check with 'rbacguard plan' whom the temporary role misses, then update",
        )
    ready = f", {bound} subjects bound in advance" if bound else ""
    return (
        Step.BEFORE,
        f"before the update{ready}",
        "run 'rbacguard plan' and 'rbacguard generate' to prepare it",
    )


def _step_after(
    temporary: tuple[str, ...], bound: int, restored: tuple[str, ...]
) -> tuple[Step, str, str]:
    if restored:
        return (
            Step.REVERTED,
            "reverted: kubevirt.io:migrate is aggregated into " + ", ".join(restored),
            "bind kubevirt.io:migrate to those who are trusted, then remove the label",
        )
    if not bound:
        left = ", temporary role still in place" if temporary else ""
        return (
            Step.NOT_BOUND,
            f"updated, nobody bound to kubevirt.io:migrate{left}",
            "bind kubevirt.io:migrate to those who are trusted ('rbacguard generate')"
            + (", then delete the temporary role" if temporary else ""),
        )
    if temporary:
        return (
            Step.NOT_CLEANED_UP,
            "updated and bound, not cleaned up: " + ", ".join(temporary),
            "delete the temporary role, then run 'rbacguard verify'",
        )
    return (
        Step.DONE,
        f"done: updated, {bound} subjects bound, no temporary role",
        "run 'rbacguard verify --approvals FILE' to be certain",
    )
