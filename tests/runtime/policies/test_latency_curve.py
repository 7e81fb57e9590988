"""Curves of latency over length: never falling, finite, the same alone and in a batch, checked when read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from premodel.errors import BundleError, OptionError
from premodel.records import Prediction
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Run, Stop
from premodel.runtime.policies.costs import MAX_MS, Costs
from premodel.runtime.policies.latency_curve import LatencyCurves
from premodel.runtime.policies.loop import serve
from premodel.runtime.policies.single import Single

CURVES = LatencyCurves("n_words", (2.0, 4.0, 8.0), ((1.0, 2.0, 8.0), (5.0, 5.0, 5.0)))


def test_between_points_lies_a_line_and_beyond_the_last_the_slope_of_the_whole() -> None:
    found = CURVES.of(np.array([0.0, 2.0, 3.0, 6.0, 8.0, 14.0]))
    assert found[:, 0].tolist() == pytest.approx([1, 1, 1.5, 5, 8, 15])
    assert set(found[:, 1].tolist()) == {5.0}


def test_a_longer_input_is_never_expected_to_take_less_and_every_latency_is_finite() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        k = int(rng.integers(2, 12))
        points = np.sort(rng.choice(1000, k, replace=False)).astype(float)
        rows = np.sort(rng.lognormal(0, 3, (3, k)), axis=1)
        curves = LatencyCurves("n_chars", tuple(points.tolist()), tuple(map(tuple, rows.tolist())))
        found = curves.of(np.sort(np.concatenate([points, rng.uniform(0, 2000, 200), [1e9]])))
        assert np.isfinite(found).all()
        assert (np.diff(found, axis=0) >= -1e-9 * found[1:]).all()
        assert (found <= MAX_MS).all()


def test_a_length_seen_before_has_the_same_latencies_which_no_one_can_write_to() -> None:
    curves = LatencyCurves("n_words", (2.0, 4.0, 8.0), ((1.0, 2.0, 8.0), (5.0, 5.0, 5.0)))
    first = curves.at(3.0)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0.0
    assert [curves.at(length)[0] for length in (3.0, 6.0, 3.0, 6.0)] == [1.5, 5.0, 1.5, 5.0]
    many = [curves.at(float(length))[1] for length in range(10_000)]  # more than are kept
    assert set(many) == {5.0}
    assert curves.at(14.0)[0] == 15.0


def test_one_at_a_time_is_to_the_bit_what_many_are() -> None:
    lengths = np.random.default_rng(1).uniform(0, 20, 100)
    many = CURVES.of(lengths)
    assert all((CURVES.at(one) == row).all() for one, row in zip(lengths.tolist(), many, strict=True))


def test_costs_with_curves_are_read_as_they_were_written() -> None:
    costs = Costs((2.0, 5.0), 0.1, by_length=CURVES)
    assert Costs.from_json(json.loads(json.dumps(costs.to_json())), 2) == costs
    assert "by_length" not in Costs((2.0, 5.0), 0.1).to_json()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lengths": [2, 2, 8]}, "must rise"),
        ({"lengths": [2, 4, float("nan")]}, "must rise"),
        ({"lengths": [2, 2 + 1e-12, 8]}, "must rise by 1e-06 or more"),
        ({"lengths": [2]}, "2 to 1000 points"),
        ({"latency_ms": [[1, 2, 8]]}, "a measure and 2 curves"),
        ({"latency_ms": [[1, 2, 8], [5, 4, 5]]}, "must not fall"),
        ({"latency_ms": [[1, 2, 8], [5, 5, float("inf")]]}, "must not fall, from 0 to 1e"),
        ({"latency_ms": [[1, 2, 8], [5, 5]]}, "curves are wrong"),
        ({"measure": 3}, "a measure"),
        ({"slope": 1}, "must have measure, lengths and latency_ms"),
    ],
)
def test_curves_that_are_none_are_refused(change: dict[str, object], reason: str) -> None:
    data = Costs((2.0, 5.0), 0.1, by_length=CURVES).to_json()
    with pytest.raises(BundleError, match=reason):
        Costs.from_json({**data, "by_length": {**data["by_length"], **change}}, 2)


def answer(_: int) -> Prediction:
    return Prediction(np.array([0], np.int32), np.array([0.9], np.float32), 0.1)


def test_under_a_budget_nothing_is_started_that_would_take_longer_for_an_input_of_this_length() -> None:
    policy = Single(("growing", "steady"), (0.9, 0.5), Costs((3.0, 5.0), 0.0, by_length=CURVES))
    for length, budget, ran in ((2, 1.2, 0), (8, 6.0, 1), (8, 9.0, 0)):
        so_far = AnswersSoFar(latency_ms=CURVES.at(length))
        assert serve(policy, answer, so_far, CallOptions(max_latency_ms=budget)).ran == (ran,)
    with pytest.raises(OptionError, match=r"5\.000 ms or more: the cheapest candidate is steady"):
        serve(policy, answer, AnswersSoFar(latency_ms=CURVES.at(20)), CallOptions(max_latency_ms=4.0))


def test_a_cost_weight_prices_the_latency_of_this_length() -> None:
    policy = Single(("growing", "steady"), (0.9, 0.8), Costs((3.0, 5.0), 0.0, by_length=CURVES))
    for length, chosen in ((2, 0), (8, 1)):
        step = policy.next(AnswersSoFar(latency_ms=CURVES.at(length)), CallOptions(cost_weight=0.05))
        assert isinstance(step, Run)
        assert step.candidate == chosen


def test_without_an_inputs_length_the_means_hold() -> None:
    policy = Single(("growing", "steady"), (0.9, 0.8), Costs((3.0, 5.0), 0.0, by_length=CURVES))
    trace = serve(policy, answer, AnswersSoFar(), CallOptions(max_latency_ms=4.0))
    assert isinstance(trace.steps[-1], Stop)
    assert trace.ran == (0,)
