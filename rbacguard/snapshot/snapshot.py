"""`Snapshot`: the immutable state of one cluster, with an authorizer for it."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias, cast

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
from rbacguard.snapshot.coverage import Coverage, InvalidField, Location
from rbacguard.snapshot.objects import (
    Group,
    HyperConverged,
    KubeVirt,
    Namespace,
    RoleBindingRestriction,
)

AggregateMode: TypeAlias = Literal["as-recorded", "recompute"]

_ROLE_KINDS = ("ClusterRole", "Role")
_BINDING_KINDS = ("ClusterRoleBinding", "RoleBinding")
_name = attrgetter("metadata.name")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Drift(NamedTuple):
    """How the recorded rules of an aggregated ClusterRole differ from the computed ones.

    Attributes:
        unexpected: rules that are recorded but not computed.
        missing: rules that are computed but not recorded.
    """

    unexpected: tuple[PolicyRule, ...]
    missing: tuple[PolicyRule, ...]


class Snapshot:
    """The state of one cluster: RBAC objects, what they grant, and what was not read.

    Attributes:
        by_kind: the objects of each kind, by identity.
        coverage: how completely each kind was read.
        locations: where each object was read.
        invalid_fields: fields that the API server would reject, and that were left out.
        aggregate: whether aggregated ClusterRoles have their recorded rules, or the rules that
            the controller would compute.
    """

    def __init__(
        self,
        by_kind: Mapping[str, Mapping[ObjectKey, Struct]],
        *,
        coverage: Coverage,
        locations: Mapping[ObjectKey, Location] | None = None,
        invalid_fields: Iterable[InvalidField] = (),
        aggregate: AggregateMode = "as-recorded",
    ) -> None:
        """Store the objects. Everything else is computed lazily.

        Raises:
            InputError: `aggregate` is not a mode.
        """
        if aggregate not in ("as-recorded", "recompute"):
            raise InputError(
                f"aggregate: expected 'as-recorded' or 'recompute', found {aggregate!r}"
            )
        self.by_kind = dict(by_kind)
        self.coverage = coverage
        self.locations = {} if locations is None else locations
        self.invalid_fields = tuple(sorted(invalid_fields))
        self.aggregate: AggregateMode = aggregate

    def __len__(self) -> int:
        """Return the number of objects."""
        return sum(map(len, self.by_kind.values()))

    @property
    def cluster_id(self) -> str:
        """The UID of namespace kube-system, which identifies the cluster; '' if unknown."""
        namespace = self.by_kind.get("Namespace", {}).get(ObjectKey("Namespace", "", "kube-system"))
        uid = namespace.metadata.uid if isinstance(namespace, Namespace) else ""
        origin = self.coverage.origin
        return uid or (origin.cluster_id if origin else "")

    @cached_property
    def latest_timestamp(self) -> str:
        """The end of reading or the latest creation of an object; RFC 3339, UTC; '' if unknown."""
        origin = self.coverage.origin
        found = [origin.finished] if origin else []
        for values in self.by_kind.values():
            for each in values.values():
                metadata = getattr(each, "metadata", None)
                found.append(getattr(metadata, "creation_timestamp", ""))
        return max(filter(_TIMESTAMP.fullmatch, found), default="")

    def check_clock(self, today: datetime.date) -> None:
        """Check that the local clock is at most one day behind the snapshot.

        With a clock that is behind, expired approvals would still count.

        Raises:
            InputError: the clock is further behind.
        """
        if self.latest_timestamp[:10] > (today + datetime.timedelta(days=1)).isoformat():
            raise InputError(
                f"the local clock says {today}, but the input contains {self.latest_timestamp}: "
                "what has expired would still count; set the clock, or give the day with --today"
            )

    def replace(
        self,
        put: Iterable[AnyRole | AnyBinding] = (),
        delete: Iterable[ObjectKey] = (),
        *,
        aggregate: AggregateMode | None = None,
    ) -> Snapshot:
        """Return a snapshot with objects added, replaced, or deleted."""
        changed: dict[str, dict[ObjectKey, Struct]] = {}

        def of_kind(kind: str) -> dict[ObjectKey, Struct]:
            if kind not in changed:
                changed[kind] = dict(self.by_kind.get(kind, {}))
            return changed[kind]

        for key in delete:
            of_kind(key.kind).pop(key, None)
        for value in put:
            identity = value.key if isinstance(value, ClusterRole | Role) else value.ref
            of_kind(identity.kind)[identity] = value
        if not changed and aggregate in (None, self.aggregate):
            return self
        by_kind = {**self.by_kind, **changed}
        return Snapshot(
            by_kind,
            coverage=self.coverage,
            locations=self.locations,
            invalid_fields=[f for f in self.invalid_fields if f.key in by_kind.get(f.key.kind, {})],
            aggregate=aggregate or self.aggregate,
        )

    def _sorted(self, kind: str) -> list[Any]:
        values = self.by_kind.get(kind, {})
        return [values[key] for key in sorted(values)]

    @property
    def objects(self) -> dict[ObjectKey, Struct]:
        """All objects by identity."""
        return {key: value for values in self.by_kind.values() for key, value in values.items()}

    @cached_property
    def cluster_roles(self) -> Mapping[str, ClusterRole]:
        """ClusterRoles by name, sorted."""
        return {role.metadata.name: role for role in self._sorted("ClusterRole")}

    @cached_property
    def roles(self) -> Mapping[ObjectKey, Role]:
        """Roles by identity, sorted."""
        return {role.key: role for role in self._sorted("Role")}

    @cached_property
    def bindings_in(self) -> Mapping[str, Sequence[AnyBinding]]:
        """Bindings by namespace, sorted; ClusterRoleBindings have namespace ''."""
        found: defaultdict[str, list[AnyBinding]] = defaultdict(list)
        for kind in _BINDING_KINDS:
            values = cast("Mapping[ObjectKey, AnyBinding]", self.by_kind.get(kind, {}))
            for key, binding in values.items():
                found[key.namespace].append(binding)
        for bindings in found.values():
            bindings.sort(key=_name)
        return dict(sorted(found.items()))

    @cached_property
    def bindings(self) -> tuple[AnyBinding, ...]:
        """All ClusterRoleBindings, then all RoleBindings, sorted."""
        return tuple(chain.from_iterable(self.bindings_in.values()))

    def binding(self, key: ObjectKey) -> AnyBinding | None:
        """Return a binding, or None if the input does not contain it."""
        return cast("AnyBinding | None", self.by_kind.get(key.kind, {}).get(key))

    def role(self, key: ObjectKey) -> AnyRole | None:
        """Return a role, or None if the input does not contain it."""
        if key.kind == "ClusterRole":
            return self.cluster_roles.get(key.name)
        return self.roles.get(key)

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Users of each OpenShift Group, by name of the group."""
        groups: list[Group] = self._sorted("Group")
        return {group.metadata.name: group.users for group in groups}

    @cached_property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """Labels of each namespace that the input contains or mentions, by name."""
        found: list[Namespace] = self._sorted("Namespace")
        known = {namespace.metadata.name: namespace.metadata.labels for namespace in found}
        for values in self.by_kind.values():
            for key in values:
                if key.namespace:
                    known.setdefault(key.namespace, {})
        return dict(sorted(known.items()))

    @cached_property
    def service_accounts(self) -> frozenset[tuple[str, str]]:
        """ServiceAccounts as (namespace, name)."""
        return frozenset((k.namespace, k.name) for k in self.by_kind.get("ServiceAccount", ()))

    @property
    def kubevirts(self) -> list[KubeVirt]:
        """KubeVirt objects, sorted."""
        return cast("list[KubeVirt]", self._sorted("KubeVirt"))

    @property
    def hyperconvergeds(self) -> list[HyperConverged]:
        """HyperConverged objects, sorted."""
        return cast("list[HyperConverged]", self._sorted("HyperConverged"))

    @cached_property
    def restrictions(self) -> Mapping[str, Sequence[RoleBindingRestriction]]:
        """OpenShift's RoleBindingRestrictions by namespace."""
        found: dict[str, list[RoleBindingRestriction]] = {}
        for restriction in self._sorted("RoleBindingRestriction"):
            found.setdefault(restriction.metadata.namespace, []).append(restriction)
        return found

    @cached_property
    def aggregation(self) -> Aggregation:
        """The rules that the aggregation controller would write into ClusterRoles."""
        return aggregate(self.cluster_roles.values())

    @property
    def rules(self) -> Mapping[ObjectKey, tuple[PolicyRule, ...]]:
        """The rules of each role: of aggregated roles as recorded, or as computed."""
        return self.resolved_roles.rules

    @cached_property
    def resolved_roles(self) -> ResolvedRoles:
        """The rules of each role, and the roles that they come from."""
        rules = {}
        for kind in _ROLE_KINDS:
            roles = cast("Mapping[ObjectKey, AnyRole]", self.by_kind.get(kind, {}))
            rules.update({key: role.rules for key, role in roles.items()})
        if self.aggregate == "recompute":
            for name, computed in self.aggregation.rules.items():
                rules[ObjectKey("ClusterRole", "", name)] = computed
        return ResolvedRoles(rules, self.aggregation.sources)

    @cached_property
    def authorizer(self) -> Authorizer:
        """The authorizer of this snapshot."""
        return Authorizer(self.bindings_in, self.resolved_roles)

    @cached_property
    def drift(self) -> Mapping[str, Drift]:
        """Aggregated ClusterRoles with rules that the controller would not write, by name."""
        found = {}
        for name, computed in self.aggregation.rules.items():
            recorded = self.cluster_roles[name].rules
            is_recorded, is_computed = set(recorded), set(computed)
            if is_recorded != is_computed:
                found[name] = Drift(
                    tuple(rule for rule in recorded if rule not in is_computed),
                    tuple(rule for rule in computed if rule not in is_recorded),
                )
        return found
