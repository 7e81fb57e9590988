"""The artefact's metric: by hand, and what it prints on no information at the paper's rates."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.paper.artefact import artefact_hits, paper_correctness, zero_information
from premodel.training.labels import LabelScheme

SAYS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
LABELS = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=bool)


def test_aligned_by_hand() -> None:
    # Sample 0: level 1 predicts yes, its label is yes: hit. Sample 1: level 2, yes: hit. Sample 2: level 3, no: miss.
    # Sample 3: none predicts yes and label 3 is yes: miss.
    assert artefact_hits(SAYS, LABELS, aligned=True) == 2


def test_as_written_by_hand() -> None:
    # Level 1 as above: hit. Level 2 is given samples 1, 2, 3 at positions 0, 1, 2: sample 1 is compared with label 2
    # of sample 0, yes: hit. Level 3 is given samples 2, 3 at positions 0, 1: sample 2 with label 3 of sample 0, no:
    # miss; sample 3, refused, with label 3 of sample 1, no: counted as a hit.
    assert artefact_hits(SAYS, LABELS, aligned=False) == 3


def test_a_sample_that_is_refused_is_a_hit_though_another_candidate_is_right() -> None:
    states, labels = np.zeros((1, 3), dtype=bool), np.array([[True, True, False]])
    assert artefact_hits(states, labels, aligned=True) == 1
    assert artefact_hits(states, np.array([[False, False, True]]), aligned=True) == 0


def test_the_first_yes_speaks_and_the_rest_is_not_asked() -> None:
    states = np.ones((2, 3), dtype=bool)
    assert artefact_hits(states, np.array([[1, 0, 0], [0, 1, 1]], dtype=bool), aligned=True) == 1


def test_drawn_correctness_has_the_papers_rates() -> None:
    correct = paper_correctness(200_000, seed=3)
    first, second, third = correct.T
    assert first.mean() == pytest.approx(0.7075, abs=0.005)
    assert second.mean() == pytest.approx(0.7992, abs=0.005)
    assert third.mean() == pytest.approx(0.7674, abs=0.005)
    assert second[~first].mean() == pytest.approx(0.4391, abs=0.01)
    assert correct.any(axis=1).mean() == pytest.approx(0.8614, abs=0.005)


@pytest.mark.parametrize(("scheme", "percent"), [("right", 70.5), ("optimum", 73.2)])
@pytest.mark.parametrize("aligned", [False, True])
def test_zero_information_at_the_papers_rates(scheme: LabelScheme, percent: float, aligned: bool) -> None:
    """Values of an independent simulation with real neighbours on noise, 50,000 samples."""
    assert 100 * zero_information(scheme, aligned=aligned, n=50_000) == pytest.approx(percent, abs=1.0)
