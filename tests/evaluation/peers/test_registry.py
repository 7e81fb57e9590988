"""Every peer out of fold."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.evaluation.peers.registry import PEERS, run_peers
from premodel.training.folds import stratified_folds
from premodel.training.objective import Floor, Objective
from profiles import predictable_tables

pytest.importorskip("sklearn")
RIGHT_AND_MS = {
    "max-probability cascade": ([213, 144], [1980.0, 700.0]),
    "committee cascade": ([213, 143], [1980.0, 732.0]),
    "agreement-based cascade": ([213, 171], [2812.0, 1276.0]),
    "two-model threshold": ([213, 155], [1475.19998, 708.19999]),
}
"""Right answers and total latency of 240 samples at two points, from the code that the published tables came from."""


def test_results_are_those_of_the_published_benchmark() -> None:
    tables = predictable_tables(240, 4)
    asked = [("no loss", Objective(Floor.parse("best"))), ("at most 3 ms", Objective(max_latency_ms=3.0))]
    folds = stratified_folds(tables.truth, tables.correct("top1").sum(axis=1), 4, 0)
    found = run_peers(tables, "top1", folds, asked, 0)
    assert list(found) == list(PEERS)
    for name, (right, latency_ms) in RIGHT_AND_MS.items():
        assert found[name].right.sum(axis=1).tolist() == right, name
        assert found[name].latency_ms.sum(axis=1).tolist() == pytest.approx(latency_ms), name
        assert set(np.unique(found[name].right)) <= {0.0, 1.0}
