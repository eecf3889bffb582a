"""Writes a large cluster like a real one: `python benchmarks/cluster.py --out cluster.json`.

It starts from the bundled dump of the cluster before the update, and adds what a large OpenShift
cluster has: in every namespace the three bindings of its controllers and seven of people and
pipelines; ClusterRoles of operators (four for each CustomResourceDefinition, aggregated as OLM
labels them), roles of the house, some made by aggregation; groups. Half of the objects carry
managedFields. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "examples" / "clusters" / "A-before-4.18.yaml"
RBAC = "rbac.authorization.k8s.io"
PER_NAMESPACE = 10
"""RoleBindings in each namespace; three of them are the controllers' own."""

Object = dict[str, Any]


class Cluster:
    """One cluster; every choice comes from the seed."""

    def __init__(self, namespaces: int, cluster_roles: int, seed: int) -> None:
        """Take the bundled cluster as the platform."""
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._platform: list[Object] = yaml.load(BUNDLED.read_bytes(), yaml.CSafeLoader)["items"]
        self._namespaces = [f"team-{n // 8:05}-{n % 8}" for n in range(namespaces)]
        self._users = [f"user{n:05}@example.com" for n in range(max(namespaces * 2, 10))]
        self._groups = [f"team-{n:05}" for n in range(max(namespaces // 4, 4))]
        self._house_roles = [f"house-{n:04}" for n in range(max(cluster_roles // 20, 2))]
        own = sum(each["kind"] == "ClusterRole" for each in self._platform)
        self._definitions = max(cluster_roles - own - len(self._house_roles), 0) // 4

    def objects(self) -> Iterator[Object]:
        """Yield every object, in the order in which kubectl lists kinds."""
        by_kind: dict[str, list[Object]] = {}
        for each in self._platform:
            by_kind.setdefault(each["kind"], []).append(each)
        for kind, made in (
            ("ClusterRole", self._cluster_roles()),
            ("ClusterRoleBinding", iter(())),
            ("Role", self._roles()),
            ("RoleBinding", self._role_bindings()),
            ("Namespace", (self._object("Namespace", "v1", name) for name in self._namespaces)),
            ("Group", self._group_objects()),
        ):
            yield from by_kind.pop(kind, ())
            yield from made
        for rest in by_kind.values():
            yield from rest

    def _object(self, kind: str, version: str, name: str, namespace: str = "") -> Object:
        number = self._random.getrandbits(48)
        metadata: Object = {
            "creationTimestamp": f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}T08:00:00Z",
            "labels": {"app.kubernetes.io/part-of": f"part-{number % 40}"},
            "name": name,
            "resourceVersion": str(number % 90_000_000),
            "uid": f"{number:012x}-0000-4000-8000-{number:012x}",
        }
        if namespace:
            metadata["namespace"] = namespace
        if number % 2:
            metadata["managedFields"] = [_managed_fields(kind, version, number)]
        return {"apiVersion": version, "kind": kind, "metadata": metadata}

    def _rbac(self, kind: str, name: str, namespace: str = "") -> Object:
        return self._object(kind, f"{RBAC}/v1", name, namespace)

    def _cluster_roles(self) -> Iterator[Object]:
        verbs = {
            "admin": ["*"],
            "edit": ["create", "update", "patch", "delete"],
            "view": ["get", "list", "watch"],
            "crdview": ["get"],
        }
        for number in range(self._definitions):
            group = f"operator{number // 6}.example.com"
            for tier, allowed in verbs.items():
                role = self._rbac("ClusterRole", f"thing{number}s.{group}-v1-{tier}")
                if tier != "crdview":
                    role["metadata"]["labels"][f"{RBAC}/aggregate-to-{tier}"] = "true"
                things = [f"thing{number}s"]
                role["rules"] = [{"apiGroups": [group], "resources": things, "verbs": allowed}]
                yield role
        for number, name in enumerate(self._house_roles):
            role = self._rbac("ClusterRole", name)
            role["rules"] = [
                {
                    "apiGroups": ["", "apps"],
                    "resources": ["pods", "deployments", f"house{number}"],
                    "verbs": ["get", "list", "watch", "create"],
                }
            ]
            if number % 20 == 1:
                role["rules"].append(
                    {
                        "apiGroups": ["kubevirt.io"],
                        "resources": ["virtualmachineinstancemigrations"],
                        "verbs": ["create", "delete"],
                    }
                )
            if number % 20 == 2:
                selector = {"matchLabels": {f"{RBAC}/aggregate-to-edit": "true"}}
                role["aggregationRule"] = {"clusterRoleSelectors": [selector]}
                role["rules"] = next(
                    each["rules"]
                    for each in self._platform
                    if (each["kind"], each["metadata"]["name"]) == ("ClusterRole", "edit")
                )
            yield role

    def _roles(self) -> Iterator[Object]:
        for namespace in self._namespaces[::5]:
            role = self._rbac("Role", "app", namespace)
            role["rules"] = [
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
            ]
            yield role

    def _role_bindings(self) -> Iterator[Object]:
        for number, namespace in enumerate(self._namespaces):
            yield from (
                self._binding(namespace, name, ("ClusterRole", name), subjects)
                for name, subjects in (
                    ("system:deployers", [_account(namespace, "deployer")]),
                    ("system:image-builders", [_account(namespace, "builder")]),
                    ("system:image-pullers", [_group(f"system:serviceaccounts:{namespace}")]),
                )
            )
            team = self._groups[number // 8 % len(self._groups)]
            has_role = number % 5 == 0
            for index in range(PER_NAMESPACE - 3):
                ref, subjects = self._of_people(namespace, team, index, has_role=has_role)
                yield self._binding(namespace, f"{ref[1]}-{index}", ref, subjects)

    def _of_people(
        self, namespace: str, team: str, index: int, *, has_role: bool
    ) -> tuple[tuple[str, str], list[Object]]:
        """Return role and subjects: administrators, editors, readers, then whatever a team has."""
        user = [_user(self._random.choice(self._users))]
        fixed = (
            (("ClusterRole", "admin"), [_group(f"{team}-admins"), *user]),
            (("ClusterRole", "edit"), [_group(f"{team}-devs")]),
            (("ClusterRole", "view"), [_group("everybody"), *user]),
        )
        if index < len(fixed):
            return fixed[index]
        role = ("Role", "app") if has_role else ("ClusterRole", "view")
        shares = (
            (0.15, ("ClusterRole", "edit"), [_account(namespace, "pipeline")]),
            (0.25, ("ClusterRole", "kubevirt.io:admin"), user),
            (0.35, role, [_account(namespace, "app")]),
            (0.5, ("ClusterRole", "view"), user),
            (1.0, ("ClusterRole", self._random.choice(self._house_roles)), user),
        )
        chance = self._random.random()
        return next((ref, subjects) for share, ref, subjects in shares if chance < share)

    def _binding(
        self, namespace: str, name: str, ref: tuple[str, str], subjects: list[Object]
    ) -> Object:
        binding = self._rbac("RoleBinding", name, namespace)
        binding["roleRef"] = {"apiGroup": RBAC, "kind": ref[0], "name": ref[1]}
        binding["subjects"] = subjects
        if self._random.random() < 0.4:
            applied = {**binding, "metadata": {"name": name, "namespace": namespace}}
            binding["metadata"]["annotations"] = {
                "kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)
            }
        return binding

    def _group_objects(self) -> Iterator[Object]:
        for name in self._groups:
            group = self._object("Group", "user.openshift.io/v1", f"{name}-admins")
            group["users"] = self._random.sample(self._users, 3)
            yield group


def _user(name: str) -> Object:
    return {"apiGroup": RBAC, "kind": "User", "name": name}


def _group(name: str) -> Object:
    return {"apiGroup": RBAC, "kind": "Group", "name": name}


def _account(namespace: str, name: str) -> Object:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _managed_fields(kind: str, version: str, number: int) -> Object:
    fields: Object = {
        "f:metadata": {
            "f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}},
            "f:labels": {".": {}, "f:app.kubernetes.io/part-of": {}},
        }
    }
    if kind.endswith("Binding"):
        fields |= {"f:roleRef": {}, "f:subjects": {}}
    if kind.endswith("Role"):
        fields["f:rules"] = {}
    return {
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        "manager": "kubectl-client-side-apply" if number % 4 == 1 else "oc",
        "operation": "Update",
        "time": "2025-06-01T08:00:00Z",
    }


def write(path: Path, *, namespaces: int, cluster_roles: int, seed: int = 1) -> None:
    """Write a cluster as kubectl writes lists, JSON for `.json` and YAML for `.yaml`."""
    cluster = Cluster(namespaces, cluster_roles, seed)
    as_yaml = path.suffix == ".yaml"
    with path.open("w", encoding="utf-8") as file:
        file.write("apiVersion: v1\nitems:\n" if as_yaml else '{\n    "apiVersion": "v1",\n')
        if not as_yaml:
            file.write('    "items": [\n')
        for number, each in enumerate(cluster.objects()):
            if as_yaml:
                file.write(yaml.dump([each], Dumper=yaml.CSafeDumper, default_flow_style=False))
            else:
                text = json.dumps(each, indent=4).replace("\n", "\n        ")
                file.write(
                    f"{',' if number else ''}\n        {text}" if number else f"        {text}"
                )
        end = "kind: List\nmetadata:\n  resourceVersion: ''\n"
        file.write(end if as_yaml else '\n    ],\n    "kind": "List",\n    "metadata": {}\n}\n')


def main() -> None:
    """Write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespaces", type=int, default=10_000)
    parser.add_argument("--cluster-roles", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    write(
        given.out,
        namespaces=given.namespaces,
        cluster_roles=given.cluster_roles,
        seed=given.seed,
    )


if __name__ == "__main__":
    main()
