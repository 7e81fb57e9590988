"""Which candidate is the optimum of a sample: by the paper, or by score squared over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.training.labels import make_labels
from premodel.training.tables import Tables

SQUARE_OVER_TIME = "score^2/time"
"""A scheme of labels beside those of `training.labels`."""
BEST_SCORE = "optimum"
"""The scheme of `training.labels` whose optimum is, of graded scores, the cheapest candidate of the best score."""


def judged(tables: Tables, criterion: Criterion) -> NDArray[Any]:
    """(n, m): bool, was the candidate right; of a graded criterion float64, its score.

    Raises
    ------
    OptionError
        As `Tables.correct`, but for graded criteria.
    """
    found = tables.graded.get(criterion)
    return tables.correct(criterion) if found is None else found


def square_over_time(score: NDArray[Any], latency_ms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The candidate with the greatest score^2/time of each sample: bool (n, m), one yes per row.

    Source: labels of the public replication of Marco et al., ACM TECS 19(1), 2020, which leaves its optimum undefined.

    Parameters
    ----------
    score:
        (n, m), how good each answer is.
    latency_ms:
        float64 (m,), or (n, m) on each sample; above 0.

    Notes
    -----
    Of equal values the lower latency is taken, then the earlier candidate; so where all score 0, the cheapest.

    Examples
    --------
    0.6 at 1 ms is worth 0.36 a ms, 0.8 at 2 ms 0.32; 0.9 at 2 ms would be worth 0.405.

    >>> square_over_time(np.array([[0.6, 0.8], [0.6, 0.9], [0.0, 0.0]]), np.array([1.0, 2.0])).astype(int)
    array([[1, 0],
           [0, 1],
           [1, 0]])
    """
    took = np.broadcast_to(latency_ms, score.shape)
    worth = np.square(score.astype(np.float64)) / took
    tied = worth >= worth.max(axis=1, keepdims=True)
    labels = np.zeros(score.shape, np.bool_)
    labels[np.arange(len(score)), np.where(tied, took, np.inf).argmin(axis=1)] = True
    return labels


def study_labels(scheme: str, score: NDArray[Any], latency_ms: NDArray[np.float64]) -> NDArray[Any]:
    """Labels by the name of their scheme: SQUARE_OVER_TIME, or one of `training.labels`.

    Raises
    ------
    OptionError
        The scheme is unknown.
    """
    return square_over_time(score, latency_ms) if scheme == SQUARE_OVER_TIME else make_labels(scheme, score, latency_ms)
