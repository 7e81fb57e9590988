"""Floors on classes in training: what is served, what is refused, and that the promise holds on new samples."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.training.class_floor import ClassFloor
from premodel.training.class_floors import Counted
from premodel.training.guarantee import GuaranteeError
from premodel.training.objective import Floor, Objective
from premodel.training.options import Guarantee, TrainOptions
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import check_options, train
from profiles import make_tables

RARE = 0


def profile(n: int, seed: int = 0, share: float = 0.2) -> Tables:
    """Two candidates of equal accuracy elsewhere; on the rare class only the dear one, right on 97 of 100, is of use.

    Both are sure of what they state, so that nothing but the class distinguishes when the dear one is needed.
    """
    rng = np.random.default_rng(seed)
    rare = rng.random(n) < share
    right = rng.random((n, 2)) < np.where(rare[:, None], [0.5, 0.97], [0.9, 0.92])
    tables = make_tables(right, latency_ms=[1, 10], n_labels=4, seed=seed)
    truth = np.where(rare, RARE, 1 + tables.truth % 3).astype(np.int32)
    top = np.where(right, truth[:, None], (truth[:, None] + 1 + rng.integers(0, 3, right.shape)) % 4)
    rest = np.stack([(top + k) % 4 for k in range(4)], axis=2).astype(np.int32)
    p = np.where(right, 0.9, 0.55) + 0.05 * rng.random(right.shape)
    probabilities = np.stack([p, *[(1 - p) / 3] * 3], axis=2).astype(np.float32)
    rank = (rest == truth[:, None, None]).argmax(axis=2).astype(np.int32)
    return replace(tables, truth=truth, top_labels=rest, top_probabilities=probabilities, rank=rank)


def options(policy: str = "cascade-routing", floor: str = "best-15pt", *floors: ClassFloor) -> TrainOptions:
    return TrainOptions(policy, objective=Objective(Floor.parse(floor)), class_floors=floors)


RECALL = ClassFloor("recall", "label 0", 0.85)


def recall(tables: Tables, served: np.ndarray) -> float:
    rows = tables.truth == RARE
    return float((served[rows] == RARE).mean())


def test_a_dearer_point_is_served_where_the_objectives_own_misses_the_floor() -> None:
    tables, unseen = profile(1200), profile(4000, seed=7)
    free, bound = train(tables, options()), train(tables, options("cascade-routing", "best-15pt", RECALL))
    loose, kept = (simulate(one.policy, unseen) for one in (free, bound))
    assert recall(unseen, loose.labels[:, 0]) < 0.8
    assert recall(unseen, kept.labels[:, 0]) >= 0.85
    assert kept.latency_ms.mean() > loose.latency_ms.mean()
    said = "\n".join(bound.summary)
    assert "floors of classes are kept; it holds on average for inputs from the same source" in said
    assert "recall of label 0: " in said
    assert "tested on n = 600 samples used for nothing else" in said
    record = json.loads(json.dumps(bound.record.to_json()))["class_floors"]
    assert record["floors"][0]["p"] <= 0.05
    assert record["floors"][0]["shown"] >= 0.85
    assert record["calibration_samples"] == record["fitted_samples"] == 600


def test_the_point_of_the_objective_is_served_where_it_keeps_the_floor() -> None:
    tables = profile(600)
    trained = train(tables, options("cascade", "best", ClassFloor("precision", "label 1", 0.5)))
    assert "at the point of the objective" in "\n".join(trained.summary)


@pytest.mark.parametrize("policy", ["single", "cascade"])
def test_too_few_of_the_class_is_one_line(policy: str) -> None:
    tables = profile(120, share=0.1)
    with pytest.raises(GuaranteeError) as caught:
        train(tables, options(policy, "best", ClassFloor("recall", "label 0", 0.95)))
    count = int((tables.truth == RARE).sum())
    assert "recall of label 0 at 0.95 or more cannot be known" in str(caught.value)
    assert "59 or more where all are right, 118 in all; profile more of label 0" in str(caught.value)
    assert 0 < count < 59


def test_what_no_point_keeps_is_one_line() -> None:
    with pytest.raises(GuaranteeError) as caught:
        train(profile(800, share=0.6), options("cascade-routing", "best", ClassFloor("recall", "label 0", 0.98)))
    assert "recall of label 0 at 0.98 or more is not kept by policy cascade-routing; given: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_candidate_alone_is_tested_too() -> None:
    tables = profile(800)
    trained = train(tables, options("single", "best", RECALL))
    assert trained.policy.candidates[0] == "c1"
    cheap = TrainOptions("single", objective=Objective(max_latency_ms=3), class_floors=(RECALL,))
    with pytest.raises(GuaranteeError, match="is not kept by policy single"):
        train(tables, cheap)


def test_counted_by_hand() -> None:
    truth, served = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, -1, 0, 1, 2])
    of_recall = Counted.of(ClassFloor("recall", "a", 0.5), served, truth, 0)
    of_precision = Counted.of(ClassFloor("precision", "a", 0.5), served, truth, 0)
    assert (of_recall.right, of_recall.count) == (1, 3)
    assert (of_precision.right, of_precision.count) == (1, 2)
    assert of_precision.p == pytest.approx(3 / 4)
    assert not of_precision.kept


@pytest.mark.parametrize(
    ("chosen", "reported"),
    [
        (options("cascade", "best", RECALL, RECALL), "a class must have one min-recall; given: label 0"),
        (
            replace(options("cascade", "best", RECALL), guarantee=Guarantee.parse("loss<=1pt@95%")),
            "a guarantee and a floor on a class exclude each other",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(chosen: TrainOptions, reported: str) -> None:
    with pytest.raises(OptionError, match=reported):
        check_options(chosen)


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(OptionError, match="min-recall of an unknown class"):
        train(profile(40), options("single", "best", ClassFloor("recall", "lable 0", 0.5)))
