"""The verdict on latencies over time, on curves made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.profiling.sustained import judge_soak
from premodel.store.soaks import Curve

WINDOWS = 180


def curve(columns: dict[str, NDArray[np.float64]], **more: object) -> Curve:
    """Half an hour in windows of 10 s."""
    rows = tuple(zip(*(values.tolist() for values in columns.values()), strict=True))
    n = len(rows)
    none = (None,) * n
    values: dict[str, object] = {"mhz": none, "celsius": none, "throttled": none} | more
    return Curve(
        names=tuple(columns), keys=tuple(columns), planned_s=10.0 * n, window_s=10.0,
        at_s=tuple(10.0 * (row + 1) for row in range(n)), count=tuple((100,) * len(columns) for _ in range(n)),
        mean_ms=rows, median_ms=rows, **values,  # type: ignore[arg-type]
    )  # fmt: skip


def noise(seed: int, level: float = 0.2) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, level, WINDOWS)


def heated(start: float, end: float) -> NDArray[np.float64]:
    """A board that reaches its temperature after ten minutes."""
    return start + (end - start) * np.minimum(1, np.arange(WINDOWS) / 60)


def test_heat_is_a_trend_and_turns_the_order_round() -> None:
    found = judge_soak(curve({"a": heated(10, 16) + noise(0), "b": 12 + noise(1)}))
    a, b = found.trends
    assert (a.word, b.word) == ("rising", "no trend shown")
    assert a.first_ms == pytest.approx(10.25, abs=0.3)
    assert a.last_ms == pytest.approx(16, abs=0.3)
    assert found.first == ("a", "b")
    assert found.last == ("b", "a")
    assert found.swapped == (("a", "b"),)
    first, second = found.lines
    assert first.startswith("sustained, 30 min: a rising by +")
    assert "of the first minute is NOT that of the last: a was faster than b and is now slower" in second


def test_a_board_that_stays_cool_keeps_its_order() -> None:
    found = judge_soak(curve({"a": 10 + noise(0), "b": 12 + noise(1), "c": 30 + noise(2)}))
    assert {one.word for one in found.trends} == {"no trend shown"}
    assert found.swapped == ()
    assert found.lines[0] == "sustained, 30 min: no trend shown"
    assert found.lines[1].startswith("the order by speed of the first minute is that of the last; ")
    assert found.lines[1].endswith("the machine does not show its clock, temperature, throttling")


def test_noise_alone_is_no_trend() -> None:
    named = sum(
        judge_soak(curve({"a": 10 + noise(seed, 1.0)})).trends[0].word != "no trend shown" for seed in range(60)
    )
    assert named <= 2, "one in a hundred of the tests is wrong by its level"


def test_two_candidates_of_the_same_speed_do_not_swap() -> None:
    swapped = [judge_soak(curve({"a": 10 + noise(seed), "b": 10 + noise(seed + 100)})).swapped for seed in range(40)]
    assert sum(map(bool, swapped)) == 0


def test_clock_and_throttling_are_stated() -> None:
    found = judge_soak(
        curve(
            {"a": 10 + noise(0)},
            mhz=tuple(np.linspace(2400, 1500, WINDOWS)),
            celsius=tuple(np.linspace(45, 82, WINDOWS)),
            throttled=(0.0,) * 135 + (3.0,) * 45,
        )
    )
    assert found.lines[1] == (
        "one candidate, so no order to compare with that of the first minute; clock 2400 to 1500 MHz, 45 to 82 degrees "
        "Celsius, throttled in 25 % of the time"
    )


def test_decoding_and_features_have_trends_and_no_place_in_the_order() -> None:
    found = judge_soak(curve({"a": 10 + noise(0), "decode:1": heated(2, 4), "features:7:1": 1 + noise(1, 0.01)}))
    assert found.first == ("a",)
    assert [one.word for one in found.trends] == ["no trend shown", "rising", "no trend shown"]


def test_what_was_broken_off_at_once_is_too_short_for_a_verdict() -> None:
    short = {"a": np.full(4, 10.0), "b": np.full(4, 12.0)}
    found = judge_soak(curve(short))
    assert found.trends == ()
    assert found.lines == ("sustained: 40 s measured, too short to compare its beginning with its end",)
    assert judge_soak(curve({"a": np.zeros(0)})).trends == ()
