from __future__ import annotations

import numpy as np
import pytest

from premodel.stats import reliability
from premodel.training.calibration import fit_calibration, logit, sigmoid


def test_logit_and_sigmoid_by_hand() -> None:
    assert logit(np.asarray([0.5, 0.9, 0.0])).tolist() == pytest.approx([0, 2.19722, -9.21024], abs=1e-4)
    assert sigmoid(np.asarray([0.0, 2.19722, -1e9])).tolist() == pytest.approx([0.5, 0.9, 0.0], abs=1e-5)


def test_it_finds_how_right_answers_were_drawn() -> None:
    """Right with probability sigmoid(-0.5 + 0.6 logit), and set 1 half a unit more."""
    rng = np.random.default_rng(0)
    share = rng.uniform(0.02, 0.98, (40_000, 2))
    odds = -0.5 + 0.6 * np.log(share / (1 - share)) + np.asarray([0.0, 0.5])
    right = rng.random(share.shape) < 1 / (1 + np.exp(-odds))
    found = fit_calibration(share, right)
    assert found.slope == pytest.approx(0.6, abs=0.03)
    assert found.own[1] - found.own[0] == pytest.approx(0.5, abs=0.05)
    assert found.intercept + found.own[0] == pytest.approx(-0.5, abs=0.05)
    held_out = rng.uniform(0.02, 0.98, (20_000, 2))
    odds = -0.5 + 0.6 * np.log(held_out / (1 - held_out)) + np.asarray([0.0, 0.5])
    came = rng.random(held_out.shape) < 1 / (1 + np.exp(-odds))
    said = found(held_out)
    assert reliability(said.ravel(), came.ravel()).error < 0.02
    assert reliability(held_out.ravel(), came.ravel()).error > 0.05, "uncalibrated it is worse"


def test_pooled_alone() -> None:
    rng = np.random.default_rng(1)
    share = rng.uniform(0.02, 0.98, (5_000, 3))
    found = fit_calibration(share, rng.random(share.shape) < share, own=None)
    assert found.own.tolist() == [0.0]
    assert (found.intercept, found.slope) == pytest.approx((0.0, 1.0), abs=0.1)


@pytest.mark.parametrize("all_right", [True, False])
def test_answers_that_are_all_alike_leave_it_finite(all_right: bool) -> None:
    share = np.random.default_rng(2).uniform(0, 1, (50, 3))
    found = fit_calibration(share, np.full(share.shape, all_right))
    said = found(share)
    assert np.isfinite(said).all()
    assert bool(said.mean() > 0.5) is all_right


def test_few_samples_do_not_move_a_set_far() -> None:
    share = np.full((4, 2), 0.6)
    right = np.asarray([[True, False]] * 4)
    found = fit_calibration(share, right)
    assert abs(found.own[0] - found.own[1]) < 0.5
