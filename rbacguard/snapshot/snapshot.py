"""`Snapshot`: one immutable reading of a cluster, and the authorizer over it."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, wraps
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Literal, TypeAlias, TypeVar, cast

from msgspec import Struct

from rbacguard.errors import InputError
from rbacguard.rbac import (
    Aggregation,
    Authorizer,
    ClusterRole,
    ObjectKey,
    PolicyRule,
    Role,
    aggregate,
)
from rbacguard.rbac.aggregation import ResolvedRoles
from rbacguard.rbac.types import AnyBinding, AnyRole
from rbacguard.snapshot.coverage import Coverage, Defect, Location
from rbacguard.snapshot.objects import (
    Group,
    HyperConverged,
    KubeVirt,
    Namespace,
    RoleBindingRestriction,
)

AggregateMode: TypeAlias = Literal["as-recorded", "recompute"]

_BINDINGS = ("ClusterRoleBinding", "RoleBinding")
_FIRST = itemgetter(0)
_NAME = attrgetter("metadata.name")
_T = TypeVar("_T")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def _of_kinds(*kinds: str) -> Callable[[Callable[[Snapshot], _T]], cached_property[_T]]:
    """Return what remembers a property for a snapshot, and for those made from it.

    Args:
        kinds: the kinds of objects that it is about; where one of them changed it is found anew.
    """

    def decorate(find: Callable[[Snapshot], _T]) -> cached_property[_T]:
        @wraps(find)
        def found(snapshot: Snapshot) -> _T:
            base = snapshot._made_from(kinds)  # noqa: SLF001 - its own class
            return find(snapshot) if base is None else getattr(base, find.__name__)

        return cached_property(found)

    return decorate


class Snapshot:
    """One state of a cluster: its RBAC objects, what they grant, and what was not read.

    Attributes:
        coverage: which kinds were read, and what is missing.
        defects: parts of objects that the API server would refuse, and that were left out.
        aggregate: whether aggregated ClusterRoles hold the rules recorded in them, or those that
            the controller would compute.
    """

    def __init__(
        self,
        by_kind: Mapping[str, Mapping[ObjectKey, Struct]],
        *,
        coverage: Coverage,
        locations: Mapping[ObjectKey, Location] | None = None,
        defects: Iterable[Defect] = (),
        aggregate: AggregateMode = "as-recorded",
    ) -> None:
        """Hold the objects; nothing is evaluated yet."""
        if aggregate not in ("as-recorded", "recompute"):
            raise InputError(
                f"aggregate: expected 'as-recorded' or 'recompute', found {aggregate!r}"
            )
        self._by_kind = dict(by_kind)
        self.coverage = coverage
        self.locations = {} if locations is None else locations
        self.defects = tuple(sorted(defects))
        self.aggregate: AggregateMode = aggregate
        self._base: Snapshot | None = None
        self._changed: frozenset[str] = frozenset()

    def __len__(self) -> int:
        """Return how many objects it has."""
        return sum(map(len, self._by_kind.values()))

    @cached_property
    def newest(self) -> str:
        """The latest moment that it tells of, RFC 3339, UTC: of reading, or of making an object."""
        origin = self.coverage.origin
        moments = [origin.finished] if origin else []
        for values in self._by_kind.values():
            for each in values.values():
                metadata = getattr(each, "metadata", None)
                moments.append(getattr(metadata, "creation_timestamp", ""))
        return max(filter(_MOMENT.fullmatch, moments), default="")

    def refuse_before(self, today: datetime.date) -> None:
        """Refuse a clock that is more than a day behind: what has expired would still count.

        Raises:
            InputError: it is.
        """
        if self.newest[:10] > (today + datetime.timedelta(days=1)).isoformat():
            raise InputError(
                f"this machine's clock says {today}, and the input tells of {self.newest}: what "
                "has expired would still count; set the clock, or give the day with --today"
            )

    def replace(
        self,
        put: Iterable[AnyRole | AnyBinding] = (),
        delete: Iterable[ObjectKey] = (),
        *,
        aggregate: AggregateMode | None = None,
    ) -> Snapshot:
        """Return a snapshot with objects added, replaced or removed; this one stays as it is."""
        changed: dict[str, dict[ObjectKey, Struct]] = {}

        def of_kind(kind: str) -> dict[ObjectKey, Struct]:
            if kind not in changed:
                changed[kind] = dict(self._by_kind.get(kind, {}))
            return changed[kind]

        for key in delete:
            of_kind(key.kind).pop(key, None)
        for value in put:
            identity = value.key if isinstance(value, ClusterRole | Role) else value.ref
            of_kind(identity.kind)[identity] = value
        if not changed and aggregate in (None, self.aggregate):
            return self
        by_kind = {**self._by_kind, **changed}
        made = Snapshot(
            by_kind,
            coverage=self.coverage,
            locations=self.locations,
            defects=[d for d in self.defects if d.key in by_kind.get(d.key.kind, {})],
            aggregate=aggregate or self.aggregate,
        )
        made._base, made._changed = self, frozenset(changed)
        return made

    def _made_from(self, kinds: Iterable[str]) -> Snapshot | None:
        """Return what this one was made from, if objects of these kinds are the same there."""
        return None if self._changed.intersection(kinds) else self._base

    def _of_kind(self, kind: str) -> list[Any]:
        values = self._by_kind.get(kind, {})
        return [values[key] for key in sorted(values)]

    @property
    def objects(self) -> dict[ObjectKey, Struct]:
        """Every object by its identity."""
        return {key: value for values in self._by_kind.values() for key, value in values.items()}

    @_of_kinds("ClusterRole")
    def cluster_roles(self) -> Mapping[str, ClusterRole]:
        """ClusterRoles by name, in order."""
        return {role.metadata.name: role for role in self._of_kind("ClusterRole")}

    @_of_kinds("Role")
    def roles(self) -> Mapping[ObjectKey, Role]:
        """Roles by identity, in order."""
        return {role.key: role for role in self._of_kind("Role")}

    @_of_kinds(*_BINDINGS)
    def bindings_in(self) -> Mapping[str, Sequence[AnyBinding]]:
        """By scope, '' for the whole cluster, the bindings there, in order."""
        found: defaultdict[str, list[AnyBinding]] = defaultdict(list)
        for kind in ("ClusterRoleBinding", "RoleBinding"):
            values = cast("Mapping[ObjectKey, AnyBinding]", self._by_kind.get(kind, {}))
            for key, binding in values.items():
                found[key.namespace].append(binding)
        # Names are quicker to compare than keys, of which there are a hundred thousand.
        for bindings in found.values():
            bindings.sort(key=_NAME)
        return dict(sorted(found.items(), key=_FIRST))

    @_of_kinds(*_BINDINGS)
    def bindings(self) -> tuple[AnyBinding, ...]:
        """All ClusterRoleBindings, then all RoleBindings, in order."""
        return tuple(chain.from_iterable(self.bindings_in.values()))

    def binding(self, key: ObjectKey) -> AnyBinding | None:
        """Return a binding, or None when the input has none of that name."""
        return cast("AnyBinding | None", self._by_kind.get(key.kind, {}).get(key))

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """OpenShift groups and their users."""
        groups: list[Group] = self._of_kind("Group")
        return {group.metadata.name: group.members for group in groups}

    @cached_property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """Every namespace that the input knows of, and its labels."""
        found: list[Namespace] = self._of_kind("Namespace")
        known = {namespace.metadata.name: namespace.metadata.labels for namespace in found}
        for values in self._by_kind.values():
            for key in values:
                if key.namespace:
                    known.setdefault(key.namespace, {})
        return dict(sorted(known.items()))

    @cached_property
    def service_accounts(self) -> frozenset[tuple[str, str]]:
        """Service accounts in the input, as (namespace, name)."""
        return frozenset((k.namespace, k.name) for k in self._by_kind.get("ServiceAccount", ()))

    @property
    def kubevirts(self) -> list[KubeVirt]:
        """KubeVirt resources."""
        return cast("list[KubeVirt]", self._of_kind("KubeVirt"))

    @property
    def hyperconvergeds(self) -> list[HyperConverged]:
        """HyperConverged resources."""
        return cast("list[HyperConverged]", self._of_kind("HyperConverged"))

    @cached_property
    def restrictions(self) -> Mapping[str, tuple[RoleBindingRestriction, ...]]:
        """OpenShift RoleBindingRestrictions by namespace."""
        found: dict[str, tuple[RoleBindingRestriction, ...]] = {}
        for restriction in cast(
            "list[RoleBindingRestriction]", self._of_kind("RoleBindingRestriction")
        ):
            namespace = restriction.metadata.namespace
            found[namespace] = (*found.get(namespace, ()), restriction)
        return found

    def role(self, key: ObjectKey) -> AnyRole | None:
        """Return a role, or None when the input has none of that name."""
        if key.kind == "ClusterRole":
            return self.cluster_roles.get(key.name)
        return self.roles.get(key)

    @cached_property
    def aggregation(self) -> Aggregation:
        """What the aggregation controller would make of the ClusterRoles."""
        return aggregate(self.cluster_roles.values())

    @property
    def rules(self) -> Mapping[ObjectKey, tuple[PolicyRule, ...]]:
        """The rules of each role: of aggregated roles as recorded, or as computed."""
        return self.resolved_roles.rules

    @cached_property
    def resolved_roles(self) -> ResolvedRoles:
        """The rules of each role, and the roles that they come from."""
        rules = {}
        for kind in ("ClusterRole", "Role"):
            roles = cast("Mapping[ObjectKey, AnyRole]", self._by_kind.get(kind, {}))
            rules.update({key: role.rules for key, role in roles.items()})
        if self.aggregate == "recompute":
            for name, computed in self.aggregation.rules.items():
                rules[ObjectKey("ClusterRole", "", name)] = computed
        return ResolvedRoles(rules, self.aggregation.sources)

    @cached_property
    def authorizer(self) -> Authorizer:
        """The authorizer over this snapshot."""
        return Authorizer(self.bindings_in, self.resolved_roles)

    @cached_property
    def drift(self) -> Mapping[str, tuple[tuple[PolicyRule, ...], tuple[PolicyRule, ...]]]:
        """Aggregated roles whose recorded rules are not those the controller would write.

        By name: the rules recorded but not computed, and those computed but not recorded.
        """
        found = {}
        for name, computed in self.aggregation.rules.items():
            recorded = self.cluster_roles[name].rules
            is_recorded, is_computed = set(recorded), set(computed)
            if is_recorded != is_computed:
                found[name] = (
                    tuple(rule for rule in recorded if rule not in is_computed),
                    tuple(rule for rule in computed if rule not in is_recorded),
                )
        return found
