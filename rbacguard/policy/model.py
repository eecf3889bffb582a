"""A policy: its fields, placeholders and condition, and what it asks of facts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache, cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from rbacguard.errors import PolicyError, VersionError
from rbacguard.kubevirt.releases import Release, find_release
from rbacguard.policy.checks import AnyCheck, Check, Fact, FactType, ReadinessCheck
from rbacguard.policy.checks.base import Value

if TYPE_CHECKING:
    from cel_expr_python import cel

_INPUT = "input"
_WORD = re.compile(r"\w+")
_MOST_KNOWN = 10_000
"""How many answers of a condition are kept at once."""
_MOST = 2**63 - 1
_PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)(?:\.([a-z0-9_]+))?\}")


class Severity(StrEnum):
    """How much a finding matters, least first."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Stage(StrEnum):
    """When a policy is asked."""

    BEFORE = "before-update"
    AFTER = "after-update"
    ANY = "any"


class About(StrEnum):
    """What a policy is about: access (`audit`), or VMs and nodes (`readiness`)."""

    ACCESS = "access"
    READINESS = "readiness"


_Text: TypeAlias = Annotated[str, Meta(min_length=1)]


class AppliesTo(Struct, frozen=True, forbid_unknown_fields=True):
    """Which releases a policy is about; versions are quoted, since YAML reads 4.20 as 4.2."""

    since: str | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        """Refuse a release that there is none of.

        Raises:
            ValueError: with those that there are.
        """
        for name, value in (("since", self.since), ("before", self.before)):
            if value is not None:
                try:
                    find_release(value)
                except VersionError as error:
                    raise ValueError(f"{name}: {error}") from None

    def includes(self, release: Release) -> bool:
        """Whether a release is one of them."""
        return (self.since is None or release >= find_release(self.since)) and (
            self.before is None or release < find_release(self.before)
        )


class Policy(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel", dict=True
):
    """One policy: a check, narrowed by a condition, with severity and words."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: _Text
    severity: Severity
    stage: Stage
    applies_to: AppliesTo = AppliesTo()
    check: AnyCheck
    where: Annotated[str, Meta(max_length=4096)] = ""
    message: _Text
    rationale: _Text
    remediation: _Text
    commands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a placeholder that stands for nothing, and a stage that the check has none of.

        Raises:
            ValueError: with what there is.
        """
        facts = self.check.FACTS
        for text in (self.message, *self.commands):
            for name, part in _PLACEHOLDER.findall(text):
                if name == _INPUT and text != self.message:
                    continue
                if name not in facts:
                    raise ValueError(
                        f"placeholder {{{name}}}: the check {self.check.type} has no such fact; "
                        f"it has {', '.join(facts)}"
                    )
                if part and facts[name] is not FactType.MAP:
                    raise ValueError(f"placeholder {{{name}.{part}}}: {name} is no map")
        if self.about is About.READINESS and self.stage is not Stage.ANY:
            raise ValueError(f"stage: the check {self.check.type} is asked at any stage")

    @property
    def about(self) -> About:
        """What it is about, by which the command is chosen that asks it."""
        return About.READINESS if isinstance(self.check, ReadinessCheck) else About.ACCESS

    @property
    def names(self) -> tuple[str, ...]:
        """By what it is selected: its id, severity, stage and kind of check."""
        return (self.id, self.severity.value, self.stage.value, self.check.type)

    @cached_property
    def holds(self) -> Callable[[Fact], bool]:
        """Tells whether the condition holds for a fact.

        It raises PolicyError where the condition fails, such as by a key that is missing in a map.
        """
        if not self.where:
            return lambda _fact: True
        # Thousands of VMIs have the same values for a condition.
        known: dict[Any, bool] = {}
        asked, key_of = self._asked, self._key_of

        def holds(fact: Fact) -> bool:
            fields = fact.fields
            key = key_of(fields)
            found = known.get(key)
            if found is None:
                if len(known) >= _MOST_KNOWN:
                    known.clear()
                found = known[key] = self._ask({name: fields[name] for name in asked})
            return found

        return holds

    def _ask(self, asked: dict[str, Value]) -> bool:
        # Whole numbers have 64 bits there; what is larger is as large as they get.
        asked = {
            name: max(min(value, _MOST), -_MOST - 1) if type(value) is int else value
            for name, value in asked.items()
        }
        try:
            value = self._condition.eval(data=asked).value()
        except RuntimeError as error:
            # Such as cel-cpp's budget of 10,000 iterations (eval/public/cel_options.h).
            raise PolicyError(f"policy {self.id}: where: {error}") from None
        if not isinstance(value, bool):
            raise PolicyError(f"policy {self.id}: where: {value}")
        return value

    def compile(self) -> None:
        """Type-check the condition now.

        Raises:
            PolicyError: with the place marked.
        """
        if self.where:
            _ = self._condition

    @property
    def _key_of(self) -> Callable[[Any], Any]:
        """Takes what the condition may refer to out of the fields of a fact, as a key."""
        asked = self._asked
        if not asked:
            return lambda _fields: ()
        if {self.check.FACTS[name] for name in asked} & {FactType.LIST, FactType.MAP}:
            return lambda fields: tuple([_frozen(fields[name]) for name in asked])
        return itemgetter(*asked)

    @cached_property
    def _asked(self) -> tuple[str, ...]:
        """The facts that the condition may refer to: those whose name stands in it."""
        words = set(_WORD.findall(self.where))
        return tuple(name for name in self.check.FACTS if name in words)

    @cached_property
    def _condition(self) -> cel.Expression:
        from cel_expr_python import cel

        try:
            expression = _environment(type(self.check)).compile(self.where)
        except RuntimeError as error:
            raise PolicyError(f"policy {self.id}: where{_marked(str(error), self.where)}") from None
        if expression.return_type() != cel.Type.BOOL:
            raise PolicyError(
                f"policy {self.id}: where: expected a condition (bool), "
                f"found {expression.return_type().name()}"
            )
        return expression

    def words(self, fact: Fact) -> str:
        """Return the message for a fact."""
        return _fill(self.message, fact.fields, str)

    def paste(self, fact: Fact, inputs: Sequence[str]) -> tuple[str, ...]:
        """Return the commands for a fact, every value quoted for the shell.

        Args:
            fact: what the other placeholders stand for.
            inputs: what `{input}` stands for: the arguments that say what was read.
        """
        read = shlex.join(inputs)
        return tuple(
            # Nothing to say about the input, as for the current context, leaves no gap.
            _fill(
                command if read else command.replace(f" {{{_INPUT}}}", ""),
                fact.fields,
                shlex.quote,
                read,
            )
            for command in self.commands
        )


@cache
def _environment(check: type[Check]) -> cel.Env:
    """Return what conditions of a check are compiled in; the first use of one takes long."""
    from cel_expr_python import cel

    types = {
        FactType.STRING: cel.Type.STRING,
        FactType.BOOL: cel.Type.BOOL,
        FactType.INT: cel.Type.INT,
        FactType.LIST: cel.Type.List(cel.Type.STRING),
        FactType.MAP: cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    }
    return cel.NewEnv(variables={name: types[kind] for name, kind in check.FACTS.items()})


_CEL_ERROR = re.compile(
    r"ERROR: <input>:(\d+):(\d+): (.*?)(?: \(in container '.*?'\))?$", re.MULTILINE
)


def _marked(error: str, condition: str) -> str:
    """Return CEL's first error with its place marked in the condition, on one line."""
    match = _CEL_ERROR.search(error)
    if match is None:
        return f": {error.splitlines()[0]}"
    line, column = int(match[1]), int(match[2])
    text = condition.splitlines()[line - 1] if condition else ""
    marked = f"{text[: column - 1]}>>>{text[column - 1 :]}"
    return f", line {line}, column {column}: {match[3]}: {marked}"


def _fill(
    text: str, fields: Mapping[str, Value], quote: Callable[[str], str], read: str | None = None
) -> str:
    """Return a text with its placeholders filled in; `read`, if given, stands for `{input}`."""
    found = []
    for before, name, part in _pieces(text):
        found.append(before)
        if name == _INPUT and read is not None:
            found.append(read)
        elif name:
            found.append(quote(_shown(_part(fields[name], part))))
    return "".join(found)


@cache
def _pieces(text: str) -> tuple[tuple[str, str, str], ...]:
    """Return text in pieces: what stands before a placeholder, its name, and what of a map."""
    pieces, done = [], 0
    for match in _PLACEHOLDER.finditer(text):
        pieces.append((text[done : match.start()], match[1], match[2] or ""))
        done = match.end()
    return (*pieces, (text[done:], "", ""))


def _part(value: Value, part: str) -> Value:
    if not part:
        return value
    return value.get(part, "") if isinstance(value, dict) else ""


def _frozen(value: Value) -> Any:
    """Return a value that can be a key, different ones for values that CEL tells apart."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return tuple(sorted(value.items()))
    return tuple(value) if isinstance(value, list) else value


def _shown(value: Value) -> str:
    if isinstance(value, dict):
        prefix = f"{value['namespace']}/" if value.get("namespace") else ""
        return f"{value.get('kind', '')} {prefix}{value.get('name', '')}".strip()
    if isinstance(value, list):
        return ", ".join(value)
    return str(value)
