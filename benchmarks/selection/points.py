"""What is read from the results of a method at several operating points.

A curve is the upper hull of a method's points: any place on it is reached by serving its two neighbours at random in
some proportion. Intervals are from resampled samples, the same for all methods, everything recomputed in each resample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from premodel.evaluation.peers.points import Floats, Points
from premodel.stats import upper_hull

RESAMPLES = 1000


class Resamples:
    """Weights of n samples in the data as they are (first row) and in bootstrap resamples of them."""

    def __init__(self, n: int, seed: int = 0, count: int = RESAMPLES) -> None:
        drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=count)
        self.weights = np.concatenate([np.ones((1, n)), drawn]).astype(np.float64) / n

    def means(self, values: Floats) -> Floats:
        """(g, n) -> (1 + resamples, g)."""
        return np.asarray(self.weights @ values.T)


def interval(values: Floats) -> tuple[float, float, float]:
    """Value and 95 % interval of a figure computed on the data (first) and on each resample.

    A resample in which the figure is not reached (NaN) counts as below all others: -inf.
    """
    resampled = np.sort(np.where(np.isnan(values[1:]), -np.inf, values[1:]))
    last = resampled.size - 1
    return float(values[0]), float(resampled[round(0.025 * last)]), float(resampled[round(0.975 * last)])


def curve_at(latency_ms: Floats, accuracy: Floats, at_ms: Floats) -> Floats:
    """Accuracy of the hull at latencies: NaN below its cheapest point, flat beyond its most accurate one."""
    hull = upper_hull(latency_ms, accuracy)
    values = np.interp(at_ms, latency_ms[hull], accuracy[hull])
    return np.where(at_ms < latency_ms[hull[0]] - 1e-9, np.nan, values)


def latency_for(latency_ms: Floats, accuracy: Floats, wanted: float) -> float:
    """Least latency at which the hull reaches an accuracy; NaN if it does not."""
    hull = upper_hull(latency_ms, accuracy)
    x, y = latency_ms[hull], accuracy[hull]
    if wanted > y[-1] + 1e-12:
        return float("nan")
    return float(np.interp(wanted, y, x))  # accuracy rises strictly along a hull


@dataclass(frozen=True)
class CurveFigures:
    """Read from a curve, each with its interval: speed-up at no loss and at +0.5 points, gain at equal time."""

    no_loss: tuple[float, float, float]
    half_point: tuple[float, float, float]
    equal_time: tuple[float, float, float]


def curve_figures(points: Points, best_right: Floats, best_ms: float, resamples: Resamples) -> CurveFigures:
    """Compare a curve with the best single candidate, paired on the same samples.

    Parameters
    ----------
    best_right:
        float64 (n,), correctness of the best single candidate.
    best_ms:
        Its latency.
    """
    accuracy, latency = resamples.means(points.right), resamples.means(points.latency_ms)
    best = resamples.means(best_right[None])[:, 0]
    at = np.array([best_ms])
    rows = range(len(best))
    no_loss = np.array([best_ms / latency_for(latency[i], accuracy[i], best[i]) for i in rows])
    half = np.array([best_ms / latency_for(latency[i], accuracy[i], best[i] + 0.005) for i in rows])
    equal = np.array([100 * (curve_at(latency[i], accuracy[i], at)[0] - best[i]) for i in rows])
    return CurveFigures(interval(no_loss), interval(half), interval(equal))


@dataclass(frozen=True)
class Dominance:
    """Is one curve above another at every latency between two.

    Attributes
    ----------
    least:
        Least difference in points, with the interval at that latency.
    at_ms:
        Where it is least.
    below:
        Share of the latencies compared at which the other is not below.
    significant:
        Share at which it is above with the interval wholly so.
    """

    least: tuple[float, float, float]
    at_ms: float
    below: float
    significant: float


def dominance(ours: Points, other: Points, from_ms: float, to_ms: float, resamples: Resamples) -> Dominance:
    """Compare two curves at 200 latencies, from where both have begun."""
    accuracy = [resamples.means(points.right) for points in (ours, other)]
    latency = [resamples.means(points.latency_ms) for points in (ours, other)]
    start = max(from_ms, *(float(means[0].min()) for means in latency))
    grid = np.linspace(start, max(to_ms, start), 200)
    difference = np.array(
        [
            100 * (curve_at(latency[0][i], accuracy[0][i], grid) - curve_at(latency[1][i], accuracy[1][i], grid))
            for i in range(len(resamples.weights))
        ]
    )
    worst = int(np.nanargmin(difference[0]))
    # In some resamples a curve begins after the first of these latencies: those say nothing there.
    low, high = np.nanquantile(difference[1:], [0.025, 0.975], axis=0)
    return Dominance(
        (float(difference[0, worst]), float(low[worst]), float(high[worst])),
        float(grid[worst]),
        float(np.mean(difference[0] <= 0)),
        float(np.mean(high < 0)),
    )
