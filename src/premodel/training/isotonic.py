"""A curve that never falls, from samples: means of equal shares of them, made rising."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from premodel.training.operating_point import falling

Floats = NDArray[np.float64]


def curve_points(x: Floats, points: int) -> Floats:
    """(k,), rising, k at most `points`: quantiles of x."""
    return np.unique(np.quantile(x, np.linspace(0, 1, points), method="nearest"))


def rising_means(x: Floats, y: Floats, points: Floats, clip: float = 1.0) -> Floats:
    """(k,), never falling: the mean y of the samples nearest to each point.

    Parameters
    ----------
    points:
        Of `curve_points` of this x, so that each has a sample.
    clip:
        Quantile, among the samples of one point, that a value counts with at most.

    Source
    ------
    Barlow, Bartholomew, Bremner and Brunk, "Statistical inference under order restrictions", 1972, chapter 1.
    """
    nearest = np.abs(x[:, None] - points).argmin(axis=1)
    sizes = np.bincount(nearest, minlength=len(points))
    means = np.empty(len(points))
    for point in range(len(points)):
        own = y[nearest == point]
        means[point] = (own if clip >= 1 else np.minimum(own, np.quantile(own, clip))).mean()
    return falling(means[::-1], sizes[::-1])[::-1]
