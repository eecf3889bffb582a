"""What every check works on and yields."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from msgspec import Struct

from rbacguard.kubevirt.installed import Installed, installed
from rbacguard.kubevirt.releases import HARDENED, Release
from rbacguard.rbac import Grant, ObjectKey, Reviews, Subject
from rbacguard.readiness.assessment import Readiness, assess
from rbacguard.readiness.inventory import Inventory
from rbacguard.readiness.migrations import Migration, migrations
from rbacguard.snapshot import Snapshot
from rbacguard.update.plan import Plan, make_plan

if TYPE_CHECKING:
    # Read by pydantic, which takes long to load.
    from rbacguard.approvals.model import MigrationAccess

BROAD_GROUPS = ("system:authenticated", "system:authenticated:oauth", "system:unauthenticated")
SERVICE_ACCOUNT_GROUPS = "system:serviceaccounts"

Value: TypeAlias = str | bool | int | list[str] | dict[str, str]


class FactType(StrEnum):
    """The type of a fact's field, by which conditions are checked when a policy is loaded."""

    STRING = "string"
    BOOL = "bool"
    INT = "int"
    LIST = "list"
    MAP = "map"


class Fact(Struct, frozen=True):
    """Something that a check found; it knows nothing of severity or words.

    Attributes:
        fields: the values that a policy's condition and message refer to.
        group: facts of one policy with the same group are shown together.
        scope: the namespace, or '' for the whole cluster.
        grants: the evidence.
        objects: the objects it is about, for locations.
    """

    fields: Mapping[str, Value]
    group: str
    scope: str = ""
    grants: tuple[Grant, ...] = ()
    objects: tuple[ObjectKey, ...] = ()


class Workloads:
    """VMs and nodes for readiness checks; each part is computed lazily.

    Args:
        inventory: the objects of the cluster.
        now: the time at which ages of migrations are calculated.
        bandwidth: bandwidth of the migration network of a node in bytes per second, if known.
    """

    def __init__(
        self, inventory: Inventory, now: datetime.datetime, bandwidth: Decimal | None = None
    ) -> None:
        """Store the arguments."""
        self.inventory = inventory
        self.now, self._bandwidth = now, bandwidth

    @cached_property
    def readiness(self) -> Readiness:
        """Whether node drains can complete."""
        return assess(self.inventory, self._bandwidth)

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """All VirtualMachineInstanceMigrations."""
        return migrations(self.inventory, self.now)


class Context:
    """What checks may look at.

    Args:
        snapshot: the cluster.
        today: the day that expiry dates are compared with.
        target: the release to update to; None simulates the update to 4.19 where it is ahead.
        access: the approvals, where given.
        inputs: the arguments that say what was read, for commands to paste.
        reviews: what the API server itself said, where it was asked.
        workloads: VMs and nodes, if they were read.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        today: datetime.date,
        target: Release | None = None,
        access: MigrationAccess | None = None,
        inputs: Sequence[str] = ("-f", "cluster.json"),
        reviews: Reviews | None = None,
        workloads: Workloads | None = None,
    ) -> None:
        """Evaluate nothing yet."""
        self.reviews = reviews
        self.workloads = workloads
        self.inputs = tuple(inputs)
        self.snapshot = snapshot
        self.today = today
        self.access = access
        self._target = target

    @cached_property
    def now(self) -> Installed:
        """What is installed."""
        return installed(self.snapshot)

    @cached_property
    def plan(self) -> Plan | None:
        """The plan for the update; None where none is ahead."""
        target = self._target
        if target is None and self.now.hardened is False:
            target = HARDENED
        return None if target is None else make_plan(self.snapshot, target)


class Check(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """A typed check: its fields are what a policy may set, `FACTS` what its condition may ask."""

    FACTS: ClassVar[Mapping[str, FactType]]
    NEEDS: ClassVar[tuple[str, ...]] = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")

    @property
    def type(self) -> str:
        """By what a policy names it."""
        return str(self.__struct_config__.tag)

    def not_asked(self, context: Context) -> str:  # noqa: ARG002 - for those that depend on it
        """Return why this cannot be asked of that context, or ''."""
        return ""

    def gaps(self, context: Context) -> tuple[str, ...]:
        """Return why finding nothing does not mean that there is nothing."""
        return context.snapshot.coverage.missing(self.NEEDS) if self.NEEDS else ()

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield what is found, in a fixed order."""
        raise NotImplementedError


class ReadinessCheck(Check, frozen=True):
    """A check of VMs and nodes, which runs if they were read."""

    def not_asked(self, context: Context) -> str:
        """Return why the check is not applicable, or ''."""
        return "" if context.workloads else "asked by 'rbacguard readiness'"

    def gaps(self, context: Context) -> tuple[str, ...]:
        """Return the incomplete kinds that the check needs."""
        return context.workloads.inventory.coverage.missing(self.NEEDS) if context.workloads else ()

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield the facts in a fixed order; none if VMs and nodes were not read."""
        if context.workloads is not None:
            yield from self.facts(context.workloads, context)

    def facts(self, workloads: Workloads, context: Context) -> Iterator[Fact]:
        """Yield the facts in a fixed order."""
        raise NotImplementedError


def answer(value: bool | None) -> str:
    """Return `yes`, `no` or `unknown`."""
    return {True: "yes", False: "no", None: "unknown"}[value]


def subject_fields(subject: Subject) -> dict[str, str]:
    """Return a subject as a map for conditions."""
    return {"kind": subject.kind, "name": subject.name, "namespace": subject.namespace}


def key_fields(key: ObjectKey) -> dict[str, str]:
    """Return an object's identity as a map for conditions."""
    return {"kind": key.kind, "name": key.name, "namespace": key.namespace}


def place(scope: str) -> str:
    """Return a scope in words."""
    return f"namespace {scope}" if scope else "the whole cluster"


def is_broad(subject: Subject) -> bool:
    """Whether a group holds everybody, or every service account of a namespace or the cluster."""
    return subject.kind == "Group" and (
        subject.name in BROAD_GROUPS or subject.name.startswith(SERVICE_ACCOUNT_GROUPS)
    )


def is_service_account(subject: Subject) -> bool:
    """Whether this is a service account, its user name, or a group of them."""
    return (
        subject.kind == "ServiceAccount"
        or subject.name.startswith("system:serviceaccount:")
        or (subject.kind == "Group" and subject.name.startswith(SERVICE_ACCOUNT_GROUPS))
    )


def chain(grant: Grant) -> str:
    """Return a grant on one line: binding, then roles down to the source."""
    return " -> ".join([str(grant.binding), *(role.name for role in grant.role_chain)])


def others(grants: Sequence[Grant]) -> str:
    """Return how many other chains there are beside that of the first grant; '' for none."""
    more = len({(grant.binding, grant.role_chain) for grant in grants}) - 1
    return f" (+{more} more)" if more else ""


def evidence(grants: tuple[Grant, ...]) -> tuple[ObjectKey, ...]:
    """Return the bindings and source roles behind grants, each once."""
    keys: dict[ObjectKey, None] = {}
    for grant in grants:
        keys[grant.binding] = None
        keys[grant.source_role] = None
    return tuple(keys)
