from __future__ import annotations

import numpy as np
import pytest

from premodel.errors import BundleError, OptionError
from premodel.runtime.selectors.components import Components
from premodel.runtime.selectors.scaling import MinMaxScaler

ROWS = np.float32([[2, 10, 5], [4, 30, 5], [3, 20, 5]])


def test_training_range_becomes_0_to_1_and_a_constant_0() -> None:
    scaled = MinMaxScaler.of(ROWS)(ROWS)
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0]]


def test_values_outside_go_on_along_the_line_and_stop_one_range_away() -> None:
    scaler = MinMaxScaler.of(ROWS)
    assert scaler(np.float32([5, 5, 9])).tolist() == [1.5, -0.25, 0]
    assert scaler(np.float32([1e9, -1e9, -1e9])).tolist() == [2, -1, 0]
    assert scaler(np.float32([3.4e38, -3.4e38, 3.4e38])).tolist() == [2, -1, 0]


def test_a_range_too_small_for_float32_does_not_overflow() -> None:
    scaler = MinMaxScaler.of(np.float32([[0.0], [1e-45]]))
    assert scaler(np.float32([3e38])).tolist() == [2]


def test_no_rows_are_refused() -> None:
    with pytest.raises(OptionError, match="no samples"):
        MinMaxScaler.of(ROWS[:0])


def test_parts_round_trip_and_a_reversed_range_is_refused() -> None:
    scaler = MinMaxScaler.of(ROWS)
    again = MinMaxScaler.from_components(Components("knn", {}, scaler.arrays()), 3)
    assert np.array_equal(again(ROWS * 3), scaler(ROWS * 3))
    turned = {"low": scaler.high, "high": scaler.low}
    with pytest.raises(BundleError, match="low is above its high"):
        MinMaxScaler.from_components(Components("knn", {}, turned), 3)
