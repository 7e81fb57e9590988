"""Accuracy over memory: what the candidates that fit together reach, and what one of them alone does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.training.ceilings import resident_mb
from premodel.training.tables import Tables

MAX_ENUMERATED = 12
"""Candidates of which every set is looked at; of more, the most accurate ones."""
MIN_GAIN = 0.005
"""Of the union, for a set to be a step of its own."""


@dataclass(frozen=True)
class MemoryStep:
    """The least memory at which more can be reached.

    Attributes
    ----------
    memory_mb:
        Of all networks of the set, open together.
    best, accuracy:
        The most accurate candidate alone that fits.
    names, union:
        The set that fits and is right on the most samples, each by some candidate: what a perfect choice reaches.
    """

    memory_mb: float
    best: str
    accuracy: float
    names: tuple[str, ...]
    union: float


def accuracy_over_memory(tables: Tables, criterion: Criterion) -> tuple[MemoryStep, ...]:
    """Steps by rising memory, each with a higher accuracy alone, or a union higher by half a point; empty if unknown.

    Parameters
    ----------
    criterion:
        What answers are judged by; of graded ones the union is the mean of the best scores.
    """
    score = tables.score(criterion)
    usable = [column for column, size in enumerate(tables.memory_mb) if np.isfinite(size)]
    if len(usable) < len(tables.candidates) or len(usable) < 2:
        return ()
    accuracy = score.mean(axis=0)
    usable = sorted(usable, key=lambda column: -accuracy[column])[:MAX_ENUMERATED]
    found = []
    for size in range(1, len(usable) + 1):
        for columns in combinations(usable, size):
            names = tuple(tables.candidates[column] for column in columns)
            found.append((resident_mb(tables, names), _union(score, columns), columns))
    steps: list[MemoryStep] = []
    best_alone, best_union = -1.0, -1.0
    alone = -1
    chosen: tuple[int, ...] = ()
    for memory_mb, union, columns in sorted(found, key=lambda one: (one[0], -one[1])):
        better_alone = len(columns) == 1 and accuracy[columns[0]] > best_alone
        better_union = union > best_union + (MIN_GAIN if steps else 0)
        if better_alone:
            best_alone, alone = float(accuracy[columns[0]]), columns[0]
        if better_union:
            best_union, chosen = union, columns
        if better_alone or better_union:
            names = tuple(tables.candidates[column] for column in chosen)
            step = MemoryStep(memory_mb, tables.candidates[alone], best_alone, names, best_union)
            steps = [*(one for one in steps if one.memory_mb < memory_mb), step]
    return tuple(steps)


def memory_lines(steps: Sequence[MemoryStep]) -> list[str]:
    """In words; nothing of one step."""
    if len(steps) < 2:
        return []
    lines = ["accuracy over memory, all candidates named open together; a perfect choice is what nobody reaches"]
    for one in steps:
        several = "" if len(one.names) == 1 else f"; a perfect choice of {', '.join(one.names)} {100 * one.union:.1f} %"
        lines.append(f"  {one.memory_mb:.1f} MB: {one.best} alone {100 * one.accuracy:.1f} %{several}")
    return lines


def _union(score: NDArray[np.float64], columns: Sequence[int]) -> float:
    return float(score[:, list(columns)].max(axis=1).mean())
