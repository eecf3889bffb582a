"""What fuzzing found, again; and a few random changes to it each time. `make fuzz` goes on."""

from __future__ import annotations

import random
from pathlib import Path

import drive
import pytest
import targets
from strategies import SCALE

CORPUS = sorted(drive.CORPUS.glob("*/*"))
CHANGES = max(int(20 * SCALE), 1)


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in CORPUS} == set(targets.TARGETS) == set(drive.SEEDS)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_corpus_breaks_no_promise(path: Path) -> None:
    targets.TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", drive.SEEDS)
def test_random_changes_break_no_promise(target: str) -> None:
    chance = random.Random(target)
    starts = list(drive.seeds(target))
    for _ in range(CHANGES):
        data = chance.choice(starts)
        changed = drive.mutated(data, chance) or drive.damaged(data, chance)
        targets.TARGETS[target](changed)
