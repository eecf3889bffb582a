"""Replaces the names of people and projects, so that a snapshot can be given away.

The same name becomes the same word wherever it stands, in every snapshot of the same cluster: the
words are made with a key that follows from the cluster's identity, which is not in the file.
Names that every cluster has, and ClusterRoles, stay as they are, so that findings stay true.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.rbac.types import (
    ClusterRole,
    ClusterRoleBinding,
    ObjectKey,
    ObjectMeta,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import Coverage, Defect, KindCoverage, Origin
from rbacguard.snapshot.objects import (
    Group,
    GroupRestriction,
    RestrictionSpec,
    RoleBindingRestriction,
    ServiceAccountReference,
    ServiceAccountRestriction,
    UserRestriction,
)

_PUBLIC_NAMESPACE = re.compile(
    r"default|openshift|kubevirt|argocd|(?:openshift|kube|kubevirt|open-cluster-management)-.*|"
    r"open-cluster-management"
)
_PUBLIC_BINDING = re.compile(r"(?:system:|kubevirt|openshift-|hco\.|cdi\.).*|cluster-admin")
_ACCOUNT = "system:serviceaccount:"
_ACCOUNTS = "system:serviceaccounts:"
_KEPT_VALUES = frozenset({"", "true", "false"})


class Redactor:
    """Replaces names, always in the same way.

    Args:
        cluster_id: the cluster's identity; '' makes a key that no other snapshot will have.
    """

    def __init__(self, cluster_id: str) -> None:
        """Make the key."""
        identity = cluster_id.encode() or secrets.token_bytes(32)
        self._key = hashlib.sha256(b"rbacguard redaction\0" + identity).digest()
        self.is_repeatable = bool(cluster_id)
        self._made: dict[str, str] = {}

    def _word(self, prefix: str, name: str) -> str:
        if not name:
            return name
        digest = hmac.new(self._key, f"{prefix}\0{name}".encode(), hashlib.sha256).hexdigest()
        word = f"{prefix}-{digest[:10]}"
        self._made[name] = word
        return word

    def namespace(self, name: str) -> str:
        """Return the word for a namespace."""
        return name if _PUBLIC_NAMESPACE.fullmatch(name) else self._word("namespace", name)

    def account(self, namespace: str, name: str) -> str:
        """Return the word for a service account's name."""
        if _PUBLIC_NAMESPACE.fullmatch(namespace) or name == "default":
            return name
        return self._word("account", name)

    def user(self, name: str) -> str:
        """Return the word for a user; a service account stays one."""
        if name.startswith(_ACCOUNT):
            namespace, colon, account = name.removeprefix(_ACCOUNT).partition(":")
            return f"{_ACCOUNT}{self.namespace(namespace)}{colon}{self.account(namespace, account)}"
        return name if name.startswith("system:") else self._word("user", name)

    def group(self, name: str) -> str:
        """Return the word for a group; the accounts of a namespace stay that."""
        if name.startswith(_ACCOUNTS):
            return _ACCOUNTS + self.namespace(name.removeprefix(_ACCOUNTS))
        return name if name.startswith("system:") else self._word("group", name)

    def subject(self, subject: Subject, binding_namespace: str) -> Subject:
        """Return a subject with its names replaced."""
        namespace = self.namespace(subject.namespace)
        if subject.kind == "ServiceAccount":
            name = self.account(subject.namespace or binding_namespace, subject.name)
            return replace(subject, name=name, namespace=namespace)
        name = self.group(subject.name) if subject.kind == "Group" else self.user(subject.name)
        return replace(subject, name=name, namespace=namespace)

    def key(self, key: ObjectKey) -> ObjectKey:
        """Return an object's identity with its names replaced."""
        return ObjectKey(
            key.kind, self.namespace(key.namespace), self._name(key.kind, key.namespace, key.name)
        )

    def _name(self, kind: str, namespace: str, name: str) -> str:
        if kind == "Namespace":
            return self.namespace(name)
        if kind == "Group":
            return self.group(name)
        if kind == "ServiceAccount":
            return self.account(namespace, name)
        if kind == "ClusterRoleBinding" and not _PUBLIC_BINDING.fullmatch(name):
            return self._word("binding", name)
        if kind in ("Role", "RoleBinding", "RoleBindingRestriction") and not (
            _PUBLIC_NAMESPACE.fullmatch(namespace) or name.startswith("system:")
        ):
            return self._word("role" if kind == "Role" else "binding", name)
        return name

    def objects(self, objects: Mapping[ObjectKey, Struct]) -> dict[ObjectKey, Struct]:
        """Return all objects with their names replaced."""
        done = {self.key(key): self._object(key, value) for key, value in objects.items()}
        # Rules come last: by now every name that may stand in `resourceNames` is known.
        return {key: self._with_rules(value) for key, value in done.items()}

    def _object(self, key: ObjectKey, value: Any) -> Struct:
        changed: dict[str, Any] = {"metadata": self._metadata(key, value.metadata)}
        match value:
            case ClusterRoleBinding() | RoleBinding():
                changed["subjects"] = tuple(
                    self.subject(each, key.namespace) for each in value.subjects
                )
                changed["role_ref"] = self._role_ref(value.role_ref, key.namespace)
            case Group():
                changed["users"] = tuple(self.user(each) for each in value.members)
            case RoleBindingRestriction():
                changed["spec"] = self._restriction(value.spec, key.namespace)
        made: Struct = replace(value, **changed)
        return made

    def _role_ref(self, reference: RoleRef, namespace: str) -> RoleRef:
        if reference.kind != "Role":
            return reference
        return replace(reference, name=self._name("Role", namespace, reference.name))

    def _metadata(self, key: ObjectKey, metadata: ObjectMeta) -> ObjectMeta:
        new = self.key(key)
        labels, annotations = metadata.labels, metadata.annotations
        if key.kind != "ClusterRole":
            # Which labels there are may matter; what they say may be a name.
            labels = {k: v if v in _KEPT_VALUES else "redacted" for k, v in labels.items()}
            annotations = {
                k: v if v in _KEPT_VALUES else "redacted" for k, v in annotations.items()
            }
        if key.kind == "Namespace":
            labels = {"kubernetes.io/metadata.name": new.name}
            annotations = {}
        return replace(
            metadata,
            name=new.name,
            namespace=new.namespace,
            labels=labels,
            annotations=annotations,
            owner_references=tuple(
                replace(owner, name="redacted") for owner in metadata.owner_references
            ),
        )

    def _restriction(self, spec: RestrictionSpec, namespace: str) -> RestrictionSpec:
        users, groups, accounts = (
            spec.userrestriction,
            spec.grouprestriction,
            spec.serviceaccountrestriction,
        )
        return RestrictionSpec(
            users
            and UserRestriction(
                _each(self.user, users.users), _each(self.group, users.groups), users.labels
            ),
            groups and GroupRestriction(_each(self.group, groups.groups), groups.labels),
            accounts
            and ServiceAccountRestriction(
                tuple(
                    ServiceAccountReference(
                        self.account(each.namespace or namespace, each.name),
                        self.namespace(each.namespace),
                    )
                    for each in accounts.service_accounts or ()
                ),
                _each(self.namespace, accounts.namespaces),
            ),
        )

    def _with_rules(self, value: Struct) -> Struct:
        if not isinstance(value, ClusterRole | Role):
            return value
        return replace(value, rules=tuple(self._rule(rule) for rule in value.rules))

    def _rule(self, rule: PolicyRule) -> PolicyRule:
        if not rule.resource_names:
            return rule
        names = tuple(self._made.get(name, name) for name in rule.resource_names)
        return replace(rule, resource_names=names)

    def coverage(self, coverage: Coverage) -> Coverage:
        """Return what was read, without names."""
        kinds = {
            kind: KindCoverage(
                each.state,
                each.count,
                tuple(self._words(reason) for reason in each.reasons),
                tuple(self.namespace(name) for name in each.namespaces),
            )
            for kind, each in coverage.kinds.items()
        }
        problems = tuple(self._words(problem) for problem in coverage.problems)
        origin = coverage.origin and self._origin(coverage.origin)
        return Coverage(kinds, problems, coverage.skipped, origin)

    def _origin(self, origin: Origin) -> Origin:
        own_key = "names were replaced with a key of this snapshot's own; others have other words"
        return Origin(
            context=self._word("cluster", origin.cluster_id or origin.context),
            server_version=origin.server_version,
            cluster_id=self._word("cluster", origin.cluster_id),
            started=origin.started,
            finished=origin.finished,
            resource_versions=origin.resource_versions,
            passes=origin.passes,
            notes=origin.notes if self.is_repeatable else (*origin.notes, own_key),
            redacted=True,
        )

    def defects(self, defects: Iterable[Defect]) -> tuple[Defect, ...]:
        """Return what the API server would refuse, without names."""
        return tuple(
            replace(each, key=self.key(each.key), message=self._words(each.message))
            for each in defects
        )

    def _words(self, text: str) -> str:
        """Return a sentence with the names in it replaced; a refusal keeps only that it is one."""
        if text.startswith("forbidden"):
            return "forbidden"
        for name in sorted(self._made, key=len, reverse=True):
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", self._made[name], text)
        return text


def _each(of: Callable[[str], str], names: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(of(name) for name in names or ())


def redact(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot with the names of users, groups and namespaces replaced.

    The same name has the same replacement in all snapshots of one cluster.
    """
    origin = snapshot.coverage.origin
    redactor = Redactor(origin.cluster_id if origin else "")
    by_kind: dict[str, dict[ObjectKey, Struct]] = {}
    for key, value in redactor.objects(snapshot.objects).items():
        by_kind.setdefault(key.kind, {})[key] = value
    return Snapshot(
        by_kind,
        coverage=redactor.coverage(snapshot.coverage),
        defects=redactor.defects(snapshot.defects),
        aggregate=snapshot.aggregate,
    )
