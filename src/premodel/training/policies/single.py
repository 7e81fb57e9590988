"""Training of policy `single`: which one candidate answers everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.training.ceilings import together
from premodel.training.latency_curves import learn_latency_curves
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.record import Trained, TrainingRecord
from premodel.training.tables import Tables
from premodel.training.trainer import Trainer

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SingleRecord(TrainingRecord):
    """Which candidate was chosen.

    Attributes
    ----------
    objective:
        In words.
    name, accuracy, latency_ms:
        Of the candidate; latency end to end.
    criterion, samples:
        That the accuracy is by, and on.
    has_stand_ins:
        Is there another candidate that answers if this one fails.
    with_stand_ins:
        Accuracy and latency of what is served where it failed on some of the samples and the others answered those;
        None where it never failed or has none.
    """

    objective: str
    name: str
    accuracy: float
    latency_ms: float
    criterion: str
    samples: int
    has_stand_ins: bool
    with_stand_ins: tuple[float, float] | None = None

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        others = "; the others stand in for it if it fails" if self.has_stand_ins else ""
        lines = [
            f"objective: {self.objective}",
            f"{self.name}: accuracy {100 * self.accuracy:.2f} % ({self.criterion}) at {self.latency_ms:.3f} ms "
            f"on {self.samples} samples",
            f"decides: nothing; {self.name} answers every input{others}",
        ]
        if self.with_stand_ins is not None:
            accuracy, latency_ms = self.with_stand_ins
            lines.insert(
                2,
                f"served with the others where it fails: accuracy {100 * accuracy:.2f} % at {latency_ms:.3f} ms; "
                f"evaluate and bench count it so",
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        found: dict[str, Any] = {"chosen": self.name, "accuracy": self.accuracy, "latency_ms": self.latency_ms}
        if self.with_stand_ins is not None:
            found["with_stand_ins"] = dict(zip(("accuracy", "latency_ms"), self.with_stand_ins, strict=True))
        return found


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Choose the single candidate that meets the objective; the others stand in for it by falling accuracy.

    Floor: the cheapest candidate at or above it. Ceiling: the most accurate one at or below it. Cost weight: the
    highest accuracy - weight * latency. Deadline: the highest on-time accuracy. Without any: the most accurate, and of
    those the cheapest. Under a ceiling of
    memory or energy only those stand in that keep it together with it.

    Raises
    ------
    OptionError
        No candidate meets the objective, or an option is given that has no meaning for one candidate.
    """
    nothing = "one candidate needs no selector"
    options.refuse(technique=nothing, labels=nothing, fallback=nothing)
    accuracy = tables.score(options.criterion).mean(axis=0)
    end_to_end_ms = tables.end_to_end_ms()
    chosen = options.objective.single(
        tables.candidates, options.objective.timely(accuracy, end_to_end_ms), end_to_end_ms
    )
    order = order_of(tables, accuracy, chosen, options.objective)
    policy = Single(
        [tables.candidates[candidate] for candidate in order],
        accuracy[order].tolist(),
        Costs(
            tuple(tables.latency_ms[order].tolist()),
            tables.decode_ms,
            by_length=learn_latency_curves(tables.take_candidates(order)),
        ),
    )
    stood_in = None
    if len(order) > 1 and not tables.answered[:, chosen].all():
        served, spent_ms = with_stand_ins(tables, options.criterion, order)
        stood_in = float(served.mean()), tables.decode_ms + float(spent_ms.mean())
    record = SingleRecord(
        options.objective.describe(),
        tables.candidates[chosen],
        float(accuracy[chosen]),
        float(end_to_end_ms[chosen]),
        options.criterion,
        len(tables),
        len(order) > 1,
        stood_in,
    )
    return Trained(policy, record)


def order_of(tables: Tables, accuracy: Floats, chosen: int, objective: Objective) -> list[int]:
    """The candidate chosen, then its stand-ins by falling accuracy: those that keep the ceilings together with it."""
    order, accepts = [chosen], together(tables, objective)
    for candidate in np.lexsort((tables.latency_ms, -accuracy)).tolist():
        if candidate != chosen and (accepts is None or accepts([*order, candidate])):
            order.append(candidate)
    return order


def with_stand_ins(tables: Tables, criterion: Criterion, order: Sequence[int]) -> tuple[Floats, Floats]:
    """What a candidate serves if others stand in for it, in this order, where it fails.

    Returns
    -------
    float64 (n,) each: score of the answer, that of no answer where all fail; time in ms of all that were tried.
    """
    score, latency_ms, answered = tables.score(criterion), tables.latency(), tables.answered
    served, spent_ms = tables.unanswered(criterion).copy(), np.zeros(len(tables))
    waiting = np.ones(len(tables), np.bool_)
    for candidate in order:
        spent_ms[waiting] += latency_ms[waiting, candidate]
        answers = waiting & answered[:, candidate]
        served[answers] = score[answers, candidate]
        waiting &= ~answers
    return served, spent_ms


TRAINER = Trainer("single", "one candidate, whatever the input", train, chooses=False)
