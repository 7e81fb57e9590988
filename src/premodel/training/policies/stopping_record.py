"""What `cascade` and `cascade-routing` state of their training: sets of candidates, the pool, the operating point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from premodel.runtime.policies.stopping_components import StoppingComponents
from premodel.training.operating_point import OperatingPoint
from premodel.training.policies.continuation_values import members_of
from premodel.training.policies.pool import PoolChoice
from premodel.training.record import TrainedOn, TrainingRecord, plain

FUSED_ANSWER = "fused"
"""What a set serves where no member answers for it."""


@dataclass(frozen=True)
class SetRecord:
    """What a set of candidates serves.

    Attributes
    ----------
    candidates, weights:
        Names, and weight of each in the fused answer.
    serves:
        The candidate whose own answer is served, or "fused".
    confidence:
        Intercept and slope of its calibration.
    """

    candidates: tuple[str, ...]
    weights: tuple[float, ...]
    serves: str
    confidence: tuple[float, ...]


@dataclass(frozen=True)
class StoppingRecord(TrainingRecord):
    """The record of `cascade` and `cascade-routing`.

    Attributes
    ----------
    trained_on:
        Profile and objective.
    pool, names:
        How the pool was found, and its candidates; for a cascade in its order.
    sets:
        Of the pool, each but the empty one; none where answers are graded, which are not fused.
    reward:
        Intercept and slope that calibrate what all candidates together say of an answer.
    point:
        The operating point.
    first:
        The candidate that starts there.
    ordered:
        One fixed order.
    """

    trained_on: TrainedOn
    pool: PoolChoice
    names: tuple[str, ...]
    sets: tuple[SetRecord, ...]
    reward: tuple[float, float]
    point: OperatingPoint
    first: str
    ordered: bool

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        lines = [
            *self.trained_on.lines(),
            "pool, by accuracy less the price of latency",
            *(f"  {step}" for step in self.pool.steps),
            "weights of the candidates in each set's fused answer"
            if self.sets
            else "serves the answer of the highest expected grade, by the probabilities and lengths of those in hand",
        ]
        for one in self.sets:
            if len(one.candidates) > 1:
                shares = ", ".join(f"{n} {w:.2f}" for n, w in zip(one.candidates, one.weights, strict=True))
                own = "" if one.serves == FUSED_ANSWER else f"; serves {one.serves}'s own, which is more accurate"
                lines.append(f"  {shares}{own}")
        point = self.point
        difference = 100 * (point.accuracy - point.best_single_accuracy)
        after = f"a later one of {' -> '.join(self.names)}" if self.ordered else f"any other of {', '.join(self.names)}"
        return [
            *lines,
            f"cost weight {point.cost_weight:.6g} per ms: cross-fitted accuracy {100 * point.accuracy:.2f} % "
            f"({difference:+.2f} points to the best single candidate) at {point.latency_ms:.3f} ms"
            + ("" if point.met else ", which does NOT meet the objective"),
            f"decides: runs {self.first}, then stops or runs {after}, whichever is worth most",
        ]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        intercept, slope = self.reward
        return {
            "pool": plain(self.pool) | {"candidates": list(self.names)},
            "sets": plain(self.sets),
            "reward": {"intercept": intercept, "slope": slope},
            "operating_point": plain(self.point),
        }


def set_records(names: tuple[str, ...], components: StoppingComponents) -> tuple[SetRecord, ...]:
    """What each set of candidates fuses with, and whose answer it serves."""
    return tuple(
        SetRecord(
            tuple(names[j] for j in members),
            tuple(round(float(components.weights[number, j]), 6) for j in members),
            _serves(names, components, number, members),
            tuple(float(value) for value in components.calibration[number]),
        )
        for number, members in enumerate(members_of(len(names)))
        if members
    )


def _serves(names: tuple[str, ...], components: StoppingComponents, number: int, members: tuple[int, ...]) -> str:
    if len(members) == 1:
        return names[members[0]]
    return FUSED_ANSWER if components.member[number] < 0 else names[int(components.member[number])]
