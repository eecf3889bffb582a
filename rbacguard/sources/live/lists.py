"""The objects of a live cluster, from complete lists with one resource version each."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec import Raw, Struct, field

from rbacguard.errors import ClusterError, InputError
from rbacguard.rbac.types import RBAC_GROUP
from rbacguard.snapshot.coverage import ClusterOrigin, KindCoverage, Location, State
from rbacguard.snapshot.resources import RBAC, WORKLOAD_KINDS, Resource
from rbacguard.sources.collection import InputCollection
from rbacguard.sources.live.concurrency import Progress, run_concurrently
from rbacguard.sources.live.connection import Connection, Reply
from rbacguard.sources.live.resources import list_path

PAGE = 500
"""Number of objects in a page, as in kubectl."""
RESTARTS = 3
"""How often a list is restarted if its resource version expires before the end."""
PASSES = 5
"""How often all lists are read at most, until two passes agree."""

_FORBIDDEN = 403
_NOT_FOUND = 404
_GONE = 410


class _ListMeta(Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str | None = field(default=None, name="continue")
    remaining_item_count: int | None = None


class _List(Struct, rename="camel"):
    kind: str
    api_version: str
    metadata: _ListMeta
    items: list[Raw] | None = None


class _ApiVersion(Struct, rename="camel"):
    version: str = ""


class _ApiGroup(Struct, rename="camel"):
    name: str
    versions: tuple[_ApiVersion, ...] = ()


class _ApiGroups(Struct):
    groups: tuple[_ApiGroup, ...]


class _Metadata(Struct, frozen=True):
    name: str = ""
    uid: str = ""


class _Item(Struct):
    metadata: _Metadata = _Metadata()


class _Names(Struct):
    items: tuple[_Item, ...]
    metadata: _ListMeta = _ListMeta()


_lists = msgspec.json.Decoder(_List)
_items = msgspec.json.Decoder(_Item)


class _ExpiredError(Exception):
    """The resource version of a list has expired."""


class _RefusedError(Exception):
    """A list cannot be read; the message says why."""

    def __init__(self, reason: str, *, absent: bool = False) -> None:
        super().__init__(reason)
        self.absent = absent


class _Listed(Struct):
    """The result of reading one kind."""

    collection: InputCollection
    resource_version: str = ""
    cluster_id: str = ""


def read_cluster(
    connection: Connection,
    resources: Sequence[Resource],
    *,
    namespaces: Sequence[str] = (),
    consistent: bool = False,
    progress: Progress | None = None,
) -> InputCollection:
    """Return the objects of these resources, with what could not be read in their coverage.

    All pages of a list have one resource version. Kinds that share a store with RBAC's four kinds
    are requested at the same resource version (`resourceVersionMatch=Exact`), so that they show
    the same state. If the server no longer has that version, the origin contains a note.

    Args:
        connection: the cluster.
        resources: what to read.
        namespaces: the only namespaces to read Roles and RoleBindings in; empty for all.
        consistent: whether to read again until two passes return the same objects.
        progress: receives the progress.

    Raises:
        ClusterError: the server cannot be reached or used, or no RBAC object can be read.
    """
    started = _now(connection)
    connection.check_server()
    kinds = {resource.kind for resource in resources}
    workloads = not kinds.isdisjoint(WORKLOAD_KINDS)
    reader = _Reader(
        connection,
        tuple(namespaces),
        progress or (lambda *_: None),
        workloads=workloads,
    )
    passes = 1
    collection, versions, cluster_id = reader.read(resources)
    if consistent:
        for passes in range(2, PASSES + 1):  # noqa: B007 - part of the origin
            before = collection
            collection, versions, cluster_id = reader.read(resources)
            if (before.by_kind, before.reported) == (collection.by_kind, collection.reported):
                break
        else:
            collection.problems.append(
                f"the cluster changed during each of {PASSES} passes, so no two of them agree; "
                "try again when it is quieter"
            )
    rbac_kinds = {resource.kind for resource in RBAC}
    # Answers about workloads depend on RBAC less than on workloads.
    needed = kinds - rbac_kinds if workloads else rbac_kinds & kinds or kinds
    found = any(collection.by_kind.get(kind) for kind in needed)
    # Every cluster has RBAC objects, but not every cluster has VMs.
    has_answer = workloads and not all(collection.reported[kind].reasons for kind in needed)
    if not (found or has_answer):
        reasons = [reason for kind in needed for reason in collection.reported[kind].reasons]
        what = "RBAC" if needed <= rbac_kinds else "what is needed"
        raise ClusterError(
            f"{connection.config.server}: nothing of {what} can be read: "
            f"{min(reasons, default='there is nothing')}; "
            "'rbacguard permissions' prints what is needed"
        )
    collection.origin = ClusterOrigin(
        context=connection.config.context,
        server=connection.config.server,
        user=_user(connection),
        cluster_id=cluster_id,
        server_version=connection.version,
        started=started,
        finished=_now(connection),
        resource_versions=dict(sorted(versions.items())),
        passes=passes,
        warnings=tuple(connection.warnings),
        notes=_version_notes({k: v for k, v in versions.items() if k in rbac_kinds}, consistent),
    )
    return collection


def namespace_names(connection: Connection) -> tuple[str, ...]:
    """Return the names of up to 500 namespaces; none if they cannot be listed.

    Raises:
        ClusterError: the server cannot be reached.
    """
    reply = connection.get("/api/v1/namespaces", [("limit", "500")])
    try:
        found = msgspec.json.decode(reply.body, type=_Names).items if reply.ok else ()
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = ()
    return tuple(each.metadata.name for each in found)


def object_names(connection: Connection, path: str) -> tuple[str, ...]:
    """Return the names of all objects of a list.

    Raises:
        ClusterError: the server cannot be reached, or does not return the whole list.
    """
    names: list[str] = []
    query = [("limit", str(PAGE))]
    while True:
        reply = connection.get(path, query)
        where = f"{connection.config.server}{path}"
        if not reply.ok:
            raise ClusterError(f"{where}: {reply.message}")
        try:
            page = msgspec.json.decode(reply.body, type=_Names)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ClusterError(f"{where}: no list of Kubernetes: {error}") from None
        names += [each.metadata.name for each in page.items]
        if not page.metadata.continue_:
            return tuple(names)
        query = [("limit", str(PAGE)), ("continue", page.metadata.continue_)]


def _now(connection: Connection) -> str:
    """Return the time, by the clock of the cluster if the local clock is behind."""
    now = datetime.datetime.now(datetime.UTC) + connection.clock_skew
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def _user(connection: Connection) -> str:
    config = connection.config
    groups = "".join(f", group {group}" for group in config.impersonate.groups)
    name = config.user_name or "(no user)"
    return f"{name} as {config.impersonate.user}{groups}" if config.impersonate else name


def _version_notes(versions: dict[str, str], consistent: bool) -> tuple[str, ...]:
    """Return a note if kinds have different resource versions and no second pass confirms them."""
    if consistent or len(set(versions.values())) < 2:  # noqa: PLR2004 - one version
        return ()
    listed = ", ".join(f"{kind} at {version}" for kind, version in sorted(versions.items()))
    note = (
        f"RBAC kinds were read at different resource versions ({listed}): a change in between may "
        "be seen by half; --consistent reads until two passes agree"
    )
    return (note,)


class _Reader:
    def __init__(
        self,
        connection: Connection,
        namespaces: tuple[str, ...],
        progress: Progress,
        *,
        workloads: bool,
    ) -> None:
        self._connection = connection
        self._workloads = workloads
        self._namespaces = namespaces
        self._progress = progress
        self._location = Location(f"cluster {connection.config.context}")
        self._versions = self._api_versions()

    def _collection(self) -> InputCollection:
        return InputCollection(workloads=self._workloads)

    def read(self, resources: Sequence[Resource]) -> tuple[InputCollection, dict[str, str], str]:
        """Return all objects, the resource version of each kind, and the cluster's identity."""
        version = self._current_version(resources)
        found = run_concurrently([partial(self._read_kind, each, version) for each in resources])
        collection = self._collection()
        versions, cluster_id = {}, ""
        for resource, listed in zip(resources, found, strict=True):
            collection.merge(listed.collection)
            if listed.resource_version:
                versions[resource.kind] = listed.resource_version
            cluster_id = cluster_id or listed.cluster_id
        return collection, versions, cluster_id

    def _api_versions(self) -> dict[str, tuple[str, ...]] | None:
        """Return the versions of each API group; None if the server does not report them."""
        reply = self._connection.get("/apis")
        try:
            groups = msgspec.json.decode(reply.body, type=_ApiGroups).groups if reply.ok else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            groups = None
        if groups is None:
            return None
        return {group.name: tuple(v.version for v in group.versions) for group in groups}

    def _current_version(self, resources: Sequence[Resource]) -> str:
        """Return the current resource version of the store; '' if it is unknown."""
        stored = [each for each in resources if each.group in (RBAC_GROUP, "")]
        # There are few ClusterRoleBindings, and they rarely change.
        listed = RBAC[1] if RBAC[1] in stored else stored[0]
        reply = self._connection.get(list_path(listed, "v1"), [("limit", "1")])
        try:
            return _lists.decode(reply.body).metadata.resource_version if reply.ok else ""
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""

    def _read_kind(self, resource: Resource, version: str) -> _Listed:
        """Return the objects of one kind, with all errors in the coverage."""
        pinned = version if resource.group in (RBAC_GROUP, "") else ""
        scopes = self._namespaces if resource.namespaced and resource.group == RBAC_GROUP else ()
        whole = _Listed(self._collection())
        read: list[str] = []
        reasons: list[str] = []
        absent = False
        for scope in scopes or ("",):
            listed = _Listed(self._collection())
            try:
                self._read_list(resource, scope, pinned, listed)
                read.append(scope)
            except _RefusedError as refusal:
                absent = refusal.absent
                reasons.append(f"{scope}: {refusal}" if scope else str(refusal))
            except ClusterError as error:
                reasons.append(str(error))
            whole.collection.merge(listed.collection)
            whole.resource_version = listed.resource_version or whole.resource_version
            whole.cluster_id = listed.cluster_id
        if scopes and read:
            reasons.insert(0, f"read in {_named(read)} only")
        state = State.READ if not reasons else State.PARTIAL
        if absent or (reasons and not whole.collection.by_kind and not read):
            state = State.ABSENT
        if absent and resource.kind in WORKLOAD_KINDS:
            # Without the kind there are no objects, so the list is complete.
            state, reasons = State.READ, []
        whole.collection.reported[resource.kind] = KindCoverage(
            state, 0, tuple(reasons), tuple(read) if scopes else ()
        )
        return whole

    def _read_list(self, resource: Resource, namespace: str, version: str, into: _Listed) -> None:
        """Read a whole list. Restart if its resource version expires.

        Raises:
            _RefusedError: the list is forbidden, not installed, or expires repeatedly.
            ClusterError: the server does not answer.
        """
        path = list_path(resource, self._api_version(resource), namespace)
        for _ in range(RESTARTS + 1):
            # Objects of the previous try have another resource version.
            into.collection = self._collection()
            into.resource_version = ""
            try:
                self._read_pages(resource, path, version, into)
            except _ExpiredError:
                version = ""
            else:
                return
        raise _RefusedError(f"the list expired {RESTARTS + 1} times before its end (410)")

    def _api_version(self, resource: Resource) -> str:
        if self._versions is None or not resource.group:
            return resource.versions[0]
        served = self._versions.get(resource.group)
        if served is None:
            raise _RefusedError(
                f"not installed on this cluster (no API group {resource.group})", absent=True
            )
        known = [version for version in resource.versions if version in served]
        return known[0] if known else resource.versions[0]

    def _read_pages(self, resource: Resource, path: str, version: str, into: _Listed) -> None:
        token = ""
        exact = [("resourceVersion", version), ("resourceVersionMatch", "Exact")] if version else []
        while True:
            query = [("continue", token)] if token else exact
            reply = self._connection.get(path, [("limit", str(PAGE)), *query])
            page = self._page(resource, path, reply, exact=bool(version))
            if into.resource_version not in ("", page.metadata.resource_version):
                raise _ExpiredError
            into.resource_version = page.metadata.resource_version
            self._add_page(resource, page, into)
            remaining = page.metadata.remaining_item_count
            done = len(into.collection)
            token = page.metadata.continue_ or ""
            total = done if not token else None if remaining is None else done + remaining
            self._progress(resource.kind, done, total)
            if not token:
                return

    def _page(self, resource: Resource, path: str, reply: Reply, *, exact: bool) -> _List:
        if reply.status == _GONE:
            raise _ExpiredError
        if exact and reply.status in (400, 501, 504) and reply.is_status:
            # The server does not have the version, or does not know the parameter.
            raise _ExpiredError
        if reply.status == _FORBIDDEN:
            raise _RefusedError(f"forbidden: {reply.message}")
        if reply.status == _NOT_FOUND:
            raise _RefusedError("not installed on this cluster", absent=True)
        if not reply.ok:
            raise _RefusedError(f"the server answers {reply.status}: {reply.message}")
        try:
            page = _lists.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _RefusedError(f"what {path} answers is no list of {resource.plural}") from None
        if page.kind != f"{resource.kind}List" or not page.metadata.resource_version:
            raise _RefusedError(f"what {path} answers is no list of {resource.plural}")
        return page

    def _add_page(self, resource: Resource, page: _List, into: _Listed) -> None:
        for raw in page.items or ():
            try:
                into.collection.add_object(raw, self._location, page.api_version, resource.kind)
                if resource.kind == "Namespace" and not into.cluster_id:
                    identity = _items.decode(raw).metadata
                    into.cluster_id = identity.uid if identity.name == "kube-system" else ""
            except (InputError, msgspec.DecodeError) as error:
                into.collection.problems.append(str(error))


def _named(namespaces: Sequence[str]) -> str:
    plural = "s" if len(namespaces) > 1 else ""
    return f"namespace{plural} {', '.join(namespaces)}"
