"""Names and references to objects as arguments of shell commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from rbacguard.text import visible


class UnsafeNameError(ValueError):
    """A name that no suggested command can contain. The message is a sentence that says why."""


def argument(value: str) -> str:
    """Return a value from the input as one argument, quoted for the shell.

    Raises:
        UnsafeNameError: the value begins with a hyphen, or contains characters that a terminal
            does not show. A program could read the first as an option. The second cannot be
            copied from a report, because reports show escapes.
    """
    if value.startswith("-"):
        raise UnsafeNameError(f"No command is suggested: the name '{value}' begins with a hyphen.")
    if visible(value) != value:
        raise UnsafeNameError(
            f"No command is suggested: the name '{visible(value)}' contains control characters."
        )
    return shlex.quote(value)


def object_reference(kind: str, names: Sequence[str], namespace: str = "") -> str:
    """Return arguments that identify objects of one kind, such as `rolebinding -n web -- edit`.

    Options of the command must come before them.

    Raises:
        UnsafeNameError: see `argument`.
    """
    scope = f" -n {argument(namespace)}" if namespace else ""
    return f"{argument(kind.lower())}{scope} -- {' '.join(map(argument, names))}"


def delete_step(kind: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return the instruction to delete cluster-scoped objects, with one command for all of them.

    Args:
        kind: the kind of the objects.
        names: their names.
        otherwise: how to delete them without the command, as an imperative, or ''.
    """
    safe, notes = [], []
    for name in names:
        try:
            argument(name)
        except UnsafeNameError as error:
            notes.append(str(error))
        else:
            safe.append(name)
    if not safe:
        return " ".join([*notes, f"{otherwise or 'Delete the object'}."])
    command = f"oc delete {object_reference(kind, safe)}"
    return " ".join([*notes, f"{otherwise}, or run: {command}" if otherwise else f"Run: {command}"])


def subject_argument(kind: str, name: str, namespace: str = "") -> str:
    """Return a subject as the argument of `rbacguard explain`, quoted for the shell.

    Raises:
        UnsafeNameError: see `argument`.
    """
    if kind == "Group":
        return argument(f"group/{name}")
    if kind == "ServiceAccount":
        return argument(f"sa/{namespace}/{name}")
    return argument(f"user/{name}" if "/" in name else name)
