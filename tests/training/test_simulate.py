"""Simulation: the loop over recorded predictions, and what it charges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policy_makers import MAKERS, costs_of, make_select
from premodel.errors import OptionError
from premodel.runtime.policies.base import FUSED, AnswersSoFar, CallOptions, Policy, Run, Stop
from premodel.runtime.policies.single import Single
from premodel.training.simulate import NOBODY, simulate
from premodel.training.tables import Tables
from profiles import make_tables, predictable_tables


class RunAll(Policy):
    """Runs every candidate in order and serves a fusion: the last prediction, said to be fused."""

    kind = "run-all"

    def __init__(self, candidates: tuple[str, ...]) -> None:
        self.candidates = candidates
        self.features = ()

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        left = [i for i in range(len(self.candidates)) if i not in so_far.predictions and i not in so_far.failed]
        if left:
            return Run(left[0])
        last = list(so_far.predictions.values())
        return Stop(last[-1] if last else None, FUSED if last else None)

    def settings(self) -> dict[str, object]:
        raise NotImplementedError

    arrays = settings  # type: ignore[assignment]

    @classmethod
    def from_components(cls, settings: object, arrays: object) -> RunAll:  # type: ignore[override]
        raise NotImplementedError


def by_hand() -> Tables:
    return make_tables([[1, 0], [0, 1], [1, 1]], latency_ms=[1.0, 3.0], decode_ms=0.5)


def test_a_single_candidate_by_hand() -> None:
    tables = by_hand()
    served = simulate(Single(("c1", "c0"), (0.6, 0.7), costs_of(tables, ("c1", "c0"), features=False)), tables)
    assert served.candidates == ("c1", "c0"), "columns are the policy's, joined by name"
    assert served.ran.tolist() == [[True, False]] * 3
    assert served.order.tolist() == [[0, -1]] * 3
    assert served.source.tolist() == [0, 0, 0]
    assert np.array_equal(served.labels, tables.top_labels[:, 1])
    assert np.array_equal(served.probabilities, tables.top_probabilities[:, 1])
    assert not served.abstained.any()
    assert not served.features_used.any()
    assert served.latency_ms == pytest.approx(0.5 + 3.0 + served.select_ms)


def test_every_run_is_charged() -> None:
    tables = by_hand()
    served = simulate(RunAll(("c0", "c1")), tables)
    assert served.order.tolist() == [[0, 1]] * 3
    assert served.source.tolist() == [FUSED] * 3
    assert served.latency_ms == pytest.approx(0.5 + 1.0 + 3.0 + served.select_ms)


def test_a_failed_prediction_costs_its_time_and_is_replaced() -> None:
    tables = make_tables(
        [[1, 0], [0, 1], [1, 1]], latency_ms=[1.0, 3.0], decode_ms=0.5, failed=[(1, 0), (2, 0), (2, 1)]
    )
    served = simulate(Single(("c0", "c1"), (0.6, 0.7), costs_of(tables, ("c0", "c1"), features=False)), tables)
    assert served.order.tolist() == [[0, -1], [0, 1], [0, 1]]
    assert served.ran.tolist() == [[True, False], [False, True], [False, False]]
    assert served.source.tolist() == [0, 1, NOBODY]
    assert served.abstained.tolist() == [False, False, True]
    assert served.failed.tolist() == [False, False, True]
    assert (served.labels[2] == -1).all()
    assert (served.probabilities[2] == 0).all()
    assert served.latency_ms - served.select_ms == pytest.approx([1.5, 4.5, 4.5])


def test_features_are_charged_and_found_by_name() -> None:
    tables = predictable_tables(n=40)
    policy = make_select(tables, "first-yes", "knn", "right", tables.candidates[-1])
    served = simulate(policy, tables)
    assert served.features_used.all()
    ran_ms = tables.latency_ms[[tables.candidates.index(served.candidates[s]) for s in served.source]]
    # 0.05 shared and 0.01 for each of three features
    assert served.latency_ms == pytest.approx(tables.decode_ms + 0.08 + ran_ms + served.select_ms)
    order = [2, 0, 1]
    names = tuple(tables.feature_names[index] for index in order)
    shuffled = replace(tables, features=tables.features[:, order], feature_names=names)
    assert served.same_decisions(simulate(policy, shuffled)).all()


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS.keys())
def test_scored_at_once_or_one_by_one(maker: object) -> None:
    tables = predictable_tables(n=50, m=4)
    policy = maker(tables)  # type: ignore[operator]
    one, all_ = simulate(policy, tables, one_by_one=True), simulate(policy, tables)
    assert one.same_decisions(all_).all()
    assert one.select_ms > 0


def test_differences_are_seen() -> None:
    tables = by_hand()
    costs = costs_of(tables, ("c0", "c1"), features=False)
    a = simulate(Single(("c0", "c1"), (0.6, 0.7), costs), tables)
    b = simulate(Single(("c0", "c1"), (0.6, 0.7), costs), tables, CallOptions(cost_weight=0.0))
    assert not a.same_decisions(b).any()


def test_what_the_profile_lacks_is_named() -> None:
    tables = by_hand()
    with pytest.raises(OptionError, match="candidate is not in the profile; given: c9"):
        simulate(RunAll(("c0", "c9")), tables)
    policy = MAKERS["select, utility"](predictable_tables())
    lacking = make_tables(np.ones((4, 3)), feature_names=("contrast",))
    with pytest.raises(OptionError, match="feature is not in the profile; given: n_keypoints, aspect_ratio"):
        simulate(policy, lacking)


def test_no_samples() -> None:
    tables = by_hand().take(np.array([], dtype=np.intp))
    served = simulate(RunAll(("c0", "c1")), tables)
    assert len(served.source) == 0
    assert served.select_ms == 0
