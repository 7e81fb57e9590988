"""What predicts whether a candidate is right: its own confidence and the image features, against permuted controls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.stats import auc
from premodel.training.folds import Fold, stratified_folds
from premodel.training.product import product
from premodel.training.tables import Tables

FOLDS = 5
PERMUTATIONS = 199
LEVEL = 0.95
"""Share of the permutations in which the controls hold the areas of all candidates at once."""
RIDGE = 4.0
"""Penalty of the least squares on min-max scaled features: that of a logistic fit with C = 1 where half are right."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Signal:
    """How well a score separates right from wrong.

    Attributes
    ----------
    auc:
        Area under the ROC curve; NaN if the candidate is always or never right.
    control:
        Interval of the same on permuted correctness. It is wide enough to hold all candidates of the profile at once
        in 95 % of the permutations, so that looking at many candidates finds no more by chance than looking at one.
    informative:
        Is the area above that interval.
    permutations:
        How many are behind the interval.
    """

    auc: float
    control: tuple[float, float]
    informative: bool
    permutations: int = PERMUTATIONS

    def __str__(self) -> str:
        low, high = self.control
        if np.isnan(self.auc):
            return "not known: always or never right"
        return f"{self.auc:.3f} (permuted {low:.3f} to {high:.3f}{'' if self.informative else ', no better than that'})"


def confidence_signals(tables: Tables, criterion: Criterion, seed: int) -> list[Signal]:
    """For each candidate: its own top probability, for "this candidate is right".

    Failed predictions are left out: they are wrong and have no confidence, which would predict them perfectly.
    """
    correct = _succeeded(tables, criterion)
    answered = tables.answered
    confidence = tables.top_probabilities[:, :, 0].astype(np.float64)
    rng = np.random.default_rng(seed)
    permuted = [_areas(confidence, correct[rng.permutation(len(correct))], answered) for _ in range(PERMUTATIONS)]
    return _signals(_areas(confidence, correct, answered), np.stack(permuted), _spread([correct], answered))


def feature_signals(tables: Tables, criterion: Criterion, seed: int) -> list[Signal]:
    """For each candidate: a cross-fitted linear score on all image features; empty if there are no features.

    Notes
    -----
    The control permutes correctness within the folds, all candidates alike, and fits again: what the same procedure
    finds where there is nothing to find. The score is that of ridge least squares, not of a logistic fit: on profiles
    of 1,500 samples and more their areas differ by less than 0.01, and it is refitted 100 times as fast.
    """
    if not tables.feature_names:
        return []
    correct = _succeeded(tables, criterion)
    folds = stratified_folds(tables.truth, tables.right_counts(criterion), FOLDS, seed)
    fits = [_FoldFit.of(tables.features, fold) for fold in folds]
    rng = np.random.default_rng(seed)
    permuted = []
    for _ in range(PERMUTATIONS):
        rows = np.arange(len(correct))
        for fold in folds:
            rows[fold.test] = rng.permutation(fold.test)
        permuted.append(_cross_fitted(fits, correct[rows]))
    return _signals(_cross_fitted(fits, correct), np.stack(permuted), _spread([correct[fold.test] for fold in folds]))


def _succeeded(tables: Tables, criterion: Criterion) -> Bools:
    """Bool (n, m): right; of a graded criterion, better than the candidate's mean."""
    if criterion not in tables.graded:
        return tables.correct(criterion)
    score = tables.score(criterion)
    return np.asarray(score > score.mean(axis=0))


@dataclass(frozen=True, eq=False)
class _FoldFit:
    """Least squares on the training rows of a fold, solved but for the labels.

    Attributes
    ----------
    solver:
        float64 (F, n_train): times labels it gives weights.
    test:
        float64 (n_test, F), scaled features of the rows that are scored.
    """

    fold: Fold
    solver: Floats
    test: Floats

    @classmethod
    def of(cls, features: NDArray[np.float32], fold: Fold) -> _FoldFit:
        scaler = MinMaxScaler.of(features[fold.train])
        train, test = (scaler(features[rows]).astype(np.float64) for rows in (fold.train, fold.test))
        centred = train - train.mean(axis=0)
        solver = np.linalg.solve(product(centred.T, centred) + RIDGE * np.eye(centred.shape[1]), centred.T)
        return cls(fold, solver, test)

    def areas(self, correct: Bools) -> Floats:
        """Area of each candidate on the test rows, by weights from the training rows."""
        weights = product(self.solver, correct[self.fold.train].astype(np.float64))
        scores = product(self.test, weights)
        return _areas(scores, correct[self.fold.test])


def _cross_fitted(fits: list[_FoldFit], correct: Bools) -> Floats:
    """Area of each candidate, by scores of models that did not see the sample.

    Scores of different folds come from different fits and are not of one scale: the area is taken within each fold,
    and the mean weighted by how many pairs of a right and a wrong answer the fold has.
    """
    weights = np.stack([_pairs(correct[one.fold.test]) for one in fits])
    areas = np.stack([one.areas(correct) for one in fits])
    total = weights.sum(axis=0)
    found = np.where(weights > 0, areas * weights, 0.0).sum(axis=0)
    return np.asarray(np.divide(found, total, out=np.full(len(total), np.nan), where=total > 0), dtype=np.float64)


def _signals(areas: Floats, permuted: Floats, spread: Floats) -> list[Signal]:
    """One signal per candidate, from m areas, those of the permutations (p, m), and what they spread by.

    Notes
    -----
    The largest deviation from 0.5 over all candidates, in units of `spread`, is compared with the same in each
    permutation, and so is the least (Westfall and Young, "Resampling-based multiple testing", 1993): with p = 199 it
    exceeds the 195th by chance in at most 5 of 200 profiles. Each side has its own limit, for areas taken by
    cross-validation may reach further below 0.5 than above it.
    """
    known = np.isfinite(spread)
    if not known.any():
        return [Signal(math.nan, (math.nan, math.nan), False) for _ in spread]
    deviations = np.nan_to_num((permuted[:, known] - 0.5) / spread[known])  # permuted, all may be right by chance
    beyond = round((1 - LEVEL) / 2 * (len(permuted) + 1))
    low = 0.5 + np.sort(deviations.min(axis=1))[beyond - 1] * spread
    high = 0.5 + np.sort(deviations.max(axis=1))[-beyond] * spread
    return [
        Signal(float(area), (float(least), float(most)), bool(area > most), len(permuted))
        for area, least, most in zip(areas, low, high, strict=True)
    ]


def _spread(parts: list[Bools], answered: Bools | None = None) -> Floats:
    """Standard deviation of each candidate's area without information, up to a factor; NaN if always or never right.

    It is that of the Mann-Whitney statistic, as if the parts were scored independently. They are not, since each is
    trained on by the others; the factor is the same for all candidates and comes from the permutations.
    """
    total = np.asarray([_pairs(part, answered) for part in parts]).sum(axis=0)
    counts = [np.asarray(len(part)) if answered is None else answered.sum(axis=0) for part in parts]
    variances = [_pairs(part, answered) * (n + 1) / 12 for part, n in zip(parts, counts, strict=True)]
    variance = np.asarray(variances).sum(axis=0)
    spread = np.divide(np.sqrt(variance), total, out=np.full(len(total), np.nan), where=total > 0)
    return np.asarray(spread, dtype=np.float64)


def _areas(scores: Floats, correct: Bools, answered: Bools | None = None) -> Floats:
    """float64 (m,): area of each candidate's scores, over the samples that it answered."""
    rows = np.ones_like(correct) if answered is None else answered
    columns = range(correct.shape[1])
    return np.asarray([auc(scores[rows[:, c], c], correct[rows[:, c], c]) for c in columns])


def _pairs(correct: Bools, answered: Bools | None = None) -> Floats:
    """float64 (m,): pairs of a right and a wrong answer, by candidate."""
    rows = np.ones_like(correct) if answered is None else answered
    right = (correct & rows).sum(axis=0)
    return np.asarray(right * (rows.sum(axis=0) - right), dtype=np.float64)
