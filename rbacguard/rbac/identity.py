"""Users, their groups, and the subjects that apply to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from rbacguard.rbac.types import Subject

SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
SERVICE_ACCOUNTS_GROUP = "system:serviceaccounts"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
OAUTH = "system:authenticated:oauth"
"""OpenShift's group of users who log in through its OAuth server, not with a certificate."""
ANONYMOUS = "system:anonymous"
KUBE_ADMIN = "kube:admin"
"""OpenShift's initial user. It is not in `OAUTH` (openshift/kubernetes,
openshift-kube-apiserver/authentication/oauth/bootstrapauthenticator.go)."""


class User(Struct, frozen=True):
    """The identity of a request (apiserver, authentication/user/user.go, Info).

    Attributes:
        name: the user name.
        groups: all groups that are known, those that the API server adds included.
    """

    name: str
    groups: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the user name."""
        return self.name


def service_account_user(namespace: str, name: str) -> str:
    """Return the user name of a service account (apiserver, serviceaccount/util.go)."""
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"


def service_account_of(user: str) -> Subject | None:
    """Return the service account that has a user name, or None for any other user."""
    namespace, colon, name = user.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    if not user.startswith(SERVICE_ACCOUNT_PREFIX) or not (colon and namespace and name):
        return None
    return Subject("ServiceAccount", name, namespace)


def service_account_groups(user: str) -> tuple[str, ...]:
    """Return the groups of a service account's user name; none for any other user."""
    account = service_account_of(user)
    if account is None:
        return ()
    return (SERVICE_ACCOUNTS_GROUP, f"{SERVICE_ACCOUNTS_GROUP}:{account.namespace}")


def is_person(user: str) -> bool:
    """Return whether an identity provider can add groups to a user."""
    return not user.startswith("system:") and user != KUBE_ADMIN


def identify(
    name: str,
    groups: Iterable[str] = (),
    *,
    members: Mapping[str, Collection[str]] | None = None,
) -> User:
    """Return a user with all groups that are known.

    Args:
        name: the user name.
        groups: groups of the request. If there are any, `members` does not count.
        members: OpenShift Groups with their users. They do not count for service accounts.
    """
    given = tuple(groups)
    if not given and members is not None and service_account_of(name) is None:
        given = tuple(group for group, users in members.items() if name in users)
    return User(name, tuple(dict.fromkeys((*given, *_added_groups(name)))))


def identify_subject(subject: Subject, *, nobody: str) -> User:
    """Return a user to whom a subject of a binding applies, with no more groups than it must have.

    Args:
        subject: the subject.
        nobody: the user name for a Group.
    """
    match subject.kind:
        case "ServiceAccount":
            return identify(service_account_user(subject.namespace, subject.name))
        case "Group":
            return identify(nobody, [subject.name])
        case _:
            return identify(subject.name)


def _added_groups(user: str) -> tuple[str, ...]:
    """Return the groups that the API server adds to a user."""
    if user == ANONYMOUS:
        return (UNAUTHENTICATED,)
    if user == KUBE_ADMIN:
        return ("system:cluster-admins", AUTHENTICATED)
    return (*service_account_groups(user), AUTHENTICATED)


def subject_applies(subject: Subject, user: str, groups: Collection[str]) -> bool:
    """Return whether a normalised subject applies to a user (rule.go, appliesToUser)."""
    match subject.kind:
        case "User":
            return subject.name == user
        case "Group":
            return subject.name in groups
        case "ServiceAccount":
            account = (subject.namespace, subject.name)
            return bool(subject.namespace) and service_account_user(*account) == user
        case _:
            return False
