"""Fit of the support vector machines with scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.runtime.selectors.svm import SvmSelector
from premodel.runtime.selectors.svm_pairs import SvmPairsSelector
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
    _, pattern = np.unique(labels, axis=0, return_inverse=True)
    scaler, kept, gamma = _prepare(features, pattern.reshape(-1), rows, seed)
    scaled, labels = scaler(features)[kept], labels[kept]
    machines = fit_each(lambda column: _machine(scaled, column, gamma), labels)
    everyone = np.arange(len(scaled))
    constant = [constant_log_odds(column) for column in labels.T]
    return _selector(names, scaler, scaled, [(one, everyone) for one in machines], constant, gamma)


def fit_classes(
    features: Features,
    classes: NDArray[np.intp],
    n_candidates: int,
    names: tuple[str, ...],
    seed: int = 0,
    rows: int = ROWS,
) -> SvmPairsSelector:
    """Fit a machine between every two classes of 0 .. n_candidates, the last of which is none; settings as in `fit`."""
    scaler, kept, gamma = _prepare(features, classes, rows, seed)
    scaled, classes = scaler(features)[kept], classes[kept]
    seen = np.unique(classes)
    pairs = list(combinations(seen.tolist(), 2)) or [(int(seen[0]), int(seen[0]))]
    machines = []
    for first, second in pairs:
        own = np.flatnonzero((classes == first) | (classes == second))
        labels = (classes[own] == first)[:, None]
        rows_of_pair = scaled[own]
        machines.append((fit_each(partial(_machine, rows_of_pair, gamma=gamma), labels)[0], own))
    inner = _selector(names, scaler, scaled, machines, [float("inf")] * len(pairs), gamma)
    return SvmPairsSelector(inner, n_candidates, np.array(pairs, np.int32))


def _prepare(
    features: Features, strata: NDArray[np.intp], rows: int, seed: int
) -> tuple[MinMaxScaler, NDArray[np.intp], float]:
    """The scaler, the rows that are trained on, and the kernel's gamma."""
    scaler = MinMaxScaler.of(features)
    kept = stratified_subsample(strata, np.zeros(len(strata), dtype=np.intp), rows, seed)
    spread = float(scaler(features)[kept].astype(np.float64).var())
    return scaler, kept, 1.0 / (features.shape[1] * spread) if spread > 0 else 1.0


def _machine(scaled: Features, labels: NDArray[np.bool_], gamma: float) -> Any:
    return scikit_learn("svm").SVC(C=1.0, kernel="rbf", gamma=gamma, cache_size=500).fit(scaled, labels)


def _selector(
    names: tuple[str, ...],
    scaler: MinMaxScaler,
    scaled: Features,
    machines: Sequence[tuple[Any | None, NDArray[np.intp]]],
    constant: Sequence[float],
    gamma: float,
) -> SvmSelector:
    """Join machines, each with the rows it was fitted on; `constant` is the log odds where there is none."""
    found = [(machine, None if machine is None else own[machine.support_]) for machine, own in machines]
    support = np.unique(np.concatenate([np.empty(0, np.intp), *[own for _, own in found if own is not None]]))
    weights = np.zeros((len(machines), len(support)))
    intercepts = np.array(constant, np.float64)
    for index, (machine, own) in enumerate(found):
        if machine is not None and own is not None:
            weights[index, np.searchsorted(support, own)] = machine.dual_coef_[0]
            intercepts[index] = machine.intercept_[0]
    return SvmSelector(names, scaler, scaled[support], weights, intercepts, gamma)
