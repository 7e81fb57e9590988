from __future__ import annotations

import numpy as np
import pytest

from premodel.errors import BundleError, OptionError
from premodel.runtime.selectors.multi_class import MultiClassSelector
from premodel.training.selectors import multi_class

RAW = np.float32([[0], [1], [2], [3], [4], [10]])
LABELS = np.array([[1, 0], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0]], dtype=np.bool_)


def test_class_shares_by_hand_and_none_is_the_rest() -> None:
    selector = multi_class.fit(RAW, LABELS, ("contrast",))
    # At 1.4 the neighbours are 1, 2, 0, 3, 4: two for the first candidate, one for the second, two for none.
    scores = selector.score(np.float32([1.4]))
    assert scores.tolist() == [0.4, 0.2]
    assert selector.none(scores) == pytest.approx(0.4)
    assert MultiClassSelector.none(np.float64([[0.5, 0.5], [0, 0.1]])).tolist() == pytest.approx([0, 0.9])


def test_one_tree_over_all_classes() -> None:
    selector = multi_class.fit(RAW, LABELS, ("contrast",), technique="decision_tree")
    assert selector.technique == "decision_tree"
    assert len(selector.arrays()["roots"]) == 1
    assert selector.score_batch(RAW).tolist() == LABELS.astype(float).tolist()


def test_a_class_without_samples_scores_0() -> None:
    labels = np.zeros((6, 3), dtype=np.bool_)
    labels[:3, 2] = True
    for technique in ("knn", "decision_tree"):
        scores = multi_class.fit(RAW, labels, ("contrast",), technique=technique).score_batch(RAW)
        assert (scores[:, :2] == 0).all()


def test_several_yes_per_sample_are_refused() -> None:
    with pytest.raises(OptionError, match=r"one class per sample.*optimum"):
        multi_class.fit(RAW, np.ones((6, 2), dtype=np.bool_), ("contrast",))


def test_an_unknown_technique_is_refused() -> None:
    with pytest.raises(OptionError, match="technique"):
        multi_class.fit(RAW, LABELS, ("contrast",), technique="svm")
    selector = multi_class.fit(RAW, LABELS, ("contrast",))
    with pytest.raises(BundleError, match="technique"):
        MultiClassSelector.from_components({**selector.settings(), "technique": "chain"}, selector.arrays())
