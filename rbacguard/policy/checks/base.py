"""The base classes of checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from msgspec import Struct

from rbacguard.policy.context import Context, Workloads
from rbacguard.policy.facts import Fact, FactClass, FactType


class Check(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """A check yields facts of one type.

    The fields of a subclass are the parameters that a policy can set. Its tag is the type that a
    policy names.

    Attributes:
        FACT: the type of the facts.
        NEEDS: the kinds that must be read completely to conclude that there is no fact.
    """

    FACT: ClassVar[FactClass]
    NEEDS: ClassVar[tuple[str, ...]] = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")

    @property
    def type(self) -> str:
        """The type, as policies name it."""
        return str(self.__struct_config__.tag)

    @classmethod
    def variables(cls) -> Mapping[str, FactType]:
        """Return the variables of conditions and messages, with their types."""
        return cls.FACT.variables()

    def skip_reason(self, context: Context) -> str:  # noqa: ARG002 - subclasses use it
        """Return why the check does not apply to the context, or ''."""
        return ""

    def missing(self, context: Context) -> tuple[str, ...]:
        """Return what was not read and could hide facts."""
        return context.snapshot.coverage.missing(self.NEEDS) if self.NEEDS else ()

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield all facts in a fixed order. Conditions select the relevant ones."""
        raise NotImplementedError


class ReadinessCheck(Check, frozen=True):
    """A check of VMs and nodes, which applies only if they were read."""

    def skip_reason(self, context: Context) -> str:
        """Return why the check does not apply to the context, or ''."""
        return "" if context.workloads else "evaluated by 'rbacguard readiness'"

    def missing(self, context: Context) -> tuple[str, ...]:
        """Return what was not read and could hide facts."""
        return context.workloads.inventory.coverage.missing(self.NEEDS) if context.workloads else ()

    def run(self, context: Context) -> Iterator[Fact]:
        """Yield all facts in a fixed order."""
        if context.workloads is not None:
            yield from self.facts(context.workloads, context)

    def facts(self, workloads: Workloads, context: Context) -> Iterator[Fact]:
        """Yield all facts in a fixed order."""
        raise NotImplementedError
