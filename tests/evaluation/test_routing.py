"""Two candidates in RouteLLM's terms: accuracy over the share of strong calls, and the area under it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.evaluation.routing import routing_curve
from premodel.training.tables import Tables
from profiles import make_tables


def two(hardness: np.ndarray, seed: int = 0) -> Tables:
    """The weak one is right on the easier half, the strong one always; a feature tells how hard a sample is."""
    correct = np.stack([hardness < 0.5, np.ones(len(hardness), bool)], axis=1)
    rng = np.random.default_rng(seed)
    features = np.stack([hardness, rng.random(len(hardness)), rng.random(len(hardness))], axis=1)
    return make_tables(correct, features=features, names=("weak", "strong"), seed=seed)


def test_a_feature_that_tells_all_sends_the_hard_half_first() -> None:
    found = routing_curve(two(np.random.default_rng(1).random(400)), "top1", folds=4, seed=0)
    assert found is not None
    assert (found.weak, found.strong) == ("weak", "strong")
    # All of the gap is recovered at half of the calls: a triangle and a square, 0.25 + 0.5.
    assert found.apgr == pytest.approx(0.75, abs=0.03)
    assert found.accuracy[0] == pytest.approx(0.5, abs=0.06)
    assert found.accuracy[-1] == 1.0
    assert found.accuracy[6] > 0.98


def test_the_random_line_and_the_calls_for_a_part_of_the_gap_are_stated_beside_it() -> None:
    tables = two(np.random.default_rng(1).random(400))
    found = routing_curve(tables, "top1", folds=4, seed=0)
    assert found is not None
    weak = tables.correct("top1")[:, 0].mean()
    assert found.random == pytest.approx([weak + share * (1 - weak) for share in found.shares])
    # Every strong call among the hard half recovers one error of the weak one.
    assert found.calls == pytest.approx([q * (1 - weak) for q in (0.2, 0.5, 0.8)], abs=0.03)
    assert "random 0.500" in str(found)
    assert "by 3 features alone" in str(found)


def test_words_that_tell_who_is_right_are_found_among_many_that_do_not() -> None:
    rng = np.random.default_rng(5)
    hardness = rng.random(600)
    tables = two(hardness)
    words = rng.random((600, 200))
    words[:, 17] = hardness + rng.normal(0, 0.2, 600)
    many = replace(tables, features=words.astype(np.float32), feature_names=tuple(f"word{k}" for k in range(200)))
    found = routing_curve(many, "top1", folds=5, seed=0)
    assert found is not None
    assert found.apgr_ci[0] > 0.6


def test_features_that_tell_nothing_are_a_random_choice() -> None:
    tables = two(np.random.default_rng(1).random(400))
    blind = replace(tables, features=np.random.default_rng(2).random(tables.features.shape).astype(np.float32))
    found = routing_curve(blind, "top1", folds=4, seed=0)
    assert found is not None
    low, high = found.apgr_ci
    assert low < 0.5 < high


def test_without_features_or_with_three_candidates_there_is_no_curve() -> None:
    tables = two(np.random.default_rng(1).random(60))
    bare = replace(tables, feature_names=(), features=tables.features[:, :0])
    assert routing_curve(bare, "top1", folds=2, seed=0) is None
    assert routing_curve(tables.take_candidates([0]), "top1", folds=2, seed=0) is None
