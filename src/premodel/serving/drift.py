"""Drift: how far a server's newest answers are from what the premodel did in training."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from premodel.runtime.answer import Answer
from premodel.runtime.reference import ABSTAINED, Reference

WINDOW = 1000
MIN_ANSWERS = 100
"""Answers in the window below which no drift is given: of so few it would be chance."""
LABEL_GROUPS = 10
"""Labels are counted in groups of about equal share, so that a thousand of them do not look like drift by chance."""
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


def label_groups(labels: Mapping[int, int]) -> dict[int, int]:
    """Each label's group, from 0: at most LABEL_GROUPS of about equal share; equal counts go by the label.

    Examples
    --------
    >>> label_groups({7: 5, 2: 1, 4: 9})
    {4: 0, 7: 1, 2: 2}
    """
    groups: dict[int, int] = {}
    shares = [0] * LABEL_GROUPS
    for label in sorted(labels, key=lambda one: (-labels[one], one)):
        groups[label] = shares.index(min(shares))
        shares[groups[label]] += labels[label]
    return groups


class Drift:
    """The newest answers of a server, beside the reference of its premodel.

    Parameters
    ----------
    reference:
        Of the bundle.
    window:
        Answers that are remembered.
    chooses:
        Does the policy choose; where it does not, its choices cannot move and are no measure of drift.
    """

    def __init__(self, reference: Reference, window: int = WINDOW, *, chooses: bool = True) -> None:
        self._reference = reference
        self._chooses = chooses
        self._group = label_groups(reference.labels)
        self._labels = Counter[int]()
        for label, count in reference.labels.items():
            self._labels[self._group[label]] += count
        self._newest: deque[tuple[str, int | None, int | None]] = deque(maxlen=window)
        self._lock = threading.Lock()

    def answered(self, answer: Answer) -> None:
        """Remember an answer or abstention, and forget the oldest."""
        place, group = None, None
        if answer.probability is not None and answer.label is not None:
            place = bisect_right(self._reference.edges, self._reference.binned(answer.confidence, answer.probability))
            group = self._group.get(answer.label, LABEL_GROUPS)
        with self._lock:
            self._newest.append((answer.candidate or ABSTAINED, place, group))

    @property
    def answers(self) -> int:
        """Answers in the window."""
        return len(self._newest)

    def values(self) -> dict[str, float]:
        """Population stability index of "choice", "confidence" and "label".

        Left out is what has fewer than MIN_ANSWERS, and what cannot move: the choice of a policy that makes none,
        and a distribution of one bin.
        """
        with self._lock:
            newest = list(self._newest)
        found = {}
        if len(newest) >= MIN_ANSWERS and self._chooses:
            found["choice"] = population_stability_index(
                self._reference.choices, Counter(choice for choice, _, _ in newest)
            )
        places = Counter(place for _, place, _ in newest if place is not None)
        if places.total() >= MIN_ANSWERS and any(self._reference.confidence) and len(self._reference.confidence) > 1:
            found["confidence"] = population_stability_index(dict(enumerate(self._reference.confidence)), places)
        groups = Counter(group for _, _, group in newest if group is not None)
        if groups.total() >= MIN_ANSWERS and self._labels:
            found["label"] = population_stability_index(self._labels, groups)
        return found
