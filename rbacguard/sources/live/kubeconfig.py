"""The cluster and the user to connect with, from kubeconfig files, flags, or a pod.

The rules are those of kubectl: client-go tools/clientcmd/loader.go and client_config.go, and
"Organizing Cluster Access Using kubeconfig Files" on kubernetes.io. The Python client has other
rules: it takes the last `current-context` of several files, ignores `as`, and writes to the file.
It therefore receives one cluster and one user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml as pyyaml
from msgspec import Struct, field
from msgspec.structs import replace

from rbacguard.errors import InputError
from rbacguard.sources import yaml

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The folder with the token and the CA certificate in a pod (client-go rest/config.go)."""

_PATHS_OF_CLUSTER = ("certificate-authority",)
_PATHS_OF_USER = ("client-certificate", "client-key", "tokenFile")


class Impersonation(Struct, frozen=True):
    """The identity that requests impersonate, as with `kubectl --as`."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        """Return whether an identity is impersonated."""
        return self != Impersonation()


class Overrides(Struct, frozen=True):
    """Values of flags. If a value is empty, the kubeconfig decides."""

    kubeconfig: str = ""
    context: str = ""
    cluster: str = ""
    user: str = ""
    server: str = ""
    token: str = ""
    certificate_authority: str = ""
    insecure_skip_tls_verify: bool = False
    impersonate: Impersonation = Impersonation()


class ClusterConfig(Struct, frozen=True):
    """One cluster and one user to connect with.

    Attributes:
        context: name of the context; `in-cluster` for the service account of a pod.
        cluster: entry of the cluster in the kubeconfig, with absolute paths.
        user_name: name of the user's entry.
        user: entry of the user, with absolute paths. Contains secrets and is never printed.
        impersonate: the identity to impersonate.
        warnings: warnings for the user.
    """

    context: str
    cluster: Mapping[str, Any]
    user_name: str = ""
    user: Mapping[str, Any] = {}
    impersonate: Impersonation = Impersonation()
    warnings: tuple[str, ...] = ()

    @property
    def server(self) -> str:
        """URL of the API server, without a trailing slash."""
        return str(self.cluster["server"]).rstrip("/")

    def __repr__(self) -> str:
        """Return the fields without secrets."""
        return f"ClusterConfig({self.context!r}, {self.server!r})"


class _Context(Struct, frozen=True):
    cluster: str = ""
    user: str = ""


class _NamedContext(Struct, frozen=True):
    name: str
    context: _Context | None = None


class _NamedCluster(Struct, frozen=True):
    name: str
    cluster: dict[str, Any] | None = None


class _NamedUser(Struct, frozen=True):
    name: str
    user: dict[str, Any] | None = None


class _File(Struct, frozen=True, rename="kebab"):
    current_context: str | None = None
    contexts: tuple[_NamedContext, ...] | None = None
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None


class _Cluster(Struct, frozen=True, rename="kebab"):
    """Types of the fields of a cluster that are used."""

    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None


class _User(Struct, frozen=True, rename="kebab"):
    """Types of the fields of a user that are used."""

    token: str | None = None
    token_file: str | None = field(default=None, name="tokenFile")
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    username: str | None = None
    password: str | None = None
    as_: str | None = field(default=None, name="as")
    as_uid: str | None = None
    as_groups: tuple[str, ...] | None = None
    as_user_extra: dict[str, tuple[str, ...]] | None = None
    exec: dict[str, Any] | None = None
    auth_provider: dict[str, Any] | None = None


class _Merged(Struct):
    """All files merged. If several files have an entry with the same name, the first one counts."""

    files: list[str]
    current_context: str = ""
    contexts: dict[str, _Context] = {}
    clusters: dict[str, tuple[Path, dict[str, Any]]] = {}
    users: dict[str, tuple[Path, dict[str, Any]]] = {}


def find_config(
    overrides: Overrides,
    environ: Mapping[str, str],
    home: Path,
    *,
    service_account: Path = SERVICE_ACCOUNT,
) -> ClusterConfig:
    """Return the cluster and the user that kubectl would use.

    Args:
        overrides: values of flags.
        environ: the environment: KUBECONFIG, and in a pod KUBERNETES_SERVICE_HOST and _PORT.
        home: the home folder, for `.kube/config`.
        service_account: the folder with the token and the CA certificate in a pod.

    Raises:
        InputError: there is no kubeconfig, or it lacks a required entry.
    """
    merged, warnings = _merge(_candidates(overrides, environ, home), overrides.kubeconfig)
    name = overrides.context or merged.current_context
    if not name and not overrides.server:
        return _without_context(merged, overrides, environ, service_account)
    context = merged.contexts.get(name) if name else _Context()
    if context is None:
        known = ", ".join(sorted(merged.contexts)) or "none"
        raise InputError(f"context {name!r} is not in {_listed(merged.files)}; there are: {known}")
    cluster = _cluster(merged, overrides.cluster or context.cluster, overrides)
    user_name = overrides.user or context.user
    user = _user(merged, user_name, overrides)
    return _config(name or "(none)", cluster, user_name, user, overrides, warnings)


def context_names(overrides: Overrides, environ: Mapping[str, str], home: Path) -> list[str]:
    """Return the names of all contexts, sorted.

    Raises:
        InputError: a kubeconfig cannot be read.
    """
    merged, _ = _merge(_candidates(overrides, environ, home), overrides.kubeconfig)
    return sorted(merged.contexts)


def _candidates(overrides: Overrides, environ: Mapping[str, str], home: Path) -> list[Path]:
    if overrides.kubeconfig:
        return [Path(overrides.kubeconfig)]
    listed = environ.get("KUBECONFIG", "")
    if listed:
        # kubectl does not expand `~`.
        return [Path(part) for part in dict.fromkeys(listed.split(":")) if part]
    return [home / ".kube" / "config"]


def _merge(paths: Iterable[Path], explicit: str) -> tuple[_Merged, list[str]]:
    merged, warnings = _Merged([]), []
    for path in paths:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            if explicit:
                raise InputError(f"{explicit}: no such file; give a kubeconfig") from None
            warnings.append(f"{path}: no such kubeconfig")
            continue
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        merged.files.append(str(path))
        _add(merged, path.absolute().parent, _decode(path, data))
    # Without any file, the caller reports the error.
    return merged, warnings if merged.files else []


def _decode(path: Path, data: bytes) -> _File:
    try:
        values = [document.value for document in yaml.documents(data)]
        return msgspec.convert(values[0] if values else {}, _File)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not a kubeconfig: {_describe(error)}") from None
    except (ValueError, pyyaml.YAMLError) as error:
        raise InputError(yaml.describe_error(str(path), error)) from None


def _describe(error: msgspec.ValidationError) -> str:
    message, _, place = str(error).replace("`", "").partition(" - at ")
    return f"{place.removeprefix('$.')}: {message}" if place else message


def _add(merged: _Merged, folder: Path, found: _File) -> None:
    merged.current_context = merged.current_context or found.current_context or ""
    for context in found.contexts or ():
        merged.contexts.setdefault(context.name, context.context or _Context())
    for cluster in found.clusters or ():
        merged.clusters.setdefault(cluster.name, (folder, cluster.cluster or {}))
    for user in found.users or ():
        merged.users.setdefault(user.name, (folder, user.user or {}))


def _cluster(merged: _Merged, name: str, overrides: Overrides) -> dict[str, Any]:
    if name and name not in merged.clusters:
        known = ", ".join(sorted(merged.clusters)) or "none"
        raise InputError(f"cluster {name!r} is not in {_listed(merged.files)}; there are: {known}")
    folder, entry = merged.clusters.get(name, (Path(), {}))
    entry = _absolute(entry, _PATHS_OF_CLUSTER, folder)
    if overrides.server:
        entry["server"] = overrides.server
    if overrides.certificate_authority:
        entry.pop("certificate-authority-data", None)
        entry["certificate-authority"] = str(Path(overrides.certificate_authority).absolute())
    if overrides.insecure_skip_tls_verify:
        entry["insecure-skip-tls-verify"] = True
        # As in kubectl, the certificate authority is ignored if the check is skipped.
        entry.pop("certificate-authority", None)
        entry.pop("certificate-authority-data", None)
    try:
        checked = msgspec.convert(entry, _Cluster)
    except msgspec.ValidationError as error:
        raise InputError(f"cluster {name!r}: {_describe(error)}") from None
    if not checked.server:
        raise InputError(f"cluster {name!r} has no server; look at {_listed(merged.files)}")
    if "://" not in checked.server:
        entry["server"] = f"https://{checked.server}"
    if "@" in entry["server"].partition("://")[2].partition("/")[0]:
        # Reports and snapshots contain the URL.
        raise InputError(
            f"cluster {name!r}: the server's URL holds a user name or password; "
            "move them to the user, with a token or a certificate"
        )
    if checked.insecure_skip_tls_verify and (
        checked.certificate_authority or checked.certificate_authority_data
    ):
        raise InputError(
            f"cluster {name!r} has a certificate authority and insecure-skip-tls-verify; "
            "remove one of them"
        )
    return entry


def _user(merged: _Merged, name: str, overrides: Overrides) -> dict[str, Any]:
    if name and name not in merged.users:
        known = ", ".join(sorted(merged.users)) or "none"
        raise InputError(f"user {name!r} is not in {_listed(merged.files)}; there are: {known}")
    folder, entry = merged.users.get(name, (Path(), {}))
    entry = _absolute(entry, _PATHS_OF_USER, folder)
    if overrides.token:
        entry.pop("tokenFile", None)
        entry["token"] = overrides.token
    command = entry.get("exec")
    if isinstance(command, dict) and "/" in str(command.get("command", "")):
        program = Path(str(command["command"]))
        # Only a path is relative to the file (clientcmd/loader.go).
        entry["exec"] = {**command, "command": str(folder / program)}
    try:
        checked = msgspec.convert(entry, _User)
    except msgspec.ValidationError as error:
        raise InputError(f"user {name!r}: {_describe(error)}") from None
    if checked.token_file and not checked.token:
        entry["token"] = _read_token(Path(checked.token_file))
    return entry


def _read_token(path: Path) -> str:
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"{path}: the token cannot be read: {reason}") from None
    if not token:
        raise InputError(f"{path}: the file of the token is empty")
    return token


def _absolute(entry: Mapping[str, Any], names: Iterable[str], folder: Path) -> dict[str, Any]:
    """Return an entry with paths that are relative to a folder made absolute."""
    made = {key: value for key, value in entry.items() if value not in (None, "")}
    for name in names:
        if isinstance(made.get(name), str):
            made[name] = str(folder / made[name])
    return made


def _config(
    context: str,
    cluster: dict[str, Any],
    user_name: str,
    user: dict[str, Any],
    overrides: Overrides,
    warnings: Iterable[str],
) -> ClusterConfig:
    checked = msgspec.convert(user, _User)
    impersonate = Impersonation(
        checked.as_ or "",
        checked.as_uid or "",
        checked.as_groups or (),
        tuple(sorted((checked.as_user_extra or {}).items())),
    )
    flags = overrides.impersonate
    if flags:
        # Each flag replaces one field, as in ConfigOverrides.
        impersonate = replace(
            impersonate,
            user=flags.user or impersonate.user,
            uid=flags.uid or impersonate.uid,
            groups=flags.groups or impersonate.groups,
        )
    if impersonate and not impersonate.user:
        raise InputError("--as-group and --as-uid need --as: a group is impersonated with a user")
    found = [*warnings]
    if cluster.get("insecure-skip-tls-verify") and cluster["server"].startswith("https"):
        found.append(
            f"the certificate of {cluster['server']} is not checked (insecure-skip-tls-verify): "
            "the connection can be intercepted"
        )
    return ClusterConfig(context, cluster, user_name, user, impersonate, tuple(found))


def _without_context(
    merged: _Merged, overrides: Overrides, environ: Mapping[str, str], folder: Path
) -> ClusterConfig:
    """Return the service account of a pod.

    Raises:
        InputError: the process does not run in a pod.
    """
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    if host and port and (folder / "token").is_file() and not overrides.kubeconfig:
        host = f"[{host}]" if ":" in host else host
        entry = {
            "server": f"https://{host}:{port}",
            "certificate-authority": str(folder / "ca.crt"),
        }
        user = {"token": _read_token(folder / "token")}
        return _config("in-cluster", entry, "service account", user, overrides, ())
    if merged.contexts:
        known = ", ".join(sorted(merged.contexts))
        raise InputError(
            f"{_listed(merged.files)}: no current-context; give --context, there are: {known}"
        )
    where = f"{_listed(merged.files)} has no context" if merged.files else "no kubeconfig found"
    raise InputError(f"{where}: log in ('oc login'), give --kubeconfig, or read a dump with -f")


def _listed(files: Iterable[str]) -> str:
    return ", ".join(files) or "the kubeconfig"
