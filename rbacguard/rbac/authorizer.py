"""Decisions about single requests, with the chain of binding, role, and rule behind each.

Behaviour of kubernetes pkg/registry/rbac/validation/rule.go (VisitRulesFor) and
plugin/pkg/auth/authorizer/rbac/subject_locator.go. RBAC only adds. A request that is allowed on a
part of a cluster is allowed on the whole cluster. A request that is not allowed on a part might be
allowed by an object that was not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from rbacguard.rbac.aggregation import ResolvedRoles
from rbacguard.rbac.attributes import Attributes
from rbacguard.rbac.identity import subject_applies
from rbacguard.rbac.rules import rules_allow
from rbacguard.rbac.types import (
    CLUSTER_WIDE,
    AnyBinding,
    ObjectKey,
    PolicyRule,
    Subject,
    can_apply,
)

SYSTEM_MASTERS = Subject("Group", "system:masters")


class Grant(Struct, frozen=True, order=True):
    """A binding, a chain of roles, and a rule that together allow a request.

    Attributes:
        subject: as in the binding, normalised.
        namespace: where the grant holds; `CLUSTER_WIDE` for a ClusterRoleBinding.
        binding: the binding that contains the subject.
        role_chain: the bound role, then the roles that are aggregated into it, down to the role
            that contains the rule in its own definition.
        rule: the rule that allows the request.
    """

    subject: Subject
    namespace: str
    binding: ObjectKey
    role_chain: tuple[ObjectKey, ...]
    rule: PolicyRule

    @property
    def role(self) -> ObjectKey:
        """The bound role."""
        return self.role_chain[0]

    @property
    def source_role(self) -> ObjectKey:
        """The role that contains the rule in its own definition."""
        return self.role_chain[-1]


class Decision(Struct, frozen=True):
    """The answer to one request.

    Attributes:
        allowed: the answer of Kubernetes' RBAC authorizer.
        reason: one sentence, in the authorizer's form.
        grants: every grant that allows the request.
        unread: roles that bindings of the user refer to and that were not read. If the request is
            not allowed, they are a reason why the answer might be wrong.
    """

    allowed: bool
    reason: str
    grants: tuple[Grant, ...] = ()
    unread: tuple[ObjectKey, ...] = ()


class Authorizer:
    """Kubernetes' RBAC authorizer over a fixed set of bindings and roles.

    Args:
        bindings: all bindings by namespace.
        roles: the roles with aggregation applied.
    """

    def __init__(self, bindings: Mapping[str, Sequence[AnyBinding]], roles: ResolvedRoles) -> None:
        """Store the bindings and roles."""
        self._bindings = bindings
        self._roles = roles

    def authorize(self, attributes: Attributes) -> Decision:
        """Return the decision about one request, with every grant (RBACAuthorizer.Authorize).

        The API server allows everything to `system:masters` before it asks RBAC
        (pkg/kubeapiserver/authorizer/reload.go).
        """
        user, groups = attributes.user, attributes.groups
        grants = tuple(
            grant
            for grant in self.grants(attributes)
            if subject_applies(grant.subject, user, groups)
        )
        if grants:
            first = grants[0]
            return Decision(
                True,
                f"allowed by {first.binding} of {first.role} to {first.subject}",
                grants,
            )
        if SYSTEM_MASTERS.name in groups:
            return Decision(True, "allowed to Group system:masters before RBAC is asked")
        unread = {
            role: None
            for namespace in _namespaces(attributes)
            for binding in self._bindings.get(namespace, ())
            if (role := binding.role_ref.key(namespace)) not in self._roles.rules
            and any(subject_applies(subject, user, groups) for subject in binding.subjects)
        }
        return Decision(False, "no RBAC rule allows it", (), tuple(unread))

    def grants(self, attributes: Attributes) -> Iterator[Grant]:
        """Yield every grant of a request to any subject. `user` and `groups` do not count."""
        return self._grants(attributes, _namespaces(attributes))

    def grants_everywhere(self, attributes: Attributes) -> Iterator[Grant]:
        """Yield the grants of a request cluster-wide and in every namespace.

        The namespace of `attributes` does not count. That of each grant says where it holds.
        """
        return self._grants(attributes, self._bindings)

    def allowed_subjects(self, attributes: Attributes) -> list[Subject]:
        """Return the subjects that are allowed a request (AllowedSubjects), each once."""
        found: dict[Subject, None] = {SYSTEM_MASTERS: None}
        for _, binding, _ in self._allowing(attributes, _namespaces(attributes)):
            found.update(dict.fromkeys(filter(can_apply, binding.subjects)))
        return list(found)

    def _grants(self, attributes: Attributes, namespaces: Iterable[str]) -> Iterator[Grant]:
        for namespace, binding, rule in self._allowing(attributes, namespaces):
            chain = self._roles.chain(binding.role_ref.key(namespace), rule)
            for subject in binding.subjects:
                if can_apply(subject):
                    yield Grant(subject, namespace, binding.ref, chain, rule)

    def _allowing(
        self, attributes: Attributes, namespaces: Iterable[str]
    ) -> Iterator[tuple[str, AnyBinding, PolicyRule]]:
        """Yield the bindings whose role allows a request, and the first rule that does."""
        known: dict[tuple[str, str, str], PolicyRule | None] = {}
        for namespace in namespaces:
            for binding in self._bindings.get(namespace, ()):
                ref = binding.role_ref
                role = (ref.kind, namespace if ref.kind == "Role" else CLUSTER_WIDE, ref.name)
                if role not in known:
                    rules = self._roles.rules.get(ObjectKey(*role), ())
                    known[role] = rules_allow(attributes, rules)
                rule = known[role]
                if rule is not None:
                    yield namespace, binding, rule


def _namespaces(attributes: Attributes) -> tuple[str, ...]:
    """Return the namespaces whose bindings count for a request."""
    if attributes.namespace:
        return (CLUSTER_WIDE, attributes.namespace)
    return (CLUSTER_WIDE,)
