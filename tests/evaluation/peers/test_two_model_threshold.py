"""Two candidates and a logistic score of the features."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.evaluation.peers import two_model_threshold
from premodel.evaluation.peers.two_model_threshold import SHARES, logistic, two_model_thresholds
from premodel.training.folds import stratified_folds
from profiles import make_tables

pytest.importorskip("sklearn")


def test_it_pays_for_all_features() -> None:
    rng = np.random.default_rng(0)
    right = np.stack([rng.random(60) < 0.5, rng.random(60) < 0.9], axis=1)
    tables = make_tables(right, latency_ms=[1, 4], decode_ms=0.5)
    fold = stratified_folds(tables.truth, right.sum(axis=1), 3, 0)[0]
    both = list(two_model_thresholds(tables, "top1", fold, 0))
    before_ms = 0.5 + tables.feature_costs.of(tables.feature_names)
    assert before_ms > 0.5
    assert {value for _, (_, latency_ms) in both for value in latency_ms} <= {before_ms + 1, before_ms + 4}
    assert len(both) == len(SHARES)
    assert {(len(seen[0]), len(unseen[0])) for seen, unseen in both} == {(40, 20)}


def test_one_candidate_best_in_every_way_is_served_alone() -> None:
    tables = make_tables([[1, 0]] * 12, latency_ms=[1, 4], decode_ms=0.5)
    fold = stratified_folds(tables.truth, np.ones(12, np.intp), 3, 0)[0]
    ((seen, unseen),) = two_model_thresholds(tables, "top1", fold, 0)
    assert seen[0].all()
    assert unseen[0].all()
    assert set(unseen[1]) == {0.5 + tables.feature_costs.of(tables.feature_names) + 1}


def test_of_many_rows_some_are_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 2)).astype(np.float32)
    target = features[:, 0] > 0
    monkeypatch.setattr(two_model_threshold, "FIT_ROWS", 100)
    score = logistic(features, target)
    assert np.array_equal(score(features), logistic(features[::4], target[::4])(features))
    assert (score(features)[target] > 0.5).mean() > 0.9
    assert logistic(features, np.ones(400, bool))(features[:2]).tolist() == [1.0, 1.0]
