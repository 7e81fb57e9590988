"""A guarantee on the loss of accuracy: `loss<=1pt@95%`, by learn-then-test on samples used for nothing else.

The policy is fitted on one half of the samples. On the other half its operating points are tested one after the
other, from safe to cheap; the cheapest that passes, all before it having passed, is served. Where the reference, the
best single candidate, answers alone, nothing can be lost and nothing is tested.

Source: Angelopoulos, Bates, Candes, Jordan and Lei, "Learn then test: calibrating predictive algorithms to achieve risk
control", 2021, section 2.3 (fixed-sequence testing). The test is the one of `non_inferiority`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.base import CallOptions, Policy
from premodel.runtime.policies.select import Select
from premodel.runtime.policies.single import Single
from premodel.runtime.policies.stopping import StoppingPolicy
from premodel.stats import best_single
from premodel.training.non_inferiority import (
    DOUBT,
    least_samples,
    loss_is_above,
    loss_p_value,
    samples_needed,
)
from premodel.training.objective import Objective
from premodel.training.operating_point import weight_grid
from premodel.training.options import Guarantee, Trained, TrainOptions, plain
from premodel.training.policies.single import train as train_single
from premodel.training.simulate import Simulation, simulate
from premodel.training.tables import Tables, top_n

PARTS = 2
"""One part of the samples in so many is for calibration."""
SINGLE = "single"
WITHOUT_POINTS = ("paper",)
"""Policies without operating points to choose among."""
GUARANTEED = ("auto", SINGLE, "select", "cascade", "cascade-routing")
CAVEAT = "it holds for inputs that are exchangeable with the profile's samples, on average over them, and for no others"
CALLS = "  a call with a budget or a cost weight of its own leaves this point, and nothing is promised for its answer"

Trainer = Callable[[Tables, TrainOptions], Trained]
Floats = NDArray[np.float64]


class GuaranteeError(OptionError):
    """The samples do not allow the guarantee that was asked for.

    Attributes
    ----------
    alone:
        The reference alone, for whom nothing can be lost: what may be served instead.
    """

    def __init__(self, what: str, *, alone: Policy | None = None, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.alone = alone


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


def check_guarantee(options: TrainOptions) -> None:
    """Refuse a guarantee that makes no sense, before any work.

    Raises
    ------
    OptionError
        The policy has no points to choose among, an option contradicts the guarantee, or it is of too much confidence.
    """
    guarantee, objective = options.guarantee, options.objective
    if guarantee is None:
        return
    if options.policy in WITHOUT_POINTS:
        raise OptionError(
            f"policy {options.policy} has no operating points to give a guarantee for",
            given=guarantee.text,
            allowed=f"policies {', '.join(GUARANTEED)}",
        )
    floor = None if objective.min_accuracy is None or objective.min_accuracy.text == "best" else objective.min_accuracy
    for name, value in (
        ("max-latency-ms", objective.max_latency_ms),
        ("cost-weight", objective.cost_weight),
        ("min-accuracy", None if floor is None else floor.text),
    ):
        if value is not None:
            raise OptionError(
                f"a guarantee and {name} exclude each other",
                given=f"{guarantee.text} and {value}",
                do="leave one of them out: the guarantee chooses the operating point",
            )
    if guarantee.delta <= 2 * DOUBT:
        raise OptionError("guarantee of more confidence than is tested", given=guarantee.text, allowed="99.999 %")


def state_guarantee(options: TrainOptions) -> TrainOptions:
    """The same options with the guarantee, if there is one, in their objective: what a bundle and its account say."""
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
    OptionError
        See `check_guarantee`.
    GuaranteeError
        No point passes: the message says how many samples would do.

    Notes
    -----
    The reference, the best single candidate, is chosen on the samples that the policy is fitted on. What is served is
    the policy that was tested; it is not fitted again on all samples. The halves are drawn at random and not
    stratified, so that the calibration samples are independent of those that the policy was fitted on.

    One candidate alone is the reference itself, chosen on all samples.
    """
    check_guarantee(options)
    options = state_guarantee(options)
    if options.policy == SINGLE:
        return _by_construction(trainer(tables, options), (), {}, guarantee)
    if len(tables) < 2 * PARTS:
        raise GuaranteeError(
            "too few samples for a guarantee",
            alone=_alone(tables, options).policy,
            given=len(tables),
            do="profile more images",
        )
    shuffled = np.random.default_rng(options.seed).permutation(len(tables))
    half = len(tables) // PARTS
    fitted, calibration = tables.take(np.sort(shuffled[:half])), tables.take(np.sort(shuffled[half:]))
    accuracy = fitted.correct(options.criterion).mean(axis=0)
    reference = best_single(accuracy, tables.latency_ms)
    trained = trainer(fitted, options)
    if isinstance(trained.policy, Single):
        fewer = _alone(fitted, options).account  # what `_alone` says of all samples takes its place
        account = tuple(line for line in trained.account if line not in fewer)
        return _by_construction(_alone(tables, options), account, trained.evidence, guarantee)
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
        raise _too_few(tested[0], len(calibration), guarantee, name, _alone(tables, options).policy)
    return _certified(trained, passed, tested, guarantee, name, half, len(calibration))


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


def at_cost_weight(policy: Policy, cost_weight: float) -> Policy:
    """The same policy with another trained point: what a call with that cost weight serves."""
    if isinstance(policy, StoppingPolicy):
        weights = np.maximum(policy.parts.cost_weight, 1e-12)
        point = int(np.abs(np.log(weights) - math.log(max(cost_weight, 1e-12))).argmin())
        return type(policy).from_parts({**policy.settings(), "point": point}, policy.arrays())
    if isinstance(policy, Select) and policy.rule == "utility":
        return Select.from_parts({**policy.settings(), "cost_weight": cost_weight}, policy.arrays())
    raise TypeError(f"policy {policy.kind} has no operating points")


def _right(served: Simulation, tables: Tables, top: int) -> NDArray[np.bool_]:
    said: NDArray[np.bool_] = (served.labels[:, :top] == tables.truth[:, None]).any(axis=1)
    return said & ~served.abstained


def _alone(tables: Tables, options: TrainOptions) -> Trained:
    """The reference alone, chosen on all of these samples."""
    return train_single(tables, replace(options, policy=SINGLE, technique=None, labels=None, fallback=None))


def _too_few(first: Tested, n: int, guarantee: Guarantee, reference: str, alone: Policy) -> GuaranteeError:
    """What is missing for the guarantee, by what the safest point did."""
    epsilon, delta = guarantee.epsilon, guarantee.delta
    points = 100 * (first.gains - first.losses) / n
    needed = samples_needed(first.losses, first.gains, n, epsilon, delta)
    if loss_is_above(first.losses, first.gains, n, epsilon, delta):
        more = "by these figures no number of samples would do"
    elif needed is None:
        more = "these figures are too uncertain to say how many samples would do"
    else:
        more = f"about {PARTS * needed} samples in all would do by these figures"
    least = PARTS * least_samples(epsilon, delta)
    return GuaranteeError(
        f"the guarantee {guarantee.text} cannot be given",
        alone=alone,
        given=f"{n} calibration samples, {PARTS * n} in all; the safest point has {points:+.2f} points to {reference} "
        f"({first.losses} lost, {first.gains} gained), p = {first.p:.3f}",
        allowed=f"p of {delta:g} or less, for which it takes {least} samples in all where no answer differs",
        do=f"{more}; ask for less, or use --policy single, which loses nothing",
    )


def _by_construction(
    trained: Trained, account: tuple[str, ...], evidence: Mapping[str, Any], guarantee: Guarantee
) -> Trained:
    """One candidate alone, the reference itself; `account` and `evidence` say how it came to that."""
    reference = trained.policy.candidates[0]
    promise = f"no loss of accuracy to {reference}, whose own answers are served"
    lines = (
        f"guarantee: {promise}: {guarantee.text} holds by construction, and nothing was tested",
        f"  it says nothing of how accurate {reference} is on other inputs, nor whether it is the best candidate "
        "there; where it fails another one answers",
        CALLS,
        *trained.account,
    )
    promised = {
        "text": guarantee.text,
        "promise": promise,
        "by_construction": True,
        "epsilon": guarantee.epsilon,
        "delta": guarantee.delta,
        "reference": reference,
    }
    how = ("how it came to that, by half of the samples:", *account) if account else ()
    return Trained(trained.policy, (*lines, *how), {**evidence, **trained.evidence, "guarantee": promised})


def _certified(
    trained: Trained, passed: int, tested: list[Tested], guarantee: Guarantee, reference: str, n_fitted: int, n: int
) -> Trained:
    """The policy at the last point that passed, with what is promised and on what grounds."""
    point = tested[passed - 1]
    points = "point" if guarantee.epsilon == 0.01 else "points"
    promise = (
        f"with {100 * (1 - guarantee.delta):g} % confidence at most {100 * guarantee.epsilon:g} {points} of accuracy "
        f"below {reference}"
    )
    counted = f"right alone on {point.gains}, wrong alone on {point.losses} of them"
    lines = (
        f"guarantee: {promise}; {CAVEAT}",
        f"  serves cost weight {point.cost_weight:.6g} per ms at {point.latency_ms:.3f} ms: {counted} "
        f"({100 * (point.gains - point.losses) / n:+.2f} points), p = {point.p:.4f}",
        f"  tested on n = {n} calibration samples used for nothing else, delta = {guarantee.delta:g}; {len(tested)} "
        "points from safe to cheap, each at delta, up to the first that fails",
        CALLS,
        f"fitted on the other {n_fitted} samples; a cost weight named below is not the one served:",
    )
    evidence: dict[str, Any] = {
        "text": guarantee.text,
        "promise": promise,
        "by_construction": False,
        "caveat": CAVEAT,
        "epsilon": guarantee.epsilon,
        "delta": guarantee.delta,
        "reference": reference,
        "calibration_samples": n,
        "fitted_samples": n_fitted,
        "cost_weight": point.cost_weight,
        # Latencies hold measured decisions, and equal training must give an equal bundle.
        "tested": [{k: v for k, v in plain(one).items() if k != "latency_ms"} for one in tested],
    }
    policy = at_cost_weight(trained.policy, point.cost_weight)
    return Trained(policy, (*lines, *trained.account), {**trained.evidence, "guarantee": evidence})
