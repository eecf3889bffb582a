"""The configuration file: the selection of policies, and exemptions for findings."""

from __future__ import annotations

import datetime
import difflib
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rbacguard.errors import InputError
from rbacguard.policy.model import Severity
from rbacguard.policy.selection import TABLE


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=_kebab,
        populate_by_name=True,
        defer_build=True,
    )


class Exemption(_Model):
    """Findings that are accepted until a date.

    At least `rule` or `fingerprint` is required. A finding is exempt if all fields match. `rule`,
    `about`, and `namespace` are shell patterns.
    """

    rule: str = ""
    fingerprint: str = ""
    about: str = "*"
    namespace: str = "*"
    owner: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    expires: datetime.date

    @model_validator(mode="after")
    def _has_criterion(self) -> Exemption:
        if not (self.rule or self.fingerprint):
            raise ValueError("expected rule or fingerprint, or both")
        return self

    def covers(self, rule: str, fingerprint: str, about: str, namespace: str) -> bool:
        """Return whether a finding matches, also if the exemption has expired."""
        return bool(
            (not self.rule or fnmatchcase(rule, self.rule))
            and (not self.fingerprint or self.fingerprint == fingerprint)
            and fnmatchcase(about, self.about)
            and fnmatchcase(namespace, self.namespace)
        )


class Configuration(_Model):
    """`rbacguard.toml`, or `[tool.rbacguard]` in pyproject.toml. Options take precedence."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Severity | None = None
    policies: tuple[str, ...] = ()
    release: str = ""
    kubernetes: str = ""
    known_roles: tuple[str, ...] = ()
    exemptions: tuple[Exemption, ...] = ()

    @property
    def defaults(self) -> dict[str, Any]:
        """The default values of command-line parameters, by parameter name."""
        found: dict[str, Any] = {
            "select": self.select,
            "ignore": self.ignore,
            "fail_on": self.fail_on.value if self.fail_on else None,
            "policy_folders": self.policies,
            "release": self.release,
            "kubernetes": self.kubernetes,
            "known_roles": self.known_roles,
        }
        return {key: value for key, value in found.items() if value}


def load_configuration(path: Path) -> Configuration:
    """Read a configuration file. Its policy directories are relative to its own directory.

    Raises:
        InputError: the file is invalid; for an unknown key, the message names the closest key.
    """
    try:
        value = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: invalid TOML: {error}") from None
    if path.name == "pyproject.toml":
        value = value.get("tool", {}).get(TABLE, {})
    try:
        found = Configuration.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{path}: {_first_error(error)}") from None
    folders = tuple(str(path.parent / folder) for folder in found.policies)
    return found.model_copy(update={"policies": folders})


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
    ).lstrip(".")
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        model = Exemption if "exemptions" in map(str, first["loc"]) else Configuration
        known = [_kebab(name) for name in model.model_fields]
        near = difflib.get_close_matches(_kebab(key), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        return f"{place}: unknown key; {hint}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower() + message[1:]}"


def configuration_schema() -> Mapping[str, Any]:
    """Return the JSON Schema of the configuration file."""
    return Configuration.model_json_schema(by_alias=True)
