"""Graded scores and latencies of each sample: tables, labels, selection, simulation and evaluation work on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.evaluation.baselines import oracle_row, single_rows
from premodel.evaluation.doctor import diagnose
from premodel.evaluation.evaluate import evaluate
from premodel.evaluation.rows import Singles
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.training.labels import make_labels, optimum
from premodel.training.model_selection import select_models
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.selectors.logistic import fit
from premodel.training.simulate import served_score, simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables

QUALITY = "quality"


def graded_tables(n: int = 240, seed: int = 0) -> Tables:
    """Two candidates: a cheap one that is good on short samples, a dear one that is always fairly good.

    The second takes ten times as long, and both take longer the longer the sample is.
    """
    rng = np.random.default_rng(seed)
    length = rng.random(n)
    score = np.stack([np.clip(1.0 - length + rng.normal(0, 0.05, n), 0, 1), np.full(n, 0.7)], axis=1)
    features = np.stack([length, rng.random(n), rng.random(n)], axis=1)
    made = make_tables(np.ones((n, 2)), features=features, names=("cheap", "dear"), seed=seed)
    sample_ms = (1 + length)[:, None] * np.array([1.0, 10.0])
    return replace(made, graded={QUALITY: score}, sample_ms=sample_ms, latency_ms=sample_ms.mean(axis=0))


class TestTables:
    def test_the_score_of_labels_is_one_where_the_answer_is_right_else_zero(self) -> None:
        tables = make_tables([[1, 0], [0, 1], [1, 1]])
        assert tables.score("top1").tolist() == [[1, 0], [0, 1], [1, 1]]
        assert tables.score("top1").dtype == np.float64
        assert tables.right_counts("top1").tolist() == [1, 1, 2]
        assert tables.criteria == ("top1", "top5")

    def test_a_graded_criterion_comes_first_and_has_no_right_answers(self) -> None:
        tables = graded_tables(8)
        assert tables.criteria == (QUALITY, "top1", "top5")
        assert tables.score(QUALITY) is tables.graded[QUALITY]
        with pytest.raises(OptionError, match="graded criterion has no right and wrong answers; given: quality"):
            tables.correct(QUALITY)

    def test_without_labels_only_graded_criteria_are_known(self) -> None:
        tables = replace(graded_tables(8), label_names=())
        assert tables.criteria == (QUALITY,)
        with pytest.raises(OptionError, match="unknown criterion; given: top1; allowed: quality"):
            tables.score("top1")

    def test_some_samples_have_their_own_scores_latencies_and_mean_latency(self) -> None:
        tables = graded_tables(12)
        some = tables.take(np.array([3, 5])).take_candidates([1])
        assert some.score(QUALITY).tolist() == tables.score(QUALITY)[[3, 5]][:, [1]].tolist()
        assert some.latency().tolist() == tables.latency()[[3, 5]][:, [1]].tolist()
        assert some.latency_ms == pytest.approx(tables.latency()[[3, 5], 1].mean())

    def test_a_constant_latency_is_that_of_every_sample(self) -> None:
        tables = make_tables([[1, 0], [0, 1]], latency_ms=[2.0, 5.0])
        assert tables.latency().tolist() == [[2.0, 5.0], [2.0, 5.0]]


class TestLabels:
    def test_the_optimum_is_the_cheapest_of_the_best(self) -> None:
        score = np.array([[0.4, 0.9, 0.9], [0.5, 0.2, 0.1], [0.0, 0.0, 0.0]])
        assert optimum(score, np.array([1.0, 5.0, 3.0])).tolist() == [
            [False, False, True],
            [True, False, False],
            [False, False, False],
        ]

    def test_the_optimum_is_by_the_latency_of_the_sample(self) -> None:
        right = np.array([[True, True], [True, True]])
        assert optimum(right, np.array([[1.0, 2.0], [2.0, 1.0]])).tolist() == [[True, False], [False, True]]

    def test_graded_scores_are_their_own_labels(self) -> None:
        assert make_labels("right", np.array([[0.25, 1.0]]), np.array([1.0, 2.0])).tolist() == [[0.25, 1.0]]
        assert make_labels("right", np.array([[0.0, 1.0]]), np.array([1.0, 2.0])).dtype == np.bool_


def test_model_selection_counts_what_the_best_answer_becomes_better_by() -> None:
    score = np.array([[0.5, 0.75, 0.5], [1.0, 0.25, 1.0], [0.25, 0.25, 0.5], [1.0, 0.0, 0.0]])
    found = select_models(score, np.array([1.0, 2.0, 3.0]), ["a", "b", "c"], theta=0)
    # a is the optimum of two of four; b would raise the first sample by 0.25, c the third by as much but dearer.
    assert found.chosen == (0, 1, 2)
    assert [step.coverage_after for step in found.steps] == [0.6875, 0.75, 0.8125]
    assert [step.gain_points for step in found.steps] == [68.75, 6.25, 6.25]


def test_a_logistic_selector_learns_shares() -> None:
    features = np.repeat([[0.0], [1.0]], 200, axis=0).astype(np.float32)
    labels = np.repeat([[0.2, 0.0], [0.8, 0.0]], 200, axis=0)
    selector = fit(features, labels, ("x",))
    low, high = selector.score(np.array([0.0], np.float32)), selector.score(np.array([1.0], np.float32))
    assert low[0] == pytest.approx(0.2, abs=0.02)
    assert high[0] == pytest.approx(0.8, abs=0.02)
    assert low[1] == high[1] == 0.0


def test_serving_takes_the_time_and_the_score_of_the_sample() -> None:
    tables = graded_tables(20)
    policy = Single(("dear", "cheap"), (0.7, 0.5), Costs((10.0, 1.0), 0.25))
    served = simulate(policy, tables)
    assert served.latency_ms - served.select_ms == pytest.approx(tables.decode_ms + tables.latency()[:, 1])
    assert served_score(tables, QUALITY, served).tolist() == [0.7] * 20


class TestEvaluation:
    def test_accuracy_is_the_mean_score_and_percentiles_are_of_the_samples(self) -> None:
        tables = graded_tables()
        rows = single_rows(tables, Singles.of(tables, QUALITY))
        assert rows[0].accuracy == pytest.approx(tables.score(QUALITY)[:, 0].mean())
        assert rows[0].accuracy_ci[0] < rows[0].accuracy < rows[0].accuracy_ci[1]
        assert rows[0].latency_p99_ms is not None
        assert rows[0].latency_p50_ms is not None
        assert rows[0].latency_p99_ms > rows[0].latency_p50_ms > 1.25

    def test_the_oracle_takes_the_best_answer_in_the_time_of_its_sample(self) -> None:
        tables = graded_tables()
        row = oracle_row(tables, QUALITY, Singles.of(tables, QUALITY))
        best = tables.score(QUALITY).argmax(axis=1)
        assert row.accuracy == pytest.approx(tables.score(QUALITY).max(axis=1).mean())
        assert row.latency_ms == pytest.approx(0.25 + tables.latency()[np.arange(len(best)), best].mean())

    def test_a_choice_by_length_beats_the_random_mix(self) -> None:
        tables = graded_tables()
        options = TrainOptions("select", QUALITY, Objective(cost_weight=0.01))
        found = evaluate(tables, {"select": options}, criterion=QUALITY, folds=4)
        row = next(row for row in found.rows if row.name == "select")
        assert row.comparison is not None
        assert row.comparison.choice == "above"
        assert row.accuracy > 0.7

    def test_cascades_take_graded_scores_and_auto_chooses_what_serves_the_objective_best(self) -> None:
        tables, options = graded_tables(), TrainOptions("auto", QUALITY, Objective(cost_weight=0.01))
        assert train(tables, replace(options, policy="cascade")).policy.kind == "graded-cascade"
        assert train(tables, options).policy.kind == "select"

    def test_the_doctor_advises_on_graded_scores(self) -> None:
        found = diagnose(graded_tables(), QUALITY)
        assert found.oracle.union == pytest.approx(graded_tables().score(QUALITY).max(axis=1).mean())
        assert found.policy in ("select", "single")
