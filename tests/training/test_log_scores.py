from __future__ import annotations

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.runtime.fusion import fused_distribution, log_scores
from premodel.training.log_scores import log_score_table
from profiles import make_tables
from telling import fused, noisy_tables

WEIGHTS = np.asarray([0.4, 0.7, 0.9])


def device(tables: object, row: int) -> np.ndarray:
    said = [tables.prediction(row, j) for j in range(3)]  # type: ignore[attr-defined]
    said = [(one, w) for one, w in zip(said, WEIGHTS.tolist(), strict=True) if one is not None]
    return fused_distribution(
        [one.labels for one, _ in said], [log_scores(one.probabilities) for one, _ in said], [w for _, w in said], 8
    )


def test_the_tables_fuse_as_the_device_does() -> None:
    tables = make_tables(np.random.default_rng(0).random((50, 3)) < 0.6, failed=[(3, 1)])
    table = log_score_table(tables, "top1", 1.0)
    shares = fused(list(table.log_scores), table.log_count, WEIGHTS)
    assert shares.shape == (50, 9)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (shares[:, 8] < 1e-20).all(), "every one of the eight labels has a column"
    for row in range(50):
        assert np.allclose(shares[row, :8], device(tables, row), atol=1e-5)
    assert (table.truth == tables.truth).all()
    assert (table.own[:, :, 0] == np.where(tables.top_labels[:, :, 0] < 0, 8, tables.top_labels[:, :, 0])).all()


def test_few_columns_leave_the_improbable_to_the_last() -> None:
    tables = noisy_tables(40, 3)
    table = log_score_table(tables, "top1", 1.0, columns=4)
    assert table.log_scores.shape == (3, 40, 4)
    shares = fused(list(table.log_scores), table.log_count, WEIGHTS)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    own = np.take_along_axis(table.own[:, :, 0], np.zeros((40, 1), np.intp), axis=1)
    assert (own < 4).all(), "a candidate's own answer always keeps its column"
    assert np.allclose(np.exp(table.log_count[:, 4]), 8)


def test_rows_and_candidates_are_taken_together() -> None:
    table = log_score_table(noisy_tables(30, 3), "top5", 1.5)
    some = table.take(np.asarray([4, 2])).take_candidates([2, 0])
    assert some.names == ("c2", "c0")
    assert len(some) == 2
    assert np.array_equal(some.log_scores, table.log_scores[[2, 0]][:, [4, 2]])
    assert np.array_equal(some.correct, table.correct[[4, 2]][:, [2, 0]])
    assert some.own.shape == (2, 2, 5)
    assert some.latency_ms.tolist() == [4.0, 1.0]
    assert some.costs.before_ms == 1.5


def test_a_criterion_that_is_always_met_is_refused() -> None:
    with pytest.raises(OptionError, match="top5 is always met"):
        log_score_table(make_tables(np.ones((4, 2)), n_labels=5), "top5", 1.0)
