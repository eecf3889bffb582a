"""Messages for failed connections."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from urllib3 import exceptions

from rbacguard.sources.live.kubeconfig import ClusterConfig

_CERTIFICATES = (
    ("certificate has expired", "its certificate has expired, {clock}"),
    ("not yet valid", "its certificate is not valid yet, {clock}"),
    (
        "mismatch|doesn't match",
        "its certificate is for another name; look at 'server' and 'tls-server-name'",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is not trusted by {authorities}{detail}; see --certificate-authority",
    ),
    (
        "WRONG_VERSION_NUMBER|record layer failure",
        "it does not speak TLS; look at 'server': https or http, and the port",
    ),
    ("(?i)alert.*(certificate|unknown.ca)", "it refuses the client certificate; log in again"),
    ("", "TLS fails: {text}"),
)
"""By pattern of the OpenSSL message, what is wrong and what to do. The first match counts."""


def _tls(error: Exception, config: ClusterConfig) -> str:
    text = " ".join(str(error).split())
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    known = config.cluster.keys() & {"certificate-authority", "certificate-authority-data"}
    detail = re.search(r"verify failed: ([^(\]]+)", text)
    words = next(words for pattern, words in _CERTIFICATES if re.search(pattern, text))
    return words.format(
        clock=f"or the local clock is wrong (it says {now})",
        authorities="the kubeconfig's certificate authority" if known else "the local host",
        detail=f" ({detail[1].strip()})" if detail else "",
        text=text,
    )


def root_cause(error: BaseException) -> str:
    """Return the message of the innermost cause, without names of Python objects."""
    cause = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    text = " ".join(str(cause).split())
    return re.sub(r"<[^>]*>(?:\([^)]*\))?:? ?|^\('|'\)$", "", text) or type(error).__name__


def _proxy(error: Exception, _config: ClusterConfig) -> str:
    return f"the proxy cannot be used: {root_cause(error)}"


def _name(_error: Exception, config: ClusterConfig) -> str:
    return f"there is no host {urlsplit(config.server).hostname} (DNS); look at 'server'"


def _timed_out(_error: Exception, _config: ClusterConfig) -> str:
    return "cannot be reached: no connection in time"


def _unreachable(error: Exception, _config: ClusterConfig) -> str:
    return f"cannot be reached: {root_cause(error)}"


def _other(error: Exception, _config: ClusterConfig) -> str:
    if "SOCKS" in str(error):
        return "a SOCKS proxy needs the package PySocks: pip install 'urllib3[socks]'"
    return root_cause(error)


_DESCRIPTIONS: tuple[tuple[type[Exception], Callable[[Exception, ClusterConfig], str]], ...] = (
    (exceptions.ProxyError, _proxy),
    (exceptions.SSLError, _tls),
    (exceptions.NameResolutionError, _name),
    (exceptions.NewConnectionError, _unreachable),
    (exceptions.ConnectTimeoutError, _timed_out),
    (Exception, _other),
)
"""By error class of urllib3, the most specific first."""


def describe_error(error: Exception, config: ClusterConfig) -> str:
    """Return one line for an error that is not retryable."""
    describe = next(describe for kind, describe in _DESCRIPTIONS if isinstance(error, kind))
    return f"{config.server}: {describe(error, config)}"


def is_retryable(error: Exception, *, reached: bool) -> bool:
    """Return whether another try might succeed: the answer was incomplete or late.

    Args:
        error: the error of the HTTP library.
        reached: whether the server answered before. It might be restarting if it now refuses
            connections.
    """
    broken = exceptions.ProtocolError | exceptions.DecodeError | exceptions.ReadTimeoutError
    return isinstance(error, broken) or (
        reached and isinstance(error, exceptions.NewConnectionError)
    )
