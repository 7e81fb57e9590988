"""Drift: how far a server's newest answers are from what the premodel did in training."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from premodel.runtime.answer import Answer
from premodel.runtime.reference import ABSTAINED, Reference, answer_confidence

WINDOW = 1000
LEAST = 100
"""Answers in the window below which no drift is given: of so few it would be chance."""
SMOOTHING = 0.5
"""Added to every count, so that a bin that one side never met gives a large number and not an infinite one."""


def population_stability_index(expected: Mapping[Any, int], found: Mapping[Any, int]) -> float:
    """Sum over bins of (q - p) ln(q / p), where p and q are the shares of a bin on the two sides.

    Parameters
    ----------
    expected, found:
        Counts by bin; a bin that one side lacks counts 0 there.

    Notes
    -----
    The index is symmetric and is 0 for equal shares. Counts are smoothed by SMOOTHING.
    Source: S. Kullback, R. A. Leibler, "On information and sufficiency" (1951), the divergence J(1, 2), which credit
    scoring calls the population stability index.
    """
    bins = sorted(expected.keys() | found.keys(), key=str)
    p, q = (np.array([counts.get(name, 0) for name in bins]) + SMOOTHING for counts in (expected, found))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


class Drift:
    """The newest answers of a server, beside the reference of its premodel.

    Parameters
    ----------
    reference:
        Of the bundle.
    window:
        Answers that are remembered.
    """

    def __init__(self, reference: Reference, window: int = WINDOW) -> None:
        self._reference = reference
        self._newest: deque[tuple[str, int | None]] = deque(maxlen=window)
        self._lock = threading.Lock()

    def answered(self, answer: Answer) -> None:
        """Remember an answer or abstention, and forget the oldest."""
        place = None
        if answer.probability is not None:
            place = bisect_right(self._reference.edges, answer_confidence(answer.confidence, answer.probability))
        with self._lock:
            self._newest.append((answer.candidate or ABSTAINED, place))

    @property
    def answers(self) -> int:
        """Answers in the window."""
        return len(self._newest)

    def values(self) -> dict[str, float]:
        """Population stability index of "choice" and "confidence"; what has fewer than LEAST answers is left out."""
        with self._lock:
            newest = list(self._newest)
        found = {}
        if len(newest) >= LEAST:
            found["choice"] = population_stability_index(
                self._reference.choices, Counter(choice for choice, _ in newest)
            )
        places = Counter(place for _, place in newest if place is not None)
        if places.total() >= LEAST and any(self._reference.confidence):
            found["confidence"] = population_stability_index(dict(enumerate(self._reference.confidence)), places)
        return found
