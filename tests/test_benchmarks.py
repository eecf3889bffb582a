"""The benchmarks' clusters are the same for the same seed, and real enough to be planned."""

from __future__ import annotations

import json
from pathlib import Path

import cluster
import pytest
import yaml
from conftest import Run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "cluster.json"
    cluster.write(path, namespaces=30, cluster_roles=150)
    return path


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    small: Path, tmp_path: Path
) -> None:
    again, other = tmp_path / "again.json", tmp_path / "other.json"
    cluster.write(again, namespaces=30, cluster_roles=150)
    cluster.write(other, namespaces=30, cluster_roles=150, seed=2)
    assert again.read_bytes() == small.read_bytes()
    assert other.read_bytes() != small.read_bytes()


def test_yaml_holds_the_same_objects_and_has_the_same_plan(
    small: Path, tmp_path: Path, run: Run
) -> None:
    path = tmp_path / "cluster.yaml"
    cluster.write(path, namespaces=30, cluster_roles=150)
    assert (
        yaml.safe_load(path.read_text("utf-8"))["items"] == json.loads(small.read_text())["items"]
    )
    plans = []
    for each in (path, small):
        done = run("plan", "-f", str(each), "--to", "4.20", "-o", "json")
        assert (done.returncode, done.stderr) == (1, "")
        plans.append(json.loads(done.stdout))
        del plans[-1]["coverage"]["inputs"]
    assert plans[0] == plans[1]
    assert plans[0]["gaps"] == []
    assert sum(len(each["places"]) for each in plans[0]["changes"]) > 30


def test_half_of_the_objects_carry_managed_fields(small: Path) -> None:
    items = json.loads(small.read_text())["items"]
    made = [
        each for each in items if "app.kubernetes.io/part-of" in each["metadata"].get("labels", {})
    ]
    share = sum("managedFields" in each["metadata"] for each in made) / len(made)
    assert 0.4 < share < 0.6
