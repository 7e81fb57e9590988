"""The operating point of a cascade for an objective, by cross-fitting inside the training rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from premodel.training.objective import Objective

FOLDS = 5
POINTS = 36
LOWEST, HIGHEST = 0.004, 4.0
"""Of the grid: accuracy that one latency of the best single candidate is worth."""
LATENCY_ALONE = 1000.0
"""The last point of the grid, at which only latency counts."""
BETWEEN = 6
"""Weights tried between the point chosen and each of its neighbours in the grid."""
LATENCY_MARGIN = 0.99
"""A cross-fitted mean latency must stay this far below a ceiling."""

Floats = NDArray[np.float64]


def weight_grid(base_ms: float, given: float | None) -> Floats:
    """Rising cost weights, in accuracy per ms: 0, a geometric grid, a last one of latency alone, and one's own.

    Parameters
    ----------
    base_ms:
        Latency of the best single candidate, end to end.
    given:
        A weight that must be among them.
    """
    grid = np.array([0.0, *np.geomspace(LOWEST, HIGHEST, POINTS), LATENCY_ALONE]) / base_ms
    return grid if given is None else np.unique([*grid, given])


def weights_around(grid: Floats, index: int) -> Floats:
    """Weights between a point of the grid and its neighbours, BETWEEN on each side that has one.

    Examples
    --------
    >>> weights_around(np.array([0.0, 7.0, 7.0 * 2**7]), 1)[[0, 5, 6, 11]]
    array([  1.,   6.,  14., 448.])
    """
    found = []
    for low, high in pairwise(grid[max(index - 1, 0) : index + 2].tolist()):
        steps = np.linspace if low == 0 else np.geomspace
        found.append(steps(low, high, BETWEEN + 2)[1:-1])
    return np.concatenate(found) if found else np.empty(0)


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """What every operating point did on samples it was not fitted on.

    Attributes
    ----------
    right:
        bool (n, q).
    latency_ms:
        float64 (n, q), end to end.
    own_ms:
        float64 (q,), mean latency of the points of the policy that is to be served, on the samples it was fitted on;
        None where no ceiling asks. Near a cost weight of zero a hair decides whether the dearest candidate always
        runs: the policies of cross-fitting may lie on one side of it and that one on the other.
    """

    right: NDArray[np.bool_]
    latency_ms: Floats
    own_ms: Floats | None = None

    @property
    def mean_ms(self) -> Floats:
        """(q,), cross-fitted."""
        return np.asarray(self.latency_ms.mean(axis=0))

    @property
    def safe_ms(self) -> Floats:
        """(q,), the higher of both means."""
        return self.mean_ms if self.own_ms is None else np.maximum(self.mean_ms, self.own_ms)


def falling(values: Floats, sizes: NDArray[np.integer] | None = None) -> Floats:
    """The nearest sequence in least squares that never rises (pool adjacent violators).

    Parameters
    ----------
    values:
        (k,).
    sizes:
        What each counts, above 0; None for the same.
    """
    blocks: list[list[float]] = []
    weights = [1.0] * len(values) if sizes is None else sizes.tolist()
    lasts: list[int] = []
    for place, (value, weight) in enumerate(zip(values.tolist(), weights, strict=True)):
        blocks.append([value, weight])
        lasts.append(place)
        while len(blocks) > 1 and blocks[-1][0] > blocks[-2][0]:
            last = blocks.pop()
            mean, size = blocks[-1]
            blocks[-1] = [(mean * size + last[0] * last[1]) / (size + last[1]), size + last[1]]
            lasts[-2:] = lasts[-1:]
    return np.repeat([mean for mean, _ in blocks], np.diff([-1, *lasts]))


@dataclass(frozen=True)
class OperatingPoint:
    """The point chosen.

    Attributes
    ----------
    index, cost_weight:
        Where in the grid.
    accuracy:
        Cross-fitted, made falling over the grid.
    accuracy_as_counted:
        Cross-fitted, of this point alone.
    latency_ms:
        Cross-fitted mean, end to end.
    met:
        Does it meet the objective, by these figures.
    timely:
        Cross-fitted accuracy on time, under a deadline; without one the accuracy as counted.
    best_single_accuracy:
        Of the best single candidate on the same samples.
    folds:
        Of the cross-fit.
    """

    index: int
    cost_weight: float
    accuracy: float
    accuracy_as_counted: float
    latency_ms: float
    met: bool
    best_single_accuracy: float
    folds: int = FOLDS
    timely: float = math.nan


def choose_point(found: CrossFitted, cost_weight: Floats, objective: Objective, best_accuracy: float) -> OperatingPoint:
    """The point of the grid that the objective asks for.

    Notes
    -----
    A higher cost weight cannot serve better answers on all inputs there are, so what the counts say otherwise is
    noise: accuracy is made falling first. Under a floor the cheapest point that keeps it is taken; under a ceiling
    alone the lowest weight whose mean latency, cross-fitted and of the policy itself, is at most 0.99 of it. Under a
    deadline the point of the most answers that are right and on time.
    """
    counted, mean_ms = found.right.mean(axis=0), found.mean_ms
    accuracy = falling(counted)
    timely = objective.timely(found.right, found.latency_ms).mean(axis=0)
    if objective.deadline_ms is not None:
        index, met = objective.choose_or_nearest(timely, mean_ms, best_accuracy)
    elif objective.weight_alone is not None:
        index, met = int(np.flatnonzero(cost_weight == objective.weight_alone)[0]), True
    else:
        bound_ms = mean_ms if objective.max_latency_ms is None else found.safe_ms / LATENCY_MARGIN
        index, met = objective.choose_or_nearest(accuracy, mean_ms, best_accuracy, bound_ms=bound_ms)
    return OperatingPoint(
        index,
        float(cost_weight[index]),
        float(accuracy[index]),
        float(counted[index]),
        float(mean_ms[index]),
        met,
        best_accuracy,
        timely=float(timely[index]),
    )
