"""Requests to the authorizer, and answers of an API server to them."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import force_setattr


class Attributes(Struct, frozen=True, kw_only=True):
    """One request (apiserver, authorization/authorizer/interfaces.go).

    Attributes:
        verb: such as `create`.
        user: the user name.
        groups: the groups of the user.
        api_group: the API group; empty for the core group.
        resource: the plural name of the resource.
        subresource: the subresource, if any.
        name: the name of the object; empty for create, list, and deletecollection.
        namespace: the namespace; empty for a cluster-wide request, for which RoleBindings do not
            count.
        path: a non-resource URL. The fields of resources must be empty then.

    Raises:
        TypeError: `groups` is one string.
        ValueError: the request has both a path and a resource.
    """

    verb: str
    user: str = ""
    groups: tuple[str, ...] | list[str] = ()
    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        """Check the types, and that the request is for a path or for a resource."""
        groups: object = self.groups
        if not isinstance(groups, list | tuple):
            raise TypeError(f"groups: expected a list of names, found {groups!r}")
        force_setattr(self, "groups", tuple(groups))
        if self.path and (self.resource or self.subresource or self.api_group or self.namespace):
            raise ValueError("a request is for a path or for a resource, not for both")

    @property
    def is_resource_request(self) -> bool:
        """Whether the request is for a resource and not for a URL path."""
        return not self.path

    @property
    def combined_resource(self) -> str:
        """Return `resource`, or `resource/subresource`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def format_action(verb: str, resource: str, api_group: str, subresource: str) -> str:
    """Return an action as kubectl writes it: `update virtualmachines.kubevirt.io/migrate`."""
    group = f".{api_group}" if api_group else ""
    return f"{verb} {resource}{group}" + (f"/{subresource}" if subresource else "")


class Review(Struct, frozen=True):
    """A request with the answer of an API server to an access review."""

    attributes: Attributes
    allowed: bool
    reason: str = ""


class Reviews(Struct, frozen=True):
    """The answers of an API server to access reviews.

    Attributes:
        by: the kind of review, such as `SubjectAccessReview`; empty if none was allowed.
        answers: the answers.
        note: why answers are missing.
    """

    by: str
    answers: tuple[Review, ...] = ()
    note: str = ""
