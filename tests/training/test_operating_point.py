from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from premodel.training.objective import Floor, Objective
from premodel.training.operating_point import (
    BETWEEN,
    CrossFitted,
    OperatingPoint,
    choose_point,
    falling,
    weight_grid,
    weights_around,
)

GRID = np.asarray([0.0, 0.1, 0.2, 0.3])


def found(shares: list[float], latency_ms: list[float], n: int = 100) -> CrossFitted:
    right = np.stack([np.arange(n) < round(share * n) for share in shares], axis=1)
    return CrossFitted(right, np.tile(latency_ms, (n, 1)))


def point(objective: Objective, shares: list[float], latency_ms: list[float], best: float = 0.8) -> OperatingPoint:
    return choose_point(found(shares, latency_ms), GRID, objective, best)


def test_falling_by_hand() -> None:
    assert falling(np.asarray([0.9, 0.8, 0.82, 0.5])).tolist() == pytest.approx([0.9, 0.81, 0.81, 0.5])
    assert falling(np.asarray([1.0, 2.0, 6.0])).tolist() == pytest.approx([3.0, 3.0, 3.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_falling_falls_keeps_the_mean_and_what_falls_already(values: list[float]) -> None:
    out = falling(np.asarray(values))
    assert (np.diff(out) <= 1e-12).all()
    assert out.mean() == pytest.approx(np.mean(values), abs=1e-9)
    down = np.sort(values)[::-1]
    assert np.allclose(falling(down), down)


def test_a_floor_takes_the_cheapest_point_that_keeps_it() -> None:
    chosen = point(Objective(), [0.84, 0.82, 0.80, 0.70], [4, 3, 2, 1])
    assert (chosen.index, chosen.met, chosen.cost_weight) == (2, True, 0.2)
    above = point(Objective(Floor.parse("best+1pt")), [0.84, 0.82, 0.80, 0.70], [4, 3, 2, 1])
    assert above.index == 1
    assert point(Objective(Floor.parse("0.7")), [0.84, 0.82, 0.80, 0.70], [4, 3, 2, 1]).index == 3


def test_a_lucky_count_is_not_believed() -> None:
    """0.79, 0.75, 0.81 fall as 0.79, 0.78, 0.78: no point keeps 0.80 although one was counted above it."""
    chosen = point(Objective(), [0.79, 0.75, 0.81, 0.70], [4, 3, 2, 1])
    assert not chosen.met
    assert chosen.index == 0
    lucky = point(Objective(Floor.parse("0.78")), [0.79, 0.75, 0.81, 0.70], [4, 3, 2, 1])
    assert (lucky.index, lucky.met) == (2, True)
    assert lucky.accuracy == pytest.approx(0.78)
    assert lucky.accuracy_as_counted == pytest.approx(0.81)


def test_a_ceiling_leaves_a_hundredth() -> None:
    shares = [0.84, 0.82, 0.80, 0.70]
    assert point(Objective(max_latency_ms=3.0), shares, [4, 3, 2, 1]).index == 2
    assert point(Objective(max_latency_ms=3.1), shares, [4, 3, 2, 1]).index == 1
    missed = point(Objective(max_latency_ms=0.5), shares, [4, 3, 2, 1])
    assert (missed.index, missed.met) == (3, False)


def test_a_ceiling_holds_for_the_policy_itself_too() -> None:
    shares, objective = [0.84, 0.82, 0.80, 0.70], Objective(max_latency_ms=3.1)
    crossed = found(shares, [4, 3, 2, 1])
    chosen = [
        choose_point(replace(crossed, own_ms=np.asarray(own_ms)), GRID, objective, 0.8).index
        for own_ms in ([4, 3, 2, 1], [3, 3, 2, 1], [4, 3.2, 2.5, 1], [4, 4, 4, 1])
    ]
    assert chosen == [1, 1, 2, 3]


def test_floor_and_ceiling_both_hold() -> None:
    shares = [0.84, 0.82, 0.80, 0.70]
    both = Objective(Floor.parse("0.81"), max_latency_ms=3.5)
    assert point(both, shares, [4, 3, 2, 1]).index == 1
    assert not point(Objective(Floor.parse("0.83"), max_latency_ms=3.5), shares, [4, 3, 2, 1]).met


def test_a_cost_weight_is_taken_as_given() -> None:
    chosen = point(Objective(cost_weight=0.1), [0.84, 0.82, 0.80, 0.70], [4, 3, 2, 1])
    assert (chosen.index, chosen.cost_weight, chosen.met) == (1, 0.1, True)


@given(st.integers(0, len(weight_grid(2.0, None)) - 1))
def test_weights_around_lie_between_the_neighbours(index: int) -> None:
    grid = weight_grid(2.0, None)
    between = weights_around(grid, index)
    low, high = grid[max(index - 1, 0)], grid[min(index + 1, len(grid) - 1)]
    assert len(between) == BETWEEN * (1 if index in (0, len(grid) - 1) else 2)
    assert (np.diff(between) > 0).all()
    assert low < between[0]
    assert between[-1] < high
    assert not np.isin(between, grid).any()


def test_a_grid_of_one_weight_has_nothing_around_it() -> None:
    assert weights_around(np.array([0.5]), 0).size == 0
