"""Asks the question of this project of what people would use instead, beside rbacguard.

Who can create virtualmachineinstancemigrations, in every namespace, and why? `python
benchmarks/peers.py` asks a stand-in API server that holds the bundled cluster; `--kubeconfig FILE`
asks a real one. Tools that are not on PATH are named as such. The table in benchmarks/peers.md is
written anew for the stand-in, and printed for a real cluster.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from cluster import BUNDLED, ROOT

sys.path.append(str(ROOT / "tests" / "cluster"))

PAGE = Path(__file__).with_suffix(".md")
TOOL = str(Path(sys.executable).parent / "rbacguard")
RESOURCE = "virtualmachineinstancemigrations.kubevirt.io"
KINDS = "clusterroles,clusterrolebindings,roles,rolebindings,namespaces"
Who = tuple[str, str, str]
"""Kind, namespace and name of a subject."""
Held = set[tuple[str, str, str, str]]
"""Kind, namespace and name of a subject, and the namespace in which it can."""


class Peer(NamedTuple):
    """What one tool took, and what it said; `held` where its answer can be compared."""

    name: str
    seconds: float | None
    processes: int
    held: Held | None
    why: str


def ran(command: Sequence[str]) -> tuple[str, float]:
    """Run a command and return what it printed, and its seconds; 'no' is an answer too."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 3) or "error:" in done.stderr.lower():
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout, time.perf_counter() - started


def subjects(bindings: Sequence[dict[str, Any]]) -> list[Who]:
    """Return every subject that stands in a binding: whoever loops has to know whom to ask for."""
    found: dict[Who, None] = {}
    for binding in bindings:
        for each in binding.get("subjects") or ():
            namespace = each.get("namespace") or binding["metadata"].get("namespace") or ""
            where = namespace if each["kind"] == "ServiceAccount" else ""
            found[each["kind"], where, each["name"]] = None
    return sorted(found)


def impersonated(kind: str, namespace: str, name: str) -> tuple[str, ...]:
    """Return the options of kubectl that ask for a subject."""
    if kind == "Group":
        return ("--as", "somebody-of-no-other-group", "--as-group", name)
    return ("--as", f"system:serviceaccount:{namespace}:{name}" if namespace else name)


def groups(kind: str, namespace: str) -> Iterator[str]:
    """Yield the groups that a subject is in without being in a list."""
    yield "system:authenticated"
    if kind == "ServiceAccount":
        yield from ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")


def loop(kubeconfig: str, everybody: Sequence[Who], places: Sequence[str]) -> Peer:
    """Ask kubectl for each subject in each namespace."""
    held, total = set(), 0.0
    for kind, namespace, name in everybody:
        for place in places:
            asked = ("kubectl", "--kubeconfig", kubeconfig, "auth", "can-i", "create", RESOURCE)
            answer, seconds = ran((*asked, "-n", place, *impersonated(kind, namespace, name)))
            total += seconds
            if answer.strip() == "yes":
                held.add((kind, namespace, name, place))
    count = len(everybody) * len(places)
    return Peer("a loop of `kubectl auth can-i --as`", total, count, held, "no: yes or no")


def ours(name: str, given: Sequence[str], everybody: Sequence[Who], places: Sequence[str]) -> Peer:
    """Ask rbacguard once."""
    command = (TOOL, "who-can", "create", RESOURCE, "-A", *given, "-o", "json")
    answer, seconds = ran(command)
    grants: Held = set()
    for each in json.loads(answer)["grants"]:
        who, scope = each["subject"], each["namespace"]
        for place in places if scope is None else (scope,):
            grants.add((who["kind"], who.get("namespace") or "", who["name"], place))
    held = expanded(grants, everybody, places)
    return Peer(name, seconds, 1, held, "binding, roles and rule of each")


def expanded(grants: Held, everybody: Sequence[Who], places: Sequence[str]) -> Held:
    """Return who holds something in which place, himself or by a group that he is always in."""
    return {
        (kind, namespace, who, place)
        for kind, namespace, who in everybody
        for place in places
        if (kind, namespace, who, place) in grants
        or any(("Group", "", group, place) in grants for group in groups(kind, namespace))
    }


def who_can(kubeconfig: str, everybody: Sequence[Who], places: Sequence[str]) -> Peer:
    """Ask Aqua's kubectl-who-can in each namespace."""
    given = ("--kubeconfig", kubeconfig, "create", RESOURCE)
    name = f"`{' '.join(('kubectl-who_can', *given)).replace(kubeconfig, 'FILE')} -n {places[0]}`"
    if shutil.which("kubectl-who_can") is None:
        return Peer(name, None, len(places), None, "not installed here")
    grants, total = set(), 0.0
    for place in places:
        answer, seconds = ran(("kubectl-who_can", *given, "-n", place, "-o", "json"))
        total += seconds
        for bindings in json.loads(answer or "{}").values():
            for each in (subject for binding in bindings or () for subject in binding["subjects"]):
                grants.add((each["kind"], each.get("namespace", ""), each["name"], place))
    held = expanded(grants, everybody, places)
    return Peer(name, total, len(places), held, "the binding of each")


def others(kubeconfig: str, places: Sequence[str]) -> Iterator[Peer]:
    """Ask what else is installed, each as its own documentation has it."""
    config = ("--kubeconfig", kubeconfig)
    commands: dict[str, list[tuple[str, ...]]] = {
        "oc": [("oc", *config, "adm", "policy", "who-can", "create", RESOURCE, "-n", p)
               for p in places],
        "rbac-tool": [("rbac-tool", "who-can", "create", RESOURCE)],
    }  # fmt: skip
    os.environ["KUBECONFIG"] = kubeconfig
    for name, asked in commands.items():
        found = shutil.which(name)
        seconds = sum(ran(each)[1] for each in asked) if found else None
        yield Peer(f"`{' '.join(asked[0]).replace(kubeconfig, 'FILE')}`", seconds, len(asked), None,
                   "not compared" if found else "not installed here")  # fmt: skip


def compared(kubeconfig: str, dump: str, folder: Path) -> list[str]:
    """Return the table for a cluster; without a dump one is made with kubectl first."""
    if not dump:
        dump = str(folder / "dump.json")
        text, _ = ran(("kubectl", "--kubeconfig", kubeconfig, "get", KINDS, "-A", "-o", "json"))
        Path(dump).write_text(text, "utf-8")
    items = [
        item
        for document in yaml.load_all(Path(dump).read_bytes(), yaml.CSafeLoader)
        for item in (document.get("items") or [document] if document else ())
    ]
    everybody = subjects([each for each in items if each["kind"].endswith("Binding")])
    places = sorted(each["metadata"]["name"] for each in items if each["kind"] == "Namespace")
    live = ours("rbacguard, live", ("--kubeconfig", kubeconfig), everybody, places)
    found = [
        live,
        ours("rbacguard, from a dump", ("-f", dump), everybody, places),
        loop(kubeconfig, everybody, places),
        who_can(kubeconfig, everybody, places),
        *others(kubeconfig, places),
    ]
    lines = [
        f"{len(everybody)} subjects in bindings, {len(places)} namespaces.",
        "",
        "| tool | times rbacguard's | processes | answers that differ | tells why |",
        "|---|---|---|---|---|",
    ]
    for each in found:
        times = "-" if each.seconds is None else f"{each.seconds / (live.seconds or 1):.1f}"
        differ = "-" if each.held is None else str(len(each.held ^ (live.held or set())))
        lines.append(f"| {each.name} | {times} | {each.processes} | {differ} | {each.why} |")
    return lines


def main() -> None:
    """Compare, and write the page or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", default="", help="a real cluster's; read only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.kubeconfig:
            print("\n".join(compared(given.kubeconfig, "", folder)))
            return
        from api_server import ApiServer

        with BUNDLED.open("rb") as file:
            items = yaml.load(file, yaml.CSafeLoader)["items"]
        with ApiServer(items) as server:
            table = compared(str(server.kubeconfig(folder / "config")), str(BUNDLED), folder)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = PAGE.read_text("utf-8")
    start, end = "<!-- table -->\n", "<!-- end of table -->\n"
    head, _, rest = text.partition(start)
    body = "\n".join([f"Measured on {today}. {table[0]}", *table[1:]])
    PAGE.write_text(f"{head}{start}\n{body}\n\n{end}{rest.partition(end)[2]}", "utf-8")
    print("\n".join(table))


if __name__ == "__main__":
    main()
