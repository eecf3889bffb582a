"""Access reviews: decisions of the API server. They create nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from rbacguard.errors import ClusterError
from rbacguard.rbac import Attributes, Review, Reviews
from rbacguard.sources.live.concurrency import Progress, run_concurrently
from rbacguard.sources.live.connection import Connection, Reply

_API = "/apis/authorization.k8s.io/v1"
_SELF_SUBJECT_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_FORBIDDEN = 403


class _Status(Struct):
    allowed: bool
    reason: str = ""


class _AccessReview(Struct):
    status: _Status


class _UserInfo(Struct):
    username: str
    groups: tuple[str, ...] = ()


class _SelfStatus(Struct, rename="camel"):
    user_info: _UserInfo


class _SelfReview(Struct):
    status: _SelfStatus


def review_access(
    connection: Connection, requests: Sequence[Attributes], progress: Progress | None = None
) -> Reviews:
    """Return the server's decisions, from the most general review that it allows.

    A SubjectAccessReview is about any subject, and a LocalSubjectAccessReview about any subject
    in one namespace. If the server allows neither, a SelfSubjectAccessReview is about the current
    user, who replaces the users in the requests.

    Raises:
        ClusterError: the server does not answer.
    """
    if not requests:
        return Reviews("", note="there is nothing to ask")
    for kind in ("SubjectAccessReview", "LocalSubjectAccessReview"):
        is_local = kind == "LocalSubjectAccessReview"
        possible = [each for each in requests if each.namespace or not is_local]
        review = partial(_review, connection, kind)
        if any(review(each) is not None for each in (possible if is_local else possible[:1])):
            return Reviews(kind, *_review_all(review, possible, progress))
    user = _current_user(connection)
    if user is None:
        return Reviews("", note="the server allows no access review")
    own = dict.fromkeys(replace(each, user=user.username, groups=user.groups) for each in requests)
    review = partial(_review, connection, "SelfSubjectAccessReview")
    answers, note = _review_all(review, list(own), progress)
    note = note or f"only {user.username} could be asked for"
    return Reviews("SelfSubjectAccessReview", answers, note)


def _review_all(
    review: Callable[[Attributes], Review | None],
    requests: Sequence[Attributes],
    progress: Progress | None,
) -> tuple[tuple[Review, ...], str]:
    """Return the decisions, and a note about reviews that are forbidden."""
    done = 0

    def review_one(request: Attributes) -> Review | None:
        nonlocal done
        answer = review(request)
        done += 1
        if progress is not None:
            progress("access reviews", done, len(requests))
        return answer

    found = run_concurrently([partial(review_one, request) for request in requests])
    answers = tuple(answer for answer in found if answer is not None)
    forbidden = len(found) - len(answers)
    return answers, f"{forbidden} questions were not allowed" if forbidden else ""


def _review(connection: Connection, kind: str, request: Attributes) -> Review | None:
    """Return the decision about one request; None if the review is forbidden."""
    attributes = {
        "verb": request.verb,
        "group": request.api_group,
        "resource": request.resource,
        "subresource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
    }
    spec: dict[str, Any] = {"resourceAttributes": {k: v for k, v in attributes.items() if v}}
    if kind != "SelfSubjectAccessReview":
        spec |= {"user": request.user, "groups": list(request.groups)}
    body: dict[str, Any] = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    path = f"{_API}/{kind.lower()}s"
    if kind == "LocalSubjectAccessReview":
        body["metadata"] = {"namespace": request.namespace}
        namespace = quote(request.namespace, safe="")
        path = f"{_API}/namespaces/{namespace}/{kind.lower()}s"
    reply = connection.review(path, body)
    if reply.status == _FORBIDDEN:
        return None
    status = _decode(reply, _AccessReview, connection).status
    return Review(request, status.allowed, status.reason)


def _current_user(connection: Connection) -> _UserInfo | None:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    reply = connection.review(_SELF_SUBJECT_REVIEWS, body)
    if not reply.ok:
        return None
    return _decode(reply, _SelfReview, connection).status.user_info


_Decoded = TypeVar("_Decoded", bound=Struct)


def _decode(reply: Reply, kind: type[_Decoded], connection: Connection) -> _Decoded:
    try:
        if reply.ok:
            return msgspec.json.decode(reply.body, type=kind)
        reason = reply.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        reason = "not an access review"
    raise ClusterError(f"{connection.config.server}: an access review failed: {reason}")
