"""Algorithm 1, by hand and by the paper's own numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from premodel.errors import OptionError
from premodel.training.model_selection import ModelSelection, select_models

NAMES = ("small", "medium", "large", "odd")
LATENCY = np.float64([1.0, 2.0, 8.0, 4.0])
# Ten samples. Optimum: small on 0-4, medium on 5, odd on 6 and 7, large on 8, none on 9.
CORRECT = np.array(
    [
        [1, 1, 1, 0],
        [1, 1, 1, 0],
        [1, 1, 1, 0],
        [1, 0, 1, 1],
        [1, 0, 0, 1],
        [0, 1, 1, 0],
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ],
    dtype=np.bool_,
)


def run(theta: float = 0.5, limit: int | None = None) -> ModelSelection:
    return select_models(CORRECT, LATENCY, NAMES, theta, limit)


def test_worked_example() -> None:
    """small is the optimum of 5; it fails on 5, of which large is right on 4; nobody is right on the last."""
    found = run()
    assert found.chosen == (0, 2)
    assert found.optimum_share == (0.5, 0.1, 0.1, 0.2)
    first, second, third = found.steps
    assert (first.candidate, first.failures_before, first.accuracy_on_failures) == ("small", 10, 0.5)
    assert (first.gain_points, first.coverage_after, first.added) == (50.0, 0.5, True)
    assert (second.candidate, second.failures_before, second.accuracy_on_failures) == ("large", 5, 0.8)
    assert (second.gain_points, second.coverage_after, second.added) == (40.0, 0.9, True)
    # On the one failure left both others are right on none: the lower latency is looked at, and not added.
    assert (third.candidate, third.failures_before, third.accuracy_on_failures) == ("medium", 1, 0.0)
    assert (third.gain_points, third.coverage_after, third.added) == (0.0, 0.9, False)
    assert found.stopped == "no candidate left is right on any of the 1 failures"
    assert str(second) == "large: right on 80.00 % of 5 failures, gain 40.00 points to 90.00 %, added"


def test_a_gain_below_theta_is_not_added_and_one_equal_to_it_is() -> None:
    assert run(theta=40.0).chosen == (0, 2)
    found = run(theta=40.1)
    assert found.chosen == (0,)
    assert found.steps[-1].candidate == "large"
    assert not found.steps[-1].added
    assert found.stopped == "large would gain 40.00 points, below theta 40.1"


def test_the_first_is_added_whatever_theta_is() -> None:
    assert run(theta=99.0).chosen == (0,)


def test_a_gain_of_nothing_is_never_added() -> None:
    assert run(theta=0.0).chosen == (0, 2)


def test_the_first_is_the_optimum_of_most_samples_not_the_most_accurate() -> None:
    assert CORRECT.mean(axis=0).argmax() == 2
    assert run().chosen[0] == 0


def test_limit() -> None:
    found = run(limit=1)
    assert found.chosen == (0,)
    assert found.stopped == "the limit of 1 candidates is reached"


def test_ends_when_no_failures_or_no_candidates_are_left() -> None:
    found = select_models(CORRECT[:9], LATENCY, NAMES)
    assert found.stopped == "no failures are left"
    assert found.steps[-1].coverage_after == 1.0
    found = select_models(CORRECT[:, :1], LATENCY[:1], NAMES[:1])
    assert found.stopped == "no candidates are left"


def test_ties_go_to_the_lower_latency_then_to_the_earlier() -> None:
    # Three candidates, each the only one right on one sample; the two last are equally fast.
    correct = np.eye(3, dtype=np.bool_)
    assert select_models(correct, np.float64([3, 2, 2]), NAMES[:3]).chosen == (1, 2, 0)


def test_nobody_is_ever_right() -> None:
    found = select_models(np.zeros((4, 2), dtype=np.bool_), np.float64([2, 1]), NAMES[:2])
    assert found.chosen == (1,)
    assert found.steps[0].coverage_after == 0


def test_the_papers_own_numbers() -> None:
    """Paper section 3.2: 70.75 %, then 43.91 % of the failures, then 15.5 % of those left, then below 0.5 points."""
    n = 100_000
    correct = np.zeros((n, 4), dtype=np.bool_)
    correct[:70_750, 0] = True
    second = round(0.4391 * 29_250)
    correct[70_750 : 70_750 + second, 1] = True
    third = 2_550
    correct[70_750 + second : 70_750 + second + third, 2] = True
    correct[-400:, 3] = True
    found = select_models(correct, np.float64([1, 2, 3, 4]), ("MobileNet_v1_100", "Inception_v4", "ResNet_v1_152", "x"))
    assert found.chosen == (0, 1, 2)
    gains = [step.gain_points for step in found.steps]
    assert gains == pytest.approx([70.75, 12.84, 2.55, 0.40], abs=0.005)
    assert 100 - 100 * found.steps[1].coverage_after == pytest.approx(16.41, abs=0.005)
    assert found.steps[2].accuracy_on_failures == pytest.approx(0.155, abs=0.0005)
    assert 100 * found.steps[2].coverage_after == pytest.approx(70.75 + 29.25 * 0.4391 + 2.55, abs=0.005)
    assert not found.steps[3].added


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(OptionError, match="no samples"):
        select_models(CORRECT[:0], LATENCY, NAMES)
    for theta in (-0.1, float("nan")):
        with pytest.raises(OptionError, match="theta"):
            run(theta=theta)
    with pytest.raises(OptionError, match="limit"):
        run(limit=0)


@given(arrays(np.bool_, st.tuples(st.integers(1, 30), st.integers(1, 5))), st.sampled_from([0.0, 0.5, 10.0, 34.0]))
def test_the_account_adds_up(correct: np.ndarray, theta: float) -> None:
    n, m = correct.shape
    found = select_models(correct, np.arange(m, dtype=np.float64), tuple(map(str, range(m))), theta)
    added = [step for step in found.steps if step.added]
    assert tuple(int(step.candidate) for step in added) == found.chosen
    assert len(set(found.chosen)) == len(found.chosen)
    assert added[-1].coverage_after == pytest.approx(correct[:, list(found.chosen)].any(axis=1).mean())
    assert sum(step.gain_points for step in added) == pytest.approx(100 * added[-1].coverage_after)
    for step, following in zip(found.steps, found.steps[1:], strict=False):
        assert following.failures_before == round(n * (1 - step.coverage_after))
        assert following.gain_points <= step.gain_points or step is found.steps[0]
    assert all(step.gain_points >= theta for step in added[1:])
