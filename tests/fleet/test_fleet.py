"""Many clusters at once say what each of them says alone, and none is dropped or counted twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import distributed
import jsonschema
import msgspec
import pytest
import yaml
from api_server import ADMIN, Answer, ApiServer, Request
from conftest import ROOT, STATES, Run, environment, objects, write_dump

from rbacguard.errors import InputError
from rbacguard.fleet import run as engine
from rbacguard.fleet.clusters import Cluster, distinct, file_name, saved
from rbacguard.fleet.look import Task, look
from rbacguard.fleet.results import Results
from rbacguard.fleet.summary import summarize

CLUSTERS = str(ROOT / "examples" / "clusters")
NAMES = {letter: path.stem for letter, path in STATES.items()}
TODAY = ["--today", "2026-11-23"]


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def once(found: dict[str, Any], names: Sequence[str]) -> None:
    """Every cluster stands once among the steps, and is counted once."""
    assert sorted(c for step in found["steps"] for c in step["clusters"]) == sorted(names)
    assert found["clusters"] == sum(found["results"].values()) == len(names)


def told(found: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return subjects and places, of a plan or of a cluster in a fleet."""
    return {
        (json.dumps(each["subject"]), str(place)) for each in found for place in each["namespaces"]
    }


def test_a_plan_of_many_is_the_plan_of_each(run: Run) -> None:
    done = run("fleet", "plan", CLUSTERS, "--to", "4.20", "-o", "json")
    found = report(done)
    codes: Counter[int] = Counter()
    for letter, path in STATES.items():
        single = run("plan", "-f", str(path), "--to", "4.20", "-o", "json")
        codes[single.returncode] += 1
        nothing = json.loads(single.stdout)["strategies"][0]
        mine = [each for each in found["lost"] if NAMES[letter] in each["clusters"]]
        assert told(mine) == told(nothing["missed"])
    once(found, list(NAMES.values()))
    assert found["results"] == {"clean": codes[0], "findings": codes[1], "unknown": 0, "failed": 0}
    assert done.returncode == 1


def test_an_audit_of_many_has_every_finding_of_each_and_tells_it_once(run: Run) -> None:
    found = report(run("fleet", "audit", CLUSTERS, *TODAY, "-o", "json"))
    for letter, path in STATES.items():
        single = json.loads(run("audit", "-f", str(path), *TODAY, "-o", "json").stdout)
        alone = {(f["policy"], f["severity"], f["message"]) for f in single["findings"]}
        mine = [f for f in found["findings"] if NAMES[letter] in f["clusters"]]
        assert {(f["rule"], f["severity"], f["message"]) for f in mine} == alone
        (step,) = (s["step"] for s in found["steps"] if NAMES[letter] in s["clusters"])
        assert step == single["status"]["step"]
    keys = [(f["rule"], f["severity"], f["message"]) for f in found["findings"]]
    assert len(keys) == len(set(keys))


def test_each_cluster_is_verified_by_files_of_its_own(run: Run, tmp_path: Path) -> None:
    for name in (NAMES["C"], NAMES["D"]):
        shutil.copy(ROOT / "examples" / "approvals.yaml", tmp_path / f"{name}.yaml")
    done = run(
        *("fleet", "verify", str(STATES["C"]), str(STATES["D"]), "-o", "json"),
        *("--approvals", str(tmp_path / "{cluster}.yaml"), "--before", str(STATES["A"])),
    )
    found = report(done)
    once(found, [NAMES["C"], NAMES["D"]])
    assert found["results"] == {"clean": 1, "findings": 1, "unknown": 0, "failed": 0}
    assert {c for f in found["findings"] for c in f["clusters"]} == {NAMES["C"]}
    assert done.returncode == 1


def test_what_is_not_known_without_a_gap_of_its_own_is_not_clean(run: Run, tmp_path: Path) -> None:
    """RBAC was read whole, but an approval selects among namespaces that were not."""
    dump = write_dump(tmp_path / "d.json", [o for o in objects("D") if o["kind"] != "Namespace"])
    approvals = yaml.safe_load((ROOT / "examples" / "approvals.yaml").read_text("utf-8"))
    subject = {"kind": "User", "name": "zoe"}
    selected = {"namespaceSelector": {"matchLabels": {"team": "web"}}, "approved": True}
    approvals["approvals"].append({"subject": subject, **selected})
    (tmp_path / "approvals.yaml").write_text(yaml.safe_dump(approvals), "utf-8")
    given = ["--approvals", str(tmp_path / "approvals.yaml"), "--before", str(STATES["A"])]
    single = run("verify", "-f", dump, *given, "-o", "json")
    assert json.loads(single.stdout)["coverage"]["gaps"] == []
    done = run("fleet", "verify", dump, *given, "-o", "json")
    found = report(done)
    assert found["results"] == {"clean": 0, "findings": 0, "unknown": 1, "failed": 0}
    assert [each["cluster"] for each in found["unknown"]] == ["d"]
    assert "Namespace: not in the input" in found["unknown"][0]["reasons"][0]
    assert done.returncode == single.returncode == 3


def test_what_is_ignored_or_exempt_counts_in_no_cluster(run: Run, tmp_path: Path) -> None:
    def rules(*more: str) -> set[str]:
        done = run("fleet", "audit", CLUSTERS, *TODAY, "-o", "json", *more)
        return {each["rule"] for each in report(done)["findings"]}

    everything = rules()
    assert {"editor-loses-migration", "temporary-role-left"} <= everything
    configuration = tmp_path / "rbacguard.toml"
    configuration.write_text(
        '[[exemptions]]\nrule = "temporary-role-left"\nowner = "o"\nreason = "r"\n'
        "expires = 2027-01-01\n"
    )
    ignored = ("--ignore", "editor-loses-migration", "--config", str(configuration))
    assert rules(*ignored) == everything - {"editor-loses-migration", "temporary-role-left"}
    configuration.write_text(configuration.read_text().replace("2027", "2026"))
    assert "temporary-role-left" in rules("--config", str(configuration))
    wrong = run("fleet", "audit", CLUSTERS, "--select", "no-such-policy")
    assert wrong.returncode == 2
    assert "no-such-policy" in wrong.stderr


def test_policies_of_ones_own_go_along_and_a_change_of_one_is_a_new_question(
    run: Run, tmp_path: Path
) -> None:
    text = (
        (ROOT / "policies" / "well-known-subject.yaml")
        .read_text()
        .replace("well-known-subject", "of-our-own")
    )
    policy = tmp_path / "policies" / "deeper" / "of-our-own.yaml"
    policy.parent.mkdir(parents=True)
    policy.write_text(text)
    command = [
        *("fleet", "audit", CLUSTERS, *TODAY, "--policies", str(tmp_path / "policies")),
        *("--results", str(tmp_path / "r.jsonl"), "-o", "json"),
    ]
    found = report(run(*command))
    assert "of-our-own" in {each["rule"] for each in found["findings"]}
    assert report(run(*command))["asBefore"] == len(STATES)
    policy.write_text(text.replace("severity: info", "severity: low"))
    changed = report(run(*command))
    assert changed["asBefore"] == 0
    severities = {e["severity"] for e in changed["findings"] if e["rule"] == "of-our-own"}
    assert severities == {"low"}


def test_a_cluster_that_cannot_be_read_is_shown_with_the_reason(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    shutil.copy(STATES["D"], folder / "good.yaml")
    (folder / "broken.json").write_text('{"kind": "List", ')
    (folder / "empty.yaml").write_text("")
    partial = [each for each in objects("D") if each["kind"] != "RoleBinding"]
    write_dump(folder / "partial.json", partial)
    done = run("fleet", "plan", str(folder), "--to", "4.20", "-o", "json")
    found = report(done)
    once(found, ["broken", "empty", "good", "partial"])
    assert found["results"] == {"clean": 1, "findings": 0, "unknown": 1, "failed": 2}
    reasons = {each["cluster"]: each["reasons"] for each in found["failed"]}
    assert "truncated" in reasons["broken"][0]
    assert "empty file" in reasons["empty"][0]
    assert [each["cluster"] for each in found["unknown"]] == ["partial"]
    assert done.returncode == 3
    table = run("fleet", "plan", str(folder), "--to", "4.20").stdout
    assert "broken" in table.partition("NOT READ\n")[2]
    assert "Results:   1 losing nothing, 1 unknown, 2 failed\n" in table
    audit = run("fleet", "audit", str(folder / "good.yaml"), str(folder / "broken.json"), *TODAY)
    single = run("audit", "-f", str(folder / "good.yaml"), *TODAY)
    assert audit.returncode == (1 if single.returncode == 1 else 3)


def test_what_is_as_before_is_not_read_again_and_what_changed_is(run: Run, tmp_path: Path) -> None:
    folder, file = tmp_path / "fleet", tmp_path / "results.jsonl"
    shutil.copytree(CLUSTERS, folder)
    (folder / "0-broken.json").write_text("{")
    command = ["fleet", "audit", str(folder), *TODAY, "--results", str(file), "-o", "json"]
    first = report(run(*command))
    assert first["asBefore"] == 0
    lines = file.read_text().splitlines()
    names = [json.loads(line)["cluster"] for line in lines]
    assert names == sorted([*NAMES.values(), "0-broken"])
    schema = json.loads(run("schema", "fleet-cluster").stdout)
    for line in lines:
        jsonschema.validate(json.loads(line), schema)

    again = report(run(*command))
    assert again == first | {"asBefore": len(STATES)}
    assert file.read_text().splitlines() == lines

    shutil.copy(STATES["E"], folder / STATES["A"].name)
    changed = report(run(*command))
    assert changed["asBefore"] == len(STATES) - 1
    assert (
        NAMES["A"]
        in next(s for s in changed["steps"] if s["step"] == "updated-not-bound")["clusters"]
    )
    other = report(run(*command, "--fail-on", "high"))
    assert other["asBefore"] == 0

    # A run that was cut off in the middle of a line.
    file.write_bytes(file.read_bytes()[:-20])
    (folder / STATES["B"].name).unlink()
    left = report(run(*command, "--fail-on", "high"))
    once(left, [n for n in [*NAMES.values(), "0-broken"] if n != NAMES["B"]])
    assert left["asBefore"] == len(STATES) - 2
    assert NAMES["B"] not in file.read_text()


@pytest.mark.parametrize("text", ["do not lose this\n", "do not lose this", '{"schema": 1}'])
def test_a_file_that_holds_something_else_is_left_alone(
    run: Run, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(text)
    done = run("fleet", "plan", CLUSTERS, "--to", "4.20", "--results", str(file))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "line 1: expected results of 'rbacguard fleet'" in done.stderr
    assert file.read_text() == text


def test_two_runs_do_not_write_one_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    with Results(str(file)):
        done = run("fleet", "plan", CLUSTERS, "--to", "4.20", "--results", str(file))
    assert (done.returncode, "another run is writing it" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which clusters"),
        (["nowhere"], "no such file or folder"),
        (["docs/images"], "no cluster in this folder"),
        (["nosuch://bucket/x"], "nosuch"),
        (["file:///nowhere/at/all"], "nothing there"),
        (["--hub"], "go together"),
        (["examples/clusters", "--contexts", "x"], "no context 'x'; there are: none"),
        (["examples/clusters", "--scheduler", "tcp://127.0.0.1:1"], "cannot be reached"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, arguments: list[str], said: str) -> None:
    done = run("fleet", "plan", "--to", "4.20", *arguments)
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_clusters_have_names_of_their_own(tmp_path: Path) -> None:
    for name in ("one.json", "two.yaml", "two.json.zst", "three.tar.gz", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "gather").mkdir()
    found = {cluster.name for cluster in saved([str(tmp_path)])}
    twins = {str(tmp_path / "two.yaml"), str(tmp_path / "two.json.zst")}
    assert found == {"one", "three", "gather", *twins}
    assert {c.name for c in saved([str(tmp_path / "o*.json")])} == {"one"}
    assert {c.name for c in saved([f"file://{tmp_path}/o*.json"])} == {"one"}
    with pytest.raises(InputError, match="both called 'a'"):
        distinct([Cluster("a", path="x"), Cluster("a", context="a")])


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "default/api-x:6443/kube:admin"])
def test_a_clusters_name_leads_to_no_other_folder(name: str) -> None:
    assert Path("approvals", file_name(name)).resolve().parent == Path("approvals").resolve()


def test_other_locations_are_read_by_their_url(run: Run) -> None:
    found = report(run("fleet", "plan", f"file://{CLUSTERS}", "--to", "4.20", "-o", "json"))
    local = report(run("fleet", "plan", CLUSTERS, "--to", "4.20", "-o", "json"))
    assert found == local


def test_folders_are_clusters_wherever_they_lie(run: Run, tmp_path: Path) -> None:
    for name in ("gathered", ".hidden"):
        (tmp_path / "fleet" / name).mkdir(parents=True)
        shutil.copy(STATES["A"], tmp_path / "fleet" / name / "all.yaml")
    shutil.copy(STATES["D"], tmp_path / "fleet" / "single.yaml")
    for place in (str(tmp_path / "fleet"), f"file://{tmp_path / 'fleet'}"):
        found = report(run("fleet", "plan", place, "--to", "4.20", "-o", "json"))
        once(found, ["gathered", "single"])
        assert found["results"] == {"clean": 1, "findings": 1, "unknown": 0, "failed": 0}


HUB = "/apis/cluster.open-cluster-management.io/v1/managedclusters"


def test_contexts_and_the_clusters_of_a_hub_are_read_live(run: Run, tmp_path: Path) -> None:
    def managed(request: Request, _count: int) -> Answer | None:
        if request.path != HUB:
            return None
        # Two pages: one cluster each, and one that nobody can reach.
        names = {"": ["spoke-a"], "2": ["spoke-d", "spoke-x"]}[request.query.get("continue", "")]
        token = "" if request.query.get("continue") else "2"
        items = [{"metadata": {"name": name}} for name in names]
        return Answer(200, {"metadata": {"continue": token}, "items": items})

    with (
        ApiServer(objects("A")) as a,
        ApiServer(objects("D")) as d,
        ApiServer([], fault=managed) as hub,
    ):
        a.kubeconfig(tmp_path / "kube-spoke-a", token=ADMIN)
        d.kubeconfig(tmp_path / "kube-spoke-d", token=ADMIN)
        hub.kubeconfig(tmp_path / "hub", token=ADMIN)
        command = ["fleet", "plan", "--to", "4.20", "-o", "json"]
        logged_in = environment(tmp_path, KUBECONFIG=str(tmp_path / "hub"))
        template = str(tmp_path / "kube-{cluster}")
        done = run(*command, "--hub", "--kubeconfig-template", template, env=logged_in)
        found = report(done)
        assert {request.method for server in (a, d, hub) for request in server.requests} == {"GET"}
        assert len([r for r in hub.requests if r.path == HUB]) == 2

        logged_in["KUBECONFIG"] = str(tmp_path / "kube-spoke-a")
        by_context = report(run(*command, "--all-contexts", env=logged_in))
        unknown = run(*command, "--contexts", "nobody", env=logged_in)
    once(found, ["spoke-a", "spoke-d", "spoke-x"])
    assert [each["cluster"] for each in found["failed"]] == ["spoke-x"]
    assert "kube-spoke-x" in found["failed"][0]["reasons"][0]
    assert done.returncode == 3
    (context,) = {c for step in by_context["steps"] for c in step["clusters"]}
    assert {c for each in found["lost"] for c in each["clusters"]} == {"spoke-a"}
    assert told(by_context["lost"]) == told(found["lost"])
    assert (unknown.returncode, unknown.stderr) == (
        2,
        f"rbacguard: error: --contexts: no context 'nobody'; there are: {context}\n",
    )


def deadly(cluster: Cluster, task: Task, known: str = "") -> bytes:
    """Look at a cluster, or take the process along."""
    if cluster.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return look(cluster, task, known)


def test_a_cluster_that_kills_its_process_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "look", deadly)
    clusters = [*saved([CLUSTERS]), Cluster("deadly", path=str(STATES["A"]))]
    with Results() as results:
        task = Task("plan", target="4.20")
        found = summarize("plan", engine.run(clusters, task, engine.processes(2), results))
    once(msgspec.to_builtins(found), [each.name for each in clusters])
    assert [each.cluster for each in found.failed] == ["deadly"]
    assert "was killed" in found.failed[0].reasons[0]


def many(folder: Path, count: int) -> list[str]:
    """Save one cluster under many names."""
    folder.mkdir()
    for number in range(count):
        shutil.copy(STATES["ABCDEF"[number % 6]], folder / f"cluster-{number:03}.yaml")
    return [f"cluster-{number:03}" for number in range(count)]


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def start_fleet(folder: Path, file: Path, home: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "rbacguard", "fleet", "audit", str(folder), *TODAY),
            *("--results", str(file), "-o", "json", *more),
        ],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_ends_it_and_the_next_run_goes_on(run: Run, tmp_path: Path) -> None:
    folder, file = tmp_path / "fleet", tmp_path / "results.jsonl"
    names = many(folder, 60)
    process = start_fleet(folder, file, tmp_path)
    deadline = time.monotonic() + 60
    while lines(file) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.strip()) == (130, "rbacguard: interrupted")
    done = lines(file)
    assert 3 <= done < len(names)
    found = report(run("fleet", "audit", str(folder), *TODAY, "--results", str(file), "-o", "json"))
    assert found["asBefore"] == done
    once(found, names)


class Dask:
    """A scheduler and two workers, as processes on loopback."""

    def __init__(self, folder: Path) -> None:
        place = folder / "scheduler.json"
        self._folder = folder
        self.processes = [
            self._start(
                *("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
                *("--scheduler-file", str(place)),
            )
        ]
        deadline = time.monotonic() + 60
        while not place.exists() or not place.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address: str = json.loads(place.read_text())["address"]
        for number in range(2):
            self.processes.append(
                self._start(
                    *("dask_worker", self.address, "--no-nanny", "--nthreads", "1"),
                    *("--no-dashboard", "--local-directory", str(folder / f"worker-{number}")),
                )
            )
        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
            env=environment(self._folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    folder = tmp_path / "dask"
    folder.mkdir()
    started = Dask(folder)
    yield started
    started.stop()


def test_a_worker_killed_half_way_loses_no_cluster_and_counts_none_twice(
    dask: Dask, run: Run, tmp_path: Path
) -> None:
    folder, file = tmp_path / "fleet", tmp_path / "results.jsonl"
    names = many(folder, 60)
    process = start_fleet(folder, file, tmp_path, "--scheduler", dask.address)
    deadline = time.monotonic() + 120
    while lines(file) < 10:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    dask.processes[1].kill()
    output, error = process.communicate(timeout=120)
    assert lines(file) == len(names)
    found = json.loads(output)
    once(found, names)
    assert (found["failed"], process.returncode) == ([], 1), error
    local = report(run("fleet", "audit", str(folder), *TODAY, "-o", "json"))
    assert found == local
