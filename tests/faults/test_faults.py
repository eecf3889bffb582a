"""Whatever fails while something is written, what was there before is not lost."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, STATES, Run, environment, objects, write_dump
from kills import JOBS, Job, content, kills
from strategies import SCALE

from rbacguard import writing
from rbacguard.errors import OutputError

KILLS = max(int(8 * SCALE), 1)
GENERATE = [
    *("generate", "-f", str(STATES["A"]), "--to", "4.19", "--today", "2026-11-23"),
    *("--approvals", str(ROOT / "examples/approvals.yaml"), "--out"),
]
Prepare = Callable[[], None]


@pytest.mark.parametrize("job", JOBS)
def test_killed_at_any_moment_it_leaves_the_old_or_the_new(job: type[Job]) -> None:
    assert kills(job, KILLS, seed=1).total() == KILLS


STEPWISE = """
import os, signal, sys
from pathlib import Path
from rbacguard.writing import MARK, write_bundle, write_file

folder, last = Path(sys.argv[1]), int(sys.argv[2])
steps = 0

def step(event, arguments):
    global steps
    if event.startswith(("os.", "open", "shutil.", "tempfile.", "fcntl.", "ctypes.")):
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
write_bundle({"a": f"{MARK} new", "sub/b": f"{MARK} new"}, folder / "out")
write_file(folder / "file", b"new", force=True)
print(steps)
"""


def test_killed_before_any_step_it_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    def stepwise(last: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", STEPWISE, str(tmp_path), str(last)],
            capture_output=True,
            text=True,
            check=False,
        )

    old = {"a": f"{writing.MARK} old", "sub/c": f"{writing.MARK} old"}
    new = {name: f"{writing.MARK} new".encode() for name in ("a", "sub/b")}
    allowed = [{name: text.encode() for name, text in old.items()}, new]
    last, seen = 0, set()
    while True:
        last += 1
        writing.write_bundle(old, tmp_path / "out")
        (tmp_path / "file").write_text("old")
        done = stepwise(last)
        seen.add((content(tmp_path / "out") == new, (tmp_path / "file").read_text()))
        assert content(tmp_path / "out") in allowed
        assert (tmp_path / "file").read_text() in ("old", "new")
        if done.returncode != -signal.SIGKILL:
            break
    # It was killed before each, before and after the new was there.
    assert (done.stderr, done.stdout) == ("", f"{last - 1}\n")
    assert seen == {(False, "old"), (True, "old"), (True, "new")}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "out"]


def test_a_folder_taken_away_by_a_killed_run_comes_back(tmp_path: Path) -> None:
    # As on a file system that cannot swap two folders, between the two steps.
    old = tmp_path / ".out.rbacguard-x-old"
    old.mkdir()
    (old / "a.yaml").write_text(f"# {writing.MARK}\n")
    (tmp_path / ".out.rbacguard-x").mkdir()
    assert not writing.write_bundle({"a.yaml": f"# {writing.MARK}\n"}, tmp_path / "out")
    assert content(tmp_path) == {"out/a.yaml": f"# {writing.MARK}\n".encode()}


def test_without_a_swap_of_folders_it_takes_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_exchange", lambda *_: False)
    for text in ("1", "2"):
        assert writing.write_bundle({"a": f"{writing.MARK} {text}"}, tmp_path / "out")
    assert content(tmp_path) == {"out/a": f"{writing.MARK} 2".encode()}
    monkeypatch.setattr(Path, "rename", fail_for_new(Path.rename))
    with pytest.raises(OutputError, match="out: no"):
        writing.write_bundle({"a": f"{writing.MARK} 3"}, tmp_path / "out")
    assert content(tmp_path) == {"out/a": f"{writing.MARK} 2".encode()}


def fail_for_new(rename: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
    """Let the second of the two steps fail once."""
    failed: list[Path] = []

    def instead(path: Path, target: Path) -> Path:
        if target.name == "out" and not failed:
            failed.append(path)
            raise OSError(5, "no")
        return rename(path, target)

    return instead


def without_privileges() -> None:
    """Let permissions hold for root too: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def little_room() -> None:
    """Let files grow to 64 bytes only."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


WRITERS = {
    "generate": [*GENERATE, "out"],
    "snapshot": ["snapshot", "-f", str(STATES["A"]), "--force", "-o", "out.json"],
    "report": ["audit", "-f", str(STATES["A"]), "--today", "2026-11-23", "-o", "html=out.json"],
    "lint": ["lint", "--fix", "--yes", "mend.yaml"],
    "fleet": ["fleet", "plan", str(STATES["A"]), "--to", "4.20", "--results", "out.jsonl"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with something in it of everything that is written."""
    found = tmp_path / "work"
    (found / "out").mkdir(parents=True)
    (found / "out/README.md").write_text(f"<!-- {writing.MARK} -->\n")
    (found / "out.json").write_text("{}\n")
    shutil.copy(ROOT / "tests/lint/cases/wrong-resource-name/fires.yaml", found / "mend.yaml")
    yield found
    found.chmod(0o700)


FAULTS = {
    "full": "File too large",
    "read-only": "Permission denied",
    "gone": "No such file or directory",
}
CASES = [
    (writer, fault)
    for writer in WRITERS
    for fault in FAULTS
    # generate makes its folder, and what lint mends was read from it.
    if (writer, fault) not in (("generate", "gone"), ("lint", "gone"))
]


@pytest.mark.parametrize(("writer", "fault"), CASES)
def test_what_cannot_be_written_is_one_line_and_nothing_is_lost(
    run: Run, folder: Path, tmp_path: Path, writer: str, fault: str
) -> None:
    arguments = WRITERS[writer]
    before = content(folder)
    if fault == "read-only":
        folder.chmod(0o500)
    if fault == "gone":
        arguments = [each.replace("out", "none/out") for each in arguments]
    prepare: Prepare = little_room if fault == "full" else without_privileges
    # Python itself would put a module's bytecode into its cache cut off at that size.
    env = environment(tmp_path, PYTHONDONTWRITEBYTECODE="1")
    done = run(*arguments, cwd=folder, env=env, preexec_fn=prepare)
    assert done.returncode == 2, done.stdout
    errors = done.stderr.splitlines()
    assert errors[-1].startswith("rbacguard: error: "), done.stderr
    assert FAULTS[fault] in errors[-1]
    assert "Traceback" not in done.stderr
    assert {k: v for k, v in content(folder).items() if k in before} == before
    assert [each.name for each in folder.rglob(".*")] == []


@pytest.mark.parametrize("form", ["table", "json"])
def test_standard_output_that_is_full_is_one_line(tmp_path: Path, form: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rbacguard", "audit", "-f", str(STATES["A"]), "-o", form],
            cwd=ROOT,
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "No space left on device" in done.stderr


def test_an_answer_that_nobody_reads_is_not_clean(tmp_path: Path) -> None:
    approvals = str(ROOT / "examples/approvals.yaml")
    reading, writing = os.pipe()
    os.close(reading)
    verify = ["verify", "-f", str(STATES["D"]), "--approvals", approvals, "--today", "2026-11-23"]
    done = subprocess.run(
        [sys.executable, "-m", "rbacguard", *verify],
        env=environment(tmp_path),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """Write to a file system of 64 KiB, where this machine lets us have one."""
    script = """
        mount -t tmpfs -o size=64k none disk && cd disk && echo '{}' > out.json || exit 77
        dd if=/dev/zero of=filler bs=1k count=100 2>/dev/null
        "$@" >../said 2>&1; code=$?
        ls -A; cat out.json; exit $code
    """
    (tmp_path / "disk").mkdir()
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "rbacguard", *WRITERS["snapshot"]],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    if not (tmp_path / "said").exists():
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    assert "out.json: No space left on device" in (tmp_path / "said").read_text()
    assert done.stdout == "filler\nout.json\n{}\n"


def test_a_folder_that_turns_into_a_link_is_not_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    writing.write_bundle({"a": f"{writing.MARK} 1"}, out)

    def exchange(one: Path, other: Path) -> bool:
        # In the last moment, when all checks are done.
        shutil.rmtree(out)
        out.symlink_to(elsewhere)
        return real(one, other)

    real = writing._exchange  # noqa: SLF001 - the last step before the folder is there
    monkeypatch.setattr(writing, "_exchange", exchange)
    writing.write_bundle({"a": f"{writing.MARK} 2"}, out)
    assert content(elsewhere) == {"precious": b"x"}


def test_two_runs_into_one_folder_wait_for_each_other(tmp_path: Path) -> None:
    one, other = (
        [sys.executable, "-m", "rbacguard", *GENERATE, "out", "--strategy", strategy]
        for strategy in ("prebind", "temporary-role")
    )
    wholes = []
    for command in (one, other):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        wholes.append(content(tmp_path / "out"))
    running = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        for command in (one, other) * 3
    ]
    assert [each.wait() for each in running] == [0] * len(running)
    assert content(tmp_path / "out") in wholes
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("writer", ["generate", "snapshot", "report", "lint"])
def test_a_run_that_does_not_end_keeps_others_from_writing(
    run: Run, folder: Path, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(folder)
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    done = run(*WRITERS[writer], cwd=folder)
    os.close(handle)
    assert done.returncode == 2
    assert "another run is writing into" in done.stderr.splitlines()[-1]
    assert content(folder) == before


def test_the_folder_one_stands_in_is_not_replaced(run: Run, tmp_path: Path) -> None:
    done = run(*GENERATE, ".", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("start from outside of it")


CLOCKED = {
    "verify": ["verify", "--approvals", str(ROOT / "examples/approvals.yaml")],
    "audit": ["audit"],
    "approvals": ["approvals", "check", str(ROOT / "examples/approvals.yaml")],
    "generate": ["generate", "--to", "4.20", "--out", "made"],
}


@pytest.mark.parametrize("command", CLOCKED)
def test_a_clock_set_back_lets_nothing_that_expired_count(
    run: Run, tmp_path: Path, command: str
) -> None:
    # As if the clock said so: the input is of some years later.
    items = objects("D")
    for each in items:
        if each["kind"] == "Namespace":
            each["metadata"]["creationTimestamp"] = "2039-05-01T10:00:00Z"
    path = write_dump(tmp_path / "later.json", items)
    arguments = [*CLOCKED[command], "-f", path]
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "clock says 20" in done.stderr
    assert "contains 2039-05-01T10:00:00Z" in done.stderr
    assert run(*arguments, "--today", "2039-05-02", cwd=tmp_path).returncode != 2


def test_a_clock_set_back_is_a_cluster_of_a_fleet_that_failed(run: Run, tmp_path: Path) -> None:
    items = objects("D")
    items[0]["metadata"]["creationTimestamp"] = "2039-05-01T10:00:00Z"
    path = write_dump(tmp_path / "later.json", items)
    approvals = str(ROOT / "examples/approvals.yaml")
    asked = ["fleet", "verify", path, str(STATES["D"]), "--approvals", approvals, "-o", "json"]
    found = json.loads(run(*asked).stdout)
    assert found["results"]["failed"] == 1
    assert "clock says" in json.dumps(found)
    assert json.loads(run(*asked, "--today", "2039-05-02").stdout)["results"]["failed"] == 0
