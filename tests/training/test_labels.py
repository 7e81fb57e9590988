from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from premodel.errors import OptionError
from premodel.training.labels import LABEL_SCHEMES, make_labels, optimum, right

LATENCY = np.float64([4.0, 1.0, 4.0, 2.0])
CORRECT = np.array(
    [
        [1, 1, 1, 1],  # 1 is the fastest
        [1, 0, 1, 1],  # 3
        [1, 0, 1, 0],  # 0 and 2 are equally fast: the earlier
        [0, 0, 1, 0],  # 2
        [0, 0, 0, 0],  # none
    ],
    dtype=np.bool_,
)


def test_optimum_is_the_fastest_right_one_ties_by_order() -> None:
    assert optimum(CORRECT, LATENCY).astype(int).tolist() == [
        [0, 1, 0, 0],
        [0, 0, 0, 1],
        [1, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]


def test_right_is_each_candidates_own_success() -> None:
    labels = right(CORRECT)
    assert np.array_equal(labels, CORRECT)
    assert labels is not CORRECT


def test_schemes_by_name() -> None:
    assert LABEL_SCHEMES == ("optimum", "right")
    assert np.array_equal(make_labels("optimum", CORRECT, LATENCY), optimum(CORRECT, LATENCY))
    assert np.array_equal(make_labels("right", CORRECT, LATENCY), CORRECT)
    with pytest.raises(OptionError, match=r"label scheme.*given: best.*optimum, right"):
        make_labels("best", CORRECT, LATENCY)


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1)), st.randoms())
def test_optimum_is_one_right_candidate_that_none_right_is_faster_than(correct: np.ndarray, random: object) -> None:
    latency = np.float64([random.choice([1.0, 2.0, 3.0]) for _ in range(correct.shape[1])])  # type: ignore[attr-defined]
    labels = optimum(correct, latency)
    assert np.array_equal(labels.sum(axis=1), correct.any(axis=1))
    for row, label in zip(correct, labels, strict=True):
        if label.any():
            assert row[label.argmax()]
            assert latency[label.argmax()] == latency[row].min()
