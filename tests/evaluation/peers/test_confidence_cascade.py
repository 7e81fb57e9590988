"""Cascades of one threshold, on tables small enough to be charged by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.evaluation.peers import confidence_cascade
from premodel.evaluation.peers.confidence_cascade import chains, confidence_cascades, stop_when_confident, together
from profiles import make_tables


def test_a_cascade_is_charged_what_ran() -> None:
    confidence = np.array([[0.9, 0.5], [0.2, 0.4], [0.6, 0.9]])
    right = np.array([[True, False], [False, True], [False, True]])
    found = list(stop_when_confident(confidence, right, np.array([1.5, 5.5])))
    rows = [setting for _, setting in found]
    assert (found[0][0], found[-1][0]) == (0.2, 0.9)
    # thresholds from 0.2 to 0.9: at the lowest all stop at once, at the highest only the first sample does
    assert rows[0][0].tolist() == [True, False, False]
    assert rows[0][1].tolist() == [1.5, 1.5, 1.5]
    assert rows[-1][0].tolist() == [True, True, True]
    assert rows[-1][1].tolist() == [1.5, 5.5, 5.5]


def test_small_pools_have_chains_of_three_and_every_chain_once() -> None:
    tables = make_tables([[1, 0, 1], [0, 1, 1]], latency_ms=[1, 2, 10])
    assert chains(tables, "top1") == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


def test_a_committee_serves_the_mean_of_what_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = make_tables([[1, 0], [0, 0], [1, 1]], n_labels=4)
    labels, probabilities = tables.top_labels.copy(), np.zeros_like(tables.top_probabilities)
    truth = tables.truth
    for sample, (first, second) in enumerate([(0.9, 0.6), (0.5, 0.8), (0.7, 0.4)]):
        # the first candidate states the truth, the second its neighbour, each with this probability
        labels[sample, :, 0] = truth[sample], (truth[sample] + 1) % 4
        labels[sample, :, 1] = (truth[sample] + 2) % 4, (truth[sample] + 3) % 4
        labels[sample, :, 2:] = -1
        probabilities[sample, :, 0] = first, second
    tables = replace(tables, top_labels=labels, top_probabilities=probabilities)
    confidence, right = together(tables, "top1", (0, 1))
    assert confidence.tolist() == pytest.approx([0.45, 0.4, 0.35])
    assert right.tolist() == [True, False, True]
    monkeypatch.setattr(confidence_cascade, "AT_ONCE", 2)
    again = together(tables, "top1", (0, 1))
    assert np.array_equal(again[0], confidence)
    assert np.array_equal(again[1], right)


def test_a_failed_prediction_is_never_sure_and_never_right() -> None:
    tables = make_tables([[1, 1], [1, 1], [1, 1]], latency_ms=[1, 4], decode_ms=0.5, failed=[(0, 0)])
    for committee in (False, True):
        settings = list(confidence_cascades(tables, "top1", committee=committee))
        assert not settings[0][0][0], "the first candidate alone"
        assert settings[-1][1][0] == 4 + 1 + 0.5, "it is run, and charged, and the next one answers"
        assert settings[-1][0].all()


def test_a_committee_of_failures_is_wrong() -> None:
    n_labels = 3
    tables = make_tables([[0, 0]] * n_labels, n_labels=n_labels, failed=[(row, j) for row in range(3) for j in (0, 1)])
    tables = replace(tables, truth=np.arange(n_labels, dtype=np.int32))  # whatever label is served by default
    confidence, right = together(tables, "top1", (0, 1))
    assert not confidence.any()
    assert not right.any()
