"""How completely a cluster was read: coverage of each kind, locations, invalid fields, origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from rbacguard.rbac.types import ObjectKey

RBAC_KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
OTHER_KINDS = ("Namespace", "Group", "ServiceAccount", "KubeVirt", "HyperConverged")


class Location(Struct, frozen=True, gc=False, order=True):
    """The place in the input where an object was read.

    Attributes:
        file: the path as given, or `archive!member`.
        document: number of the YAML document from 1; 0 if unknown.
        line: line from 1; 0 if unknown.
        item: index of the item in a JSON list from 0; -1 if the object is not such an item.
    """

    file: str
    document: int = 0
    line: int = 0
    item: int = -1

    @property
    def name(self) -> str:
        """The file, with the index of an item of a JSON list: `dump.json#items[3]`."""
        return self.file if self.item < 0 else f"{self.file}#items[{self.item}]"

    def __str__(self) -> str:
        """Return `dump.yaml, document 2, line 17`."""
        document = f", document {self.document}" if self.document > 1 else ""
        return self.name + document + (f", line {self.line}" if self.line else "")


class InvalidField(Struct, frozen=True, order=True):
    """A field that the API server would reject, and that was left out of the object."""

    key: ObjectKey
    path: str
    message: str
    location: Location


class State(StrEnum):
    """How much of a kind was read."""

    READ = "read"
    PARTIAL = "partial"
    ABSENT = "absent"


class KindCoverage(Struct, frozen=True):
    """How much of one kind was read.

    Attributes:
        state: complete, partial, or absent.
        count: number of objects.
        reasons: why objects might be missing, one sentence each.
        namespaces: namespaces that were read completely although others were not.
    """

    state: State
    count: int
    reasons: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


class ClusterOrigin(Struct, frozen=True, rename="camel"):
    """The cluster that was read, the time, and the user. Contains no secrets.

    Attributes:
        context: name of the context in the kubeconfig.
        server: URL of the API server.
        user: name of the user in the kubeconfig, and the impersonated user.
        cluster_id: uid of namespace kube-system, which identifies a cluster; '' if not read.
        server_version: such as `v1.33.4`; '' if the server does not report it.
        started: start of reading, RFC 3339, UTC.
        finished: end of reading, RFC 3339, UTC.
        resource_versions: by kind, the resource version of all pages of its list.
        passes: number of times that all lists were read.
        warnings: warnings about the connection.
        notes: limits of the result, such as kinds that were read at different resource versions.
        redacted: whether names were replaced.
    """

    context: str = ""
    server: str = ""
    user: str = ""
    cluster_id: str = ""
    server_version: str = ""
    started: str = ""
    finished: str = ""
    resource_versions: Mapping[str, str] = {}
    passes: int = 1
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    redacted: bool = False


class Input(Struct, frozen=True):
    """One given path.

    Attributes:
        path: the path as given.
        files: number of files that were found there.
        sha256: digest of the file; for several files, of the list of their digests and names.
    """

    path: str
    files: int
    sha256: str


class Coverage(Struct, frozen=True):
    """What was read and what was not.

    RBAC only adds permissions. A positive statement therefore holds on partial data, and a
    negative one needs every kind that it depends on.

    Attributes:
        kinds: coverage by kind, for RBAC's four kinds and the others that are used.
        problems: parts of the input that could not be read.
        skipped: number of objects of other kinds, by kind.
        origin: the cluster that was read, if known.
        inputs: the files that were read.
    """

    kinds: Mapping[str, KindCoverage]
    problems: tuple[str, ...] = ()
    skipped: Mapping[str, int] = {}
    origin: ClusterOrigin | None = None
    inputs: tuple[Input, ...] = ()

    def missing(self, kinds: Iterable[str] = RBAC_KINDS, namespace: str = "") -> tuple[str, ...]:
        """Return a sentence for each reason why objects of these kinds might be missing.

        Args:
            kinds: the kinds that a statement depends on.
            namespace: the only namespace that the statement is about; '' for all.
        """
        return (
            tuple(
                f"{kind}: {reason}"
                for kind in kinds
                if not (namespace and namespace in self.kinds[kind].namespaces)
                for reason in self.kinds[kind].reasons
            )
            + self.problems
        )

    def is_complete(self, kinds: Iterable[str] = RBAC_KINDS) -> bool:
        """Return whether a negative statement that depends on these kinds is possible."""
        return not self.missing(kinds)
