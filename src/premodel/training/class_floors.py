"""Training under floors on classes: `--min-recall cat=0.95`, by learn-then-test on samples used for nothing else.

The policy is fitted on one half of the samples. On the other half its operating points are tested one after the other,
from the dearest to the one that the objective chose; each must show every floor by an exact test. The last that passes,
all before it having passed, is served.

Source: as of `guarantee`. All floors are one claim: it is false if one of them is missed, and that one passes its own
test with a chance of DELTA at most, so no correction for their number is due (Berger, "Multiparameter hypothesis
testing and acceptance sampling", Technometrics 24, 1982, theorem 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.base import Policy
from premodel.training.class_floor import DELTA, ClassFloor, lower_bound, p_value
from premodel.training.guarantee import CALLS, CAVEAT, HALVES, GuaranteeError, weights_to_test
from premodel.training.options import TrainOptions
from premodel.training.record import Trained, TrainingRecord, plain
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.trainer import Trainer

STRIDE = 3
"""Of the cost weights of training every third is tested: neighbours hardly differ, and each costs a pass."""


@dataclass(frozen=True)
class Counted:
    """One floor at one operating point, on samples.

    Attributes
    ----------
    measure, name, least:
        The floor.
    right, count:
        Of so many samples of the class (recall), or answers with it (precision), so many right.
    p:
        Of the hypothesis that the true share is below the floor.
    shown:
        The highest share that the samples show at DELTA.
    """

    measure: str
    name: str
    least: float
    right: int
    count: int
    p: float
    shown: float

    @classmethod
    def of(cls, floor: ClassFloor, served: NDArray[np.integer], truth: NDArray[np.integer], label: int) -> Counted:
        """Of the labels served, -1 for none, and the true ones."""
        asked = (truth if floor.measure == "recall" else served) == label
        count, right = int(asked.sum()), int((asked & (served == truth)).sum())
        p, shown = p_value(right, count, floor.least), lower_bound(right, count)
        return cls(floor.measure, floor.name, floor.least, right, count, p, shown)

    @property
    def kept(self) -> bool:
        """Is the floor shown to be kept."""
        return self.p <= DELTA

    def line(self) -> str:
        """In words."""
        share = f"{100 * self.right / self.count:.1f} %" if self.count else "none"
        return (
            f"{self.measure} of {self.name}: {self.right} of {self.count} ({share}), {100 * self.shown:.1f} % or more "
            f"with {100 * (1 - DELTA):g} % confidence, floor {100 * self.least:g} %"
        )


def check_class_floors(options: TrainOptions) -> None:
    """Refuse floors that make no sense beside the other options, before any work.

    Raises
    ------
    OptionError
        A guarantee is asked for too, or a class has two floors of one measure.
    """
    floors = options.class_floors
    if floors and options.guarantee is not None:
        raise OptionError(
            "a guarantee and a floor on a class exclude each other", given=f"{options.guarantee.text} and {floors[0]}",
            do="leave one of them out: each chooses the operating point",
        )  # fmt: skip
    named = [(floor.measure, floor.name) for floor in floors]
    for measure, name in named:
        if named.count((measure, name)) > 1:
            raise OptionError(f"a class must have one min-{measure}", given=name, do="leave all but one out")


def count_floors(floors: Sequence[ClassFloor], tables: Tables, served: NDArray[np.integer]) -> tuple[Counted, ...]:
    """Every floor on the samples of a profile; `served` are labels, -1 for none.

    Raises
    ------
    OptionError
        The answers are no labels, or a class is unknown.
    """
    if not tables.label_names:
        raise OptionError("answers that are no labels have no classes", given=floors[0], do="leave --min-recall out")
    return tuple(Counted.of(floor, served, tables.truth, floor.label(tables.label_names)) for floor in floors)


def train_with_class_floors(tables: Tables, options: TrainOptions, trainer: Trainer) -> Trained:
    """Train a policy and choose its operating point so that every floor on a class is shown to be kept.

    Raises
    ------
    OptionError
        The answers are no labels, or a class is unknown.
    GuaranteeError
        The samples of a class are too few to know, or no operating point keeps its floor.

    Notes
    -----
    A class is what the answer served states first, also where an answer counts as right within five labels. An
    abstention is no answer with any class: it lowers recall, and does not touch precision. What is served is the policy
    that was tested; it is not fitted again on all samples.
    """
    floors = options.class_floors
    shuffled = np.random.default_rng(options.seed).permutation(len(tables))
    half = len(tables) // HALVES
    fitted, calibration = tables.take(np.sort(shuffled[:half])), tables.take(np.sort(shuffled[half:]))
    perfect = count_floors(floors, calibration, calibration.truth)
    for floor, counted in zip(floors, perfect, strict=True):
        if counted.count < floor.least_count:
            raise _too_few(floor, counted.count, "samples of it")
    trained = trainer.fit(fitted, options)
    tested: list[tuple[float | None, tuple[Counted, ...]]] = []
    passed: tuple[float | None, Policy] | None = None
    for weight, policy in _points(trained.policy, fitted, options, trainer):
        found = count_floors(floors, calibration, _labels(policy, calibration))
        tested.append((weight, found))
        if not all(one.kept for one in found):
            break
        passed = weight, policy
    if passed is None:
        raise _missed(tested[0][1], floors, trainer, trained.policy)
    kept = tested[-1] if all(one.kept for one in tested[-1][1]) else tested[-2]
    record = ClassFloorsRecord(kept[1], kept[0], len(tested), half, len(calibration), trained.record)
    return Trained(passed[1], record)


def _points(
    policy: Policy, fitted: Tables, options: TrainOptions, trainer: Trainer
) -> Iterator[tuple[float | None, Policy]]:
    """Operating points from the dearest to the policy's own, whose weight is None; fixed by the fitted half alone."""
    if trainer.has_operating_points and policy.fixed_candidate is None:
        ceiling_ms, own_ms = options.objective.max_latency_ms, float(simulate(policy, fitted).latency_ms.mean())
        for weight in weights_to_test(float(fitted.end_to_end_ms().max()))[::STRIDE].tolist():
            at = policy.at_cost_weight(weight)
            latency_ms = float(simulate(at, fitted).latency_ms.mean())
            if latency_ms <= own_ms:
                break
            if ceiling_ms is None or latency_ms <= ceiling_ms:
                yield weight, at
    yield None, policy


def _labels(policy: Policy, tables: Tables) -> NDArray[np.int32]:
    served = simulate(policy, tables)
    return np.where(served.abstained, -1, served.labels[:, 0])


def _too_few(floor: ClassFloor, count: int, of_what: str) -> GuaranteeError:
    least = floor.least_count
    return GuaranteeError(
        f"{floor} cannot be known",
        given=f"{count} {of_what} to test on, half of those profiled",
        allowed=f"{least} or more where all are right, {HALVES * least} in all",
        do=f"profile more of {floor.name}, or ask for less",
    )


def _missed(found: Sequence[Counted], floors: Sequence[ClassFloor], trainer: Trainer, policy: Policy) -> GuaranteeError:
    """What the first point tested misses: too few answers with the class, or too few that are right."""
    floor, counted = next((floor, one) for floor, one in zip(floors, found, strict=True) if not one.kept)
    if counted.count < floor.least_count:
        return _too_few(floor, counted.count, "answers with it")
    alone = policy.fixed_candidate is not None and trainer.chooses
    return GuaranteeError(
        f"{floor} is not kept by policy {policy.kind}",
        given=f"{counted.right} of {counted.count} at its most accurate point, p = {counted.p:.3f}",
        allowed=f"p of {DELTA:g} or less; these samples show {100 * counted.shown:.1f} %",
        do="name a policy that may run several, such as --policy cascade-routing, or ask for less"
        if alone
        else f"profile more of {floor.name}, add a candidate that is better at it, or ask for less",
    )


@dataclass(frozen=True, eq=False)
class ClassFloorsRecord(TrainingRecord):
    """A policy at the last operating point that kept every floor on a class.

    Attributes
    ----------
    floors:
        What was counted there.
    cost_weight:
        Of the point; None for the one that the objective chose.
    tested:
        How many points were tested.
    fitted_samples, calibration_samples:
        That the policy was fitted on, and that it was tested on.
    inner:
        The record of the policy.
    """

    floors: tuple[Counted, ...]
    cost_weight: float | None
    tested: int
    fitted_samples: int
    calibration_samples: int
    inner: TrainingRecord

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        point = (
            "the point of the objective" if self.cost_weight is None else f"cost weight {self.cost_weight:.6g} per ms"
        )
        return [
            f"floors of classes are kept; {CAVEAT}",
            *(f"  {one.line()}" for one in self.floors),
            f"  at {point}, tested on n = {self.calibration_samples} samples used for nothing else; {self.tested} "
            "points from dear to cheap, up to the first that fails",
            CALLS,
            f"fitted on the other {self.fitted_samples} samples"
            + (":" if self.cost_weight is None else "; a cost weight named below is not the one served:"),
            *self.inner.lines(),
        ]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        kept = {
            "floors": plain(self.floors),
            "confidence": 1 - DELTA,
            "cost_weight": self.cost_weight,
            "tested_points": self.tested,
            "calibration_samples": self.calibration_samples,
            "fitted_samples": self.fitted_samples,
            "caveat": CAVEAT,
        }
        return {**self.inner.to_json(), "class_floors": kept}
