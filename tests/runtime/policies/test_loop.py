"""The loop ends whatever a policy asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.errors import RunError
from premodel.records import Prediction
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Policy, Run
from premodel.runtime.policies.loop import serve
from premodel.runtime.selectors.base import Arrays


class Stubborn(Policy):
    """Asks for the same index for ever."""

    kind = "stubborn"

    def __init__(self, index: int) -> None:
        self.candidates = ("small", "large")
        self.features = ()
        self.index = index

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run:
        return Run(self.index)

    def settings(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> Arrays:
        return {}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        raise AssertionError("not read from a bundle")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("index", "runs"), [(0, 1), (1, 1), (2, 0), (-1, 0)])
def test_a_candidate_runs_once_and_only_if_the_policy_has_it(index: int, runs: int, fails: bool) -> None:
    ran: list[int] = []

    def run(candidate: int) -> Prediction:
        ran.append(candidate)
        if fails:
            raise RunError("broken")
        return Prediction(np.asarray([1], np.int32), np.asarray([1.0], np.float32), 0.0)

    with pytest.raises(RunError, match="policy stubborn asks for a candidate that it may not run"):
        serve(Stubborn(index), run, AnswersSoFar())
    assert len(ran) == runs
