"""Optimal stopping where an answer is no label: what is served is one candidate's own, the one expected to be best.

The state of an input is the set of candidates that answered, and the expected grade of the best of their answers: what
each candidate states of its own answer (of a translator, its length-normalised probability), calibrated to the mean
grade of such answers. Nothing is fused. Everything else is as in `stopping`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError
from premodel.runtime.policies.base import AnswersSoFar, Policy, Stop
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.stopping import (
    StoppingComponents,
    StoppingPolicy,
    check_order,
)
from premodel.runtime.selectors.base import Arrays

VALUES = ("cost_weight", "continuation", "budgets", "start")
"""The arrays of `StoppingComponents` that are learned where nothing is fused."""


@dataclass(frozen=True, eq=False)
class ExpectedGrades:
    """Expected grade of an answer by what its candidate states of it: lines between k points, never falling.

    Attributes
    ----------
    stated:
        float64 (p, k), probabilities, each row never falling.
    grade:
        float64 (p, k) in [0, 1], each row never falling; constant before the first point and after the last.
    """

    stated: NDArray[np.float64]
    grade: NDArray[np.float64]

    def of(self, candidate: int, stated: NDArray[np.floating]) -> NDArray[np.float64]:
        """Expected grades of a candidate's answers."""
        found: NDArray[np.float64] = np.interp(stated, self.stated[candidate], self.grade[candidate])
        return found

    def check(self, candidates: int) -> None:
        """Raise ValueError unless these are the curves of so many candidates."""
        for name, array in (("stated", self.stated), ("grade", self.grade)):
            if array.ndim != 2 or array.dtype != np.float64 or len(array) != candidates or array.shape[1] < 1:
                raise ValueError(f"{name} is {array.dtype} {array.shape}; allowed: float64 ({candidates}, points)")
            if not ((array >= 0) & (array <= 1)).all() or (np.diff(array, axis=1) < 0).any():
                raise ValueError(f"{name} must be in [0, 1] and never fall")
        if self.stated.shape != self.grade.shape:
            raise ValueError("stated and grade must be of as many points")


class GradedStopping(StoppingPolicy):
    """Run a candidate, then stop or run another; serve the answer of the highest expected grade.

    Parameters
    ----------
    candidates, point, accuracy, costs:
        As of `StoppingPolicy`; accuracy is the mean grade.
    values:
        float arrays by name, those of `VALUES`, as of `StoppingComponents`.
    grades:
        Expected grades of answers.

    Notes
    -----
    Ties of expected grade go to the candidate that ran first. `confidence` is the expected grade.
    """

    fuses = False
    has_tables = False

    def __init__(
        self,
        candidates: Sequence[str],
        values: Mapping[str, NDArray[Any]],
        grades: ExpectedGrades,
        *,
        point: int,
        accuracy: Sequence[float],
        costs: Costs,
    ) -> None:
        count = len(candidates)
        sets = 1 << count
        components = StoppingComponents(
            weights=np.zeros((sets, count), np.float32),
            member=np.full(sets, -1, np.int8),
            calibration=np.zeros((sets, 2)),
            **{name: values[name] for name in VALUES},
        )
        super().__init__(candidates, components, point=point, accuracy=accuracy, costs=costs, n_labels=2)
        grades.check(len(candidates))
        self.grades = grades
        self.n_labels = None

    def _state(self, so_far: AnswersSoFar) -> tuple[int, NDArray[np.float32] | None, float]:
        """The set that answered, nothing, and the expected grade of its best answer."""
        return sum(1 << index for index in so_far.predictions), None, self._best(so_far)[1]

    def _best(self, so_far: AnswersSoFar) -> tuple[int, float]:
        """The candidate whose answer is expected to be best, and its grade."""
        best, highest = -1, -1.0
        for index, prediction in so_far.predictions.items():
            grade = float(self.grades.of(index, prediction.probabilities[:1])[0])
            if grade > highest:
                best, highest = index, grade
        return best, highest

    def _stop(
        self, so_far: AnswersSoFar, ran: int, distribution: NDArray[np.float32] | None, top_probability: float
    ) -> Stop:
        """Serve the answer expected to be best."""
        del ran, distribution
        best, _ = self._best(so_far)
        reason = f"no continuation value above 0 at an expected grade of {top_probability:.3f}"
        return Stop(so_far.predictions[best], best, top_probability, reason)

    decision_tables = Policy.decision_tables  # none: nothing it rests on has a form there

    def settings(self) -> dict[str, Any]:
        """Everything but what was learned; there are no labels."""
        return {name: value for name, value in super().settings().items() if name not in ("n_labels", "top_n")}

    def arrays(self) -> Arrays:
        """What was learned."""
        learned = {name: getattr(self.components, name) for name in VALUES}
        return {**learned, "stated": self.grades.stated, "grade": self.grades.grade}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the policy again; BundleError if the components do not describe one."""
        try:
            candidates = [str(name) for name in settings["candidates"]]
            return cls(
                candidates,
                {name: arrays[name] for name in VALUES},
                ExpectedGrades(arrays["stated"], arrays["grade"]),
                point=int(settings["point"]),
                accuracy=[float(value) for value in settings["accuracy"]],
                costs=Costs.from_json(settings["costs"], len(candidates)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"policy {cls.kind} is incomplete", given=f"{type(error).__name__}: {error}") from error


class GradedCascade(GradedStopping):
    """A cascade of answers that are no labels: after each run stop, or run a later candidate of one fixed order.

    Source: Viola and Jones, "Rapid object detection using a boosted cascade of simple classifiers", 2001, section 4,
    for the form.
    """

    kind = "graded-cascade"

    def __init__(self, candidates: Sequence[str], *components: Any, **more: Any) -> None:
        super().__init__(candidates, *components, **more)
        check_order(self.components, len(self.candidates))


class GradedCascadeRouting(GradedStopping):
    """Cascade routing of answers that are no labels: after each run stop, or run any next candidate.

    Source: Dekoninck, Baader and Vechev, "A unified approach to routing and cascading for LLMs", 2024, section 3, whose
    quality estimates are here a candidate's own statement on its answer, calibrated.
    """

    kind = "graded-cascade-routing"
