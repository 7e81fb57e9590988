"""Stopping decisions by hand: two candidates, continuation that are easy to follow."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from premodel.errors import BundleError, OptionError
from premodel.records import Prediction
from premodel.runtime.policies.base import FUSED, AnswersSoFar, CallOptions, Run, Stop
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.stopping import Cascade, CascadeRouting
from premodel.runtime.policies.stopping_components import NOT_ALLOWED, StoppingComponents, confidence_logit

SMALL, LARGE = 0, 1
COSTS = Costs((1.0, 4.0), 0.5)
"""End to end: 1.5 ms the small one, 4.5 ms the large one, 5.5 ms both."""


def said(label: int, share: float, n_labels: int = 10) -> Prediction:
    """One label gets a share, every other label an equal part of the rest."""
    labels = [label, *(other for other in range(n_labels) if other != label)]
    shares = [share, *([(1 - share) / (n_labels - 1)] * (n_labels - 1))]
    return Prediction(np.asarray(labels, np.int32), np.asarray(shares, np.float32), 0.0)


def components(**other: Any) -> StoppingComponents:
    """After the small one the large one is worth 0.5 - s, after the large one the small one nothing.

    At the second operating point everything but the start costs too much.
    """
    continuation = np.zeros((2, 4, 2, 3), np.float32)
    continuation[..., 0] = NOT_ALLOWED
    continuation[0, 1, LARGE] = [0.5, -1.0, 0.0]
    continuation[0, 2, SMALL] = [-0.1, 0.0, 0.0]
    continuation[1, 1, LARGE] = [-9.0, 0.0, 0.0]
    continuation[1, 2, SMALL] = [-9.0, 0.0, 0.0]
    start = np.full((3, 2, 2), -math.inf, np.float32)
    start[0, :, SMALL] = 0.6  # within 1 ms
    start[1] = [[0.6, 0.8], [0.6, 0.1]]  # within 4 ms: the large one alone is better
    start[2] = [[0.9, 0.8], [0.6, 0.1]]  # within 5 ms: the small one, because the large one can follow
    return replace(
        StoppingComponents(
            weights=np.asarray([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32),
            member=np.full(4, -1, np.int8),
            calibration=np.tile([0.0, 1.0], (4, 1)),
            cost_weight=np.asarray([0.01, 1.0]),
            continuation=continuation,
            budgets=np.asarray([1.0, 4.0, 5.0]),
            start=start,
        ),
        **other,
    )


def policy(kind: Any = CascadeRouting, **other: Any) -> Any:
    own = {"point": 0, "accuracy": (0.6, 0.8), "costs": COSTS, "n_labels": 10, **other}
    return kind(("small", "large"), own.pop("components", components()), **own)


def after(*ran: tuple[int, Prediction], failed: set[int] | None = None) -> AnswersSoFar:
    return AnswersSoFar(predictions=dict(ran), failed=failed or set())


def test_sureness_by_hand() -> None:
    assert confidence_logit(0.5) == 0
    # logit(0.9) = log 9 = 2.197
    assert confidence_logit(0.9) == pytest.approx(0.7324, abs=1e-4)
    assert confidence_logit(1.0) == pytest.approx(math.log(9999) / 3)
    assert confidence_logit(0.0) == pytest.approx(-math.log(9999) / 3)


def test_it_goes_on_when_unsure_and_stops_when_sure() -> None:
    """The large one is worth running while s < 0.5: a fused probability below 1 / (1 + exp(-1.5)) = 0.8176.

    Of one candidate that gave p to its label and (1 - p) / 9 to each of nine others, weight 1, the probability is
    (p + 0.0001) / 1.001: the threshold lies at p = 0.8183.
    """
    rule = policy()
    first = rule.next(after(), CallOptions())
    assert isinstance(first, Run)
    assert first.candidate == SMALL
    unsure = rule.next(after((SMALL, said(3, 0.81))), CallOptions())
    assert isinstance(unsure, Run)
    assert unsure.candidate == LARGE
    prediction = said(3, 0.83)
    sure = rule.next(after((SMALL, prediction)), CallOptions())
    assert isinstance(sure, Stop)
    assert sure.prediction is prediction, "the answer of one candidate is its own"
    assert sure.source == SMALL
    assert sure.confidence == pytest.approx(0.8301 / 1.001, abs=1e-5)


def test_both_run_serve_the_fused_answer() -> None:
    """Weights 1: label 3 has 0.6001 * 0.0334, label 5 0.0445 * 0.7001: the large one's answer wins, less sure."""
    stop = policy().next(after((SMALL, said(3, 0.6)), (LARGE, said(5, 0.7))), CallOptions())
    assert isinstance(stop, Stop)
    assert stop.source == FUSED
    assert stop.prediction is not None
    assert stop.prediction.labels[:2].tolist() == [5, 3]
    small_rest, large_rest = 0.4 / 9 + 0.0001, 0.3 / 9 + 0.0001
    products = [small_rest * 0.7001, 0.6001 * large_rest, *([small_rest * large_rest] * 8)]
    expected = [value / sum(products) for value in products[:2]]
    assert stop.prediction.probabilities[:2].tolist() == pytest.approx(expected, rel=1e-4)
    assert stop.confidence == pytest.approx(expected[0], rel=1e-4)


def test_a_set_may_serve_its_best_members_own_answer() -> None:
    rule = policy(components=components(member=np.asarray([-1, -1, -1, SMALL], np.int8)))
    small, large = said(3, 0.6), said(5, 0.7)
    stop = rule.next(after((SMALL, small), (LARGE, large)), CallOptions())
    assert isinstance(stop, Stop)
    assert stop.source == SMALL
    assert stop.prediction is small
    assert stop.confidence < 0.5, "the confidence is that of the fused distribution in this answer"


def test_top_five_counts_the_mass_of_five() -> None:
    """0.95 and four times 0.05 / 9 are 0.9722; (0.9722 + 0.0005) / 1.001 = 0.9717; of one label it would be 0.9492."""
    stop = policy(top_n=5).next(after((SMALL, said(3, 0.95))), CallOptions())
    assert isinstance(stop, Stop)
    assert stop.confidence == pytest.approx((0.95 + 4 * 0.05 / 9 + 0.0005) / 1.001, abs=1e-5)


def test_a_budget_of_a_call_is_kept_to_the_edge() -> None:
    rule = policy()
    unsure = said(3, 0.5)
    both = CallOptions(max_latency_ms=5.5)
    assert rule.next(after(), both).candidate == SMALL
    assert isinstance(rule.next(after((SMALL, unsure)), both), Run)
    less = CallOptions(max_latency_ms=5.4999)
    assert rule.next(after(), less).candidate == LARGE, "the best start when only one can run"
    assert isinstance(rule.next(after((SMALL, unsure)), less), Stop)
    assert rule.next(after(), CallOptions(max_latency_ms=4.5)).candidate == LARGE
    assert rule.next(after(), CallOptions(max_latency_ms=4.4999)).candidate == SMALL
    assert rule.next(after(), CallOptions(max_latency_ms=1.5)).candidate == SMALL
    with pytest.raises(OptionError, match=r"given: 1.4999 ms; allowed: 1.500 ms or more.*small"):
        rule.next(after(), CallOptions(max_latency_ms=1.4999))


def test_what_failed_is_spent() -> None:
    rule, budget = policy(), CallOptions(max_latency_ms=5.5)
    so_far = after((SMALL, said(3, 0.5)))
    assert isinstance(rule.next(so_far, budget), Run)
    so_far.failed.add(LARGE)
    assert isinstance(rule.next(so_far, budget), Stop)
    none_yet = after()
    none_yet.failed.add(LARGE)
    assert rule.next(none_yet, CallOptions(max_latency_ms=4.5)).candidate == SMALL, "late goes before none"


@pytest.mark.parametrize("kind", [Cascade, CascadeRouting])
@pytest.mark.parametrize(("latency_ms", "starts", "follows"), [((1.0, 4.0, 2.0), 0, 2), ((4.0, 2.0, 2.0), 1, 2)])
def test_ties_go_to_the_lower_latency_then_to_the_order(
    kind: Any, latency_ms: tuple[float, ...], starts: int, follows: int
) -> None:
    """Three candidates of equal value as a start and of equal gain after any one; a cascade never goes back."""
    continuation = np.zeros((1, 8, 3, 3), np.float32)
    continuation[..., 0] = NOT_ALLOWED
    for first in range(3):
        for second in range(first + 1, 3) if kind is Cascade else {0, 1, 2} - {first}:
            continuation[0, 1 << first, second] = [0.5, 0.0, 0.0]
    alike = StoppingComponents(
        weights=np.ones((8, 3), np.float32),
        member=np.full(8, -1, np.int8),
        calibration=np.tile([0.0, 1.0], (8, 1)),
        cost_weight=np.asarray([0.01]),
        continuation=continuation,
        budgets=np.asarray([8.0]),
        start=np.full((1, 1, 3), 0.7, np.float32),
    )
    rule = kind(("a", "b", "c"), alike, point=0, accuracy=(0.8, 0.8, 0.8), costs=Costs(latency_ms, 0.5), n_labels=10)
    assert rule.next(after(), CallOptions()).candidate == starts
    assert rule.next(after((starts, said(3, 0.5))), CallOptions()).candidate == follows


def test_a_cost_weight_of_a_call_takes_the_nearest_point() -> None:
    rule = policy()
    unsure = after((SMALL, said(3, 0.5)))
    # the points are 0.01 and 1; in ratio the border is 0.1
    for weight, goes_on in ((0.0, True), (0.01, True), (0.09, True), (0.11, False), (1e9, False)):
        assert isinstance(rule.next(unsure, CallOptions(cost_weight=weight)), Run) is goes_on


def test_failures() -> None:
    rule = policy()
    assert rule.next(after(failed={SMALL}), CallOptions()).candidate == LARGE
    unsure = said(3, 0.5)
    stop = rule.next(after((SMALL, unsure), failed={LARGE}), CallOptions())
    assert isinstance(stop, Stop)
    assert stop.prediction is unsure
    nothing = rule.next(after(failed={SMALL, LARGE}), CallOptions())
    assert isinstance(nothing, Stop)
    assert nothing.prediction is None


def test_a_cascade_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        policy(Cascade)
    continuation = components().continuation.copy()
    continuation[:, 2, SMALL, 0] = NOT_ALLOWED
    rule = policy(Cascade, components=components(continuation=continuation))
    assert rule.next(after(), CallOptions()).candidate == SMALL
    assert isinstance(rule.next(after((LARGE, said(1, 0.2))), CallOptions()), Stop)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", np.full((4, 2), -1, np.float32)),
        ("weights", np.full((4, 3), 1, np.float32)),
        ("weights", np.full((4, 2), np.nan, np.float32)),
        ("member", np.full(4, 2, np.int8)),
        ("calibration", np.full((4, 2), np.inf)),
        ("cost_weight", np.asarray([1.0, 1.0])),
        ("cost_weight", np.asarray([])),
        ("continuation", np.full((2, 4, 2, 3), np.inf, np.float32)),
        ("budgets", np.asarray([1.0, 4.0])),
        ("budgets", np.asarray([5.0, 4.0, 1.0])),
        ("start", np.full((3, 2, 2), np.nan, np.float32)),
    ],
)
def test_damaged_parts_are_refused(name: str, value: Any) -> None:
    good = policy()
    with pytest.raises(BundleError, match="policy cascade-routing is incomplete"):
        CascadeRouting.from_components(good.settings(), {**good.arrays(), name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("point", 2), ("top_n", 0), ("n_labels", 1), ("accuracy", [0.5]), ("candidates", [])]
)
def test_damaged_settings_are_refused(name: str, value: Any) -> None:
    good = policy()
    with pytest.raises(BundleError):
        CascadeRouting.from_components({**good.settings(), name: value}, good.arrays())


@pytest.mark.parametrize(("ran", "again"), [(1, SMALL), (2, LARGE), (3, SMALL), (3, LARGE)])
def test_learned_values_that_run_a_candidate_again_are_refused(ran: int, again: int) -> None:
    endless = components()
    endless.continuation[:, ran, again] = [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="run must not be run again"):
        policy(components=endless)


@pytest.mark.parametrize(
    "wrong",
    [
        {"accuracy": (-5.0, 0.8)},
        {"accuracy": (0.6, 99.0)},
        {"accuracy": (0.6, math.nan)},
        {"top_n": 11},
        {"top_n": 4_000_000},
        {"components": components(weights=np.asarray([[0, 0], [1e38, 0], [0, 1], [1, 1]], np.float32))},
        {"components": components(calibration=np.tile([0.0, 1e300], (4, 1)))},
    ],
    ids=str,
)
def test_numbers_that_no_training_gives_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"accuracy|top_n|weights|calibration"):
        policy(**wrong)


def priced(*ran: tuple[int, Prediction], price_ms: tuple[float, float] = (0.0, 0.0)) -> AnswersSoFar:
    so_far = after(*ran)
    so_far.load_price_ms = np.asarray(price_ms)
    return so_far


def test_a_start_that_has_to_be_opened_counts_that_too() -> None:
    """0.9 and 0.8, at 0.01 for each ms: 20 ms of opening are worth more than the difference, 5 ms less."""
    rule = policy()
    far, near, is_open = (priced(price_ms=(ms, 0.0)) for ms in (20.0, 5.0, 0.0))
    chosen = [rule.next(so_far, CallOptions()).candidate for so_far in (far, near, is_open)]
    assert chosen == [LARGE, SMALL, SMALL]
    for so_far in (far, near, is_open):
        assert set(so_far.worth_ms) == {SMALL}
    assert far.worth_ms[SMALL] == pytest.approx(10.0)
    assert is_open.worth_ms[SMALL] == pytest.approx(10.0)
    assert near.worth_ms[SMALL] == pytest.approx(10.0)


def test_one_more_candidate_is_not_opened_where_that_does_not_pay() -> None:
    rule = policy()
    unsure = (SMALL, said(3, 0.5))
    free, closed = priced(unsure), priced(unsure, price_ms=(0.0, 1000.0))
    assert isinstance(rule.next(free, CallOptions()), Run)
    assert isinstance(rule.next(closed, CallOptions()), Stop)
    # 0.5 - s at s near 0, of 0.01 for each ms.
    assert free.worth_ms[LARGE] == pytest.approx(closed.worth_ms[LARGE])
    assert free.worth_ms[LARGE] == pytest.approx(50.0, abs=0.5)
    sure = priced((SMALL, said(3, 0.99)))
    rule.next(sure, CallOptions())
    assert sure.worth_ms == {}


def test_what_would_keep_the_budget_if_it_were_open_is_stated() -> None:
    rule = policy()
    so_far = priced((SMALL, said(3, 0.5)), price_ms=(0.0, 3.0))
    so_far.load_ms = np.asarray([0.0, 3.0])
    assert isinstance(rule.next(so_far, CallOptions(max_latency_ms=6.0)), Stop)
    assert so_far.worth_ms[LARGE] == pytest.approx(50.0, abs=0.5)


def test_without_a_cost_weight_opening_counts_nothing() -> None:
    rule = policy(components=components(cost_weight=np.asarray([0.0, 1.0])))
    so_far = priced(price_ms=(1000.0, 0.0))
    assert rule.next(so_far, CallOptions()).candidate == SMALL
    assert so_far.worth_ms == {}


def test_a_start_that_is_never_worth_it_makes_no_other_priceless() -> None:
    start = components().start.copy()
    start[:, 0, LARGE] = -math.inf
    so_far = priced()
    policy(components=components(start=start)).next(so_far, CallOptions())
    assert so_far.worth_ms == {SMALL: pytest.approx(90.0)}
