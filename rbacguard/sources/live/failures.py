"""What goes wrong on the way to a server, in a person's words."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from urllib3 import exceptions

from rbacguard.sources.live.kubeconfig import Access

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
"""By what OpenSSL says, the first that fits: what is wrong, and what to do."""


def certificate(error: Exception, access: Access) -> str:
    """Say what is wrong with TLS."""
    text = " ".join(str(error).split())
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    known = access.cluster.keys() & {"certificate-authority", "certificate-authority-data"}
    detail = re.search(r"verify failed: ([^(\]]+)", text)
    words = next(words for pattern, words in _CERTIFICATES if re.search(pattern, text))
    return words.format(
        clock=f"or this machine's clock is wrong (it says {now})",
        authorities="the kubeconfig's certificate authority" if known else "this machine",
        detail=f" ({detail[1].strip()})" if detail else "",
        text=text,
    )


def reason(error: BaseException) -> str:
    """Return the innermost reason of an error, without the library's object names."""
    cause = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    text = " ".join(str(cause).split())
    return re.sub(r"<[^>]*>(?:\([^)]*\))?:? ?|^\('|'\)$", "", text) or type(error).__name__


def _proxy(error: Exception, _access: Access) -> str:
    return f"the proxy cannot be used: {reason(error)}"


def _name(_error: Exception, access: Access) -> str:
    return f"there is no host {urlsplit(access.server).hostname} (DNS); look at 'server'"


def _slow(_error: Exception, _access: Access) -> str:
    return "cannot be reached: no connection in time"


def _unreachable(error: Exception, _access: Access) -> str:
    return f"cannot be reached: {reason(error)}"


def _other(error: Exception, _access: Access) -> str:
    if "SOCKS" in str(error):
        return "a SOCKS proxy needs the package PySocks: pip install 'urllib3[socks]'"
    return reason(error)


_WORDS: tuple[tuple[type[Exception], Callable[[Exception, Access], str]], ...] = (
    (exceptions.ProxyError, _proxy),
    (exceptions.SSLError, certificate),
    (exceptions.NameResolutionError, _name),
    (exceptions.NewConnectionError, _unreachable),
    (exceptions.ConnectTimeoutError, _slow),
    (Exception, _other),
)
"""By the HTTP library's error, the most special first."""


def words(error: Exception, access: Access) -> str:
    """Return one line for an error that no further try will mend."""
    say = next(say for kind, say in _WORDS if isinstance(error, kind))
    return f"{access.server}: {say(error, access)}"


def may_mend(error: Exception, *, reached: bool) -> bool:
    """Whether another try may succeed: the answer broke off, or was slow to come.

    A server that was `reached` before and refuses a connection now may be restarting.
    """
    broken = exceptions.ProtocolError | exceptions.DecodeError | exceptions.ReadTimeoutError
    return isinstance(error, broken) or (
        reached and isinstance(error, exceptions.NewConnectionError)
    )
