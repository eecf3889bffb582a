"""Kill the tool at random moments while it writes: what was there is intact, or the new is whole.

`kills.py COUNT` does so that many times in all, for four commands in turn, and prints what it saw.
Half of the moments are drawn from the whole run, half from the twenty milliseconds after something
appears in the folder that is written to.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLUSTERS = ROOT / "examples" / "clusters"
APPROVALS = ROOT / "examples" / "approvals.yaml"
TO_MEND = ROOT / "tests" / "lint" / "cases" / "wrong-resource-name"
TODAY = ("--today", "2026-11-23")
Content = dict[str, bytes]


def content(path: Path) -> Content:
    """Return what a file or folder holds, by name."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.exists() else []
    return {str(each.relative_to(path)): each.read_bytes() for each in files if each.is_file()}


class Job(ABC):
    """Commands that write into `written`, in turn, and what may be there at any time."""

    def __init__(self, folder: Path) -> None:
        """Run each without killing it, to know what it writes and how long it takes."""
        self.folder = folder
        self.written = folder / "written"
        self.watched = folder
        self.commands = [[sys.executable, "-m", "rbacguard", *each] for each in self.arguments()]
        self.wholes = [self.undisturbed(command) for command in self.commands]
        assert self.wholes[0]

    @abstractmethod
    def arguments(self) -> list[list[str]]:
        """Return the commands."""

    def reset(self) -> None:  # noqa: B027 - most need nothing
        """Make ready for the next run."""

    def undisturbed(self, command: list[str]) -> Content:
        """Run a command to its end and return what it wrote."""
        self.reset()
        started = time.monotonic()
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        self.seconds = time.monotonic() - started
        return content(self.written)

    def kill(self, chance: random.Random, turn: int) -> bool:
        """Start a command and kill it; return whether it was still running."""
        self.reset()
        before = set(self.watched.iterdir())
        process = subprocess.Popen(
            self.commands[turn % len(self.commands)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        within = self.seconds
        if chance.random() < 0.5:
            within = 0.02
            while process.poll() is None and set(self.watched.iterdir()) == before:
                pass
        until = time.monotonic() + chance.random() * within
        while process.poll() is None and time.monotonic() < until:
            pass
        alive = process.poll() is None
        process.kill()
        process.wait()
        return alive

    def check(self) -> str:
        """Return in a word what is there; fail if it is nothing that may be."""
        found = content(self.written)
        assert found in self.wholes, f"neither old nor new: {sorted(found)}"
        return "whole"

    def heal(self) -> None:
        """Run every command to its end: it writes what it should, and clears what was left."""
        for command, whole in zip(self.commands, self.wholes, strict=True):
            assert self.undisturbed(command) == whole
        left = [str(each) for each in self.folder.rglob(".*") if not each.name.endswith(".part")]
        assert left == [], left


class Generate(Job):
    """Two sets of approvals in turn, into the same folder."""

    def arguments(self) -> list[list[str]]:
        """Return one with all of the example's approvals, and one with the first."""
        head, first, *_ = APPROVALS.read_text("utf-8").split("\n- ")
        few = self.folder / "few.yaml"
        few.write_text(f"{head}\n- {first}\n", "utf-8")
        start = ["generate", "-f", str(CLUSTERS / "A-before-4.18.yaml"), "--to", "4.19", *TODAY]
        return [[*start, "--approvals", str(each), "--out", "written"] for each in (APPROVALS, few)]


class Snapshot(Job):
    """Two clusters in turn, into the same file."""

    def arguments(self) -> list[list[str]]:
        """Return one for each cluster."""
        files = sorted(CLUSTERS.glob("[AD]-*.yaml"))
        return [["snapshot", "-f", str(each), "--force", "-o", "written"] for each in files]


class LintFix(Job):
    """Three files to mend; each may be mended or not."""

    def arguments(self) -> list[list[str]]:
        """Return the one command."""
        self.watched = self.written
        self.before = {f"{n}.yaml": (TO_MEND / "fires.yaml").read_bytes() for n in range(3)}
        return [["lint", "--fix", "--yes", *TODAY, "written"]]

    def reset(self) -> None:
        """Put the files back as they were, and leave what else is there."""
        self.written.mkdir(exist_ok=True)
        for name, data in self.before.items():
            (self.written / name).write_bytes(data)

    def check(self) -> str:
        """Return how many are mended."""
        (whole,) = self.wholes
        found = content(self.written)
        mended = 0
        for name, before in self.before.items():
            assert found[name] in (before, whole[name]), f"{name}: neither old nor new"
            mended += found[name] != before
        return f"{mended} of {len(self.before)} files mended" if mended < 3 else "whole"


class Fleet(Job):
    """The six states into one file of results, each time from its first two lines on."""

    def arguments(self) -> list[list[str]]:
        """Return the one command."""
        self.start = b""
        folder = str(CLUSTERS)
        return [["fleet", "audit", folder, *TODAY, "--workers", "2", "--results", "written"]]

    def reset(self) -> None:
        """Leave the first lines, as from a run that was cut off."""
        if self.written.exists():
            lines = self.written.read_bytes().splitlines(keepends=True)
            self.start = b"".join(lines[:2]) if len(lines) > 2 else self.start
            self.written.write_bytes(self.start)

    def check(self) -> str:
        """Return how many clusters are known; a last line may be cut off."""
        known = set(self.wholes[0]["."].splitlines())
        data = content(self.written)["."]
        assert data.startswith(self.start) or set(data.splitlines()) == known, "lines are lost"
        *lines, last = data.split(b"\n")
        assert set(lines) <= known, "a line that is no answer"
        assert len(set(lines)) == len(lines), "an answer twice"
        assert any(line.startswith(last) for line in known), "not the beginning of an answer"
        return f"{len(lines)} of {len(known)} clusters" if len(lines) < len(known) else "whole"


JOBS = (Generate, Snapshot, LintFix, Fleet)


def kills(job: type[Job], count: int, seed: int) -> Counter[str]:
    """Kill a command so many times and return what was there afterwards, and how often.

    Raises:
        AssertionError: something was lost or half written.
    """
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        made = job(Path(folder))
        turn = 0
        while seen.total() < count:
            turn += 1
            if made.kill(chance, turn):
                seen[made.check()] += 1
        made.heal()
    return seen


def main() -> None:
    """Kill all commands."""
    count = int(sys.argv[1]) // len(JOBS)
    for job in JOBS:
        seen = kills(job, count, seed=count)
        print(f"{job.__name__}: {seen.total()} kills, {dict(sorted(seen.items()))}", flush=True)


if __name__ == "__main__":
    main()
