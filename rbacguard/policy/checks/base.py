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
from rbacguard.readiness.drain import Readiness, judge
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


class Machines:
    """What checks of machines look at; each part is worked out when it is first asked for.

    Args:
        inventory: what was read.
        now: the moment that ages of migrations are counted to.
        link: bytes per second that a node's migration network carries, where somebody knows.
    """

    def __init__(
        self, inventory: Inventory, now: datetime.datetime, link: Decimal | None = None
    ) -> None:
        """Judge nothing yet."""
        self.inventory = inventory
        self.now, self._link = now, link

    @cached_property
    def readiness(self) -> Readiness:
        """Whether the machines are ready for their nodes to be drained."""
        return judge(self.inventory, self._link)

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """Every migration, with its age."""
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
        machines: the cluster's machines and whether they are ready, where those were read.
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
        machines: Machines | None = None,
    ) -> None:
        """Evaluate nothing yet."""
        self.reviews = reviews
        self.machines = machines
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
        return context.snapshot.coverage.gaps(self.NEEDS) if self.NEEDS else ()

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield what is found, in a fixed order."""
        raise NotImplementedError


class MachineCheck(Check, frozen=True):
    """A check of machines and what is around them; asked where those were read."""

    def not_asked(self, context: Context) -> str:
        """Return that machines were not read, or ''."""
        return "" if context.machines else "asked by 'rbacguard readiness'"

    def gaps(self, context: Context) -> tuple[str, ...]:
        """Return what was not read of the kinds that it needs."""
        return context.machines.inventory.coverage.gaps(self.NEEDS) if context.machines else ()

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield what is found, in a fixed order."""
        if context.machines is not None:
            yield from self.look(context.machines, context)

    def look(self, machines: Machines, context: Context) -> Iterator[Fact]:
        """Yield what is found, in a fixed order."""
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
