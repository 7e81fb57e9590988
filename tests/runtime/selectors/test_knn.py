"""Worked examples of the KNN chain, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.errors import BundleError, OptionError
from premodel.runtime.selectors.knn import KnnSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.selectors.knn import fit

# One feature over the range 0..8, so that scaled = raw / 8, exactly. Rows by number:
#   0: 0   1: 1   2: 2   3: 3   4: 4   5: 8
RAW = np.float32([[0], [1], [2], [3], [4], [8]])
# Candidate A is the optimum of rows 0, 1, 2; candidate B of rows 3 and 5; nobody of row 4.
LABELS = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 0], [0, 1]], dtype=np.bool_)


def test_shares_of_five_neighbours() -> None:
    selector = fit(RAW, LABELS, ("contrast",))
    assert selector.k == 5
    # At 1.4 the five nearest are 1, 2, 0, 3, 4: three of five say A, one states B.
    near = np.float32([1.4])
    assert selector.neighbours(near).tolist() == [1, 2, 0, 3, 4]
    assert selector.score(near).tolist() == [0.6, 0.2]
    # At 7 they are 5, 4, 3, 2, 1: two of five say A, two say B.
    far = np.float32([7])
    assert selector.neighbours(far).tolist() == [5, 4, 3, 2, 1]
    assert selector.score(far).tolist() == [0.4, 0.4]


def test_equal_distances_go_to_the_earlier_training_row() -> None:
    # At 2 with K = 2: row 2 is nearest; rows 1 and 3 are equally far; row 1 is the earlier.
    selector = fit(RAW, LABELS, ("contrast",), k=2)
    assert selector.neighbours(np.float32([2])).tolist() == [2, 1]
    assert selector.score(np.float32([2])).tolist() == [1.0, 0.0]
    # The same samples in reverse order: row 3 holds 2, row 2 holds 3, row 4 holds 1.
    reverse = fit(RAW[::-1], LABELS[::-1], ("contrast",), k=2)
    assert reverse.neighbours(np.float32([2])).tolist() == [3, 2]
    assert reverse.score(np.float32([2])).tolist() == [0.5, 0.5]


def test_features_weigh_alike_whatever_their_range() -> None:
    # Scaled: (0, 0), (1, 1), (0, 1). The query is (0.4, 0.9): squared distances 0.97, 0.37, 0.17.
    raw = np.float32([[0, 0], [1000, 0.1], [0, 0.1]])
    selector = fit(raw, LABELS[:3], ("n_keypoints", "hue1"), k=3)
    assert selector.neighbours(np.float32([400, 0.09])).tolist() == [2, 1, 0]


def test_distance_is_euclidean() -> None:
    # From the origin, (0.6, 0.6) is nearer than (0, 0.9) by Euclid (0.849), farther by city blocks (1.2).
    rows = np.float32([[0, 0.9], [0.6, 0.6], [1, 1]])
    scaler = MinMaxScaler(np.zeros(2), np.ones(2))
    selector = KnnSelector(("a", "b"), scaler, rows, LABELS[:3], 2)
    assert selector.neighbours(np.float32([0, 0])).tolist() == [1, 0]


def test_the_training_labels_are_not_shared() -> None:
    labels = LABELS.copy()
    selector = fit(RAW, labels, ("contrast",))
    labels[:] = True
    assert selector.score(np.float32([1.4])).tolist() == [0.6, 0.2]


def test_fewer_samples_than_neighbours_are_refused() -> None:
    with pytest.raises(OptionError, match=r"number of neighbours.*given: 5.*1 to the 4"):
        fit(RAW[:4], LABELS[:4], ("contrast",))
    with pytest.raises(OptionError, match="number of neighbours"):
        fit(RAW, LABELS, ("contrast",), k=0)


@pytest.mark.parametrize("k", [7, 0, True, 2.0])
def test_a_bundle_with_a_wrong_k_is_refused(k: object) -> None:
    selector = fit(RAW, LABELS, ("contrast",))
    with pytest.raises(BundleError, match="k"):
        KnnSelector.from_components({**selector.settings(), "k": k}, selector.arrays())


@pytest.mark.parametrize("names", ["contrast", [], ["a", "a"], [3], None])
def test_a_bundle_with_wrong_feature_names_is_refused(names: object) -> None:
    selector = fit(RAW, LABELS, ("contrast",))
    with pytest.raises(BundleError, match="feature names"):
        KnnSelector.from_components({**selector.settings(), "features": names}, selector.arrays())
