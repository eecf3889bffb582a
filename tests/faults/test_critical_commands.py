"""A suggested command does what its text says and nothing else, whatever the objects' names."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from conftest import AGGREGATE_ADMIN, ROOT, account, binding, group, role, user, write_dump
from fault_inputs import (
    MIGRATE,
    MIGRATE_RULES,
    TODAY,
    Object,
    cluster,
    find,
    key,
    rbacguard,
    texts,
    verify,
)

UPGRADE_MIGRATE = "kubevirt.io:upgrademigrate"
VERBS = ("annotate", "delete", "describe", "edit", "get", "label", "patch")
CLUSTER_SCOPED = ("clusterrole", "clusterrolebinding", "group", "namespace", "node")

# A shell with programs that only note their arguments

NOTE = """#!/bin/sh
printf 'CALL\\0%s\\0' "${0##*/}" >>"$CALLS"
for each in "$@"; do printf '%s\\0' "$each" >>"$CALLS"; done
"""


def commands(report: str) -> list[str]:
    """Return the commands in a JSON report: from the name of the program to the end of the text."""
    found = (
        re.search(r"\b(oc|kubectl|rbacguard) [a-z].*", each, re.DOTALL)
        for each in texts(json.loads(report))
    )
    return sorted({match[0] for match in found if match})


def calls(folder: Path, suggested: Iterable[str]) -> list[list[str]]:
    """Return what a shell calls when these commands are pasted: programs with their arguments."""
    programs, noted = folder / "programs", folder / "calls"
    programs.mkdir()
    for name in ("oc", "kubectl", "rbacguard", "touch"):
        (programs / name).write_text(NOTE, "utf-8")
        (programs / name).chmod(0o755)
    noted.touch()
    environment = {"PATH": str(programs), "CALLS": str(noted)}
    for each in suggested:
        subprocess.run(
            ["/bin/sh", "-c", each], cwd=folder, env=environment, check=False, capture_output=True
        )
    words = noted.read_text("utf-8").split("CALL\0")
    return [each.split("\0")[:-1] for each in words[1:]]


def namespaces(call: list[str]) -> list[str]:
    """Return the namespaces that the options of a call name."""
    found = [after for option, after in pairwise(call) if option in ("-n", "--namespace")]
    return found + [each.split("=", 1)[1] for each in call if each.startswith("--namespace=")]


def audit(folder: Path, items: list[Object], *options: str) -> str:
    """Return an audit of these objects as JSON."""
    path = write_dump(folder / "cluster.json", items)
    return rbacguard(folder, "audit", "-f", path, "--today", TODAY, "-o", "json", *options).stdout


# The namespace


def broad(name: str, namespace: str) -> Object:
    """Return a binding of the permission to every user."""
    return binding(name, MIGRATE, group("system:authenticated"), namespace=namespace)


def waiting(name: str, namespace: str) -> Object:
    """Return a binding to the temporary role, which does not exist."""
    return binding(name, UPGRADE_MIGRATE, user("zoe"), namespace=namespace)


def dangling(name: str, namespace: str) -> Object:
    """Return a binding to another role that does not exist."""
    return binding(name, "missing", user("zoe"), namespace=namespace)


def namespaces_of_commands(
    folder: Path, made: Callable[[str, str], Object], name: str, namespace: str
) -> list[list[str]]:
    """Return for each command about a RoleBinding the namespaces that it names."""
    report = audit(folder, [*cluster("D"), made(name, namespace)])
    about = [each for each in calls(folder, commands(report)) if name in each]
    assert about
    return [namespaces(each) for each in about]


@pytest.mark.parametrize(("name", "namespace"), [("kvmigrate", "batch"), ("admin", "empty")])
@pytest.mark.parametrize("made", [broad, waiting])
def test_delete_commands_name_the_namespace(
    tmp_path: Path, made: Callable[[str, str], Object], name: str, namespace: str
) -> None:
    found = namespaces_of_commands(tmp_path, made, name, namespace)
    assert all(each == [namespace] for each in found), found


def test_get_commands_name_the_namespace(tmp_path: Path) -> None:
    found = namespaces_of_commands(tmp_path, dangling, "tenant-binding", "batch")
    assert all(each == ["batch"] for each in found), found


@pytest.mark.parametrize("made", [broad, waiting])
def test_commands_for_cluster_role_bindings_name_no_namespace(
    tmp_path: Path, made: Callable[[str, str], Object]
) -> None:
    found = namespaces_of_commands(tmp_path, made, "everybody", "")
    assert all(each == [] for each in found), found


def incomplete(call: list[str]) -> bool:
    """Whether a command is about a namespaced object and does not say where it is."""
    program, verb, *arguments = call
    if program == "rbacguard" or verb not in VERBS or {"-A", "--all-namespaces"} & set(arguments):
        return False
    kind = next((each for each in arguments if not each.startswith("-")), "")
    return kind.lower().removesuffix("s") not in CLUSTER_SCOPED and not namespaces(call)


def firing(policy: Path) -> list[Object] | None:
    """Return the objects of a case of a policy, added to the recorded cluster of that release."""
    first, text = policy.read_text("utf-8").split("\n", 1)
    state = {"before": "A", "after": "D", "after-4.21": "G"}.get(first.removeprefix("# cluster: "))
    if state is None:
        return None
    added = [each for each in yaml.safe_load_all(text) if each]
    items = [item for each in added for item in each.get("items", [each])]
    replaced = {key(each) for each in items if "metadata" in each}
    return [each for each in cluster(state) if key(each) not in replaced] + items


def test_every_command_of_every_policy_is_complete(tmp_path: Path) -> None:
    suggested: set[str] = set()
    for policy in sorted((ROOT / "tests/policies").glob("*/fires*.yaml")):
        items = firing(policy)
        if items is not None:
            suggested.update(commands(audit(tmp_path, items)))
    assert suggested
    assert [each for each in calls(tmp_path, sorted(suggested)) if incomplete(each)] == []


@pytest.mark.parametrize("state", "ABCDEFG")
def test_every_command_about_the_recorded_states_is_complete(tmp_path: Path, state: str) -> None:
    found = calls(tmp_path, commands(audit(tmp_path, cluster(state))))
    assert [each for each in found if incomplete(each)] == []


# What the command changes


@pytest.mark.parametrize(("state", "change"), [("A", "=true"), ("D", "-")])
def test_the_malformed_label_is_set_before_the_update_and_removed_after_it(
    tmp_path: Path, state: str, change: str
) -> None:
    label = "rbac.authorization.k8s.io/aggregate-to-edit"
    items = [*cluster(state), role("tenant-vm", *MIGRATE_RULES, labels={label: "True"})]
    found = calls(tmp_path, commands(audit(tmp_path, items)))
    assert [each for each in found if each[1] == "label"] == [
        ["oc", "label", "--overwrite", "clusterrole", "--", "tenant-vm", f"{label}{change}"]
    ]


@pytest.mark.parametrize(("state", "release"), [("A", "4.19"), ("E", "4.20"), ("G", "4.21")])
def test_the_release_in_a_command_comes_from_the_cluster(
    tmp_path: Path, state: str, release: str
) -> None:
    items = [each for each in cluster(state) if MIGRATE not in json.dumps(each.get("roleRef"))]
    path = write_dump(tmp_path / "cluster.json", items)
    report = rbacguard(tmp_path, "status", "-f", path, "-o", "json").stdout
    targets = {
        after
        for each in calls(tmp_path, commands(report))
        for option, after in pairwise(each)
        if option == "--to"
    }
    assert targets == {release}


def test_commands_delete_every_temporary_role(tmp_path: Path) -> None:
    names = ("kubevirt.io:upgrademigrate", "kubevirt.io:upgrademigrate-edit")
    roles = [role(each, *MIGRATE_RULES, labels={AGGREGATE_ADMIN: "true"}) for each in names]
    path = write_dump(tmp_path / "cluster.json", [*cluster("D"), *roles])
    shown = rbacguard(tmp_path, "audit", "-f", path, "--today", TODAY).stdout
    for name in names:
        assert f"$ oc delete clusterrole -- {name}\n" in shown


# Names that a shell would interpret

HOSTILE = {
    "command separator": "zzz; touch PWNED #",
    "substitution": "zzz$(touch PWNED)",
    "backquotes": "zzz`touch PWNED`",
    "and": "zzz && touch PWNED",
    "pipe": "zzz | touch PWNED",
    "redirection": "zzz > PWNED",
    "single quote": "zzz'; touch PWNED; '",
    "double quote": 'zzz"; touch PWNED; "',
    "spaces": "zzz kubevirt.io:migrate",
    "variable": "zzz$HOME",
    "pattern": "zzz*",
    "backslash": "zzz\\q",
}
OPTIONS = ["--all", "--selector=a", "-l=a", "--filename=a", "-zzz"]


def temporary(name: str, **labels: str) -> list[Object]:
    """Return state D with a role of this name that is aggregated into admin."""
    return [*cluster("D"), role(name, *MIGRATE_RULES, labels={AGGREGATE_ADMIN: "true", **labels})]


def role_for_argocd(name: str) -> list[Object]:
    """Return state A with a copy of the rules of admin, as OpenShift GitOps writes it."""
    items = cluster("A")
    rules = find(items, "ClusterRole", "admin")["rules"]
    copy = f"{name}-argocd-application-controller"
    bound = account("argo", "openshift-gitops")
    return [
        *items,
        role(copy, *rules, kind="Role", namespace="web"),
        binding("argo", copy, bound, namespace="web", role_kind="Role"),
    ]


PLACES: dict[str, Callable[[str], list[Object]]] = {
    "temporary role": temporary,
    "temporary role of the operator": lambda name: [
        *cluster("A"),
        *temporary(name, **{"app.kubernetes.io/managed-by": "virt-operator"})[-1:],
    ],
    "label without effect": lambda name: [
        *cluster("D"),
        role(name, *MIGRATE_RULES, labels={AGGREGATE_ADMIN: "True"}),
    ],
    "binding of every user": lambda name: [*cluster("D"), broad(name, "batch")],
    "cluster-wide binding of every user": lambda name: [*cluster("D"), broad(name, "")],
    "binding to the temporary role": lambda name: [*cluster("D"), waiting(name, "batch")],
    "binding to a missing role": lambda name: [*cluster("D"), dangling(name, "batch")],
    "role of Argo CD": role_for_argocd,
    "subject": lambda name: [
        *cluster("A"),
        binding("tenant", "admin", user(name), namespace="batch"),
    ],
}


def calls_about(folder: Path, report: str, name: str) -> list[list[str]]:
    """Return the calls about an object, after a check that the commands call nothing else."""
    (folder / "zzz-file").touch()
    about = [each for each in commands(report) if "zzz" in each]
    found = calls(folder, about)
    assert not (folder / "PWNED").exists()
    assert len(found) == len(about), found
    assert all(any(word.startswith(name) for word in each) for each in found), found
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", ["command separator", "substitution", "single quote"])
def test_audit_quotes_names_for_the_shell(tmp_path: Path, case: str, place: str) -> None:
    name = HOSTILE[case]
    assert calls_about(tmp_path, audit(tmp_path, PLACES[place](name)), name)


@pytest.mark.parametrize("place", PLACES)
def test_names_with_control_characters_give_no_command(tmp_path: Path, place: str) -> None:
    # A report shows escapes, so that a copied command would be about another object.
    report = audit(tmp_path, PLACES[place]("zzz\ntouch PWNED\n"))
    assert [each for each in commands(report) if "zzz" in each] == []
    sentence = re.compile(
        r"No command is suggested: the name 'zzz\\ntouch PWNED\\n\S*' contains control characters"
    )
    assert any(map(sentence.search, texts(json.loads(report))))


@pytest.mark.parametrize("case", HOSTILE)
def test_verify_quotes_names_for_the_shell(tmp_path: Path, case: str) -> None:
    done = verify(tmp_path, temporary(HOSTILE[case]))
    calls_about(tmp_path, done.stdout, HOSTILE[case])


def taken_as_option(call: list[str], name: str) -> bool:
    """Whether a program would read this name of an object as one of its options."""
    operands = call[call.index("--") :] if "--" in call else []
    return any(each.startswith(name) for each in call) and not any(
        each.startswith(name) for each in operands
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["--all", "-zzz"])
def test_audit_suggests_no_names_as_options(tmp_path: Path, name: str, place: str) -> None:
    found = calls(tmp_path, commands(audit(tmp_path, PLACES[place](name))))
    assert [each for each in found if taken_as_option(each, name)] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_verify_suggests_no_names_as_options(tmp_path: Path, name: str) -> None:
    found = calls(tmp_path, commands(verify(tmp_path, temporary(name)).stdout))
    assert [each for each in found if taken_as_option(each, name)] == []
