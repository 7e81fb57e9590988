from __future__ import annotations

import math

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


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_any_series_has_a_verdict(samples: list[float]) -> None:
    timing = summarise(samples)
    assert timing.valid == (timing.reason == "")
    assert timing.median_ms <= timing.p90_ms * (1 + 1e-9)
    assert timing.p90_ms <= timing.p99_ms * (1 + 1e-9)
    assert not math.isnan(timing.mean_ms)
