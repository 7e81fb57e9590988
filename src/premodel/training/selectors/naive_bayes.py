"""Fit of Gaussian naive Bayes with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.naive_bayes import NaiveBayesSelector
from premodel.runtime.selectors.naive_bayes_classes import NaiveBayesClassesSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.selectors.base import check_training, constant_log_odds, fit_each, scikit_learn


def fit(features: Features, labels: NDArray[np.bool_], names: tuple[str, ...], seed: int = 0) -> NaiveBayesSelector:
    """Fit one two-class model per candidate (see `Fit`); nothing in it is random.

    Notes
    -----
    Variances are raised by 1e-9 of the greatest one, scikit-learn's default, so that none is 0. If all features are
    constant there is no variance at all; then 1 is used and the prior decides.
    """
    del seed
    check_training(features, labels, names)
    scaler = MinMaxScaler.of(features)
    scaled = scaler(features).astype(np.float64)

    def train(column: NDArray[np.bool_]) -> Any:
        return scikit_learn("naive_bayes").GaussianNB().fit(scaled, column)

    shape = (labels.shape[1], 2, len(names))
    means, variances, log_odds = np.zeros(shape), np.ones(shape), np.empty(labels.shape[1])
    flat = not scaled.any()
    for index, model in enumerate(fit_each(train, labels)):
        if model is None:
            log_odds[index] = constant_log_odds(labels[:, index])
            continue
        if not flat:
            means[index], variances[index] = model.theta_, model.var_
        prior = model.class_prior_
        log_odds[index] = np.log(prior[1]) - np.log(prior[0])
    return NaiveBayesSelector(names, scaler, means, variances, log_odds)


def fit_classes(
    features: Features, classes: NDArray[np.intp], n_candidates: int, names: tuple[str, ...]
) -> NaiveBayesClassesSelector:
    """Fit one model over classes 0 .. n_candidates, where class j < n_candidates is candidate j and the last is none.

    Variances as in `fit`.
    """
    scaler = MinMaxScaler.of(features)
    scaled = scaler(features).astype(np.float64)
    model = scikit_learn("naive_bayes").GaussianNB().fit(scaled, classes)
    seen = model.classes_.astype(np.int32)
    shape = (len(seen), len(names))
    means, variances = (model.theta_, model.var_) if scaled.any() else (np.zeros(shape), np.ones(shape))
    return NaiveBayesClassesSelector(names, scaler, n_candidates, seen, means, variances, np.log(model.class_prior_))
