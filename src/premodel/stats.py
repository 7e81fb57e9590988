"""What is counted, with its interval: shares, paired differences, per-class figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
RESAMPLES = 2000
Floats = NDArray[np.float64]


def wilson(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a share, 95 % by default.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    With n = 0 nothing is known: (0, 1).

    Examples
    --------
    >>> low, high = wilson(5, 10)
    >>> round(low, 4), round(high, 4)
    (0.2366, 0.7634)
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_bootstrap(
    difference: NDArray[np.float64], *, seed: int = 0, resamples: int = RESAMPLES, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of paired differences.

    Parameters
    ----------
    difference:
        float64 (n,), one difference per sample, the same samples under both methods.

    Notes
    -----
    Most differences of correctness are -1, 0 or 1, so resampling the counts of the distinct values (a multinomial) is
    the same as resampling the samples, and independent of n.

    Examples
    --------
    >>> better_on_all = np.ones(50)
    >>> paired_bootstrap(better_on_all)
    (1.0, 1.0)
    >>> low, high = paired_bootstrap(np.array([1.0, -1.0] * 50))
    >>> low < 0 < high
    True
    """
    if len(difference) == 0:
        return math.nan, math.nan
    values, counts = np.unique(difference, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(difference), counts / len(difference), size=resamples)
    low, high = np.quantile(drawn @ values / len(difference), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def median_interval(values: NDArray[np.float64], z: float = Z_95) -> tuple[float, float]:
    """Interval of a median by order statistics, 95 % by default; n is 1 or more.

    Notes
    -----
    By the normal approximation of the binomial, rounded outward: no assumption on how the values are distributed, such
    as times, which other programs disturb at will.

    Examples
    --------
    >>> median_interval(np.arange(100.0))
    (39.0, 60.0)
    """
    ordered = np.sort(values)
    n = len(ordered)
    half = z * math.sqrt(n) / 2
    low, high = max(0, math.floor(n / 2 - half) - 1), min(n - 1, math.ceil(n / 2 + half))
    return float(ordered[low]), float(ordered[high])


@dataclass(frozen=True)
class ReliabilityBin:
    """Scores between two bounds.

    Attributes
    ----------
    low, high:
        The bounds; the last bin holds `high` itself.
    count:
        Scores in it.
    mean_score, share_right:
        What was said and what came out; NaN in an empty bin.
    ci:
        95 % Wilson interval of the share.
    """

    low: float
    high: float
    count: int
    mean_score: float
    share_right: float
    ci: tuple[float, float]


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram as a table.

    Attributes
    ----------
    bins:
        Of equal width over [0, 1], empty ones too.
    error:
        Expected calibration error: mean distance of score and share over the bins, weighted by count; NaN of nothing.
    """

    bins: tuple[ReliabilityBin, ...]
    error: float


def reliability(scores: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 10) -> Reliability:
    """Is an answer as often right as its score states.

    Source: Guo et al., "On calibration of modern neural networks", 2017, equations 2 and 3.

    Parameters
    ----------
    scores:
        (n,) in [0, 1], estimated probability of being right; NaN (not estimated) is left out.
    right:
        bool (n,), was it.
    bins:
        Number of bins, 1 or more.

    Examples
    --------
    >>> found = reliability(np.array([0.25, 0.25, 0.75, 0.75]), np.array([False, False, True, True]), bins=2)
    >>> [(one.count, one.mean_score, one.share_right) for one in found.bins]
    [(2, 0.25, 0.0), (2, 0.75, 1.0)]
    >>> found.error
    0.25
    """
    known = ~np.isnan(scores)
    said, came = scores[known].astype(np.float64), right[known]
    number = np.clip((said * bins).astype(np.intp), 0, bins - 1)
    found = []
    for index in range(bins):
        here = number == index
        count, hits = int(here.sum()), int(came[here].sum())
        mean, share = (float(said[here].mean()), hits / count) if count else (math.nan, math.nan)
        found.append(ReliabilityBin(index / bins, (index + 1) / bins, count, mean, share, wilson(hits, count)))
    gaps = [one.count * abs(one.mean_score - one.share_right) for one in found if one.count]
    return Reliability(tuple(found), sum(gaps) / said.size if said.size else math.nan)


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean, as the paper reports its folds (section 4.2); 0 if any value is 0.

    Examples
    --------
    >>> geometric_mean([4.0, 9.0])
    6.0
    >>> geometric_mean([4.0, 0.0])
    0.0
    """
    if any(value <= 0 for value in values):
        return 0.0
    return math.exp(sum(math.log(value) for value in values) / len(values))


def macro_scores(truth: NDArray[np.int32], served: NDArray[np.int32]) -> tuple[float, float, float]:
    """Macro-averaged precision, recall and F1 (paper section 4.2).

    Parameters
    ----------
    truth, served:
        int32 (n,) labels; an abstention is served as -1 and counts against recall only.

    Returns
    -------
    Precision, recall and F1, each the plain mean over the classes that occur in the truth. A class that is never
    served has precision 0. F1 is the mean of the classes' harmonic means, not the harmonic mean of the means.

    Notes
    -----
    The paper calls F1 a weighted average; its formula is the harmonic mean, which is used here.

    Examples
    --------
    Class 0 is found both times and once claimed wrongly; class 1 is found in one of two cases.

    >>> truth, served = np.array([0, 0, 1, 1], np.int32), np.array([0, 0, 0, 1], np.int32)
    >>> [round(value, 4) for value in macro_scores(truth, served)]
    [0.8333, 0.75, 0.7333]
    """
    classes, index = np.unique(truth, return_inverse=True)
    right = served == truth
    hits = np.bincount(index[right], minlength=len(classes)).astype(np.float64)
    actual = np.bincount(index, minlength=len(classes))
    known = np.isin(served, classes)
    claimed = np.bincount(np.searchsorted(classes, served[known]), minlength=len(classes))
    precision = np.divide(hits, claimed, out=np.zeros_like(hits), where=claimed > 0)
    recall = hits / actual
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(hits), where=total > 0)
    return float(precision.mean()), float(recall.mean()), float(f1.mean())


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    NaN if one of the two kinds is absent.

    Examples
    --------
    >>> auc(np.array([0.9, 0.4, 0.6, 0.1]), np.array([True, True, False, False]))
    0.75
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return math.nan
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[inverse]
    return float((rank[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def best_single(accuracy: Floats, latency_ms: Floats) -> int:
    """Index of the most accurate of m candidates; ties by lower latency, then the first.

    Examples
    --------
    >>> best_single(np.array([0.7, 0.8, 0.8]), np.array([1.0, 5.0, 4.0]))
    2
    """
    return int(np.lexsort((latency_ms, -accuracy))[0])


def upper_hull(latency_ms: Floats, accuracy: Floats) -> NDArray[np.intp]:
    """Indices of the upper hull of accuracy over latency, by rising latency.

    It starts at the cheapest point and ends at the most accurate one; any point on it is reached by serving its two
    neighbours at random in some proportion. Among equal latencies the most accurate counts, among equals the first.

    Examples
    --------
    >>> upper_hull(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 0.55, 0.8, 0.7])).tolist()
    [0, 2]
    """
    order = np.lexsort((np.arange(len(latency_ms)), -accuracy, latency_ms))
    hull: list[int] = []
    for index in order:
        if hull and accuracy[index] <= accuracy[hull[-1]]:
            continue
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            over = (accuracy[b] - accuracy[a]) * (latency_ms[index] - latency_ms[a])
            if over > (accuracy[index] - accuracy[a]) * (latency_ms[b] - latency_ms[a]):
                break
            hull.pop()
        hull.append(int(index))
    return np.asarray(hull, dtype=np.intp)


def mix_at(latency_ms: Floats, accuracy: Floats, at_ms: float) -> tuple[int, int, float]:
    """The random mix with a mean latency of `at_ms`: (a, b, share of b), the best pair of points at that latency.

    Below the cheapest point the mix is that point, above the most accurate one it is that one, alone.

    Examples
    --------
    >>> mix_at(np.array([1.0, 5.0]), np.array([0.5, 0.9]), 2.0)
    (0, 1, 0.25)
    """
    hull = upper_hull(latency_ms, accuracy)
    if at_ms <= latency_ms[hull[0]]:
        return int(hull[0]), int(hull[0]), 0.0
    for a, b in pairwise(hull):
        if at_ms <= latency_ms[b]:
            return int(a), int(b), float((at_ms - latency_ms[a]) / (latency_ms[b] - latency_ms[a]))
    return int(hull[-1]), int(hull[-1]), 0.0


def mann_kendall(values: Floats) -> float:
    """Two-sided p-value of the Mann-Kendall test: do these values, in the order of time, rise or fall.

    Source: H. B. Mann, "Nonparametric tests against trend", Econometrica 13, 1945; the normal approximation with the
    correction for ties and for continuity, for ten values or more. 1 where all are equal.

    Notes
    -----
    Values of neighbouring times are taken to be independent: means over long enough blocks come near to that.

    Examples
    --------
    >>> rising = np.arange(10.0)
    >>> mann_kendall(rising) < 0.001, mann_kendall(np.array([1.0, 2.0] * 10)) > 0.5
    (True, True)
    """
    n = len(values)
    score = float(sum(np.sign(values[place + 1 :] - values[place]).sum() for place in range(n - 1)))
    ties = np.unique(values, return_counts=True)[1].astype(np.float64)
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if variance <= 0 or score == 0:
        return 1.0
    return math.erfc((abs(score) - 1) / math.sqrt(2 * variance))
