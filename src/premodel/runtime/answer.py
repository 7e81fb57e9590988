"""What a premodel states of one input, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from premodel.records import Prediction
from premodel.runtime.policies.base import Run, Stop


class LabelProbability(NamedTuple):
    """One line of an answer."""

    label: int
    class_name: str
    probability: float


@dataclass(frozen=True, eq=False, init=False)
class Answer:
    """The answer to one input.

    Attributes
    ----------
    label, class_name, probability:
        The most probable label, its name and its probability; None if the premodel abstained.
    candidate:
        Name of the candidate whose prediction is served; several joined by "+" where their predictions were fused;
        None for an abstention.
    ran:
        Names of the candidates that were run, in order.
    failed:
        Candidates that should have run and failed, with the reason.
    abstained:
        Was no answer given.
    confidence:
        Estimated probability that the answer is right; NaN where the policy does not estimate it.
    latency_ms:
        "decode", "features", "select", "predict" (preprocess and run of every candidate that ran) and "total", in ms.
    steps:
        What the policy decided, step by step.
    outcome:
        The answer where it is no label: a text, and label and class name are None; else None.
    """

    label: int | None
    class_name: str | None
    probability: float | None
    candidate: str | None
    ran: tuple[str, ...]
    failed: Mapping[str, str]
    abstained: bool
    confidence: float
    latency_ms: Mapping[str, float]
    steps: tuple[Run | Stop, ...] = field(repr=False)
    _prediction: Prediction | None = field(repr=False)
    _names: tuple[str, ...] = field(repr=False)
    _candidates: tuple[str, ...] = field(repr=False)
    outcome: str | None = None

    def __init__(
        self,
        label: int | None,
        class_name: str | None,
        probability: float | None,
        candidate: str | None,
        ran: tuple[str, ...],
        failed: Mapping[str, str],
        abstained: bool,
        confidence: float,
        latency_ms: Mapping[str, float],
        steps: tuple[Run | Stop, ...],
        _prediction: Prediction | None,
        _names: tuple[str, ...],
        _candidates: tuple[str, ...],
        outcome: str | None = None,
    ) -> None:
        # The one that dataclass writes for frozen fields takes five times as long, and every answer pays it.
        state = self.__dict__
        state["label"] = label
        state["class_name"] = class_name
        state["probability"] = probability
        state["candidate"] = candidate
        state["ran"] = ran
        state["failed"] = failed
        state["abstained"] = abstained
        state["confidence"] = confidence
        state["latency_ms"] = latency_ms
        state["steps"] = steps
        state["_prediction"] = _prediction
        state["_names"] = _names
        state["_candidates"] = _candidates
        state["outcome"] = outcome

    @property
    def prediction(self) -> Prediction | None:
        """What is served, as one candidate's or as fused; None for an abstention."""
        return self._prediction

    @cached_property
    def probabilities(self) -> tuple[LabelProbability, ...]:
        """Up to 20 labels by falling probability; none for an abstention."""
        if self._prediction is None or self.outcome is not None:
            return ()
        labels, probabilities = self._prediction.labels.tolist(), self._prediction.probabilities.tolist()
        return tuple(
            LabelProbability(label, self._names[label], p) for label, p in zip(labels, probabilities, strict=True)
        )

    @property
    def top_labels(self) -> list[int]:
        """The labels of `probabilities`; none for an abstention."""
        labels: list[int] = [] if self._prediction is None or self.label is None else self._prediction.labels.tolist()
        return labels

    @property
    def top_probabilities(self) -> list[float]:
        """The numbers of `probabilities`; none for an abstention."""
        values: list[float] = [] if self._prediction is None else self._prediction.probabilities.tolist()
        return values

    def to_json(self, path: str, *, explain: bool = False) -> dict[str, Any]:
        """The object of `predict --json` (design section 7); with `explain` also the steps and why."""
        data: dict[str, Any] = {
            "path": path,
            **({"label": self.label, "class": self.class_name} if self.outcome is None else {"outcome": self.outcome}),
            "probabilities": [
                {"label": line.label, "class": line.class_name, "p": line.probability} for line in self.probabilities
            ],
            **({} if self.outcome is None else {"probability": self.probability}),
            "candidate": self.candidate,
            "ran": list(self.ran),
            "abstained": self.abstained,
            "latency_ms": dict(self.latency_ms),
        }
        if self.failed:
            data["failed"] = dict(self.failed)
        if explain:
            data["confidence"] = finite_or_none(self.confidence)
            data["steps"] = [step_to_json(step, self._candidates) for step in self.steps]
        return data


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which candidate a premodel would run first on an input, and why; nothing was run.

    Attributes
    ----------
    candidate:
        Its name; None if the premodel would abstain.
    reason:
        Why, in words.
    scores:
        Score of each candidate that was scored, by name.
    features:
        The features the decision rests on, by name; empty if there are none.
    """

    candidate: str | None
    reason: str
    scores: Mapping[str, float]
    features: Mapping[str, float]


def scores_by_name(step: Run | Stop, candidates: tuple[str, ...]) -> dict[str, float]:
    """Scores of a step by candidate name; those not estimated are left out."""
    scores = step.scores if isinstance(step, Run) else None
    if scores is None:
        return {}
    return {name: float(s) for name, s in zip(candidates, scores, strict=False) if not math.isnan(s)}


def step_to_json(step: Run | Stop, candidates: tuple[str, ...]) -> dict[str, Any]:
    """One decision as plain JSON types."""
    if isinstance(step, Run):
        return {"run": candidates[step.candidate], "reason": step.reason, "scores": scores_by_name(step, candidates)}
    return {"stop": "abstain" if step.prediction is None else "answer", "reason": step.reason}


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
