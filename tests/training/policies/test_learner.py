"""What trainings of cascades share must be what each would have computed alone."""

from __future__ import annotations

import gc
import weakref
from itertools import permutations

import numpy as np
import pytest

from premodel.training.folds import stratified_folds
from premodel.training.log_scores import log_score_table
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.policies.learner import SELECT_MS, learner_of
from premodel.training.policies.pool import PoolSearch
from premodel.training.policies.stopping import compute_states, fit_sets
from premodel.training.train import train
from telling import noisy_tables

TABLES = noisy_tables(400, 4)
OPTIONS = TrainOptions("cascade-routing")
WEIGHTS = np.array([0.02, 0.05])
ROWS = np.arange(0, 400, 2)


def test_a_pool_is_found_once_and_is_the_one_found_alone() -> None:
    learner = learner_of(TABLES, OPTIONS)
    alone = PoolSearch(log_score_table(TABLES.take(ROWS), "top1", TABLES.decode_ms + SELECT_MS)).choose(WEIGHTS)
    assert learner.choose(TABLES, ROWS, WEIGHTS) == alone
    assert learner.choose(TABLES, ROWS, WEIGHTS) is learner.choose(TABLES, ROWS.copy(), WEIGHTS.copy())
    assert learner.choose(TABLES, ROWS[:-1], WEIGHTS) is not learner.choose(TABLES, ROWS, WEIGHTS)
    # at other weights sets that were fitted before are taken again
    fresh = PoolSearch(log_score_table(TABLES.take(ROWS), "top1", TABLES.decode_ms + SELECT_MS))
    assert learner.choose(TABLES, ROWS, WEIGHTS[:1]) == fresh.choose(WEIGHTS[:1])


def test_a_fit_is_the_one_made_alone() -> None:
    learner, columns = learner_of(TABLES, OPTIONS), (0, 2)
    pool = log_score_table(TABLES.take_candidates(columns), "top1", TABLES.decode_ms + SELECT_MS).take(ROWS)
    counts = TABLES.correct("top1")[ROWS].sum(axis=1)
    alone = fit_sets(pool, stratified_folds(TABLES.truth[ROWS], counts, 2, OPTIONS.seed))
    shared = learner.fit(TABLES, columns, ROWS, 2)
    assert np.array_equal(shared.weights, alone.weights)
    assert np.array_equal(shared.member, alone.member)
    assert np.array_equal(shared.confidence.own, alone.confidence.own)
    assert learner.fit(TABLES, columns, ROWS, 2) is shared
    assert learner.fit(TABLES, columns, ROWS, 3) is not shared


def test_one_learner_per_tables_criterion_seed_and_ceilings() -> None:
    learner = learner_of(TABLES, OPTIONS)
    assert learner_of(TABLES, TrainOptions("cascade", objective=Objective(cost_weight=1.0))) is learner
    assert learner_of(TABLES, TrainOptions("cascade", criterion="top5")) is not learner
    assert learner_of(TABLES, TrainOptions("cascade", seed=1)) is not learner
    assert learner_of(TABLES, TrainOptions("cascade", objective=Objective(max_memory_mb=9.0))) is not learner
    assert learner_of(TABLES.take(ROWS), OPTIONS) is not learner


def test_nothing_is_kept_longer_than_its_tables() -> None:
    tables = TABLES.take(ROWS)
    kept = weakref.ref(learner_of(tables, OPTIONS))
    assert kept() is not None
    del tables
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_another_order_is_another_numbering(order: tuple[int, ...]) -> None:
    """Every set of candidates gives the same answers, by whatever number it goes."""
    table = log_score_table(TABLES.take_candidates((0, 1, 2)), "top1", 0.3)
    fit = fit_sets(table, stratified_folds(TABLES.truth, table.correct.sum(axis=1), 2))
    plain = compute_states(table, fit.weights, fit.member)
    other = fit.reordered(order)
    states = compute_states(table.take_candidates(order), other.weights, other.member)
    for number in range(1, 8):
        old = sum(1 << order[j] for j in range(3) if number >> j & 1)
        assert states.top_probability[number] == pytest.approx(plain.top_probability[old], abs=1e-5)
        assert (states.right[number] == plain.right[old]).mean() > 0.99  # rounding may part two equal answers
        assert other.confidence.own[number] == fit.confidence.own[old]


def test_training_twice_on_the_same_tables_gives_the_same() -> None:
    tables = TABLES.take(ROWS)
    first = train(tables, OPTIONS)
    again = train(tables, OPTIONS)
    apart = train(TABLES.take(ROWS), OPTIONS)
    assert first.summary == again.summary == apart.summary
    assert first.record.to_json() == again.record.to_json() == apart.record.to_json()
