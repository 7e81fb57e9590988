"""What training learns for sets of candidates; the policies that come of it are in test_cascade_routing.py."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from premodel.runtime.policies.stopping import Cascade, CascadeRouting, StoppingPolicy
from premodel.stats import reliability
from premodel.training.folds import stratified_folds
from premodel.training.log_scores import log_score_table
from premodel.training.policies.continuation_values import allowed_after, members_of, walk
from premodel.training.policies.stopping import (
    compute_states,
    cross_fit,
    fit_all_weights,
    fit_sets,
    solve_sets,
    stopping_components,
    thinned,
    who_answers,
)
from premodel.training.simulate import simulate
from telling import noisy_tables, telling_tables

TABLES = noisy_tables(800, 3)
TABLE = log_score_table(TABLES, "top1", 0.3)


def folds(n: int = 5) -> list:
    return stratified_folds(TABLES.truth, TABLE.correct.sum(axis=1), n)


def test_cross_fitted_states_are_those_of_fits_without_the_fold() -> None:
    division = folds(4)
    crossed = cross_fit(TABLE, division)
    for fold in division[:2]:
        weights = fit_all_weights(TABLE.take(fold.train))
        own = compute_states(TABLE.take(fold.test), weights, np.full(8, -1, np.int8))
        assert np.array_equal(crossed.right[:, fold.test], own.right)
        assert np.array_equal(crossed.top_probability[:, fold.test], own.top_probability)
    assert np.array_equal(crossed.right[[1, 2, 4]].T, TABLE.correct)


def test_fusion_never_hurts() -> None:
    """Where the fused answer of a set is less accurate than its best member, that member answers."""
    right = np.zeros((4, 10), np.bool_)
    correct = np.zeros((10, 2), np.bool_)
    correct[:5, 0] = correct[:7, 1] = True
    right[3, :6] = True
    assert who_answers(right, correct).tolist() == [-1, -1, -1, 1]
    right[3, :7] = True
    assert who_answers(right, correct).tolist() == [-1, -1, -1, -1], "equal is no loss"


def test_fusion_never_hurts_out_of_fold() -> None:
    crossed = cross_fit(TABLE, folds())
    fit = fit_sets(TABLE, folds())
    states = compute_states(TABLE, fit.weights, fit.member)
    for number, members in enumerate(members_of(3)):
        if len(members) < 2:
            continue
        best = TABLE.correct[:, list(members)].mean(axis=0).max()
        if fit.member[number] < 0:
            assert crossed.right[number].mean() >= best
        else:
            assert crossed.right[number].mean() < best
            assert states.right[number].mean() == best


def test_a_set_that_fuses_badly_is_not_fused() -> None:
    """A candidate that is always sure and mostly wrong: drawn to share the weight, it spoils what it is fused with."""
    rng = np.random.default_rng(5)
    correct = np.stack([rng.random(12) < 0.1, np.ones(12)], axis=1)
    tables = telling_tables(correct, sure=0.99, unsure=0.99)
    shares = tables.top_probabilities.copy()
    shares[:, 1] = np.asarray([0.3] + [0.7 / 11] * 11, np.float32)
    table = log_score_table(dataclasses.replace(tables, top_probabilities=shares), "top1", 0.3)
    fit = fit_sets(table, stratified_folds(tables.truth, correct.sum(axis=1).astype(int), 3))
    assert fit.member.tolist() == [-1, -1, -1, 1]


@pytest.mark.parametrize("criterion", ["top1", "top5"])
def test_confidence_is_calibrated_on_samples_it_was_not_fitted_on(criterion: str) -> None:
    tables = noisy_tables(4000, 3, seed=1)
    table = log_score_table(tables, criterion, 0.3)  # type: ignore[arg-type]
    train, test = table.take(np.arange(2000)), table.take(np.arange(2000, 4000))
    fit = fit_sets(train, stratified_folds(train.truth_class, train.correct.sum(axis=1), 5))
    states = compute_states(test, fit.weights, fit.member)
    said = fit.confidence(states.top_probability.T)[:, 1:]
    assert reliability(said.ravel(), states.right[1:].T.ravel()).error < 0.04
    for number in range(1, 8):
        assert abs(said[:, number - 1].mean() - states.right[number].mean()) < 0.04


def test_many_rows_are_thinned_evenly() -> None:
    rows = np.arange(24_000)
    assert len(thinned(rows)) == 8_000
    assert thinned(rows)[:3].tolist() == [0, 3, 6]
    assert thinned(rows[:50]).tolist() == list(range(50))


@pytest.mark.parametrize("criterion", ["top1", "top5"])
@pytest.mark.parametrize("ordered", [False, True])
def test_the_tables_walk_where_the_device_walks(criterion: str, ordered: bool) -> None:
    """Every sample at every cost weight: the same candidates, the same answer right or wrong."""
    table = log_score_table(TABLES, criterion, 0.3)  # type: ignore[arg-type]
    fit = fit_sets(table, folds())
    weights = np.asarray([0.0, 0.01, 0.05])
    allowed = allowed_after(3, range(3) if ordered else None)
    parts = stopping_components(table, fit, weights, allowed)
    states = compute_states(table, fit.weights, fit.member)
    solved = solve_sets(table, fit, weights, allowed)
    right, spent = walk(states.right, states.basis, solved.continuation, table.latency_ms)
    kind: type[StoppingPolicy] = Cascade if ordered else CascadeRouting
    for point in range(3):
        policy = kind(
            table.names, parts, point=point, accuracy=[0.5] * 3, costs=table.costs, n_labels=12, top_n=table.top_n
        )
        served = simulate(policy, TABLES)
        came = (served.labels[:, : table.top_n] == TABLES.truth[:, None]).any(axis=1)
        ran_ms = np.where(served.ran, table.latency_ms, 0).sum(axis=1)
        # A gain within rounding of 0 may fall either way.
        assert np.mean(ran_ms == spent[:, point]) >= 0.998
        same = ran_ms == spent[:, point]
        assert np.mean(came[same] == right[same, point]) >= 0.998
