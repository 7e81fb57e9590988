from __future__ import annotations

import numpy as np

from premodel.paper.motivation import CHEAPEST_FAILS, DEAREST_ONLY, EVERY, kinds, run
from premodel.paper.study import Study
from profiles import make_tables

CORRECT = np.array([[0, 0, 0], [1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 0, 1], [1, 1, 1], [1, 0, 0]], dtype=bool)
LATENCY_MS = [4.0, 1.0, 2.0]
"""The second is the cheapest, the first the dearest."""


def test_kinds_by_hand() -> None:
    found = kinds(CORRECT, np.array(LATENCY_MS))
    assert found[EVERY].tolist() == [2, 5]
    assert found[CHEAPEST_FAILS].tolist() == [1]
    assert found[DEAREST_ONLY].tolist() == [6]


def test_the_first_of_each_kind_is_shown_with_every_candidate_cheapest_first() -> None:
    tables = make_tables(CORRECT, latency_ms=LATENCY_MS)
    result = run(Study(tables, folds=2))
    assert [sample for sample, _ in result.samples] == [tables.samples[row] for row in (2, 1, 6)]
    images, counted = result.tables
    assert [row[3] for row in images.rows] == ["c1", "c2", "c0"] * 3
    assert [row[4] for row in images.rows[3:6]] == ["wrong", "right", "right"]
    assert [row[6] for row in images.rows[:3]] == [1.25, 2.25, 4.25]
    assert [row[1] for row in counted.rows] == [2, 1, 1]


def test_a_kind_that_no_image_is_of_is_said() -> None:
    result = run(Study(make_tables(np.ones((4, 2), dtype=bool)), folds=2))
    assert len(result.samples) == 1
    assert result.finding.endswith("No image for: the cheapest fails, only the dearest right.")
