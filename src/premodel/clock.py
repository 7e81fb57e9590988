"""The one clock, and the one rule by which a latency is measured (design section 8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from premodel.records import Timing

MIN_RUNS = 30
MIN_SECONDS = 0.5
MAX_RELATIVE_HALF_WIDTH = 0.05
MAX_RELATIVE_DRIFT = 0.1
"""Of the means of the first, the middle and the last third of the runs, against the mean of all."""
DRIFT_STANDARD_ERRORS = 4.0
"""How many of its standard errors a difference of two thirds must have before it is more than noise."""
MAX_MEAN_TO_MEDIAN = 1.5
RUNS_OF_AN_INPUT = 5
"""From so many runs on the same input on, their median is what that input takes."""
ENOUGH_RUNS = 10_000
"""So many runs need not take MIN_SECONDS: of what takes microseconds that would be minutes of taking turns."""
MIN_P99_RUNS = 100
"""With fewer runs no run lies beyond the 99th percentile: it is not shown."""
Z_95 = 1.959963984540054


def now_ms() -> float:
    """Milliseconds on a monotonic clock; only differences mean anything."""
    return 1e3 * perf_counter()


now_s = perf_counter
"""Seconds on the same clock: for the few readings of every answer, where a call in Python counts."""


def summarise(samples_ms: Sequence[float], beside_ms: float = 0.0, inputs: Sequence[int] | None = None) -> Timing:
    """Reduce measured runs (ms, in the order of time, warm-up already left out) to a timing record with its verdict.

    Not valid is what was measured too briefly or varies too much, what rises, falls or jumps from one third of the runs
    to another, and a mean that a few runs carry far from the median; not where inputs differ so much by themselves.

    Parameters
    ----------
    samples_ms:
        The runs.
    beside_ms:
        Of what is never served alone, such as decoding: mean latency of the rest of the quickest answer that holds it.
        The verdict is then that on the answer: the rules hold for the sum, so that a part that is negligible in every
        answer makes none of them invalid.
    inputs:
        Which input each run was on, a whole number; None where that is not known.

    Notes
    -----
    The interval is the normal approximation of the mean's; with 30 runs or more its error is far below the 5 % rule.
    """
    values = np.asarray(samples_ms, dtype=np.float64)
    count = int(values.size)
    if count == 0:
        nan = math.nan
        return Timing(0, nan, nan, nan, nan, nan, nan, False, "no runs")
    mean = float(values.mean())
    whole = mean + beside_ms
    half = Z_95 * float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    reasons = []
    if count < MIN_RUNS:
        reasons.append(f"{count} runs, {MIN_RUNS} needed")
    if not is_long_enough(count, whole):
        reasons.append(f"{count * whole / 1e3:.2f} s measured, {MIN_SECONDS} s needed")
    if half > MAX_RELATIVE_HALF_WIDTH * whole:
        width = "unknown" if whole == 0 else f"+-{100 * half / whole:.1f} %"
        reasons.append(f"interval {width}, {100 * MAX_RELATIVE_HALF_WIDTH:.0f} % allowed")
    reasons += filter(None, [_drift(values, whole)])
    median, p90, p99 = (float(q) for q in np.quantile(values, [0.5, 0.9, 0.99]))
    if _is_far(whole, median + beside_ms):
        typical = None if inputs is None else _mean_of_medians(values, np.asarray(inputs))
        if typical is None:
            reasons.append(f"mean {mean:.3g} ms is far from the median {median:.3g} ms")
        elif _is_far(whole, typical + beside_ms):
            reasons.append(f"mean {mean:.3g} ms is far from {typical:.3g} ms, the mean of the inputs' medians")
    return Timing(count, mean, median, p90, p99, mean - half, mean + half, not reasons, "; ".join(reasons))


def is_long_enough(count: int, mean_ms: float) -> bool:
    """Do so many runs of such a mean add up to MIN_SECONDS, or are they ENOUGH_RUNS.

    Examples
    --------
    >>> is_long_enough(600, 1.0), is_long_enough(600, 0.1), is_long_enough(10_000, 0.001)
    (True, False, True)
    """
    return count * mean_ms >= MIN_SECONDS * 1e3 or count >= ENOUGH_RUNS


def _is_far(mean: float, median: float) -> bool:
    return not (mean <= MAX_MEAN_TO_MEDIAN * median and median <= MAX_MEAN_TO_MEDIAN * mean)


def _mean_of_medians(values: NDArray[np.float64], inputs: NDArray[np.integer]) -> float | None:
    """The median of every run's own input, on average over the runs; None where an input has too few runs."""
    _, place, counts = np.unique(inputs, return_inverse=True, return_counts=True)
    if counts.min() < RUNS_OF_AN_INPUT:
        return None
    runs = np.split(values[np.argsort(place, kind="stable")], np.cumsum(counts)[:-1])
    return float(np.dot([np.median(own) for own in runs], counts)) / values.size


def _drift(values: NDArray[np.float64], mean: float) -> str:
    """How the thirds of the runs differ, if that is more than noise; else empty."""
    if values.size < MIN_RUNS:
        return ""
    thirds = np.array_split(values, 3)
    means = [float(third.mean()) for third in thirds]
    variances = [float(third.var(ddof=1)) / third.size for third in thirds]
    for a, b in ((0, 2), (0, 1), (1, 2)):
        noise = DRIFT_STANDARD_ERRORS * math.sqrt(variances[a] + variances[b])
        if abs(means[a] - means[b]) > max(MAX_RELATIVE_DRIFT * mean, noise):
            how = "rising" if means == sorted(means) else "falling" if means[::-1] == sorted(means) else "jumping"
            return f"{how} from third to third of the runs: {', '.join(f'{one:.3g}' for one in means)} ms"
    return ""
