"""Worked examples of the rules of `select`, with scores given by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.errors import RunError
from premodel.records import Prediction
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Run, Stop
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.loop import serve
from premodel.runtime.policies.select import Select
from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector

PREDICTION = Prediction(np.array([3], np.int32), np.array([0.9], np.float32), 0.1)


class Given(Selector):
    """The features are the scores."""

    kind = "given"

    def __init__(self, count: int) -> None:
        self.features = tuple(f"f{index}" for index in range(count))
        self.n_candidates = count

    def score(self, features: Features) -> Scores:
        return features.astype(np.float64)

    def settings(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> Arrays:
        return {}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        raise NotImplementedError


def select(
    rule: str = "first-yes", fallback: str | None = "d", latency_ms: tuple[float, ...] = (1, 2, 3, 4), **more: Any
) -> Select:
    """Chain a, b, c of 1, 2 and 3 ms; fallback d of 4 ms; 0.5 ms before any of them."""
    count = 3 if fallback is None or fallback in "abc" else 4
    return Select(
        ("a", "b", "c"),
        Given(3),
        rule=rule,
        costs=Costs(latency_ms[:count], 0.3, 0.15, 0.05),
        fallback=fallback,
        **more,
    )


def first(policy: Select, scores: list[float], failed: set[int] = frozenset(), **options: float) -> str | None:  # type: ignore[assignment]
    """Name of the candidate chosen, None for an abstention."""
    so_far = AnswersSoFar(features=np.array(scores, np.float32), failed=set(failed))
    step = policy.next(so_far, CallOptions(**options))
    return policy.candidates[step.candidate] if isinstance(step, Run) else None


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([0.6, 1.0, 0.8], "a"),  # the first yes, not the highest
        ([0.4, 0.6, 1.0], "b"),
        ([0.5, 0.5, 0.75], "c"),  # a half is no yes
        ([0.4, 0.2, 0.0], "d"),  # no yes: the fallback
        ([0.5, 0.5, 0.5], "d"),
    ],
)
def test_first_yes_is_the_papers_chain(scores: list[float], chosen: str) -> None:
    assert first(select(), scores) == chosen


def test_no_yes_and_no_fallback_is_an_abstention() -> None:
    policy = select(fallback=None)
    assert policy.candidates == ("a", "b", "c")
    assert first(policy, [0.5, 0.4, 0.1]) is None
    trace = serve(policy, lambda _: PREDICTION, AnswersSoFar(features=np.array([0.5, 0.4, 0.1], np.float32)))
    assert trace.stop == Stop(None, None, trace.stop.confidence, "no score above 0.5: abstained")


def test_fallback_may_be_one_of_the_chain() -> None:
    policy = select(fallback="b")
    assert policy.candidates == ("a", "b", "c")
    assert first(policy, [0.1, 0.2, 0.3]) == "b"


@pytest.mark.parametrize(
    ("scores", "latency_ms", "chosen"),
    [
        ([0.6, 0.7, 0.9], (1, 2, 3, 4), "c"),
        ([0.75, 0.625, 0.75], (1, 2, 3, 4), "a"),  # a tie goes to the lower latency
        ([0.75, 0.625, 0.75], (3, 2, 1, 4), "c"),
        ([0.75, 0.75, 0.625], (2, 2, 1, 4), "a"),  # then to the order of the chain
        ([0.1, 0.2, 0.5], (1, 2, 3, 4), "d"),
    ],
)
def test_highest_score(scores: list[float], latency_ms: tuple[float, ...], chosen: str) -> None:
    assert first(select("highest-score", latency_ms=latency_ms), scores) == chosen


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([0.4, 0.2, 0.0], "a"),  # none has 0.4 as well: not higher still
        ([0.25, 0.25, 0.0], "d"),  # none has 0.5
        ([0.2, 0.4, 0.4], "b"),  # a tie goes to the lower latency
        ([0.0, 0.0, 0.0], "d"),
    ],
)
def test_highest_class_lets_none_compete(scores: list[float], chosen: str) -> None:
    assert first(select("highest-class"), scores) == chosen


def test_utility_by_hand() -> None:
    # 0.7 - 0.1, 0.85 - 0.2, 0.9 - 0.3 at a tenth of accuracy per ms
    assert first(select("utility", cost_weight=0.1), [0.7, 0.85, 0.9]) == "b"
    assert first(select("utility", cost_weight=0.0), [0.7, 0.85, 0.9]) == "c"
    assert first(select("utility", cost_weight=0.1), [0.7, 0.85, 0.9], cost_weight=1.0) == "a"
    assert first(select("first-yes"), [0.7, 0.85, 0.9], cost_weight=0.1) == "b"
    assert first(select("utility", cost_weight=5.0), [0.2, 0.6, 0.1]) == "b", "utility may be negative"


def test_only_utility_has_a_trained_cost_weight() -> None:
    assert select("utility", cost_weight=0.1).trained_cost_weight == 0.1
    assert select("first-yes").trained_cost_weight == math.inf


def test_a_failed_candidate_is_skipped() -> None:
    assert first(select(), [0.9, 0.2, 0.8], failed={0}) == "c"
    assert first(select(), [0.9, 0.2, 0.1], failed={0}) == "d"
    assert first(select(), [0.1, 0.4, 0.3], failed={3}) == "b", "the fallback failed: the highest score answers"
    assert first(select(fallback=None), [0.9, 0.2, 0.3], failed={0}) == "c", "a defect is no abstention"
    assert first(select(), [0.9, 0.2, 0.1], failed={0, 1, 2, 3}) is None


def test_budget_passes_over_what_is_too_dear() -> None:
    assert first(select(), [0.1, 0.2, 0.9], max_latency_ms=3.5) == "c", "3 ms and 0.5 ms before"
    assert first(select(), [0.1, 0.2, 0.9], max_latency_ms=3.49) == "b", "the fallback is too dear as well"
    assert first(select(), [0.9, 0.2, 0.9], max_latency_ms=1.5) == "a"
    assert first(select(fallback=None), [0.1, 0.2, 0.9], max_latency_ms=3.49) is None


def test_confidence_only_where_a_score_means_right() -> None:
    features = np.array([0.25, 0.75, 0.25], np.float32)
    for meaning, expected in (("right", 0.75), ("optimum", math.nan)):
        trace = serve(select(meaning=meaning), lambda _: PREDICTION, AnswersSoFar(features=features))
        assert trace.stop.confidence == pytest.approx(expected, nan_ok=True)
    trace = serve(select(), lambda _: PREDICTION, AnswersSoFar(features=np.zeros(3, np.float32)))
    assert math.isnan(trace.stop.confidence), "the fallback has no score"


def test_scores_once_for_all_steps() -> None:
    calls = []

    class Counting(Given):
        def score(self, features: Features) -> Scores:
            calls.append(1)
            return super().score(features)

    policy = Select(("a", "b"), Counting(2), rule="first-yes", costs=Costs((1, 2), 0), fallback=None)

    def run(candidate: int) -> Prediction:
        if candidate == 0:
            raise RunError("broken")
        return PREDICTION

    trace = serve(policy, run, AnswersSoFar(features=np.array([0.9, 0.8], np.float32)))
    assert trace.ran == (1,)
    assert trace.failed == {0: "broken"}
    assert len(calls) == 1
