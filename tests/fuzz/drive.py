"""Fuzz a target with atheris, guided by coverage: `make fuzz`, or `drive.py TARGET SECONDS`.

Starts from the corpus and from what the project has of the kind, writes what breaks a promise to
`build/fuzz/TARGET/`, and ends with a line of figures. A crash becomes a file of the corpus, which
the tests replay.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
SEEDS = {
    "dump": ("tests/policies/*/fires*.yaml", "examples/clusters/D-*.yaml"),
    "approvals": ("examples/approvals.yaml",),
    "policy": ("policies/*.yaml",),
    "manifest": ("tests/lint/cases/*/*.yaml",),
    "configuration": (),
    "kubeconfig": (),
    "report": (),
    "names": (),
    "workloads": ("tests/policies/*/fires*.yaml", "tests/data/vms-*.json.gz"),
    "auditlog": (),
}
LIMITS = ("-timeout=20", "-rss_limit_mb=3000", "-max_len=200000", "-len_control=0")
_VALUES: tuple[Any, ...] = (None, True, 0, -1, 1e300, "", "*", "true", "\x1b[31m", [], {}, [None])


def seeds(target: str) -> Iterator[bytes]:
    """Yield what to start from: the corpus, and files of the project's own."""
    for path in sorted((CORPUS / target).glob("*")):
        yield path.read_bytes()
    for pattern in SEEDS[target]:
        for path in sorted(ROOT.glob(pattern)):
            yield path.read_bytes()


def mutated(data: bytes, chance: random.Random) -> bytes | None:
    """Change a value somewhere inside JSON; None for what is not JSON."""
    try:
        value = json.loads(data)
        places = list(_places(value))
    except (ValueError, RecursionError):
        return None
    if not places:
        return None
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(places)
        other, others = chance.choice(places)
        try:
            what = chance.choice(_VALUES)
            holder[key] = other[others] if chance.random() < 0.5 else what
        except (IndexError, KeyError):
            continue
    try:
        return json.dumps(value).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut, repeat or overwrite a few bytes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(changed))
        end = min(start + chance.randint(0, 12), len(changed))
        again = chance.randint(0, len(changed))
        part = bytes(changed[again : again + 12])
        changed[start:end] = chance.choice((b"", part, chance.randbytes(2), b'"', b": ", b"\n- "))
    return bytes(changed)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    todo = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, dict | list):
            for key, inner in each.items() if isinstance(each, dict) else enumerate(each):
                yield each, key
                todo.append(inner)


def fuzz(target: str, seconds: int) -> None:
    """Fuzz one target in this process; does not return."""
    import atheris

    sys.path.insert(0, str(Path(__file__).resolve().parent))
    with atheris.instrument_imports(include=["rbacguard"]):
        import targets

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        changed = mutated(data, chance) if chance.random() < 0.6 else None
        if changed is not None and len(changed) <= size:
            return changed
        return bytes(atheris.Mutate(data, size))

    folder = ROOT / "build" / "fuzz" / target
    found = folder / "found"
    found.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (found / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", *LIMITS]
    arguments = [sys.argv[0], *options, "-print_final_stats=1", str(found)]
    custom = {"custom_mutator": mutate} if target in ("dump", "report") else {}
    atheris.Setup(arguments, targets.TARGETS[target], **custom)
    atheris.Fuzz()


def main() -> int:
    """Fuzz one target, or all of them one after the other, for so many seconds in all."""
    if len(sys.argv) == 4 and sys.argv[1] == "--here":
        fuzz(sys.argv[2], int(sys.argv[3]))
    chosen = [sys.argv[1]] if len(sys.argv) > 2 else list(SEEDS)
    seconds = int(sys.argv[-1]) // len(chosen)
    broken = 0
    for target in chosen:
        started = time.process_time(), time.monotonic()
        done = subprocess.run(
            [sys.executable, __file__, "--here", target, str(seconds)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        inputs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        took = time.monotonic() - started[1]
        print(f"{target}: {inputs[1] if inputs else '?'} inputs in {took:.0f} s, ", end="")
        print("no promise broken" if done.returncode == 0 else "BROKEN", flush=True)
        if done.returncode:
            broken += 1
            print(done.stderr[-3000:])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
