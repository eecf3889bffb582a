"""Measures rbacguard against floors that are measured in the same run: `make bench`.

Every figure is a ratio of medians over whole processes, case and floor in turns, so that what else
the machine does falls on both. Results are added to benchmarks/history.jsonl, and the table in
docs/performance.md is written anew. `--only NAME`, `--runs N` and `--namespaces N` try something
out; such runs are printed and not kept.
"""

from __future__ import annotations

import argparse
import compileall
import datetime
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from cluster import BUNDLED, ROOT
from page import open_page

HISTORY = ROOT / "benchmarks" / "history.jsonl"
PAGE = ROOT / "docs" / "performance.md"
PYTHON = sys.executable
TOOL = str(Path(PYTHON).parent / "rbacguard")
VMS = ROOT / "tests" / "readiness" / "workload_objects.py"
PASS = (PYTHON, "-c", "pass")
ORJSON = "import orjson, sys; orjson.loads(open(sys.argv[1], 'rb').read())"
C_LOADER = "import yaml, sys; yaml.load(open(sys.argv[1], 'rb'), yaml.CSafeLoader)"
RESOURCE = "virtualmachineinstancemigrations.kubevirt.io"
_FLEET, _DISTINCT = 1_000, 50
_LONG = 2**24
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - deleted at once
"""Where what a process prints is kept; to write to a disk takes as long as the disk takes."""
VERSIONS = ("rbacguard", "msgspec", "orjson", "py-yaml12", "pydantic", "pyyaml", "zstandard")


class Usage(NamedTuple):
    """The usage of one process: wall-clock and CPU seconds, peak memory in MB, and its output."""

    seconds: float
    cpu: float
    megabytes: float
    output: bytes


class Figure(NamedTuple):
    """One line of the table; `ratio` may be at most `target`, or at least where `at_least`."""

    work: str
    floor: str
    ratio: float
    target: float
    at_least: bool
    measured: str

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


def run(command: Sequence[str], *, whole: bool = False) -> Usage:
    """Run a process to its end; 1 is an answer too.

    What it printed is kept if it is short, or wanted whole: a child's peak is at least what its
    parent had when it began.

    Raises:
        SystemExit: it failed.
    """
    with tempfile.TemporaryFile(dir=_MEMORY) as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            sys.exit(f"{' '.join(command)} exited with {process.returncode}")
        out.seek(0)
        wanted = whole or os.fstat(out.fileno()).st_size <= _LONG
        cpu = usage.ru_utime + usage.ru_stime
        return Usage(seconds, cpu, usage.ru_maxrss / 1024, out.read() if wanted else b"")


class Runs:
    """Commands that are measured in turns."""

    def __init__(self, count: int, *commands: Sequence[str]) -> None:
        """Run each `count` times."""
        self._found: list[list[Usage]] = [[] for _ in commands]
        for _ in range(count):
            for found, command in zip(self._found, commands, strict=True):
                found.append(run(command))

    def seconds(self, place: int) -> float:
        """Return the median time of one command."""
        return statistics.median(each.seconds for each in self._found[place])

    def cpu(self, place: int) -> float:
        """Return the median CPU time of one command."""
        return statistics.median(each.cpu for each in self._found[place])

    def megabytes(self, place: int) -> float:
        """Return the median of its peak memory."""
        return statistics.median(each.megabytes for each in self._found[place])

    def outputs(self, place: int) -> list[bytes]:
        """Return what it printed, each time."""
        return [each.output for each in self._found[place]]


def _times(work: str, floor: str, runs: Runs, target: float) -> Figure:
    case, base = runs.seconds(0), runs.seconds(1)
    measured = f"{case:.3f} s / {base:.3f} s"
    return Figure(work, floor, case / base, target, at_least=False, measured=measured)


def _plan(path: Path) -> tuple[str, ...]:
    return (TOOL, "plan", "-f", str(path), "--to", "4.20", "-o", "json")


class Bench:
    """The cases; files that several of them need are made once."""

    def __init__(self, folder: Path, count: int, namespaces: int) -> None:
        """Measure `count` times, on a cluster of that many namespaces."""
        self._folder, self._count, self._namespaces = folder, count, namespaces

    def _file(self, name: str, *, part: float = 1) -> Path:
        path = self._folder / f"{part}-{name}"
        if not path.exists():
            size = int(self._namespaces / part)
            # Not in this process: a child's peak is at least what its parent had when it began.
            script = str(Path(__file__).with_name("cluster.py"))
            sizes = ("--namespaces", str(size), "--cluster-roles", str(max(size // 2, 150)))
            run((PYTHON, script, "--out", str(path), *sizes))
        return path

    def json(self) -> list[Figure]:
        """`plan` from a JSON dump."""
        path = self._file("cluster.json")
        runs = Runs(self._count, _plan(path), (PYTHON, "-c", ORJSON, str(path)))
        case, base = runs.megabytes(0), runs.megabytes(1)
        memory = f"{case:.0f} MB / {base:.0f} MB"
        work, floor = "`plan -o json` from a JSON dump", "`orjson.loads` of the file"
        return [
            _times(f"{work}: time", floor, runs, 1.25),
            Figure(f"{work}: memory", floor, case / base, 0.6, at_least=False, measured=memory),
        ]

    def yaml(self) -> list[Figure]:
        """`plan` from the same dump as YAML; the answer is the same."""
        path, other = self._file("cluster.yaml"), self._file("cluster.json")
        runs = Runs(self._count, _plan(path), (PYTHON, "-c", C_LOADER, str(path)))
        answers = [
            json.loads(text) for text in (run(_plan(p), whole=True).output for p in (path, other))
        ]
        for answer in answers:
            del answer["coverage"]["inputs"]
        if answers[0] != answers[1]:
            sys.exit("the answers from YAML and from JSON differ")
        case, base = runs.seconds(0), runs.seconds(1)
        measured = f"{base:.1f} s / {case:.1f} s"
        work, floor = "the same from YAML", "PyYAML's C loader alone, times faster"
        return [Figure(work, floor, base / case, 8.0, at_least=True, measured=measured)]

    def snapshot(self) -> list[Figure]:
        """`plan` from a saved snapshot."""
        path = self._file("cluster.json")
        saved = path.with_suffix(".zst")
        if not saved.exists():
            run((TOOL, "snapshot", "-f", str(path), "-o", str(saved)))
        runs = Runs(self._count, _plan(saved), _plan(path))
        return [_times("the same from a saved snapshot", "from JSON", runs, 0.75)]

    def who_can(self) -> list[Figure]:
        """Who can create migrations, in all namespaces."""
        path = self._file("cluster.json")
        case = (TOOL, "who-can", "create", "vmim", "-A", "-f", str(path), "-o", "json")
        runs = Runs(self._count, case, (PYTHON, "-c", ORJSON, str(path)))
        return [_times("`who-can -A -o json`", "`orjson.loads` of the file", runs, 0.7)]

    def live(self) -> list[Figure]:
        """One question to a live cluster: CPU time of the tool and of kubectl."""
        sys.path += [str(ROOT / "tests" / "cluster"), str(ROOT / "tests")]
        from api_server import ApiServer
        from programs import find_program

        kubectl, reason = find_program("kubectl")
        if not kubectl:
            print(f"skipped `can-i`: no kubectl: {reason}", file=sys.stderr)
            return []
        items = yaml.load(BUNDLED.read_bytes(), yaml.CSafeLoader)["items"]
        with ApiServer(items) as server:
            config = str(server.kubeconfig(self._folder / "config"))
            asked = ("create", RESOURCE, "-n", "payments", "--as", "alice")
            runs = Runs(
                max(self._count, 15),
                (TOOL, "can-i", *asked, "--kubeconfig", config),
                (kubectl, "auth", "can-i", *asked, "--kubeconfig", config),
            )
        case, base = runs.cpu(0), runs.cpu(1)
        return [
            Figure(
                "live `can-i`: CPU time",
                "`kubectl auth can-i`",
                case / base,
                2.0,
                at_least=False,
                measured=f"{case:.3f} s / {base:.3f} s",
            )
        ]

    def start(self) -> list[Figure]:
        """What people run most."""
        cases = {
            "`rbacguard --help`": (TOOL, "--help"),
            "`rbacguard --version`": (TOOL, "--version"),
            "completion of a command": (
                *("env", "_RBACGUARD_COMPLETE=bash_complete", "COMP_WORDS=rbacguard au"),
                *("COMP_CWORD=1", TOOL),
            ),
        }
        count = max(self._count, 15)
        floor = "`python -c pass`"
        found = [_times(name, floor, Runs(count, case, PASS), 4.0) for name, case in cases.items()]
        audit = Runs(self._count, (TOOL, "audit", "-f", str(BUNDLED)), PASS)
        return [*found, _times("`audit` of the bundled dump", floor, audit, 12.0)]

    def growth(self) -> list[Figure]:
        """Ten times the objects, for what looks at all of them."""
        commands = {
            "plan": ("--to", "4.20", "-o", "json"),
            "audit": (),
            "verify": ("--approvals", str(ROOT / "examples" / "approvals.yaml")),
        }
        found: list[Figure] = []
        whole, tenth = (str(self._file("cluster.json", part=part)) for part in (1, 10))
        floor = "a tenth of it"
        for name, options in commands.items():
            case, small = ((TOOL, name, "-f", path, *options) for path in (whole, tenth))
            runs = Runs(self._count, case, small)
            big, base = runs.megabytes(0), runs.megabytes(1)
            memory = f"{big:.0f} MB / {base:.0f} MB"
            work = f"`{name}` of ten times the objects"
            found += [
                _times(f"{work}: time", floor, runs, 11.0),
                Figure(f"{work}: memory", floor, big / base, 11.0, at_least=False, measured=memory),
            ]
        return found

    def readiness(self) -> list[Figure]:
        """Whether the drains of 120 nodes with 5,000 VMs complete, and with a tenth of them."""
        paths = []
        for vms in (5_000, 500):
            path = self._folder / f"vms-{vms}.json"
            with path.open("wb") as file:
                made = (PYTHON, str(VMS), "120", str(vms))
                subprocess.run(made, stdout=file, check=True)
            paths.append(path)
        case, small = ((TOOL, "readiness", "-f", str(path), "-o", "json") for path in paths)
        runs = Runs(self._count, case, small, PASS, (PYTHON, "-c", ORJSON, str(paths[0])))
        whole, tenth, nothing, parsed = map(runs.seconds, range(4))
        floor = 5 * nothing + (parsed - nothing)
        return [
            Figure(
                "`readiness` of 5,000 VMs on 120 nodes",
                "five times `python -c pass`, and parsing",
                whole / floor,
                1.0,
                at_least=False,
                measured=f"{whole:.3f} s / {floor:.3f} s",
            ),
            Figure(
                "`readiness` of ten times the VMs: time",
                "a tenth of them",
                whole / tenth,
                11.0,
                at_least=False,
                measured=f"{whole:.2f} s / {tenth:.2f} s",
            ),
        ]

    def page(self) -> list[Figure]:
        """The page for auditors of some 50,000 places in which somebody holds migration."""
        path = self._folder / "page.html"
        run((*_plan(self._file("cluster.json", part=1 / 1.225))[:-1], f"html={path}"))
        seconds, rows = open_page(path, self._count)
        size = path.stat().st_size / 2**20
        work = f"page of {rows:,} rows"
        return [
            Figure(
                f"{work}: opens in Chromium",
                "seconds",
                seconds,
                3.0,
                at_least=False,
                measured=f"{seconds:.2f} s",
            ),
            Figure(f"{work}: size", "MiB", size, 10.0, at_least=False, measured=f"{size:.1f} MiB"),
        ]

    def fleet(self) -> list[Figure]:
        """A thousand snapshots, by one process and by two."""
        folder = self._folder / "fleet"
        folder.mkdir()
        script = str(Path(__file__).with_name("cluster.py"))
        for seed in range(_DISTINCT):
            dump, saved = folder / "dump.json", folder / f"{seed}-0.zst"
            sizes = ("--namespaces", str(10 + seed), "--cluster-roles", "150", "--seed", str(seed))
            run((PYTHON, script, "--out", str(dump), *sizes))
            run((TOOL, "snapshot", "-f", str(dump), "-o", str(saved)))
            dump.unlink()
            for copy in range(1, _FLEET // _DISTINCT):
                (folder / f"{seed}-{copy}.zst").hardlink_to(saved)
        command = (TOOL, "fleet", "plan", str(folder), "--to", "4.20", "-o", "json", "--workers")
        runs = Runs(self._count, (*command, "2"), (*command, "1"))
        two, one = runs.seconds(0), runs.seconds(1)
        return [
            Figure(
                f"`fleet plan` of {_FLEET:,} snapshots by two processes",
                "by one, times faster",
                one / two,
                1.7,
                at_least=True,
                measured=f"{one:.1f} s / {two:.1f} s; {1000 * one / _FLEET:.1f} ms a cluster",
            )
        ]


CASES: dict[str, Callable[[Bench], list[Figure]]] = {
    each.__name__: each
    for each in (
        *(Bench.json, Bench.snapshot, Bench.who_can, Bench.live, Bench.start, Bench.growth),
        *(Bench.readiness, Bench.page, Bench.fleet, Bench.yaml),
    )
}


def row(figure: Figure) -> str:
    """Return a line of the table."""
    sign = "≥" if figure.at_least else "≤"
    met = "yes" if figure.met else "**no**"
    return (
        f"| {figure.work} | {figure.floor} | {figure.ratio:.3g} | {sign} {figure.target:g} | "
        f"{met} | {figure.measured} |"
    )


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", info.read_text("utf-8")) if info.exists() else None
    return {
        "cpu": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }


def keep(figures: Sequence[Figure], count: int, namespaces: int) -> None:
    """Add a run to the history, and write the table anew."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    made = {
        "date": today,
        "runs": count,
        "namespaces": namespaces,
        **machine(),
        "figures": [figure._asdict() | {"met": figure.met} for figure in figures],
    }
    with HISTORY.open("a", encoding="utf-8") as file:
        file.write(json.dumps(made, ensure_ascii=False) + "\n")
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    table = [
        (
            f"Measured on {today}: {made['cpu']}, {made['cores']} cores, Python {made['python']}; "
            f"{versions}. {namespaces:,} namespaces, medians of {count} runs in turns."
        ),
        "",
        "| work | floor | ratio | target | met | measured |",
        "|---|---|---|---|---|---|",
        *map(row, figures),
    ]
    text = PAGE.read_text("utf-8")
    start, end = "<!-- figures -->\n", "<!-- end of figures -->\n"
    head, _, rest = text.partition(start)
    body = "\n".join(table)
    PAGE.write_text(f"{head}{start}\n{body}\n\n{end}{rest.partition(end)[2]}", "utf-8")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CASES, action="append")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--namespaces", type=int, default=10_000)
    given = parser.parse_args()
    # As it is when pip has installed it, whatever this environment says of writing bytecode.
    compileall.compile_dir(ROOT / "rbacguard", quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.runs, given.namespaces)
        figures = []
        for name in given.only or CASES:
            for figure in CASES[name](bench):
                figures.append(figure)
                print(row(figure), flush=True)
    if not given.only:
        keep(figures, given.runs, given.namespaces)


if __name__ == "__main__":
    main()
