"""Requests to an API server, with retries and one-line errors."""

from __future__ import annotations

import datetime
import email.utils
import json
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from rbacguard.errors import ClusterError, InputError
from rbacguard.sources.live.kubeconfig import ClusterConfig
from rbacguard.sources.live.transport import authorization, make_pool, run_plugin

if TYPE_CHECKING:
    import urllib3

TIMEOUT = 60.0
"""Default of `--request-timeout`: seconds to wait for the next bytes of an answer."""
MAX_BYTES = 1024**3
"""Limit of the size of one answer in bytes. A page has 500 objects of at most 1.5 MB."""

_CONNECT = 20.0
_TRIES = 6
_LONGEST_WAIT = 60.0
_CHUNK = 1 << 20
_SKEW = datetime.timedelta(minutes=2)
_TOO_MANY = 429
_SERVER_ERROR = 500
_UNAUTHORIZED = 401


class Reply(Struct, frozen=True):
    """The answer of the server.

    Attributes:
        status: the HTTP status.
        body: the body.
        date: the header Date; '' if there is none.
    """

    status: int
    body: bytes
    date: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own classes

    @property
    def message(self) -> str:
        """The message of the Kubernetes `Status` on one line, or else the HTTP status."""
        text = self._status.message if self.is_status else ""
        return " ".join(text.split()) or f"HTTP status {self.status}"

    @property
    def is_status(self) -> bool:
        """Whether the body is a Kubernetes `Status`."""
        return self._status.kind == "Status"

    @property
    def _status(self) -> _Status:
        try:
            return msgspec.json.decode(self.body, type=_Status)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _Status()


class _Status(Struct):
    kind: str = ""
    message: str = ""


class _Version(Struct, rename="camel"):
    git_version: str = ""


class _RetryableError(Exception):
    """A try failed, and another one might succeed. A timeout is retried once."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Connection:
    """A connection to one cluster as one user.

    Args:
        config: the cluster and the user.
        timeout: seconds to wait for the next bytes of an answer; 0 means no limit.
        agent: the user agent in the server's audit log.

    Attributes:
        version: the version of the server; '' if it is unknown.
        clock_skew: how far the local clock is behind the server's; 0 if it is not.
        warnings: warnings for the user.

    Raises:
        InputError: the credentials in the kubeconfig cannot be used.
    """

    def __init__(
        self, config: ClusterConfig, *, timeout: float = TIMEOUT, agent: str = "rbacguard"
    ) -> None:
        """Load the credentials. Nothing is sent to the server."""
        self._agent = agent
        self.config = config
        self.version = ""
        self.clock_skew = datetime.timedelta()
        self.warnings = list(config.warnings)
        self._timeout = timeout or None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._reached = False
        self._authorization: str
        self._pool: urllib3.PoolManager
        self._connect()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection, and stop waiting for another try."""
        self.close()

    def close(self) -> None:
        """Stop retries, and close all connections."""
        self._stopped.set()
        self._pool.clear()

    def _connect(self) -> None:
        user = run_plugin(self.config)
        try:
            self._pool = make_pool(self.config, user)
            self._authorization = authorization(user, self.config)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"context {self.config.context!r}: {reason}") from None

    def check_server(self) -> None:
        """Read the version of the server, and check that it is a Kubernetes API server.

        Raises:
            ClusterError: it is not, cannot be reached, or does not accept the credentials.
        """
        reply = self.get("/version")
        if reply.status == _UNAUTHORIZED:
            raise ClusterError(self._unauthorized())
        self._measure_clock_skew(reply)
        if reply.status == 403 and reply.is_status:  # noqa: PLR2004 - forbidden
            return
        try:
            version = msgspec.json.decode(reply.body, type=_Version).git_version
        except (msgspec.DecodeError, UnicodeDecodeError):
            version = ""
        if not (reply.ok and version):
            raise ClusterError(
                f"{self.config.server} is not a Kubernetes API server: it answers /version with "
                f"status {reply.status} and no version; look at 'server' in the kubeconfig"
            )
        self.version = version

    def get(self, path: str, query: Iterable[tuple[str, str]] = ()) -> Reply:
        """Send a GET request, with retries.

        Raises:
            ClusterError: the server did not answer after all tries.
        """
        return self._request("GET", path, query=tuple(query))

    def review(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Send an access review. The method is POST, but nothing is created.

        Raises:
            ClusterError: the server did not answer after all tries.
        """
        return self._request("POST", path, body=json.dumps(body).encode())

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
    ) -> Reply:
        url = self.config.server + path + (f"?{urlencode(query)}" if query else "")
        renewed = False
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                reply, wait = self._once(method, url, body)
            except _RetryableError as error:
                if last or (error.timed_out and attempt):
                    raise ClusterError(f"{self.config.server}: {error}") from None
                self._wait(0.2 * 2**attempt)
                continue
            if reply.status == _UNAUTHORIZED and "exec" in self.config.user and not renewed:
                # The token of the plugin might have expired. client-go runs it again too.
                renewed = True
                with self._lock:
                    self._connect()
                continue
            if (reply.status == _TOO_MANY or reply.status >= _SERVER_ERROR) and not last:
                self._wait(0.2 * 2**attempt if wait is None else wait)
                continue
            return reply
        raise AssertionError("the last try returns or raises")

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(min(seconds, _LONGEST_WAIT)):
            raise ClusterError(f"{self.config.server}: interrupted")

    def _once(self, method: str, url: str, body: bytes | None) -> tuple[Reply, float | None]:
        """Send one request; return the answer, and the seconds to wait before the next try.

        Raises:
            _RetryableError: another try might succeed.
            ClusterError: the error is permanent.
        """
        import urllib3
        from urllib3 import exceptions

        from rbacguard.sources.live import failures

        connect = min(self._timeout or _CONNECT, _CONNECT)
        try:
            response = self._pool.request(
                method,
                url,
                body=body,
                headers=self._headers(body),
                timeout=urllib3.Timeout(connect=connect, read=self._timeout),
                retries=False,
                preload_content=False,
            )
            try:
                content = _read_limited(response)
            finally:
                response.release_conn()
        except (exceptions.HTTPError, OSError, ValueError) as error:
            if failures.is_retryable(error, reached=self._reached):
                raise self._retryable(error) from None
            raise ClusterError(failures.describe_error(error, self.config)) from None
        self._reached = True
        reply = Reply(response.status, content, response.headers.get("Date", ""))
        return reply, _retry_after(response.headers.get("Retry-After"))

    def _headers(self, body: bytes | None) -> Any:
        from urllib3 import HTTPHeaderDict

        headers = HTTPHeaderDict({"Accept": "application/json", "Accept-Encoding": "gzip"})
        headers["User-Agent"] = self._agent
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._authorization:
            headers["Authorization"] = self._authorization
        as_ = self.config.impersonate
        if as_.user:
            headers["Impersonate-User"] = as_.user
        if as_.uid:
            headers["Impersonate-Uid"] = as_.uid
        # One header for each group. A value with commas would be one group.
        for group in as_.groups:
            headers.add("Impersonate-Group", group)
        for key, values in as_.extra:
            for value in values:
                headers.add(f"Impersonate-Extra-{_percent_encoded(key)}", value)
        return headers

    def _retryable(self, error: Exception) -> _RetryableError:
        from rbacguard.sources.live import failures

        if isinstance(error, TimeoutError) or "timed out" in str(error):
            waited = f"no answer within {self._timeout or _CONNECT:g} s; see --request-timeout"
            return _RetryableError(waited, timed_out=True)
        reason = failures.root_cause(error)
        return _RetryableError(f"the connection broke half-way: {reason}", timed_out=False)

    def _unauthorized(self) -> str:
        who = f"user {self.config.user_name!r}" if self.config.user_name else "no credentials"
        return (
            f"{self.config.server} does not know {who} of context {self.config.context!r} "
            "(401): the credentials have expired or are wrong; log in again ('oc login')"
        )

    def _measure_clock_skew(self, reply: Reply) -> None:
        """Add a warning if the local clock is wrong, because it decides what has expired."""
        if not reply.date:
            return
        try:
            theirs = email.utils.parsedate_to_datetime(reply.date)
        except ValueError:
            return
        if theirs.tzinfo is None:
            return
        ahead = datetime.datetime.now(datetime.UTC) - theirs
        if abs(ahead) > _SKEW:
            self.clock_skew = max(-ahead, datetime.timedelta())
            way = "ahead of" if ahead > datetime.timedelta() else "behind"
            minutes = int(abs(ahead).total_seconds() // 60)
            self.warnings.append(
                f"the local clock is {minutes} min {way} the cluster's; expiry dates are "
                "compared with the local date (--today sets another)"
            )


def _read_limited(response: urllib3.BaseHTTPResponse) -> bytes:
    parts, size = [], 0
    for chunk in response.stream(_CHUNK, decode_content=True):
        size += len(chunk)
        if size > MAX_BYTES:
            raise ClusterError(f"an answer of more than {MAX_BYTES} bytes")
        parts.append(chunk)
    return b"".join(parts)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds in a header Retry-After, which can contain a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        return None
    return max(0.0, (until - datetime.datetime.now(datetime.UTC)).total_seconds())


def _percent_encoded(key: str) -> str:
    from urllib.parse import quote

    # client-go transport/round_trippers.go, headerKeyEscape.
    return quote(key.lower(), safe="")
