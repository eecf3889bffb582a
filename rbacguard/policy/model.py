"""A policy: its fields, its condition, and its texts with placeholders."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache, cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from rbacguard.errors import PolicyError, VersionError
from rbacguard.kubevirt.releases import Release, parse_release
from rbacguard.policy.checks import AnyCheck, ReadinessCheck
from rbacguard.policy.facts import Fact, FactType, Value
from rbacguard.shell import UnsafeNameError, argument, object_reference, subject_argument

if TYPE_CHECKING:
    from cel_expr_python import cel

_INPUT = "input"
_TARGET = "target"
_OBJECT = "object"
_ARGUMENT = "argument"
_IDENTIFIER = re.compile(r"\w+")
_PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)(?:\.([a-z_]+))?\}")
_MAX_CACHED = 10_000
"""The number of results that a condition caches."""
_MAX_INT = 2**63 - 1


class Severity(StrEnum):
    """The severity of a finding, the lowest first."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Stage(StrEnum):
    """When a policy is evaluated."""

    BEFORE = "before-update"
    AFTER = "after-update"
    ANY = "any"


class Category(StrEnum):
    """The subject matter of a policy, which selects the command that evaluates it."""

    RBAC = "rbac"
    """`audit` evaluates it."""
    READINESS = "readiness"
    """`readiness` and `migrations` evaluate it."""


_Text: TypeAlias = Annotated[str, Meta(min_length=1)]


class AppliesTo(Struct, frozen=True, forbid_unknown_fields=True):
    """The releases that a policy applies to. Versions are quoted, because YAML reads 4.20 as 4.2.

    Attributes:
        since: the first release; None for no lower limit.
        before: the first release that the policy does not apply to; None for no upper limit.
    """

    since: str | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if a release does not exist."""
        for name, value in (("since", self.since), ("before", self.before)):
            if value is not None:
                try:
                    parse_release(value)
                except VersionError as error:
                    raise ValueError(f"{name}: {error}") from None

    def includes(self, release: Release) -> bool:
        """Return whether the policy applies to a release."""
        return (self.since is None or release >= parse_release(self.since)) and (
            self.before is None or release < parse_release(self.before)
        )


class Policy(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel", dict=True
):
    """A check with a condition, a severity, and texts.

    Attributes:
        id: names the problem. The file has the same name.
        title: states the problem in one line.
        severity: the severity of each finding.
        stage: when the policy is evaluated.
        applies_to: the releases that the policy applies to.
        check: the check that yields the facts.
        where: a CEL condition on the variables of the fact; '' matches all facts.
        message: what was found, with placeholders such as `{subject}` or `{role.name}`.
        rationale: why it matters.
        remediation: what to do.
        commands: suggested commands, with placeholders. `{input}` is replaced by the arguments
            that select the input, `{target}` by the release to update to, `{role.object}` by kind,
            namespace, and name of an object, and `{subject.argument}` by a subject for
            `rbacguard explain`. A list is replaced by one argument for each item.
    """

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
        """Raise ValueError for an unknown placeholder or an unsuitable stage."""
        variables = self.check.variables()
        for text in (self.message, *self.commands):
            for name, key in _PLACEHOLDER.findall(text):
                if name in (_INPUT, _TARGET) and text != self.message:
                    continue
                if name not in variables:
                    raise ValueError(
                        f"placeholder {{{name}}}: check {self.check.type} has no such variable "
                        f"(expected one of {', '.join(variables)})"
                    )
                if key and variables[name] is not FactType.MAP:
                    raise ValueError(f"placeholder {{{name}.{key}}}: {name} is not a map")
        if self.category is Category.READINESS and self.stage is not Stage.ANY:
            raise ValueError(f"stage: check {self.check.type} requires the stage 'any'")

    @property
    def category(self) -> Category:
        """The subject matter."""
        return Category.READINESS if isinstance(self.check, ReadinessCheck) else Category.RBAC

    @property
    def selectors(self) -> tuple[str, ...]:
        """The names that select the policy: ID, severity, stage, and type of the check."""
        return (self.id, self.severity.value, self.stage.value, self.check.type)

    @cached_property
    def matches(self) -> Callable[[Fact], bool]:
        """A function that returns whether the condition is true for a fact.

        The function raises PolicyError if the evaluation fails, for example because a map has no
        such key. It caches results, because many facts have the same values in the variables that
        the condition uses.
        """
        if not self.where:
            return lambda _fact: True
        results: dict[Any, bool] = {}
        cache_key = self._cache_key

        def matches(fact: Fact) -> bool:
            key = cache_key(fact)
            result = results.get(key)
            if result is None:
                if len(results) >= _MAX_CACHED:
                    results.clear()
                result = results[key] = self._evaluate(fact)
            return result

        return matches

    def _evaluate(self, fact: Fact) -> bool:
        data = {name: _in_range(getattr(fact, name)) for name in self._used}
        try:
            value = self._condition.eval(data=data).value()
        except RuntimeError as error:
            # For example cel-cpp's limit of 10,000 iterations (eval/public/cel_options.h).
            raise PolicyError(f"policy {self.id}: where: {error}") from None
        if not isinstance(value, bool):
            raise PolicyError(f"policy {self.id}: where: {value}")
        return value

    def compile(self) -> None:
        """Type-check the condition.

        Raises:
            PolicyError: the condition is invalid; the message marks the position.
        """
        if self.where:
            _ = self._condition

    @property
    def _cache_key(self) -> Callable[[Fact], Any]:
        """A function that returns the values of the used variables as a hashable value."""
        used = self._used
        if not used:
            return lambda _fact: ()
        types = self.check.variables()
        if {types[name] for name in used} & {FactType.LIST, FactType.MAP}:
            return lambda fact: tuple([_hashable(getattr(fact, name)) for name in used])
        return attrgetter(*used)

    @cached_property
    def _used(self) -> tuple[str, ...]:
        """The variables whose names occur in the condition."""
        identifiers = set(_IDENTIFIER.findall(self.where))
        return tuple(name for name in self.check.variables() if name in identifiers)

    @cached_property
    def _condition(self) -> cel.Expression:
        from cel_expr_python import cel

        try:
            environment = _environment(tuple(self.check.variables().items()))
            expression = environment.compile(self.where)
        except RuntimeError as error:
            raise PolicyError(
                f"policy {self.id}: where{_located(str(error), self.where)}"
            ) from None
        if expression.return_type() != cel.Type.BOOL:
            raise PolicyError(
                f"policy {self.id}: where: expected a condition (bool), "
                f"found {expression.return_type().name()}"
            )
        return expression

    def message_for(self, fact: Fact) -> str:
        """Return the message with the values of a fact."""
        return "".join(
            before + (_as_text(_value(fact, name, key)) if name else "")
            for before, name, key in _split(self.message)
        )

    def commands_for(
        self, fact: Fact, inputs: Sequence[str], target: str
    ) -> tuple[tuple[str, ...], str]:
        """Return the commands with the values of a fact, and why there are none, or ''.

        Each value is quoted for the shell. A command with a value that is not safe to paste is
        omitted. A command without a value, such as a list without items, is omitted too.

        Args:
            fact: supplies the values of the placeholders.
            inputs: the arguments that replace `{input}`. Without any, the placeholder is removed.
            target: the version that replaces `{target}`.
        """
        arguments = {_INPUT: shlex.join(inputs), _TARGET: target}
        commands = []
        for command in self.commands:
            text = command if inputs else command.replace(f" {{{_INPUT}}}", "")
            try:
                filled = [
                    (before, _as_argument(fact, name, key, arguments) if name else "")
                    for before, name, key in _split(text)
                ]
            except UnsafeNameError as error:
                return (), str(error)
            if all(value for _, value in filled[:-1]):
                commands.append("".join(before + value for before, value in filled))
        return tuple(commands), ""


@cache
def _environment(variables: tuple[tuple[str, FactType], ...]) -> cel.Env:
    """Return the CEL environment with these variables."""
    from cel_expr_python import cel

    types = {
        FactType.STRING: cel.Type.STRING,
        FactType.BOOL: cel.Type.BOOL,
        FactType.INT: cel.Type.INT,
        FactType.LIST: cel.Type.List(cel.Type.STRING),
        FactType.MAP: cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    }
    return cel.NewEnv(variables={name: types[kind] for name, kind in variables})


_CEL_ERROR = re.compile(
    r"ERROR: <input>:(\d+):(\d+): (.*?)(?: \(in container '.*?'\))?$", re.MULTILINE
)


def _located(error: str, condition: str) -> str:
    """Return the first error of CEL on one line, with its position marked in the condition."""
    match = _CEL_ERROR.search(error)
    if match is None:
        return f": {error.splitlines()[0]}"
    line, column = int(match[1]), int(match[2])
    text = condition.splitlines()[line - 1] if condition else ""
    marked = f"{text[: column - 1]}>>>{text[column - 1 :]}"
    return f", line {line}, column {column}: {match[3]}: {marked}"


def _value(fact: Fact, name: str, key: str) -> Value:
    """Return a variable of a fact, or the value of a key if it is a map."""
    value: Value = getattr(fact, name)
    return value.get(key, "") if key and isinstance(value, dict) else value


def _as_argument(fact: Fact, name: str, key: str, arguments: Mapping[str, str]) -> str:
    """Return the value of a placeholder, quoted for the shell, or '' for an empty list."""
    if name in arguments:
        return arguments[name]
    value: Value = getattr(fact, name)
    if isinstance(value, dict) and "kind" in value:
        kind, name_of, namespace = value["kind"], value["name"], value.get("namespace", "")
        if key == _OBJECT:
            return object_reference(kind, [name_of], namespace)
        if key == _ARGUMENT:
            return subject_argument(kind, name_of, namespace)
    if isinstance(value, list):
        return " ".join(map(argument, value))
    return argument(_as_text(_value(fact, name, key)))


@cache
def _split(text: str) -> tuple[tuple[str, str, str], ...]:
    """Return the text before each placeholder, the variable, and the key of a map or ''."""
    parts, done = [], 0
    for match in _PLACEHOLDER.finditer(text):
        parts.append((text[done : match.start()], match[1], match[2] or ""))
        done = match.end()
    return (*parts, (text[done:], "", ""))


def _in_range(value: Value) -> Value:
    """Limit an integer to 64 bits, which is the range of CEL."""
    return max(min(value, _MAX_INT), -_MAX_INT - 1) if type(value) is int else value


def _hashable(value: Value) -> Any:
    """Return a hashable value that differs for values that CEL distinguishes."""
    if isinstance(value, dict):
        return tuple(sorted(value.items()))
    return tuple(value) if isinstance(value, list) else value


def _as_text(value: Value) -> str:
    if isinstance(value, dict):
        prefix = f"{value['namespace']}/" if value.get("namespace") else ""
        return f"{value.get('kind', '')} {prefix}{value.get('name', '')}".strip()
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
