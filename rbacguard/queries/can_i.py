"""Questions about one subject, with what the input does not tell about groups."""

from __future__ import annotations

from collections.abc import Container, Iterable

from msgspec import Struct
from msgspec.structs import replace

from rbacguard.kubevirt.holding import Holding, holders
from rbacguard.kubevirt.permissions import permissions
from rbacguard.rbac import Attributes, Decision, Subject
from rbacguard.rbac.authorizer import service_account_groups, service_account_user
from rbacguard.snapshot import Snapshot
from rbacguard.snapshot.coverage import State

ANONYMOUS = "system:anonymous"
KUBE_ADMIN = "kube:admin"
"""OpenShift's user before any other, not in `OAUTH` (openshift/kubernetes,
openshift-kube-apiserver/authentication/oauth/bootstrapauthenticator.go)."""
OAUTH = "system:authenticated:oauth"
"""The group of persons who log in through OpenShift's OAuth server, not with a certificate."""
_PREFIXES = {
    "user": "User",
    "group": "Group",
    "serviceaccount": "ServiceAccount",
    "sa": "ServiceAccount",
}


class Answer(Struct, frozen=True):
    """A decision and, where it is a refusal, why it may be wrong.

    Attributes:
        attributes: what was asked, with all groups of the user that are known.
        decision: what became of it.
        gaps: what was not read and may allow it.
        unread_groups: groups that may do it and that the input does not hold, though it holds
            others: nobody is in them by OpenShift, but may be by a certificate or a token.
    """

    attributes: Attributes
    decision: Decision
    gaps: tuple[str, ...]
    unread_groups: tuple[str, ...] = ()


def _virtual_groups(user: str) -> tuple[str, ...]:
    """Return the groups that the API server adds by itself."""
    if user == ANONYMOUS:
        return ("system:unauthenticated",)
    if user == KUBE_ADMIN:
        return ("system:cluster-admins", "system:authenticated")
    return (*service_account_groups(user), "system:authenticated")


def decide(snapshot: Snapshot, attributes: Attributes) -> Answer:
    """Decide a request as the API server would for that user.

    The groups are those given; with none given, those of the input that list the user. The groups
    that the API server adds by itself are added.
    """
    given = bool(attributes.groups)
    groups = tuple(attributes.groups) or snapshot.groups_of(attributes.user)
    attributes = replace(
        attributes, groups=tuple(dict.fromkeys((*groups, *_virtual_groups(attributes.user))))
    )
    decision = snapshot.authorizer.authorize(attributes)
    if decision.allowed:
        return Answer(attributes, decision, ())
    kinds = ["ClusterRole", "ClusterRoleBinding"]
    if attributes.namespace:
        kinds += ["Role", "RoleBinding"]
    gaps = list(snapshot.coverage.gaps(kinds, attributes.namespace))
    if given or not _is_person(attributes.user):
        return Answer(attributes, decision, tuple(gaps))
    allowing = sorted(
        {
            grant.subject.name
            for grant in snapshot.authorizer.grants(attributes)
            if grant.subject.kind == "Group"
        }
    )
    read = snapshot.coverage.kinds["Group"].state is State.READ
    others = [name for name in allowing if not name.startswith("system:")]
    unknown = [name for name in allowing if name == OAUTH or (not read and name in others)]
    gaps += [f"the members of Group {name}, which may do it, are not known" for name in unknown]
    unread = tuple(name for name in others if read and name not in snapshot.groups)
    return Answer(attributes, decision, tuple(gaps), unread)


def _is_person(user: str) -> bool:
    return not user.startswith("system:") and user != KUBE_ADMIN


class Explanation(Struct, frozen=True):
    """What a subject holds.

    Attributes:
        identities: the subjects of bindings that it is: itself, and groups that it is in.
        members: for a group, its users; None where they are not known.
        holds: what they hold of every permission that leads to a migration.
        gaps: what was not read.
    """

    identities: tuple[Subject, ...]
    members: tuple[str, ...] | None
    holds: tuple[Holding, ...]
    gaps: tuple[str, ...]


def identities(text: str, snapshot: Snapshot) -> tuple[Subject, ...]:
    """Return the subjects that a person means by `alice`, `group/devs` or `sa/web/deployer`."""
    prefix, slash, rest = text.partition("/")
    kind = _PREFIXES.get(prefix.lower()) if slash else None
    named = {s for binding in snapshot.bindings for s in binding.subjects}
    named |= {Subject("ServiceAccount", name, space) for space, name in snapshot.service_accounts}
    if kind == "ServiceAccount":
        namespace, _, name = rest.partition("/")
        found = [Subject(kind, name, namespace)]
    elif kind:
        found = [Subject(kind, rest)]
    else:
        found = sorted(s for s in named if s.name == text)
        if text in snapshot.groups:
            found.append(Subject("Group", text))
        if not found:
            found.append(Subject("User", text))
    return tuple(dict.fromkeys(_with_groups(found, snapshot, named)))


def _with_groups(
    found: Iterable[Subject], snapshot: Snapshot, named: Container[Subject]
) -> Iterable[Subject]:
    oauth = Subject("Group", OAUTH)
    for subject in found:
        yield subject
        user = subject.name
        if subject.kind == "ServiceAccount":
            user = service_account_user(subject.namespace, subject.name)
            yield Subject("User", user)
        elif subject.kind == "User" and service_account_groups(user):
            _, _, namespace, name = user.split(":", 3)
            yield Subject("ServiceAccount", name, namespace)
        if subject.kind != "Group":
            for group in (*snapshot.groups_of(user), *_virtual_groups(user)):
                yield Subject("Group", group)
            # Where nothing is bound to it, it is no matter who is in it.
            if _is_person(user) and oauth in named:
                yield oauth


def explain(snapshot: Snapshot, text: str) -> Explanation:
    """Return what a subject holds, by itself and through its groups."""
    subjects = identities(text, snapshot)
    actions = [action for permission in permissions().values() for action in permission.granting]
    gaps = list(snapshot.coverage.gaps())
    if snapshot.coverage.kinds["Group"].state is not State.READ:
        gaps.append("Group: not in the input, so the groups of a user are not known")
    members = None
    if subjects and subjects[0].kind == "Group":
        members = snapshot.groups.get(subjects[0].name)
    return Explanation(
        subjects,
        members,
        tuple(holders(snapshot, actions, sorted(subjects))),
        tuple(gaps),
    )
