"""The approvals file: entries, selectors, and how the file is read."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml as pyyaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rbacguard.errors import InputError
from rbacguard.kubevirt.migrate_bindings import RequiredBinding
from rbacguard.rbac import LabelSelector, LabelSelectorRequirement, Subject
from rbacguard.rbac.selectors import selector_error, selector_matches
from rbacguard.rbac.types import CLUSTER_WIDE
from rbacguard.snapshot import Snapshot
from rbacguard.sources import yaml

MAX_BYTES = 64 * 1024 * 1024


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, defer_build=True
    )


Name = Annotated[str, Field(min_length=1)]


class ApprovedSubject(_Model):
    """A user, a group, or a service account."""

    kind: Literal["User", "Group", "ServiceAccount"]
    name: Name
    namespace: str = ""

    @model_validator(mode="after")
    def _check_namespace(self) -> ApprovedSubject:
        if self.kind == "ServiceAccount" and not self.namespace:
            raise ValueError("a ServiceAccount must have a namespace")
        if self.kind != "ServiceAccount" and self.namespace:
            raise ValueError(f"a {self.kind} must not have a namespace")
        return self

    @property
    def subject(self) -> Subject:
        """The subject as in bindings."""
        return Subject(self.kind, self.name, self.namespace)


class Requirement(_Model):
    """One expression of a label selector."""

    key: Name
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = Field(default_factory=list)


class NamespaceSelector(_Model):
    """A selector of namespaces by label. An empty selector selects all namespaces."""

    match_labels: dict[str, str] = Field(default_factory=dict, alias="matchLabels")
    match_expressions: list[Requirement] = Field(default_factory=list, alias="matchExpressions")

    @model_validator(mode="after")
    def _check_selector(self) -> NamespaceSelector:
        error = selector_error(self.selector)
        if error:
            raise ValueError(error)
        return self

    @property
    def selector(self) -> LabelSelector:
        """The selector as in Kubernetes objects."""
        expressions = (
            LabelSelectorRequirement(each.key, each.operator, tuple(each.values))
            for each in self.match_expressions
        )
        return LabelSelector(dict(self.match_labels), tuple(expressions))


class _Entry(_Model):
    subject: ApprovedSubject
    namespaces: list[Name] = Field(default_factory=list)
    namespace_selector: NamespaceSelector | None = Field(default=None, alias="namespaceSelector")
    cluster_wide: bool = Field(default=False, alias="clusterWide")
    reason: str = ""

    @model_validator(mode="after")
    def _check_scope(self) -> _Entry:
        given = (bool(self.namespaces), self.namespace_selector is not None, self.cluster_wide)
        if sum(given) != 1:
            raise ValueError("give one of namespaces, namespaceSelector, or clusterWide: true")
        return self

    @property
    def pairs(self) -> tuple[RequiredBinding, ...]:
        """The subject with each of its namespaces. A selector has none before it is resolved."""
        namespaces = [CLUSTER_WIDE] if self.cluster_wide else self.namespaces
        return tuple(RequiredBinding(each, self.subject.subject) for each in namespaces)

    def resolved(self, namespaces: Mapping[str, Mapping[str, str]]) -> Self:
        """Return the entry with the namespaces that its selector selects.

        Args:
            namespaces: all namespaces with their labels.
        """
        if self.namespace_selector is None:
            return self
        selector = self.namespace_selector.selector
        found = [name for name, labels in namespaces.items() if selector_matches(selector, labels)]
        return self.model_copy(update={"namespaces": found})


class Approval(_Entry):
    """A decision whether a subject can migrate VMs. `approved: null` is not decided yet."""

    approved: bool | None
    owner: str = ""
    ticket: str = ""
    expires: datetime.date | None = Field(default=None, strict=False)

    def is_expired(self, today: datetime.date) -> bool:
        """Return whether an approval has ended. It includes its last day."""
        return self.approved is True and self.expires is not None and self.expires < today


class AcknowledgedHolder(_Entry):
    """A decision whether access by explicit grants is accepted. Null is not decided yet."""

    accepted: bool | None


class MigrationAccess(_Model):
    """The approvals file."""

    api_version: Literal["rbacguard.io/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["MigrationAccess"]
    approvals: list[Approval] = Field(default_factory=list)
    holders: list[AcknowledgedHolder] = Field(default_factory=list)

    @property
    def has_selectors(self) -> bool:
        """Whether decisions depend on labels of namespaces."""
        return any(e.namespace_selector for e in (*self.approvals, *self.holders))

    def resolved(self, snapshot: Snapshot) -> MigrationAccess:
        """Return the file with the namespaces of a cluster in place of selectors.

        Raises:
            InputError: two approvals contradict each other.
        """
        if not self.has_selectors:
            return self
        namespaces = snapshot.namespaces
        access = self.model_copy(
            update={
                "approvals": [each.resolved(namespaces) for each in self.approvals],
                "holders": [each.resolved(namespaces) for each in self.holders],
            }
        )
        _check_contradictions(access, "approvals")
        return access


def load_approvals(path: str) -> MigrationAccess:
    """Read an approvals file.

    Raises:
        InputError: the file cannot be read, has a wrong field, or contains contradictory approvals.
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
    """Return the approvals that plain values describe.

    Args:
        value: the content of the file.
        path: the name of the file, for messages.

    Raises:
        InputError: see `load_approvals`.
    """
    try:
        access = MigrationAccess.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{path}: {_message(error)}") from None
    _check_contradictions(access, path)
    return access


def _check_contradictions(access: MigrationAccess, path: str) -> None:
    """Raise InputError if a subject is approved and not approved in the same namespace."""
    decisions: dict[RequiredBinding, bool] = {}
    for index, approval in enumerate(access.approvals):
        if approval.approved is None:
            continue
        for pair in approval.pairs:
            if decisions.setdefault(pair, approval.approved) != approval.approved:
                raise InputError(
                    f"{path}: approvals[{index}]: {pair} is approved in one entry and not approved "
                    "in another; keep one of them"
                )


def _message(error: ValidationError) -> str:
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
