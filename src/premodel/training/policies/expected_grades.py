"""Regressions of the grades of answers on what is known of them, for any set of candidates.

Training decides by expectations of answers that were left out: a regression has seen the grades of
its training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.expected_grades import PER_ANSWER

PRIOR_SAMPLES = 10.0
"""As if so many samples had shown that a number tells nothing."""
Z_95_ONE_SIDED = 1.6448536269514722
"""Standard errors by which a regression must predict grades better than the mean does, before it counts."""
MIN_SAMPLES = 30
"""Of one candidate's answers; with fewer its mean grade is expected of every answer."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SetRegressions:
    """Those of one set of k candidates.

    Attributes
    ----------
    constant, weight:
        float64 (k,) and (k, d); the weights are 0 where the mean grade predicts as well.
    left_out:
        float64 (n, k) in [0, 1], what is expected of each training answer by a regression that has not seen it; 0
        where there is none.
    """

    constant: Floats
    weight: Floats
    left_out: Floats


class GradeRegressions:
    """Ridge regressions for every set of m candidates, from sums that are made once.

    Parameters
    ----------
    known:
        float64 (n, d), standardised, d = 1 + m * PER_ANSWER, as of `runtime.policies.expected_grades`.
    grade:
        float64 (n, m).
    answered:
        bool (n, m).
    folds, seed:
        Of the cross-fitting.
    """

    def __init__(self, known: Floats, grade: Floats, answered: NDArray[np.bool_], folds: int, seed: int) -> None:
        n = len(known)
        self._known, self._grade, self._answered = known, grade, answered
        self._design = np.concatenate([np.ones((n, 1)), known], axis=1)
        self._part = np.random.default_rng(seed).permutation(n) % max(2, min(folds, n))
        self._folds = [np.flatnonzero(self._part == fold) for fold in np.unique(self._part)]
        squares, products = [], []
        for rows in self._folds:
            x = self._design[rows]
            there = answered[rows].T.astype(np.float64)
            squares.append([(x * one[:, None]).T @ x for one in there])
            products.append((there * grade[rows].T) @ x)
        self._squares, self._products = np.array(squares), np.array(products)

    def of(self, members: Sequence[int]) -> SetRegressions:
        """Those of a set, each gated by whether it predicts answers left out clearly better than their mean does."""
        chosen, columns = list(members), _columns(members)
        squares = self._squares[:, chosen][:, :, columns][..., columns]
        products = self._products[:, chosen][:, :, columns]
        penalty = np.diag(np.concatenate([[1e-9], np.full(len(columns) - 1, PRIOR_SAMPLES)]))
        total, moment = squares.sum(axis=0), products.sum(axis=0)
        own = _solve(total + penalty, moment)
        without = _solve(total - squares + penalty, moment - products)
        counts, sums = (total - squares)[..., 0, 0], (moment - products)[..., 0]
        left_means = sums / np.maximum(counts, 1.0)
        by_fit, by_mean = np.zeros((len(self._design), len(chosen))), np.zeros((len(self._design), len(chosen)))
        for fold, rows in enumerate(self._folds):
            by_fit[rows] = np.clip(self._design[rows][:, columns] @ without[fold].T, 0.0, 1.0)
            by_mean[rows] = left_means[fold]
        predicts = self._predicts(by_fit, by_mean, chosen)
        means = moment[:, 0] / np.maximum(total[:, 0, 0], 1.0)
        constant = np.where(predicts, own[:, 0], means)
        weight = np.zeros((len(chosen), self._known.shape[1]))
        weight[:, np.asarray(columns[1:]) - 1] = np.where(predicts[:, None], own[:, 1:], 0.0)
        # One mean for all: means without a fold would be low where the fold is good.
        left_out = np.where(predicts, by_fit, means) * self._answered[:, chosen]
        return SetRegressions(constant, weight, left_out)

    def _predicts(self, by_fit: Floats, by_mean: Floats, chosen: Sequence[int]) -> NDArray[np.bool_]:
        """bool (k,): are grades of answers left out predicted clearly better than by their mean."""
        grade, there = self._grade[:, chosen], self._answered[:, chosen]
        less = np.where(there, (by_mean - grade) ** 2 - (by_fit - grade) ** 2, 0.0)
        count = np.maximum(there.sum(axis=0), 1)
        mean = less.sum(axis=0) / count
        spread = np.sqrt(np.maximum((less**2).sum(axis=0) / count - mean**2, 0.0) / count)
        return np.asarray((mean > Z_95_ONE_SIDED * spread) & (count >= MIN_SAMPLES))


def _columns(members: Sequence[int]) -> list[int]:
    """Of the design: the constant, the input's length, and what each member states."""
    return [0, 1, *(2 + PER_ANSWER * j + k for j in members for k in range(PER_ANSWER))]


def _solve(squares: Floats, products: Floats) -> Floats:
    return np.asarray(np.linalg.solve(squares, products[..., None])[..., 0], np.float64)
