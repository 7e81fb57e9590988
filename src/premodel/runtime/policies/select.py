"""Policy `select`: score every candidate from the input's features, choose one, run it (the paper's premodel)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError
from premodel.runtime.policies.base import MAX_COST_WEIGHT, AnswersSoFar, CallOptions, Policy, Run, Stop
from premodel.runtime.policies.costs import Costs
from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.registry import selector_from_components

Rule = Literal["first-yes", "highest-score", "highest-class", "utility"]
RULES: tuple[Rule, ...] = get_args(Rule)

Meaning = Literal["right", "optimum"]
"""What a score estimates: that the candidate is right, or that it is the optimum (the cheapest that is right)."""
MEANINGS: tuple[Meaning, ...] = get_args(Meaning)

SELECTOR_PREFIX = "selector."


class Select(Policy):
    """Choose one candidate before running any; run it and serve what it states.

    Parameters
    ----------
    chain:
        The candidates the selector scores, in the order of its scores.
    selector:
        Features -> one score per candidate of the chain.
    rule:
        `first-yes`: the first of the chain whose score is above the threshold (paper section 3.1, Figure 3).
        `highest-score`: of those above the threshold, the one with the highest score.
        `highest-class`: for scores that are shares of classes (`MultiClassSelector`): the one with the highest score,
        unless the share of none, 1 - sum of scores, is higher still. The threshold has no part in it.
        `utility`: of those above the threshold, the one with the highest score - cost_weight * latency.
    costs:
        What each candidate costs; the fallback's last where it is not in the chain.
    fallback:
        Candidate that answers when no score is above the threshold; None abstains.
    threshold:
        A candidate predicts yes when its score is *above* it.
    cost_weight:
        Of rule `utility`: what one ms is worth, in score.
    meaning:
        What a score estimates; only if it is "right" is it given as the answer's confidence.

    Notes
    -----
    Ties of score or utility go to the lower latency, then to the order of the chain.

    A candidate that is over the call's `max_latency_ms`, or that has failed, is passed over: the rule is applied to
    the others. A fallback that cannot run, or an abstention after a failure, gives way to the candidate of the
    highest score among those that can: an input is not left without an answer because of a defect, and each keeps the
    budget by itself.

    `cost_weight` at call time takes the highest score - cost_weight * latency of those that say yes.

    Where latencies depend on the input's length (`Costs.by_length`), latency is that of an input as long as this one,
    in budgets and in utilities; ties go by the mean.
    """

    kind = "select"

    def __init__(
        self,
        chain: Sequence[str],
        selector: Selector,
        *,
        rule: Rule,
        costs: Costs,
        fallback: str | None,
        threshold: float = 0.5,
        cost_weight: float = 0.0,
        meaning: Meaning = "right",
    ) -> None:
        self.chain = tuple(chain)
        self.candidates = self.chain if fallback is None or fallback in self.chain else (*self.chain, fallback)
        if selector.n_candidates != len(self.chain) or len(costs.latency_ms) != len(self.candidates):
            raise ValueError("one score per candidate of the chain and one latency per candidate")
        if rule not in RULES or meaning not in MEANINGS or not math.isfinite(threshold):
            raise ValueError(f"rule {rule}, meaning {meaning} or threshold {threshold}")
        if not 0 <= cost_weight <= MAX_COST_WEIGHT:
            raise ValueError(f"cost_weight must be from 0 to {MAX_COST_WEIGHT:g}, got {cost_weight}")
        self.selector = selector
        self.features = selector.features
        self.rule: Rule = rule
        self.costs = costs
        self.fallback = fallback
        self.threshold = threshold
        self.cost_weight = cost_weight
        self.meaning: Meaning = meaning
        self._states_right = meaning == "right"
        self._fallback_index = None if fallback is None else self.candidates.index(fallback)
        latency_ms = np.asarray(costs.latency_ms[: len(self.chain)])
        # Rank by latency, then by order: the lower wins a tie. Scores of equal value are distinguished by it.
        ranks = np.argsort(np.argsort(latency_ms, kind="stable"), kind="stable")
        self._cheapness: list[int] = ranks.tolist()
        self._mean_ms = [float(value) for value in costs.latency_ms]
        self._own_less = f"less {cost_weight:g} per ms is"
        self._own_weight = cost_weight if rule == "utility" else 0.0
        self._none_yes = f"no score above {threshold:g}"
        self._in_chain = tuple(range(len(self.chain)))
        self._reasons = tuple(f"{name} answered" for name in self.candidates)

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        """Choose by the rule; serve what the chosen candidate states."""
        for candidate, prediction in so_far.predictions.items():
            confidence, scores = math.nan, so_far.scores
            if self._states_right and scores is not None and candidate < len(self.chain):
                confidence = scores.item(candidate)
            return Stop(prediction, candidate, confidence, self._reasons[candidate])
        usable = None
        if options.max_latency_ms is not None or so_far.failed:
            within = self.costs.within(
                self.candidates, options.max_latency_ms, so_far.load_ms, so_far.failed, so_far.latency_ms
            )
            usable = [may and index not in so_far.failed for index, may in enumerate(within.tolist())]
        scores = so_far.scores
        if scores is None:
            if so_far.features is None:
                raise ValueError("policy select needs features")
            scores = so_far.scores = self.selector.score(so_far.features)
        chosen, why = self._choose(scores, usable, options.cost_weight, so_far.latency_ms)
        if chosen is None:
            chosen, instead = self._without_yes(scores, usable, bool(so_far.failed))
            why = f"{why}: {instead}"
        if chosen is None:
            return Stop(None, None, reason=why)
        return Run(chosen, scores, why)

    def score_batch(self, features: Features) -> Scores | None:
        """The selector's scores, (n, F) -> (n, length of the chain)."""
        return self.selector.score_batch(features)

    def _choose(
        self,
        scores: Scores,
        usable: Sequence[bool] | None,
        weight: float | None,
        latency_ms: NDArray[np.float64] | None,
    ) -> tuple[int | None, str]:
        """The chain's candidate that the rule picks, None if none predicts yes; and why.

        `usable` None is for all, `latency_ms` None for the means.
        """
        # Lists: of a few candidates they take a third of the time that arrays take.
        values = scores.tolist()
        allowed = self._in_chain if usable is None else [index for index in self._in_chain if usable[index]]
        if self.rule == "highest-class":
            share = max(0.0, 1.0 - float(scores.sum()))
            allowed = [index for index in allowed if values[index] >= share]
            none_yes, least = f"no score above the share of none, {share:.3f}", -math.inf
        else:
            none_yes, least = self._none_yes, self.threshold
        if weight is None and self.rule != "first-yes":
            weight = self._own_weight
        if weight == 0:  # of all the highest is that of those that say yes, if it does
            chosen = self._best(values, allowed) if allowed else None
            if chosen is None or values[chosen] <= least:
                return None, none_yes
            return chosen, f"highest score: {values[chosen]:.3f}"
        if weight is None:
            for index in allowed:
                if values[index] > least:
                    return index, f"first yes: score {values[index]:.3f} above {self.threshold:g}"
            return None, none_yes
        spent_ms = self._mean_ms if latency_ms is None else latency_ms.tolist()
        chosen, highest, cheapness = None, 0.0, self._cheapness
        for index in allowed:
            if values[index] > least:
                utility = values[index] - weight * spent_ms[index]
                if chosen is None or utility > highest or (utility == highest and cheapness[index] < cheapness[chosen]):
                    chosen, highest = index, utility
        if chosen is None:
            return None, none_yes
        less = self._own_less if weight == self._own_weight else f"less {weight:g} per ms is"
        return chosen, f"highest utility: score {values[chosen]:.3f} {less} {highest:.3f}"

    def _without_yes(self, scores: Scores, usable: Sequence[bool] | None, failed: bool) -> tuple[int | None, str]:
        """What answers when no candidate of the chain predicts yes, and why."""
        if self._fallback_index is None and not failed:
            return None, "abstained"
        if self._fallback_index is not None and (usable is None or usable[self._fallback_index]):
            return self._fallback_index, "fallback"
        in_chain = [index for index in self._in_chain if usable is None or usable[index]]
        if in_chain:
            return self._best(scores.tolist(), in_chain), "highest score of those that can run"
        return None, "no candidate can run"

    def _best(self, value: list[float], allowed: Sequence[int]) -> int:
        """The allowed candidate of the highest value; ties by latency, then order."""
        best, highest, cheapness = allowed[0], value[allowed[0]], self._cheapness
        for index in allowed:
            one = value[index]
            if one > highest or (one == highest and cheapness[index] < cheapness[best]):
                best, highest = index, one
        return best

    @property
    def trained_cost_weight(self) -> float:
        """See `Policy.trained_cost_weight`."""
        return float(self.cost_weight) if self.rule == "utility" else math.inf

    def at_cost_weight(self, cost_weight: float) -> Select:
        """See `Policy.at_cost_weight`; only rule `utility` has operating points."""
        if self.rule != "utility":
            super().at_cost_weight(cost_weight)
        return type(self).from_components({**self.settings(), "cost_weight": cost_weight}, self.arrays())

    def settings(self) -> dict[str, Any]:
        """Everything but the selector's arrays."""
        return {
            "chain": list(self.chain),
            "rule": self.rule,
            "fallback": self.fallback,
            "threshold": self.threshold,
            "cost_weight": self.cost_weight,
            "meaning": self.meaning,
            "costs": self.costs.to_json(),
            "selector": {"kind": self.selector.kind, "settings": self.selector.settings()},
        }

    def arrays(self) -> Arrays:
        """The selector's arrays."""
        return {SELECTOR_PREFIX + name: array for name, array in self.selector.arrays().items()}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the policy again; BundleError if settings and arrays do not describe one."""
        own = {
            name.removeprefix(SELECTOR_PREFIX): array
            for name, array in arrays.items()
            if name.startswith(SELECTOR_PREFIX)
        }
        try:
            chain = [str(name) for name in settings["chain"]]
            fallback = None if settings["fallback"] is None else str(settings["fallback"])
            selector = selector_from_components(settings["selector"]["kind"], settings["selector"]["settings"], own)
            count = len(chain) + (fallback is not None and fallback not in chain)
            return cls(
                chain,
                selector,
                rule=settings["rule"],
                costs=Costs.from_json(settings["costs"], count),
                fallback=fallback,
                threshold=float(settings["threshold"]),
                cost_weight=float(settings["cost_weight"]),
                meaning=settings["meaning"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError("policy select is incomplete", given=f"{type(error).__name__}: {error}") from error
