from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.training.folds import Fold, stratified_folds
from premodel.training.knn_accuracy import (
    BLOCK,
    FEW,
    KnnAccuracy,
    leave_one_out,
    nearest_columns,
    nearest_without_each,
)
from premodel.training.selectors import knn

CHOSEN = np.array([2, 0, 3])


def first_above_half(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    yes = scores > 0.5
    return np.where(yes.any(axis=1), CHOSEN[yes.argmax(axis=1)], -1)


def samples(n: int = 150, n_features: int = 5) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, n_features)).astype(np.float32)
    correct = rng.normal(size=(n, 4)) + features[:, [1]] > 0
    return features, correct[:, CHOSEN], correct


def slowly(
    features: NDArray[np.float32],
    labels: NDArray[np.bool_],
    correct: NDArray[np.bool_],
    folds: list[Fold],
    kept: list[int],
) -> float:
    """Fit and serve fold by fold with the deployed selector."""
    hits = 0
    for fold in folds:
        names = tuple(f"f{column}" for column in kept)
        selector = knn.fit(features[fold.train][:, kept], labels[fold.train], names)
        for row in fold.test:
            served = first_above_half(selector.score(features[row, kept])[None])[0]
            hits += served >= 0 and correct[row, served]
    return hits / len(features)


def test_equals_fitting_and_serving_fold_by_fold() -> None:
    features, labels, correct = samples()
    folds = stratified_folds(np.zeros(150, dtype=int), correct.sum(axis=1), 5)
    accuracy = KnnAccuracy(features, labels, correct, first_above_half, folds, 5)
    kept = [0, 1, 3, 4]
    assert accuracy.all_of(kept) == slowly(features, labels, correct, folds, kept)
    expected = [slowly(features, labels, correct, folds, [one for one in kept if one != out]) for out in kept]
    assert accuracy.without_each(kept).tolist() == expected
    assert expected[1] < max(expected)  # the feature that tells is missed


def test_ties_are_the_deployed_selectors() -> None:
    """Features of few values: nearly every distance ties."""
    features, labels, correct = samples()
    coarse = np.round(features).clip(-1, 1)
    folds = stratified_folds(np.zeros(150, dtype=int), correct.sum(axis=1), 3)
    accuracy = KnnAccuracy(coarse, labels, correct, first_above_half, folds, 5)
    assert accuracy.all_of([0, 1, 2]) == slowly(coarse, labels, correct, folds, [0, 1, 2])


def test_fewer_training_samples_than_neighbours_are_refused() -> None:
    features, labels, correct = samples(8)
    folds = stratified_folds(np.zeros(8, dtype=int), correct.sum(axis=1), 2)
    with pytest.raises(OptionError, match="too few samples to select features"):
        KnnAccuracy(features, labels, correct, first_above_half, folds, 5)


def test_leave_one_out_by_hand() -> None:
    terms = np.float32([[1, 10], [2, 20], [4, 40]])
    assert [one.tolist() for one in leave_one_out(terms)] == [[6, 60], [5, 50], [3, 30]]
    assert [one.tolist() for one in leave_one_out(terms[:1])] == [[0, 0]]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nearest_columns_with_ties(data: st.DataObject) -> None:
    n = BLOCK * data.draw(st.integers(1, 8))
    seed = data.draw(st.integers(0, 1_000))
    few = data.draw(arrays(np.float32, 3, elements=st.floats(0, 4, width=32)))
    distance = np.random.default_rng(seed).choice(few, size=(2, n))
    distance[:, -3:] = np.inf
    k = data.draw(st.integers(1, 12))
    expected = [sorted(np.argsort(row, kind="stable")[:k].tolist()) for row in distance]
    assert np.sort(nearest_columns(distance, k), axis=1).tolist() == expected


@pytest.mark.parametrize("spread", [0.05, 1.0, 30.0])
def test_without_each_term_the_nearest_are_those_of_all_columns(spread: float) -> None:
    """Terms alike, so that few columns can be near, and terms of which one outweighs the rest, so that many can."""
    rng = np.random.default_rng(0)
    n, features = 4 * FEW + 30, 6
    terms = np.full((features, 20, -(-n // BLOCK) * BLOCK), np.inf, np.float32)
    terms[:, :, :n] = rng.exponential(1, (1, 20, n)) + spread * rng.exponential(1, (features, 20, n))
    terms[:, :10] = np.round(terms[:, :10])  # half of them with ties
    found = nearest_without_each(terms, 5, n)
    for term in range(features):
        expected = nearest_columns(np.delete(terms, term, axis=0).sum(axis=0, dtype=np.float32), 5)
        assert np.array_equal(np.sort(found[term, :10], axis=1), np.sort(expected[:10], axis=1))
        assert (np.sort(found[term, 10:], axis=1) == np.sort(expected[10:], axis=1)).mean() > 0.99, "but for rounding"
