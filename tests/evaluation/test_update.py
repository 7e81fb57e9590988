"""An update of a premodel: what is compared with what, and when it is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from c_programs import write_policy
from premodel.errors import OptionError
from premodel.evaluation.update import Update, options_of, refusal, update
from premodel.runtime.bundle import Bundle, read_bundle
from premodel.runtime.policies.base import Policy
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.training.class_floor import ClassFloor
from premodel.training.options import TrainOptions
from premodel.training.tables import Tables
from premodel.verdict import Verdict
from profiles import make_tables

COSTS = Costs((1.0, 10.0), 0.25)
RECORD = {"policy": "single", "seed": 3, "training": {}}


def profile(right: tuple[float, float], n: int = 200, seed: int = 0) -> Tables:
    """Two candidates, right on these shares."""
    return make_tables(np.random.default_rng(seed).random((n, 2)) < right, latency_ms=[1, 10], seed=seed)


def bundle(tmp_path: Path, policy: Policy, tables: Tables, **more: object) -> Bundle:
    read = read_bundle(write_policy(tmp_path / "old.premodel", policy, tables))
    return dataclasses.replace(read, training_record=RECORD, objective={"min_accuracy": "best"}, **more)  # type: ignore[arg-type]


CHEAP, DEAR = Single(("c0",), (0.9,), Costs((1.0,), 0.25)), Single(("c1",), (0.9,), Costs((10.0,), 0.25))


def test_what_has_become_better_takes_the_place(tmp_path: Path) -> None:
    """The old one runs the cheap candidate, which has become bad."""
    tables = profile((0.5, 0.95))
    found = update(bundle(tmp_path, CHEAP, tables), tables, TrainOptions("single"))
    assert found.refused == ""
    assert found.trained.policy.candidates[0] == "c1"
    right = tables.correct("top1").mean(axis=0)
    assert (found.old_accuracy, found.new_accuracy) == (pytest.approx(right[0]), pytest.approx(right[1]))
    assert found.verdict.accuracy == "higher"
    assert found.sentence.startswith(f"the new premodel ({100 * right[1]:.1f} % at ")
    assert found.to_json()["update"]["comparison"]["accuracy"] == "higher"


def test_what_is_slower_and_not_more_accurate_is_refused(tmp_path: Path) -> None:
    drawn = (profile((0.9, 0.9), seed=seed) for seed in range(20))
    tables = next(one for one in drawn if one.correct("top1").mean(axis=0).argmax() == 1)
    found = update(bundle(tmp_path, CHEAP, tables), tables, TrainOptions("single"))
    assert found.refused == "it is slower, and not shown to be more accurate"
    text = str(refusal(found))
    assert text.startswith("the new premodel is not packaged: it is slower")
    assert ", 200 samples" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("samples", "gain", "ci", "margin", "why"),
    [
        (40, 0.0, (0.0, 0.0), None, "too few samples for a verdict: 40"),
        (400, -3.0, (-5.0, -1.0), None, "its accuracy is shown to be lower"),
        (400, 0.0, (-2.5, 2.5), None, ""),
        (400, 0.0, (-2.5, 2.5), 3.0, ""),
        (400, 0.0, (-2.5, 2.5), 2.0, "it may be 2.5 points less accurate, and 2 are allowed"),
    ],
)
def test_when_it_is_refused(samples: int, gain: float, ci: tuple[float, float], margin: float | None, why: str) -> None:
    verdict = Verdict(samples, 1.0, gain, ci)
    found = Update(None, 0.9, 0.9, 1.0, 1.0, verdict, margin)  # type: ignore[arg-type]
    assert found.refused.startswith(why)
    assert bool(found.refused) == bool(why)


def test_a_profile_of_other_labels_is_refused(tmp_path: Path) -> None:
    tables = profile((0.5, 0.9))
    other = dataclasses.replace(tables, label_names=tuple(reversed(tables.label_names)))
    with pytest.raises(OptionError, match="must be of the premodel's labels"):
        update(bundle(tmp_path, DEAR, tables), other, TrainOptions("single"))


def test_options_are_those_of_the_old_one(tmp_path: Path) -> None:
    tables = profile((0.5, 0.9))
    old = bundle(tmp_path, DEAR, tables)
    floor = {"measure": "recall", "name": "label 1", "least": 0.8}
    wanted = {"min_accuracy": "best-1pt", "max_latency_ms": None, "cost_weight": None, "max_memory_mb": 20.0}
    record = {"policy": "cascade", "seed": 7, "training": {"class_floors": {"floors": [floor]}}}
    found = options_of(dataclasses.replace(old, objective=wanted, training_record=record))
    assert (found.policy, found.seed, found.criterion) == ("cascade", 7, "top1")
    assert found.objective.min_accuracy is not None
    assert found.objective.min_accuracy.text == "best-1pt"
    assert found.objective.max_memory_mb == 20
    assert found.class_floors == (ClassFloor("recall", "label 1", 0.8),)
    promised = {**wanted, "guarantee": "loss<=1pt@95%"}
    with pytest.raises(OptionError, match="a premodel with a guarantee cannot be updated"):
        options_of(dataclasses.replace(old, objective=promised, training_record=record))
    with pytest.raises(OptionError, match="does not state how it was trained"):
        options_of(dataclasses.replace(old, training_record={}))


def test_a_premodel_trained_by_a_cost_matrix_is_not_updated_by_accuracy(tmp_path: Path) -> None:
    by_cost = dataclasses.replace(
        bundle(tmp_path, CHEAP, profile((0.5, 0.95))), training_record={**RECORD, "criterion": "cost"}
    )
    with pytest.raises(OptionError, match=r"trained by a cost matrix cannot be updated.*--cost-matrix"):
        options_of(by_cost)
