"""Which setting of a peer is served: decided by the objective, on the training folds alone.

A setting is one way of running a peer: (correctness, latency) of every sample, bool and float64 (n,). Decisions are
charged nothing, which favours the peers: premodels are charged what theirs take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.peers.points import Floats, Points
from premodel.training.folds import Fold
from premodel.training.objective import Objective
from premodel.training.product import product

Bools = NDArray[np.bool_]
Setting = tuple[Bools, Floats]
Objectives = Sequence[tuple[str, Objective]]
"""Name of the operating point, and what is to be reached there."""


def choose_by_folds(
    settings: Callable[[], Iterable[Setting]],
    folds: Sequence[Fold],
    objectives: Objectives,
    best_of: Callable[[Fold], float],
) -> Points:
    """Serve each test fold at the setting that the objective picks on the training folds.

    Parameters
    ----------
    settings:
        Gives the settings, the same at each call: there may be too many of them to be held at once.
    best_of:
        Accuracy of the best single candidate on a fold's training rows.
    """
    n = sum(len(part) for part in (folds[0].train, folds[0].test))
    picked = _picks(_sums(settings(), folds, n), folds, objectives, best_of)
    found = empty_points(objectives, n)
    for number, (right, latency_ms) in enumerate(settings()):
        for position, fold in picked.get(number, ()):
            found.right[position, fold.test] = right[fold.test]
            found.latency_ms[position, fold.test] = as_served(latency_ms)[fold.test]
    return found


def _sums(settings: Iterable[Setting], folds: Sequence[Fold], n: int) -> Floats:
    """float64 (settings, 2, folds + 1): right answers and latency summed over each test fold, and over all samples."""
    members = np.ones((n, len(folds) + 1))
    for number, fold in enumerate(folds):
        members[fold.train, number] = 0.0
    rows = [product(np.stack([right, as_served(latency_ms)]), members) for right, latency_ms in settings]
    return np.array(rows, dtype=np.float64)


def _picks(
    sums: Floats, folds: Sequence[Fold], objectives: Objectives, best_of: Callable[[Fold], float]
) -> dict[int, list[tuple[int, Fold]]]:
    """By number of the setting: the points and folds at which it is served."""
    picked: dict[int, list[tuple[int, Fold]]] = {}
    for number, fold in enumerate(folds):
        accuracy, mean_ms = ((sums[:, what, -1] - sums[:, what, number]) / len(fold.train) for what in (0, 1))
        for position, (_, objective) in enumerate(objectives):
            pick = pick_setting(objective, accuracy, mean_ms, best_of(fold))
            picked.setdefault(pick, []).append((position, fold))
    return picked


def pick_setting(objective: Objective, accuracy: Floats, latency_ms: Floats, best: float) -> int:
    """The setting that meets the objective, or the nearest to it."""
    found = objective.choose(accuracy, latency_ms, best)
    return objective.nearest(accuracy, latency_ms) if found is None else found


def as_served(latency_ms: Floats) -> NDArray[np.float32]:
    """float32 (n,): rounded so that sums of many are exact, and equal in whatever order they are made."""
    return latency_ms.astype(np.float32)


def empty_points(objectives: Objectives, n: int) -> Points:
    """Operating points to be filled in."""
    return Points(np.empty((len(objectives), n)), np.empty((len(objectives), n)), tuple(name for name, _ in objectives))
