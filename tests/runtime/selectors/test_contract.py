"""What every selector must do, whatever its kind."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.errors import BundleError, InputError, OptionError
from premodel.runtime.selectors.base import Arrays, Selector
from premodel.runtime.selectors.registry import KINDS, selector_from_components
from premodel.training.selectors.registry import TECHNIQUES, levels, technique_fit

NAMES = ("contrast", "n_keypoints", "hue1", "constant")
FITS = (*TECHNIQUES, "knn.knn.knn", "knn.svm.decision_tree", "logistic.knn.naive_bayes.knn")
"""Every technique with a name, and some chains; each kind of selector comes of at least one of them."""


def training(seed: int = 0, n: int = 160) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features that say something about the labels; each row predicts yes to at most one of three candidates."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 4)).astype(np.float32) * np.float32([1, 100, 0.01, 0])
    features[:, 3] = 7
    best = np.digitize(features[:, 0] + 0.4 * rng.normal(size=n), [-0.4, 0.4])
    labels = np.zeros((n, 3), dtype=np.bool_)
    labels[np.arange(n), best] = rng.random(n) < 0.9
    return features, labels


@dataclass(frozen=True)
class Built:
    technique: str
    selector: Selector


FEATURES, LABELS = training()
BUILT = [Built(technique, technique_fit(technique)(FEATURES, LABELS, NAMES, 3)) for technique in FITS]
NEW = np.concatenate([training(1)[0], FEATURES[:20], FEATURES[:5] * 50, np.float32([[3e38, -3e38, 1e-38, 0]])])
each = pytest.mark.parametrize("built", BUILT, ids=FITS)


def same(left: Arrays, right: Arrays) -> bool:
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and np.array_equal(left[name], right[name]) for name in left
    )


def test_every_kind_is_in_this_suite() -> None:
    assert {built.selector.kind for built in BUILT} == set(KINDS)


@each
def test_scores_are_shares_one_per_candidate(built: Built) -> None:
    assert built.selector.features == NAMES
    assert built.selector.n_candidates == 3
    for row in NEW:
        scores = built.selector.score(row)
        assert scores.shape == (3,)
        assert scores.dtype == np.float64
        assert ((scores >= 0) & (scores <= 1)).all()


@each
def test_batch_equals_row_by_row(built: Built) -> None:
    batch = built.selector.score_batch(NEW)
    assert batch.dtype == np.float64
    assert np.array_equal(batch, np.stack([built.selector.score(row) for row in NEW]))
    assert built.selector.score_batch(NEW[:0]).shape == (0, 3)


@each
def test_beats_a_coin_where_features_tell(built: Built) -> None:
    features, labels = training(2)
    scores = built.selector.score_batch(features)
    for candidate in range(3):
        yes, no = scores[labels[:, candidate], candidate], scores[~labels[:, candidate], candidate]
        assert yes.mean() > no.mean()


@each
def test_parts_make_an_equal_selector(built: Built) -> None:
    settings = json.loads(json.dumps(built.selector.settings()))
    arrays = {name: array.copy() for name, array in built.selector.arrays().items()}
    again = selector_from_components(built.selector.kind, settings, arrays)
    assert again.settings() == built.selector.settings()
    assert same(again.arrays(), built.selector.arrays())
    assert again.features == built.selector.features
    assert np.array_equal(again.score_batch(NEW), built.selector.score_batch(NEW))


@each
def test_equal_arguments_give_an_equal_selector(built: Built) -> None:
    again = technique_fit(built.technique)(FEATURES.copy(), LABELS.copy(), NAMES, 3)
    assert again.settings() == built.selector.settings()
    assert same(again.arrays(), built.selector.arrays())


@each
def test_scoring_changes_nothing(built: Built) -> None:
    before = {name: array.copy() for name, array in built.selector.arrays().items()}
    row = NEW[0].copy()
    first = built.selector.score(row)
    assert np.array_equal(row, NEW[0])
    assert np.array_equal(first, built.selector.score(row))
    assert same(before, built.selector.arrays())


@each
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_no_number_is_named(built: Built, value: float) -> None:
    row = FEATURES[0].copy()
    row[1] = value
    with pytest.raises(InputError, match=r"feature n_keypoints.*not a finite number"):
        built.selector.score(row)
    with pytest.raises(InputError, match="not a finite number"):
        built.selector.score_batch(np.stack([FEATURES[0], row]))


@each
def test_a_wrong_number_of_features_is_refused(built: Built) -> None:
    with pytest.raises(InputError, match="wrong number of features"):
        built.selector.score(FEATURES[0, :3])
    with pytest.raises(InputError, match="wrong number of features"):
        built.selector.score_batch(FEATURES[:2, :3])


@each
def test_a_missing_setting_is_refused(built: Built) -> None:
    settings = built.selector.settings()
    for name in settings:
        rest = {key: value for key, value in settings.items() if key != name}
        with pytest.raises(BundleError, match=name):
            selector_from_components(built.selector.kind, rest, built.selector.arrays())


@each
def test_a_missing_or_misshapen_array_is_refused(built: Built) -> None:
    settings, arrays = built.selector.settings(), built.selector.arrays()
    for name in arrays:
        rest = {key: value for key, value in arrays.items() if key != name}
        with pytest.raises(BundleError):
            selector_from_components(built.selector.kind, settings, rest)
        for bad in (arrays[name][..., None], arrays[name].astype(np.complex64)):
            with pytest.raises(BundleError):
                selector_from_components(built.selector.kind, settings, {**arrays, name: bad})


@each
def test_arrays_of_nan_are_refused(built: Built) -> None:
    settings, arrays = built.selector.settings(), built.selector.arrays()
    for name, array in arrays.items():
        if array.dtype.kind == "f" and array.size:
            with pytest.raises(BundleError):
                selector_from_components(built.selector.kind, settings, {**arrays, name: np.full_like(array, np.nan)})


@each
def test_labels_all_alike_are_learnt_as_such(built: Built) -> None:
    labels = np.zeros((40, 3), dtype=np.bool_)
    labels[:, 1] = True
    selector = technique_fit(built.technique)(FEATURES[:40], labels, NAMES)
    assert np.array_equal(selector.score_batch(NEW), np.tile([0.0, 1.0, 0.0], (len(NEW), 1)))


@each
def test_features_all_constant_give_one_answer(built: Built) -> None:
    selector = technique_fit(built.technique)(np.ones((40, 4), dtype=np.float32), LABELS[:40], NAMES)
    scores = selector.score_batch(NEW)
    assert np.isfinite(scores).all()
    if built.technique in levels() and built.technique != "decision_tree":
        assert (scores == scores[0]).all()


@each
def test_a_fit_refuses_what_it_cannot_learn_from(built: Built) -> None:
    fit = technique_fit(built.technique)
    with pytest.raises(OptionError, match="no samples"):
        fit(FEATURES[:0], LABELS[:0], NAMES)
    with pytest.raises(OptionError, match="nothing to train"):
        fit(FEATURES, LABELS[:, :0], NAMES)
    broken = FEATURES.copy()
    broken[5, 2] = np.nan
    with pytest.raises(OptionError, match="feature hue1 of training row 5"):
        fit(broken, LABELS, NAMES)


def test_an_unknown_kind_or_technique_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BundleError, match=r"perceptron.*knn"):
        selector_from_components("perceptron", {}, {})
    with pytest.raises(BundleError, match="unknown kind"):
        selector_from_components(None, {}, {})
    for technique in ("perceptron", "knn.", "knn.perceptron", "multi_class.knn", "knn:svm", ""):
        with pytest.raises(OptionError, match=r"unknown technique.*decision_tree"):
            technique_fit(technique)
