"""Optimal stopping where an answer is no label: what is served is one candidate's own, the one expected to be best.

The state of an input is the set of candidates that answered, what is known of their answers (`expected_grades`), and
the expected grade of the best of them. Nothing is fused. Everything else is as in `stopping`; continuation values are
regressed on what is known of the answers too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError
from premodel.runtime.policies.base import AnswersSoFar, Policy, Stop
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.expected_grades import MAX_WEIGHT, ExpectedGrades
from premodel.runtime.policies.stopping import StoppingPolicy
from premodel.runtime.policies.stopping_components import StoppingComponents, check_order
from premodel.runtime.selectors.base import Arrays

VALUES = ("cost_weight", "continuation", "budgets", "start")
"""The arrays of `StoppingComponents` that are learned where nothing is fused."""


class GradedStopping(StoppingPolicy):
    """Run a candidate, then stop or run another; serve the answer of the highest expected grade.

    Parameters
    ----------
    candidates, point, accuracy, costs:
        As of `StoppingPolicy`; accuracy is the mean grade.
    values:
        float arrays by name, those of `VALUES`, as of `StoppingComponents`.
    grades:
        Expected grades of answers, by d numbers that are known of them.
    slopes:
        float32 (q, 2 ** p, p, d), what is added to the continuation value of a candidate, times each of these numbers.
    measure:
        Of the input's length, one of `Domain.lengths`; None where lengths of answers are taken as they are.

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
        slopes: NDArray[np.float32],
        *,
        point: int,
        accuracy: Sequence[float],
        costs: Costs,
        measure: str | None = None,
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
        grades.check(count)
        shape = (len(components.cost_weight), sets, count, len(grades.center))
        if slopes.shape != shape or slopes.dtype != np.float32 or not (np.abs(slopes) <= MAX_WEIGHT).all():
            raise ValueError(f"slopes is {slopes.dtype} {slopes.shape}; allowed: float32 {shape} within {MAX_WEIGHT:g}")
        self.grades, self.slopes, self.measure = grades, slopes, measure
        self._slopes = slopes.astype(np.float64)
        self.n_labels = None

    @property
    def length_measure(self) -> str | None:
        """See `Policy.length_measure`."""
        return self.measure

    def _state(self, so_far: AnswersSoFar) -> tuple[int, NDArray[np.float64], float]:
        """The set that answered, what is known of its answers, and the expected grade of the best one."""
        ran = sum(1 << index for index in so_far.predictions)
        known = self.grades.known(so_far.predictions, so_far.length)
        return ran, known, self._best(so_far, ran, known)[1]

    def _best(self, so_far: AnswersSoFar, ran: int, known: NDArray[np.float64]) -> tuple[int, float]:
        """The candidate whose answer is expected to be best, and its grade."""
        grades = self.grades.of(ran, known).tolist()
        best = max(so_far.predictions, key=grades.__getitem__)
        return best, grades[best]

    def _values_after(
        self, point: int, ran: int, computed: NDArray[Any] | None
    ) -> Sequence[tuple[int, float, float, float]]:
        """See `StoppingPolicy`; what is known of the answers counts too."""
        following = super()._values_after(point, ran, computed)
        if not following:
            return following
        more = (self._slopes[point, ran] @ computed).tolist()
        return [(j, constant + more[j], slope, curve) for j, constant, slope, curve in following]

    def _stop(self, so_far: AnswersSoFar, ran: int, distribution: NDArray[Any] | None, top_probability: float) -> Stop:
        """Serve the answer expected to be best; `distribution` is what is known of all."""
        del top_probability
        best, grade = self._best(so_far, ran, np.asarray(distribution))
        return Stop(
            so_far.predictions[best], best, grade, f"no continuation value above 0 at an expected grade of {grade:.3f}"
        )

    decision_tables = Policy.decision_tables  # none: nothing it rests on has a form there

    def settings(self) -> dict[str, Any]:
        """Everything but what was learned; there are no labels."""
        kept = {name: value for name, value in super().settings().items() if name not in ("n_labels", "top_n")}
        return kept | {"measure": self.measure}

    def arrays(self) -> Arrays:
        """What was learned."""
        learned = {name: getattr(self.components, name) for name in VALUES}
        return {**learned, **vars(self.grades), "slopes": self.slopes}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the policy again; BundleError if the components do not describe one."""
        try:
            candidates = [str(name) for name in settings["candidates"]]
            return cls(
                candidates,
                {name: arrays[name] for name in VALUES},
                ExpectedGrades(**{entry.name: arrays[entry.name] for entry in fields(ExpectedGrades)}),
                arrays["slopes"],
                point=int(settings["point"]),
                accuracy=[float(value) for value in settings["accuracy"]],
                costs=Costs.from_json(settings["costs"], len(candidates)),
                measure=None if settings["measure"] is None else str(settings["measure"]),
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
