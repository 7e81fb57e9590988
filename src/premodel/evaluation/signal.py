"""What tells whether a candidate is right: its own confidence and the image features, against permuted controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.metrics import auc
from premodel.records import Criterion
from premodel.training.fit.registry import technique_fit
from premodel.training.folds import Fold, stratified_folds
from premodel.training.tables import Tables

FOLDS = 5
PERMUTATIONS = 20
FITS = 160
"""Most permuted refits of all candidates together; with many candidates there are fewer permutations, 5 at least."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Signal:
    """How well a score tells right from wrong.

    Attributes
    ----------
    auc:
        Area under the ROC curve; NaN if the candidate is always or never right.
    control:
        Interval (mean +- 2 standard deviations) of the same on permuted correctness.
    tells:
        Is the area above that interval.
    """

    auc: float
    control: tuple[float, float]
    tells: bool

    @classmethod
    def of(cls, value: float, permuted: Floats) -> Signal:
        """From the area and those of the permutations."""
        mean, spread = float(permuted.mean()), 2 * float(permuted.std(ddof=1))
        return cls(value, (mean - spread, mean + spread), value > mean + spread)

    def __str__(self) -> str:
        low, high = self.control
        if np.isnan(self.auc):
            return "not known: always or never right"
        return f"{self.auc:.3f} (permuted {low:.3f} to {high:.3f}{'' if self.tells else ', no better than that'})"


def confidence_signals(tables: Tables, criterion: Criterion, seed: int) -> list[Signal]:
    """For each candidate: its own top probability, for "this candidate is right"."""
    correct = tables.correct(criterion)
    rng = np.random.default_rng(seed)
    found = []
    for column in range(correct.shape[1]):
        sure = tables.top_probabilities[:, column, 0].astype(np.float64)
        permuted = [auc(sure, rng.permutation(correct[:, column])) for _ in range(PERMUTATIONS)]
        found.append(Signal.of(auc(sure, correct[:, column]), np.asarray(permuted)))
    return found


def feature_signals(tables: Tables, criterion: Criterion, seed: int) -> list[Signal]:
    """For each candidate: a cross-fitted logistic score on all image features; empty if there are no features.

    Notes
    -----
    The control permutes the samples' features, all candidates alike, and fits again: what the same procedure finds
    where there is nothing to find.
    """
    if not tables.feature_names:
        return []
    correct = tables.correct(criterion)
    folds = stratified_folds(tables.truth, correct.sum(axis=1), FOLDS, seed)
    rng = np.random.default_rng(seed)
    count = max(5, min(PERMUTATIONS, FITS // correct.shape[1]))
    real = _cross_fitted(tables, tables.features, correct, folds, seed)
    permuted = [
        _cross_fitted(tables, tables.features[rng.permutation(len(tables))], correct, folds, seed) for _ in range(count)
    ]
    return [Signal.of(real[column], np.asarray([one[column] for one in permuted])) for column in range(len(real))]


def _cross_fitted(
    tables: Tables, features: NDArray[np.float32], correct: Bools, folds: list[Fold], seed: int
) -> list[float]:
    """Area of each candidate, by scores of models that did not see the sample.

    Scores of different folds come from different fits and are not of one scale: the area is taken within each fold,
    and the mean weighted by how many pairs of a right and a wrong answer the fold has.
    """
    fit = technique_fit("logistic")
    areas, pairs = [], []
    for fold in folds:
        selector = fit(features[fold.train], correct[fold.train], tables.feature_names, seed)
        scores = selector.score_batch(features[fold.test])
        right = correct[fold.test]
        areas.append([auc(scores[:, column], right[:, column]) for column in range(right.shape[1])])
        pairs.append(right.sum(axis=0) * (~right).sum(axis=0))
    weights = np.asarray(pairs, dtype=np.float64)
    total = weights.sum(axis=0)
    found = np.where(weights > 0, np.asarray(areas) * weights, 0.0).sum(axis=0)
    return [float(one / of) if of > 0 else float("nan") for one, of in zip(found, total, strict=True)]
