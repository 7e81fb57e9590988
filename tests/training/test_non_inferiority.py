from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

from premodel.training.non_inferiority import least_samples, loss_is_above, loss_p_value, samples_needed


def passing(n: int, epsilon: float, delta: float, most_gains: int) -> list[int]:
    """For each number of gains the most losses with which the test passes, -1 if none."""
    found, losses = [], -1
    for gains in range(most_gains + 1):
        while losses >= 0 and loss_p_value(losses, gains, n, epsilon) > delta:
            losses -= 1
        while losses + 1 + gains <= n and loss_p_value(losses + 1, gains, n, epsilon) <= delta:
            losses += 1
        found.append(losses)
    return found


def chance_to_pass(n: int, most_losses: list[int], lose: float, gain: float) -> float:
    """Exact, of n samples; more gains than the list has count as passed."""
    total, left = 0.0, 1.0
    for gains, most in enumerate(most_losses):
        so_many = comb(n, gains) * gain**gains * (1 - gain) ** (n - gains)
        share = lose / (1 - gain)
        few = sum(comb(n - gains, k) * share**k * (1 - share) ** (n - gains - k) for k in range(most + 1))
        total, left = total + so_many * few, left - so_many
    return total + left


@pytest.mark.parametrize("delta", [0.2, 0.05])
def test_the_p_value_is_valid_at_the_border(delta: float) -> None:
    """Exact: over all counts of 40 samples whose expected loss is epsilon, P(p <= delta) is at most delta."""
    n, epsilon = 40, 0.05
    passes = np.array(
        [[i + j <= n and loss_p_value(i, j, n, epsilon) <= delta for j in range(n + 1)] for i in range(n + 1)]
    )
    for lose in (0.05, 0.07, 0.15, 0.3, 0.5):
        gain, chance = lose - epsilon, 0.0
        for losses, gains in product(range(n + 1), range(n + 1)):
            if passes[losses, gains]:
                ways = comb(n, losses) * comb(n - losses, gains)
                chance += ways * lose**losses * gain**gains * (1 - lose - gain) ** (n - losses - gains)
        assert chance <= delta


def test_the_level_is_kept_and_used_up() -> None:
    """Exact, 300 samples and one point allowed: at a loss of one point never above 5 %, and near it."""
    border = passing(300, 0.01, 0.05, 30)
    for gain in (0.0, 0.002, 0.01, 0.02, 0.04):
        chance = chance_to_pass(300, border, gain + 0.01, gain)
        assert 0.01 < chance <= 0.05
    assert chance_to_pass(300, border, 0.02, 0.02) > 0.1  # nothing lost, a bet of fixed sizes gave less than 0.01


def test_the_p_value_falls_with_gains_and_rises_with_losses() -> None:
    assert loss_p_value(0, 0, 0, 0.01) == 1
    assert loss_p_value(10, 20, 500, 0.01) < loss_p_value(10, 10, 500, 0.01) < loss_p_value(20, 10, 500, 0.01)
    assert loss_p_value(50, 0, 500, 0.01) == 1
    assert loss_p_value(0, 500, 500, 0.01) < 1e-5
    # Nothing differs: at least the chance that none of 500 is lost where one in a hundred is.
    assert 0.99**500 < loss_p_value(0, 0, 500, 0.01) < 1.6 * 0.99**500


def test_the_least_that_can_do_is_that_of_a_binomial_without_failures() -> None:
    assert least_samples(0.01, 0.05) == 299  # 0.99 ** 299 is below 0.05, 0.99 ** 298 above
    assert least_samples(0.02, 0.1) == 114
    least = least_samples(0.005, 0.05)
    assert loss_p_value(0, 0, least, 0.005) <= 0.05 < loss_p_value(0, 0, least - 1, 0.005)


def test_how_many_samples_would_do() -> None:
    needed = samples_needed(6, 8, 100, 0.01, 0.05)
    assert needed is not None

    def p(n: float) -> float:
        return loss_p_value(round(0.06 * n), round(0.08 * n), round(n), 0.01)

    assert p(1.2 * needed) <= 0.05 < p(0.85 * needed)
    assert samples_needed(10, 5, 100, 0.01, 0.05) is None  # 5 points lost where 1 is allowed
    assert samples_needed(0, 0, 60, 0.01, 0.05) == 299


def test_what_few_samples_leave_open() -> None:
    """One lost of 60 is above one point, but does not show that more than one point is lost; ten do."""
    assert not loss_is_above(1, 0, 60, 0.01, 0.05)
    assert loss_is_above(10, 0, 60, 0.01, 0.05)
    assert not loss_is_above(20, 18, 60, 0.01, 0.05)


def test_a_loss_that_is_allowed_is_hardly_ever_said_to_be_too_much() -> None:
    n, epsilon = 60, 0.05
    above = [[loss_is_above(i, j, n, epsilon, 0.05) for j in range(15)] for i in range(40)]
    for gain in (0.0, 0.05, 0.1):
        chance = sum(
            comb(n, i) * comb(n - i, j) * (gain + epsilon) ** i * gain**j * (1 - 2 * gain - epsilon) ** (n - i - j)
            for i, j in product(range(40), range(15))
            if above[i][j]
        )
        assert chance <= 0.05
