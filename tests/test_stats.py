from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from premodel import stats


def test_wilson_matches_published_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81/263 and 15/148.
    assert stats.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert stats.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert stats.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert stats.wilson(0, 0) == (0.0, 1.0)


def test_paired_bootstrap_covers_the_normal_interval() -> None:
    difference = np.repeat([1.0, 0.0, -1.0], [90, 1340, 70])
    low, high = stats.paired_bootstrap(difference, seed=1, resamples=20000)
    mean, half = difference.mean(), 1.96 * difference.std() / math.sqrt(len(difference))
    assert low == pytest.approx(mean - half, abs=0.001)
    assert high == pytest.approx(mean + half, abs=0.001)


def test_paired_bootstrap_of_equal_methods_is_zero() -> None:
    assert stats.paired_bootstrap(np.zeros(10)) == (0.0, 0.0)
    assert all(math.isnan(value) for value in stats.paired_bootstrap(np.zeros(0)))


def test_macro_scores_by_hand() -> None:
    truth = np.array([0, 0, 1, 1, 2], dtype=np.int32)
    served = np.array([0, 1, 1, -1, 3], dtype=np.int32)
    # class 0: precision 1/1, recall 1/2, F1 2/3; class 1: 1/2, 1/2, 1/2; class 2: never served, 0, 0, 0
    assert stats.macro_scores(truth, served) == pytest.approx((0.5, 1 / 3, (2 / 3 + 1 / 2) / 3))


def test_auc_by_hand() -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    assert stats.auc(scores, np.array([False, False, True, True])) == pytest.approx(0.75)
    assert stats.auc(np.ones(4), np.array([True, False, True, False])) == pytest.approx(0.5)
    assert math.isnan(stats.auc(scores, np.ones(4, dtype=bool)))


def test_geometric_mean() -> None:
    assert stats.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert stats.geometric_mean([0.0, 4.0]) == 0.0


def test_mix_by_hand() -> None:
    latency = np.array([1.0, 2.0, 3.0, 4.0])
    accuracy = np.array([0.5, 0.55, 0.7, 0.65])
    assert stats.upper_hull(latency, accuracy).tolist() == [0, 2]
    assert stats.mix_at(latency, accuracy, 2.0) == (0, 2, 0.5)
    assert stats.mix_at(latency, accuracy, 0.5) == (0, 0, 0.0)
    assert stats.mix_at(latency, accuracy, 9.0) == (2, 2, 0.0)


points = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=12)


@given(points)
def test_no_point_lies_above_the_hull(drawn: list[tuple[int, int]]) -> None:
    latency = np.array([float(x) for x, _ in drawn])
    accuracy = np.array([y / 20 for _, y in drawn])
    for x, y in zip(latency, accuracy, strict=True):
        a, b, share = stats.mix_at(latency, accuracy, float(x))
        assert (1 - share) * latency[a] + share * latency[b] <= max(x, latency.min()) + 1e-9
        assert (1 - share) * accuracy[a] + share * accuracy[b] >= y - 1e-9


def test_reliability_by_hand() -> None:
    """Two bins: 0.2 and 0.4 with one of two right, 0.9 twice with both right: |0.3 - 0.5| and |0.9 - 1|."""
    found = stats.reliability(
        np.asarray([0.2, 0.4, 0.9, 0.9, np.nan]), np.asarray([True, False, True, True, False]), bins=2
    )
    low, high = found.bins
    assert (low.low, low.high, low.count, high.low, high.high, high.count) == (0.0, 0.5, 2, 0.5, 1.0, 2)
    assert (low.mean_score, low.share_right) == pytest.approx((0.3, 0.5))
    assert (high.mean_score, high.share_right) == pytest.approx((0.9, 1.0))
    assert found.error == pytest.approx((2 * 0.2 + 2 * 0.1) / 4)
    assert low.ci == stats.wilson(1, 2)


def test_reliability_at_the_edges() -> None:
    found = stats.reliability(np.asarray([0.0, 1.0]), np.asarray([False, True]))
    assert [one.count for one in found.bins] == [1, *[0] * 8, 1]
    assert found.error == 0
    assert math.isnan(found.bins[4].share_right)
    assert math.isnan(stats.reliability(np.asarray([]), np.asarray([], bool)).error)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 5)), min_size=1, max_size=40))
def test_macro_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, served = np.array(pairs, np.int32).T
    labels = np.unique(truth)
    theirs = precision_recall_fscore_support(truth, served, labels=labels, average="macro", zero_division=0)
    assert stats.macro_scores(truth, served) == pytest.approx(theirs[:3])


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_the_area_under_the_curve_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = (np.array(column) for column in zip(*pairs, strict=True))
    assume(positive.any() and not positive.all())
    assert stats.auc(scores.astype(float), positive) == pytest.approx(roc_auc_score(positive, scores))


@given(st.integers(1, 5000), st.data())
def test_the_interval_of_a_share_is_that_of_scipy(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    theirs = binomtest(successes, n).proportion_ci(method="wilson")
    assert stats.wilson(successes, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
