"""A guarantee on the loss of accuracy: `loss<=1pt@95%`, by learn-then-test on samples used for nothing else.

The policy is fitted on one half of the samples. On the other half its operating points are tested one after the
other, from safe to cheap; the cheapest that passes, all before it having passed, is served. Where the reference, the
best single candidate, answers alone, nothing can be lost and nothing is tested.

Source: Angelopoulos, Bates, Candes, Jordan and Lei, "Learn then test: calibrating predictive algorithms to achieve risk
control", 2021, section 2.3 (fixed-sequence testing). The test is the one of `non_inferiority`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.base import CallOptions, Policy
from premodel.stats import best_single
from premodel.training.ceilings import within_ceilings
from premodel.training.non_inferiority import (
    MISS_PROBABILITY,
    least_samples,
    loss_is_above,
    loss_p_value,
    samples_needed,
)
from premodel.training.objective import Objective
from premodel.training.operating_point import weight_grid
from premodel.training.options import Guarantee, TrainOptions
from premodel.training.policies import single
from premodel.training.policies.comparison import AutoRecord
from premodel.training.record import Trained, TrainingRecord, plain
from premodel.training.simulate import Simulation, simulate
from premodel.training.tables import Tables, top_n
from premodel.training.trainer import Trainer

HALVES = 2
"""One part of the samples in so many is for calibration."""
CAVEAT = "it holds on average for inputs from the same source as the profile's samples (exchangeable), and no others"
CALLS = "  a call with a budget or a cost weight of its own leaves this point, and nothing is promised for its answer"

Floats = NDArray[np.float64]


class GuaranteeError(OptionError):
    """The samples do not allow what was to be guaranteed; `reference_alone` can be served instead, without it."""


@dataclass(frozen=True)
class GuaranteedObjective(Objective):
    """The objective of a premodel with a guarantee: `guarantee`, as the user wrote it, chooses the point served."""

    guarantee: str = ""

    def describe(self) -> str:
        """The objective in words."""
        return f"guarantee {self.guarantee}, fitted for {super().describe()}"

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable, for the bundle: the guarantee takes the place of the floor."""
        return {**super().to_json(), "min_accuracy": None, "guarantee": self.guarantee}


@dataclass(frozen=True)
class Measured:
    """One operating point on the calibration samples.

    Attributes
    ----------
    cost_weight:
        Accuracy that one ms is worth there.
    losses, gains:
        Samples on which only the reference is right, and on which only the premodel is.
    latency_ms:
        Mean, end to end.
    """

    cost_weight: float
    losses: int
    gains: int
    latency_ms: float


@dataclass(frozen=True)
class Tested(Measured):
    """A point that was tested; `p` is of the hypothesis that the loss of accuracy is as much as allowed or more."""

    p: float


def certified(points: Iterable[Measured], n: int, guarantee: Guarantee) -> tuple[int, list[Tested]]:
    """How many points pass one after the other, from the first, each tested at delta: fixed-sequence testing.

    Parameters
    ----------
    points:
        In the order fixed before the calibration samples were looked at. None is asked for after one that fails.
    n:
        Calibration samples.

    Returns
    -------
    How many passed, and all that were tested: those that passed, and the one that failed, if any did.
    """
    tested: list[Tested] = []
    for point in points:
        p = loss_p_value(point.losses, point.gains, n, guarantee.epsilon)
        tested.append(Tested(**asdict(point), p=p))
        if p > guarantee.delta:
            return len(tested) - 1, tested
    return len(tested), tested


def check_guarantee(options: TrainOptions, trainer: Trainer) -> None:
    """Refuse a guarantee that makes no sense, before any work.

    Raises
    ------
    OptionError
        The policy has no points to choose among, an option contradicts the guarantee, or it is of too much confidence.
    """
    guarantee, objective = options.guarantee, options.objective
    if guarantee is None:
        return
    if not trainer.has_operating_points:
        raise OptionError(
            f"policy {trainer.name} has no operating points to give a guarantee for",
            given=guarantee.text,
            allowed="a policy that can be served at several cost weights, or one candidate alone",
        )
    floor = None if objective.min_accuracy is None or objective.min_accuracy.text == "best" else objective.min_accuracy
    for name, value in (
        ("max-latency-ms", objective.max_latency_ms),
        ("cost-weight", objective.cost_weight),
        ("deadline-ms", objective.deadline_ms),
        ("min-accuracy", None if floor is None else floor.text),
    ):
        if value is not None:
            raise OptionError(
                f"a guarantee and {name} exclude each other",
                given=f"{guarantee.text} and {value}",
                do="leave one of them out: the guarantee chooses the operating point",
            )
    if guarantee.delta <= 2 * MISS_PROBABILITY:
        raise OptionError("guarantee of more confidence than is tested", given=guarantee.text, allowed="99.999 %")


def state_guarantee(options: TrainOptions) -> TrainOptions:
    """The same options with the guarantee, if there is one, in their objective: what a bundle and its summary say."""
    if options.guarantee is None:
        return options
    wanted = {entry.name: getattr(options.objective, entry.name) for entry in fields(Objective)}
    return replace(options, objective=GuaranteedObjective(**wanted, guarantee=options.guarantee.text))


def train_guaranteed(tables: Tables, options: TrainOptions, guarantee: Guarantee, trainer: Trainer) -> Trained:
    """Train a policy and choose its operating point so that the guarantee holds.

    Parameters
    ----------
    tables:
        The profile; half of it is kept for calibration, unless the policy is one candidate alone.
    options:
        The guarantee chooses the point: floor, ceiling of latency and cost weight are refused.
    trainer:
        Of the policy.

    Raises
    ------
    GuaranteeError
        No point passes: the message states how many samples would do.

    Notes
    -----
    The reference, the best single candidate, is chosen on the samples that the policy is fitted on. What is served is
    the policy that was tested; it is not fitted again on all samples. The halves are drawn at random and not
    stratified, so that the calibration samples are independent of those that the policy was fitted on.

    One candidate alone is the reference itself, chosen on all samples.
    """
    options = state_guarantee(options)
    if not trainer.chooses:
        return _by_construction(trainer.fit(tables, options), None, guarantee)
    if len(tables) < 2 * HALVES:
        raise GuaranteeError("too few samples for a guarantee", given=len(tables), do="profile more images")
    shuffled = np.random.default_rng(options.seed).permutation(len(tables))
    half = len(tables) // HALVES
    fitted, calibration = tables.take(np.sort(shuffled[:half])), tables.take(np.sort(shuffled[half:]))
    accuracy = fitted.correct(options.criterion).mean(axis=0)
    reference = best_single(accuracy, tables.latency_ms)
    trained = trainer.fit(fitted, options)
    if trained.policy.fixed_candidate is not None:
        how = trained.record if isinstance(trained.record, AutoRecord) else None
        return _by_construction(reference_alone(tables, options), how, guarantee)
    passed, tested = certified(
        serve_points(
            trained.policy,
            calibration,
            calibration.correct(options.criterion)[:, reference],
            top_n(options.criterion, len(tables.label_names)),
            weights_to_test(float(tables.end_to_end_ms()[reference])),
        ),
        len(calibration),
        guarantee,
    )
    name = tables.candidates[reference]
    if not passed:
        raise _too_few(tested[0], len(calibration), guarantee, name)
    point = tested[passed - 1]
    record = GuaranteedRecord(guarantee, name, point, tuple(tested), half, len(calibration), trained.record)
    return Trained(trained.policy.at_cost_weight(point.cost_weight), record)


def reference_alone(tables: Tables, options: TrainOptions) -> Trained:
    """The single candidate that meets the objective, for whom nothing can be lost: served where no guarantee is given.

    Raises
    ------
    OptionError
        No candidate meets the objective or keeps its ceilings.
    """
    alone = replace(
        options, policy=single.TRAINER.name, guarantee=None, class_floors=(), technique=None, labels=None, fallback=None
    )
    return single.TRAINER.fit(within_ceilings(tables, options.objective), alone)


def weights_to_test(base_ms: float) -> Floats:
    """Cost weights to be tested, rising: those of training but the last, at which latency alone counts.

    Parameters
    ----------
    base_ms:
        The reference's latency, end to end.
    """
    return weight_grid(base_ms, None)[:-1]


def serve_points(
    policy: Policy, tables: Tables, reference_right: NDArray[np.bool_], top: int, cost_weight: Floats
) -> Iterator[Measured]:
    """Serve the samples at one cost weight after the other, each when it is asked for."""
    for weight in cost_weight.tolist():
        served = simulate(policy, tables, CallOptions(cost_weight=weight))
        right = _right(served, tables, top)
        losses = int(np.count_nonzero(reference_right & ~right))
        gains = int(np.count_nonzero(right & ~reference_right))
        yield Measured(weight, losses, gains, float(served.latency_ms.mean()))


def _right(served: Simulation, tables: Tables, top: int) -> NDArray[np.bool_]:
    said: NDArray[np.bool_] = (served.labels[:, :top] == tables.truth[:, None]).any(axis=1)
    return said & ~served.abstained


def _too_few(first: Tested, n: int, guarantee: Guarantee, reference: str) -> GuaranteeError:
    """What is missing for the guarantee, by what the safest point did."""
    epsilon, delta = guarantee.epsilon, guarantee.delta
    points = 100 * (first.gains - first.losses) / n
    needed = samples_needed(first.losses, first.gains, n, epsilon, delta)
    if loss_is_above(first.losses, first.gains, n, epsilon, delta):
        more = "by these figures no number of samples would do"
    elif needed is None:
        more = "these figures are too uncertain to say how many samples would do"
    else:
        more = f"about {HALVES * needed} samples in all would do by these figures"
    least = HALVES * least_samples(epsilon, delta)
    return GuaranteeError(
        f"the guarantee {guarantee.text} cannot be given",
        given=f"{n} calibration samples, {HALVES * n} in all; the safest point has {points:+.2f} points to {reference} "
        f"({first.losses} lost, {first.gains} gained), p = {first.p:.3f}",
        allowed=f"p of {delta:g} or less, for which it takes {least} samples in all where no answer differs",
        do=f"{more}; ask for less, or use --policy single, which loses nothing",
    )


def _by_construction(trained: Trained, how: AutoRecord | None, guarantee: Guarantee) -> Trained:
    """One candidate alone, the reference itself; `how` states by what comparison it came to that."""
    return Trained(trained.policy, AloneRecord(guarantee, trained.policy.candidates[0], trained.record, how))


@dataclass(frozen=True, eq=False)
class AloneRecord(TrainingRecord):
    """A guarantee that holds by construction: the reference itself answers every input.

    Attributes
    ----------
    guarantee, reference:
        What was asked for, and the name of the reference.
    inner:
        Its own record.
    how:
        The comparison, on half of the samples, that no policy won; None where one candidate alone was asked for.
    """

    guarantee: Guarantee
    reference: str
    inner: TrainingRecord
    how: AutoRecord | None

    @property
    def promise(self) -> str:
        """In words."""
        return f"no loss of accuracy to {self.reference}, whose own answers are served"

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        text = self.guarantee.text
        how = [] if self.how is None else ["how it came to that, by half of the samples:", *self.how.comparison()]
        return [
            f"guarantee: {self.promise}: {text} holds by construction, and nothing was tested",
            f"  it states nothing about how accurate {self.reference} is on other inputs, nor whether it is the best "
            "candidate there; where it fails another one answers",
            CALLS,
            *self.inner.lines(),
            *how,
        ]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        promised = {
            "text": self.guarantee.text,
            "promise": self.promise,
            "by_construction": True,
            "epsilon": self.guarantee.epsilon,
            "delta": self.guarantee.delta,
            "reference": self.reference,
        }
        how = {} if self.how is None else self.how.to_json()
        return {**how, **self.inner.to_json(), "guarantee": promised}


@dataclass(frozen=True, eq=False)
class GuaranteedRecord(TrainingRecord):
    """A policy at the last operating point that passed, with what is promised and on what grounds.

    Attributes
    ----------
    guarantee, reference:
        What was asked for, and the name of the reference.
    point, tested:
        The point served, and all that were tested.
    fitted_samples, calibration_samples:
        That the policy was fitted on, and that it was tested on.
    inner:
        The record of the policy.
    """

    guarantee: Guarantee
    reference: str
    point: Tested
    tested: tuple[Tested, ...]
    fitted_samples: int
    calibration_samples: int
    inner: TrainingRecord

    @property
    def promise(self) -> str:
        """In words."""
        epsilon, delta = self.guarantee.epsilon, self.guarantee.delta
        points = "point" if epsilon == 0.01 else "points"
        return (
            f"with {100 * (1 - delta):g} % confidence at most {100 * epsilon:g} {points} of accuracy below "
            f"{self.reference}"
        )

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        point, n = self.point, self.calibration_samples
        counted = f"right alone on {point.gains}, wrong alone on {point.losses} of them"
        return [
            f"guarantee: {self.promise}; {CAVEAT}",
            f"  serves cost weight {point.cost_weight:.6g} per ms at {point.latency_ms:.3f} ms: {counted} "
            f"({100 * (point.gains - point.losses) / n:+.2f} points), p = {point.p:.4f}",
            f"  tested on n = {n} calibration samples used for nothing else, delta = {self.guarantee.delta:g}; "
            f"{len(self.tested)} points from safe to cheap, each at delta, up to the first that fails",
            CALLS,
            f"fitted on the other {self.fitted_samples} samples; a cost weight named below is not the one served:",
            *self.inner.lines(),
        ]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        promised: dict[str, Any] = {
            "text": self.guarantee.text,
            "promise": self.promise,
            "by_construction": False,
            "caveat": CAVEAT,
            "epsilon": self.guarantee.epsilon,
            "delta": self.guarantee.delta,
            "reference": self.reference,
            "calibration_samples": self.calibration_samples,
            "fitted_samples": self.fitted_samples,
            "cost_weight": self.point.cost_weight,
            # Latencies hold measured decisions, and equal training must give an equal bundle.
            "tested": [{k: v for k, v in plain(one).items() if k != "latency_ms"} for one in self.tested],
        }
        return {**self.inner.to_json(), "guarantee": promised}
