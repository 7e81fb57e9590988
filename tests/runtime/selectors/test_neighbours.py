from __future__ import annotations

from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from premodel.runtime.selectors import neighbours
from premodel.runtime.selectors.neighbours import NeighbourSearch, bounding_boxes, leaf_order


def brute_force(rows: NDArray[np.float32], query: NDArray[np.float32], k: int) -> list[int]:
    """The definition, one row and one feature at a time."""
    measured = []
    for number, row in enumerate(rows.tolist()):
        total = 0.0
        for value, wanted in zip(row, query.tolist(), strict=True):
            total += (value - wanted) * (value - wanted)
        measured.append((total, number))
    return [number for _, number in sorted(measured)[:k]]


GRID = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0])
"""Few values, so that many rows are equal and many distances tie."""
ANY = st.floats(-1, 2, width=32)
TINY = st.floats(0, 2.0**-66, width=32)
"""Squares of these vanish in float32."""


@pytest.mark.parametrize("boxes", [False, True])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_equals_brute_force_with_ties(boxes: bool, data: st.DataObject) -> None:
    n_features = data.draw(st.integers(1, 12))
    n = data.draw(st.integers(1, 60))
    values = data.draw(st.sampled_from([GRID, ANY, TINY]))
    distinct = data.draw(arrays.arrays(np.float32, (n, n_features), elements=values))
    rows = distinct[data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=120))]
    k = data.draw(st.integers(1, len(rows)))
    small = patch.multiple(neighbours, BLOCK=4, BOXES_FROM=2, BOXES_UP_TO=99) if boxes else nullcontext()
    with small:
        search = NeighbourSearch(rows, k)
    queries = [data.draw(arrays.arrays(np.float32, n_features, elements=values)), rows[0]]
    for query in queries:
        assert search.nearest(query).tolist() == brute_force(rows, query, k)


@pytest.mark.parametrize("n_features", [1, 7, 8, 9, 29])
@pytest.mark.parametrize("step", [0.0, 1e-4, 0.25])
def test_equals_brute_force_over_many_blocks(n_features: int, step: float) -> None:
    """More rows than one block holds; rounded to a step so that rows repeat and distances tie."""
    rng = np.random.default_rng(n_features)
    rows = rng.random((20_001, n_features))
    rows = (np.round(rows / step) * step if step else rows).astype(np.float32)
    rows[5_000:5_200] = rows[:200]
    search = NeighbourSearch(rows, 5)
    beyond = np.full((1, n_features), 2, dtype=np.float32)
    for query in [*rows[:3], rows[5_001], *beyond, *rng.random((30, n_features)).astype(np.float32)]:
        squares = np.zeros(len(rows))
        for column in range(n_features):
            squares += np.square(rows[:, column].astype(np.float64) - np.float64(query[column]))
        assert search.nearest(query).tolist() == np.lexsort((np.arange(len(rows)), squares))[:5].tolist()


def test_blocks_hold_every_row_once_and_boxes_hold_their_rows() -> None:
    rows = np.random.default_rng(0).random((1_001, 3)).astype(np.float32)
    order = leaf_order(rows, 64)
    assert sorted(order.tolist()) == list(range(1_001))
    low, high = bounding_boxes(rows[order], 64)
    assert low.shape == high.shape == (3, 16)
    for block in range(16):
        inside = rows[order[block * 64 : (block + 1) * 64]]
        assert np.array_equal(low[:, block], inside.min(axis=0))
        assert np.array_equal(high[:, block], inside.max(axis=0))
    volumes = np.prod(high - low, axis=0)
    assert np.median(volumes) < 0.2  # 16 blocks of rows at random would each span nearly everything


def test_rows_crowded_far_from_the_rest_are_still_told_apart() -> None:
    """Differences far below the rounding of the rough distances decide."""
    rng = np.random.default_rng(0)
    rows = (1 + 1e-6 * rng.random((3_000, 5))).astype(np.float32)
    rows[::7] = -1
    search = NeighbourSearch(rows, 5)
    for query in rows[1:6]:
        assert search.nearest(query).tolist() == brute_force(rows, query, 5)


def test_equal_rows_come_in_training_order() -> None:
    rows = np.zeros((5_000, 3), dtype=np.float32)
    assert NeighbourSearch(rows, 5).nearest(np.ones(3, dtype=np.float32)).tolist() == [0, 1, 2, 3, 4]


def test_all_rows_may_be_asked_for() -> None:
    rows = np.float32([[0.0], [1.0], [0.4]])
    assert NeighbourSearch(rows, 3).nearest(np.float32([0.6])).tolist() == [2, 1, 0]
