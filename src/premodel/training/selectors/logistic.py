"""Fit of ridge logistic regression with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.logistic import LogisticSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.selectors.base import check_training, constant_log_odds, fit_each, scikit_learn


def fit(features: Features, labels: NDArray[Any], names: tuple[str, ...], seed: int = 0) -> LogisticSelector:
    """Fit one linear model per candidate (see `Fit`): ridge penalty with C = 1 on min-max scaled features.

    Nothing in it is random. Graded labels are learnt as shares: a score of 0.7 is seven tenths of a yes.
    """
    del seed
    check_training(features, labels, names, graded=True)
    scaler = MinMaxScaler.of(features)
    scaled = scaler(features).astype(np.float64)

    def train(column: NDArray[np.bool_]) -> Any:
        return scikit_learn("linear_model").LogisticRegression(C=1.0, max_iter=1_000).fit(scaled, column)

    weights = np.zeros((labels.shape[1], len(names)))
    intercepts = np.empty(labels.shape[1])
    if labels.dtype != np.bool_:
        return LogisticSelector(names, scaler, *_fit_shares(scaled, labels))
    for index, model in enumerate(fit_each(train, labels)):
        if model is None:
            intercepts[index] = constant_log_odds(labels[:, index])
            continue
        weights[index], intercepts[index] = model.coef_[0], model.intercept_[0]
    return LogisticSelector(names, scaler, weights, intercepts)


def _fit_shares(scaled: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights (m, F) and intercepts (m,) of graded labels: a row counts as yes by its score, and as no by the rest."""
    rows, yes = np.concatenate([scaled, scaled]), np.repeat([True, False], len(scaled))
    weights, intercepts = np.zeros((labels.shape[1], scaled.shape[1])), np.empty(labels.shape[1])
    for index, column in enumerate(labels.T):
        share = np.concatenate([column, 1 - column])
        if (column <= 0).all() or (column >= 1).all():
            intercepts[index] = np.inf if column[0] >= 1 else -np.inf
            continue
        model = scikit_learn("linear_model").LogisticRegression(C=1.0, max_iter=1_000)
        model.fit(rows[share > 0], yes[share > 0], sample_weight=share[share > 0])
        weights[index], intercepts[index] = model.coef_[0], model.intercept_[0]
    return weights, intercepts
