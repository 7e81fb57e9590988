"""From a number that rises with being right to the probability of being right (Platt scaling), pooled over sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.stopping_components import MIN_TOP_PROBABILITY

STEPS = 12
CONVERGED = 1e-6
"""A step below this is the last."""
FURTHEST = 700.0
"""Log odds beyond which a probability is 0 or 1; the exponential of more would overflow."""
PRIOR_SAMPLES = 20.0
"""Samples by whose weight a set's own intercept is drawn toward the pooled one."""

Floats = NDArray[np.float64]


def logit(share: NDArray[np.floating]) -> Floats:
    """log(p / (1 - p)), p kept 1e-4 away from 0 and 1."""
    clipped = np.clip(share.astype(np.float64), MIN_TOP_PROBABILITY, 1 - MIN_TOP_PROBABILITY)
    return np.asarray(np.log(clipped / (1 - clipped)))


def sigmoid(odds: Floats) -> Floats:
    """1 / (1 + exp(-odds))."""
    # A quarter of the time that the hyperbolic tangent takes.
    return np.asarray(1 / (1 + np.exp(np.minimum(-odds, FURTHEST))))


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
    share: NDArray[np.floating],
    right: NDArray[np.bool_],
    *,
    own: float | None = PRIOR_SAMPLES,
    weight: Floats | None = None,
    toward: tuple[float, float] = (0.0, 1.0),
    ridge: tuple[float, float] = (1.0, 1.0),
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
    weight:
        (n,), what each sample counts, 1 on average; None for the same.
    toward, ridge:
        Where intercept and slope are drawn to, and by the weight of how many samples.

    Source
    ------
    Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2.

    Notes
    -----
    A sample that occurs once per set is not `sets` samples: every pair counts 1 / sets toward the pooled parameters.
    A ridge of one sample draws the slope toward 1 and the intercept toward 0 unless others are given, so that answers
    that are all right, or all wrong, leave both finite.
    """
    odds = logit(share)
    n, sets = odds.shape
    centre, penalty = np.array(toward), np.array(ridge)
    counts = np.ones((n, 1)) if weight is None else weight[:, None]
    found, additions = centre, np.zeros(sets)
    for _ in range(STEPS):
        chance = sigmoid(found[0] + additions + found[1] * odds)
        miss, bent = counts * (right - chance), counts * (chance * (1 - chance))
        misses, bend = miss.sum(axis=0), bent.sum(axis=0)
        bent_odds = bent * odds
        tilt = bent_odds.sum(axis=0)
        slope = np.array([misses.sum(), np.vdot(miss, odds)]) / sets + penalty * (centre - found)
        bends = np.array([[bend.sum(), tilt.sum()], [tilt.sum(), np.vdot(bent_odds, odds)]]) / sets + np.diag(penalty)
        if own is None:
            step, change = np.linalg.solve(bends, slope), np.zeros(sets)
        else:
            # One Newton step of both together: the sets' own intercepts are eliminated first.
            pull, stiff, shared = misses - own * additions, bend + own, np.stack([bend, tilt])
            step = np.linalg.solve(bends - (shared / stiff) @ shared.T / sets, slope - (shared / stiff) @ pull / sets)
            change = (pull - step @ shared) / stiff
        step = np.clip(step, -2, 2)
        found, additions = found + step, additions + np.clip(change, -1, 1)
        if max(np.abs(step).max(), np.abs(change).max()) < CONVERGED and n:
            break
    return Calibration(float(found[0]), float(found[1]), np.zeros(1) if own is None else additions)
