"""Fit of ridge logistic regression by Newton's method."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.logistic import LogisticSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.calibration import sigmoid
from premodel.training.product import product
from premodel.training.selectors.base import check_training, constant_log_odds

STEPS = 100
CONVERGED = 1e-10
"""A step below this is the last."""
HALVINGS = 30
"""Of a step that would make the labels less likely."""

Floats = NDArray[np.float64]


def fit(features: Features, labels: NDArray[Any], names: tuple[str, ...], seed: int = 0) -> LogisticSelector:
    """Fit one linear model per candidate (see `Fit`): ridge penalty with C = 1 on min-max scaled features.

    Nothing in it is random. Graded labels are learnt as shares: a score of 0.7 is seven tenths of a yes.

    Notes
    -----
    The model is scikit-learn's `LogisticRegression(C=1.0)`, at the very minimum of its loss. With a handful of
    features a Newton step is a small matrix product, and no package has to be loaded.
    """
    del seed
    check_training(features, labels, names, graded=True)
    scaler = MinMaxScaler.of(features)
    rows = np.column_stack([scaler(features).astype(np.float64), np.ones(len(features))])
    weights = np.zeros((labels.shape[1], len(names)))
    intercepts = np.empty(labels.shape[1])
    for index, column in enumerate(labels.T):
        share = column.astype(np.float64)
        if (share <= 0).all() or (share >= 1).all():
            intercepts[index] = constant_log_odds(share >= 1)
            continue
        found = _most_likely(rows, share)
        weights[index], intercepts[index] = found[:-1], found[-1]
    return LogisticSelector(names, scaler, weights, intercepts)


def _most_likely(rows: Floats, share: Floats) -> Floats:
    """Weights (F + 1,) of least loss, the intercept last and free of the ridge; `share` (n,) is how much of a yes."""
    ridge = np.append(np.ones(rows.shape[1] - 1), 0.0)
    found = np.zeros(rows.shape[1])
    odds = product(rows, found)
    loss = _loss(odds, share, found, ridge)
    for _ in range(STEPS):
        chance = sigmoid(odds)
        slope = product(rows.T, share - chance) - ridge * found
        bend = product(rows.T * (chance * (1 - chance)), rows) + np.diag(ridge)
        step = np.linalg.lstsq(bend, slope)[0]
        for _ in range(HALVINGS):
            tried = found + step
            odds = product(rows, tried)
            reached = _loss(odds, share, tried, ridge)
            if reached <= loss or np.abs(step).max() < CONVERGED:
                break
            step = step / 2
        found, loss = tried, reached
        if np.abs(step).max() < CONVERGED:
            break
    return found


def _loss(odds: Floats, share: Floats, weights: Floats, ridge: Floats) -> float:
    """Minus the log likelihood of the shares, with the penalty."""
    return float((np.logaddexp(0, odds) - share * odds).sum() + 0.5 * (ridge * weights * weights).sum())
