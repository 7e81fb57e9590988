"""A cheap ensemble that answers where it agrees."""

from __future__ import annotations

import numpy as np

from premodel.evaluation.peers.agreement_cascade import agreement_cascades, votes
from profiles import make_tables


def test_votes_of_three() -> None:
    said = np.array([[1, 1, 2], [1, 2, 3], [4, 5, 5], [6, 6, 6]], dtype=np.int32)
    agreed, speaker = votes(said, 2)
    assert agreed.tolist() == [True, False, True, True]
    assert speaker[[0, 2, 3]].tolist() == [1, 2, 2]
    assert votes(said, 3)[0].tolist() == [False, False, False, True]


def test_who_failed_has_no_vote() -> None:
    said = np.array([[-1, -1, 3], [-1, 4, 4], [-1, -1, -1]], dtype=np.int32)
    agreed, speaker = votes(said, 2)
    assert agreed.tolist() == [False, True, False]
    assert speaker[1] == 2
    tables = make_tables([[0, 0, 1]], latency_ms=[1, 2, 10], failed=[(0, 0), (0, 1)])
    right, latency_ms = next(agreement_cascades(tables, "top1"))
    assert right.tolist() == [True], "two failures do not agree: the last candidate runs"
    assert latency_ms[0] > 13


def test_it_pays_for_its_first_tier_and_the_last_where_it_runs() -> None:
    tables = make_tables([[1, 1, 0], [0, 1, 1], [0, 0, 1]], latency_ms=[1, 2, 10], decode_ms=0.5, n_labels=50)
    said = tables.top_labels[:, :, 0].copy()
    said[2, :2] = [(tables.truth[2] + 1) % 50, (tables.truth[2] + 2) % 50]  # the third: both wrong and apart
    tables.top_labels[:, :, 0] = said
    # first setting: the two cheapest as a tier, the dearest last
    right, latency_ms = next(agreement_cascades(tables, "top1"))
    assert right.tolist() == [True, True, True]
    assert latency_ms.tolist() == [3.5, 13.5, 13.5]


def test_of_two_candidates_each_answers_alone() -> None:
    tables = make_tables([[1, 0], [0, 1]], latency_ms=[4, 1], decode_ms=0.5)
    found = [(right.tolist(), latency_ms.tolist()) for right, latency_ms in agreement_cascades(tables, "top1")]
    assert found == [([False, True], [1.5, 1.5]), ([True, False], [4.5, 4.5])]
