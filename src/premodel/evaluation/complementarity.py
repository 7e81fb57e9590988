"""How candidates stand to each other: who helps whom, who is dominated, where another view would do better."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.stats import RESAMPLES, best_single, paired_bootstrap
from premodel.training.tables import Tables

EQUAL_COST = 1.05
"""Views of one network whose latencies differ by no more than this cost the same."""

Floats = NDArray[np.float64]
Points = tuple[float, float]


@dataclass(frozen=True)
class Pair:
    """Two candidates, the more accurate first.

    Attributes
    ----------
    names:
        Of both.
    double_fault:
        Share of samples on which both are wrong (Giacinto and Roli, "Design of effective neural network ensembles for
        image classification purposes", 2001).
    only_first, only_second:
        Shares on which one alone is right.
    union_gain, union_gain_ci:
        Accuracy of a perfect choice between the two minus that of the first, in points, with its 95 % interval.
    """

    names: tuple[str, str]
    double_fault: float
    only_first: float
    only_second: float
    union_gain: float
    union_gain_ci: Points


@dataclass(frozen=True)
class Dominated:
    """A candidate that another beats where each is run alone; a cascade may still gain by fusing its answer.

    Attributes
    ----------
    name, by:
        The candidate, and the one that is faster and not less accurate.
    gain, gain_ci:
        By how many points the other is more accurate, with its 95 % interval, corrected for being the best of several.
    latency_ms, by_latency_ms:
        Preprocess + run of both.
    shown:
        Is that interval wholly above 0; else the candidate is slower and not shown to be more accurate.
    alone_right:
        Share of samples on which it is right and no other candidate is: what leaving it out would cost an oracle.
    """

    name: str
    by: str
    gain: float
    gain_ci: Points
    latency_ms: float
    by_latency_ms: float
    shown: bool
    alone_right: float


@dataclass(frozen=True)
class BetterView:
    """Another view of the same network that costs the same and is more accurate, the interval wholly above 0."""

    name: str
    view: str
    gain: float
    gain_ci: Points


def complementary_pairs(tables: Tables, correct: NDArray[Any], seed: int) -> list[Pair]:
    """All pairs, by falling gain of a perfect choice between the two."""
    correct = np.asarray(correct, dtype=np.float64)
    accuracy = correct.mean(axis=0)
    found = []
    for a, b in combinations(range(correct.shape[1]), 2):
        first, second = (a, b) if accuracy[a] >= accuracy[b] else (b, a)
        only_first = np.maximum(correct[:, first] - correct[:, second], 0)
        only_second = np.maximum(correct[:, second] - correct[:, first], 0)
        gain, interval = points_with_interval(only_second, seed)
        found.append(
            Pair(
                (tables.candidates[first], tables.candidates[second]),
                float(np.mean(1 - np.maximum(correct[:, first], correct[:, second]))),
                float(only_first.mean()),
                float(only_second.mean()),
                gain,
                interval,
            )
        )
    return sorted(found, key=lambda pair: -pair.union_gain)


def dominated_candidates(tables: Tables, correct: NDArray[Any], seed: int) -> list[Dominated]:
    """Candidates that are slower than another and not more accurate on these samples.

    Slower means that the 95 % intervals of the mean latencies do not touch. Of several that dominate, the one named
    gains most.

    Notes
    -----
    The best of k faster candidates is looked at, so its interval is at the level 1 - 0.05 / k (Bonferroni).
    """
    correct = np.asarray(correct, dtype=np.float64)
    accuracy = correct.mean(axis=0)
    alone_right = _alone(correct)
    found = []
    for column, name in enumerate(tables.candidates):
        rivals = [other for other in range(len(tables.candidates)) if _faster(tables, other, column)]
        best = _best_of(rivals, tables, accuracy)
        if best is None or accuracy[best] < accuracy[column]:
            continue
        difference = correct[:, best] - correct[:, column]
        gain, interval = points_with_interval(difference, seed, level=1 - 0.05 / len(rivals))
        latency_ms, by_ms = float(tables.latency_ms[column]), float(tables.latency_ms[best])
        found.append(
            Dominated(
                name,
                tables.candidates[best],
                gain,
                interval,
                latency_ms,
                by_ms,
                interval[0] > 0,
                float(alone_right[column]),
            )
        )
    return found


def _alone(score: Floats) -> Floats:
    """float64 (m,): mean of what each candidate is better by than the best of the others, where it is."""
    if score.shape[1] == 1:
        return np.asarray(score.mean(axis=0))
    ordered = np.sort(score, axis=1)
    best, second = ordered[:, -1:], ordered[:, -2:-1]
    others = np.where(score == best, np.where((score == best).sum(axis=1, keepdims=True) > 1, best, second), best)
    return np.asarray(np.maximum(score - others, 0).mean(axis=0))


def better_views(tables: Tables, correct: NDArray[Any], seed: int) -> list[BetterView]:
    """For each candidate, the most accurate view of its network at no more cost, if it is shown to be more accurate.

    Notes
    -----
    The best of k other views is looked at, so its interval is at the level 1 - 0.05 / k (Bonferroni).
    """
    correct = np.asarray(correct, dtype=np.float64)
    accuracy = correct.mean(axis=0)
    found = []
    for column, name in enumerate(tables.candidates):
        views = [
            other
            for other in range(len(tables.candidates))
            if other != column
            and tables.networks[other] == tables.networks[column]
            and tables.latency_ms[other] <= EQUAL_COST * tables.latency_ms[column]
        ]
        best = _best_of(views, tables, accuracy)
        if best is None:
            continue
        difference = correct[:, best] - correct[:, column]
        gain, interval = points_with_interval(difference, seed, level=1 - 0.05 / len(views))
        if interval[0] > 0:
            found.append(BetterView(name, tables.candidates[best], gain, interval))
    return found


def points_with_interval(difference: NDArray[np.float64], seed: int, level: float = 0.95) -> tuple[float, Points]:
    """Mean of paired differences of correctness, in points, with its bootstrap interval."""
    resamples = round(RESAMPLES * 0.05 / (1 - level))  # as many beyond a limit at any level
    low, high = paired_bootstrap(difference, seed=seed, level=level, resamples=resamples)
    return 100 * float(difference.mean()), (100 * low, 100 * high)


def _best_of(columns: list[int], tables: Tables, accuracy: NDArray[np.float64]) -> int | None:
    """The best single candidate of some; None of none."""
    return columns[best_single(accuracy[columns], tables.latency_ms[columns])] if columns else None


def _faster(tables: Tables, one: int, than: int) -> bool:
    """Is a candidate faster than another, their intervals apart."""
    return tables.timings[one].ci_high_ms < tables.timings[than].ci_low_ms
