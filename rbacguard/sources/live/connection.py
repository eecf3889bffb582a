"""Requests to an API server: one connection, patient where patience helps, one line where not."""

from __future__ import annotations

import datetime
import email.utils
import json
import re
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from rbacguard.errors import ClusterError, InputError
from rbacguard.sources.live.kubeconfig import Access

if TYPE_CHECKING:
    import urllib3
    from kubernetes.client import Configuration

TIMEOUT = 60.0
"""Seconds to wait for the next bytes of an answer, unless `--request-timeout` says otherwise."""
MAX_BYTES = 1024**3
"""The most that one answer may hold, in bytes; a page is 500 objects of 1.5 MB at most."""

_CONNECT = 20.0
_TRIES = 6
_LONGEST_WAIT = 60.0
_CHUNK = 1 << 20
_SKEW = datetime.timedelta(minutes=2)
_TOO_MANY = 429
_SERVER_ERROR = 500
_UNAUTHORIZED = 401


class Reply(Struct, frozen=True):
    """What the server said: HTTP status, and the body as it came."""

    status: int
    body: bytes
    date: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own classes

    @property
    def message(self) -> str:
        """The reason of a refusal, on one line: the `Status` object's, or else the status."""
        try:
            status = msgspec.json.decode(self.body, type=_Status)
            text = status.message if status.kind == "Status" else ""
        except (msgspec.DecodeError, UnicodeDecodeError):
            text = ""
        return " ".join(text.split()) or f"HTTP status {self.status}"

    @property
    def is_status(self) -> bool:
        """Whether the body is a Kubernetes `Status`."""
        try:
            return msgspec.json.decode(self.body, type=_Status).kind == "Status"
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False


class _Status(Struct):
    kind: str = ""
    message: str = ""


class _Version(Struct, rename="camel"):
    git_version: str = ""


class _BrokenError(Exception):
    """A try that failed in a way that another one may mend; waiting in vain is tried twice."""

    def __init__(self, message: str, *, slow: bool) -> None:
        super().__init__(message)
        self.slow = slow


class Connection:
    """One cluster, as one user.

    Args:
        access: which cluster, as whom.
        timeout: seconds to wait for the next bytes of an answer; 0 is for ever.
        agent: the name in the server's audit log.

    Raises:
        InputError: the credentials of the kubeconfig cannot be used.
    """

    def __init__(
        self, access: Access, *, timeout: float = TIMEOUT, agent: str = "rbacguard"
    ) -> None:
        """Prepare; nothing is sent yet."""
        self._agent = agent
        self.access = access
        self.version = ""
        self.behind = datetime.timedelta()
        """How far this machine's clock is behind the cluster's, where that matters."""
        self.warnings = list(access.warnings)
        self._timeout = timeout or None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._reached = False
        self._configuration: Configuration
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
        """Close, and wake whoever waits for another try."""
        self.close()

    def close(self) -> None:
        """End what is under way and drop the connections."""
        self._stopped.set()
        self._pool.clear()

    def _connect(self) -> None:
        from kubernetes.client import Configuration
        from kubernetes.client.rest import RESTClientObject
        from kubernetes.config import ConfigException, load_kube_config_from_dict

        user = _with_plugin(self.access)
        entry = {
            "current-context": "this",
            "contexts": [{"name": "this", "context": {"cluster": "this", "user": "this"}}],
            "clusters": [{"name": "this", "cluster": dict(self.access.cluster)}],
            "users": [{"name": "this", "user": user}],
        }
        configuration = Configuration()
        try:
            load_kube_config_from_dict(
                entry, client_configuration=configuration, persist_config=False
            )
            _choose_proxy(configuration, self.access)
            self._pool = RESTClientObject(configuration).pool_manager
        except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"context {self.access.context!r}: {reason}") from None
        if not configuration.verify_ssl:
            import urllib3

            # Said once, in our own words (Access.warnings).
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._configuration = configuration

    def start(self) -> None:
        """Ask for the server's version, which tells whether there is a Kubernetes API server.

        Raises:
            ClusterError: there is none, it cannot be reached, or it does not know the user.
        """
        reply = self.get("/version")
        if reply.status == _UNAUTHORIZED:
            raise ClusterError(self._unauthorized())
        self._note_clock(reply)
        if reply.status == 403 and reply.is_status:  # noqa: PLR2004 - forbidden
            return
        try:
            version = msgspec.json.decode(reply.body, type=_Version).git_version
        except (msgspec.DecodeError, UnicodeDecodeError):
            version = ""
        if not (reply.ok and version):
            raise ClusterError(
                f"{self.access.server} is not a Kubernetes API server: it answers /version with "
                f"status {reply.status} and no version; look at 'server' in the kubeconfig"
            )
        self.version = version

    def get(self, path: str, query: Iterable[tuple[str, str]] = ()) -> Reply:
        """Get one thing; tries again where the server asks for it or the connection breaks.

        Raises:
            ClusterError: no answer came, after all tries.
        """
        return self._request("GET", path, query=tuple(query))

    def review(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Ask an access review; the verb is `create`, but nothing is created.

        Raises:
            ClusterError: no answer came, after all tries.
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
        url = self.access.server + path + (f"?{urlencode(query)}" if query else "")
        renewed = False
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                reply, wait = self._once(method, url, body)
            except _BrokenError as error:
                if last or (error.slow and attempt):
                    raise ClusterError(f"{self.access.server}: {error}") from None
                self._wait(0.2 * 2**attempt)
                continue
            if reply.status == _UNAUTHORIZED and "exec" in self.access.user and not renewed:
                # A plugin's token may end half-way; ask it once more, as client-go does.
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
            raise ClusterError(f"{self.access.server}: interrupted")

    def _once(self, method: str, url: str, body: bytes | None) -> tuple[Reply, float | None]:
        """Send one request and read the whole answer.

        Raises:
            _BrokenError: another try may mend it.
            ClusterError: none will.
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
                content = _whole(response)
            finally:
                response.release_conn()
        except (exceptions.HTTPError, OSError, ValueError) as error:
            if failures.may_mend(error, reached=self._reached):
                raise self._broken(error) from None
            raise ClusterError(failures.words(error, self.access)) from None
        self._reached = True
        reply = Reply(response.status, content, response.headers.get("Date", ""))
        return reply, _retry_after(response.headers.get("Retry-After"))

    def _headers(self, body: bytes | None) -> Any:
        from urllib3 import HTTPHeaderDict

        headers = HTTPHeaderDict({"Accept": "application/json", "Accept-Encoding": "gzip"})
        headers["User-Agent"] = self._agent
        if body is not None:
            headers["Content-Type"] = "application/json"
        with self._lock:
            token = self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            headers["Authorization"] = token
        as_ = self.access.impersonate
        if as_.user:
            headers["Impersonate-User"] = as_.user
        if as_.uid:
            headers["Impersonate-Uid"] = as_.uid
        # Several groups are several headers; joined by commas they would be one group.
        for group in as_.groups:
            headers.add("Impersonate-Group", group)
        for key, values in as_.extra:
            for value in values:
                headers.add(f"Impersonate-Extra-{_percent_encoded(key)}", value)
        return headers

    def _broken(self, error: Exception) -> _BrokenError:
        from rbacguard.sources.live import failures

        if isinstance(error, TimeoutError) or "timed out" in str(error):
            waited = f"no answer within {self._timeout or _CONNECT:g} s; see --request-timeout"
            return _BrokenError(waited, slow=True)
        reason = failures.reason(error)
        return _BrokenError(f"the connection broke half-way: {reason}", slow=False)

    def _unauthorized(self) -> str:
        who = f"user {self.access.user_name!r}" if self.access.user_name else "no credentials"
        return (
            f"{self.access.server} does not know {who} of context {self.access.context!r} "
            "(401): the credentials have expired or are wrong; log in again ('oc login')"
        )

    def _note_clock(self, reply: Reply) -> None:
        """Warn of a clock that is off: dates of expiry are compared with this machine's."""
        if not reply.date:
            return
        try:
            theirs = email.utils.parsedate_to_datetime(reply.date)
        except ValueError:
            return
        if theirs.tzinfo is None:
            return
        off = datetime.datetime.now(datetime.UTC) - theirs
        if abs(off) > _SKEW:
            self.behind = max(-off, datetime.timedelta())
            way = "ahead of" if off > datetime.timedelta() else "behind"
            minutes = int(abs(off).total_seconds() // 60)
            self.warnings.append(
                f"this machine's clock is {minutes} min {way} the cluster's; expiry dates are "
                "compared with this machine's day (--today sets another)"
            )


def _whole(response: urllib3.BaseHTTPResponse) -> bytes:
    parts, size = [], 0
    for chunk in response.stream(_CHUNK, decode_content=True):
        size += len(chunk)
        if size > MAX_BYTES:
            raise ClusterError(f"an answer of more than {MAX_BYTES} bytes")
        parts.append(chunk)
    return b"".join(parts)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` asks for; it may be a date (RFC 9110, 10.2.3)."""
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


def _with_plugin(access: Access) -> dict[str, Any]:
    """Return the user's entry with the credentials that its exec plugin gives.

    The client would only log a plugin's failure and go on without credentials.

    Raises:
        InputError: the plugin does not run, or gives nothing.
    """
    user = dict(access.user)
    plugin = user.pop("exec", None)
    if plugin is None or user.get("token"):
        return user
    from kubernetes.config import ConfigException
    from kubernetes.config.exec_provider import ExecProvider
    from kubernetes.config.kube_config import ConfigNode

    command = plugin.get("command", "?")
    try:
        cluster = ConfigNode("cluster", dict(access.cluster))
        node = ConfigNode("exec", plugin)
        provider = ExecProvider(node, None, cluster)
        status = provider.run()
    except FileNotFoundError:
        hint = " ".join(str(plugin.get("installHint") or "").split())
        raise InputError(
            f"user {access.user_name!r}: the plugin {command} is not installed"
            + (f"; {hint}" if hint else "")
        ) from None
    except (ConfigException, OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"user {access.user_name!r}: the plugin {command} failed: {reason}"
        ) from None
    found = {
        "token": status.get("token"),
        "client-certificate-data": _base64(status.get("clientCertificateData")),
        "client-key-data": _base64(status.get("clientKeyData")),
    }
    if not (found["token"] or found["client-certificate-data"]):
        raise InputError(
            f"user {access.user_name!r}: the plugin {command} gave neither token nor certificate"
        )
    return {**user, **{key: value for key, value in found.items() if value}}


def _base64(text: str | None) -> str:
    import base64

    return base64.b64encode(text.encode()).decode() if text else ""


def _choose_proxy(configuration: Configuration, access: Access) -> None:
    """Follow Go: `proxy-url` always counts, the environment's proxy not for this machine itself.

    golang.org/x/net/http/httpproxy: a request to localhost or a loopback address has no proxy.
    """
    if access.cluster.get("proxy-url"):
        configuration.no_proxy = None
        return
    host = urlsplit(access.server).hostname or ""
    if host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d+){3}", host):
        configuration.proxy = None


def _percent_encoded(key: str) -> str:
    from urllib.parse import quote

    # client-go transport/round_trippers.go, headerKeyEscape.
    return quote(key.lower(), safe="")
