from __future__ import annotations

import numpy as np
import pytest

from premodel.training.selectors import svm

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra lab")
NAMES = ("contrast", "hue1")


def test_many_samples_are_cut_to_a_subsample_of_every_label_pattern() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2_000, 2)).astype(np.float32)
    labels = features + rng.normal(size=(2_000, 2)) > 1.5
    selector = svm.fit(features, labels, NAMES, rows=200)
    assert len(selector.arrays()["support"]) <= 200
    whole = svm.fit(features, labels, NAMES)
    assert np.array_equal(selector.arrays()["low"], whole.arrays()["low"])  # scaled by all samples
    agree = (selector.score_batch(features) > 0.5) == (whole.score_batch(features) > 0.5)
    assert agree.mean() > 0.9


def test_one_candidate_all_alike_beside_one_that_is_not() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 2)).astype(np.float32)
    labels = np.stack([features[:, 0] > 0, np.zeros(60, dtype=np.bool_)], axis=1)
    scores = svm.fit(features, labels, NAMES).score_batch(features)
    assert (scores[:, 1] == 0).all()
    assert ((scores[:, 0] > 0.5) == labels[:, 0]).mean() > 0.9
