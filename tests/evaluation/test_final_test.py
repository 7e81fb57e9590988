"""The test before packaging, where what it must say is known."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from premodel.evaluation.evaluate import evaluate
from premodel.evaluation.final_test import ENGINE, final_test, train_and_test, whole_answers_ms
from premodel.runtime.policies.base import Policy
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.simulate import simulate
from premodel.training.tables import FeatureCosts, Tables
from premodel.training.train import train
from telling import telling_tables


def ladder(n: int, latency_ms: tuple[float, ...] = (1.0, 8.0), engine_ms: float | None = None) -> Tables:
    """A cheap candidate right on four of five and sure of it, and a dear one, always right."""
    cheap = np.random.default_rng(0).permutation(np.arange(n) % 5 > 0)
    tables = telling_tables(np.stack([cheap, np.ones(n)], axis=1), latency_ms=latency_ms)
    conditions = tables.conditions if engine_ms is None else {**tables.conditions, ENGINE: engine_ms}
    return dataclasses.replace(
        tables,
        features=np.zeros((n, 0), np.float32),
        feature_names=(),
        feature_costs=FeatureCosts(),
        conditions=conditions,
    )


def experts(n: int = 200) -> Tables:
    """Two of equal cost, each right on the half that the other is wrong on, and sure there."""
    first = np.random.default_rng(0).permutation(np.arange(n) % 2 == 0)
    tables = telling_tables(np.stack([first, ~first], axis=1), sure=0.97, unsure=0.3, latency_ms=(4.0, 4.0))
    return dataclasses.replace(
        tables, features=np.zeros((n, 0), np.float32), feature_names=(), feature_costs=FeatureCosts()
    )


def test_what_is_better_than_every_single_candidate_is_packaged_and_says_so() -> None:
    trained, test = train_and_test(ladder(300), TrainOptions())
    assert test is not None
    assert trained.policy.kind != "single"
    assert test.passed
    assert not test.taken_back
    assert test.verdict.outcome == "better"
    assert test.lines()[-1] == "  better than every single candidate that meets the objective"
    assert [rival.meets for rival in test.rivals] == [False, True]
    assert json.loads(json.dumps(test.to_json(), allow_nan=False))["lines"] == test.lines()


def test_a_policy_below_the_floor_by_its_figures_is_not_told_to_meet_the_objective() -> None:
    _, test = train_and_test(ladder(300), TrainOptions())
    assert test is not None
    below = dataclasses.replace(test, floor_gap=-0.3, floor_ci=(-1.0, 0.4))
    assert below.passed
    assert below.lines()[-2].startswith("  not shown to miss the objective: ")
    assert below.lines()[-1].endswith("that meets the objective; that it meets the objective itself is not shown")


def test_of_fewer_samples_than_a_verdict_needs_one_candidate_alone_is_packaged() -> None:
    trained, test = train_and_test(ladder(20), TrainOptions())
    assert trained.policy.kind == "single"
    assert trained.policy.candidates[0] == "c1"
    assert test is not None
    assert test.taken_back
    said = "\n".join([*trained.summary, *test.lines()])
    assert "too few samples for a verdict: 20, at least 50 are needed" in said
    assert "it beats one candidate alone" not in said
    assert "faster than" not in said.replace("measured: ", "")[: said.index("tested: ")]


def test_a_policy_that_was_named_is_packaged_with_what_the_test_said() -> None:
    trained, test = train_and_test(ladder(20), TrainOptions("cascade-routing"))
    assert trained.policy.kind == "cascade-routing"
    assert test is not None
    assert not test.passed
    assert not test.taken_back


def test_the_engine_counts_and_takes_a_choice_back() -> None:
    """Networks so fast that answering through the engine costs more than choosing saves."""
    fast = (0.02, 0.10)
    without, _ = train_and_test(ladder(300, fast), TrainOptions())
    assert without.policy.kind != "single"
    trained, test = train_and_test(ladder(300, fast, engine_ms=0.05), TrainOptions())
    assert test is not None
    assert trained.policy.kind == "single"
    assert test.taken_back
    assert test.verdict.pace == "slower"
    said = "\n".join([*trained.summary, *test.lines()])
    assert "c1 alone (100.0 % at 0.35 ms) meets the objective, and" in said
    assert "is NOT shown to be better" in said
    assert "it beats one candidate alone" not in said
    assert "chosen: single, " in said


def test_evaluation_shows_what_train_would_package() -> None:
    """A choice that the final test takes back is no row of the evaluation."""
    served = []
    for engine_ms in (None, 0.05):
        tables = ladder(300, (0.02, 0.10), engine_ms)
        rows = evaluate(tables, {"chosen": TrainOptions()}, folds=2).rows
        served.append(next(row for row in rows if row.name == "chosen").served)
    assert "c0" in served[0] or len(served[0]) > 1
    assert served[1] == {"c1": 1.0}


def test_whole_answers_hold_the_engine_and_an_estimate_of_the_decisions_alike_on_every_run() -> None:
    tables = ladder(60, engine_ms=0.05)
    policies: list[Policy] = [train(tables, TrainOptions(name)).policy for name in ("single", "cascade-routing")]
    single, routing = (whole_answers_ms(policy, tables, simulate(policy, tables)) for policy in policies)
    assert single == pytest.approx(np.full(60, 8 + 0.25 + 0.05))
    assert routing.min() == pytest.approx(1 + 0.25 + 0.05 + 0.15)
    again = whole_answers_ms(policies[1], tables, simulate(policies[1], tables))
    assert (routing == again).all()


def test_a_point_below_the_floor_says_so_beside_the_candidate_that_meets_it() -> None:
    """Nothing tells who is right; the dear one alone meets the floor, and a mix of both cannot."""
    rng = np.random.default_rng(1)
    correct = rng.random((300, 2)) < np.asarray([0.5, 0.95])
    tables = telling_tables(correct, sure=0.6, unsure=0.6, latency_ms=(6.0, 5.0))
    floor = Objective(Floor.parse("best+2pt"))
    test = final_test(tables, TrainOptions("cascade-routing", objective=floor))
    assert test.floor_gap is not None
    assert test.floor_gap < 0
    assert any("the objective: " in line and "points to the floor of accuracy" in line for line in test.lines())
    assert not any(rival.meets for rival in test.rivals)
    assert "  no single candidate meets the objective" in test.lines()
    exact = final_test(tables, TrainOptions("cascade-routing", objective=Objective(Floor.parse("best"))))
    assert exact.as_good is not None
    assert exact.as_good.name == "c1"
    assert not exact.passed


def test_two_experts_alone_are_chosen_for_speed_and_the_price_of_accuracy_is_said() -> None:
    trained, test = train_and_test(experts(), TrainOptions())
    assert test is None
    assert trained.policy.kind == "single"
    (line,) = [line for line in trained.summary if line.startswith("for the highest accuracy: ")]
    assert "cascade-routing with --cost-weight 0: " in line
    assert "accuracy higher (+50.0 points" in line
    accurate, tested = train_and_test(experts(), TrainOptions("cascade-routing", objective=Objective(cost_weight=0.0)))
    assert tested is not None
    assert tested.passed
    assert tested.accuracy > 0.99
    assert accurate.policy.kind == "cascade-routing"


def test_equal_training_has_an_equal_test() -> None:
    first, second = (train_and_test(ladder(200), TrainOptions(seed=4))[1] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("policy", ["single", "cascade", "auto"])
def test_under_a_deadline_the_dear_candidate_runs_only_where_it_is_in_time(policy: str) -> None:
    tables = dataclasses.replace(ladder(300), slowness=(0.9, 1.0, 1.1))

    def served(deadline_ms: float) -> tuple[float, float]:
        options = TrainOptions(policy, objective=Objective(deadline_ms=deadline_ms))
        trained, _ = train_and_test(tables, options)
        found = simulate(trained.policy, tables)
        return float((found.labels[:, 0] == tables.truth).mean()), float(found.latency_ms.max())

    late = served(5.0)
    assert late[0] == pytest.approx(0.8), "8 ms are late"
    assert late[1] < 5
    assert served(50.0)[0] == pytest.approx(1.0, abs=0.02)


def test_the_test_compares_answers_that_are_right_and_on_time() -> None:
    tables = dataclasses.replace(ladder(300), slowness=(0.9, 1.0, 1.1))
    _, test = train_and_test(tables, TrainOptions("cascade", objective=Objective(deadline_ms=8.5)))
    assert test is not None
    assert test.on_time is not None
    # Alone the dear one takes 8.25 ms and is late where it is slow: 2 of 3 are on time. The cheap one is right on 80 %.
    assert test.on_time.best_accuracy == pytest.approx(0.8)
    assert test.on_time.accuracy >= 0.8 - 0.02
    assert any(line.startswith("  right and on time: ") for line in test.lines())
