"""Access reviews: what the API server itself says. They create nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from rbacguard.errors import ClusterError
from rbacguard.rbac import Attributes, Review, Reviews
from rbacguard.sources.live.connection import Connection, Reply
from rbacguard.sources.live.lists import Progress, side_by_side

_API = "/apis/authorization.k8s.io/v1"
_WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_FORBIDDEN = 403


class _Status(Struct):
    allowed: bool
    reason: str = ""


class _Answer(Struct):
    status: _Status


class _UserInfo(Struct):
    username: str
    groups: tuple[str, ...] = ()


class _SelfStatus(Struct, rename="camel"):
    user_info: _UserInfo


class _SelfReview(Struct):
    status: _SelfStatus


def ask(
    connection: Connection, questions: Sequence[Attributes], progress: Progress | None = None
) -> Reviews:
    """Ask the server, by the widest review that it allows.

    A SubjectAccessReview asks for anybody, a LocalSubjectAccessReview in one namespace; where
    neither is allowed, a SelfSubjectAccessReview asks for the user himself, in place of those who
    were asked for.

    Raises:
        ClusterError: the server does not answer.
    """
    if not questions:
        return Reviews("", note="there is nothing to ask")
    whole = partial(_subject_review, connection, f"{_API}/subjectaccessreviews")
    if whole(questions[0]) is not None:
        return Reviews("SubjectAccessReview", *_collect(whole, questions, progress))
    local = [each for each in questions if each.namespace]
    one = partial(_local_review, connection)
    first = next((each for each in local if one(each) is not None), None)
    if first is not None:
        return Reviews("LocalSubjectAccessReview", *_collect(one, local, progress))
    me = _who_am_i(connection)
    if me is None:
        return Reviews("", note="the server allows no access review")
    mine = dict.fromkeys(replace(q, user=me.username, groups=me.groups) for q in questions)
    answers, note = _collect(partial(_self_review, connection), list(mine), progress)
    note = note or f"only {me.username} could be asked for"
    return Reviews("SelfSubjectAccessReview", answers, note)


def _collect(
    review: Any, questions: Sequence[Attributes], progress: Progress | None
) -> tuple[tuple[Review, ...], str]:
    done = 0

    def one(question: Attributes) -> Review | None:
        nonlocal done
        answer: Review | None = review(question)
        done += 1
        if progress is not None:
            progress("access reviews", done, len(questions))
        return answer

    found = side_by_side([partial(one, question) for question in questions])
    answers = tuple(answer for answer in found if answer is not None)
    refused = len(found) - len(answers)
    return answers, f"{refused} questions were not allowed" if refused else ""


def _subject_review(connection: Connection, path: str, question: Attributes) -> Review | None:
    spec = {
        "user": question.user,
        "groups": list(question.groups),
        "resourceAttributes": _resource(question),
    }
    return _answer(connection, path, "SubjectAccessReview", question, spec)


def _local_review(connection: Connection, question: Attributes) -> Review | None:
    path = f"{_API}/namespaces/{quote(question.namespace, safe='')}/localsubjectaccessreviews"
    spec = {
        "user": question.user,
        "groups": list(question.groups),
        "resourceAttributes": _resource(question),
    }
    return _answer(connection, path, "LocalSubjectAccessReview", question, spec)


def _self_review(connection: Connection, question: Attributes) -> Review | None:
    spec = {"resourceAttributes": _resource(question)}
    path = f"{_API}/selfsubjectaccessreviews"
    return _answer(connection, path, "SelfSubjectAccessReview", question, spec)


def _resource(question: Attributes) -> dict[str, str]:
    fields = {
        "verb": question.verb,
        "group": question.api_group,
        "resource": question.resource,
        "subresource": question.subresource,
        "name": question.name,
        "namespace": question.namespace,
    }
    return {key: value for key, value in fields.items() if value}


def _answer(
    connection: Connection, path: str, kind: str, question: Attributes, spec: dict[str, Any]
) -> Review | None:
    """Return the answer, or None where asking is not allowed."""
    body: dict[str, Any] = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    if kind == "LocalSubjectAccessReview":
        body["metadata"] = {"namespace": question.namespace}
    reply = connection.review(path, body)
    if reply.status == _FORBIDDEN:
        return None
    status = _decoded(reply, _Answer, connection).status
    return Review(question, status.allowed, status.reason)


def _who_am_i(connection: Connection) -> _UserInfo | None:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    reply = connection.review(_WHO_AM_I, body)
    if not reply.ok:
        return None
    return _decoded(reply, _SelfReview, connection).status.user_info


_Decoded = TypeVar("_Decoded", bound=Struct)


def _decoded(reply: Reply, kind: type[_Decoded], connection: Connection) -> _Decoded:
    try:
        if reply.ok:
            return msgspec.json.decode(reply.body, type=kind)
        reason = reply.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        reason = "not an access review"
    raise ClusterError(f"{connection.access.server}: an access review failed: {reason}")
