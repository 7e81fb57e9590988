"""One store, one story: what `doctor` advises is what `train` packages, on stores of every kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.evaluation.diagnosis import Diagnosis
from premodel.evaluation.doctor import diagnose
from premodel.evaluation.final_test import train_and_test
from premodel.training.options import TrainOptions
from premodel.training.tables import Tables
from profiles import make_tables


def store(
    n: int, cheap: float, dear: float, *, tells: float, latency_ms: tuple[float, float] = (1.0, 6.0), seed: int = 0
) -> Tables:
    """Two candidates of these accuracies; the cheap one's confidence tells on this share whether it is right."""
    rng = np.random.default_rng(seed)
    right = rng.random((n, 2)) < [cheap, dear]
    right[:, 0] &= right[:, 1] | (rng.random(n) < 0.5)
    tables = make_tables(right, latency_ms=list(latency_ms), seed=seed)
    shown = np.where(rng.random((n, 2)) < tells, right, rng.random((n, 2)) < 0.5)
    top = np.where(shown, 0.9, 0.4) + 0.08 * rng.random((n, 2))
    rest = (1 - top)[:, :, None] * np.full(tables.top_labels.shape[2] - 1, 1 / (tables.top_labels.shape[2] - 1))
    found = np.concatenate([top[:, :, None], rest], axis=2).astype(np.float32)
    return replace(tables, top_probabilities=found)


STORES = {
    "tells": store(150, 0.8, 0.95, tells=1.0),
    "tells nothing": store(200, 0.5, 0.95, tells=0.0),
    "borderline": store(300, 0.86, 0.92, tells=0.8, seed=1),
    "borderline the other way": store(300, 0.86, 0.92, tells=0.7, seed=2),
    "fewer": store(120, 0.75, 0.9, tells=0.9, seed=3),
    "equal cost": store(200, 0.85, 0.9, tells=0.9, latency_ms=(4.0, 4.0), seed=4),
    "fast": store(200, 0.85, 0.95, tells=0.9, latency_ms=(0.01, 0.05), seed=5),
}


@pytest.mark.parametrize("name", STORES)
def test_doctor_advises_what_train_packages(name: str) -> None:
    tables = STORES[name]
    advice = diagnose(tables)
    trained, test = train_and_test(tables, TrainOptions(), advise=False)
    packaged = [one for one in advice.reachable if one.packaged]
    if trained.policy.fixed_candidate is None:
        assert test is not None
        assert (advice.policy, advice.use) == (test.policy, None)
        assert advice.advice.startswith(f"use policy {test.policy}: ")
        (one,) = packaged
        assert one.no_loss.verdict.sentence() == test.verdict.sentence()
        assert one.no_loss.latency_ms == test.latency_ms
    else:
        assert packaged == []
        assert needs_options(advice) or advice.use == trained.policy.candidates[trained.policy.fixed_candidate]


def test_the_stores_are_of_every_kind() -> None:
    chosen = {train_and_test(tables, TrainOptions(), advise=False)[0].policy.kind for tables in STORES.values()}
    assert "single" in chosen
    assert len(chosen) > 1


def needs_options(found: Diagnosis) -> bool:
    """The advice names an option, without which one candidate alone is packaged."""
    return "--cost-weight 0" in found.advice or "--max-latency-ms" in found.advice
