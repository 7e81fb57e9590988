"""Optimal stopping over the candidates run so far: what `cascade` and `cascade-routing` share.

The state of an input is the set of candidates that answered, and the probability that their fused distribution gives to
the answer it would serve. For each set there are learned continuation values: what running one more candidate is worth
from here on, less what it costs. The candidate of the highest value above 0 runs next; if there is none, the answer is
served.

Source: backward induction with regressed continuation values (Longstaff and Schwartz, "Valuing American options by
simulation", 2001, section 2), on sets of candidates instead of moments in time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError
from premodel.records import Prediction
from premodel.runtime.fusion import (
    FLOOR,
    SAFE,
    fused_distribution,
    fused_prediction,
    fused_top_probability,
    log_scores,
    own_top_probability,
)
from premodel.runtime.policies.base import (
    FUSED,
    AnswersSoFar,
    CallOptions,
    Policy,
    Run,
    Stop,
    check_accuracy,
)
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.stopping_components import (
    MIN_COST_WEIGHT,
    MIN_TOP_PROBABILITY,
    NOT_ALLOWED,
    SCALE,
    StoppingComponents,
    check_order,
    confidence_logit,
)
from premodel.runtime.selectors.base import Arrays

if TYPE_CHECKING:
    from premodel.runtime.policies.decision_tables import DecisionTables

MAX_CANDIDATES = 8
"""Sets of candidates are written out, 2 ** candidates of them."""


class StoppingPolicy(Policy):
    """Run a candidate, then stop or run another, by learned continuation values.

    Parameters
    ----------
    candidates:
        Those that may run, at most 8.
    components:
        What training learned.
    point:
        Index of the trained operating point.
    accuracy:
        Share of the profile's samples each candidate alone is right on.
    costs:
        What each costs.
    n_labels:
        Labels of the zoo.
    top_n:
        An answer is right if the truth is among so many of its top labels: 1 or 5.

    Notes
    -----
    The answer of one candidate is its own. That of several is fused, except for sets in which the fused answer was
    found less accurate than the best member's own: these serve that member's.

    `cost_weight` at call time takes the trained point nearest to it, in ratio. `max_latency_ms` is kept by every
    single answer: a candidate that would exceed it together with what ran before is not run. The candidate that
    starts is the best one *under that budget*; continuation values after the start are those learned without one.

    A candidate that failed is left out, and the values of the set without it apply; its time counts as spent. Should
    nothing have answered yet, the best start among the others is run, if it would keep the budget by itself: a late
    answer is preferred to none. Ties go to the lower latency, then to the order of `candidates`.

    Where latencies depend on the input's length (`Costs.by_length`), every budget is kept by the latencies of an input
    as long as this one, and the value of a candidate is less what it takes longer than on average, at the cost weight
    of the point; what those behind it take longer is not counted. So is the value of one whose network would
    have to be opened (`AnswersSoFar.load_price_ms`), where memory does not hold all.
    """

    kind: ClassVar[str]
    fuses: ClassVar[bool] = True
    has_tables: ClassVar[bool] = True

    def __init__(
        self,
        candidates: Sequence[str],
        components: StoppingComponents,
        *,
        point: int,
        accuracy: Sequence[float],
        costs: Costs,
        n_labels: int,
        top_n: int = 1,
    ) -> None:
        self.candidates = tuple(candidates)
        self.features = ()
        count = len(self.candidates)
        if not 1 <= count <= MAX_CANDIDATES or not len(accuracy) == len(costs.latency_ms) == count:
            raise ValueError(f"1 to {MAX_CANDIDATES} candidates, with one accuracy and one latency each")
        components.check(count)
        if not 0 <= point < components.cost_weight.size or n_labels < 2 or not 1 <= top_n <= n_labels:
            raise ValueError(f"point {point}, n_labels {n_labels} or top_n {top_n}")
        check_accuracy(accuracy)
        self.components = components
        self.point = point
        self.accuracy = tuple(float(value) for value in accuracy)
        self.costs = costs
        self.n_labels = n_labels
        self._label_count = n_labels
        self.top_n = top_n
        self._scores = np.asarray(self.accuracy)
        self._by_cost = tuple(int(index) for index in np.argsort(np.asarray(costs.latency_ms), kind="stable"))
        self._weights = components.weights.tolist()
        self._member = components.member.tolist()
        self._calibration = components.calibration.tolist()
        self._continuation = [[self._allowed(rows) for rows in sets] for sets in components.continuation.tolist()]
        self._log_weights = np.log(np.maximum(components.cost_weight, MIN_COST_WEIGHT))
        self._cost_weight = components.cost_weight.tolist()

    def _allowed(self, rows: list[list[float]]) -> list[tuple[int, float, float, float]]:
        """Continuation values of the candidates that may run next, the cheapest first, so that it wins a tie."""
        return [(j, rows[j][0], rows[j][1], rows[j][2]) for j in self._by_cost if rows[j][0] > NOT_ALLOWED / 2]

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        """Run the candidate of the highest continuation value above 0, else serve the answer of the set."""
        point = self.point if options.cost_weight is None else self._point(options.cost_weight)
        if not so_far.predictions:
            return self._first(so_far, options, point)
        ran, computed, top_probability = self._state(so_far)
        sure = confidence_logit(top_probability)
        best, highest = -1, 0.0
        saved = None if so_far.latency_ms is None else self._saved(so_far.latency_ms, point).tolist()
        price = self._price(so_far, point)
        values: dict[int, float] = {}
        for candidate, constant, slope, curve in self._values_after(point, ran, computed):
            value = constant + sure * (slope + sure * curve)
            if saved is not None:
                value += saved[candidate]
            if price is not None:
                if value > 0 and candidate not in so_far.failed and self._fits(so_far, candidate, options, opened=True):
                    values[candidate] = value
                value -= price[candidate]
            if value > highest and candidate not in so_far.failed and self._fits(so_far, candidate, options):
                best, highest = candidate, value
        if price is not None and values:
            self._note_worth(so_far, point, values, price, best)
        if best >= 0:
            return Run(
                best, reason=f"continuation value {highest:.4f} above 0 at a probability of {top_probability:.3f}"
            )
        return self._stop(so_far, ran, computed, top_probability)

    def _values_after(
        self, point: int, ran: int, computed: NDArray[Any] | None
    ) -> Sequence[tuple[int, float, float, float]]:
        """Continuation values of those that may run after a set; `computed` is what `_state` gave."""
        del computed
        return self._continuation[point][ran]

    def _saved(self, latency_ms: NDArray[np.float64], point: int) -> NDArray[np.float64]:
        """What it is worth that each candidate takes less for this input than on average."""
        saved: NDArray[np.float64] = self._cost_weight[point] * (np.asarray(self.costs.latency_ms) - latency_ms)
        return saved

    def _price(self, so_far: AnswersSoFar, point: int) -> list[float] | None:
        """What opening each candidate's network counts at the point's cost weight; None where nothing has to be."""
        if so_far.load_price_ms is None or not self._cost_weight[point]:
            return None
        price: list[float] = (self._cost_weight[point] * so_far.load_price_ms).tolist()
        return price

    def _note_worth(
        self, so_far: AnswersSoFar, point: int, values: Mapping[int, float], price: Sequence[float], chosen: int
    ) -> None:
        """How much more the candidate of the highest value is worth than what would run, or be served, without it.

        It is the one chosen, or one that is passed over because opening it takes too long.
        """
        wanted = max(values, key=values.__getitem__)
        others = [value - price[one] for one, value in values.items() if one != wanted]
        without = values.get(chosen, 0.0) if wanted != chosen else max(others, default=0.0)
        if so_far.predictions or not math.isfinite(without):
            without = max(without, 0.0)
        worth_ms = max(0.0, values[wanted] - without) / self._cost_weight[point]
        so_far.worth_ms[wanted] = so_far.worth_ms.get(wanted, 0.0) + worth_ms

    def _point(self, cost_weight: float) -> int:
        """The operating point whose weight is nearest in ratio; weight 0 is nearest to the lowest."""
        return int(np.abs(self._log_weights - math.log(max(cost_weight, MIN_COST_WEIGHT))).argmin())

    def _first(self, so_far: AnswersSoFar, options: CallOptions, point: int) -> Run | Stop:
        """The best start within the budget, of those that have not failed."""
        predicted_ms = so_far.latency_ms
        within = self.costs.within(self.candidates, options.max_latency_ms, so_far.load_ms, so_far.failed, predicted_ms)
        values: NDArray[Any] = self._starts(so_far.load_ms, options, point, predicted_ms)
        if predicted_ms is not None:
            values = values + self._saved(predicted_ms, point)
        usable = [j for j in self._by_cost if within[j] and j not in so_far.failed]
        if not usable:
            return Stop(None, None, reason="every candidate that fits has failed")
        price = self._price(so_far, point)
        if price is None:
            chosen = max(usable, key=values.__getitem__)
        else:
            chosen = max(usable, key=lambda j: values[j] - price[j])
            self._note_worth(so_far, point, self._start_values(so_far, options, point), price, chosen)
        return Run(chosen, self._scores, f"highest value as a start: {values[chosen]:.4f}")

    def _start_values(self, so_far: AnswersSoFar, options: CallOptions, point: int) -> dict[int, float]:
        """Value as a start of every candidate that would keep the budget if it were open."""
        predicted_ms = so_far.latency_ms
        within = self.costs.within(self.candidates, options.max_latency_ms, None, so_far.failed, predicted_ms)
        values: NDArray[Any] = self._starts(None, options, point, predicted_ms)
        if predicted_ms is not None:
            values = values + self._saved(predicted_ms, point)
        return {j: float(values[j]) for j in self._by_cost if within[j] and j not in so_far.failed}

    def _starts(
        self,
        load_ms: NDArray[np.float64] | None,
        options: CallOptions,
        point: int,
        predicted_ms: NDArray[np.float64] | None,
    ) -> NDArray[np.float32]:
        """Value of starting with each candidate, of what is left of the budget once it is open.

        Budgets are those of inputs of mean latency: where all candidates together take twice as long, half is left.
        """
        start, budgets = self.components.start, self.components.budgets
        if options.max_latency_ms is None:
            found: NDArray[np.float32] = start[-1, point]
            return found
        left_ms = options.max_latency_ms - self.costs.before_ms
        if predicted_ms is not None:
            left_ms *= sum(self.costs.latency_ms) / max(float(predicted_ms.sum()), 1e-9)
        if load_ms is None or not load_ms.any():
            found = start[max(0, int(np.searchsorted(budgets, left_ms, side="right")) - 1), point]
            return found
        levels = np.maximum(0, np.searchsorted(budgets, left_ms - load_ms, side="right") - 1)
        found = start[levels, point, np.arange(len(levels))]
        return found

    def _fits(self, so_far: AnswersSoFar, candidate: int, options: CallOptions, *, opened: bool = False) -> bool:
        """Does one more candidate keep the call's budget, end to end, or would it if it were open."""
        if options.max_latency_ms is None:
            return True
        latency_ms = self.costs.latency_ms if so_far.latency_ms is None else so_far.latency_ms.tolist()
        spent_ms = sum(latency_ms[ran] for ran in (*so_far.predictions, *so_far.failed)) + so_far.loaded_ms
        if so_far.load_ms is not None and not opened:
            spent_ms += float(so_far.load_ms[candidate])
        return self.costs.before_ms + (spent_ms + latency_ms[candidate]) <= options.max_latency_ms

    def _state(self, so_far: AnswersSoFar) -> tuple[int, NDArray[Any] | None, float]:
        """The set that answered, its fused distribution (None for one candidate), and the probability of its answer."""
        predictions = so_far.predictions
        if len(predictions) == 1:
            ((only, prediction),) = predictions.items()
            gained = so_far.kept[only] = log_scores(prediction.probabilities)
            weight = self._weights[1 << only][only]
            return 1 << only, None, own_top_probability(gained, weight, self._label_count, self.top_n)
        ran, kept = 0, so_far.kept
        for index, prediction in predictions.items():
            ran |= 1 << index
            if index not in kept:
                kept[index] = log_scores(prediction.probabilities)
        members, weights = sorted(predictions), self._weights[ran]
        distribution = fused_distribution(
            [predictions[index].labels for index in members],
            [kept[index] for index in members],
            [weights[index] for index in members],
            self._label_count,
        )
        member = self._member[ran]
        if member < 0:
            return ran, distribution, fused_top_probability(distribution, self.top_n)
        return ran, distribution, float(distribution[predictions[member].labels[: self.top_n]].sum())

    def _stop(self, so_far: AnswersSoFar, ran: int, distribution: NDArray[Any] | None, top_probability: float) -> Stop:
        """Serve what the set states."""
        intercept, slope = self._calibration[ran]
        clipped = min(max(top_probability, MIN_TOP_PROBABILITY), 1 - MIN_TOP_PROBABILITY)
        odds = intercept + slope * math.log(clipped / (1 - clipped))
        confidence = 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0
        reason = f"no continuation value above 0 at a probability of {top_probability:.3f}"
        source = next(iter(so_far.predictions)) if distribution is None else self._member[ran]
        if distribution is None or source >= 0:
            return Stop(so_far.predictions[source], source, confidence, reason)
        fused: Prediction = fused_prediction(distribution, [one.labels for one in so_far.predictions.values()])
        return Stop(fused, FUSED, confidence, reason)

    @property
    def trained_cost_weight(self) -> float:
        """See `Policy.trained_cost_weight`."""
        return float(self._cost_weight[self.point])

    def at_cost_weight(self, cost_weight: float) -> StoppingPolicy:
        """See `Policy.at_cost_weight`; the trained point nearest to it, in ratio."""
        settings = {**self.settings(), "point": self._point(cost_weight)}
        return type(self).from_components(settings, self.arrays())

    def decision_tables(self) -> DecisionTables | None:
        """What was learned, of the continuation values those that may be asked for; None with latencies by length."""
        from premodel.runtime.policies.decision_tables import DecisionTables  # here: only exports need it

        if self.costs.by_length is not None:
            return None
        learned, rows = self.components, [rows for sets in self._continuation for rows in sets]
        following = [entry for row in rows for entry in row] or [(0, 0.0, 0.0, 0.0)]
        numbers: dict[str, int | float] = {
            "point": self.point,
            "points": learned.cost_weight.size,
            "levels": learned.budgets.size,
            "sets": len(learned.member),
            "top_n": self.top_n,
            "before_ms": float(self.costs.before_ms),
            "safe_weight": SAFE,
            "min_top_probability": MIN_TOP_PROBABILITY,
            "logit_scale": SCALE,
            "min_cost_weight": MIN_COST_WEIGHT,
        }
        arrays: Arrays = {
            "score_scale": np.array([1 / FLOOR], np.float32),
            "latency_ms": np.asarray(self.costs.latency_ms, np.float64),
            "by_cost": np.array(self._by_cost, np.int8),
            "weights": learned.weights,
            "member": learned.member,
            "calibration": learned.calibration,
            "log_cost_weight": self._log_weights,
            "budgets": learned.budgets,
            "start": learned.start.reshape(-1, len(self.candidates)),
            "next_from": np.cumsum([0, *map(len, rows)], dtype=np.uint32),
            "next_candidate": np.array([entry[0] for entry in following], np.uint8),
            "next_value": np.array([entry[1:] for entry in following], np.float32),
        }
        return DecisionTables("stopping", True, numbers, arrays)

    def settings(self) -> dict[str, Any]:
        """Everything but what was learned for sets."""
        return {
            "candidates": list(self.candidates),
            "point": self.point,
            "accuracy": list(self.accuracy),
            "costs": self.costs.to_json(),
            "n_labels": self.n_labels,
            "top_n": self.top_n,
        }

    def arrays(self) -> Arrays:
        """What was learned."""
        return {entry.name: getattr(self.components, entry.name) for entry in fields(self.components)}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the policy again; BundleError if the components do not describe one."""
        try:
            candidates = [str(name) for name in settings["candidates"]]
            return cls(
                candidates,
                StoppingComponents(**{entry.name: arrays[entry.name] for entry in fields(StoppingComponents)}),
                point=int(settings["point"]),
                accuracy=[float(value) for value in settings["accuracy"]],
                costs=Costs.from_json(settings["costs"], len(candidates)),
                n_labels=int(settings["n_labels"]),
                top_n=int(settings["top_n"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"policy {cls.kind} is incomplete", given=f"{type(error).__name__}: {error}") from error


class Cascade(StoppingPolicy):
    """After each run, stop or run a later candidate of one fixed order; `candidates` is that order.

    Source: Viola and Jones, "Rapid object detection using a boosted cascade of simple classifiers", 2001, section 4,
    for the form.

    Notes
    -----
    The order is learned, not that of latency; the next stage may be skipped for a later one; and what a stage serves
    is fused from all that ran. After a failure the order still holds: what was passed over is not gone back to.
    """

    kind = "cascade"

    def __init__(self, candidates: Sequence[str], components: StoppingComponents, **more: Any) -> None:
        super().__init__(candidates, components, **more)
        check_order(components, len(self.candidates))


class CascadeRouting(StoppingPolicy):
    """After each run, stop or run any next candidate, by marginal expected gain against cost.

    Source: Dekoninck, Baader and Vechev, "A unified approach to routing and cascading for LLMs", 2024, section 3.

    Notes
    -----
    There the value of a longer cascade is estimated from quality estimates of all models before any of them ran, and
    every continuation is enumerated. Here continuation values are regressed on how sure the fused answer is, set by
    set, backwards from all candidates run.
    """

    kind = "cascade-routing"
