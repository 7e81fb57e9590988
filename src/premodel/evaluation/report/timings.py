"""How single runs of each candidate are spread, from the runs themselves where the profile still has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from premodel.training.tables import Tables


@dataclass(frozen=True)
class Spread:
    """One candidate's preprocess + run, in ms.

    Attributes
    ----------
    low_ms, q1_ms, median_ms, q3_ms, p90_ms, p99_ms:
        1st, 25th, 50th, 75th, 90th and 99th percentile. Without the runs themselves the first two are the median, and
        the 75th is the 90th: the record holds no more.
    mean_ms, ci_ms:
        Mean and its 95 % interval.
    runs, valid, reason:
        Of the timing record.
    energy_mj, memory_mb:
        Of one prediction, and of the opened candidate; NaN where not measured.
    """

    name: str
    low_ms: float
    q1_ms: float
    median_ms: float
    q3_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    ci_ms: tuple[float, float]
    runs: int
    valid: bool
    reason: str
    energy_mj: float
    memory_mb: float


def spreads(tables: Tables, runs_ms: Mapping[str, Sequence[float]]) -> list[Spread]:
    """One for each candidate that was timed, cheapest first; `runs_ms` may lack any of them."""
    found = []
    measured = zip(tables.candidates, tables.timings, tables.energy_mj, tables.memory_mb, strict=True)
    for name, timing, energy_mj, memory_mb in measured:
        if not timing.count:
            continue
        runs = runs_ms.get(name)
        if runs:
            low, q1, q3 = (float(value) for value in np.quantile(runs, [0.01, 0.25, 0.75]))
        else:
            low, q1, q3 = timing.median_ms, timing.median_ms, timing.p90_ms
        found.append(
            Spread(
                name,
                low,
                q1,
                timing.median_ms,
                q3,
                timing.p90_ms,
                timing.p99_ms,
                timing.mean_ms,
                (timing.ci_low_ms, timing.ci_high_ms),
                timing.count,
                timing.valid,
                timing.reason,
                float(energy_mj),
                float(memory_mb),
            )
        )
    return sorted(found, key=lambda one: one.median_ms)
