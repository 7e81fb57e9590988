"""Weights of fusion, fitted by conditional maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.fusion import SAFE
from premodel.training.log_scores import LogScoreTable
from premodel.training.product import product

RIDGE = 20.0
TOTAL = 1.4
"""Weights are drawn toward TOTAL / candidates each: independent experts would have 1 each, copies 1 together."""
STEPS = 6
MAX_STEP = 0.5
"""Longest step of one weight."""
HALVINGS = 8
"""Of a step that would make the truth less likely."""
MIN_STEP = 0.03
"""A step below this is the last: what is left after it is a small part of it, and it is less than a standard error."""
PART = 4
"""Of many samples, every fourth finds where to begin, and gives the curvature on all."""
MIN_PART = 500
"""Samples below which no part is taken."""
MAX_WEIGHT = 4.0
MOST_FLAGS = 255
"""Labels that a byte numbers."""

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
Weights = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fused:
    """Fused distributions of n samples; labels come first: what is done for each sample is done for many at once.

    Attributes
    ----------
    raised:
        float32 (K + 1, n): the distributions, times `total`; the last row is all other labels together.
    total:
        float32 (n,).
    """

    raised: Floats
    total: Floats

    def of(self, answers: Rows) -> Floats:
        """float32 (n,), probability of some labels together, by their rows (N, n); row K counts as nothing."""
        samples, none = np.arange(len(self.total)), len(self.raised) - 1
        found = np.zeros(len(self.total), np.float32)
        for row in answers:
            found += np.where(row == none, np.float32(0), self.raised[row, samples])
        return found / self.total

    def top(self, top_n: int) -> Rows:
        """intp (N, n): rows of the most probable labels; of equal ones the first, as labels rise with rows."""
        raised = self.raised[:-1]
        if top_n > 1 or len(raised) > MOST_FLAGS:
            return np.argsort(-raised, axis=0, kind="stable")[:top_n]
        # Many times quicker than `argmax` over the first axis.
        place = np.arange(len(raised), 0, -1, dtype=np.uint8)[:, None]
        highest = ((raised == raised.max(axis=0)) * place).max(axis=0, keepdims=True)
        return np.asarray(len(raised) - highest.astype(np.intp))


def fuse(log_scores: Sequence[Floats], log_count: Floats, weights: Weights) -> Fused:
    """The fused distributions of many samples.

    Parameters
    ----------
    log_scores:
        float32 (K, n) of each of the j candidates fused.
    log_count:
        float32 (K + 1, n).
    weights:
        (j,).
    """
    raised, gained = log_count.copy(), np.empty(log_scores[0].shape, np.float32)
    for own, weight in zip(log_scores, weights.tolist(), strict=True):
        raised[:-1] += np.multiply(own, np.float32(weight), out=gained)
    if weights.sum() > SAFE:
        raised -= raised.max(axis=0)
    np.exp(raised, out=raised)
    return Fused(raised, raised.sum(axis=0))


class WeightFit:
    """Fits the weights of any of some candidates on the same samples.

    Parameters
    ----------
    log_scores, log_count:
        float32 (n, K) of each of the candidates, and (n, K + 1), as of `LogScoreTable`.
    truth:
        intp (n,), column of the truth; K where it has none.
    ridge:
        Half of it times the squared distance is the penalty, beside a sum over samples.

    Notes
    -----
    Of many samples a part is fitted first. On all of them only the slope is computed from there on: the curvature of
    the part, as far as there are more samples, is close enough for steps that are short, and an inexact curvature
    changes how fast the most likely weights are found, not which they are.

    Source
    ------
    McFadden, "Conditional logit analysis of qualitative choice behavior", 1974, section III.
    """

    def __init__(
        self, log_scores: Sequence[Floats], log_count: Floats, truth: NDArray[np.intp], *, ridge: float = RIDGE
    ) -> None:
        # Labels first: what is done for each sample is then done for many beside one another.
        self._scores = [np.ascontiguousarray(own.T) for own in log_scores]
        self._count = np.ascontiguousarray(log_count.T)
        self._truth, self._samples = truth, np.arange(len(truth))
        self._ridge = ridge
        known = np.flatnonzero(truth < len(self._count) - 1)
        self._of_truth = np.array([own[truth[known], known].sum(dtype=np.float64) for own in self._scores])
        self._part: WeightFit | None = None
        if len(truth) >= PART * MIN_PART:
            some = slice(None, None, PART)
            few = [own[some] for own in log_scores]
            self._part = WeightFit(few, log_count[some], truth[some], ridge=ridge / PART)

    def fit(
        self, members: Sequence[int], steps: int = STEPS, toward: Weights | None = None, last: int | None = None
    ) -> Weights:
        """One weight per member: the most likely ones, drawn toward TOTAL / members by the ridge.

        Parameters
        ----------
        members:
            Which of the candidates.
        steps:
            Newton steps at most, on a part of many samples and then on all.
        toward:
            (j,), where the ridge draws the weights to; None for TOTAL / members each.
        last:
            Steps at most on all, where a part was fitted first; None for as many.

        Returns
        -------
        float64 (j,), in [0, MAX_WEIGHT]: a candidate's yes is never held against a label.
        """
        if toward is None:
            toward = np.full(len(members), TOTAL / len(members))
        return self._fit(list(members), toward, steps, steps if last is None else last)[0]

    def fuse(self, members: Sequence[int], weights: Weights) -> Fused:
        """The fused distributions of the samples that weights are fitted on."""
        return fuse([self._scores[j] for j in members], self._count, weights)

    def _fit(self, members: list[int], toward: Weights, steps: int, last: int) -> tuple[Weights, NDArray[np.float64]]:
        """The weights, and the curvature of the log likelihood there or close by."""
        weights, bend, curvature = toward, None, np.zeros((len(members), len(members)))
        if self._part is not None:
            weights, bend = self._part._fit(members, toward, steps, steps)
            bend, steps = bend * PART, last
        share, value = self._shares(members, weights, toward)
        for _ in range(steps):
            distribution = share.raised[:-1]
            distribution /= share.total
            expected = np.array([float(np.vdot(distribution, self._scores[j])) for j in members])
            slope = self._of_truth[members] - expected - self._ridge * (weights - toward)
            curvature = self._curvature(distribution, members) if bend is None else bend
            # A weight at 0 that would fall further stays there; the others move as if it were not.
            free = (weights > 0) | (slope > 0)
            step = np.zeros(len(members))
            penalised = curvature + self._ridge * np.eye(len(members))
            step[free] = np.linalg.solve(penalised[np.ix_(free, free)], slope[free])
            step *= min(1.0, MAX_STEP / max(float(np.abs(step).max()), 1e-12))
            for _ in range(HALVINGS):
                tried = np.clip(weights + step, 0.0, MAX_WEIGHT)
                share, reached = self._shares(members, tried, toward)
                if reached >= value:
                    break
                step /= 2
            if reached < value:
                break
            moved = float(np.abs(tried - weights).max())
            weights, value = tried, reached
            if moved < MIN_STEP:
                break
        return weights, curvature

    def _shares(self, members: list[int], weights: Weights, toward: Weights) -> tuple[Fused, float]:
        """The fused distributions, and the penalised log likelihood of the truth."""
        share = self.fuse(members, weights)
        likely = share.raised[self._truth, self._samples] / share.total
        likelihood = np.log(np.maximum(likely, 1e-30, dtype=np.float64)).sum()
        return share, float(likelihood) - self._ridge / 2 * float(((weights - toward) ** 2).sum())

    def _curvature(self, distribution: Floats, members: list[int]) -> NDArray[np.float64]:
        """Covariance of the log scores under the fused distributions (K, n), summed over samples: (j, j)."""
        j = len(members)
        products, mean = np.empty((j, j)), np.empty((j, len(self._truth)))
        for a in range(j):
            weighted = distribution * self._scores[members[a]]
            mean[a] = weighted.sum(axis=0)
            for b in range(a, j):
                products[a, b] = products[b, a] = np.vdot(weighted, self._scores[members[b]])
        return np.asarray(products - product(mean, mean.T))


def weight_fit(table: LogScoreTable) -> WeightFit:
    """What fits the weights of any of a table's candidates."""
    return WeightFit(list(table.log_scores), table.log_count, table.truth)
