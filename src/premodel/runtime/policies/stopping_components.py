"""What optimal stopping learns, as arrays: weights of fusion, calibration, continuation values, and starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.base import MAX_COST_WEIGHT

MIN_TOP_PROBABILITY = 1e-4
SCALE = 3.0
MAX_WEIGHT = 1e4
"""Of a log probability in the fusion; training finds weights near 1, and float32 holds every product below this."""
DTYPES = {
    "weights": np.dtype(np.float32),
    "member": np.dtype(np.int8),
    "calibration": np.dtype(np.float64),
    "cost_weight": np.dtype(np.float64),
    "continuation": np.dtype(np.float32),
    "budgets": np.dtype(np.float64),
    "start": np.dtype(np.float32),
}
MAX_CALIBRATION = 1e6
MIN_COST_WEIGHT = 1e-12
"""Operating points are compared by ratio, in which 0 counts as this."""
NOT_ALLOWED = -1e30
"""First number of the continuation value of a candidate that may not run next; finite: no product with it is NaN."""


def confidence_logit(top_probability: float) -> float:
    """The one number a decision rests on: logit(top probability) / 3, the probability kept 1e-4 away from 0 and 1."""
    top_probability = min(max(top_probability, MIN_TOP_PROBABILITY), 1 - MIN_TOP_PROBABILITY)
    return math.log(top_probability / (1 - top_probability)) / SCALE


@dataclass(frozen=True, eq=False)
class StoppingComponents:
    """What training learned, for p candidates, their 2 ** p sets and q operating points.

    A set is a number whose bit j states that candidate j answered; set 0 has no use, and its rows are 0.

    Attributes
    ----------
    weights:
        float32 (2 ** p, p), weight of each candidate's log scores in the fusion of each set.
    member:
        int8 (2 ** p,), the candidate whose own answer each set serves, or -1 where the fused answer is served.
    calibration:
        float64 (2 ** p, 2), intercept and slope: the answer of a set is right with probability
        sigmoid(intercept + slope * logit of its top probability).
    cost_weight:
        float64 (q,), rising: accuracy that one ms is worth at each operating point.
    continuation:
        float32 (q, 2 ** p, p, 3), value of running a candidate next: its first number + the second * s + the third *
        s * s, s being `confidence_logit`. The first number is NOT_ALLOWED where the candidate may not run next.
    budgets:
        float64 (b,), rising, in ms: what the candidates of a set cost together, for every set that distinguishes one
        budget from another.
    start:
        float32 (b, q, p), value of running each candidate first, when no more than each budget may be spent.
    """

    weights: NDArray[np.float32]
    member: NDArray[np.int8]
    calibration: NDArray[np.float64]
    cost_weight: NDArray[np.float64]
    continuation: NDArray[np.float32]
    budgets: NDArray[np.float64]
    start: NDArray[np.float32]

    def check(self, candidates: int) -> None:
        """Raise ValueError unless shapes and numbers are those of so many candidates."""
        sets, points, levels = 2**candidates, self.cost_weight.size, self.budgets.size
        shapes = {
            "weights": (sets, candidates),
            "member": (sets,),
            "calibration": (sets, 2),
            "cost_weight": (points,),
            "continuation": (points, sets, candidates, 3),
            "budgets": (levels,),
            "start": (levels, points, candidates),
        }
        for name, shape in shapes.items():
            array: NDArray[Any] = getattr(self, name)
            if array.shape != shape or array.dtype != DTYPES[name] or np.isnan(array).any():
                raise ValueError(
                    f"{name} is {array.dtype} {array.shape}, or holds NaN; allowed: {DTYPES[name]} {shape}"
                )
        if points == 0 or levels == 0:
            raise ValueError("no operating point or no budget")
        for rising in (self.cost_weight, self.budgets):
            if not ((rising >= 0) & (rising <= MAX_COST_WEIGHT)).all() or (np.diff(rising) <= 0).any():
                raise ValueError(f"cost weights and budgets must rise, from 0 to {MAX_COST_WEIGHT:g}")
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all() and np.isfinite(self.calibration).all()):
            raise ValueError("weights must be 0 or more, calibration finite")
        if (self.member < -1).any() or (self.member >= candidates).any():
            raise ValueError("member names no candidate")
        if not np.isfinite(self.continuation).all() or (self.start == np.inf).any():
            raise ValueError("continuation or start values must be finite")
        if (self.weights > MAX_WEIGHT).any() or (np.abs(self.calibration) > MAX_CALIBRATION).any():
            raise ValueError(f"weights must be {MAX_WEIGHT:g} or less, calibration within {MAX_CALIBRATION:g}")
        has_run = (np.arange(sets)[:, None] >> np.arange(candidates)) & 1 == 1
        if (self.continuation[:, has_run, 0] > NOT_ALLOWED / 2).any():
            raise ValueError("a candidate that has run must not be run again")
        several = np.flatnonzero((has_run.sum(axis=1) > 1) & (self.member >= 0))
        if not has_run[several, self.member[several]].all():
            raise ValueError("a set must serve the answer of one of its own candidates")


def check_order(components: StoppingComponents, candidates: int) -> None:
    """Raise ValueError where a candidate may follow a later one."""
    for ran in range(1, 2**candidates):
        if (components.continuation[:, ran, : ran.bit_length(), 0] > NOT_ALLOWED / 2).any():
            raise ValueError("a cascade does not go back in its order")
