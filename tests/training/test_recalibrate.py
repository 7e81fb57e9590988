"""A cascade adapted to records: its thresholds follow the inputs, its calibration the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.runtime.policies.stopping import StoppingPolicy
from premodel.training.calibration import fit_calibration
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.recalibrate import LEVELS, Records, folds_of, recalibrate, resample
from premodel.training.simulate import served_score, simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables

OBJECTIVE = Objective(cost_weight=0.002)


def profile(right: tuple[float, float], seed: int, n: int = 400) -> Tables:
    """Two candidates; an easy input is one that both answer."""
    draw = np.random.default_rng(seed).random((n, 1))
    return make_tables(draw < np.array(right), latency_ms=[1, 10], seed=seed)


def as_sure_as_ever(tables: Tables) -> Tables:
    """The same, what candidates state of themselves being no help."""
    k = tables.top_probabilities.shape[2]
    one = np.array([0.9, *[0.1 / (k - 1)] * (k - 1)], np.float32)
    return replace(tables, top_probabilities=np.broadcast_to(one, tables.top_probabilities.shape).copy())


def trained(tables: Tables) -> tuple[StoppingPolicy, tuple[float, float]]:
    found = train(tables, TrainOptions("cascade", "top1", OBJECTIVE))
    assert isinstance(found.policy, StoppingPolicy)
    reward = found.record.to_json()["reward"]
    return found.policy, (reward["intercept"], reward["slope"])


def records(policy: StoppingPolicy, tables: Tables, labels: int) -> Records:
    n = len(tables)
    labelled = np.zeros(n, np.bool_)
    labelled[np.random.default_rng(1).permutation(n)[:labels]] = True
    hidden = replace(
        tables,
        truth=np.where(labelled, tables.truth, -2).astype(np.int32),
        rank=np.where(labelled[:, None], tables.rank, len(tables.label_names)).astype(np.int32),
    )
    return Records.of(policy, hidden, "top1", labelled, np.ones(n), labelled.astype(float))


def test_where_the_cheap_candidate_has_become_bad_the_dear_one_answers() -> None:
    policy, reward = trained(as_sure_as_ever(profile((0.94, 0.95), seed=0)))
    now = as_sure_as_ever(profile((0.3, 0.95), seed=1))
    found = recalibrate(policy, records(policy, now, 50), OBJECTIVE, reward)
    before, after = (served_score(now, "top1", simulate(one, now)).mean() for one in (policy, found.policy))
    assert after > before + 0.3
    assert after == pytest.approx(0.95, abs=0.03)
    assert len(found.losses) == len(LEVELS)
    assert found.losses[0] > min(found.losses)
    assert found.policy.accuracy[0] == pytest.approx(0.3, abs=0.2)


def test_where_nothing_has_changed_it_does_as_well() -> None:
    policy, reward = trained(profile((0.7, 0.95), seed=0))
    now = profile((0.7, 0.95), seed=1)
    found = recalibrate(policy, records(policy, now, 60), OBJECTIVE, reward)
    before, after = (served_score(now, "top1", simulate(one, now)).mean() for one in (policy, found.policy))
    assert after == pytest.approx(before, abs=0.05)


def test_labels_that_are_hidden_make_no_difference() -> None:
    policy, reward = trained(profile((0.9, 0.95), seed=0))
    now = profile((0.3, 0.95), seed=1)
    known = records(policy, now, 50)
    held = folds_of(known.labelled, 5, seed=0)[0]
    hidden = known.without_labels(held)
    wrong = replace(hidden.table, correct=hidden.table.correct.copy(), truth=hidden.table.truth.copy())
    wrong.correct[held] = ~wrong.correct[held]
    wrong.truth[held] = wrong.log_scores.shape[2]
    for level in LEVELS[1:]:
        one, other = (
            recalibrate(policy, replace(hidden, table=table), OBJECTIVE, reward, level=level).policy.arrays()
            for table in (hidden.table, wrong)
        )
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_rows_stand_for_their_weight() -> None:
    assert resample(np.ones(4), 100).tolist() == [0, 1, 2, 3]
    counts = np.bincount(resample(np.array([1.0, 2.0, 1.0]), 400))
    assert counts.tolist() == [100, 200, 100]


def test_folds_hold_each_labelled_row_once() -> None:
    labelled = np.arange(20) % 2 == 0
    parts = folds_of(labelled, 3, seed=5)
    assert sorted(np.concatenate(parts).tolist()) == list(range(0, 20, 2))


def test_a_weight_counts_as_so_many_samples() -> None:
    rng = np.random.default_rng(3)
    share, right = rng.random((60, 2)), rng.random((60, 2)) < 0.6
    twice = np.concatenate([share, share[:30]]), np.concatenate([right, right[:30]])
    weighted = fit_calibration(share, right, weight=np.where(np.arange(60) < 30, 2.0, 1.0))
    repeated = fit_calibration(*twice)
    assert weighted.intercept == pytest.approx(repeated.intercept, abs=1e-9)
    assert weighted.slope == pytest.approx(repeated.slope, abs=1e-9)
    assert weighted.own == pytest.approx(repeated.own, abs=1e-9)


def test_without_samples_a_calibration_stays_where_it_is_drawn_to() -> None:
    found = fit_calibration(np.empty((0, 2)), np.empty((0, 2), np.bool_), own=None, toward=(-1.0, 0.5))
    assert (found.intercept, found.slope) == (-1.0, 0.5)


def test_the_point_is_estimated_with_what_follows_a_failure() -> None:
    """By hand: c0 fails on half of the records, and c1 runs there, worth its time or not: 6.25 ms on average."""
    n, dear = 400, Objective(cost_weight=0.2)
    failed = [(row, 0) for row in range(1, n, 2)]
    right = np.ones((n, 2), np.bool_)
    right[1::2, 0] = False
    found = train(
        as_sure_as_ever(make_tables(np.ones((n, 2)), latency_ms=[1, 10])), TrainOptions("cascade", "top1", dear)
    )
    assert isinstance(found.policy, StoppingPolicy)
    broken = make_tables(right, latency_ms=[1, 10], failed=failed)
    sure = as_sure_as_ever(broken).top_probabilities * broken.answered[:, :, None]
    now = replace(broken, top_probabilities=sure.astype(np.float32))
    again = recalibrate(found.policy, records(found.policy, now, 200), dear, (0.0, 1.0))
    assert again.point.latency_ms == pytest.approx(6.25 + again.policy.costs.select_ms)
    assert again.point.accuracy == pytest.approx(1.0, abs=0.02)
