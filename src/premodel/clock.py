"""The one clock, and the one rule by which a latency is measured (design section 8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter_ns

import numpy as np

from premodel.records import Timing

MIN_RUNS = 30
MIN_SECONDS = 0.5
MAX_RELATIVE_HALF_WIDTH = 0.05
Z_95 = 1.959963984540054


def now_ms() -> float:
    """Milliseconds on a monotonic clock; only differences mean anything."""
    return perf_counter_ns() / 1e6


def summarise(samples_ms: Sequence[float]) -> Timing:
    """Reduce measured runs (ms, warm-up already left out) to a timing record with its verdict.

    The interval is the normal approximation of the mean's; with 30 runs or more its error is far below the 5 % rule.
    """
    values = np.asarray(samples_ms, dtype=np.float64)
    count = int(values.size)
    if count == 0:
        nan = math.nan
        return Timing(0, nan, nan, nan, nan, nan, nan, False, "no runs")
    mean = float(values.mean())
    half = Z_95 * float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    reasons = []
    if count < MIN_RUNS:
        reasons.append(f"{count} runs, {MIN_RUNS} needed")
    if values.sum() < MIN_SECONDS * 1e3:
        reasons.append(f"{values.sum() / 1e3:.2f} s measured, {MIN_SECONDS} s needed")
    if half > MAX_RELATIVE_HALF_WIDTH * mean:
        width = "unknown" if mean == 0 else f"+-{100 * half / mean:.1f} %"
        reasons.append(f"interval {width}, {100 * MAX_RELATIVE_HALF_WIDTH:.0f} % allowed")
    median, p90, p99 = (float(q) for q in np.quantile(values, [0.5, 0.9, 0.99]))
    return Timing(count, mean, median, p90, p99, mean - half, mean + half, not reasons, "; ".join(reasons))
