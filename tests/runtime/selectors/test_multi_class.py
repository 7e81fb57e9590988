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
        multi_class.fit(RAW, LABELS, ("contrast",), technique="forest")
    selector = multi_class.fit(RAW, LABELS, ("contrast",))
    with pytest.raises(BundleError, match="technique"):
        MultiClassSelector.from_components({**selector.settings(), "technique": "chain"}, selector.arrays())


def test_naive_bayes_by_hand_scores_a_class_that_was_never_seen_with_0() -> None:
    raw = np.float32([[0], [2], [2], [4]])
    labels = np.array([[1, 0], [1, 0], [0, 0], [0, 0]], dtype=np.bool_)
    selector = multi_class.fit(raw, labels, ("contrast",), technique="naive_bayes")
    # Two classes of equal share and spread about 1 and 3: at 2 they are as likely, and at 1 the first by e^(2*2/2).
    assert selector.score(np.float32([2])) == pytest.approx([0.5, 0])
    assert selector.score(np.float32([1])) == pytest.approx([1 / (1 + np.exp(-2)), 0])


def test_machines_vote_between_every_two_classes() -> None:
    raw = np.float32([[0], [0.1], [5], [5.1], [10], [10.1]])
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]], dtype=np.bool_)
    selector = multi_class.fit(raw, labels, ("contrast",), technique="svm")
    assert selector.score(np.float32([0])) == pytest.approx([2 / 3, 1 / 3])
    assert selector.score(np.float32([5]))[1] == pytest.approx(2 / 3)
    assert selector.score(np.float32([10])).argmax() == 1, "none has two of three votes, the second candidate one"
    assert selector.score(np.float32([10])) == pytest.approx([0, 1 / 3])
    only = multi_class.fit(raw, np.tile([True, False], (6, 1)), ("contrast",), technique="svm")
    assert only.score_batch(raw).tolist() == [[1, 0]] * 6


@pytest.mark.parametrize(
    ("technique", "name", "value", "reason"),
    [
        ("naive_bayes", "classes", np.array([1, 0, 2], np.int32), "not distinct and rising"),
        ("naive_bayes", "classes", np.array([0, 1, 7], np.int32), "out of range"),
        ("naive_bayes", "variances", np.zeros((3, 1)), "out of range"),
        ("svm", "pairs", np.array([[0, 1]], np.int32), "wrong array pairs"),
        ("svm", "pairs", np.full((3, 2), 3, np.int32), "out of range"),
    ],
)
def test_damaged_components_are_refused(technique: str, name: str, value: np.ndarray, reason: str) -> None:
    selector = multi_class.fit(RAW, LABELS, ("contrast",), technique=technique)
    with pytest.raises(BundleError, match=reason):
        type(selector).from_components(selector.settings(), {**selector.arrays(), name: value})
