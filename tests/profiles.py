"""Small profiles for tests: tables drawn at random or given by hand, without any store or network.

`from profiles import make_tables` in any test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.records import Timing
from premodel.training.tables import FeatureCosts, Tables

FEATURES = ("contrast", "n_keypoints", "aspect_ratio")


def make_tables(
    correct: NDArray[Any] | Sequence[Sequence[int]],
    *,
    latency_ms: Sequence[float] | None = None,
    features: NDArray[Any] | None = None,
    feature_names: Sequence[str] = FEATURES,
    failed: Sequence[tuple[int, int]] = (),
    names: Sequence[str] | None = None,
    n_labels: int = 8,
    decode_ms: float = 0.25,
    seed: int = 0,
) -> Tables:
    """A profile of n samples by m candidates.

    Parameters
    ----------
    correct:
        Bool (n, m), who is right (top-1).
    latency_ms:
        (m,); 1, 2, 4, ... if absent.
    features:
        (n, F); drawn if absent.
    failed:
        (sample, candidate) pairs without a prediction.
    """
    rng = np.random.default_rng(seed)
    right = np.asarray(correct, dtype=bool)
    n, m = right.shape
    truth = rng.integers(0, n_labels, n).astype(np.int32)
    wrong = (truth[:, None] + rng.integers(1, n_labels, (n, m))) % n_labels
    top = np.where(right, truth[:, None], wrong)
    order = np.argsort(rng.random((n, m, n_labels)), axis=2)
    order = np.where(order == top[:, :, None], order[:, :, :1], order)
    order[:, :, 0] = top
    labels = order.astype(np.int32)
    probabilities = -np.sort(-rng.dirichlet(np.ones(n_labels), (n, m)), axis=2).astype(np.float32)
    rank = (labels == truth[:, None, None]).argmax(axis=2).astype(np.int32)
    for sample, candidate in failed:
        labels[sample, candidate], probabilities[sample, candidate] = -1, 0
        rank[sample, candidate] = n_labels
    names = tuple(names or (f"c{index}" for index in range(m)))
    latency = np.asarray(latency_ms if latency_ms is not None else [2.0**index for index in range(m)])
    drawn = rng.normal(size=(n, len(feature_names))) if features is None else np.asarray(features)
    return Tables(
        samples=tuple(hashlib.sha256(str(row).encode()).hexdigest() for row in range(n)),
        truth=truth,
        label_names=tuple(f"label {index}" for index in range(n_labels)),
        candidates=names,
        networks=tuple(hashlib.sha256(name.encode()).hexdigest() for name in names),
        top_labels=labels,
        top_probabilities=probabilities,
        entropy=rng.random((n, m)).astype(np.float32),
        rank=rank,
        latency_ms=latency,
        decode_ms=decode_ms,
        timings=tuple(Timing(100, value, value, value, value, value, value, True) for value in latency.tolist()),
        features=drawn.astype(np.float32),
        feature_names=tuple(feature_names),
        feature_costs=FeatureCosts(
            {"shared": 0.05, **dict.fromkeys(feature_names, 0.01)},
            {name: ("shared", name) for name in feature_names},
        ),
        memory_mb=np.full(m, np.nan),
        energy_mj=np.full(m, np.nan),
        conditions={"device": "test"},
    )


def predictable_tables(n: int = 120, m: int = 3, seed: int = 0) -> Tables:
    """A profile where a feature states a good deal about who is right: dearer candidates are right on more samples."""
    rng = np.random.default_rng(seed)
    hardness = rng.random(n)
    correct = hardness[:, None] + rng.normal(0, 0.1, (n, m)) < np.linspace(0.5, 0.9, m)
    features = np.stack([hardness, rng.random(n), rng.random(n)], axis=1)
    return make_tables(correct, features=features, seed=seed)
