"""Profiling on a real Ray cluster of two one-core nodes on this machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from premodel.errors import RunError
from premodel.profiling.cluster.crew import RayWorkers
from premodel.profiling.dataset import read_dataset
from premodel.profiling.inventory import Entry
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.profiling.samples import Task
from premodel.profiling.schema import FEATURES, PREDICTIONS
from premodel.profiling.store import Store
from premodel.runtime.zoo import read_zoo
from ray_cluster import SmallCluster, small_cluster
from ray_jobs import DyingPredictionJob, TellingJob
from zoos import SmallZoo, write_zoo

pytest.importorskip("ray", reason="Ray is not installed: pip install 'premodel[cluster]'")

N = 40
CORRECT = np.random.default_rng(5).random((N, 3)) < 0.6
PASSES = ("predictions", "features")


@pytest.fixture(scope="module")
def cluster() -> Iterator[SmallCluster]:
    with small_cluster(2) as made:
        yield made


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return write_zoo(tmp_path_factory.mktemp("ray") / "zoo", correct=CORRECT, latency_ms=2)


@pytest.fixture(scope="module")
def local(small: SmallZoo, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """What a run on this machine alone stores."""
    store = tmp_path_factory.mktemp("local") / "s.db"
    run(small.zoo, small.data, store)
    return stored(store)


def run(manifest: Path, data: Path, store: Path, **options: Any) -> ProfileReport:
    zoo = read_zoo(manifest, require_files=True)
    dataset = read_dataset(data, data / "labels.csv", label_names=zoo.labels)
    return profile(zoo, dataset, store, ProfileOptions(passes=PASSES, **options))


def stored(store: Path) -> dict[Any, Any]:
    """Every answer without its time, and every vector, by key."""
    answer, vector = PREDICTIONS.c, FEATURES.c
    answers = select(
        answer.prediction_key, answer.sample, answer.truth, answer.truth_rank, answer.status, answer.entropy,
        answer.labels, answer.probabilities,
    )  # fmt: skip
    with Store(store) as opened, opened.reading() as connection:
        rows = connection.execute(answers).all()
        vectors = connection.execute(select(vector.version, vector.sample, vector.vector)).all()
    found = {(row[0], row[1]): tuple(row[2:]) for row in [*rows, *vectors]}
    assert len(found) == len(rows) + len(vectors)
    return found


def task(row: int) -> Task:
    return Task(Entry(row, "", 0, 0), (0,), None, b"")


def test_the_same_as_without(small: SmallZoo, local: dict[Any, Any], cluster: SmallCluster, tmp_path: Path) -> None:
    report = run(small.zoo, small.data, tmp_path / "s.db", ray=cluster.address)
    assert report.predictions is not None
    assert report.features is not None
    assert (report.predictions.predictions, report.features.vectors) == (3 * N, N)
    assert len(local) == 4 * N
    assert stored(tmp_path / "s.db") == local
    again = run(small.zoo, small.data, tmp_path / "s.db", ray=cluster.address)
    assert again.predictions is not None
    assert (again.predictions.predictions, again.predictions.kept) == (0, 3 * N)


def test_nodes_that_cannot_see_the_files_are_sent_them(
    small: SmallZoo, local: dict[Any, Any], cluster: SmallCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.data)
    here = Path("/proc/self/cwd")  # another folder to every other process
    report = run(here / "zoo.toml", here, tmp_path / "s.db", ray=cluster.address)
    assert report.unreadable == {}
    assert stored(tmp_path / "s.db") == local


def test_a_killed_workers_answers_come_once(
    small: SmallZoo, local: dict[Any, Any], cluster: SmallCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = partial(DyingPredictionJob, sample=sample_of(local, 20), mark=tmp_path / "died")
    monkeypatch.setattr("premodel.profiling.prediction_pass.PredictionJob", dying)
    report = run(small.zoo, small.data, tmp_path / "s.db", ray=cluster.address)
    assert (tmp_path / "died").exists()
    assert report.predictions is not None
    assert report.predictions.predictions == 3 * N
    assert stored(tmp_path / "s.db") == local


def sample_of(rows: dict[Any, Any], position: int) -> str:
    return sorted({str(sample) for _, sample in rows})[position]


def test_work_that_kills_its_workers_ends_the_run(cluster: SmallCluster) -> None:
    workers = RayWorkers(cluster.address)
    try:
        with pytest.raises(RunError, match="two workers died of the same work"):
            list(workers.run(TellingJob(deadly=5), map(task, range(40)), 40))
    finally:
        workers.close()


def test_a_node_joins_and_leaves_in_mid_run(cluster: SmallCluster) -> None:
    workers = RayWorkers(cluster.address)
    first = set(workers._connection.nodes())
    joined: list[Any] = []
    handed = 0
    ended = False

    def endless() -> Iterator[Task]:
        nonlocal handed
        while not ended or handed % 50:
            yield task(handed)
            handed += 1

    seen: list[int] = []
    nodes: dict[str, int] = {}
    try:
        for row, node in workers.run(TellingJob(), endless(), 1_000_000):
            seen.append(row)
            nodes[node] = nodes.get(node, 0) + 1
            if len(seen) == 20:
                joined.append(cluster.add())
            if joined and not ended and nodes.keys() - first:
                cluster.remove(joined[0])  # it owes what it was handed
                ended = True
    finally:
        workers.close()
    assert len(nodes) == 3
    assert sorted(seen) == list(range(handed))


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_ended_by_a_signal(cluster: SmallCluster, tmp_path: Path, number: int, code: int, word: str) -> None:
    small = write_zoo(tmp_path / "zoo", correct=np.ones((400, 3), bool), latency_ms=30)
    store = tmp_path / "s.db"
    words = [small.zoo, small.data, "--labels", small.labels, "--store", store, "--only", "predictions"]
    process = subprocess.Popen(
        [sys.executable, "-m", "premodel.cli.main", "profile", *map(str, words), "--ray", cluster.address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.poll() is None and not (store.exists() and answered(store)):
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert errors.splitlines()[-1] == f"premodel profile: {word}; what was stored is kept"
    assert "Traceback" not in errors
    assert 0 < answered(store) < 1200


def answered(store: Path) -> int:
    try:
        return len(stored(store))
    except Exception:  # noqa: BLE001 - not made yet
        return 0
