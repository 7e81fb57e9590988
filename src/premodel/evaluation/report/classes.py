"""Gains and losses of a premodel against the best single candidate, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.stats import paired_bootstrap
from premodel.training.tables import Tables

MIN_CLASS_SAMPLES = 10
"""Samples of a class for which an interval is given, and a bar is drawn."""


@dataclass(frozen=True)
class ClassGain:
    """One class.

    Attributes
    ----------
    name:
        Of the label.
    samples:
        That have it.
    best, premodel:
        Share answered rightly.
    gained, lost:
        Samples only the premodel has right, and samples only the best single candidate has right.
    points, ci:
        The difference in points of this class, with its paired bootstrap interval; None for fewer than
        MIN_CLASS_SAMPLES samples.
    """

    name: str
    samples: int
    best: float
    premodel: float
    gained: int
    lost: int
    points: float
    ci: tuple[float, float] | None


def class_gains(
    tables: Tables, premodel: NDArray[np.bool_], best: NDArray[np.bool_], *, seed: int = 0
) -> list[ClassGain]:
    """Every class that occurs: most samples lost first, then most points; ties by the order of the labels.

    Parameters
    ----------
    premodel, best:
        bool (n,), was the answer right.
    """
    found = []
    for label in np.unique(tables.truth):
        rows = tables.truth == label
        ours, theirs = premodel[rows], best[rows]
        difference = ours.astype(np.float64) - theirs
        low, high = paired_bootstrap(difference, seed=seed)
        found.append(
            ClassGain(
                tables.label_names[int(label)],
                int(rows.sum()),
                float(theirs.mean()),
                float(ours.mean()),
                int((ours & ~theirs).sum()),
                int((theirs & ~ours).sum()),
                100 * float(difference.mean()),
                (100 * low, 100 * high) if len(difference) >= MIN_CLASS_SAMPLES else None,
            )
        )
    return sorted(found, key=lambda one: (one.gained - one.lost, one.points))
