"""Is one way of answering hardly worse than another: an exact test on samples that both answered.

Of n independent samples only the reference is right on some (losses, share a of all inputs), only the premodel on
others (gains, share b). Tested is the hypothesis that the expected loss of accuracy, a - b, is epsilon or more.

Source: Hsueh, Liu and Chen, "Unconditional exact tests for equivalence or noninferiority for paired binary endpoints",
Biometrics 57, 2001; Sidik, "Exact unconditional tests for testing non-inferiority in matched-pairs design", Statistics
in Medicine 22, 2003. The share of gains, unknown, is kept to an interval as in Berger and Boos, "P values maximized
over a confidence set for the nuisance parameter", Journal of the American Statistical Association 89, 1994.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

MISS_PROBABILITY = 1e-6
"""Chance that the interval misses the share of gains; part of every p-value."""
CELLS = 512
"""Parts of the interval; more make the p-value smaller by some hundredths of it at most."""
WINDOW = 11
"""Standard deviations of the gains that are summed over; the chance of the others is added."""
RARE = 1e-8
"""Numbers of gains rarer than this count in full, whatever the losses."""
ROUNDING = 1e-9
MAX_SAMPLES = 100_000_000

Floats = NDArray[np.float64]


@lru_cache(maxsize=4096)
def loss_p_value(losses: int, gains: int, n: int, epsilon: float) -> float:
    """p-value of "the expected loss of accuracy is epsilon or more", valid for every n.

    Parameters
    ----------
    losses, gains:
        Of n independent samples, those on which only the reference is right, and only the premodel.
    epsilon:
        Loss allowed, a share; below 0 for a gain that is asked for.

    Notes
    -----
    Outcomes are ordered by their score, (gains - losses + n epsilon) / sqrt(losses + gains + n |epsilon|). While its
    numerator is above 0 it falls with losses and rises with gains. So the chance of a score as high as the one seen
    falls with a and rises with b, and with a - b = epsilon it is at its highest that the hypothesis allows. The
    p-value is the highest over the b of an interval, plus the chance that the interval misses b. No b between the
    ends of a cell is left out: within a cell the chance is at most that of the lower a and the upper b.
    """
    if losses - gains >= n * epsilon:
        return 1.0
    score = (gains - losses + n * epsilon) / math.sqrt(losses + gains + n * abs(epsilon))
    low, high = (min(max(share, -epsilon), (1 - epsilon) / 2) for share in _interval(gains, n))
    # Even in the root of the share, whose standard error is about the same everywhere.
    edges = np.linspace(math.sqrt(max(low, 0.0)), math.sqrt(max(high, 0.0)), CELLS + 1) ** 2
    chance = _chance(np.maximum(edges[:-1] + epsilon, 0.0), edges[1:], n, epsilon, score)
    return min(1.0, float(chance.max()) + MISS_PROBABILITY)


def least_samples(epsilon: float, delta: float) -> int:
    """The least n at which the test passes when no sample at all is lost or gained."""
    low = high = max(1, math.floor(math.log(delta) / math.log1p(-epsilon)))
    while loss_p_value(0, 0, high, epsilon) > delta and high < MAX_SAMPLES:
        low, high = high, high + 1 + high // 50
    while high - low > 1:
        middle = (low + high) // 2
        if loss_p_value(0, 0, middle, epsilon) > delta:
            low = middle
        else:
            high = middle
    return high


def samples_needed(losses: int, gains: int, n: int, epsilon: float, delta: float) -> int | None:
    """About how many samples the test would pass at, were the shares of losses and gains those measured.

    None if none would: the loss measured is not below epsilon. By the normal approximation, and `least_samples` or
    more.
    """
    if losses - gains >= n * epsilon:
        return None
    loss, differ = (losses - gains) / n, (losses + gains) / n
    spread = NormalDist().inv_cdf(1 - delta) ** 2 * (differ - loss * loss)
    return max(least_samples(epsilon, delta), n + 1, math.ceil(spread / (epsilon - loss) ** 2))


def loss_is_above(losses: int, gains: int, n: int, epsilon: float, delta: float) -> bool:
    """Do the samples show, at delta, that the expected loss is above epsilon: then no number of them would do."""
    return loss_p_value(gains, losses, n, -epsilon) <= delta


def _interval(count: int, n: int) -> tuple[float, float]:
    """Share of which `count` of n were seen, missed with MISS_PROBABILITY at most (Chernoff's bound on each side)."""
    seen, allowed = count / n, math.log(2 / MISS_PROBABILITY) / n

    def far(share: float) -> bool:
        if share in (0.0, 1.0):
            return True
        apart = seen * math.log(seen / share) if seen > 0 else 0.0
        apart += (1 - seen) * math.log((1 - seen) / (1 - share)) if seen < 1 else 0.0
        return apart > allowed

    ends = []
    for outside in (0.0, 1.0):
        inside = seen
        for _ in range(60):
            middle = (outside + inside) / 2
            outside, inside = (middle, inside) if far(middle) else (outside, middle)
        ends.append(outside)
    return ends[0], ends[1]


def _chance(lost: Floats, gained: Floats, n: int, epsilon: float, score: float) -> Floats:
    """Of a score this high or higher, for each pair of true shares of losses and gains."""
    from scipy.special import bdtr, gammaln, xlog1py, xlogy  # loaded only where a guarantee is asked for

    width = min(n + 1, 20 + int(WINDOW * math.sqrt(n * 0.25 if gained.max() > 0.5 else n * gained.max())))
    start = np.clip(np.floor(n * gained) - width // 2, 0, n + 1 - width)
    gains = start[:, None] + np.arange(width)
    share = gained[:, None]
    log_chance = gammaln(n + 1) - gammaln(gains + 1) - gammaln(n - gains + 1)
    of_gains = np.exp(log_chance + xlogy(gains, share) + xlog1py(n - gains, -share))
    # The most losses of that score for so many gains: the score solved for its numerator.
    rest = 2 * gains + n * (epsilon + abs(epsilon))
    numerator = (np.sqrt(score**4 + 4 * score**2 * rest) - score**2) / 2
    losses = np.floor(gains + n * epsilon - numerator + ROUNDING)
    likely, others = of_gains > RARE, n - gains
    each = np.broadcast_to(np.minimum(lost[:, None] / (1 - share), 1.0), gains.shape)
    few = np.ones_like(gains)
    few[likely] = bdtr(np.clip(losses, 0, others)[likely], others[likely].astype(np.int64), each[likely])
    chance = np.where(losses < 0, 0.0, of_gains * few).sum(axis=1)
    return np.asarray(chance + np.maximum(1 - of_gains.sum(axis=1), 0.0))
