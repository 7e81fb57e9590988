"""A cascade adapted to records of what it is asked now: few labels set few parameters, all inputs set the thresholds.

What a cascade decides by is how sure the fused answer is, what running another candidate is worth then, and at which
cost weight. The inputs alone state how sure the candidates are of them now. Labels state how far that may be believed:
a calibration of two numbers, perhaps with an own intercept for each set of candidates, perhaps with new weights of
fusion. How many of these are fitted is decided by cross-validation on the labels. Continuation values and the operating
point are then computed anew, on all inputs, with the calibrated probability in the place of right or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.runtime.policies.stopping import StoppingPolicy
from premodel.training.calibration import Calibration, fit_calibration, logit, sigmoid
from premodel.training.log_scores import LogScoreTable, log_score_table
from premodel.training.objective import Objective
from premodel.training.operating_point import CrossFitted, OperatingPoint, choose_point
from premodel.training.policies.continuation_values import allowed_after, members_of, walk
from premodel.training.policies.fusion import weight_fit
from premodel.training.policies.stopping import SetFit, States, compute_states, solve_sets, stopping_components
from premodel.training.tables import Tables

FOLDS = 5
REPEATS = 4
"""Divisions into folds that the number of parameters is chosen by."""
RESAMPLED = 2_000
"""Rows that continuation values are computed on: records, each as often as its weight asks for."""
OWN_PRIOR = 20.0
SLOPE_PRIOR = 5.0
"""Labels by whose weight the slope is drawn toward that of before, and a set's intercept toward all sets'."""
ROBUST = 1e-3

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Level:
    """What labels set.

    Attributes
    ----------
    name:
        In words.
    intercept, slope, own, fusion:
        Of the calibration: its intercept, its slope, an intercept for each set; and the weights of fusion.
    """

    name: str
    intercept: bool = True
    slope: bool = True
    own: bool = False
    fusion: bool = False


LEVELS = (
    Level("nothing: only thresholds", intercept=False, slope=False),
    Level("one number: how often answers are right", slope=False),
    Level("two numbers: how often answers are right, and how far the candidates' confidence is to be believed"),
    Level("two numbers, and one for each set of candidates", own=True),
    Level("two numbers, one for each set of candidates, and the weights of their fusion", own=True, fusion=True),
)
"""Rising."""


@dataclass(frozen=True, eq=False)
class Records:
    """Records as arrays, for one policy.

    Attributes
    ----------
    table:
        Log scores of its candidates on n records; the truth of those that have no label is none.
    labelled:
        bool (n,).
    weight:
        (n,), what each record counts for the stream that it was sampled from.
    label_weight:
        (n,), the same of those that were labelled; 0 of the others.
    """

    table: LogScoreTable
    labelled: NDArray[np.bool_]
    weight: Floats
    label_weight: Floats

    @classmethod
    def of(
        cls,
        policy: StoppingPolicy,
        tables: Tables,
        criterion: Criterion,
        labelled: NDArray[np.bool_],
        weight: Floats,
        label_weight: Floats,
    ) -> Records:
        """Of a profile with the policy's candidates among its own."""
        columns = [tables.candidates.index(name) for name in policy.candidates]
        chosen = replace(tables.take_candidates(columns), latency_ms=np.array(policy.costs.latency_ms))
        return cls(log_score_table(chosen, criterion, policy.costs.before_ms), labelled, weight, label_weight)

    def without_labels(self, rows: Rows) -> Records:
        """The same as if these had no label."""
        labelled, weight = self.labelled.copy(), self.label_weight.copy()
        labelled[rows], weight[rows] = False, 0.0
        return replace(self, labelled=labelled, label_weight=weight)


@dataclass(frozen=True, eq=False)
class Recalibrated:
    """An adapted policy, and how it came about.

    Attributes
    ----------
    policy:
        Ready to decide.
    level:
        What the labels set.
    losses:
        Cross-validated log loss of each level, in nats per answer.
    point:
        The operating point, by the calibrated probabilities.
    reward:
        Intercept and slope of the calibration.
    """

    policy: StoppingPolicy
    level: Level
    losses: tuple[float, ...]
    point: OperatingPoint
    reward: tuple[float, float]


def recalibrate(
    policy: StoppingPolicy,
    records: Records,
    objective: Objective,
    reward: tuple[float, float],
    *,
    seed: int = 0,
    level: Level | None = None,
) -> Recalibrated:
    """Adapt a policy to records.

    Parameters
    ----------
    policy:
        As it was trained: its weights of fusion, sets, order and grid of cost weights stay, unless labels change the
        weights.
    objective:
        Chooses the operating point.
    reward:
        Intercept and slope that its training calibrated what all candidates together state of an answer with.
    level:
        What the labels set; None to choose it by cross-validation.
    """
    losses: tuple[float, ...] = ()
    if level is None:
        losses = tuple(cross_validated(policy, records, reward, one, seed) for one in LEVELS)
        level = LEVELS[int(np.argmin(losses))]
    fit = _fit(policy, records, reward, level)
    rows = resample(records.weight, RESAMPLED)
    table = records.table.take(rows)
    allowed = _allowed(policy)
    grid = policy.components.cost_weight
    components = stopping_components(table, fit, grid, allowed)
    point = _point(table, fit, grid, allowed, objective)
    adapted = type(policy)(
        policy.candidates,
        components,
        point=point.index,
        accuracy=_accuracy(policy, records, fit),
        costs=policy.costs,
        n_labels=policy.n_labels or 0,
        top_n=policy.top_n,
    )
    return Recalibrated(adapted, level, losses, point, (fit.reward.intercept, fit.reward.slope))


def resample(weight: Floats, most: int) -> Rows:
    """Rows, each as often as its share of the weight asks for: systematic sampling, which draws nothing at random."""
    count = max(most, len(weight)) if np.ptp(weight) > 0 else len(weight)
    places = (np.arange(count) + 0.5) / count * weight.sum()
    return np.asarray(np.minimum(np.searchsorted(np.cumsum(weight), places), len(weight) - 1), np.intp)


def folds_of(labelled: NDArray[np.bool_], count: int, seed: int) -> list[Rows]:
    """The labelled rows in so many parts, at random."""
    rows = np.flatnonzero(labelled)
    return [part for part in np.array_split(np.random.default_rng(seed).permutation(rows), count) if len(part)]


def cross_validated(
    policy: StoppingPolicy, records: Records, reward: tuple[float, float], level: Level, seed: int
) -> float:
    """Log loss of the probability of being right of every set's answer, on labels that it was not fitted on."""
    total = weight = 0.0
    for repeat in range(REPEATS):
        for held in folds_of(records.labelled, FOLDS, seed + repeat):
            fit = _fit(policy, records.without_labels(held), reward, level)
            states = fit.states(records.table.take(held))
            chance = np.clip(fit.rewards(states)[1:].astype(np.float64), ROBUST, 1 - ROBUST)
            right = states.right[1:]
            loss = -(right * np.log(chance) + ~right * np.log(1 - chance)).mean(axis=0)
            own = records.label_weight[held]
            total, weight = total + float(own @ loss), weight + float(own.sum())
    return total / max(weight, 1e-300)


def _fit(policy: StoppingPolicy, records: Records, reward: tuple[float, float], level: Level) -> SetFit:
    """Weights of fusion and both calibrations, from what is labelled."""
    rows = np.flatnonzero(records.labelled)
    learned, counts = policy.components, records.label_weight[rows]
    counts = counts / counts.mean() if len(rows) else counts
    table = records.table.take(rows)
    weights = learned.weights.astype(np.float64)
    if level.fusion and len(rows):
        repeated = table.take(resample(counts, len(rows)))
        weights = _fused_anew(weights, repeated)
    if not level.intercept or not len(rows):
        own = Calibration(learned.calibration[-1, 0], learned.calibration[-1, 1], _own(learned.calibration))
        return SetFit(weights, learned.member, Calibration(*reward, np.zeros(1)), own)
    states = compute_states(table, weights, learned.member)
    right, teacher, top = states.right[1:].T, states.teacher[1:].T, states.top_probability[1:].T
    strength = (1e-3, SLOPE_PRIOR if level.slope else 1e6)
    found = fit_calibration(
        teacher, right, own=OWN_PRIOR if level.own else None, weight=counts, toward=reward, ridge=strength
    )
    if level.own:
        found = Calibration(found.intercept, found.slope, np.concatenate([[0.0], found.own]))
    # How sure each set states itself to be moves by as much as its own answers ask for.
    before = learned.calibration[1:]
    stated = sigmoid(before[:, 0] + before[:, 1] * logit(top))
    moved = fit_calibration(stated, right, own=None, weight=counts, ridge=strength)
    slope = float(learned.calibration[-1, 1]) * moved.slope
    intercepts = moved.intercept + moved.slope * learned.calibration[:, 0]
    confidence = Calibration(float(intercepts[-1]), slope, intercepts - intercepts[-1])
    return SetFit(weights, learned.member, found, confidence)


def _own(calibration: Floats) -> Floats:
    return np.asarray(calibration[:, 0] - calibration[-1, 0])


def _fused_anew(weights: Floats, table: LogScoreTable) -> Floats:
    """Weights of fusion fitted on the labels, drawn toward those of before."""
    found, fit = weights.copy(), weight_fit(table)
    for number, members in enumerate(members_of(len(table.names))):
        if len(members) > 1:
            own = list(members)
            found[number, own] = fit.fit(members, toward=weights[number, own])
    return found


def _allowed(policy: StoppingPolicy) -> NDArray[np.bool_]:
    ordered = policy.kind == "cascade"
    return allowed_after(len(policy.candidates), range(len(policy.candidates)) if ordered else None)


def _point(
    table: LogScoreTable, fit: SetFit, grid: Floats, allowed: NDArray[np.bool_], objective: Objective
) -> OperatingPoint:
    """The operating point, calibrated probabilities in the place of right and wrong."""
    solved = solve_sets(table, fit, grid, allowed)
    states: States = fit.states(table)
    reward = fit.rewards(states)
    right, spent_ms = walk(
        reward, states.basis, solved.continuation, table.latency(), grid, table.saved_ms(), table.answered
    )
    best = max(float(reward[1 << j].mean()) for j in range(len(table.names)))
    return choose_point(CrossFitted(right, spent_ms + table.before_ms), grid, objective, best)


def _accuracy(policy: StoppingPolicy, records: Records, fit: SetFit) -> Sequence[float]:
    """Expected accuracy of each candidate alone on the stream."""
    reward: Any = fit.rewards(fit.states(records.table))
    share = records.weight / records.weight.sum()
    return [float(min(max(share @ reward[1 << j], 0.0), 1.0)) for j in range(len(policy.candidates))]
