"""Which clusters there are: saved ones in folders and other locations, contexts, a hub's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path, PurePosixPath

from msgspec import Struct

from rbacguard.errors import ClusterError, InputError
from rbacguard.sources.files import stem
from rbacguard.sources.live import ClusterConfig, Connection, Overrides, context_names, object_names
from rbacguard.text import encodable

_HUB = "/apis/cluster.open-cluster-management.io/v1/managedclusters"
PLACEHOLDER = "{cluster}"
"""What stands for a cluster's name in the path of a file."""


class Cluster(Struct, frozen=True):
    """One cluster of a fleet: a path or URL of what was saved, or how to reach it.

    Attributes:
        name: unique in the fleet.
        path: a file, a folder or a URL; '' for a live cluster.
        kubeconfig: its kubeconfig; '' for the user's own.
        context: context of that kubeconfig; '' for its current one.
    """

    name: str
    path: str = ""
    kubeconfig: str = ""
    context: str = ""

    @property
    def source(self) -> str:
        """Where it is read from, for people."""
        return self.path or (f"context {self.context}" if self.context else self.kubeconfig)


def saved(paths: Iterable[str]) -> list[Cluster]:
    """Return the clusters behind paths: a folder or a pattern stands for each entry in it.

    Raises:
        InputError: a path leads to nothing.
    """
    found: dict[str, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_remote(path) if "://" in path else _local(path)))
    names = {path: encodable(_name(path)) for path in found}
    taken = Counter(names.values())
    # Two that would be called alike keep their whole paths: none may hide another.
    return [
        Cluster(name if taken[name] == 1 else encodable(path), path=path)
        for path, name in sorted(names.items())
    ]


def distinct(clusters: Sequence[Cluster]) -> list[Cluster]:
    """Return clusters by name, so that each stands once in a report.

    Raises:
        InputError: two places would be one cluster.
    """
    found: dict[str, Cluster] = {}
    for each in clusters:
        other = found.setdefault(each.name, each)
        if other is not each:
            raise InputError(
                f"{each.source} and {other.source} are both called {each.name!r}; rename one"
            )
    return [found[name] for name in sorted(found)]


def _local(path: str) -> list[str]:
    if Path(path).is_dir():
        entries = sorted(Path(path).iterdir())
        found = [str(each) for each in entries if _is_cluster(each.name, folder=each.is_dir())]
        if not found:
            raise InputError(
                f"{path}: no cluster in this folder, expected files that 'rbacguard snapshot' wrote"
            )
        return found
    if Path(path).exists():
        return [path]
    matches = sorted(glob(path, recursive=True)) if has_magic(path) else []  # noqa: PTH207 - as typed
    if not matches:
        raise InputError(f"{path}: no such file or folder, and nothing fits it as a pattern")
    return matches


def _remote(url: str) -> list[str]:
    try:
        import fsspec
    except ImportError:
        raise InputError(f"{url}: other locations need: pip install 'rbacguard[fleet]'") from None
    try:
        system, path = fsspec.core.url_to_fs(url)
        if has_magic(path):
            found = sorted(system.glob(path))
        elif system.isdir(path):
            found = sorted(
                each["name"]
                for each in system.ls(path, detail=True)
                if _is_cluster(each["name"], folder=each["type"] == "directory")
            )
        else:
            found = [path] if system.exists(path) else []
    except (ImportError, ValueError) as error:
        raise InputError(f"{url}: {error}") from None
    except OSError as error:
        raise InputError(f"{url}: {error.strerror or error}") from None
    if not found:
        raise InputError(f"{url}: nothing there")
    return [system.unstrip_protocol(each) for each in found]


def _is_cluster(path: str, *, folder: bool) -> bool:
    """Whether an entry of a folder is one: a dump, or a folder that is not hidden."""
    name = PurePosixPath(path).name
    return not name.startswith(".") and (folder or stem(name) != name)


def _name(path: str) -> str:
    name = PurePosixPath(path.rstrip("/")).name
    return stem(name) or name


def contexts(
    wanted: Sequence[str],
    *,
    every: bool,
    kubeconfig: str,
    environ: Mapping[str, str],
    home: Path,
) -> list[Cluster]:
    """Return clusters by contexts of the kubeconfig.

    Raises:
        InputError: there is no such context, or no kubeconfig.
    """
    known = context_names(Overrides(kubeconfig=kubeconfig), environ, home)
    if every:
        wanted = known
    listed = ", ".join(known) or "none"
    for name in wanted:
        if name not in known:
            raise InputError(f"--contexts: no context {name!r}; there are: {listed}")
    return [Cluster(name, kubeconfig=kubeconfig, context=name) for name in wanted]


def managed(hub: ClusterConfig, template: str) -> list[Cluster]:
    """Return the ManagedClusters of a hub, each with the kubeconfig that the template names.

    Raises:
        ClusterError: the hub cannot be read.
        InputError: the template leaves no room for a name.
    """
    if PLACEHOLDER not in template:
        raise InputError(f"--kubeconfig-template: expected {PLACEHOLDER} in it, found {template!r}")
    with Connection(hub) as connection:
        connection.check_server()
        names = object_names(connection, _HUB)
    if not names:
        raise ClusterError(f"{hub.server}: the hub manages no cluster")
    return [
        Cluster(name, kubeconfig=template.replace(PLACEHOLDER, file_name(name)))
        for name in sorted(names)
    ]


def file_name(cluster: str) -> str:
    """Return a cluster's name as it may stand in a path: a name leads to no other folder."""
    return re.sub(r"^\.+|[^A-Za-z0-9._@+-]", "_", cluster)
