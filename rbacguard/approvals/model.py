"""Approvals: the reviewed file that says who may migrate where."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml as pyyaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rbacguard.errors import InputError
from rbacguard.kubevirt.migrate_bindings import RequiredBinding, without_covered
from rbacguard.rbac import LabelSelector, LabelSelectorRequirement, Subject
from rbacguard.rbac.selectors import selector_error, selector_matches
from rbacguard.snapshot import Snapshot
from rbacguard.sources import yaml

MAX_BYTES = 64 * 1024 * 1024


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, defer_build=True
    )


Name = Annotated[str, Field(min_length=1)]


class ApprovedSubject(_Model):
    """A user, a group or a service account."""

    kind: Literal["User", "Group", "ServiceAccount"]
    name: Name
    namespace: str = ""

    @model_validator(mode="after")
    def _namespace_fits(self) -> ApprovedSubject:
        if self.kind == "ServiceAccount" and not self.namespace:
            raise ValueError("a ServiceAccount needs its namespace")
        if self.kind != "ServiceAccount" and self.namespace:
            raise ValueError(f"a {self.kind} has no namespace")
        return self

    @property
    def subject(self) -> Subject:
        """The subject as bindings name it."""
        return Subject(self.kind, self.name, self.namespace)


class Requirement(_Model):
    """One expression of a label selector."""

    key: Name
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = Field(default_factory=list)


class NamespaceSelector(_Model):
    """Which namespaces, by their labels; an empty one selects all."""

    match_labels: dict[str, str] = Field(default_factory=dict, alias="matchLabels")
    match_expressions: list[Requirement] = Field(default_factory=list, alias="matchExpressions")

    @model_validator(mode="after")
    def _can_be_evaluated(self) -> NamespaceSelector:
        wrong = selector_error(self.selector)
        if wrong:
            raise ValueError(wrong)
        return self

    @property
    def selector(self) -> LabelSelector:
        """The selector as RBAC's aggregation knows it."""
        expressions = (
            LabelSelectorRequirement(each.key, each.operator, tuple(each.values))
            for each in self.match_expressions
        )
        return LabelSelector(dict(self.match_labels), tuple(expressions))


class _Scoped(_Model):
    subject: ApprovedSubject
    namespaces: list[Name] = Field(default_factory=list)
    namespace_selector: NamespaceSelector | None = Field(default=None, alias="namespaceSelector")
    cluster_wide: bool = Field(default=False, alias="clusterWide")
    reason: str = ""

    @model_validator(mode="after")
    def _one_scope(self) -> _Scoped:
        given = (bool(self.namespaces), self.namespace_selector is not None, self.cluster_wide)
        if sum(given) != 1:
            raise ValueError("give one of namespaces, namespaceSelector or clusterWide: true")
        return self

    @property
    def needs(self) -> tuple[RequiredBinding, ...]:
        """One need for each scope; none for a selector before it is resolved."""
        scopes = [""] if self.cluster_wide else self.namespaces
        return tuple(RequiredBinding(scope, self.subject.subject) for scope in scopes)

    def resolved(self, namespaces: Mapping[str, Mapping[str, str]]) -> Self:
        """Return it with the namespaces that its selector selects."""
        if self.namespace_selector is None:
            return self
        selector = self.namespace_selector.selector
        found = [name for name, labels in namespaces.items() if selector_matches(selector, labels)]
        return self.model_copy(update={"namespaces": found})


class Approval(_Scoped):
    """A decision: may this subject migrate virtual machines there."""

    approved: bool
    owner: str = ""
    ticket: str = ""
    expires: datetime.date | None = Field(default=None, strict=False)


class OwnHolder(_Scoped):
    """Somebody who holds migration by grants of his own: is that known and accepted."""

    accepted: bool


class MigrationAccess(_Model):
    """The approvals file."""

    api_version: Literal["rbacguard.io/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["MigrationAccess"]
    approvals: list[Approval] = Field(default_factory=list)
    holders: list[OwnHolder] = Field(default_factory=list)

    @property
    def has_selectors(self) -> bool:
        """Whether who may where depends on the labels of namespaces."""
        return any(e.namespace_selector for e in (*self.approvals, *self.holders))

    def resolved(self, snapshot: Snapshot) -> MigrationAccess:
        """Return it with selectors turned into the namespaces of a cluster.

        Raises:
            InputError: a decision by selector contradicts another one.
        """
        if not self.has_selectors:
            return self
        spaces = snapshot.namespaces
        access = self.model_copy(
            update={
                "approvals": [each.resolved(spaces) for each in self.approvals],
                "holders": [each.resolved(spaces) for each in self.holders],
            }
        )
        _refuse_contradictions(access, "approvals")
        return access

    def ending(self, today: datetime.date, within: datetime.timedelta) -> tuple[Approval, ...]:
        """Return approvals that count today and end within a time."""
        return tuple(
            approval
            for approval in self.approvals
            if approval.approved
            and approval.expires is not None
            and today <= approval.expires <= today + within
        )

    def approved(self, today: datetime.date) -> tuple[RequiredBinding, ...]:
        """Return what is approved and has not expired; a day that is over does not count."""
        return without_covered(
            need
            for approval in self.approvals
            if approval.approved and (approval.expires is None or approval.expires >= today)
            for need in approval.needs
        )

    def expired(self, today: datetime.date) -> tuple[RequiredBinding, ...]:
        """Return what was approved until a day that is over."""
        return tuple(
            need
            for approval in self.approvals
            if approval.approved and approval.expires is not None and approval.expires < today
            for need in approval.needs
        )

    def accepted_needs(self) -> frozenset[RequiredBinding]:
        """Return who is known to hold migration by grants of his own."""
        return frozenset(
            need for holder in self.holders if holder.accepted for need in holder.needs
        )


def load_approvals(path: str) -> MigrationAccess:
    """Read an approvals file.

    Raises:
        InputError: with the field, what was expected and what was found; also when two decisions
            contradict each other.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES} bytes, expected an approvals file")
    try:
        found = list(yaml.documents(data))
    except (pyyaml.YAMLError, ValueError) as error:
        raise InputError(yaml.describe_error(path, error)) from None
    if len(found) != 1:
        raise InputError(f"{path}: expected one MigrationAccess document, found {len(found)}")
    if found[0].duplicates:
        key, line_number = found[0].duplicates[0]
        raise InputError(f"{path}, line {line_number}: key {key!r} is given twice")
    return parse_approvals(found[0].value, path)


def parse_approvals(value: object, path: str = "approvals") -> MigrationAccess:
    """Check plain values against the model.

    Raises:
        InputError: see `load_approvals`.
    """
    try:
        access = MigrationAccess.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{path}: {_first(error)}") from None
    _refuse_contradictions(access, path)
    return access


def _refuse_contradictions(access: MigrationAccess, path: str) -> None:
    decisions: dict[RequiredBinding, bool] = {}
    for index, approval in enumerate(access.approvals):
        for need in approval.needs:
            if decisions.setdefault(need, approval.approved) != approval.approved:
                where = need.namespace or "the whole cluster"
                raise InputError(
                    f"{path}: approvals[{index}]: {need.subject} in {where} is approved in one "
                    "entry and not in another; keep one of them"
                )


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
    ).removeprefix(".")
    message = first["msg"].removeprefix("Value error, ")
    found: Any = first.get("input")
    shown = f", found {found!r}" if isinstance(found, str | int | float | bool) else ""
    advice = "; quote it" if first["type"] == "string_type" and shown else ""
    if first["type"] == "extra_forbidden":
        return f"{place}: unknown field"
    return f"{place or 'document'}: {message[0].lower() + message[1:]}{shown}{advice}"
