"""Replacement of the names of people and projects, so that a snapshot can be shared.

A name has the same pseudonym everywhere, in every snapshot of the same cluster. Pseudonyms are
computed with a key from the identity of the cluster, which the file does not contain. Names that
every cluster has, and names of ClusterRoles, stay unchanged, so that findings stay the same.
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
from rbacguard.snapshot.coverage import ClusterOrigin, Coverage, InvalidField, KindCoverage
from rbacguard.snapshot.objects import (
    Group,
    GroupRestriction,
    NamespaceMeta,
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
    """Replaces names with pseudonyms.

    Args:
        cluster_id: the identity of the cluster; '' gives a random key.
    """

    def __init__(self, cluster_id: str) -> None:
        """Compute the key."""
        identity = cluster_id.encode() or secrets.token_bytes(32)
        self._key = hashlib.sha256(b"rbacguard redaction\0" + identity).digest()
        self.is_repeatable = bool(cluster_id)
        self._pseudonyms: dict[str, str] = {}

    def _pseudonym(self, prefix: str, name: str) -> str:
        if not name:
            return name
        digest = hmac.new(self._key, f"{prefix}\0{name}".encode(), hashlib.sha256).hexdigest()
        pseudonym = f"{prefix}-{digest[:10]}"
        self._pseudonyms[name] = pseudonym
        return pseudonym

    def namespace(self, name: str) -> str:
        """Return the pseudonym of a namespace."""
        return name if _PUBLIC_NAMESPACE.fullmatch(name) else self._pseudonym("namespace", name)

    def account(self, namespace: str, name: str) -> str:
        """Return the pseudonym of the name of a service account."""
        if _PUBLIC_NAMESPACE.fullmatch(namespace) or name == "default":
            return name
        return self._pseudonym("account", name)

    def user(self, name: str) -> str:
        """Return the pseudonym of a user. The user of a service account stays one."""
        if name.startswith(_ACCOUNT):
            namespace, colon, account = name.removeprefix(_ACCOUNT).partition(":")
            return f"{_ACCOUNT}{self.namespace(namespace)}{colon}{self.account(namespace, account)}"
        return name if name.startswith("system:") else self._pseudonym("user", name)

    def group(self, name: str) -> str:
        """Return the pseudonym of a group. A group of service accounts stays one."""
        if name.startswith(_ACCOUNTS):
            return _ACCOUNTS + self.namespace(name.removeprefix(_ACCOUNTS))
        return name if name.startswith("system:") else self._pseudonym("group", name)

    def subject(self, subject: Subject) -> Subject:
        """Return a subject with pseudonyms."""
        namespace = self.namespace(subject.namespace)
        if subject.kind == "ServiceAccount":
            return Subject(subject.kind, self.account(subject.namespace, subject.name), namespace)
        name = self.group(subject.name) if subject.kind == "Group" else self.user(subject.name)
        return Subject(subject.kind, name, namespace)

    def key(self, key: ObjectKey) -> ObjectKey:
        """Return the identity of an object with pseudonyms."""
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
            return self._pseudonym("binding", name)
        if kind in ("Role", "RoleBinding", "RoleBindingRestriction") and not (
            _PUBLIC_NAMESPACE.fullmatch(namespace) or name.startswith("system:")
        ):
            return self._pseudonym("role" if kind == "Role" else "binding", name)
        return name

    def objects(self, objects: Mapping[ObjectKey, Struct]) -> dict[ObjectKey, Struct]:
        """Return all objects with pseudonyms."""
        done = {self.key(key): self._object(key, value) for key, value in objects.items()}
        # Rules come last, when the pseudonym of every name in `resourceNames` is known.
        return {key: self._with_rules(value) for key, value in done.items()}

    def _object(self, key: ObjectKey, value: Any) -> Struct:
        changed: dict[str, Any] = {"metadata": self._metadata(key, value.metadata)}
        match value:
            case ClusterRoleBinding() | RoleBinding():
                changed["subjects"] = tuple(map(self.subject, value.subjects))
                changed["role_ref"] = self._role_ref(value.role_ref, key.namespace)
            case Group():
                changed["users"] = tuple(self.user(each) for each in value.users)
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
            # The keys might be relevant, and the values might be names.
            labels = {k: v if v in _KEPT_VALUES else "redacted" for k, v in labels.items()}
            annotations = {
                k: v if v in _KEPT_VALUES else "redacted" for k, v in annotations.items()
            }
        if key.kind == "Namespace":
            labels = {"kubernetes.io/metadata.name": new.name}
            annotations = {}
        if isinstance(metadata, NamespaceMeta):
            # The UID is the key of the replaced names. Its digest still identifies the cluster.
            digest = hashlib.sha256(f"uid\0{metadata.uid}".encode()).hexdigest()
            metadata = replace(metadata, uid=digest if metadata.uid else "")
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
        names = tuple(self._pseudonyms.get(name, name) for name in rule.resource_names)
        return replace(rule, resource_names=names)

    def coverage(self, coverage: Coverage) -> Coverage:
        """Return the coverage with pseudonyms."""
        kinds = {
            kind: KindCoverage(
                each.state,
                each.count,
                tuple(self._text(reason) for reason in each.reasons),
                tuple(self.namespace(name) for name in each.namespaces),
            )
            for kind, each in coverage.kinds.items()
        }
        problems = tuple(self._text(problem) for problem in coverage.problems)
        origin = coverage.origin and self._origin(coverage.origin)
        return Coverage(kinds, problems, coverage.skipped, origin)

    def _origin(self, origin: ClusterOrigin) -> ClusterOrigin:
        own_key = "names were replaced with a key of this snapshot's own; others have other words"
        return replace(
            origin,
            context=self._pseudonym("cluster", origin.cluster_id or origin.context),
            server="",
            user="",
            cluster_id=self._pseudonym("cluster", origin.cluster_id),
            warnings=(),
            notes=origin.notes if self.is_repeatable else (*origin.notes, own_key),
            redacted=True,
        )

    def invalid_fields(self, fields: Iterable[InvalidField]) -> tuple[InvalidField, ...]:
        """Return the invalid fields with pseudonyms."""
        return tuple(
            replace(each, key=self.key(each.key), message=self._text(each.message))
            for each in fields
        )

    def _text(self, text: str) -> str:
        """Return a sentence with pseudonyms. Of a refusal, only the word "forbidden" stays."""
        if text.startswith("forbidden"):
            return "forbidden"
        for name in sorted(self._pseudonyms, key=len, reverse=True):
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", self._pseudonyms[name], text)
        return text


def _each(of: Callable[[str], str], names: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(of(name) for name in names or ())


def redact(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot with pseudonyms for users, groups, and namespaces."""
    origin = snapshot.coverage.origin
    redactor = Redactor(origin.cluster_id if origin else "")
    by_kind: dict[str, dict[ObjectKey, Struct]] = {}
    for key, value in redactor.objects(snapshot.objects).items():
        by_kind.setdefault(key.kind, {})[key] = value
    return Snapshot(
        by_kind,
        coverage=redactor.coverage(snapshot.coverage),
        invalid_fields=redactor.invalid_fields(snapshot.invalid_fields),
        aggregate=snapshot.aggregate,
    )
