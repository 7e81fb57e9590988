"""Answers that are right and on time: a policy beside the single candidate that has the most of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.rows import Singles
from premodel.stats import paired_bootstrap
from premodel.training.objective import Objective
from premodel.verdict import Interval, interval, points

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OnTime:
    """What a deadline leaves of the accuracy.

    Attributes
    ----------
    accuracy:
        Share of answers of the policy that are right and on time.
    best, best_accuracy:
        The single candidate of the highest such share, and that share.
    gain, gain_ci:
        The difference in points, with its 95 % interval.
    """

    accuracy: float
    best: str
    best_accuracy: float
    gain: float
    gain_ci: Interval

    @property
    def sentence(self) -> str:
        """In words."""
        return (
            f"right and on time: {100 * self.accuracy:.1f} %, {self.best} alone {100 * self.best_accuracy:.1f} %: "
            f"{points(self.gain)} points {interval(self.gain_ci)}"
        )


def compare_on_time(
    objective: Objective, singles: Singles, score: Floats, latency_ms: Floats, seed: int
) -> OnTime | None:
    """Of answers with these scores and expected latencies, (n,) each; None without a deadline."""
    if objective.deadline_ms is None:
        return None
    own = objective.timely(score, latency_ms)
    each = [
        objective.timely(np.asarray(singles.correct[:, column], np.float64), singles.latency_of(column))
        for column in range(len(singles.names))
    ]
    best = int(np.argmax([one.mean() for one in each]))
    gain = own - each[best]
    low, high = paired_bootstrap(gain, seed=seed)
    return OnTime(
        float(own.mean()), singles.names[best], float(each[best].mean()), 100 * float(gain.mean()),
        (100 * low, 100 * high),
    )  # fmt: skip
