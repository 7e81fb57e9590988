"""The contract of a policy: it is asked, again and again, for the next step given the answers so far (`loop`)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.records import Prediction
from premodel.runtime.policies.costs import Costs
from premodel.runtime.selectors.base import Arrays, Features, Scores

if TYPE_CHECKING:
    from premodel.runtime.policies.decision_tables import DecisionTables
    from premodel.runtime.policies.latency_curve import LatencyCurves

MAX_COST_WEIGHT = 1e100
"""Of a bundle: accuracy that one ms is worth. Its product with any latency is a number."""
FUSED = -1
"""Source of an answer that fuses several candidates' predictions."""


@dataclass(frozen=True)
class CallOptions:
    """What one call may ask of the one trained premodel.

    Attributes
    ----------
    max_latency_ms:
        Budget of this call, end to end; None means the trained operating point.
    cost_weight:
        Points of accuracy one millisecond is worth (accuracy in [0, 1] per ms); None means the trained one.

    Raises
    ------
    OptionError
        A budget that is not above 0, or a weight below 0.

    Examples
    --------
    >>> CallOptions(max_latency_ms=4).max_latency_ms
    4
    >>> CallOptions(max_latency_ms=0)
    Traceback (most recent call last):
    premodel.errors.OptionError: wrong max_latency_ms; given: 0; allowed: milliseconds above 0
    """

    max_latency_ms: float | None = None
    cost_weight: float | None = None

    def __post_init__(self) -> None:
        budget, weight = self.max_latency_ms, self.cost_weight
        if budget is not None and not (_is_number(budget) and budget > 0):
            raise OptionError("wrong max_latency_ms", given=budget, allowed="milliseconds above 0")
        if weight is not None and not (_is_number(weight) and weight >= 0):
            raise OptionError("wrong cost_weight", given=weight, allowed="accuracy per ms, 0 or more")


def _is_number(value: float) -> bool:
    """A finite one; text is none."""
    try:
        return math.isfinite(value)
    except TypeError:
        return False


TRAINED = CallOptions()
"""The trained operating point."""


@dataclass(slots=True, init=False)
class AnswersSoFar:
    """What is known of one input so far.

    Attributes
    ----------
    features:
        float32 (F,) in the order of `Policy.features`; None if the policy asks for none.
    predictions:
        By candidate index, in the order they were run.
    failed:
        Candidates that failed at run time; they are never run again for this input.
    scores:
        What `Policy.score_batch` states of this input; kept by the policy between its steps, and brought along where
        many inputs were scored at once.
    kept:
        By candidate index, what the policy has computed of a prediction; kept by the policy between its steps.
    load_ms:
        float64 (m,), what opening each candidate's network would take now, 0 where it is open; None where all are, or
        none is ever unloaded. It counts to the call's budget.
    load_price_ms:
        float64 (m,), what opening each candidate's network counts in what running it is worth; None where nothing is
        ever unloaded.
    worth_ms:
        Where `load_price_ms` is given: of candidates that ran, or would have run if opening them counted nothing, how
        much more that is worth than to do without them, in ms; kept by the policy.
    loaded_ms:
        What opening networks has taken for this input.
    latency_ms:
        float64 (m,), what each candidate is expected to take for an input of this length; None where a policy's
        `costs` hold for every input.
    length:
        How long the input is, in the measure that the policy asks for (`Policy.length_measure`).
    """

    features: Features | None
    predictions: dict[int, Prediction]
    failed: set[int]
    scores: Scores | None
    kept: dict[int, NDArray[np.float32]]
    load_ms: NDArray[np.float64] | None
    load_price_ms: NDArray[np.float64] | None
    worth_ms: dict[int, float]
    loaded_ms: float
    latency_ms: NDArray[np.float64] | None
    length: float | None

    def __init__(
        self,
        features: Features | None = None,
        predictions: dict[int, Prediction] | None = None,
        failed: set[int] | None = None,
        scores: Scores | None = None,
        latency_ms: NDArray[np.float64] | None = None,
        length: float | None = None,
    ) -> None:
        self.features = features
        self.predictions = {} if predictions is None else predictions
        self.failed = set() if failed is None else failed
        self.scores = scores
        self.kept = {}
        self.load_ms = self.load_price_ms = None
        self.worth_ms = {}
        self.loaded_ms = 0.0
        self.latency_ms = latency_ms
        self.length = length


class Run(NamedTuple):
    """Run this candidate next."""

    candidate: int
    scores: NDArray[np.float64] | None = None
    """Estimated probability of being right, one per candidate, NaN where not estimated."""
    reason: str = ""


class Stop(NamedTuple):
    """Serve this answer; `prediction` None is an abstention.

    `source` is the candidate whose prediction it is, or FUSED; `confidence` the estimated probability that the
    answer is right, NaN where the policy does not estimate it.
    """

    prediction: Prediction | None
    source: int | None
    confidence: float = float("nan")
    reason: str = ""


class Policy(ABC):
    """How scores become an answer.

    Attributes
    ----------
    candidates:
        Names of the candidates it may run; steps name them by index into this tuple.
    features:
        Names of the image features it needs before its first step; empty for none.
    n_labels:
        Labels that its answers are made for, where it builds distributions itself; None where it serves only what a
        candidate said. A bundle of another number of labels is refused.
    costs:
        What its candidates cost, and what comes before them.
    has_tables:
        Does it give `decision_tables`.
    fuses:
        Does it join answers of several candidates, which takes longer than choosing one.
    fixed_candidate:
        Index of the candidate that answers every input as long as it does not fail; None where the policy chooses.
    """

    kind: ClassVar[str]
    fuses: ClassVar[bool] = False
    has_tables: ClassVar[bool] = False
    n_labels: int | None = None
    costs: Costs
    fixed_candidate: int | None = None
    candidates: tuple[str, ...]
    features: tuple[str, ...]

    @abstractmethod
    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        """Decide the next step; never asks for a candidate already run or failed.

        Raises
        ------
        OptionError
            The call's budget is below the cheapest candidate, which the message names.
        """

    @property
    def trained_cost_weight(self) -> float:
        """The least cost weight of a call that serves no dearer answers than the trained operating point does.

        Infinite where there is none: the policy has no operating points.
        """
        return math.inf

    @property
    def latency_curves(self) -> LatencyCurves | None:
        """Of its costs: what each candidate takes by the length of an input; None where that makes no difference."""
        costs: Costs | None = getattr(self, "costs", None)
        return None if costs is None else costs.by_length

    @property
    def length_measure(self) -> str | None:
        """One of `Domain.lengths` that decisions rest on beside latencies; None for none."""
        return None

    def score_batch(self, features: Features) -> Scores | None:
        """Scores that depend on nothing but the features, for many inputs at once: (n, F) -> (n, scores).

        Row by row what `next` would compute itself and keep in `AnswersSoFar.scores`; None if the policy has none.
        """
        del features
        return None

    def at_cost_weight(self, cost_weight: float) -> Policy:
        """The same policy with another trained operating point: it serves what a call with that weight does.

        Parameters
        ----------
        cost_weight:
            Accuracy that one ms is worth.

        Raises
        ------
        OptionError
            The policy has no operating points to choose among.
        """
        raise OptionError(
            f"policy {self.kind} has no operating points",
            given=f"cost weight {cost_weight:g}",
            allowed="a policy that was trained at several cost weights",
        )

    def decision_tables(self) -> DecisionTables | None:
        """The numbers its decisions rest on, for a program in another language; None if it reads the input."""
        return None

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable settings, without arrays."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """The arrays of the bundle, by name."""

    @classmethod
    @abstractmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the policy again from its settings and arrays.

        Raises
        ------
        BundleError
            They are incomplete or contradict each other.
        """


def check_accuracy(accuracy: Sequence[float]) -> None:
    """Raise ValueError unless every accuracy is a share: a policy compares them with latencies and with each other."""
    for value in accuracy:
        if not 0 <= value <= 1:
            raise ValueError(f"accuracy must be in [0, 1], got {value}")
