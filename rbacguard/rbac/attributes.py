"""What is asked of the authorizer."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import force_setattr


class Attributes(Struct, frozen=True, kw_only=True):
    """One request: who wants to do what (apiserver, authorization/authorizer/interfaces.go).

    `namespace=""` asks for the whole cluster: RoleBindings do not count then. `name=""` is a
    request without a name (create, list, deletecollection). With `path` the request is for a
    non-resource URL, and the resource fields must stay empty.

    Raises:
        TypeError: `groups` is one string.
        ValueError: both a path and a resource were given.
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
        """Check that the request can exist."""
        groups: object = self.groups
        if not isinstance(groups, list | tuple):
            raise TypeError(f"groups: expected a list of names, found {groups!r}")
        force_setattr(self, "groups", tuple(groups))
        if self.path and (self.resource or self.subresource or self.api_group or self.namespace):
            raise ValueError("a request is for a path or for a resource, not for both")

    @property
    def is_resource_request(self) -> bool:
        """Whether this asks for a resource rather than a URL path."""
        return not self.path

    @property
    def combined_resource(self) -> str:
        """Return `resource`, or `resource/subresource`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def written(verb: str, resource: str, api_group: str, subresource: str) -> str:
    """Return `update virtualmachines.subresources.kubevirt.io/migrate`, as kubectl writes it."""
    group = f".{api_group}" if api_group else ""
    return f"{verb} {resource}{group}" + (f"/{subresource}" if subresource else "")


class Review(Struct, frozen=True):
    """A request, and what an API server said to it in an access review."""

    attributes: Attributes
    allowed: bool
    reason: str = ""


class Reviews(Struct, frozen=True):
    """What came of asking an API server.

    Attributes:
        by: the kind of review that was allowed, such as `SubjectAccessReview`; '' for none.
        answers: what it said.
        note: why there are no answers, or fewer than questions.
    """

    by: str
    answers: tuple[Review, ...] = ()
    note: str = ""
