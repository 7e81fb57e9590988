"""A guarantee on the loss of accuracy: `loss<=1pt@95%`, by learn-then-test on samples used for nothing else.

The policy is fitted on one half of the samples. On the other half its points of operation are tested one after the
other, from safe to cheap; the cheapest that passes, all before it having passed, is served.

Source: Angelopoulos, Bates, Candes, Jordan and Lei, "Learn then test: calibrating predictive algorithms to achieve risk
control", 2021, section 2.3 (fixed-sequence testing). The test is a bet on bounded means: Waudby-Smith and Ramdas,
"Estimating means of bounded random variables by betting", 2024, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.base import CallOptions, Policy
from premodel.runtime.policies.select import Select
from premodel.runtime.policies.stopping import StoppingPolicy
from premodel.training.folds import stratified_folds
from premodel.training.options import Guarantee, Trained, TrainOptions, plain
from premodel.training.simulate import Simulation, simulate
from premodel.training.tables import Tables, top_n

PARTS = 2
"""One part of the samples in so many is for calibration."""
BETS = 20
LEAST_BET, MOST_BET = 0.01, 0.95
"""Sizes of the bets, as shares of the largest at which no single sample can cost everything."""
POINTS = 36
LOWEST, HIGHEST = 0.004, 4.0
"""Of the grid: accuracy that one latency of the best single candidate is worth; a weight of 0 comes before it."""
MOST_NEEDED = 10_000_000
CAVEAT = "it holds for inputs that are exchangeable with the profile's samples, on average over them, and for no others"

Trainer = Callable[[Tables, TrainOptions], Trained]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tested:
    """One point of operation on the calibration samples.

    Attributes
    ----------
    cost_weight:
        Accuracy that one ms is worth there.
    losses, gains:
        Samples on which only the reference is right, and on which only the premodel is.
    latency_ms:
        Mean, end to end.
    p:
        Of the hypothesis that the loss of accuracy is above what is allowed.
    """

    cost_weight: float
    losses: int
    gains: int
    latency_ms: float
    p: float


def loss_p_value(losses: int, gains: int, n: int, epsilon: float) -> float:
    """p-value of "the expected loss of accuracy is epsilon or more", valid for every n.

    Parameters
    ----------
    losses, gains:
        Of n independent samples, those on which only the reference is right, and only the premodel.
    epsilon:
        Loss allowed, a share.

    Notes
    -----
    With the loss z of a sample in {-1, 0, 1}, a bet of b multiplies the wealth by 1 + b (epsilon - z), whose
    expectation is at most 1 if the expected loss is epsilon or more. The wealth after n samples is the mean over 20
    fixed sizes of the bet, so by Markov's inequality the chance that it reaches 1 / p is at most p. Fixed sizes
    instead of the source's predictable ones make the result independent of the order of the samples. Unlike
    Hoeffding's bound it makes use of a small share of samples on which the two differ.
    """
    bets = np.geomspace(LEAST_BET, MOST_BET, BETS) / (1 - epsilon)
    same = n - losses - gains
    wealth_log = losses * np.log1p(bets * (epsilon - 1)) + same * np.log1p(bets * epsilon)
    wealth_log += gains * np.log1p(bets * (epsilon + 1))
    top = float(wealth_log.max())
    mean_log = top + math.log(float(np.exp(wealth_log - top).mean()))
    return math.exp(-max(0.0, mean_log))


def certified(losses: Sequence[int], gains: Sequence[int], n: int, epsilon: float, delta: float) -> int:
    """How many points pass one after the other, from the first, each tested at delta: fixed-sequence testing.

    Parameters
    ----------
    losses, gains:
        Of each point, in the order fixed before the calibration samples were looked at.
    """
    count = 0
    for lost, gained in zip(losses, gains, strict=True):
        if loss_p_value(lost, gained, n, epsilon) > delta:
            break
        count += 1
    return count


def samples_needed(losses: int, gains: int, n: int, epsilon: float, delta: float) -> int | None:
    """About how many calibration samples would do, were the shares of losses and gains those measured.

    None if none would: the loss measured is not below epsilon.
    """
    if n == 0 or (losses - gains) / n >= epsilon:
        return None
    low, high = n, MOST_NEEDED
    if loss_p_value(round(losses * high / n), round(gains * high / n), high, epsilon) > delta:
        return None
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        if loss_p_value(round(losses * middle / n), round(gains * middle / n), middle, epsilon) > delta:
            low = middle
        else:
            high = middle
    return high


def train_guaranteed(tables: Tables, options: TrainOptions, guarantee: Guarantee, trainer: Trainer) -> Trained:
    """Train a policy and choose its point of operation so that the guarantee holds.

    Parameters
    ----------
    tables:
        The profile; half of it is kept for calibration.
    options:
        The guarantee chooses the point: floor, ceiling of latency and cost weight are refused.
    trainer:
        Of the policy.

    Raises
    ------
    OptionError
        The policy has no points to choose among, an option contradicts the guarantee, or no point passes: the message
        says how many samples would do.

    Notes
    -----
    The reference, the best single candidate, is chosen on the samples that the policy is fitted on. What is served is
    the policy that was tested; it is not fitted again on all samples.
    """
    _refuse(options)
    correct = tables.correct(options.criterion)
    if len(tables) < 2 * PARTS:
        raise OptionError("too few samples for a guarantee", given=len(tables), do="profile more images")
    fold = stratified_folds(tables.truth, correct.sum(axis=1), PARTS, options.seed)[0]
    fitted, calibration = tables.take(fold.train), tables.take(fold.test)
    accuracy = fitted.correct(options.criterion).mean(axis=0)
    reference = int(np.lexsort((tables.latency_ms, -accuracy))[0])
    trained = trainer(fitted, replace(options, guarantee=None))
    at_cost_weight(trained.policy, 0.0)  # a policy without points is refused for that, and not for what it serves
    tested = serve_points(
        trained.policy,
        calibration,
        calibration.correct(options.criterion)[:, reference],
        top_n(options.criterion, len(tables.label_names)),
        weight_grid(float(tables.end_to_end_ms()[reference])),
        guarantee,
    )
    passed = [point for point in tested if point.p <= guarantee.delta]
    if not passed:
        raise _too_few(tested[0], len(calibration), guarantee, tables.candidates[reference])
    return _certified(
        trained, passed[-1], tested, guarantee, tables.candidates[reference], len(fitted), len(calibration)
    )


def weight_grid(base_ms: float) -> Floats:
    """Cost weights to be tested, rising: 0, then a geometric grid; `base_ms` is the reference's latency."""
    return np.array([0.0, *np.geomspace(LOWEST, HIGHEST, POINTS)]) / base_ms


def serve_points(
    policy: Policy,
    calibration: Tables,
    reference_right: NDArray[np.bool_],
    top: int,
    cost_weight: Floats,
    guarantee: Guarantee,
) -> list[Tested]:
    """Test points one after the other, up to the first that fails, which is the last of the list."""
    found: list[Tested] = []
    for weight in cost_weight.tolist():
        served = simulate(policy, calibration, CallOptions(cost_weight=weight))
        right = _right(served, calibration, top)
        losses = int(np.count_nonzero(reference_right & ~right))
        gains = int(np.count_nonzero(right & ~reference_right))
        p = loss_p_value(losses, gains, len(calibration), guarantee.epsilon)
        found.append(Tested(weight, losses, gains, float(served.latency_ms.mean()), p))
        if p > guarantee.delta:
            break
    return found


def at_cost_weight(policy: Policy, cost_weight: float) -> Policy:
    """The same policy with another trained point: what a call with that cost weight serves.

    Raises
    ------
    OptionError
        The policy has no points to choose among.
    """
    if isinstance(policy, StoppingPolicy):
        weights = np.maximum(policy.parts.cost_weight, 1e-12)
        point = int(np.abs(np.log(weights) - math.log(max(cost_weight, 1e-12))).argmin())
        return type(policy).from_parts({**policy.settings(), "point": point}, policy.arrays())
    if isinstance(policy, Select) and policy.rule == "utility":
        return Select.from_parts({**policy.settings(), "cost_weight": cost_weight}, policy.arrays())
    raise OptionError(
        f"policy {policy.kind} has no points of operation to give a guarantee for",
        do="use --policy cascade-routing, cascade or select",
    )


def _right(served: Simulation, tables: Tables, top: int) -> NDArray[np.bool_]:
    said: NDArray[np.bool_] = (served.labels[:, :top] == tables.truth[:, None]).any(axis=1)
    return said & ~served.abstained


def _refuse(options: TrainOptions) -> None:
    chosen = "the guarantee chooses the point of operation"
    options.refuse(cost_weight=chosen, max_latency_ms=chosen)
    floor = options.objective.min_accuracy
    if floor is not None and floor.text != "best":
        raise OptionError("a guarantee and a floor of accuracy contradict each other", given=floor.text, do=chosen)


def _too_few(first: Tested, n: int, guarantee: Guarantee, reference: str) -> OptionError:
    """What is missing for the guarantee, by what the safest point did."""
    points = 100 * (first.gains - first.losses) / n
    needed = samples_needed(first.losses, first.gains, n, guarantee.epsilon, guarantee.delta)
    if needed is None:
        do = "by these figures no number of samples would do: ask for less, or use --policy single"
    else:
        do = f"about {PARTS * needed} samples in all would do by these figures; ask for less, or use --policy single"
    return OptionError(
        f"the guarantee {guarantee.text} cannot be given",
        given=f"{n} calibration samples, {PARTS * n} in all; the safest point has {points:+.2f} points to {reference}, "
        f"p = {first.p:.3f}",
        allowed=f"p of {guarantee.delta:g} or less",
        do=do,
    )


def _certified(
    trained: Trained,
    point: Tested,
    tested: list[Tested],
    guarantee: Guarantee,
    reference: str,
    n_fitted: int,
    n: int,
) -> Trained:
    """The policy at its certified point, with what is promised and on what grounds."""
    policy = at_cost_weight(trained.policy, point.cost_weight)
    points = "point" if guarantee.epsilon == 0.01 else "points"
    promise = (
        f"with {100 * (1 - guarantee.delta):g} % confidence at most {100 * guarantee.epsilon:g} {points} of accuracy "
        f"below {reference}"
    )
    counted = f"right alone on {point.gains}, wrong alone on {point.losses} of them"
    lines = (
        f"guarantee: {promise}; {CAVEAT}",
        f"  tested on n = {n} calibration samples used for nothing else (fitted on the other {n_fitted}), delta = "
        f"{guarantee.delta:g}; {len(tested)} points from safe to cheap, each at delta, up to the first that fails",
        f"  serves cost weight {point.cost_weight:.6g} per ms: {counted} "
        f"({100 * (point.gains - point.losses) / n:+.2f} points), p = {point.p:.4f}, at {point.latency_ms:.3f} ms",
    )
    evidence: dict[str, Any] = {
        "text": guarantee.text,
        "promise": promise,
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
    return Trained(policy, (*trained.account, *lines), {**trained.evidence, "guarantee": evidence})
