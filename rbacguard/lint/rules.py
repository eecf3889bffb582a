"""The rules: what is wrong with a manifest, why it matters, and how to mend it."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache

from msgspec import Struct
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rbacguard.errors import InputError, OutputError
from rbacguard.kubevirt.names import (
    AGGREGATE_TO,
    EXPIRES,
    MANAGED_BY,
    MIGRATE,
    OPERATORS,
    RESOURCES,
    UPGRADE_MIGRATE,
    UPGRADE_MIGRATE_EDIT,
)
from rbacguard.kubevirt.permissions import live_migration
from rbacguard.kubevirt.releases import FIRST_RESTRICTED, RELEASES, Release, cluster_roles
from rbacguard.kubevirt.subjects import BROAD_GROUPS, SERVICE_ACCOUNT_GROUPS
from rbacguard.lint.reading import FieldPath, Manifest
from rbacguard.policy import Severity
from rbacguard.rbac import ClusterRole, ObjectKey, Role
from rbacguard.sources import from_objects
from rbacguard.update.temporary_role import AGGREGATED_DEFAULTS, granted_actions
from rbacguard.validation import problems

_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
_ROLES = ("Role", "ClusterRole")
_MIGRATIONS = "virtualmachineinstancemigrations"
_, *_MIGRATIONS_MISNAMED = RESOURCES[_MIGRATIONS]
# Every cluster has these, or the platform installs them: no file defines them.
_WELL_KNOWN = (
    *("cluster-admin", *AGGREGATED_DEFAULTS),
    *("system:*", "basic-user", "cluster-reader", "cluster-status", "self-provisioner", "sudoer"),
    *("registry-*", "storage-admin", "cluster-monitoring-*", "monitoring-*", "global-operators-*"),
    *("self-access-reviewer", "cluster-debugger"),
)


class Edit(Struct, frozen=True, order=True):
    """Characters of a file, from start to before end, and what replaces them."""

    start: int
    end: int
    text: str


_Edits = tuple[Edit, ...]


class Remark(Struct, frozen=True):
    """What a rule says about a manifest.

    Attributes:
        path: the field that it is about.
        message: what is wrong.
        edits: what mends it, if that is safe.
    """

    path: FieldPath
    message: str
    edits: _Edits = ()


class Setting(Struct, frozen=True):
    """What rules may look at beside the manifest.

    Attributes:
        defined: the roles that the files define; a Role without a namespace counts everywhere.
        kubernetes_version: such as `1.33`.
        release: what the cluster runs; None if that is not known.
        today: the day that expiry dates are compared with.
        known_roles: patterns of ClusterRoles that something else installs.
    """

    defined: frozenset[ObjectKey]
    kubernetes_version: str
    release: Release | None
    today: datetime.date
    known_roles: tuple[str, ...]


class LintRule(Struct, frozen=True):
    """One rule.

    Attributes:
        id: its name, by the problem.
        title: what is wrong, in general.
        severity: how much it matters.
        rationale: why.
        remediation: what to do.
        check: yields what is wrong with one manifest; None for what reading itself finds.
    """

    id: str
    title: str
    severity: Severity
    rationale: str
    remediation: str
    check: Callable[[Manifest, Setting], Iterator[Remark]] | None

    @property
    def selectors(self) -> tuple[str, ...]:
        """The names that select the rule: ID and severity."""
        return (self.id, self.severity.value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _replace(manifest: Manifest, path: FieldPath, value: str, *, quote: bool = False) -> _Edits:
    """Return the edit that puts a text in the place of a scalar, quoted as that was.

    What has an anchor or a tag, or goes over several lines, is left to people.
    """
    node, exact = manifest.node_at(path)
    if not exact or not isinstance(node, ScalarNode) or node.style in ("|", ">"):
        return ()
    start, end = node.start_mark.index, node.end_mark.index
    if node.start_mark.line != node.end_mark.line or manifest.file.text[start] in "&!":
        return ()
    return (Edit(start, end, _quoted(value) if quote or node.style else value),)


def _typed(manifest: Manifest) -> ClusterRole | Role | None:
    """Return a role as the rest of the project sees it, or None if it is none that can be read."""
    value = manifest.value
    if manifest.key.kind not in _ROLES or not manifest.key.name:
        return None
    # Only what it grants is asked; a namespace that kustomize gives later does not matter.
    metadata = {**value["metadata"], "namespace": manifest.key.namespace or "any"}
    try:
        found = from_objects([{**value, "metadata": metadata}]).objects
    except InputError:
        return None
    return next((role for role in found.values() if isinstance(role, ClusterRole | Role)), None)


def _names_migration(manifest: Manifest) -> bool:
    """Whether a role names migration itself; one that grants everything is no copy."""
    return any(
        resource in (_MIGRATIONS, "virtualmachines/migrate")
        for _, resource, _ in _resources(manifest)
    )


def is_temporary(manifest: Manifest) -> bool:
    """Whether a ClusterRole does what the documented temporary role does, or bears its name.

    KubeVirt's own roles did that up to 4.18, and what is aggregated has it of others.
    """
    if manifest.key.kind != "ClusterRole" or manifest.key.name in _kubevirts_roles():
        return False
    if manifest.key.name in (UPGRADE_MIGRATE, UPGRADE_MIGRATE_EDIT):
        return True
    if manifest.get("aggregationRule"):
        return False
    labels = manifest.get("metadata", "labels")
    aggregated = isinstance(labels, dict) and any(
        str(labels.get(f"{AGGREGATE_TO}{name}")).lower() == "true" for name in AGGREGATED_DEFAULTS
    )
    return aggregated and _grants_migration(manifest)


def _grants_migration(manifest: Manifest) -> bool:
    role = _typed(manifest)
    return role is not None and _names_migration(manifest) and bool(granted_actions(role.rules))


def _resources(manifest: Manifest) -> Iterator[tuple[int, str, FieldPath]]:
    """Yield each resource that a role's rules name: the rule's index, the name, its path."""
    rules = manifest.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        resources = rule.get("resources") if isinstance(rule, dict) else None
        for position, resource in enumerate(resources if isinstance(resources, list) else []):
            if isinstance(resource, str):
                yield index, resource, ("rules", index, "resources", position)


def _labels_not_a_map(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    for field in ("labels", "annotations"):
        path = ("metadata", field)
        value = manifest.get(*path)
        if isinstance(value, str):
            message = f"metadata.{field}: expected a map, found the text {value!r}"
            yield Remark(path, message, _as_map(manifest, path, value))


def _as_map(manifest: Manifest, path: FieldPath, value: str) -> _Edits:
    """Return the edit that makes a map of `key=value`."""
    key, equals, text = value.partition("=")
    parent, _ = manifest.node_at(path[:-1])
    text = text.strip().strip("\"'")
    if not equals or not isinstance(parent, MappingNode) or parent.flow_style:
        return ()
    key = key.strip()
    if not key or any(character in key for character in " \t\n:#\"'{}[],&*!|>%@`"):
        return ()
    entry = f"{key}: {_quoted(text)}"
    source = manifest.file.text
    found = _replace(manifest, path, "")
    if not found:
        return ()
    edit = found[0]
    line_start = source.rfind("\n", 0, edit.start) + 1
    if source[line_start : edit.start].strip():
        # On the line of its key: it moves to a line of its own.
        ending = "\r\n" if "\r\n" in source else "\n"
        indent = " " * (parent.start_mark.column + 2)
        start = len(source[: edit.start].rstrip(" "))
        return (Edit(start, edit.end, f"{ending}{indent}{entry}"),)
    return (Edit(edit.start, edit.end, entry),)


def _value_not_text(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    for field in ("labels", "annotations"):
        values = manifest.get("metadata", field)
        for key, value in values.items() if isinstance(values, dict) else ():
            path: FieldPath = ("metadata", field, key)
            if isinstance(key, str) and isinstance(value, bool | int | float):
                yield _unquoted(manifest, path, f"metadata.{field}: {key}")
    places: list[FieldPath] = [("metadata", "name"), ("metadata", "namespace"), ("roleRef", "name")]
    subjects = manifest.get("subjects")
    for index in range(len(subjects) if isinstance(subjects, list) else 0):
        places += [("subjects", index, "name"), ("subjects", index, "namespace")]
    for path in places:
        if isinstance(manifest.get(*path), bool | int | float):
            name = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
            yield _unquoted(manifest, path, name.removeprefix("."))


def _unquoted(manifest: Manifest, path: FieldPath, name: str) -> Remark:
    node, exact = manifest.node_at(path)
    raw = node.value if exact and isinstance(node, ScalarNode) else str(manifest.get(*path))
    kind = "a boolean" if isinstance(manifest.get(*path), bool) else "a number"
    message = f"{name}: {raw} is read as {kind}, expected text; quote it"
    wanted = "true" if AGGREGATE_TO in name and manifest.get(*path) is True else raw
    return Remark(path, message, _replace(manifest, path, wanted, quote=True))


def _aggregation_label_not_true(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    labels = manifest.get("metadata", "labels")
    for key, value in labels.items() if isinstance(labels, dict) else ():
        if not (isinstance(key, str) and key.startswith(AGGREGATE_TO) and isinstance(value, str)):
            continue
        if value not in ("true", "false"):
            path: FieldPath = ("metadata", "labels", key)
            meant = value.strip().lower() in ("true", "yes", "on", "1")
            edits = _replace(manifest, path, "true", quote=True) if meant else ()
            yield Remark(path, f"{key}: {value!r} aggregates nothing; only 'true' does", edits)


def _wrong_api_group(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    groups = {
        f"{a.resource}/{a.subresource}" if a.subresource else a.resource: a.api_group
        for a in live_migration().actions
    }
    for index, resource, path in _resources(manifest):
        wanted = groups.get(resource)
        found = manifest.get("rules", index, "apiGroups")
        if wanted is None or not isinstance(found, list) or {wanted, "*"} & set(map(str, found)):
            continue
        shown = ", ".join(repr(str(group)) for group in found) or "none"
        message = f"{resource} is in API group {wanted}, not in {shown}; the rule grants nothing"
        alone = len(found) == 1 and all(
            groups.get(other) == wanted for at, other, _ in _resources(manifest) if at == index
        )
        place = ("rules", index, "apiGroups", 0)
        yield Remark(path, message, _replace(manifest, place, wanted) if alone else ())


def _wrong_resource_name(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    for _index, resource, path in _resources(manifest):
        if resource == _MIGRATIONS:
            continue
        plural = resource.lower()
        if plural == _MIGRATIONS or plural in _MIGRATIONS_MISNAMED:
            message = f"{resource!r}: RBAC wants the plural name, {_MIGRATIONS}"
            yield Remark(path, message, _replace(manifest, path, _MIGRATIONS))


@cache
def _kubevirts_roles() -> frozenset[str]:
    """Return the ClusterRoles for users that any release installs."""
    return frozenset(
        name
        for release in RELEASES
        if release >= FIRST_RESTRICTED
        for name in cluster_roles(release)
    )


def _name_with_slash(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    path = ("roleRef", "name") if manifest.key.kind in _BINDINGS else ("metadata", "name")
    name = manifest.get(*path)
    if isinstance(name, str) and name.startswith("kubevirt.io/"):
        wanted = name.replace("/", ":", 1)
        message = f"{name!r} is no name of a role; meant is {wanted}"
        yield Remark(path, message, _replace(manifest, path, wanted))


def _role_not_defined(manifest: Manifest, setting: Setting) -> Iterator[Remark]:
    if manifest.key.kind not in _BINDINGS:
        return
    kind, name = manifest.get("roleRef", "kind"), manifest.get("roleRef", "name")
    if not (isinstance(name, str) and isinstance(kind, str)) or "/" in name:
        return
    path = ("roleRef", "name")
    if kind == "Role":
        places = {ObjectKey(kind, each, name) for each in (manifest.key.namespace, "")}
        anywhere = not manifest.key.namespace and any(
            key.kind == kind and key.name == name for key in setting.defined
        )
        if not (places & setting.defined or anywhere):
            yield Remark(path, f"no file defines Role {name}{_in(manifest)}")
    elif kind == "ClusterRole" and ObjectKey(kind, "", name) not in setting.defined:
        known = {*_kubevirts_roles(), *AGGREGATED_DEFAULTS, "cluster-admin"}
        patterns = (*_WELL_KNOWN, *known, *setting.known_roles)
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return
        defined = {key.name for key in setting.defined if key.kind == kind}
        near = difflib.get_close_matches(name, sorted(known | defined), 1, 0.85)
        hint = f"; meant may be {near[0]}" if near else ""
        yield Remark(path, f"no file defines ClusterRole {name}{hint}")


def _in(manifest: Manifest) -> str:
    return f" in namespace {manifest.key.namespace}" if manifest.key.namespace else ""


def _operators_role(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    if manifest.key.kind != "ClusterRole":
        return
    name = manifest.key.name
    path = ("metadata", "name")
    rules = manifest.get("rules")
    if name in _kubevirts_roles() and (rules or name != MIGRATE):
        yield Remark(path, f"{name} is KubeVirt's own; its operator overwrites what is changed")
    elif name in AGGREGATED_DEFAULTS and rules:
        yield Remark(path, f"{name} is aggregated; the controller overwrites its rules")
    labels = manifest.get("metadata", "labels")
    manager = labels.get(MANAGED_BY) if isinstance(labels, dict) else None
    if name not in _kubevirts_roles() and manager in OPERATORS:
        message = f"{MANAGED_BY}: {manager}: the operator deletes what bears its name"
        yield Remark(("metadata", "labels", MANAGED_BY), message)


def _aggregated_role_with_rules(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    if manifest.key.kind != "ClusterRole" or manifest.key.name in AGGREGATED_DEFAULTS:
        return
    if manifest.get("aggregationRule") and "rules" in manifest.value:
        written = "rules" if manifest.get("rules") else "rules: []"
        message = f"{written} beside aggregationRule: the controller writes them, and GitOps undoes"
        yield Remark(("rules",), f"{message} it")


def _migration_rules_copied(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    own = manifest.key.kind == "ClusterRole" and manifest.key.name in _kubevirts_roles()
    if manifest.key.kind not in _ROLES or own or is_temporary(manifest):
        return
    if _grants_migration(manifest):
        for index, resource, path in _resources(manifest):
            if resource in (_MIGRATIONS, "virtualmachines/migrate"):
                kind = "Role" if manifest.key.kind == "Role" else "ClusterRole"
                message = f"this {kind} hands migration out beside {MIGRATE} (rule {index + 1})"
                yield Remark(path, message)
                return


def _temporary_role_left(manifest: Manifest, setting: Setting) -> Iterator[Remark]:
    if not is_temporary(manifest):
        return
    path = ("metadata", "name")
    name = manifest.key.name
    if setting.release is not None and setting.release >= FIRST_RESTRICTED:
        yield Remark(path, f"{name} hands migration to namespace administrators, as of old")
        return
    expires = manifest.get("metadata", "annotations", EXPIRES)
    if isinstance(expires, str):
        try:
            over = datetime.date.fromisoformat(expires) < setting.today
        except ValueError:
            over = True
        if over:
            message = f"{name} was to end on {expires}"
            yield Remark(("metadata", "annotations", EXPIRES), message)


def _bound_to_everybody(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    role = manifest.get("roleRef", "name")
    subjects = manifest.get("subjects")
    if manifest.key.kind not in _BINDINGS or role not in (MIGRATE, MIGRATE.replace(":", "/")):
        return
    for index, subject in enumerate(subjects if isinstance(subjects, list) else []):
        if not isinstance(subject, dict) or subject.get("kind") != "Group":
            continue
        if subject.get("name") in (*BROAD_GROUPS, SERVICE_ACCOUNT_GROUPS):
            path = ("subjects", index, "name")
            yield Remark(path, f"group {subject['name']} is everybody")


def _duplicate_key(manifest: Manifest, _: Setting) -> Iterator[Remark]:
    todo: list[tuple[Node | None, FieldPath]] = [(manifest.node, ())]
    seen: set[int] = set()
    while todo:
        node, path = todo.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            todo += [(child, (*path, index)) for index, child in enumerate(node.value)]
        if isinstance(node, MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                name = str(getattr(key, "value", ""))
                if name in keys:
                    yield Remark((*path, name), f"{name} is given twice; the last one counts")
                keys.add(name)
                todo.append((value, (*path, name)))


def _not_valid(manifest: Manifest, setting: Setting) -> Iterator[Remark]:
    version = manifest.get("apiVersion")
    if not version:
        yield Remark((), "apiVersion is missing")
        return
    if not isinstance(version, str):
        yield Remark(("apiVersion",), f"apiVersion: expected a string, found {version!r}")
        return
    try:
        found = problems(manifest.value, setting.kubernetes_version)
    except OutputError as error:
        yield Remark(("apiVersion",), str(error))
        return
    for problem in found:
        yield Remark(problem.path, str(problem))


NOT_READABLE = LintRule(
    "not-readable",
    "A file with RBAC in it cannot be read",
    Severity.HIGH,
    "What stands in it is neither checked here nor taken by kubectl.",
    "Mend what the message names.",
    None,
)

RULES = (
    NOT_READABLE,
    LintRule(
        "not-valid",
        "The API server would refuse the manifest",
        Severity.HIGH,
        "It is checked against the strict schema of the chosen Kubernetes version, and against "
        "what the schema does not see: names, labels, kinds of subjects and role references.",
        "Mend the field that the message names.",
        _not_valid,
    ),
    LintRule(
        "labels-not-a-map",
        "Labels are written as one text: the documentation's mistake",
        Severity.HIGH,
        "The public documentation shows `labels:` with `key=value` below it. YAML reads that as "
        "one text, the API server refuses it, and kustomize passes it through without a word.",
        'Write an entry of a map, the value in quotes: `key: "true"`.',
        _labels_not_a_map,
    ),
    LintRule(
        "value-not-text",
        "A value that has to be text is read as something else",
        Severity.HIGH,
        "kubectl reads a plain `true`, `yes` or `on` as a boolean and `0123` as a number, and the "
        "API server refuses both where it expects text.",
        "Put the value in quotes.",
        _value_not_text,
    ),
    LintRule(
        "aggregation-label-without-effect",
        "An aggregation label has another value than true",
        Severity.HIGH,
        "Only the very text `true` aggregates. `True` or `yes` in quotes is accepted and does "
        "nothing.",
        'Write `"true"`.',
        _aggregation_label_not_true,
    ),
    LintRule(
        "wrong-api-group",
        "A rule names a migration resource in an API group that does not have it",
        Severity.HIGH,
        "`virtualmachineinstancemigrations` is in `kubevirt.io`, `virtualmachines/migrate` in "
        "`subresources.kubevirt.io`. In another group the rule is accepted and grants nothing.",
        "Name the right API group, in a rule of its own where needed.",
        _wrong_api_group,
    ),
    LintRule(
        "wrong-resource-name",
        "A rule names migrations by kind, singular or short name",
        Severity.HIGH,
        "RBAC compares plural names in lower case; anything else is accepted and grants nothing.",
        "Write `virtualmachineinstancemigrations`.",
        _wrong_resource_name,
    ),
    LintRule(
        "role-name-with-slash",
        "A role's name has a slash where KubeVirt's has a colon",
        Severity.HIGH,
        "`kubevirt.io/migrate` is no name that the API server takes; the role is called "
        "`kubevirt.io:migrate`.",
        "Write the colon.",
        _name_with_slash,
    ),
    LintRule(
        "role-not-defined",
        "A binding points at a role that no file defines",
        Severity.LOW,
        "It grants nothing until somebody creates a role of that name, and whoever does arms it. "
        "Roles of Kubernetes, OpenShift and KubeVirt are known; others can be named with "
        "--known-role.",
        "Correct the name, add the role, or name it with --known-role.",
        _role_not_defined,
    ),
    LintRule(
        "operators-role-edited",
        "A file defines a role that an operator or a controller overwrites",
        Severity.MEDIUM,
        "virt-operator writes the rules of its roles again, and deletes roles that bear its label "
        "and that it does not know; admin, edit and view take their rules from other roles. Git "
        "and the controller would take turns.",
        "Write a role of your own, or bind kubevirt.io:migrate.",
        _operators_role,
    ),
    LintRule(
        "aggregated-role-with-rules",
        "A role has both an aggregation rule and rules",
        Severity.MEDIUM,
        "The controller overwrites the rules of such a role; where Git holds `rules`, even empty "
        "ones, whoever delivers it takes the permissions away until the controller is back.",
        "Leave `rules` out.",
        _aggregated_role_with_rules,
    ),
    LintRule(
        "migration-rules-copied",
        "Migration rules are copied into another role",
        Severity.MEDIUM,
        "Whoever holds this role can migrate, and no list of the holders of kubevirt.io:migrate "
        "shows it.",
        "Leave the rules out, and bind kubevirt.io:migrate to those who are approved.",
        _migration_rules_copied,
    ),
    LintRule(
        "migration-bound-to-everybody",
        "A binding gives migration to everybody",
        Severity.HIGH,
        "The group holds all users or all service accounts; what the update took away is given "
        "back to everybody, strangers included.",
        "Bind kubevirt.io:migrate to those who are approved.",
        _bound_to_everybody,
    ),
    LintRule(
        "temporary-role-in-git",
        "The temporary role is still in Git after the update",
        Severity.HIGH,
        "As long as it is there every namespace administrator can migrate, and hand that on. "
        "Deleted in the cluster alone it comes back. Asked where --release is 4.19 or later, or "
        f"where its annotation {EXPIRES} names a day that is over.",
        "Bind kubevirt.io:migrate to those who are approved, then delete the role here.",
        _temporary_role_left,
    ),
    LintRule(
        "duplicate-key",
        "A key is given twice in one map",
        Severity.MEDIUM,
        "kubectl takes it without a word, and the last one counts.",
        "Delete the one that is not meant.",
        _duplicate_key,
    ),
)
"""Every rule, in the order in which they are explained."""
