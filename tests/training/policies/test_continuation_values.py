"""What running one more candidate is worth, by hand and against the plainest way there."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from premodel.training.policies.continuation_values import (
    ContinuationValues,
    allowed_after,
    backward_induction,
    best_order,
    members_of,
    values_of_pools,
    walk,
)


def drawn_states(count: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Basis and reward of every set of so many candidates: more of them are right more often, and surer."""
    rng = np.random.default_rng(seed)
    skill = rng.normal(0, 1, (2**count, 1)) + [[number.bit_count()] for number in range(2**count)]
    s = (0.3 * skill + rng.normal(0, 1, (2**count, n))).astype(np.float32)
    reward = (1 / (1 + np.exp(-s - 0.2 * rng.normal(0, 1, s.shape)))).astype(np.float32)
    return np.stack([np.ones_like(s), s, s * s], axis=2), reward


def test_members_by_hand() -> None:
    assert members_of(2) == ((), (0,), (1,), (0, 1))
    assert members_of(3)[5] == (0, 2)


def test_allowed_by_hand() -> None:
    # sets 1, 2 and 3 of two candidates
    assert allowed_after(2)[1:].tolist() == [[False, True], [True, False], [False, False]]
    assert allowed_after(2, (0, 1))[1:].tolist() == [[False, True], [False, False], [False, False]]
    assert allowed_after(2, (1, 0))[1:].tolist() == [[False, False], [True, False], [False, False]]


def test_backward_induction_of_two_samples_by_hand() -> None:
    """s is -1 on the first sample and 1 on the second; the small one is right with 0.4 and 1, both together always.

    Running the large one brings 0.6 less 0.1 * 2 = 0.4 on the first and -0.2 on the second: 0.1 - 0.3 s.
    So the small one first is worth the mean of 0.8 and 1, less its own 0.1; the large one first 1 - 0.2.
    """
    s = np.asarray([-1.0, 1.0], np.float32)
    basis = np.repeat(np.stack([np.ones(2), s, s * s], axis=1)[None], 4, axis=0).astype(np.float32)
    reward = np.asarray([[0, 0], [0.4, 1], [1, 1], [1, 1]], np.float32)
    found = backward_induction(basis, reward, np.asarray([1.0, 2.0]), np.asarray([0.1]), allowed_after(2))
    gain = basis[1] @ found.continuation[0, 1, 1]
    assert gain.tolist() == pytest.approx([0.4, -0.2], abs=1e-3)
    assert found.start[0].tolist() == pytest.approx([0.8, 0.8], abs=1e-6)
    dear = backward_induction(basis, reward, np.asarray([1.0, 2.0]), np.asarray([0.5]), allowed_after(2))
    assert (basis[1] @ dear.continuation[0, 1, 1] < 0).all()
    assert dear.start[0].tolist() == pytest.approx([0.2, 0.0], abs=1e-6)


def test_walking_by_hand() -> None:
    """Always from the small one to the large one at the first weight, never at the second."""
    basis = np.ones((4, 2, 3), np.float32)
    continuation = np.zeros((2, 4, 2, 3), np.float32)
    continuation[..., 0] = -1
    continuation[0, 1, 1, 0] = 1
    correct = np.asarray([[0, 0], [0, 1], [1, 1], [1, 0]], np.bool_)
    start = np.asarray([[1, 0], [1, 0]], np.float32)
    right, spent = walk(correct, basis, ContinuationValues(continuation, start), np.asarray([1.0, 4.0]))
    assert right.tolist() == [[True, False], [False, True]]
    assert spent.tolist() == [[5.0, 1.0], [5.0, 1.0]]


def test_a_candidate_that_fails_is_paid_for_and_gone_on_without_by_hand() -> None:
    """Small (1 ms) first, then large (4 ms), then the third (6 ms), always; what failed does not come again.

    Sample 0: nobody fails. Sample 1: small fails, so the next best start, large, and then the third. Sample 2: large
    fails after small, and the third follows small. Sample 3: all fail.
    """
    basis = np.ones((8, 4, 3), np.float32)
    continuation = np.zeros((1, 8, 3, 3), np.float32)
    continuation[..., 0] = -1
    continuation[0, 1, 1, 0], continuation[0, 1, 2, 0] = 2, 1
    continuation[0, 2, 2, 0] = continuation[0, 3, 2, 0] = 1
    correct = np.zeros((8, 4), np.bool_)
    correct[7, 0] = correct[6, 1] = correct[5, 2] = True
    start = np.asarray([[3, 2, 1]], np.float32)
    answered = np.asarray([[1, 1, 1], [0, 1, 1], [1, 0, 1], [0, 0, 0]], np.bool_)
    found = ContinuationValues(continuation, start)
    right, spent = walk(correct, basis, found, np.asarray([1.0, 4.0, 6.0]), answered=answered)
    assert right[:, 0].tolist() == [True, True, True, False]
    assert spent[:, 0].tolist() == [11.0, 11.0, 11.0, 11.0]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_best_order_is_that_of_the_highest_start_of_all_orders(count: int) -> None:
    latency_ms, weights = np.asarray([1.0, 2.0, 3.0, 5.0])[:count], np.asarray([0.005, 0.02])
    for seed in range(4):
        basis, reward = drawn_states(count, 300, seed)
        worth = {}
        for order in permutations(range(count)):
            found = backward_induction(basis, reward, latency_ms, weights, allowed_after(count, order))
            worth[order] = float(found.start.max(axis=1).mean())
        assert worth[best_order(basis, reward, latency_ms, weights)] == pytest.approx(max(worth.values()), abs=1e-6)


def test_pools_together_are_worth_what_each_alone_is() -> None:
    latency_ms, weights = np.asarray([[1.0, 2.0, 4.0], [3.0, 3.5, 9.0]]), np.asarray([0.01, 0.03])
    basis, reward = (np.stack(both) for both in zip(drawn_states(3, 200, 1), drawn_states(3, 200, 2), strict=True))
    together = values_of_pools(basis, reward, latency_ms, weights)
    for pool in range(2):
        alone = backward_induction(basis[pool], reward[pool], latency_ms[pool], weights, allowed_after(3))
        assert together[pool] == pytest.approx(float(alone.start.max(axis=1).mean()), abs=1e-6)


def test_what_a_sample_saves_decides_on_that_sample() -> None:
    """Nothing is won by the second candidate but on the sample on which it costs 5 ms less than on average."""
    basis = np.zeros((4, 2, 3), np.float32)
    basis[..., 0] = 1
    reward = np.full((4, 2), 0.5, np.float32)
    reward[3] = 0.6
    saved_ms = np.asarray([[0.0, -5.0], [0.0, 5.0]])
    found = backward_induction(basis, reward, np.asarray([1.0, 6.0]), np.asarray([0.1]), allowed_after(2), saved_ms)
    correct = np.asarray([[0, 0], [0, 0], [0, 0], [1, 1]], np.bool_)
    served = walk(correct, basis, found, np.asarray([[1.0, 11.0], [1.0, 1.0]]), np.asarray([0.1]), saved_ms)
    assert served[0].tolist() == [[False], [False]]
    cheap = backward_induction(basis, reward, np.asarray([1.0, 6.0]), np.asarray([0.017]), allowed_after(2), saved_ms)
    served = walk(correct, basis, cheap, np.asarray([[1.0, 11.0], [1.0, 1.0]]), np.asarray([0.017]), saved_ms)
    assert served[0].tolist() == [[False], [True]]
    assert served[1].tolist() == [[1.0], [2.0]]


def test_numbers_that_are_noise_make_no_pool_worth_more() -> None:
    """Twenty random numbers beside the basis fit some of a hundred samples' rewards, and nothing of others'."""
    more = []
    for seed in range(10):
        basis, reward = drawn_states(2, 100, seed)
        reward[3] = np.random.default_rng(seed).permutation(reward[1] + 0.01)
        noise = np.random.default_rng(seed + 50).normal(0, 1, (4, 100, 20)).astype(np.float32)
        latency_ms, cost_weight = np.array([[1.0, 1.0]]), np.array([0.01])
        plain = values_of_pools(basis[None], reward[None], latency_ms, cost_weight)[0]
        noisy = values_of_pools(np.concatenate([basis, noise], axis=2)[None], reward[None], latency_ms, cost_weight)[0]
        more.append(noisy - plain)
    assert np.mean(more) < 0.01


def test_a_number_that_shows_what_another_answer_is_worth_is_followed() -> None:
    rng = np.random.default_rng(0)
    shown = rng.normal(0, 1, 400).astype(np.float32)
    s = np.zeros((4, 400), np.float32)
    reward = np.stack([s[0], np.full(400, 0.5), np.zeros(400), 0.5 + 0.2 * shown]).astype(np.float32)
    plain = np.stack([np.ones_like(s), s, s * s], axis=2)
    more = np.concatenate([plain, np.broadcast_to(shown[None, :, None], (4, 400, 1))], axis=2)
    latency_ms, cost_weight = np.array([1.0, 1.0]), np.array([0.0])
    allowed = allowed_after(2, (0, 1))
    found = backward_induction(more, reward, latency_ms, cost_weight, allowed)
    assert found.continuation[0, 1, 1, 3] == pytest.approx(0.2, abs=0.03)
    served, _ = walk(reward, more, found, latency_ms)
    assert served.mean() == pytest.approx(0.5 + 0.2 * np.maximum(shown, 0).mean(), abs=0.01)
