"""An update from records: which way is taken, what is tested, and when it is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from c_programs import write_policy
from premodel.errors import OptionError
from premodel.evaluation.recorded import UNKNOWN, Recorded
from premodel.evaluation.update import Update
from premodel.evaluation.update_records import RECALIBRATED, TRAINED_ANEW, reward_of, update_from_records
from premodel.runtime.bundle import Bundle, read_bundle
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.record import plain
from premodel.training.tables import Tables
from premodel.training.train import train
from premodel.verdict import Verdict
from profiles import make_tables

OPTIONS = TrainOptions("cascade", "top1", Objective(cost_weight=0.002))


def profile(right: tuple[float, float], seed: int, n: int = 300) -> Tables:
    """Two candidates, right on these shares, that state the same of themselves whatever they answer."""
    tables = make_tables(np.random.default_rng(seed).random((n, 2)) < right, latency_ms=[1, 10], seed=seed)
    k = tables.top_probabilities.shape[2]
    one = np.array([0.9, *[0.1 / (k - 1)] * (k - 1)], np.float32)
    return dataclasses.replace(tables, top_probabilities=np.broadcast_to(one, tables.top_probabilities.shape).copy())


def bundle(tmp_path: Path, tables: Tables, options: TrainOptions = OPTIONS) -> Bundle:
    found = train(tables, options)
    read = read_bundle(write_policy(tmp_path / "old.premodel", found.policy, tables))
    record = {"policy": options.policy, "seed": 0, "training": plain(found.record.to_json()), "summary": []}
    return dataclasses.replace(read, training_record=record)


def recorded(tables: Tables, labels: int) -> Recorded:
    n = len(tables)
    labelled = np.arange(n) < labels
    hidden = dataclasses.replace(
        tables,
        truth=np.where(labelled, tables.truth, UNKNOWN).astype(np.int32),
        rank=np.where(labelled[:, None], tables.rank, len(tables.label_names)).astype(np.int32),
    )
    return Recorded(hidden, labelled, np.ones(n), labelled.astype(float), 0)


def test_after_a_shift_fifty_labels_bring_back_what_was_lost(tmp_path: Path) -> None:
    old = bundle(tmp_path, profile((0.94, 0.95), seed=0))
    found = update_from_records(old, recorded(profile((0.3, 0.95), seed=1), 50), OPTIONS)
    assert found.refused == ""
    assert found.verdict.accuracy == "higher"
    assert found.verdict.gain == pytest.approx(65, abs=15)
    assert found.new_ms > found.old_ms
    lines = found.trained.record.lines()
    assert lines[0].startswith((RECALIBRATED, TRAINED_ANEW))
    assert "from 50 labelled records; thresholds from 300 records" in lines[0]
    assert sum(line.startswith("decides: ") for line in lines) == 1
    about = found.trained.record.to_json()
    assert about["update"]["labels"] == 50
    assert set(about["reward"]) == {"intercept", "slope"}


def test_what_is_right_as_often_is_not_called_better(tmp_path: Path) -> None:
    old = bundle(tmp_path, profile((0.94, 0.95), seed=0))
    found = update_from_records(old, recorded(profile((0.94, 0.95), seed=1), 60), OPTIONS)
    assert found.verdict.accuracy == "no difference shown"


def test_a_premodel_that_is_no_cascade_is_trained_anew(tmp_path: Path) -> None:
    options = TrainOptions("single", "top1", Objective())
    old = bundle(tmp_path, profile((0.97, 0.9), seed=0), options)
    assert old.policy.candidates[0] == "c0"
    found = update_from_records(old, recorded(profile((0.3, 0.95), seed=1), 60), options)
    assert found.trained.policy.candidates[0] == "c1"
    assert found.verdict.accuracy == "higher"


def test_too_few_labels(tmp_path: Path) -> None:
    tables = profile((0.9, 0.95), seed=0, n=100)
    old = bundle(tmp_path, tables)
    with pytest.raises(OptionError, match="too few labelled records for an update; given: 49; allowed: 50 or more"):
        update_from_records(old, recorded(tables, 49), OPTIONS)


@pytest.mark.parametrize(
    ("speedup", "gain", "ci", "margin", "why"),
    [
        (1.0, -9.0, (-15.0, -3.0), None, "its accuracy is shown to be lower"),
        (0.5, -0.5, (-5.0, 4.0), None, "it is slower, and not expected to be more accurate"),
        (0.5, 3.0, (-2.0, 8.0), None, ""),
        (0.5, 3.0, (-2.0, 8.0), 1.0, "it may be 2.0 points less accurate, and 1 are allowed"),
        (2.0, -0.5, (-5.0, 4.0), None, ""),
    ],
)
def test_when_it_is_refused(
    speedup: float, gain: float, ci: tuple[float, float], margin: float | None, why: str
) -> None:
    verdict = Verdict(50, speedup, gain, ci)
    found = Update(None, 0.9, 0.9, 1.0, 1.0, verdict, margin, from_records=True)  # type: ignore[arg-type]
    assert found.refused == why


def test_the_calibration_of_a_training_is_found_wherever_it_stands(tmp_path: Path) -> None:
    old = bundle(tmp_path, profile((0.9, 0.95), seed=0))
    stated = old.training_record["training"]["reward"]
    assert reward_of(old) == (stated["intercept"], stated["slope"])
    nested = dataclasses.replace(old, training_record={"training": {"chosen": {"reward": stated}}})
    assert reward_of(nested) == reward_of(old)
    assert reward_of(dataclasses.replace(old, training_record={})) == (0.0, 1.0)
