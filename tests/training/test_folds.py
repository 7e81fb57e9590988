from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from premodel.errors import OptionError
from premodel.training.folds import stratified_folds, stratified_subsample


@settings(max_examples=60)
@given(st.data())
def test_folds_divide_the_rows_and_spread_every_frequent_class(data: st.DataObject) -> None:
    n_folds = data.draw(st.integers(2, 10))
    truth = np.array(data.draw(st.lists(st.integers(0, 6), min_size=n_folds, max_size=120)))
    right_counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(truth), max_size=len(truth))))
    folds = stratified_folds(truth, right_counts, n_folds, data.draw(st.integers(0, 99)))
    assert len(folds) == n_folds
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(len(truth)))
    for fold in folds:
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(len(truth)))
        assert np.array_equal(fold.test, np.sort(fold.test))
        assert np.array_equal(fold.train, np.sort(fold.train))
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in range(7):
        counts = [int((truth[fold.test] == label).sum()) for fold in folds]
        if sum(counts) >= n_folds:
            assert max(counts) - min(counts) <= 1
            assert min(counts) >= 1


def test_rare_classes_are_stratified_by_how_many_are_right() -> None:
    """1,500 samples of 1,000 classes: hard and easy ones are spread evenly all the same."""
    rng = np.random.default_rng(0)
    truth = np.concatenate([np.arange(1_000), rng.permutation(1_000)[:500]])
    right_counts = rng.integers(0, 7, 1_500)
    for fold in stratified_folds(truth, right_counts, 10, seed=1):
        assert len(fold.test) == 150
        for count in range(7):
            expected = (right_counts == count).sum() / 10
            assert abs((right_counts[fold.test] == count).sum() - expected) < 1


def test_seed_decides() -> None:
    truth, right_counts = np.repeat(np.arange(5), 20), np.zeros(100, dtype=int)

    def tests(seed: int) -> list[list[int]]:
        return [fold.test.tolist() for fold in stratified_folds(truth, right_counts, 5, seed)]

    assert tests(3) == tests(3)
    assert tests(3) != tests(4)


def test_folds_are_shuffled() -> None:
    folds = stratified_folds(np.zeros(100, dtype=int), np.zeros(100, dtype=int), 2, seed=0)
    assert folds[0].test.tolist() not in (list(range(50)), list(range(0, 100, 2)))


def test_too_few_samples_or_folds_are_refused() -> None:
    zeros = np.zeros(9, dtype=int)
    with pytest.raises(OptionError, match=r"fewer samples than folds.*9 samples, 10 folds"):
        stratified_folds(zeros, zeros)
    with pytest.raises(OptionError, match="too few folds"):
        stratified_folds(zeros, zeros, 1)


def test_a_subsample_keeps_the_shares_of_classes_and_of_hardness() -> None:
    truth = np.repeat([0, 1], [900, 100])
    right_counts = np.tile([0, 1, 2, 2], 250)
    rows = stratified_subsample(truth, right_counts, 100, seed=2)
    assert len(set(rows.tolist())) == 100
    assert np.array_equal(rows, np.sort(rows))
    assert abs((truth[rows] == 0).sum() - 90) <= 1
    for count, share in ((0, 25), (1, 25), (2, 50)):
        assert abs((right_counts[rows] == count).sum() - share) <= 2
    assert rows.tolist() != stratified_subsample(truth, right_counts, 100, seed=3).tolist()


def test_a_subsample_of_all_is_all() -> None:
    zeros = np.zeros(7, dtype=int)
    assert stratified_subsample(zeros, zeros, 7).tolist() == list(range(7))
    assert stratified_subsample(zeros, zeros, 100).tolist() == list(range(7))
    with pytest.raises(OptionError, match="subsample"):
        stratified_subsample(zeros, zeros, 0)
