"""TLS, proxy, and credentials of a connection (client-go, transport/ and rest/config.go)."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rbacguard.errors import InputError
from rbacguard.sources.live.kubeconfig import ClusterConfig

if TYPE_CHECKING:
    import ssl

    import urllib3


def make_pool(config: ClusterConfig, user: Mapping[str, Any]) -> urllib3.PoolManager:
    """Return a connection pool for the API server.

    Args:
        config: the cluster.
        user: the user's entry with the client certificate, if it has one.

    Raises:
        OSError: a certificate file cannot be read.
        ValueError: a certificate or the proxy is not valid.
    """
    import urllib3

    arguments: dict[str, Any] = {"ssl_context": _ssl_context(config, user)}
    if config.cluster.get("tls-server-name"):
        arguments["server_hostname"] = config.cluster["tls-server-name"]
    if config.cluster.get("insecure-skip-tls-verify"):
        # ClusterConfig.warnings contains a warning already.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    proxy = _proxy(config)
    if proxy.startswith("socks"):
        from urllib3.contrib.socks import SOCKSProxyManager

        return SOCKSProxyManager(proxy, **arguments)
    if proxy:
        return urllib3.ProxyManager(proxy, **arguments)
    return urllib3.PoolManager(**arguments)


def authorization(user: Mapping[str, Any], config: ClusterConfig) -> str:
    """Return the header Authorization of a user, or an empty string.

    Raises:
        OSError: the token file cannot be read.
        ValueError: the credentials are not valid.
    """
    if "auth-provider" in user:
        return _from_auth_provider(user, config)
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = Path(user["tokenFile"]).read_text("utf-8")
    if token:
        # Files of tokens and pasted tokens often end with a line break.
        token = str(token).rstrip("\r\n")
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ValueError("the token contains a character that no token has; correct it")
        return f"Bearer {token}"
    if "username" in user and "password" in user:
        name = f"{user['username']}:{user['password']}".encode()
        return f"Basic {base64.b64encode(name).decode()}"
    return ""


def run_plugin(config: ClusterConfig) -> dict[str, Any]:
    """Return the entry of the user with the credentials from its exec plugin.

    The Python client would only log an error of the plugin, and connect without credentials.

    Raises:
        InputError: the plugin fails, or returns no credentials.
    """
    user = dict(config.user)
    plugin = user.pop("exec", None)
    if plugin is None or user.get("token"):
        return user
    from kubernetes.config import ConfigException
    from kubernetes.config.exec_provider import ExecProvider
    from kubernetes.config.kube_config import ConfigNode

    command = plugin.get("command", "?")
    try:
        cluster = ConfigNode("cluster", dict(config.cluster))
        node = ConfigNode("exec", plugin)
        provider = ExecProvider(node, None, cluster)
        status = provider.run()
    except FileNotFoundError:
        hint = " ".join(str(plugin.get("installHint") or "").split())
        raise InputError(
            f"user {config.user_name!r}: the plugin {command} is not installed"
            + (f"; {hint}" if hint else "")
        ) from None
    except (ConfigException, OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"user {config.user_name!r}: the plugin {command} failed: {reason}"
        ) from None
    found = {
        "token": status.get("token"),
        "client-certificate-data": _base64(status.get("clientCertificateData")),
        "client-key-data": _base64(status.get("clientKeyData")),
    }
    if not (found["token"] or found["client-certificate-data"]):
        raise InputError(
            f"user {config.user_name!r}: the plugin {command} gave neither token nor certificate"
        )
    return {**user, **{key: value for key, value in found.items() if value}}


def _from_auth_provider(user: Mapping[str, Any], config: ClusterConfig) -> str:
    """Return the token of an auth provider (OIDC), refreshed by the Kubernetes client if needed."""
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config_from_dict

    entry = {
        "current-context": "this",
        "contexts": [{"name": "this", "context": {"cluster": "this", "user": "this"}}],
        "clusters": [{"name": "this", "cluster": {"server": config.server}}],
        "users": [{"name": "this", "user": dict(user)}],
    }
    configuration = Configuration()
    try:
        load_kube_config_from_dict(entry, client_configuration=configuration, persist_config=False)
    except ConfigException as error:
        raise ValueError(str(error)) from None
    return configuration.get_api_key_with_prefix("BearerToken") or ""


def _ssl_context(config: ClusterConfig, user: Mapping[str, Any]) -> ssl.SSLContext:
    import ssl

    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context()
    cluster = config.cluster
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif cluster.get("certificate-authority-data"):
        data = _decoded(cluster, "certificate-authority-data")
        context.load_verify_locations(cadata=data.decode("ascii", "replace"))
    elif cluster.get("certificate-authority"):
        context.load_verify_locations(cafile=_existing(cluster["certificate-authority"]))
    else:
        context.load_default_certs()
    with ExitStack() as stack:
        certificate = _certificate_file(user, "client-certificate", stack)
        key = _certificate_file(user, "client-key", stack)
        if certificate:
            context.load_cert_chain(certificate, key)
    return context


def _certificate_file(user: Mapping[str, Any], name: str, stack: ExitStack) -> str | None:
    """Return the path of a certificate or key; one from data is removed when `stack` closes."""
    if user.get(f"{name}-data"):
        # The ssl module reads certificates and keys of clients from files only.
        file = stack.enter_context(tempfile.NamedTemporaryFile())  # noqa: SIM115 - stack closes
        file.write(_decoded(user, f"{name}-data"))
        file.flush()
        return file.name
    return _existing(user[name]) if user.get(name) else None


def _existing(path: str) -> str:
    if not Path(path).is_file():
        raise ValueError(f"File does not exist: {path}")
    return path


def _decoded(entry: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(entry[key], validate=False)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _proxy(config: ClusterConfig) -> str:
    """Return the URL of the proxy by Go's rules, or an empty string.

    `proxy-url` always applies. The proxy of the environment does not apply to localhost and
    loopback addresses (golang.org/x/net/http/httpproxy).
    """
    if config.cluster.get("proxy-url"):
        return str(config.cluster["proxy-url"])
    server = urlsplit(config.server)
    host = server.hostname or ""
    if host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d+){3}", host) or proxy_bypass(host):
        return ""
    return getproxies().get(server.scheme, "")


def _base64(text: str | None) -> str:
    return base64.b64encode(text.encode()).decode() if text else ""
