"""Is a candidate as often right as its own top probability says: a reliability diagram in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from premodel.records import Criterion
from premodel.training.tables import Tables

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """One candidate.

    Attributes
    ----------
    name:
        Of the candidate.
    sure, right, samples:
        For each bin of its top probability that occurs: mean probability, share right, number of samples.
    error:
        Expected calibration error: mean distance of the two, weighted by samples.
    """

    name: str
    sure: tuple[float, ...]
    right: tuple[float, ...]
    samples: tuple[int, ...]
    error: float


def reliability(tables: Tables, criterion: Criterion) -> list[Reliability]:
    """Ten bins of equal width over [0, 1]; failed predictions are left out.

    Source: Guo et al., "On calibration of modern neural networks", 2017, equations 2 and 3.
    """
    found = []
    correct = tables.correct(criterion)
    for column, name in enumerate(tables.candidates):
        answered = tables.top_labels[:, column, 0] >= 0
        sure = tables.top_probabilities[answered, column, 0].astype(np.float64)
        right = correct[answered, column]
        number = np.minimum((sure * BINS).astype(int), BINS - 1)
        bins = [number == index for index in range(BINS) if (number == index).any()]
        means = tuple(float(sure[one].mean()) for one in bins)
        shares = tuple(float(right[one].mean()) for one in bins)
        counts = tuple(int(one.sum()) for one in bins)
        distance = sum(n * abs(a - b) for n, a, b in zip(counts, means, shares, strict=True))
        found.append(Reliability(name, means, shares, counts, distance / max(1, sum(counts))))
    return found
