"""Lists of a live cluster as one `Reading`: whole, of one version each, side by side."""

from __future__ import annotations

import datetime
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct, field

from rbacguard.errors import ClusterError, InputError
from rbacguard.rbac.types import RBAC_GROUP
from rbacguard.snapshot.coverage import KindCoverage, Location, Origin, State
from rbacguard.snapshot.workloads import WORKLOAD_KINDS
from rbacguard.sources.collection import Reading
from rbacguard.sources.live.connection import Connection, Reply
from rbacguard.sources.live.resources import RBAC, Resource

PAGE = 500
"""Objects in a page, as kubectl asks for them."""
RESTARTS = 3
"""How often a list begins anew when its version expires half-way."""
PASSES = 5
"""How often everything is read, at most, until two passes agree."""

Progress = Callable[[str, int, int | None], None]
"""Told the kind, how many objects of it were read, and how many there are, if that is known."""

_WORKERS = 6
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


class _Named(Struct):
    name: str


class _Item(Struct):
    metadata: _Named


class _Names(Struct):
    items: tuple[_Item, ...]
    metadata: _ListMeta = _ListMeta()


class _Identity(Struct, frozen=True):
    name: str = ""
    uid: str = ""


class _Identified(Struct):
    metadata: _Identity = _Identity()


_lists = msgspec.json.Decoder(_List)
_identities = msgspec.json.Decoder(_Identified)


class _ExpiredError(Exception):
    """The version that a list came from is gone."""


class _RefusedError(Exception):
    """A list cannot be had; the message says why."""

    def __init__(self, reason: str, *, absent: bool = False) -> None:
        super().__init__(reason)
        self.absent = absent


class _Listed(Struct):
    """What came of one kind."""

    reading: Reading
    resource_version: str = ""
    cluster_id: str = ""


def read_cluster(
    connection: Connection,
    resources: Sequence[Resource],
    *,
    namespaces: Sequence[str] = (),
    consistent: bool = False,
    progress: Progress | None = None,
) -> Reading:
    """Read these resources whole, or say in the coverage what was not to be had.

    All pages of a list come from one resource version. RBAC's four kinds and namespaces, which one
    server keeps in one store, are asked for at the same version (`resourceVersionMatch=Exact`), so
    that they show one moment; where the server does not have it any more, the origin says so.

    Args:
        connection: the cluster.
        resources: what to read.
        namespaces: read namespaced RBAC kinds in these only; empty for everywhere.
        consistent: read again until two passes have the same objects.
        progress: told about what was read so far.

    Raises:
        ClusterError: the server cannot be reached or used, or nothing of RBAC can be read.
    """
    started = _now(connection)
    connection.start()
    kinds = {resource.kind for resource in resources}
    workloads = not kinds.isdisjoint(WORKLOAD_KINDS)
    reader = _Reader(
        connection,
        tuple(namespaces),
        progress or (lambda *_: None),
        workloads=workloads,
    )
    passes = 1
    reading, versions, cluster_id = reader.everything(resources)
    if consistent:
        for passes in range(2, PASSES + 1):  # noqa: B007 - told in the origin
            before = reading
            reading, versions, cluster_id = reader.everything(resources)
            if before.by_kind == reading.by_kind and before.known == reading.known:
                break
        else:
            reading.problems.append(
                f"the cluster changed during each of {PASSES} passes, so no two of them agree; "
                "try again when it is quieter"
            )
    rbac_kinds = {resource.kind for resource in RBAC}
    # Where machines are asked for, access is read besides.
    needed = kinds - rbac_kinds if workloads else rbac_kinds & kinds or kinds
    found = any(reading.by_kind.get(kind) for kind in needed)
    # Every cluster has RBAC, and not every one has machines.
    has_answer = workloads and not all(reading.known[kind].reasons for kind in needed)
    if not (found or has_answer):
        reasons = [reason for kind in needed for reason in reading.known[kind].reasons]
        what = "RBAC" if needed <= rbac_kinds else "what is needed"
        raise ClusterError(
            f"{connection.access.server}: nothing of {what} can be read: "
            f"{min(reasons, default='there is nothing')}; "
            "'rbacguard permissions' prints what is needed"
        )
    reading.origin = Origin(
        context=connection.access.context,
        server=connection.access.server,
        user=_who(connection),
        cluster_id=cluster_id,
        server_version=connection.version,
        started=started,
        finished=_now(connection),
        resource_versions=dict(sorted(versions.items())),
        passes=passes,
        warnings=tuple(connection.warnings),
        notes=_moments({k: v for k, v in versions.items() if k in rbac_kinds}, consistent),
    )
    return reading


def namespace_names(connection: Connection) -> tuple[str, ...]:
    """Return the names of up to 500 namespaces; none where they may not be listed.

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
    """Return the names of all objects of a list, page by page.

    Raises:
        ClusterError: the server cannot be reached, or does not give the whole list.
    """
    names: list[str] = []
    query = [("limit", str(PAGE))]
    while True:
        reply = connection.get(path, query)
        where = f"{connection.access.server}{path}"
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
    """Return the moment, by the cluster's clock where this machine's is behind it."""
    return (datetime.datetime.now(datetime.UTC) + connection.behind).strftime("%Y-%m-%dT%H:%M:%SZ")


def _who(connection: Connection) -> str:
    access = connection.access
    groups = "".join(f", group {group}" for group in access.impersonate.groups)
    name = access.user_name or "(no user)"
    return f"{name} as {access.impersonate.user}{groups}" if access.impersonate else name


def _moments(versions: dict[str, str], consistent: bool) -> tuple[str, ...]:
    """Say where kinds were read at different versions, and no second pass has confirmed them."""
    if consistent or len(set(versions.values())) < 2:  # noqa: PLR2004 - one moment
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
        self._location = Location(f"cluster {connection.access.context}")
        self._versions = self._api_versions()

    def _reading(self) -> Reading:
        return Reading(workloads=self._workloads)

    def everything(self, resources: Sequence[Resource]) -> tuple[Reading, dict[str, str], str]:
        """Read all kinds side by side; return them, their versions, and the cluster's identity."""
        moment = self._moment(resources)
        found = side_by_side([partial(self._kind, each, moment) for each in resources])
        reading = self._reading()
        versions, cluster_id = {}, ""
        for resource, listed in zip(resources, found, strict=True):
            reading.merge(listed.reading)
            if listed.resource_version:
                versions[resource.kind] = listed.resource_version
            cluster_id = cluster_id or listed.cluster_id
        return reading, versions, cluster_id

    def _api_versions(self) -> dict[str, tuple[str, ...]] | None:
        """Return the versions of each API group of the server, or None where it does not tell."""
        reply = self._connection.get("/apis")
        try:
            groups = msgspec.json.decode(reply.body, type=_ApiGroups).groups if reply.ok else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            groups = None
        if groups is None:
            return None
        return {group.name: tuple(v.version for v in group.versions) for group in groups}

    def _moment(self, resources: Sequence[Resource]) -> str:
        """Return the store's resource version now, or '' where it is not to be had."""
        stored = [each for each in resources if each.group in (RBAC_GROUP, "")]
        # Of all that is read anyway, few objects and hardly a change.
        asked = RBAC[1] if RBAC[1] in stored else stored[0]
        reply = self._connection.get(asked.path("v1"), [("limit", "1")])
        try:
            return _lists.decode(reply.body).metadata.resource_version if reply.ok else ""
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""

    def _kind(self, resource: Resource, moment: str) -> _Listed:
        """Read one kind; whatever goes wrong with it is told in its coverage."""
        pinned = moment if resource.group in (RBAC_GROUP, "") else ""
        scopes = self._namespaces if resource.namespaced and resource.group == RBAC_GROUP else ()
        whole = _Listed(self._reading())
        read: list[str] = []
        reasons: list[str] = []
        absent = False
        for scope in scopes or ("",):
            listed = _Listed(self._reading())
            try:
                self._list(resource, scope, pinned, listed)
                read.append(scope)
            except _RefusedError as refusal:
                absent = refusal.absent
                reasons.append(f"{scope}: {refusal}" if scope else str(refusal))
            except ClusterError as error:
                reasons.append(str(error))
            whole.reading.merge(listed.reading)
            whole.resource_version = listed.resource_version or whole.resource_version
            whole.cluster_id = listed.cluster_id
        if scopes and read:
            reasons.insert(0, f"read in {_named(read)} only")
        state = State.READ if not reasons else State.PARTIAL
        if absent or (reasons and not whole.reading.by_kind and not read):
            state = State.ABSENT
        if absent and resource.kind in WORKLOAD_KINDS:
            # Of a kind that the server does not know there is nothing, and that is all of it.
            state, reasons = State.READ, []
        whole.reading.known[resource.kind] = KindCoverage(
            state, 0, tuple(reasons), tuple(read) if scopes else ()
        )
        return whole

    def _list(self, resource: Resource, namespace: str, moment: str, into: _Listed) -> None:
        """Read a whole list into `into`, beginning anew when its version expires.

        Raises:
            _RefusedError: it is forbidden, not installed, or keeps expiring.
            ClusterError: the server stopped answering.
        """
        path = resource.path(self._version(resource), namespace)
        for _ in range(RESTARTS + 1):
            # What an abandoned try brought is of another version: it must not be mixed in.
            into.reading = self._reading()
            into.resource_version = ""
            try:
                self._pages(resource, path, moment, into)
            except _ExpiredError:
                moment = ""
            else:
                return
        raise _RefusedError(f"the list expired {RESTARTS + 1} times before its end (410)")

    def _version(self, resource: Resource) -> str:
        if self._versions is None or not resource.group:
            return resource.versions[0]
        served = self._versions.get(resource.group)
        if served is None:
            raise _RefusedError(
                f"not installed on this cluster (no API group {resource.group})", absent=True
            )
        known = [version for version in resource.versions if version in served]
        return known[0] if known else resource.versions[0]

    def _pages(self, resource: Resource, path: str, moment: str, into: _Listed) -> None:
        token = ""
        first = [("resourceVersion", moment), ("resourceVersionMatch", "Exact")] if moment else []
        while True:
            query = [("continue", token)] if token else first
            reply = self._connection.get(path, [("limit", str(PAGE)), *query])
            page = self._page(resource, path, reply, exact=bool(moment))
            if into.resource_version not in ("", page.metadata.resource_version):
                raise _ExpiredError
            into.resource_version = page.metadata.resource_version
            self._take(resource, page, into)
            remaining = page.metadata.remaining_item_count
            done = len(into.reading)
            token = page.metadata.continue_ or ""
            total = done if not token else None if remaining is None else done + remaining
            self._progress(resource.kind, done, total)
            if not token:
                return

    def _page(self, resource: Resource, path: str, reply: Reply, *, exact: bool) -> _List:
        if reply.status == _GONE:
            raise _ExpiredError
        if exact and reply.status in (400, 501, 504) and reply.is_status:
            # A server that does not keep that version, or does not know the parameter.
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

    def _take(self, resource: Resource, page: _List, into: _Listed) -> None:
        for raw in page.items or ():
            try:
                into.reading.add(raw, self._location, page.api_version, resource.kind)
                if resource.kind == "Namespace" and not into.cluster_id:
                    identity = _identities.decode(raw).metadata
                    into.cluster_id = identity.uid if identity.name == "kube-system" else ""
            except (InputError, msgspec.DecodeError) as error:
                into.reading.problems.append(str(error))


def _named(namespaces: Sequence[str]) -> str:
    plural = "s" if len(namespaces) > 1 else ""
    return f"namespace{plural} {', '.join(namespaces)}"


_Result = TypeVar("_Result")


def side_by_side(tasks: Iterable[Callable[[], _Result]]) -> list[_Result]:
    """Run tasks in threads that do not outlive an interruption; return results in order."""
    todo: queue.SimpleQueue[tuple[int, Callable[[], _Result]]] = queue.SimpleQueue()
    results: dict[int, _Result] = {}
    errors: list[BaseException] = []
    count = 0
    for count, task in enumerate(tasks, 1):
        todo.put((count - 1, task))

    def work() -> None:
        while not errors:
            try:
                number, task = todo.get_nowait()
            except queue.Empty:
                return
            try:
                results[number] = task()
            except BaseException as error:  # noqa: BLE001 - raised again below, in the main thread
                errors.append(error)

    # Daemons: Ctrl-C ends the program at once, whatever a slow server still owes.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_WORKERS, count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.1)
    if errors:
        raise errors[0]
    return [results[number] for number in range(count)]
