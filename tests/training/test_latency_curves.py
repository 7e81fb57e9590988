"""Latency by length: what is learned from a profile's latencies, and what simulation does with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.domains.base import TEXT_TASK
from premodel.runtime.policies.base import CallOptions
from premodel.training.latency_curves import learn_latency_curves
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables

N = 400


def texts(
    took_ms: NDArray[np.float64], words: NDArray[np.int64], right: NDArray[np.bool_] | None = None, characters: int = 5
) -> Tables:
    """A profile of texts: these latencies (n, m), and the lengths of the texts."""
    n, m = took_ms.shape
    features = np.stack([words, words * characters], axis=1)
    found = np.ones((n, m), np.bool_) if right is None else right
    tables = make_tables(found, features=features, feature_names=("n_words", "n_chars"))
    return replace(tables, task=TEXT_TASK, sample_ms=took_ms, latency_ms=took_ms.mean(axis=0))


def drawn(seed: int = 0) -> tuple[NDArray[np.int64], np.random.Generator]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, 40, N), rng


def test_a_latency_that_grows_with_the_length_is_learned() -> None:
    words, rng = drawn()
    took = np.stack([1 + 0.5 * words, 3 + 2.0 * words], axis=1) * rng.uniform(0.9, 1.1, (N, 2))
    curves = learn_latency_curves(texts(took, words))
    assert curves is not None
    for length in (5, 20, 35):
        assert curves.at(length).tolist() == pytest.approx([1 + 0.5 * length, 3 + 2.0 * length], rel=0.1)
    assert curves.at(80).tolist() == pytest.approx([41, 163], rel=0.15)


def test_a_constant_latency_is_its_mean_at_every_length() -> None:
    words, rng = drawn()
    grows, noise = 1 + 0.5 * words, rng.uniform(0.5, 1.5, N)
    curves = learn_latency_curves(texts(np.stack([grows, noise], axis=1), words))
    assert curves is not None
    assert {float(curves.at(length)[1]) for length in (1, 7, 39, 500)} == {float(noise.mean())}


@pytest.mark.parametrize("seed", range(5))
def test_where_no_latency_depends_on_the_length_there_are_no_curves(seed: int) -> None:
    words, rng = drawn(seed)
    assert learn_latency_curves(texts(rng.lognormal(0, 1, (N, 3)), words)) is None
    assert learn_latency_curves(texts(np.full((N, 3), 2.0), words)) is None
    assert learn_latency_curves(texts(np.stack([1.0 * words], axis=1), np.full(N, 7))) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_a_curve_over_the_profile_is_the_mean_latency(seed: int) -> None:
    words, rng = drawn(seed)
    tables = texts(np.stack([words**1.5 * rng.lognormal(0, 0.3, N), 80.0 - words], axis=1), words)
    curves = learn_latency_curves(tables)
    assert curves is not None
    means = curves.of(tables.features[:, tables.feature_names.index(curves.measure)]).mean(axis=0)
    assert means.tolist() == pytest.approx(tables.latency_ms.tolist())
    assert (np.diff(curves.latency_ms, axis=1) >= 0).all()


def test_the_measure_that_predicts_best_is_taken() -> None:
    words, rng = drawn()
    tables = texts(np.stack([words * 1.0], axis=1), words)
    characters = rng.integers(10, 200, N)
    tables.features[:, 1] = characters
    found = learn_latency_curves(tables)
    other = learn_latency_curves(replace(tables, sample_ms=characters[:, None] * 1.0))
    assert found is not None
    assert other is not None
    assert (found.measure, other.measure) == ("n_words", "n_chars")


def test_images_and_few_samples_have_no_curves() -> None:
    words, _ = drawn()
    tables = texts(np.stack([1.0 * words], axis=1), words)
    assert learn_latency_curves(replace(tables, task="image-classification")) is None
    assert learn_latency_curves(replace(tables, sample_ms=None)) is None
    assert learn_latency_curves(tables.take(np.arange(20))) is None


@pytest.mark.parametrize("policy", ["select", "cascade", "cascade-routing", "single"])
def test_a_budget_holds_for_every_text_by_what_its_length_makes_of_it(policy: str) -> None:
    if policy == "select":
        pytest.importorskip("sklearn", reason="the lab extra is not installed")
    words, rng = drawn()
    took = np.stack([0.1 + 0.01 * words, 0.2 + 0.3 * words], axis=1)
    right = np.stack([rng.random(N) < 0.6, rng.random(N) < 0.95], axis=1)
    tables = texts(took, words, right)
    trained = train(tables, TrainOptions(policy, objective=Objective(cost_weight=1e-4))).policy
    assert trained.latency_curves is not None
    budget = trained.costs.before_ms + 4.0
    served = simulate(trained, tables, CallOptions(max_latency_ms=budget))
    columns = [tables.candidates.index(name) for name in trained.candidates]
    spent = (served.ran * took[:, columns]).sum(axis=1)
    assert spent.max() <= 4.0 * 1.1
    strong = trained.candidates.index("c1")
    short, long = words < 10, words > 15
    assert served.ran[short, strong].any()
    assert not served.ran[long, strong].any()


def test_a_cascade_goes_on_with_short_texts_where_it_stops_at_long_ones() -> None:
    words, rng = drawn()
    took = np.stack([np.full(N, 0.1), 1.0 * words], axis=1)
    right = np.stack([rng.random(N) < 0.5, rng.random(N) < 0.95], axis=1)
    tables = texts(took, words, right)
    policy = train(tables, TrainOptions("cascade", objective=Objective(cost_weight=0.03))).policy
    ran = simulate(policy, tables).ran[:, policy.candidates.index("c1")]
    assert words[ran].mean() < 0.8 * words[~ran].mean()
