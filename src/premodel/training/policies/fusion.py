"""Weights of fusion, fitted by conditional maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
MIN_STEP = 2e-3
"""A step below this is the last."""
MAX_WEIGHT = 4.0

Floats = NDArray[np.float32]


def fused(log_scores: Sequence[Floats], log_count: Floats, weights: NDArray[np.float64]) -> Floats:
    """The fused distribution of many samples: float32 (n, K + 1), sum 1; the last column is all other labels together.

    Parameters
    ----------
    log_scores:
        float32 (n, K) of each of the j candidates fused.
    log_count:
        float32 (n, K + 1).
    weights:
        (j,).
    """
    scores = log_count.copy()
    for own, weight in zip(log_scores, weights.tolist(), strict=True):
        scores[:, :-1] += own * np.float32(weight)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= product(scores, np.ones(scores.shape[1], np.float32))[:, None]
    return scores


def fit_weights(
    log_scores: Sequence[Floats],
    log_count: Floats,
    truth: NDArray[np.intp],
    *,
    ridge: float = RIDGE,
    start: NDArray[np.float64] | None = None,
    steps: int = STEPS,
) -> NDArray[np.float64]:
    """One weight per candidate: the most likely ones, drawn toward TOTAL / j by a ridge.

    Parameters
    ----------
    log_scores, log_count:
        As of `fused`.
    truth:
        intp (n,), column of the truth; K where it has none.
    ridge:
        Half of it times the squared distance is the penalty, beside a sum over samples.
    start:
        Where to begin.
    steps:
        Newton steps at most.

    Returns
    -------
    float64 (j,), in [0, MAX_WEIGHT]: a candidate's yes is never held against a label.

    Source
    ------
    McFadden, "Conditional logit analysis of qualitative choice behavior", 1974, section III.
    """
    j = len(log_scores)
    toward = np.full(j, TOTAL / j)
    weights = toward.copy() if start is None else start.copy()
    known = np.flatnonzero(truth < log_scores[0].shape[1])
    of_truth = np.array([own[known, truth[known]].sum(dtype=np.float64) for own in log_scores])
    share, value = _shares(log_scores, log_count, truth, weights, ridge, toward)
    for _ in range(steps):
        mean, bend = _moments(log_scores, np.ascontiguousarray(share[:, :-1]))
        slope = of_truth - mean.sum(axis=0) - ridge * (weights - toward)
        bend += ridge * np.eye(j)
        # A weight at 0 that would fall further stays there; the others move as if it were not.
        free = (weights > 0) | (slope > 0)
        step = np.zeros(j)
        step[free] = np.linalg.solve(bend[np.ix_(free, free)], slope[free])
        step *= min(1.0, MAX_STEP / max(float(np.abs(step).max()), 1e-12))
        for _ in range(HALVINGS):
            tried = np.clip(weights + step, 0.0, MAX_WEIGHT)
            share, reached = _shares(log_scores, log_count, truth, tried, ridge, toward)
            if reached >= value:
                break
            step /= 2
        moved = float(np.abs(tried - weights).max())
        if reached < value:
            break
        weights, value = tried, reached
        if moved < MIN_STEP:
            break
    return weights


def _shares(
    log_scores: Sequence[Floats],
    log_count: Floats,
    truth: NDArray[np.intp],
    weights: NDArray[np.float64],
    ridge: float,
    toward: NDArray[np.float64],
) -> tuple[Floats, float]:
    """The fused distributions, and the penalised log likelihood of the truth."""
    share = fused(log_scores, log_count, weights)
    likely = np.log(np.maximum(share[np.arange(len(truth)), truth], 1e-30, dtype=np.float64)).sum()
    return share, float(likely) - ridge / 2 * float(((weights - toward) ** 2).sum())


def _moments(log_scores: Sequence[Floats], share: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected log scores of each sample, (n, j), and its covariance summed over samples, (j, j)."""
    j = len(log_scores)
    products = np.empty((j, j))
    mean, ones = np.empty((len(share), j)), np.ones(share.shape[1], np.float32)
    for a in range(j):
        weighted = share * log_scores[a]
        mean[:, a] = product(weighted, ones)
        for b in range(a, j):
            products[a, b] = products[b, a] = np.vdot(weighted, log_scores[b])
    return mean, products - product(mean.T, mean)


def fit_set(table: LogScoreTable, members: list[int], steps: int = STEPS) -> NDArray[np.float64]:
    """Weights of some of the table's candidates."""
    return fit_weights([table.log_scores[j] for j in members], table.log_count, table.truth, steps=steps)
