"""Costs of wrong answers, by hand and through training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.records import Criterion
from premodel.training.cost_matrix import COST, read_costs, with_costs
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.simulate import served_score, simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables

NAMES = ("cat", "dog", "wolf")


def write(folder: Path, *lines: str) -> Path:
    file = folder / "costs.csv"
    file.write_text("\n".join(["truth,answer,cost", *lines]) + "\n")
    return file


def test_later_lines_overrule_earlier_ones(tmp_path: Path) -> None:
    file = write(tmp_path, "wolf,*,4", "wolf,dog,20", "*,cat,2", "*,abstain,0.5", "wolf,abstain,3")
    found = read_costs(file, NAMES)
    assert found.cost.tolist() == [[0, 1, 1], [2, 0, 1], [2, 20, 0]], "right answers of a whole row cost nothing"
    assert found.abstention.tolist() == [0.5, 0.5, 3]
    assert found.highest == 20
    score = found.score(np.array([2, 2, 0, 1]), np.array([1, -1, 0, 0]))
    np.testing.assert_allclose(score, [0, 1 - 3 / 20, 1, 1 - 2 / 20])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["cat,bird,1"], "line 2: answer must be a label.*given: bird; allowed: cat"),
        (["bird,cat,1"], "truth must be a label"),
        (["abstain,cat,1"], "truth must be a label"),
        (["cat,dog,-1"], "line 2: cost must be a number, 0 or more; given: -1"),
        (["cat,dog,dear"], "cost must be a number"),
        (["*,*,0"], "must have an answer that costs something"),
    ],
)
def test_mistakes_name_their_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read_costs(write(tmp_path, *lines), NAMES)


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "square.csv"
    file.write_text("cat,dog\n0,1\n")
    with pytest.raises(OptionError, match="a cost matrix must be a CSV with the columns truth,answer,cost"):
        read_costs(file, NAMES)
    with pytest.raises(OptionError, match="the cost matrix cannot be read"):
        read_costs(tmp_path / "none.csv", NAMES)
    with pytest.raises(OptionError, match="needs answers that are labels"):
        read_costs(file, ())


def dear_class(tmp_path: Path) -> Tables:
    """One candidate is right more often; the other never misses label 0, whose misses cost twenty times as much."""
    truth = make_tables(np.ones((300, 2), bool), n_labels=4, seed=3).truth
    rng = np.random.default_rng(0)
    often = np.where(truth == 0, rng.random(300) < 0.6, rng.random(300) < 0.95)
    careful = np.where(truth == 0, True, rng.random(300) < 0.75)
    tables = make_tables(np.stack([often, careful], axis=1), n_labels=4, latency_ms=[2.0, 2.0], seed=3)
    assert tables.truth.tolist() == truth.tolist()
    file = write(tmp_path, "label 0,*,20", "*,abstain,0.5")
    return with_costs(tables, read_costs(file, tables.label_names))


def test_training_by_cost_takes_the_candidate_whose_mistakes_are_cheap(tmp_path: Path) -> None:
    tables = dear_class(tmp_path)

    def chosen(criterion: Criterion) -> str:
        return train(tables, TrainOptions("single", criterion)).policy.candidates[0]

    assert chosen("top1") == "c0"
    assert chosen(COST) == "c1"
    accuracy = tables.score(COST).mean(axis=0)
    missed = (tables.top_labels[:, 0, 0] != tables.truth) & (tables.truth == 0)
    others = (tables.top_labels[:, 0, 0] != tables.truth) & (tables.truth != 0)
    assert accuracy[0] == pytest.approx(1 - (20 * missed.sum() + others.sum()) / 300 / 20)


def test_an_abstention_costs_what_the_matrix_states(tmp_path: Path) -> None:
    tables = dear_class(tmp_path)
    options = TrainOptions("select", COST, Objective(cost_weight=0.0), technique="logistic", fallback="abstain")
    policy = train(tables, options).policy
    served = simulate(policy, tables)
    score = served_score(tables, COST, served)
    assert np.all(score[served.abstained] == 1 - 0.5 / 20)
    fewer = tables.take(np.arange(10))
    assert fewer.abstention_score[COST].shape == (10,)


def test_the_operating_point_counts_an_abstention_as_the_matrix_states(tmp_path: Path) -> None:
    """Both candidates are wrong so often that no answer is given at all."""
    tables = make_tables(np.random.default_rng(0).random((300, 2)) < 0.2, n_labels=4, seed=3)
    tables = with_costs(tables, read_costs(write(tmp_path, "*,abstain,0.1"), tables.label_names))
    options = TrainOptions("select", COST, Objective(Floor.parse("0.8")), technique="logistic", fallback="abstain")
    trained = train(tables, options)
    served = simulate(trained.policy, tables)
    assert served.abstained.mean() > 0.9
    point = trained.record.to_json()["operating_point"]
    assert point["met"]
    assert point["accuracy"] == pytest.approx(served_score(tables, COST, served).mean(), abs=0.05)


def test_cascades_serve_one_candidates_answer_by_its_expected_cost(tmp_path: Path) -> None:
    tables = dear_class(tmp_path)
    policy = train(tables, TrainOptions("cascade-routing", COST, Objective(cost_weight=0.0))).policy
    served = simulate(policy, tables)
    assert not policy.fuses
    assert served_score(tables, COST, served).mean() >= tables.score(COST).mean(axis=0).max() - 0.01
