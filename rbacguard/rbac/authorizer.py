"""Who may do what, and by which chain of binding, role and rule.

Behaviour of kubernetes pkg/registry/rbac/validation/rule.go (VisitRulesFor, appliesTo) and
plugin/pkg/auth/authorizer/rbac/subject_locator.go. RBAC only adds: what is allowed here stays
allowed however much of the cluster was not read, and what is not allowed here may be allowed by
something that was not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from rbacguard.rbac.attributes import Attributes
from rbacguard.rbac.rules import rules_allow
from rbacguard.rbac.types import AnyBinding, ObjectKey, PolicyRule, Subject

SYSTEM_MASTERS = Subject("Group", "system:masters")
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
SERVICE_ACCOUNTS_GROUP = "system:serviceaccounts"


class Grant(Struct, frozen=True, order=True):
    """Why somebody may do something.

    Attributes:
        subject: as the binding names it; a service account with its namespace filled in.
        namespace: where the grant holds; '' is the whole cluster.
        binding: the binding that names the subject.
        path: the bound role, then the role it is aggregated from, down to the role that states
            the rule.
        rule: the rule that allows it.
    """

    subject: Subject
    namespace: str
    binding: ObjectKey
    path: tuple[ObjectKey, ...]
    rule: PolicyRule

    @property
    def role(self) -> ObjectKey:
        """The bound role."""
        return self.path[0]

    @property
    def source_role(self) -> ObjectKey:
        """The role that states the rule."""
        return self.path[-1]


class Decision(Struct, frozen=True):
    """The answer to one request.

    Attributes:
        allowed: what Kubernetes' RBAC authorizer would say.
        reason: one sentence, in the authorizer's own form.
        grants: every grant that allows it, not only the first.
        unread: roles that a binding of this subject names and that were not read: when `allowed`
            is False, they are why it may be wrong.
    """

    allowed: bool
    reason: str
    grants: tuple[Grant, ...] = ()
    unread: tuple[ObjectKey, ...] = ()


def service_account_user(namespace: str, name: str) -> str:
    """Return the user name that a service account acts as (apiserver, serviceaccount/util.go)."""
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"


def service_account_groups(user: str) -> tuple[str, ...]:
    """Return the groups that a service account's user is always in; nothing for other users."""
    namespace, colon, name = user.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    if not user.startswith(SERVICE_ACCOUNT_PREFIX) or not (colon and namespace and name):
        return ()
    return (SERVICE_ACCOUNTS_GROUP, f"{SERVICE_ACCOUNTS_GROUP}:{namespace}")


def subject_applies(subject: Subject, user: str, groups: Iterable[str]) -> bool:
    """Port of appliesToUser, for a subject whose namespace was filled in."""
    match subject.kind:
        case "User":
            return subject.name == user
        case "Group":
            return subject.name in groups
        case "ServiceAccount":
            return (
                bool(subject.namespace)
                and service_account_user(subject.namespace, subject.name) == user
            )
        case _:
            return False


def effective_subject(subject: Subject, binding_namespace: str) -> Subject:
    """Return the subject as the authorizer reads it: a service account's namespace filled in."""
    if subject.kind == "ServiceAccount":
        return Subject(subject.kind, subject.name, subject.namespace or binding_namespace)
    return Subject(subject.kind, subject.name) if subject.namespace else subject


def applying_subject(subject: Subject, binding_namespace: str) -> Subject | None:
    """Return the subject as the authorizer reads it, or None if nobody can be it.

    Nobody has an empty name or is of another kind, and a service account has a namespace.
    """
    kind = subject.kind
    if not subject.name or kind not in ("User", "Group", "ServiceAccount"):
        return None
    if kind == "ServiceAccount" or subject.namespace:
        subject = effective_subject(subject, binding_namespace)
    return None if kind == "ServiceAccount" and not subject.namespace else subject


PathFinder = Callable[[ObjectKey, PolicyRule], tuple[ObjectKey, ...]]


_MOST_KNOWN = 1_000
"""How many kinds of request are remembered at once; a caller may ask for any number of names."""


class _Rules(dict[tuple[str, str, str], "PolicyRule | None"]):
    """By role, the first rule that allows a request; a role is looked at when it is asked for.

    Plain tuples, which equal the keys of roles, are quicker to make and serve as well.
    """

    def __init__(
        self, attributes: Attributes, rules: Mapping[ObjectKey, tuple[PolicyRule, ...]]
    ) -> None:
        self._attributes, self._of = attributes, rules
        # Whom ClusterRoleBindings allow it, the same in every namespace; worked out when asked for.
        self.everywhere: list[Subject] | None = None

    def __missing__(self, role: tuple[str, str, str]) -> PolicyRule | None:
        rules = self._of.get(ObjectKey(*role), ())
        found = self[role] = rules_allow(self._attributes, rules)
        return found


class Authorizer:
    """The authorizer over a fixed set of bindings and resolved roles.

    Args:
        bindings: all bindings by scope; '' is that of ClusterRoleBindings.
        rules: the rules of every role that was read, aggregation already applied.
        path: names the roles through which a role comes by one of its rules.
    """

    def __init__(
        self,
        bindings: Mapping[str, Sequence[AnyBinding]],
        rules: Mapping[ObjectKey, tuple[PolicyRule, ...]],
        path: PathFinder | None = None,
    ) -> None:
        """Put the bindings of a namespace in order of role when it is asked for."""
        self._rules = rules
        self._path: PathFinder = path or (lambda role, _rule: (role,))
        self._bindings = bindings
        self._by_role: dict[str, Mapping[ObjectKey, list[AnyBinding]]] = {}
        # By what a rule is matched with; roles and rules are fixed, so no answer grows old.
        self._known: dict[tuple[str, ...], _Rules] = {}

    def _roles(self, scope: str) -> Mapping[ObjectKey, list[AnyBinding]]:
        """Return the bindings of a namespace ('' = the cluster's) by the role that they give."""
        known = self._by_role.get(scope)
        if known is None:
            # By plain tuples first, which equal the keys and are quicker to make.
            found: dict[tuple[str, str, str], list[AnyBinding]] = {}
            for binding in self._bindings.get(scope, ()):
                ref = binding.role_ref
                key = (ref.kind, scope if ref.kind == "Role" else "", ref.name)
                found.setdefault(key, []).append(binding)
            known = {ObjectKey(*key): bindings for key, bindings in found.items()}
            self._by_role[scope] = known
        return known

    def authorize(self, attributes: Attributes) -> Decision:
        """Decide one request, as RBACAuthorizer.Authorize does, and name every grant.

        `system:masters` is allowed before RBAC is asked (pkg/kubeapiserver/authorizer/reload.go).
        """
        grants = tuple(
            grant
            for grant in self.grants(attributes)
            if subject_applies(grant.subject, attributes.user, attributes.groups)
        )
        if grants:
            first = grants[0]
            return Decision(
                True,
                f"allowed by {first.binding} of {first.role} to {first.subject}",
                grants,
            )
        if SYSTEM_MASTERS.name in attributes.groups:
            return Decision(True, "allowed to Group system:masters before RBAC is asked")
        unread = tuple(
            dict.fromkeys(
                role
                for scope in self._scopes(attributes)
                for role, bindings in self._roles(scope).items()
                if role not in self._rules
                and any(
                    subject_applies(effective_subject(s, scope), attributes.user, attributes.groups)
                    for binding in bindings
                    for s in binding.subjects
                )
            )
        )
        return Decision(False, "no RBAC rule allows it", (), unread)

    def grants(self, attributes: Attributes) -> Iterator[Grant]:
        """Yield every grant of a request to anybody; `user` and `groups` are not looked at."""
        rules = self._rules_for(attributes)
        for scope in self._scopes(attributes):
            for role, bindings in self._roles(scope).items():
                rule = rules[role]
                if rule is not None:
                    yield from self._expand(role, rule, bindings, scope)

    def grants_everywhere(self, attributes: Attributes) -> Iterator[Grant]:
        """Yield the grants of a request in the whole cluster and in every namespace.

        The namespace of `attributes` is not looked at; that of each grant says where it holds.
        """
        rules = self._rules_for(attributes)
        for scope in self._bindings:
            for role, bindings in self._roles(scope).items():
                rule = rules[role]
                if rule is not None:
                    yield from self._expand(role, rule, bindings, scope)

    def allowed_subjects(self, attributes: Attributes) -> list[Subject]:
        """Return who may do something, `system:masters` first, each once (AllowedSubjects)."""
        rules = self._rules_for(attributes)
        if rules.everywhere is None:
            rules.everywhere = self._subjects(rules, "")
        found = [SYSTEM_MASTERS, *rules.everywhere]
        if attributes.namespace:
            found += self._subjects(rules, attributes.namespace)
        return list(dict.fromkeys(found))

    def _subjects(self, rules: _Rules, scope: str) -> list[Subject]:
        found = []
        for binding in self._bindings.get(scope, ()):
            ref = binding.role_ref
            if rules[ref.kind, scope if ref.kind == "Role" else "", ref.name] is not None:
                for each in binding.subjects:
                    subject = applying_subject(each, scope)
                    if subject is not None:
                        found.append(subject)
        return found

    def _scopes(self, attributes: Attributes) -> tuple[str, ...]:
        return ("", attributes.namespace) if attributes.namespace else ("",)

    def _rules_for(self, attributes: Attributes) -> _Rules:
        """Return, by role, the rule that allows a request; each role is looked at once."""
        key = (
            *(attributes.verb, attributes.api_group, attributes.resource, attributes.subresource),
            *(attributes.name, attributes.path),
        )
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = _Rules(attributes, self._rules)
        return found

    def _expand(
        self, role: ObjectKey, rule: PolicyRule, bindings: list[AnyBinding], scope: str
    ) -> Iterator[Grant]:
        path = self._path(role, rule)
        for binding, subject in _applying(bindings, scope):
            yield Grant(subject, scope, binding.ref, path, rule)


def _applying(bindings: Iterable[AnyBinding], scope: str) -> Iterator[tuple[AnyBinding, Subject]]:
    """Yield the subjects of bindings in a scope, but for those that nobody can be."""
    for binding in bindings:
        for each in binding.subjects:
            subject = applying_subject(each, scope)
            if subject is not None:
                yield binding, subject
