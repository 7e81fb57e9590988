from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.cli.common import format_rows
from premodel.cli.evaluate import format_evaluation
from premodel.errors import OptionError
from premodel.evaluation.baselines import (
    FixedChoice,
    MaxProbabilityCascade,
    fit_majority,
    fit_max_probability,
    mix_row,
)
from premodel.evaluation.cross_validation import Method, cross_validate, premodel_method
from premodel.evaluation.evaluate import evaluate
from premodel.evaluation.rows import Row, Singles, compare
from premodel.records import Timing
from premodel.runtime.policies.base import FUSED, AnswersSoFar, CallOptions, Policy, Run, Stop
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.tables import FeatureCosts, Tables

TIMING = Timing(30, 1.0, 1.0, 1.0, 1.0, 0.99, 1.01, True)
LATENCY_MS = np.array([1.0, 4.0, 2.0])


def make_tables(n: int = 200, seed: int = 0, telling: bool = True) -> Tables:
    """Three candidates over four labels; feature 0 tells whether the cheapest is right, if `telling`."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n).astype(np.int32)
    right = np.stack([rng.random(n) < p for p in (0.5, 0.9, 0.6)], axis=1)
    top_labels = np.empty((n, 3, 4), dtype=np.int32)
    for row in range(n):
        for column in range(3):
            others = rng.permutation([label for label in range(4) if label != truth[row]])
            first = [truth[row], *others] if right[row, column] else [others[0], truth[row], *others[1:]]
            top_labels[row, column] = first
    sure = np.where(right, 0.9, 0.5) + 0.05 * rng.random((n, 3))
    rest = (1 - sure[:, :, None]) * np.array([0.5, 0.3, 0.2])
    features = rng.random((n, 2)).astype(np.float32)
    if telling:
        features[:, 0] = right[:, 0]
    return Tables(
        samples=tuple(f"{row:064d}" for row in range(n)),
        truth=truth,
        label_names=tuple("abcd"),
        candidates=("small", "large", "middle"),
        networks=("s", "l", "m"),
        top_labels=top_labels,
        top_probabilities=np.concatenate([sure[:, :, None], rest], axis=2).astype(np.float32),
        entropy=np.ones((n, 3), dtype=np.float32),
        rank=np.where(right, 0, 1).astype(np.int32),
        latency_ms=LATENCY_MS,
        decode_ms=0.5,
        timings=(TIMING,) * 3,
        features=features,
        feature_names=("telling", "noise"),
        feature_costs=FeatureCosts({"part": 0.25}, {"telling": ("part",), "noise": ("part",)}),
        memory_mb=np.full(3, np.nan),
        energy_mj=np.full(3, np.nan),
    )


def fixed(name: str) -> Method:
    return Method(name, "single", "single", lambda tables, seed: FixedChoice(name))


def test_a_fixed_choice_is_the_single_candidate() -> None:
    tables = make_tables()
    outcome = cross_validate(tables, [fixed("large")], criterion="top1", folds=5)[0]
    assert np.array_equal(outcome.top1, tables.correct("top1")[:, 1])
    assert (outcome.source == 1).all()
    assert outcome.ran[:, 1].all()
    assert not outcome.ran[:, [0, 2]].any()
    assert np.array_equal(outcome.union, tables.correct("top1")[:, 1])
    # decode 0.5 + run 4.0 + a decision, which takes some microseconds
    assert (outcome.latency_ms >= 4.5).all()
    assert np.median(outcome.latency_ms) < 5.5


def test_workers_change_nothing() -> None:
    tables = make_tables()
    options = TrainOptions("cascade-routing")
    methods = [premodel_method("routing", options), premodel_method("single", replace(options, policy="single"))]
    reported: list[tuple[int, int, str]] = []
    here = cross_validate(tables, methods, criterion="top1", folds=3)
    apart = cross_validate(
        tables, methods, criterion="top1", folds=3, workers=2, progress=lambda *call: reported.append(call)
    )
    for one, other in zip(here, apart, strict=True):
        assert np.array_equal(one.label, other.label)
        assert np.array_equal(one.ran, other.ran)
        assert np.array_equal(one.source, other.source)
    assert [done for done, _, _ in reported] == [1, 2, 3, 4, 5, 6]
    assert {total for _, total, _ in reported} == {6}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_training_refuses_is_told(workers: int) -> None:
    method = premodel_method("refused", TrainOptions("cascade-routing", technique="knn"))
    with pytest.raises(OptionError, match="technique"):
        cross_validate(make_tables(), [method], criterion="top1", folds=2, workers=workers)


def test_nothing_is_fitted_on_the_samples_it_is_tested_on() -> None:
    tables = make_tables()
    seen: list[set[str]] = []

    def fit(train: Tables, seed: int) -> Policy:
        seen.append(set(train.samples))
        return FixedChoice("small")

    outcome = cross_validate(tables, [Method("spy", "premodel", "single", fit)], criterion="top1", folds=4)[0]
    assert len(seen) == 4
    for number, train in enumerate(seen):
        tested = {tables.samples[row] for row in np.flatnonzero(outcome.fold == number)}
        assert len(tested) == 50
        assert train | tested == set(tables.samples)
        assert not train & tested


def test_permuted_features_lose_their_link() -> None:
    tables = make_tables()
    seen: list[float] = []

    def fit(train: Tables, seed: int) -> Policy:
        seen.append(float(np.mean(train.features[:, 0] == train.correct("top1")[:, 0])))
        return FixedChoice("small")

    method = Method("spy", "premodel", "single", fit)
    cross_validate(tables, [method, replace(method, permute_features=True)], criterion="top1", folds=2)
    assert seen[0] == seen[2] == 1.0
    assert 0.3 < seen[1] < 0.7


class FuseAll(Policy):
    """Runs everything, serves the first label of the last: an answer without a source."""

    kind = "fuse-all"
    candidates = ("small", "large")
    features = ()

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        left = [index for index in range(2) if index not in so_far.predictions]
        return Run(left[0]) if left else Stop(so_far.predictions[1], FUSED)

    def settings(self) -> dict[str, object]:
        return {}

    def arrays(self) -> dict[str, object]:  # type: ignore[override]
        return {}

    @classmethod
    def from_components(cls, settings: object, arrays: object) -> FuseAll:  # type: ignore[override]
        return cls()


def test_a_fused_answer_is_charged_every_run() -> None:
    tables = make_tables(40)
    fuse = Method("fuse", "premodel", "cascade", lambda *_: FuseAll())
    outcome = cross_validate(tables, [fuse], criterion="top1", folds=2)[0]
    assert (outcome.source == FUSED).all()
    assert outcome.ran[:, :2].all()
    assert (outcome.latency_ms >= 0.5 + 1.0 + 4.0).all()


def test_a_served_answer_that_the_profile_denies_is_caught() -> None:
    tables = make_tables(40)
    lying = replace(tables, rank=1 - tables.rank)  # states right where the top label is wrong
    with pytest.raises(AssertionError, match="disagree"):
        cross_validate(lying, [fixed("small")], criterion="top1", folds=2)


def test_rows_of_an_evaluation() -> None:
    tables = make_tables()
    options = {"single": TrainOptions(policy="single", objective=Objective())}
    result = evaluate(tables, options, folds=5)
    rows = {row.name: row for row in result.rows}
    assert {"small", "large", "middle", "oracle", "majority choice", "max-probability cascade", "single"} <= set(rows)
    assert "random mix at single's latency" in rows
    oracle = rows["oracle"]
    assert oracle.accuracy == tables.correct("top1").any(axis=1).mean()
    assert all(row.accuracy <= oracle.accuracy for row in result.rows)
    assert rows["large"].gain_points_vs_best == 0
    assert rows["large"].speedup_vs_best == 1
    assert rows["small"].latency_ms == pytest.approx(1.5)
    assert rows["small"].speedup_vs_best == pytest.approx(4.5 / 1.5)
    data = result.to_json()
    assert {"criterion", "samples", "folds", "seed", "rows"} <= set(data)
    contract = {
        "name", "kind", "policy", "accuracy", "accuracy_ci", "coverage", "latency_ms", "latency_p50_ms",
        "latency_p99_ms",
        "speedup_vs_best", "gain_points_vs_best", "gain_ci", "share", "verdict",
    }  # fmt: skip
    assert all(contract <= set(row) for row in data["rows"])
    assert {row["kind"] for row in data["rows"]} == {"single", "baseline", "premodel"}


def test_features_that_tell_beat_permuted_ones() -> None:
    tables = make_tables(400)
    options = {"paper": TrainOptions(policy="paper", features=2)}
    rows = {row.name: row for row in evaluate(tables, options, folds=4).rows}
    assert rows["paper"].accuracy > rows["paper, permuted features"].accuracy + 0.1
    assert rows["paper"].extra["optimum_share"] > rows["paper, permuted features"].extra["optimum_share"]


def test_the_max_probability_cascade_loses_nothing_where_confidence_is_perfect() -> None:
    tables = make_tables(300)
    policy = fit_max_probability(tables, 0, criterion="top1")
    assert isinstance(policy, MaxProbabilityCascade)
    assert policy.candidates[0] == "small"
    assert 0.5 < policy.threshold <= 0.95
    outcome = cross_validate(
        tables, [Method("cascade", "baseline", "cascade", lambda *_: policy)], criterion="top1", folds=2
    )
    singles = Singles.of(tables, "top1")
    assert outcome[0].top1.mean() >= singles.accuracy.max()
    assert outcome[0].latency_ms.mean() < 4.5


def test_majority_is_the_most_frequent_optimum() -> None:
    policy = fit_majority(make_tables(), 0, criterion="top1")
    assert policy.candidates == ("small",)


def test_too_few_samples_and_a_criterion_that_is_always_met() -> None:
    tables = make_tables(8)
    with pytest.raises(OptionError, match="fewer samples than folds"):
        cross_validate(tables, [fixed("small")], criterion="top1", folds=10)
    with pytest.raises(OptionError, match="top5 is always met"):
        cross_validate(tables, [fixed("small")], criterion="top5", folds=2)


def premodel_row(name: str, correct: np.ndarray, latency_ms: float, singles: Singles) -> Row:
    figures = compare(name, "premodel", "cascade", correct, np.full(len(correct), latency_ms), singles)
    return Row(**figures, coverage=1.0, share={})


@pytest.mark.parametrize(("latency_ms", "at_ms"), [(0.6, 1.5), (3.0, 3.0), (9.0, 4.5)])
def test_a_random_mix_has_a_latency_that_it_can_have(latency_ms: float, at_ms: float) -> None:
    tables = make_tables()
    singles = Singles.of(tables, "top1")  # end to end 1.5, 4.5 and 2.5 ms; the most accurate is the second
    premodel = premodel_row("p", singles.correct[:, 0], latency_ms, singles)
    assert mix_row(premodel, singles).latency_ms == pytest.approx(at_ms)


def test_a_percentile_is_given_only_where_it_is_one() -> None:
    """The latency of a single candidate is a mean, and so would its percentiles be."""
    tables = make_tables()
    rows = {row.name: row for row in evaluate(tables, {"single": TrainOptions(policy="single")}, folds=2).rows}
    for name in ("small", "large", "single", "random mix at single's latency"):
        assert (rows[name].latency_p50_ms, rows[name].latency_p99_ms) == (None, None), name
        assert rows[name].to_json()["latency_p99_ms"] is None
    assert rows["oracle"].latency_p99_ms == pytest.approx(4.5)
    line = next(line for line in format_rows(list(rows.values())).splitlines() if line.startswith("large "))
    assert " 4.50 " in line
    assert "  -  " in line
    labels = tables.top_labels.copy()
    labels[:, 0, 0] = tables.truth
    always = replace(tables, top_labels=labels, rank=(labels[:, :, 0] != tables.truth[:, None]).astype(np.int32))
    rows = {row.name: row for row in evaluate(always, {"single": TrainOptions(policy="single")}, folds=2).rows}
    assert rows["oracle"].served["small"] == 1.0
    assert rows["oracle"].latency_p99_ms is None


def test_the_engine_that_latencies_leave_out_is_named() -> None:
    tables = make_tables()
    options = {"routing": TrainOptions("cascade-routing"), "alone": TrainOptions("single")}
    engine = replace(tables, conditions={**tables.conditions, "engine_ms": 0.125})
    assert "engine" not in format_evaluation(evaluate(tables, options, folds=2))
    note = "latencies of routing: without the engine, 0.125 ms an answer and more for decisions, which the final test"
    assert f"\n{note} counts\n" in format_evaluation(evaluate(engine, options, folds=2))
