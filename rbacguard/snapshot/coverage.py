"""How completely a cluster was read: coverage of each kind, locations, defects, origin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from rbacguard.rbac.types import ObjectKey

RBAC_KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
OTHER_KINDS = ("Namespace", "Group", "ServiceAccount", "KubeVirt", "HyperConverged")


class Location(Struct, frozen=True, gc=False, order=True):
    """Where an object was read.

    File as given; document and line counted from 1 (0 = unknown); item of a JSON list from 0.
    """

    file: str
    document: int = 0
    line: int = 0
    item: int = -1

    @property
    def name(self) -> str:
        """The file and, for an item of a JSON list, which one: `dump.json#items[3]`."""
        return self.file if self.item < 0 else f"{self.file}#items[{self.item}]"

    def __str__(self) -> str:
        """Return `dump.yaml, document 2, line 17`."""
        document = f", document {self.document}" if self.document > 1 else ""
        return self.name + document + (f", line {self.line}" if self.line else "")


class Defect(Struct, frozen=True, order=True):
    """A part of an object that the API server would refuse, and that was left out."""

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
    """How much of one kind was read, how many objects, and what is missing.

    `namespaces` names those that were read whole where the others were not.
    """

    state: State
    count: int
    reasons: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


class Origin(Struct, frozen=True, rename="camel"):
    """Which cluster was read, when, and as whom; nothing of it is secret.

    Attributes:
        context: the kubeconfig's name for it.
        server: URL of the API server.
        user: the kubeconfig's name for the user, and whom he impersonated.
        cluster_id: uid of namespace kube-system, by which clusters are told apart; '' if not read.
        server_version: such as `v1.33.4`; '' if the server does not tell.
        started: when reading began, RFC 3339, UTC.
        finished: when it ended.
        resource_versions: by kind, the version that all pages of its list came from.
        passes: how often everything was read; 2 and more when two passes had to agree.
        warnings: about the connection.
        notes: what a reader of the answer should know: kinds read at different moments.
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
    """What was given: a path, how many files stood behind it, and their SHA-256.

    Of one plain file it is the digest of the file; of several, of their names and digests.
    """

    path: str
    files: int
    sha256: str


class Coverage(Struct, frozen=True):
    """What was read and what was not.

    RBAC only adds, so a positive statement from partial data stands; a negative one needs every
    kind that it depends on.

    Attributes:
        kinds: by kind, for RBAC's four and the others that are used.
        problems: parts of the input that could not be read.
        skipped: how many objects of other kinds were passed over, by kind.
        origin: the cluster that it was read from, where that is known.
        inputs: the files that it was read from.
    """

    kinds: Mapping[str, KindCoverage]
    problems: tuple[str, ...] = ()
    skipped: Mapping[str, int] = {}
    origin: Origin | None = None
    inputs: tuple[Input, ...] = ()

    def gaps(self, kinds: Iterable[str] = RBAC_KINDS, namespace: str = "") -> tuple[str, ...]:
        """Return one sentence for each of these kinds that was not read whole.

        Args:
            kinds: those that a statement depends on.
            namespace: the only one that it is about; '' for the whole cluster.
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
        """Whether a negative statement that needs these kinds can be made."""
        return not self.gaps(kinds)
