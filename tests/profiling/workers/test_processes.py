"""Worker processes of this machine that die."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from premodel.errors import RunError
from premodel.files import file_sha256
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.profiling.workers.workers import run_job
from premodel.store.schema import PREDICTIONS
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.zoo.manifest import read_zoo
from ray_jobs import Deadly, DyingPredictionJob
from zoos import write_zoo

CORRECT = np.random.default_rng(5).random((30, 3)) < 0.6


def test_a_killed_workers_answers_come_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = write_zoo(tmp_path / "zoo", correct=CORRECT)
    dying = partial(DyingPredictionJob, sample=file_sha256(small.images[11]), mark=tmp_path / "died")
    monkeypatch.setattr("premodel.profiling.passes.predictions.PredictionJob", dying)
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    options = ProfileOptions(passes=("predictions",), workers=2)
    report = profile(zoo, dataset, tmp_path / "s.db", options)
    assert (tmp_path / "died").exists()
    assert report.predictions is not None
    assert report.predictions.predictions == 90
    with Store(tmp_path / "s.db") as store, store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(PREDICTIONS)) == 90
    tables = load_tables(tmp_path / "s.db", passes=("predictions",))
    np.testing.assert_array_equal(tables.correct("top1").sum(0), CORRECT.sum(0))


def test_work_that_kills_its_workers_ends_the_run() -> None:
    with pytest.raises(RunError, match=r"two workers died of the same work; given: a worker process ended with code 3"):
        list(run_job(Deadly(), range(4), 2))
