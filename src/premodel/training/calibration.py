"""From a number that rises with being right to the probability of being right (Platt scaling), pooled over sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.stopping import MIN_TOP_PROBABILITY

STEPS = 12
PRIOR_SAMPLES = 20.0
"""Samples by whose weight a set's own intercept is drawn toward the pooled one."""

Floats = NDArray[np.float64]


def logit(share: NDArray[np.floating]) -> Floats:
    """log(p / (1 - p)), p kept 1e-4 away from 0 and 1."""
    clipped = np.clip(share.astype(np.float64), MIN_TOP_PROBABILITY, 1 - MIN_TOP_PROBABILITY)
    return np.asarray(np.log(clipped / (1 - clipped)))


def sigmoid(odds: Floats) -> Floats:
    """1 / (1 + exp(-odds))."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * odds)))


@dataclass(frozen=True, eq=False)
class Calibration:
    """right ~ sigmoid(intercept + own[s] + slope * logit), over sets s.

    Attributes
    ----------
    intercept, slope:
        Pooled over sets.
    own:
        float64 (sets,), each set's own addition to the intercept, drawn toward 0; (1,) of 0 if they have none.
    """

    intercept: float
    slope: float
    own: Floats

    def __call__(self, share: NDArray[np.floating]) -> Floats:
        """Shares (n, sets) to probabilities of being right, (n, sets)."""
        return sigmoid(self.intercept + self.own + self.slope * logit(share))


def fit_calibration(
    share: NDArray[np.floating], right: NDArray[np.bool_], *, own: float | None = PRIOR_SAMPLES
) -> Calibration:
    """Fit on samples that what is calibrated was not fitted on, if it is to hold for others.

    Parameters
    ----------
    share:
        (n, sets), a number in [0, 1] for the answer of each set on each sample.
    right:
        bool (n, sets), was that answer right.
    own:
        Ridge on the sets' own intercepts; None for none of their own.

    Source
    ------
    Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2.

    Notes
    -----
    A sample that occurs once per set is not `sets` samples: every pair counts 1 / sets toward the pooled parameters.
    A ridge of one sample draws the slope toward 1 and the intercept toward 0, so that answers that are all right, or
    all wrong, leave both finite.
    """
    odds = logit(share)
    n, sets = odds.shape
    found, additions = np.array([0.0, 1.0]), np.zeros(sets)
    for _ in range(STEPS):
        chance = sigmoid(found[0] + additions + found[1] * odds)
        miss, weight = right - chance, chance * (1 - chance)
        slope = np.array([miss.sum(), (miss * odds).sum()]) / sets + np.array([0.0, 1.0]) - found
        cross = (weight * odds).sum() / sets
        bend = np.array([[weight.sum() / sets + 1, cross], [cross, (weight * odds * odds).sum() / sets + 1]])
        step = np.clip(np.linalg.solve(bend, slope), -2, 2)
        found = found + step
        if own is not None:
            chance = sigmoid(found[0] + additions + found[1] * odds)
            change = ((right - chance).sum(axis=0) - own * additions) / ((chance * (1 - chance)).sum(axis=0) + own)
            additions = additions + np.clip(change, -1, 1)
        if np.abs(step).max() < 1e-6 and n:
            break
    return Calibration(float(found[0]), float(found[1]), np.zeros(1) if own is None else additions)
