from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from premodel.clock import now_ms, summarise


def test_the_clock_never_runs_back() -> None:
    readings = [now_ms() for _ in range(1000)]
    assert readings == sorted(readings)


def test_a_steady_series_is_valid() -> None:
    timing = summarise([20.0] * 29 + [22.0])
    assert timing.valid
    assert timing.reason == ""
    assert timing.count == 30
    assert timing.mean_ms == pytest.approx(20.0 + 2 / 30)
    assert timing.median_ms == 20.0
    # standard deviation of the sample 2 / sqrt(30), so the half width is 1.96 * 2 / 30
    assert timing.ci_high_ms - timing.mean_ms == pytest.approx(1.959964 * 2 / 30, rel=1e-6)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([], "no runs"),
        ([100.0] * 29, "29 runs, 30 needed"),
        ([1.0] * 100, "0.10 s measured, 0.5 s needed"),
        ([1.0, 100.0] * 20, "interval"),
        ([0.0], "interval unknown"),
    ],
)
def test_what_makes_a_record_invalid(samples: list[float], reason: str) -> None:
    timing = summarise(samples)
    assert not timing.valid
    assert reason in timing.reason


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([196.0] * 30 + [400.0] * 30, "rising from third to third of the runs: 196, 298, 400 ms"),
        ([400.0] * 30 + [196.0] * 30, "falling from third to third of the runs: 400, 298, 196 ms"),
        ([100.0] * 20 + [150.0] * 20 + [100.0] * 20, "jumping from third to third of the runs: 100, 150, 100 ms"),
        ([20.0 + 0.1 * i for i in range(90)], "rising"),
        (([0.67] * 9 + [7.7]) * 400, "mean 1.37 ms is far from the median 0.67 ms"),
    ],
)
def test_runs_that_change_with_time_or_are_carried_by_a_few_are_not_valid(samples: list[float], reason: str) -> None:
    timing = summarise(samples)
    assert not timing.valid
    assert reason in timing.reason


@given(st.integers(0, 1000))
def test_noise_is_no_trend(seed: int) -> None:
    """Two kinds of input, taken in random order, differ twofold; no order of them is a trend."""
    runs = np.random.default_rng(seed).choice([20.0, 40.0], 300)
    assert "third" not in summarise(runs.tolist()).reason


def test_a_part_is_judged_within_the_answer_that_holds_it() -> None:
    """Of 10 microseconds with now and then a hundred: noise for itself, nothing beside a millisecond."""
    runs = [0.010] * 9 + [0.100]
    assert "far from the median" in summarise(runs * 60).reason
    whole = summarise(runs * 60, beside_ms=1.0)
    assert whole.valid
    assert whole.mean_ms == pytest.approx(0.019)
    assert "0.31 s measured" in summarise(runs * 30, beside_ms=1.0).reason
    assert "5 % allowed" in summarise([1.0, 30.0] * 60, beside_ms=1.0).reason


def test_inputs_that_differ_by_themselves_make_no_record_invalid() -> None:
    """Nine inputs of 1 ms and one of 11, ten times each: 2 ms on average, twice the median, and nothing disturbed."""
    own, numbers = [1.0] * 9 + [11.0], list(range(10))
    assert "far from the median 1 ms" in summarise(own * 400).reason
    assert summarise(own * 400, inputs=numbers * 400).valid
    # Interruptions that strike all inputs alike are as far from each one's median as from that of all.
    disturbed = ([1.0] * 9 + [11.0]) * 10
    reason = summarise(disturbed * 40, inputs=[one for one in numbers for _ in range(10)] * 40).reason
    assert "mean 2 ms is far from 1 ms, the mean of the inputs' medians" in reason


def test_what_an_input_takes_is_not_known_from_a_few_runs() -> None:
    own, numbers = [1.0] * 90 + [11.0] * 10, list(range(100))
    assert "far from the median 1 ms" in summarise(own * 4, inputs=numbers * 4).reason
    assert "far from" not in summarise(own * 5, inputs=numbers * 5).reason


def test_what_takes_microseconds_is_measured_by_its_number_of_runs() -> None:
    assert "s measured" in summarise([0.001] * 9_999).reason
    assert summarise([0.001] * 10_000).valid


def test_a_slow_start_is_outweighed_by_more_runs() -> None:
    assert not summarise([30.0] * 20 + [20.0] * 40).valid
    assert summarise([30.0] * 20 + [20.0] * 1000).valid


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_any_series_has_a_verdict(samples: list[float]) -> None:
    timing = summarise(samples)
    assert timing.valid == (timing.reason == "")
    assert timing.median_ms <= timing.p90_ms * (1 + 1e-9)
    assert timing.p90_ms <= timing.p99_ms * (1 + 1e-9)
    assert not math.isnan(timing.mean_ms)
