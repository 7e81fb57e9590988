"""Profiles of translations for tests: scores given by hand or drawn, without any store or model.

`from translation_profiles import make_translated` in any test.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from premodel.training.tables import Tables
from profiles import make_tables

SCORES = np.array([[0.5, 0.8], [0.6, 0.8], [0.5, 0.5]])
"""BLEU of two translations of three sentences."""
TIMES_MS = np.array([1.0, 2.0])


def make_translated(
    bleu: NDArray[np.float64],
    rouge: NDArray[np.float64],
    latency_ms: NDArray[np.float64],
    features: NDArray[np.float64],
    *,
    decode_ms: float = 0.0,
) -> Tables:
    """A profile of n sentences by m translators; `latency_ms` (m,), or (n, m) on each sentence."""
    count = features.shape[1]
    made = make_tables(
        np.ones(bleu.shape, dtype=np.bool_),
        latency_ms=np.broadcast_to(latency_ms, bleu.shape).mean(axis=0).tolist(),
        features=features,
        feature_names=tuple(f"f{index}" for index in range(count)),
        decode_ms=decode_ms,
    )
    total = bleu + rouge
    f1 = np.divide(2 * bleu * rouge, total, out=np.zeros_like(total), where=total > 0)
    return replace(
        made,
        task="translation",
        truth=np.full(len(bleu), -1, np.int32),
        label_names=(),
        top_labels=np.zeros((*bleu.shape, 1), np.int32),
        top_probabilities=np.full((*bleu.shape, 1), 0.5, np.float32),
        rank=np.zeros(bleu.shape, np.int32),
        graded={"bleu": bleu, "rouge": rouge, "f1": f1},
        sample_ms=np.array(latency_ms) if latency_ms.ndim == 2 else None,
    )


def three_sentences() -> Tables:
    """SCORES as BLEU, ROUGE-L a quarter above, and one feature."""
    return make_translated(SCORES, np.minimum(SCORES * 1.25, 1.0), TIMES_MS, np.array([[1.0], [2.0], [3.0]]))


def drawn(n: int = 120, m: int = 3, seed: int = 0, *, tell: bool = False) -> Tables:
    """Dearer translators are better; with `tell` the first feature states on which sentences that holds."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    gain = np.linspace(0.0, 0.4, m) * (hard[:, None] > 0.5) if tell else np.linspace(0.0, 0.1, m)
    bleu = np.clip(0.3 + gain + rng.normal(0, 0.05 if tell else 0.15, (n, m)), 0.0, 1.0)
    rouge = np.clip(bleu + 0.2, 0.0, 1.0)
    length = rng.integers(3, 20, n)
    took_ms = (0.5 + 0.05 * length)[:, None] * 2.0 ** np.arange(m)
    features = np.stack([hard, length, 2 * length + rng.normal(0, 0.1, n), rng.random(n)], axis=1)
    return make_translated(bleu, rouge, took_ms, features, decode_ms=0.01)
