from __future__ import annotations

import numpy as np
import pytest

from premodel.training.log_scores import log_score_table
from premodel.training.policies.fusion import MAX_WEIGHT, TOTAL, WeightFit, fuse, weight_fit
from telling import fused, noisy_tables, telling_tables


def test_fusing_by_hand() -> None:
    """Three labels and two that nobody lists: e ** (0.5 * 2) and e ** (0.5 * 4) against 1 and 2 * 1."""
    count = np.log(np.asarray([[1.0, 1.0, 1.0, 2.0]], np.float32)).T
    found = fuse([np.asarray([[2.0], [4.0], [0.0]], np.float32)], count, np.asarray([0.5]))
    whole = np.e + np.e**2 + 1 + 2
    assert (found.raised / found.total)[:, 0].tolist() == pytest.approx(
        [np.e / whole, np.e**2 / whole, 1 / whole, 2 / whole]
    )
    assert found.top(1).tolist() == [[1]]
    assert found.top(2).tolist() == [[1], [0]]
    assert found.of(np.asarray([[1], [3]])).tolist() == pytest.approx([np.e**2 / whole]), (
        "what nobody lists is no answer"
    )


def test_weights_too_large_for_an_exponential_are_no_trouble() -> None:
    count = np.log(np.asarray([[1.0, 1.0, 5.0]], np.float32)).T
    found = fuse([np.asarray([[9.0], [9.0]], np.float32)] * 4, count, np.full(4, 4.0))
    assert (found.raised / found.total)[:, 0].tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert found.top(1).tolist() == [[0]], "of equal ones the first"


def test_a_candidate_that_says_nothing_about_the_truth_gets_no_weight() -> None:
    rng = np.random.default_rng(0)
    correct = np.stack([rng.random(3000) < 0.8, rng.random(3000) < 1 / 12], axis=1)
    table = log_score_table(telling_tables(correct, sure=0.6, unsure=0.6, noise=0.05), "top1", 1.0)
    good, noise = weight_fit(table).fit([0, 1])
    assert good > 5 * noise
    assert noise < 0.15


def test_copies_share_the_weight_of_one() -> None:
    table = log_score_table(noisy_tables(2000, 1), "top1", 1.0)
    alone = weight_fit(table).fit([0])
    both = WeightFit([table.log_scores[0]] * 2, table.log_count, table.truth).fit([0, 1])
    assert both[0] == pytest.approx(both[1], rel=1e-3)
    assert both.sum() == pytest.approx(alone.sum(), rel=0.05)


def test_without_samples_to_speak_of_it_stays_where_it_is_drawn_to() -> None:
    table = log_score_table(noisy_tables(1, 3), "top1", 1.0)
    assert weight_fit(table).fit([0, 1, 2]).tolist() == pytest.approx([TOTAL / 3] * 3, abs=0.3)


def test_it_is_the_most_likely_one() -> None:
    """No small step away from the weights makes the truth more probable, the ridge counted."""
    table = log_score_table(noisy_tables(400, 3), "top1", 1.0)
    found = weight_fit(table).fit([0, 1, 2], steps=30)

    def cost(weights: np.ndarray) -> float:
        shares = fused(list(table.log_scores), table.log_count, weights).astype(np.float64)
        likely = np.log(shares[np.arange(len(table)), table.truth]).sum()
        return float(-likely + 10.0 * ((weights - TOTAL / 3) ** 2).sum())

    for step in np.vstack([0.03 * np.eye(3), -0.03 * np.eye(3)]):
        assert cost(found + step) > cost(found)


def test_weights_stay_within_bounds() -> None:
    table = log_score_table(telling_tables(np.ones((500, 2)), sure=0.15), "top1", 1.0)
    found = weight_fit(table).fit([0, 1])
    assert (found >= 0).all()
    assert (found <= MAX_WEIGHT).all()


def test_many_candidates_alike_do_not_upset_the_fit() -> None:
    """Thirty near copies, as views of few networks are: no step within the bounds makes the truth more probable."""
    rng = np.random.default_rng(0)
    table = log_score_table(noisy_tables(300, 6), "top1", 1.0)
    views = [2 * own * (rng.random(own.shape) < 0.9).astype(np.float32) for own in table.log_scores for _ in range(5)]

    def likely(weights: np.ndarray) -> float:
        shares = fused(views, table.log_count, weights).astype(np.float64)
        penalty = 10.0 * float(((weights - TOTAL / 30) ** 2).sum())
        return float(np.log(shares[np.arange(len(table)), table.truth]).sum()) - penalty

    found = WeightFit(views, table.log_count, table.truth).fit(range(30), steps=12)
    assert (found == 0).any()  # some are at the bound, where the others must move as if it were not there
    for step in np.vstack([0.02 * np.eye(30), -0.02 * np.eye(30)]):
        assert likely(np.maximum(found + step, 0)) <= likely(found) + 1e-3


@pytest.mark.parametrize("members", [[0], [1, 2], [0, 2, 3], [3, 2, 1, 0]])
def test_many_samples_give_what_newton_steps_on_all_of_them_give(members: list[int]) -> None:
    """The curvature of a part leads to the most likely weights: the slope of the whole is nothing there."""
    table = log_score_table(noisy_tables(4001, 4), "top1", 1.0)
    found = weight_fit(table).fit(members)
    own = [table.log_scores[j] for j in members]
    share = fused(own, table.log_count, found).astype(np.float64)[:, :-1]
    known = np.flatnonzero(table.truth < share.shape[1])
    slope = [float(one[known, table.truth[known]].sum() - (share * one).sum()) for one in own]
    spread = [float((share * one * one).sum() - ((share * one).sum(axis=1) ** 2).sum()) for one in own]
    pull = 20.0 * (found - TOTAL / len(members))
    assert np.abs((np.array(slope) - pull) / np.array(spread)).max() < 0.02
