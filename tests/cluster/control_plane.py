"""A real control plane on loopback, from the programs in KUBEBUILDER_ASSETS (as envtest has it)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rbacguard.snapshot.resources import WORKLOADS

START_SECONDS = 120
STOP_SECONDS = 20


def assets() -> tuple[Path | None, str]:
    """Return the folder of the programs, or None and why the suite cannot run."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if not named:
        return None, "KUBEBUILDER_ASSETS is not set"
    folder = Path(named)
    missing = [n for n in ("etcd", "kube-apiserver", "kubectl") if not (folder / n).exists()]
    return (None, f"{folder} lacks {', '.join(missing)}") if missing else (folder, "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def custom_resource(group: str, version: str, kind: str, plural: str, scope: str) -> dict[str, Any]:
    """Return a minimal CustomResourceDefinition that takes any fields."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "scope": scope,
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                }
            ],
        },
    }


CUSTOM_RESOURCES = [
    custom_resource("kubevirt.io", "v1", "KubeVirt", "kubevirts", "Namespaced"),
    custom_resource(
        "hco.kubevirt.io", "v1beta1", "HyperConverged", "hyperconvergeds", "Namespaced"
    ),
    custom_resource("user.openshift.io", "v1", "Group", "groups", "Cluster"),
    custom_resource(
        "authorization.openshift.io",
        "v1",
        "RoleBindingRestriction",
        "rolebindingrestrictions",
        "Namespaced",
    ),
    *(
        custom_resource(
            *(each.group, each.versions[0], each.kind, each.plural),
            "Namespaced" if each.namespaced else "Cluster",
        )
        for each in WORKLOADS
        if each.group not in ("", "storage.k8s.io")
    ),
]

TOKENS = {
    "admin-token": ("admin", "admin-uid", "system:masters"),
    "other-admin-token": ("other-admin", "other-admin-uid", "system:masters"),
    "nobody-token": ("nobody", "nobody-uid", ""),
    "auditor-token": ("auditor", "auditor-uid", ""),
    "tenant-token": ("tenant", "tenant-uid", ""),
}
"""Tokens that the server knows, with user, UID and groups."""


class ControlPlane:
    """etcd, kube-apiserver and, where it is there, kube-controller-manager; stopped by `stop`."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.programs = folder
        self.work = work
        self.aggregates = (folder / "kube-controller-manager").exists()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.server = ""
        self.ca = work / "ca.crt"
        self.kubeconfig = work / "admin.kubeconfig"

    def start(self) -> None:
        """Start everything; a port that somebody else took meanwhile gets two more tries."""
        self._credentials()
        for attempt in range(3):
            try:
                self._start(attempt)
            except RuntimeError:
                self.stop()
                if attempt == 2:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop everything, the last started first."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def _credentials(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        serving = authority.issue_cert("127.0.0.1", "localhost")
        serving.cert_chain_pems[0].write_to_path(self.work / "server.crt")
        serving.private_key_pem.write_to_path(self.work / "server.key")
        # Go refuses an empty list of names.
        client = authority.issue_cert(
            "certified.test", common_name="certified", organization_name="system:masters"
        )
        client.cert_chain_pems[0].write_to_path(self.work / "client.crt")
        client.private_key_pem.write_to_path(self.work / "client.key")
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self.work / "sa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (self.work / "sa.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        lines = [
            f"{token},{user},{uid}" + (f',"{groups}"' if groups else "")
            for token, (user, uid, groups) in TOKENS.items()
        ]
        (self.work / "tokens.csv").write_text("\n".join(lines) + "\n", "utf-8")

    def _start(self, attempt: int) -> None:
        clients, peers, port = free_port(), free_port(), free_port()
        store = f"http://127.0.0.1:{clients}"
        self._run(
            "etcd",
            f"--data-dir={self.work / f'etcd-{attempt}'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peers}",
            f"--initial-cluster=default=http://127.0.0.1:{peers}",
        )
        self.server = f"https://127.0.0.1:{port}"
        self._run(
            "kube-apiserver",
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={self.work / 'server.crt'}",
            f"--tls-private-key-file={self.work / 'server.key'}",
            f"--client-ca-file={self.ca}",
            f"--token-auth-file={self.work / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.work / 'sa.pub'}",
            f"--service-account-signing-key-file={self.work / 'sa.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--cert-dir={self.work}",
        )
        write_kubeconfig(self.kubeconfig, self.server, self.ca, {"token": "admin-token"})
        self._await(lambda: self.kubectl("get", "--raw", "/readyz").returncode == 0)
        self._await(lambda: self.kubectl("get", "clusterrole", "view").returncode == 0)
        if self.aggregates:
            self._run(
                "kube-controller-manager",
                f"--kubeconfig={self.kubeconfig}",
                "--controllers=clusterrole-aggregation-controller",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={free_port()}",
                f"--cert-dir={self.work}",
            )

    def _run(self, program: str, *arguments: str) -> None:
        with (self.work / f"{program}.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [str(self.programs / program), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.work,
                )
            )

    def _await(self, ready: Any) -> None:
        until = time.monotonic() + START_SECONDS
        while not ready():
            dead = [p for p in self.processes if p.poll() is not None]
            if dead or time.monotonic() > until:
                program = Path(str((dead or self.processes)[-1].args[0])).name  # type: ignore[index]
                log = (self.work / f"{program}.log").read_text("utf-8", "replace")
                raise RuntimeError(f"{program} did not start:\n{log[-3000:]}")
            time.sleep(0.3)

    def kubectl(
        self, *arguments: str, stdin: str | None = None, token: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the real kubectl as the administrator, or with another token."""
        who = ["--token", token] if token else []
        return subprocess.run(
            [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", *who, *arguments],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
            env={"PATH": os.environ["PATH"], "HOME": str(self.work)},
        )

    def apply(self, items: Iterable[dict[str, Any]], *arguments: str) -> None:
        """Make objects so, whoever owned their fields before."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
        how = ("apply", "--server-side", "--force-conflicts", *arguments, "-f", "-")
        done = self.kubectl(*how, stdin=text)
        assert done.returncode == 0, done.stderr

    def await_aggregation(self, names: Iterable[str] = ("admin", "edit", "view")) -> None:
        """Wait until aggregated roles hold what their selectors ask for, twice in a row."""
        before = ""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            now = self.kubectl("get", "clusterroles", *names, "-o", "json").stdout
            rules = json.dumps([item.get("rules") for item in json.loads(now)["items"]])
            if rules == before:
                return
            before = rules
            time.sleep(1)


def write_kubeconfig(path: Path, server: str, ca: Path, user: dict[str, Any]) -> Path:
    """Write a kubeconfig with one context, `test`."""
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority": str(ca)}}
        ],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": user}],
    }
    path.write_text(json.dumps(value), "utf-8")
    return path


def cleaned(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object of a dump as somebody would apply it."""
    metadata = {
        key: value
        for key, value in item["metadata"].items()
        if key in ("name", "namespace", "labels", "annotations")
    }
    return {**item, "metadata": metadata}
