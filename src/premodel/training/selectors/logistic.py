"""Fit of ridge logistic regression with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.logistic import LogisticSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.selectors.base import check_training, constant_log_odds, fit_each, scikit_learn


def fit(features: Features, labels: NDArray[np.bool_], names: tuple[str, ...], seed: int = 0) -> LogisticSelector:
    """Fit one linear model per candidate (see `Fit`): ridge penalty with C = 1 on min-max scaled features.

    Nothing in it is random.
    """
    del seed
    check_training(features, labels, names)
    scaler = MinMaxScaler.of(features)
    scaled = scaler(features).astype(np.float64)

    def train(column: NDArray[np.bool_]) -> Any:
        return scikit_learn("linear_model").LogisticRegression(C=1.0, max_iter=1_000).fit(scaled, column)

    weights = np.zeros((labels.shape[1], len(names)))
    intercepts = np.empty(labels.shape[1])
    for index, model in enumerate(fit_each(train, labels)):
        if model is None:
            intercepts[index] = constant_log_odds(labels[:, index])
            continue
        weights[index], intercepts[index] = model.coef_[0], model.intercept_[0]
    return LogisticSelector(names, scaler, weights, intercepts)
