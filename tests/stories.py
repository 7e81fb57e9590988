"""Zoos whose right advice is known by construction. `from stories import experts` in any test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoos import SmallZoo, write_zoo

N_LABELS = 10


def experts(folder: Path, n: int = 200, latency_ms: float = 2.0, seed: int = 0) -> SmallZoo:
    """Two candidates of equal cost, each right on half of the inputs, the other half than the other, and sure there."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) % N_LABELS)
    first = truth < N_LABELS // 2
    return _zoo(folder, truth, np.stack([first, ~first], axis=1), latency_ms, rng)


def ladder(folder: Path, n: int, latency_ms: tuple[float, ...] = (0.5, 4.0), seed: int = 0) -> SmallZoo:
    """A cheap candidate that is right on four of five inputs and sure when it is, and a dear one, always right."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) % N_LABELS)
    cheap = rng.permutation(np.arange(n) % 5 > 0)
    return _zoo(folder, truth, np.stack([cheap, np.ones(n, bool)], axis=1), latency_ms, rng)


def _zoo(
    folder: Path,
    truth: np.ndarray,
    correct: np.ndarray,
    latency_ms: float | tuple[float, ...],
    rng: np.random.Generator,
) -> SmallZoo:
    n, m = correct.shape
    wrong = (truth[:, None] + rng.integers(1, N_LABELS, (n, m))) % N_LABELS
    top = np.where(correct, truth[:, None], wrong)
    sure = np.where(correct, 0.97, 0.3) + 0.02 * rng.random((n, m))
    probabilities = np.repeat(((1 - sure) / (N_LABELS - 1))[:, :, None], N_LABELS, axis=2)
    np.put_along_axis(probabilities, top[:, :, None], sure[:, :, None], axis=2)
    return write_zoo(folder, probabilities, truth=truth, latency_ms=latency_ms)
