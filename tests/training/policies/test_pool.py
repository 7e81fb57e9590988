from __future__ import annotations

import numpy as np
import pytest

from premodel.training.log_scores import log_score_table
from premodel.training.policies.pool import PoolSearch
from telling import noisy_tables, telling_tables

WEIGHT = np.asarray([0.02])


def test_a_useless_candidate_is_left_out_and_a_useful_one_kept() -> None:
    """c0 is cheap and shows when it is wrong, c1 is right on everything; c2 is as cheap as c0 and never right."""
    rng = np.random.default_rng(0)
    n = 500
    correct = np.stack([rng.random(n) < 0.7, np.ones(n), np.zeros(n)], axis=1)
    table = log_score_table(telling_tables(correct, noise=0.03, latency_ms=(1.0, 4.0, 1.0)), "top1", 0.3)
    found = PoolSearch(table).choose(WEIGHT)
    assert found.candidates == (0, 1)
    assert found.value == pytest.approx(1 - 0.02 * (1 + 0.3 * 4), abs=0.02)
    assert found.steps[0].startswith("added c")


def test_of_two_copies_the_cheaper_is_taken() -> None:
    tables = noisy_tables(400, 2)
    twice = tables.take_candidates([0, 1, 1])
    table = log_score_table(twice, "top1", 0.3)
    table.latency_ms[:] = [1.0, 4.0, 2.0]
    assert PoolSearch(table).choose(WEIGHT).candidates == (0, 2)
    assert 2 in PoolSearch(table).choose(WEIGHT).candidates


def test_it_is_by_latency_no_larger_than_asked_and_acceptable() -> None:
    table = log_score_table(noisy_tables(300, 6, seed=3), "top1", 0.3)
    found = PoolSearch(table).choose(WEIGHT, most=3)
    assert 2 <= len(found.candidates) <= 3
    assert list(table.latency_ms[list(found.candidates)]) == sorted(table.latency_ms[list(found.candidates)])
    without = PoolSearch(table).choose(WEIGHT, accepts=lambda pool: found.candidates[0] not in pool)
    assert found.candidates[0] not in without.candidates
    assert without.value <= found.value + 1e-9
    assert len(PoolSearch(table).choose(WEIGHT, accepts=lambda pool: len(pool) < 2).candidates) == 1


def test_a_stand_in_is_always_there() -> None:
    """One candidate is cheapest and always right: the other is of no use but to stand in for it."""
    table = log_score_table(telling_tables(np.stack([np.ones(60), np.zeros(60)], axis=1)), "top1", 0.3)
    assert PoolSearch(table).choose(WEIGHT).candidates == (0, 1)
