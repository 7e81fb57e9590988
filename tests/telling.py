"""Profiles in which a candidate's top probability states whether it is right. `from telling import telling_tables`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.training.policies.fusion import fuse
from premodel.training.tables import Tables
from profiles import make_tables


def telling_tables(
    correct: NDArray[Any],
    *,
    sure: float = 0.9,
    unsure: float = 0.4,
    n_labels: int = 12,
    noise: float = 0.0,
    seed: int = 0,
    latency_ms: Sequence[float] | None = None,
) -> Tables:
    """A candidate that is right gives `sure` to its answer, one that is wrong `unsure`; other labels share the rest.

    Parameters
    ----------
    noise:
        Standard deviation of what is added to both.
    """
    tables = make_tables(correct, n_labels=n_labels, latency_ms=latency_ms, seed=seed)
    rng = np.random.default_rng(seed + 1)
    top = np.where(np.asarray(correct, bool), sure, unsure) + noise * rng.normal(size=np.shape(correct))
    top = np.clip(top, 1.5 / n_labels, 0.99)
    shares = np.repeat((1 - top)[:, :, None] / (n_labels - 1), n_labels, axis=2)
    shares[:, :, 0] = top
    return dataclasses.replace(tables, top_probabilities=shares.astype(np.float32))


def noisy_tables(n: int = 600, m: int = 3, seed: int = 0, n_labels: int = 12) -> Tables:
    """Dearer candidates are right more often, errors partly independent, top probabilities tell a good deal."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(n)
    correct = hardness[:, None] + rng.normal(0, 0.25, (n, m)) < np.linspace(0.6, 0.9, m)
    return telling_tables(correct, sure=0.8, unsure=0.5, noise=0.12, seed=seed, n_labels=n_labels)


def fused(log_scores: list[np.ndarray], log_count: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The fused distributions, samples first."""
    found = fuse([own.T for own in log_scores], log_count.T, weights)
    return (found.raised / found.total).T
