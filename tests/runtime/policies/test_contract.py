"""What every policy must do, whatever its kind."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_makers import MAKERS
from premodel.errors import BundleError, OptionError, RunError
from premodel.records import Prediction
from premodel.runtime.policies.base import FUSED, AnswersSoFar, CallOptions, Policy, Run, Stop
from premodel.runtime.policies.loop import Trace, serve
from premodel.runtime.policies.registry import POLICIES, policy_from_components
from premodel.training.simulate import simulate
from profiles import predictable_tables

TABLES = predictable_tables(n=60, m=4)
BUILT = {name: maker(TABLES) for name, maker in MAKERS.items()}
each_policy = pytest.mark.parametrize("policy", BUILT.values(), ids=BUILT.keys())


def evidence_of(policy: Policy, row: int) -> AnswersSoFar:
    columns = [TABLES.feature_names.index(name) for name in policy.features]
    return AnswersSoFar(features=TABLES.features[row, columns] if policy.features else None)


def serve_row(policy: Policy, row: int, broken: set[str] = frozenset(), **options: float) -> Trace:  # type: ignore[assignment]
    def run(candidate: int) -> Prediction:
        name = policy.candidates[candidate]
        if name in broken:
            raise RunError(f"{name} is broken")
        prediction = TABLES.prediction(row, TABLES.candidates.index(name))
        assert prediction is not None
        return prediction

    return serve(policy, run, evidence_of(policy, row), CallOptions(**options))


def test_every_registered_kind_is_in_this_suite() -> None:
    assert {name.partition(",")[0] for name in MAKERS} == set(POLICIES)


@each_policy
def test_serves_what_a_candidate_said(policy: Policy) -> None:
    for row in range(len(TABLES)):
        trace = serve_row(policy, row)
        stop = trace.stop
        if stop.prediction is None:
            assert stop.source is None
            assert trace.ran == ()
            continue
        if stop.source == FUSED:
            assert len(trace.ran) > 1
            listed = {
                int(label)
                for index in trace.ran
                for label in TABLES.prediction(row, TABLES.candidates.index(policy.candidates[index])).labels  # type: ignore[union-attr]
            }
            assert set(stop.prediction.labels.tolist()) <= listed
            assert (np.diff(stop.prediction.probabilities) <= 0).all()
            assert 0 <= stop.confidence <= 1
            continue
        assert stop.source in trace.ran
        said = TABLES.prediction(row, TABLES.candidates.index(policy.candidates[stop.source]))
        assert said is not None
        assert np.array_equal(stop.prediction.labels, said.labels)
        assert all(step.reason for step in trace.steps)


@each_policy
def test_decides_alike_again_and_after_its_parts_went_through_json(policy: Policy) -> None:
    again = policy_from_components(policy.kind, json.loads(json.dumps(policy.settings())), policy.arrays())
    assert again.candidates == policy.candidates
    assert again.features == policy.features
    for options in (CallOptions(), CallOptions(max_latency_ms=4.0), CallOptions(cost_weight=0.05)):
        first = simulate(policy, TABLES, options)
        assert first.same_decisions(simulate(policy, TABLES, options)).all()
        assert first.same_decisions(simulate(again, TABLES, options)).all()
        assert first.same_decisions(simulate(again, TABLES, options, one_by_one=True)).all()


@each_policy
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_never_repeats_a_candidate_and_always_ends(policy: Policy, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(TABLES) - 1))
    so_far = evidence_of(policy, row)
    options = CallOptions(
        max_latency_ms=data.draw(st.none() | st.floats(2, 20)), cost_weight=data.draw(st.none() | st.floats(0, 1))
    )
    for _ in range(len(policy.candidates) + 1):
        step = policy.next(so_far, options)
        if isinstance(step, Stop):
            return
        assert step.candidate not in so_far.predictions
        assert step.candidate not in so_far.failed
        if data.draw(st.booleans()):
            so_far.failed.add(step.candidate)
        else:
            prediction = TABLES.prediction(row, TABLES.candidates.index(policy.candidates[step.candidate]))
            assert prediction is not None
            so_far.predictions[step.candidate] = prediction
    pytest.fail("no end after every candidate was run")


@each_policy
def test_a_broken_candidate_is_replaced(policy: Policy) -> None:
    for broken in policy.candidates:
        for row in range(0, len(TABLES), 7):
            trace = serve_row(policy, row, {broken})
            if trace.failed:
                assert trace.stop.prediction is not None, "a defect must not become an abstention"
            assert broken not in {policy.candidates[index] for index in trace.ran}


@each_policy
def test_all_broken_is_one_error_naming_each_that_was_tried(policy: Policy) -> None:
    wanted = [row for row in range(len(TABLES)) if serve_row(policy, row).stop.prediction is not None]
    with pytest.raises(RunError) as caught:
        serve_row(policy, wanted[0], set(policy.candidates))
    assert "is broken" in str(caught.value)
    assert "\n" not in str(caught.value)


@each_policy
def test_budget_below_the_cheapest_names_it(policy: Policy) -> None:
    with pytest.raises(OptionError, match=r"no candidate can answer within max_latency_ms.*given: 0.5 ms.*c0"):
        serve_row(policy, 0, max_latency_ms=0.5)


@each_policy
def test_budget_is_kept_and_exact(policy: Policy) -> None:
    before_ms = policy.costs.before_ms  # type: ignore[attr-defined]
    for name in policy.candidates:
        latency_ms = float(TABLES.latency_ms[TABLES.candidates.index(name)])
        budget_ms = before_ms + latency_ms
        for row in range(0, len(TABLES), 5):
            trace = serve_row(policy, row, max_latency_ms=budget_ms)
            spent_ms = sum(TABLES.latency_ms[TABLES.candidates.index(policy.candidates[i])] for i in trace.ran)
            assert before_ms + spent_ms <= budget_ms


@each_policy
@pytest.mark.parametrize("budget_ms", [3.0, 5.0, 8.0, 12.0])
def test_a_failure_counts_toward_the_budget_once_there_is_an_answer(policy: Policy, budget_ms: float) -> None:
    before_ms, latency_ms = policy.costs.before_ms, policy.costs.latency_ms  # type: ignore[attr-defined]
    for broken in policy.candidates:
        for row in range(0, len(TABLES), 5):
            trace = serve_row(policy, row, {broken}, max_latency_ms=budget_ms)
            spent_ms, answered = before_ms, False
            for step in trace.steps:
                if isinstance(step, Run):
                    spent_ms += latency_ms[step.candidate]
                    assert before_ms + latency_ms[step.candidate] <= budget_ms, "a stand-in keeps it by itself"
                    assert spent_ms <= budget_ms or not answered
                    answered |= step.candidate in trace.ran


@each_policy
def test_a_huge_cost_weight_runs_nothing_dear(policy: Policy) -> None:
    for row in range(len(TABLES)):
        first = policy.next(evidence_of(policy, row), CallOptions(cost_weight=1e6))
        trained = policy.next(evidence_of(policy, row), CallOptions())
        if isinstance(first, Run) and isinstance(trained, Run):
            latency_ms = policy.costs.latency_ms  # type: ignore[attr-defined]
            assert latency_ms[first.candidate] <= latency_ms[trained.candidate]


@each_policy
def test_incomplete_parts_are_refused(policy: Policy) -> None:
    settings_ = policy.settings()
    for name in settings_:
        parts = {key: value for key, value in settings_.items() if key != name}
        with pytest.raises(BundleError):
            policy_from_components(policy.kind, parts, policy.arrays())
    for name in policy.arrays():
        arrays = {key: value for key, value in policy.arrays().items() if key != name}
        with pytest.raises(BundleError):
            policy_from_components(policy.kind, settings_, arrays)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BundleError, match="unknown policy; given: oracle; allowed: single"):
        policy_from_components("oracle", {}, {})


@pytest.mark.parametrize(
    "options",
    [{"max_latency_ms": 0.0}, {"max_latency_ms": float("nan")}, {"cost_weight": -1.0}, {"max_latency_ms": "5ms"}],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        CallOptions(**options)
