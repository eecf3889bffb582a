"""The step of the update procedure that a cluster is at, by the content of its roles first."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from rbacguard.kubevirt.installed import Installed, installed, suggested_target
from rbacguard.kubevirt.migrate_bindings import bound_to_migrate
from rbacguard.kubevirt.names import MIGRATE
from rbacguard.snapshot import Snapshot
from rbacguard.update.temporary_role import migrate_aggregated_into, temporary_roles


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


_PLAN = "rbacguard plan {input} --to {target}"
_GENERATE = "rbacguard generate {input} --to {target} --out live-migration"
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
    """The step of a cluster, and what it depends on.

    Attributes:
        step: the step.
        title: a description of the step.
        next: what to do next.
        installed: what is installed, and how that is known.
        temporary_roles: names of the roles that aggregate migration into the default roles.
        bound: how many subjects are bound to kubevirt.io:migrate.
        restored: the default roles that kubevirt.io:migrate is aggregated into.
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
        """The next commands. `{input}` stands for the input arguments."""
        target = suggested_target(self.installed).cnv_version
        return tuple(command.replace("{target}", target) for command in _COMMANDS[self.step])


def status(snapshot: Snapshot) -> Status:
    """Return the step of a cluster."""
    now = installed(snapshot)
    temporary = tuple(role.name for role in temporary_roles(snapshot))
    bound = len(bound_to_migrate(snapshot))
    restored = migrate_aggregated_into(snapshot)
    step, title, following = _step(snapshot, now, temporary, bound, restored)
    gaps = snapshot.coverage.missing()
    if gaps and step is Step.DONE:
        step, title = Step.UNKNOWN, "Appears complete, but the input is incomplete"
        following = "Create a complete dump and run 'rbacguard verify'"
    return Status(step, title, following, now, temporary, bound, restored, gaps)


def _step(
    snapshot: Snapshot,
    now: Installed,
    temporary: tuple[str, ...],
    bound: int,
    restored: tuple[str, ...],
) -> tuple[Step, str, str]:
    if now.update_in_progress or (now.restricted and MIGRATE not in snapshot.cluster_roles):
        following = "Wait for the update to complete, then create a new dump"
        return Step.UPDATING, "Update in progress", following
    if now.restricted is None:
        title = "Unknown: the roles of KubeVirt are not in the input"
        return Step.UNKNOWN, title, "Create a new dump"
    if now.restricted:
        return _step_after(temporary, bound, restored)
    if temporary:
        return (
            Step.TEMPORARY_ROLE,
            "Before the update, temporary role present",
            "Run 'rbacguard plan' to find subjects that are not covered, then update",
        )
    prepared = f", {bound} subjects already bound" if bound else ""
    return (
        Step.BEFORE,
        f"Before the update{prepared}",
        "Run 'rbacguard plan' and 'rbacguard generate' to prepare the update",
    )


def _step_after(
    temporary: tuple[str, ...], bound: int, restored: tuple[str, ...]
) -> tuple[Step, str, str]:
    if restored:
        return (
            Step.REVERTED,
            f"Previous default restored: {MIGRATE} is aggregated into " + ", ".join(restored),
            f"Bind {MIGRATE} to trusted subjects, then remove the label",
        )
    if not bound:
        present = ", temporary role still present" if temporary else ""
        return (
            Step.NOT_BOUND,
            f"Updated, no subject bound to {MIGRATE}{present}",
            f"Bind {MIGRATE} to trusted subjects ('rbacguard generate')"
            + (", then delete the temporary role" if temporary else ""),
        )
    if temporary:
        return (
            Step.NOT_CLEANED_UP,
            "Updated and bound, temporary role still present: " + ", ".join(temporary),
            "Delete the temporary role, then run 'rbacguard verify'",
        )
    return (
        Step.DONE,
        f"Complete: updated, {bound} subjects bound, no temporary role",
        "Run 'rbacguard verify --approvals FILE' to verify the cleanup",
    )
