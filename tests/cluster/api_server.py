"""A small API server for tests: HTTPS, users, RBAC, paged lists of one version, and faults.

It answers as a real one does where the tool and kubectl look (test_api_server.py compares it with
recordings of a real server), and it does wrong what a test tells it to.
"""

from __future__ import annotations

import base64
import bisect
import gzip
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

import trustme

from rbacguard import Snapshot
from rbacguard.rbac import Attributes
from rbacguard.sources import from_objects

KINDS = {
    ("rbac.authorization.k8s.io", "clusterroles"): "ClusterRole",
    ("rbac.authorization.k8s.io", "clusterrolebindings"): "ClusterRoleBinding",
    ("rbac.authorization.k8s.io", "roles"): "Role",
    ("rbac.authorization.k8s.io", "rolebindings"): "RoleBinding",
    ("", "namespaces"): "Namespace",
    ("user.openshift.io", "groups"): "Group",
    ("authorization.openshift.io", "rolebindingrestrictions"): "RoleBindingRestriction",
    ("kubevirt.io", "kubevirts"): "KubeVirt",
    ("hco.kubevirt.io", "hyperconvergeds"): "HyperConverged",
    ("", "nodes"): "Node",
    ("", "pods"): "Pod",
    ("kubevirt.io", "virtualmachines"): "VirtualMachine",
    ("kubevirt.io", "virtualmachineinstances"): "VirtualMachineInstance",
    ("migrations.kubevirt.io", "migrationpolicies"): "MigrationPolicy",
    ("machineconfiguration.openshift.io", "machineconfigpools"): "MachineConfigPool",
    ("kubevirt.io", "virtualmachineinstancemigrations"): "VirtualMachineInstanceMigration",
    ("", "persistentvolumeclaims"): "PersistentVolumeClaim",
    ("storage.k8s.io", "storageclasses"): "StorageClass",
    ("cdi.kubevirt.io", "storageprofiles"): "StorageProfile",
    ("k8s.cni.cncf.io", "network-attachment-definitions"): "NetworkAttachmentDefinition",
}
VERSIONS = {
    "hco.kubevirt.io": "v1beta1",
    "migrations.kubevirt.io": "v1alpha1",
    "cdi.kubevirt.io": "v1beta1",
}
BUILT_IN = ("", "rbac.authorization.k8s.io", "storage.k8s.io")
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
"""What discovery says of every kind, as of a real server's; all but reading is refused here."""
CLUSTER_SCOPED = (
    *("clusterroles", "clusterrolebindings", "namespaces", "groups", "nodes"),
    *("migrationpolicies", "machineconfigpools", "storageclasses", "storageprofiles"),
)

Objects = list[dict[str, Any]]
Identity = tuple[str, str, str]
Store = dict[tuple[str, str], Objects]


class User(NamedTuple):
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


ADMIN = "admin-token"
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    query: dict[str, str]
    user: User | None
    real_user: User | None
    headers: list[tuple[str, str]]


class Answer(NamedTuple):
    """What to say: status, body (a value for JSON, or bytes), headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = MappingProxyType({})


Fault = Callable[[Request, int], Answer | Callable[[Any], None] | None]
"""Given a request and how often its path was asked before: an answer to give instead, something to
do to the handler instead, or None to go on as usual."""


def status(code: int, reason: str, message: str, **more: Any) -> Answer:
    """Return a failure as the API server words it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": more.pop("metadata", {}),
        "status": "Failure",
        "message": message,
        "reason": reason,
        **more,
        "code": code,
    }
    return Answer(code, {key: value for key, value in body.items() if value is not None})


class ApiServer:
    """One cluster on loopback; use it as a context manager."""

    def __init__(
        self,
        objects: Iterable[dict[str, Any]],
        *,
        tokens: dict[str, User] | None = None,
        without: Iterable[str] = (),
        fault: Fault | None = None,
        authority: trustme.CA | None = None,
        certificate: trustme.LeafCert | None = None,
    ) -> None:
        self.kinds = {key: kind for key, kind in KINDS.items() if key[0] not in set(without)}
        self.tokens = tokens or {ADMIN: User("admin", ("system:masters",))}
        self.fault = fault
        self.requests: list[Request] = []
        self.bytes_sent = 0
        self.version = 1000
        self.authority = authority or trustme.CA()
        self._history: dict[int, Store] = {}
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._authorizers: dict[int, Snapshot] = {}
        store: Store = {key: [] for key in self.kinds}
        for item in objects:
            key = self._key(item)
            if key is not None:
                store[key].append(item)
        for items in store.values():
            items.sort(key=_stored)
        self._history[self.version] = store
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.api = self  # type: ignore[attr-defined]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (certificate or self.authority.issue_cert("127.0.0.1", "localhost")).configure_cert(context)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, path: Path, *, token: str = ADMIN, **user: Any) -> Path:
        """Write a kubeconfig for a token, or for other credentials."""
        authority = base64.b64encode(self.authority.cert_pem.bytes()).decode()
        value = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": self.url, "certificate-authority-data": authority},
                }
            ],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": user or {"token": token}}],
        }
        path.write_text(json.dumps(value), "utf-8")
        return path

    def change(self, *objects: dict[str, Any], remove: Iterable[Identity] = ()) -> None:
        """Make a new version of the cluster: objects put or removed."""
        with self._lock:
            store = {key: list(items) for key, items in self._history[self.version].items()}
            gone = {*remove, *map(identity, objects)}
            for key, items in store.items():
                left = [i for i in items if identity(i) not in gone]
                store[key] = sorted(
                    [*left, *(o for o in objects if self._key(o) == key)], key=_place
                )
            self.version += 1
            self._history[self.version] = store

    def compact(self) -> None:
        """Forget all versions but the last."""
        with self._lock:
            self._history = {self.version: self._history[self.version]}

    def _key(self, item: dict[str, Any]) -> tuple[str, str] | None:
        group = item["apiVersion"].rpartition("/")[0]
        found = [k for k, kind in self.kinds.items() if (k[0], kind) == (group, item["kind"])]
        return found[0] if found else None

    def answer(self, request: Request, body: bytes) -> Answer | Callable[[Any], None]:
        """Answer one request."""
        with self._lock:
            self.requests.append(request)
            count = self._counts.get(request.path, 0)
            self._counts[request.path] = count + 1
        if self.fault is not None:
            wrong = self.fault(request, count)
            if wrong is not None:
                return wrong
        if request.user is None:
            return status(401, "Unauthorized", "Unauthorized")
        if request.real_user != request.user and not self._may_impersonate(request):
            return _no_impersonation(request)
        if request.method == "POST":
            return self._review(request, _decoded(body))
        return self._get(request)

    def _get(self, request: Request) -> Answer:
        path = request.path
        discovered = self._discovery(path)
        if discovered and request.user == ANONYMOUS and path != "/version":
            return status(
                403, "Forbidden", f'forbidden: User "{request.user.name}" cannot get path'
            )
        if discovered is not None:
            return Answer(200, discovered)
        match = re.fullmatch(
            r"(?:/api|/apis/([^/]+))/(v[^/]+)(?:/namespaces/([^/]+))?/([a-z-]+)(?:/([^/]+))?",
            request.path,
        )
        key = (match[1] or "", match[4]) if match else ("", "")
        if match is None or key not in self.kinds or match[2] != VERSIONS.get(key[0], "v1"):
            return Answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})
        namespace, name = unquote(match[3] or ""), unquote(match[5] or "")
        verb = "get" if name else "list"
        if not self._allows(request.user, verb, *key, namespace, name):
            return _forbidden(request.user, verb, *key, namespace, name)
        if name:
            return self._one(key, namespace, name)
        return self._list(key, namespace, request.query)

    def _may_impersonate(self, request: Request) -> bool:
        assert request.user is not None
        return self._allows(request.real_user, "impersonate", "", "users", "", request.user.name)

    def _discovery(self, path: str) -> dict[str, Any] | None:
        groups = sorted({group for group, _ in self.kinds if group} | {"authorization.k8s.io"})
        if path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.2"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_api_group(group) for group in groups],
            }
        found = re.fullmatch(r"/api/(v1)|/apis/([^/]+)/(v[^/]+)", path)
        group = (found[2] or "") if found else None
        if group is None or (group and group not in groups):
            return None
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": _group_version(group),
            "resources": [
                {
                    "name": plural,
                    "singularName": kind.lower(),
                    "namespaced": plural not in CLUSTER_SCOPED,
                    "kind": kind,
                    "verbs": VERBS,
                }
                for (of, plural), kind in self.kinds.items()
                if of == group
            ],
        }

    def _one(self, key: tuple[str, str], namespace: str, name: str) -> Answer:
        for item in self._history[self.version][key]:
            if _place(item) == (namespace, name):
                return Answer(200, {"kind": item["kind"], "apiVersion": item["apiVersion"], **item})
        resource = f"{key[1]}.{key[0]}" if key[0] else key[1]
        details = {"name": name, "group": key[0] or None, "kind": key[1]}
        return status(
            404,
            "NotFound",
            f'{resource} "{name}" not found',
            details={k: v for k, v in details.items() if v},
        )

    def _list(self, key: tuple[str, str], namespace: str, query: dict[str, str]) -> Answer:
        limit, token = int(query.get("limit", "0")), query.get("continue", "")
        version, start = self.version, ""
        if token:
            try:
                decoded = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
                version, start = decoded["rv"], decoded["start"]
            except (ValueError, KeyError, TypeError) as error:
                return status(
                    400,
                    "BadRequest",
                    f"invalid continue token: continue key is not valid: {error}",
                )
        elif query.get("resourceVersionMatch") == "Exact":
            version = int(query["resourceVersion"])
        # The token of an expired list goes on at the newest version, as a real server offers.
        version = self.version if version == -1 else version
        store = self._history.get(version)
        if store is None and token:
            fresh = _token(-1, start.removeprefix("/"))
            return status(410, "Expired", EXPIRED, metadata={"continue": fresh})
        if store is None:
            return status(410, "Expired", "The resourceVersion for the provided list is too old.")
        items = store[key]
        if namespace:
            items = [i for i in items if _place(i)[0] == namespace]
        if "labelSelector" in query:
            label, _, wanted = query["labelSelector"].partition("=")
            items = [i for i in items if i["metadata"].get("labels", {}).get(label) == wanted]
        if start:
            items = items[bisect.bisect_left(items, start.lstrip("/"), key=_stored) :]
        page = items[:limit] if limit else items
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if len(items) > len(page):
            metadata["continue"] = _token(version, f"/{_stored(page[-1])}\0")
            metadata["remainingItemCount"] = len(items) - len(page)
        kind = self.kinds[key]
        hidden = ("kind", "apiVersion") if key[0] in BUILT_IN else ()
        body = {
            "kind": f"{kind}List",
            "apiVersion": _group_version(key[0]),
            "metadata": metadata,
            "items": [{k: v for k, v in item.items() if k not in hidden} for item in page],
        }
        return Answer(200, body)

    def _snapshot(self) -> Snapshot:
        if self.version not in self._authorizers:
            items = [i for each in self._history[self.version].values() for i in each]
            self._authorizers[self.version] = from_objects(items)
        return self._authorizers[self.version]

    def _decide(self, user: User, attributes: dict[str, str]) -> tuple[bool, str]:
        if "system:masters" in user.groups:
            return True, ""
        decision = self._snapshot().authorizer.authorize(
            Attributes(user=user.name, groups=user.groups, **attributes)
        )
        return decision.allowed, decision.reason

    def _allows(
        self, user: User | None, verb: str, group: str, plural: str, namespace: str, name: str
    ) -> bool:
        assert user is not None
        asked = {
            "verb": verb,
            "api_group": group,
            "resource": plural,
            "namespace": namespace,
            "name": name,
        }
        return self._decide(user, asked)[0]

    def _review(self, request: Request, body: dict[str, Any]) -> Answer:
        user, kind = request.user, body["kind"]
        assert user is not None
        plural = {
            "SubjectAccessReview": "subjectaccessreviews",
            "LocalSubjectAccessReview": "localsubjectaccessreviews",
        }.get(kind)
        if kind == "SelfSubjectReview":
            info = {"username": user.name, "groups": list(user.groups)}
            return Answer(201, {**body, "metadata": {}, "status": {"userInfo": info}})
        namespace = body.get("metadata", {}).get("namespace", "")
        group = "authorization.k8s.io"
        if plural and not self._allows(user, "create", group, plural, namespace, ""):
            return _forbidden(user, "create", group, plural, namespace, "")
        spec = body["spec"]
        asked = dict(spec["resourceAttributes"])
        asked["api_group"] = asked.pop("group", "")
        who = user
        if plural:
            who = User(spec.get("user", ""), tuple(spec.get("groups", ())))
        allowed, reason = self._decide(who, asked)
        found: dict[str, Any] = {"allowed": allowed}
        if allowed and reason:
            found["reason"] = f"RBAC: {reason}"
        return Answer(201, {**body, "metadata": {"managedFields": []}, "status": found})


_MAGIC = b"k8s\0"
_ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")


def _decoded(body: bytes) -> dict[str, Any]:
    """Return a review as JSON has it; kubectl sends its own in protobuf.

    apimachinery pkg/runtime/generated.proto, Unknown; api authorization/v1/generated.proto.
    """
    if not body.startswith(_MAGIC):
        found: dict[str, Any] = json.loads(body)
        return found
    unknown = _fields(body.removeprefix(_MAGIC))
    version, kind = (_fields(unknown[1])[number].decode() for number in (1, 2))
    attributes = _fields(_fields(_fields(unknown[2])[2])[1])
    asked = {
        name: attributes[number].decode()
        for number, name in enumerate(_ATTRIBUTES, 1)
        if attributes.get(number)
    }
    return {"apiVersion": version, "kind": kind, "spec": {"resourceAttributes": asked}}


def _fields(message: bytes) -> dict[int, bytes]:
    """Return the fields of a message by number, all of which have a length."""
    found, place = {}, 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(message):
        tag = number() >> 3
        size = number()
        found[tag] = message[place : place + size]
        place += size
    return found


EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


def identity(item: dict[str, Any]) -> Identity:
    """Return kind, namespace and name."""
    return item["kind"], *_place(item)


def _place(item: dict[str, Any]) -> tuple[str, str]:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _stored(item: dict[str, Any]) -> str:
    """Return an object's key in the store; what follows it begins behind a NUL."""
    return "/".join(part for part in _place(item) if part)


def _token(version: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _group_version(group: str) -> str:
    version = VERSIONS.get(group, "v1")
    return f"{group}/{version}" if group else version


def _api_group(group: str) -> dict[str, Any]:
    version = {"groupVersion": _group_version(group), "version": VERSIONS.get(group, "v1")}
    return {"name": group, "versions": [version], "preferredVersion": version}


def _forbidden(
    user: User | None, verb: str, group: str, plural: str, namespace: str, name: str
) -> Answer:
    assert user is not None
    resource = f"{plural}.{group}" if group else plural
    named = f' "{name}"' if name else ""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{resource}{named} is forbidden: User "{user.name}" cannot {verb} resource "{plural}" in '
        f'API group "{group}" {where}'
    )
    details = {k: v for k, v in (("name", name), ("group", group), ("kind", plural)) if v}
    return status(403, "Forbidden", message, details=details)


def _no_impersonation(request: Request) -> Answer:
    assert request.real_user is not None
    group, _, plural = request.path.removeprefix("/apis/").partition("/")
    return status(
        403,
        "Forbidden",
        f"{plural.rpartition('/')[2]}.{group} is forbidden: "
        f'User "{request.real_user.name}" cannot impersonate',
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing; the server keeps its requests."""

    def do_GET(self) -> None:
        self._serve("GET", b"")

    def _write(self) -> None:
        self._serve(self.command, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_POST = do_PUT = do_PATCH = do_DELETE = _write  # noqa: N815

    def _serve(self, method: str, body: bytes) -> None:
        api: ApiServer = self.server.api  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        real = self._user(api)
        headers = list(self.headers.items())
        request = Request(method, parts.path, query, self._impersonated(real), real, headers)
        try:
            found = api.answer(request, body)
            if callable(found):
                found(self)
            else:
                self.reply(found)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def _user(self, api: ApiServer) -> User | None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if not token:
            return self._certified() or ANONYMOUS
        found = api.tokens.get(token)
        return found and found._replace(groups=(*found.groups, "system:authenticated"))

    def _impersonated(self, user: User | None) -> User | None:
        name = self.headers.get("Impersonate-User")
        if user is None or name is None:
            return user
        groups = self.headers.get_all("Impersonate-Group") or []
        return User(name, (*groups, "system:authenticated"))

    def _certified(self) -> User | None:
        found: Any = self.connection.getpeercert()
        if not found:
            return None
        fields = [pair for part in found["subject"] for pair in part]
        groups = [value for key, value in fields if key == "organizationName"]
        name = next(value for key, value in fields if key == "commonName")
        return User(name, (*groups, "system:authenticated"))

    def reply(self, answer: Answer, cut: int | None = None) -> None:
        """Send an answer; with `cut`, only its first bytes."""
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json", **answer.headers}
        if "gzip" in (self.headers.get("Accept-Encoding") or "") and len(data) > 128 * 1024:
            # As the API server does for large answers only.
            data = gzip.compress(data, 1)
            headers["Content-Encoding"] = "gzip"
        self.server.api.bytes_sent += len(data)  # type: ignore[attr-defined]
        self.send_response_only(answer.status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if cut is None else data[:cut])
        if cut is not None:
            self.close_connection = True
