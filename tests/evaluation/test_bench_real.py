"""The whole pipeline on real networks and images: what is deployed decides as the tables say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import premodel
from premodel.cli.main import main
from premodel.evaluation.bench import bench
from premodel.profiling.datasets.registry import read_dataset
from premodel.runtime.bundle import read_bundle
from premodel.training.load import load_tables
from premodel.training.simulate import simulate

IMAGES = 60


@pytest.fixture(scope="module")
def store(imagenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of some of the real images."""
    store = tmp_path_factory.mktemp("real") / "profile.db"
    data = [str(imagenet / "zoo.toml"), str(imagenet), "--labels", str(imagenet / "labels.csv")]
    words = ["profile", *data, "--store", str(store), "--limit", str(IMAGES), "--max-timing-seconds", "6"]
    assert main(words) == 0
    return store


@pytest.mark.parametrize(
    "words",
    [
        ["paper"],
        ["select"],
        ["single"],
        ["paper", "--labels", "right", "--fallback", "abstain"],
        ["cascade"],
        ["cascade-routing"],
        ["cascade-routing", "--min-accuracy", "1.0"],
    ],
    ids=" ".join,
)
def test_decisions_on_real_runs_are_those_of_the_tables(
    imagenet: Path, store: Path, tmp_path: Path, words: list[str]
) -> None:
    out = tmp_path / "edge.premodel"
    assert main(["train", str(store), "--out", str(out), "--policy", *words]) == 0
    tables = load_tables(store)
    expected = simulate(read_bundle(out).policy, tables)
    row_of = {sample: row for row, sample in enumerate(tables.samples)}
    dataset = read_dataset(imagenet, imagenet / "labels.csv", label_names=tables.label_names)
    with premodel.load(out, threads=1) as clf:
        found = bench(clf, dataset, limit=IMAGES, max_seconds=1e-6)
    assert found.samples == IMAGES
    rows = [row_of[hashlib.sha256((imagenet / name).read_bytes()).hexdigest()] for name in found.names]
    assert np.array_equal(found.labels, np.where(expected.abstained, -1, expected.labels[:, 0])[rows])
    for answer, row in zip(found.answers, rows, strict=True):
        assert answer is not None
        assert answer.ran == tuple(expected.candidates[index] for index in expected.order[row] if index >= 0)
    right = tables.correct("top1").mean(axis=0)
    assert [row.accuracy for row in found.rows[:-1]] == pytest.approx(right.tolist())
