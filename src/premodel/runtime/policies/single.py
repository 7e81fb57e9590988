"""Policy `single`: always the same candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError
from premodel.runtime.policies.base import TRAINED, AnswersSoFar, CallOptions, Policy, Run, Stop, check_accuracy
from premodel.runtime.policies.costs import Costs
from premodel.runtime.selectors.base import Arrays

if TYPE_CHECKING:
    from premodel.runtime.policies.decision_tables import DecisionTables

ALWAYS = "always this candidate"


class Single(Policy):
    """One candidate answers every input; if it fails, the most accurate of the others that has not failed answers.

    Parameters
    ----------
    candidates:
        The candidate that answers first, then its stand-ins.
    accuracy:
        Share of the profile's samples each is right on.
    costs:
        What each costs.

    Notes
    -----
    A call may choose another operating point: with `max_latency_ms` the most accurate candidate within the budget
    answers where the first is over it; with `cost_weight` the one of the highest accuracy - cost_weight * latency.
    A stand-in keeps the budget by itself, without the time of what failed before: a late answer is preferred to none.
    Ties go to the lower latency, then to the order of `candidates`.
    """

    kind = "single"
    has_tables = True

    def __init__(self, candidates: Sequence[str], accuracy: Sequence[float], costs: Costs) -> None:
        if not len(candidates) == len(accuracy) == len(costs.latency_ms) >= 1:
            raise ValueError("one accuracy and one latency per candidate, and at least one candidate")
        check_accuracy(accuracy)
        self.candidates = tuple(candidates)
        self.features = ()
        self.accuracy = tuple(float(value) for value in accuracy)
        self.costs = costs
        self.fixed_candidate = 0
        self._by_accuracy = self._ranked(np.asarray(self.accuracy))
        self._first = Run(0, reason=ALWAYS)
        self._reasons = tuple(f"{name} answered" for name in self.candidates)

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        """Run the candidate, or its stand-in; serve what it states."""
        for candidate, prediction in so_far.predictions.items():
            return Stop(prediction, candidate, self.accuracy[candidate], self._reasons[candidate])
        if options is TRAINED and not so_far.failed:
            return self._first
        within = self.costs.within(
            self.candidates, options.max_latency_ms, so_far.load_ms, so_far.failed, so_far.latency_ms
        )
        order, why = (0, *self._by_accuracy), ALWAYS
        if options.cost_weight is not None:
            weight = options.cost_weight
            latency_ms = self.costs.latency_ms if so_far.latency_ms is None else so_far.latency_ms
            order = self._ranked(np.asarray(self.accuracy) - weight * np.asarray(latency_ms))
            why = f"highest accuracy less {weight:g} per ms"
        for candidate in order:
            if not within[candidate]:
                why = "most accurate within the budget" if options.cost_weight is None else f"{why}, within the budget"
            elif candidate in so_far.failed:
                why = "stand-in for a candidate that failed"
            else:
                return Run(candidate, reason=why)
        return Stop(None, None, reason="every candidate failed")

    @property
    def trained_cost_weight(self) -> float:
        """See `Policy.trained_cost_weight`: from there on no candidate is worth more than the one that answers."""
        own, own_ms = self.accuracy[0], self.costs.latency_ms[0]
        dearer = [
            (accuracy - own) / (latency_ms - own_ms)
            for accuracy, latency_ms in zip(self.accuracy, self.costs.latency_ms, strict=True)
            if latency_ms > own_ms
        ]
        return max([0.0, *dearer])

    def decision_tables(self) -> DecisionTables | None:
        """Accuracy and latency of each candidate; None where latencies are by the input's length."""
        from premodel.runtime.policies.decision_tables import DecisionTables  # here: only exports need it

        if self.costs.by_length is not None:
            return None
        arrays = {"latency_ms": np.asarray(self.costs.latency_ms), "accuracy": np.asarray(self.accuracy)}
        return DecisionTables("single", False, {"before_ms": float(self.costs.before_ms)}, arrays)

    def settings(self) -> dict[str, Any]:
        """Candidates, their accuracy and their costs."""
        return {
            "candidates": list(self.candidates),
            "accuracy": list(self.accuracy),
            "costs": self.costs.to_json(),
        }

    def arrays(self) -> Arrays:
        """None."""
        return {}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the policy again; BundleError if the settings do not describe one."""
        del arrays
        try:
            candidates = [str(name) for name in settings["candidates"]]
            accuracy = [float(value) for value in settings["accuracy"]]
            return cls(candidates, accuracy, Costs.from_json(settings["costs"], len(candidates)))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError("policy single is incomplete", given=f"{type(error).__name__}: {error}") from error

    def _ranked(self, value: NDArray[np.float64]) -> tuple[int, ...]:
        """Candidates by falling value, then rising latency, then order."""
        order = np.lexsort((np.asarray(self.costs.latency_ms), -value))
        return tuple(int(index) for index in order)
