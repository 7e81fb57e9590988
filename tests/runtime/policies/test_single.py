"""Worked examples of `single`."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.errors import BundleError, OptionError
from premodel.records import Prediction
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Run
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single

PREDICTION = Prediction(np.array([3], np.int32), np.array([0.9], np.float32), 0.1)


def policy() -> Single:
    """b answers; a is the most accurate and the dearest, c and d are equally accurate, d is cheaper."""
    return Single(("b", "a", "c", "d"), (0.7, 0.9, 0.8, 0.8), Costs((2.0, 4.0, 3.0, 2.5), 0.5))


def first(failed: set[int] = frozenset(), **options: float) -> str | None:  # type: ignore[assignment]
    step = policy().next(AnswersSoFar(failed=set(failed)), CallOptions(**options))
    return policy().candidates[step.candidate] if isinstance(step, Run) else None


def test_always_the_first_then_the_most_accurate_left() -> None:
    assert first() == "b"
    assert first({0}) == "a"
    assert first({0, 1}) == "d", "equal accuracy: the cheaper"
    assert first({0, 1, 3}) == "c"
    assert first({0, 1, 2, 3}) is None


def test_budget_and_cost_weight_move_the_operating_point() -> None:
    assert first(max_latency_ms=2.5) == "b"
    assert first({0}, max_latency_ms=3.0) == "d"
    with pytest.raises(OptionError, match=r"2\.500 ms or more: the cheapest candidate is b"):
        first(max_latency_ms=2.49)
    assert first(cost_weight=0.0) == "a"
    assert first(cost_weight=0.25) == "b", "0.7 - 0.5 against 0.9 - 1.0, 0.8 - 0.75 and 0.8 - 0.625"
    assert first(cost_weight=0.0, max_latency_ms=3.4) == "d"


def test_over_budget_the_most_accurate_within_answers() -> None:
    dear = Single(("a", "b", "c"), (0.9, 0.7, 0.8), Costs((4.0, 2.0, 3.0), 0.5))
    step = dear.next(AnswersSoFar(), CallOptions(max_latency_ms=3.5))
    assert isinstance(step, Run)
    assert dear.candidates[step.candidate] == "c"
    assert step.reason == "most accurate within the budget"


def test_confidence_is_the_accuracy_in_the_profile() -> None:
    stop = policy().next(AnswersSoFar(predictions={1: PREDICTION}), CallOptions())
    assert not isinstance(stop, Run)
    assert stop.confidence == 0.9


@pytest.mark.parametrize("latency_ms", [[1.0], [1.0, -1.0], [1.0, float("inf")], [1.0, "fast"]])
def test_wrong_costs_are_refused(latency_ms: list[object]) -> None:
    costs = {"latency_ms": latency_ms, "decode_ms": 0.1, "features_ms": 0.0, "select_ms": 0.0}
    with pytest.raises(BundleError, match="costs"):
        Single.from_components({"candidates": ["a", "b"], "accuracy": [0.5, 0.6], "costs": costs}, {})


def test_from_its_trained_cost_weight_on_nothing_dearer_answers() -> None:
    weight = policy().trained_cost_weight
    assert weight == pytest.approx(0.2), "d: 0.1 more accurate for 0.5 ms"
    assert first(cost_weight=weight * 1.001) == "b"
    assert first(cost_weight=weight * 0.999) == "d"
    assert Single(("a", "b"), (0.9, 0.7), Costs((4.0, 2.0), 0.5)).trained_cost_weight == 0
