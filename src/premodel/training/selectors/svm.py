"""Fit of the support vector machines with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.runtime.selectors.svm import SvmSelector
from premodel.training.folds import stratified_subsample
from premodel.training.selectors.base import check_training, constant_log_odds, fit_each, scikit_learn

ROWS = 3_000
"""Most training samples; a machine's training time grows with their square and its decision time with their number."""


def fit(
    features: Features, labels: NDArray[np.bool_], names: tuple[str, ...], seed: int = 0, rows: int = ROWS
) -> SvmSelector:
    """Fit one machine per candidate (see `Fit`): C = 1, gamma = 1 / (F * variance of the scaled features).

    Notes
    -----
    With more than `rows` samples a subsample is used, stratified by the pattern of labels. On labels that features
    hardly separate nearly every training sample is a support vector, so that without a cap neither the fit's nor the
    decision's time would be bounded. The scaler is fitted on all samples.
    """
    check_training(features, labels, names)
    scaler = MinMaxScaler.of(features)
    _, pattern = np.unique(labels, axis=0, return_inverse=True)
    kept = stratified_subsample(pattern.reshape(-1), np.zeros(len(labels), dtype=np.intp), rows, seed)
    scaled, labels = scaler(features)[kept], labels[kept]
    spread = float(scaled.astype(np.float64).var())
    gamma = 1.0 / (len(names) * spread) if spread > 0 else 1.0

    def train(column: NDArray[np.bool_]) -> Any:
        return scikit_learn("svm").SVC(C=1.0, kernel="rbf", gamma=gamma, cache_size=500).fit(scaled, column)

    machines = fit_each(train, labels)
    support = np.unique(np.concatenate([np.empty(0, int), *[one.support_ for one in machines if one is not None]]))
    weights = np.zeros((len(machines), len(support)))
    intercepts = np.empty(len(machines))
    for index, machine in enumerate(machines):
        if machine is None:
            intercepts[index] = constant_log_odds(labels[:, index])
            continue
        weights[index, np.searchsorted(support, machine.support_)] = machine.dual_coef_[0]
        intercepts[index] = machine.intercept_[0]
    return SvmSelector(names, scaler, scaled[support.astype(np.intp)], weights, intercepts, gamma)
