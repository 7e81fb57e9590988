"""Training of policies `cascade-routing` and `cascade`: pool, calibration, values, operating point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.graded_stopping import GradedCascade, GradedCascadeRouting
from premodel.runtime.policies.stopping import Cascade, CascadeRouting, StoppingPolicy
from premodel.stats import best_single
from premodel.training.folds import Fold, stratified_folds
from premodel.training.log_scores import LogScoreTable
from premodel.training.operating_point import (
    FOLDS,
    CrossFitted,
    OperatingPoint,
    choose_point,
    weight_grid,
    weights_around,
)
from premodel.training.options import TrainOptions
from premodel.training.policies.continuation_values import allowed_after, best_order, walk
from premodel.training.policies.fitted import Fit, PoolTable
from premodel.training.policies.graded import GradedFit, GradedLearner
from premodel.training.policies.learner import SELECT_MS, Learner, learner_of
from premodel.training.policies.pool import PoolChoice
from premodel.training.policies.stopping import (
    SetFit,
    States,
    basis_and_reward,
    solve_sets,
    starts_by_budget,
    stopping_components,
    thinned,
)
from premodel.training.policies.stopping_record import SetRecord, StoppingRecord, set_records
from premodel.training.record import OutOfFold, Trained, TrainedOn
from premodel.training.tables import Tables
from premodel.training.trainer import Trainer

SEARCH = (0.15, 0.08, 0.04)
"""Cost weights, per latency of the best single candidate, at which pool and order are searched."""
SPREAD = (1.4, 1.0, 0.7)
"""Around the weight of the point, for each further search."""
SEARCHED = (0.01, 1.5)
"""Range of the weights that further searches are made around, in the same unit: beyond it every pool is alike."""
ROUNDS = 4
"""Pools tried at most."""
REFINEMENTS = 3
"""Times that the grid is made finer around the point, at most."""
LATENCY_STEP = 0.02
"""Neighbours of the point whose latencies differ by this share of its own are near enough."""
INNER = 2
"""Folds inside the training part of a fold, for calibration."""

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is asked for, and at which cost weights.

    Attributes
    ----------
    tables, learner:
        The profile, and what was computed from it.
    options:
        Of the training.
    ordered:
        One fixed order.
    grid:
        Cost weights of all operating points.
    searched_at:
        Cost weights at which pool and order are searched.
    """

    tables: Tables
    learner: Learner
    options: TrainOptions
    ordered: bool
    grid: Floats
    searched_at: Floats


@dataclass(frozen=True, eq=False)
class _Learned:
    """A pool with everything that was learned for it.

    Attributes
    ----------
    table:
        Log scores of its candidates, or grades, on the rows learned from; for a cascade in its order.
    columns:
        The candidates' columns in the profile, in that order.
    choice:
        How it was found.
    fit, allowed:
        What was fitted, and which candidate may follow which set.
    """

    table: PoolTable
    columns: tuple[int, ...]
    choice: PoolChoice
    fit: Fit
    allowed: NDArray[np.bool_]


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Train policy `cascade-routing`: after each run stop, or run whichever candidate is worth most.

    Parameters
    ----------
    options:
        The objective chooses the operating point; all points of the grid are kept for calls with a cost weight of
        their own. Options of selectors and features are refused: it decides by the answers of candidates that ran.

    Notes
    -----
    If no point meets the objective in cross-fitting, the training summary states so and the nearest one is trained.

    Raises
    ------
    OptionError
        An option is given that has no meaning here, or there are too few samples.
    """
    return train_stopping(tables, options, ordered=False)


def train_stopping(tables: Tables, options: TrainOptions, *, ordered: bool) -> Trained:
    """Train either policy; `ordered` for one fixed order."""
    outputs = "it decides on what candidates that ran say"
    options.refuse(technique=outputs, labels=outputs, fallback=outputs)
    if len(tables) < 2 * FOLDS:
        raise OptionError("too few samples to cross-fit a cascade", given=len(tables), allowed=f"{2 * FOLDS} or more")
    score = tables.score(options.criterion)
    folds = stratified_folds(tables.truth, tables.right_counts(options.criterion), FOLDS, options.seed)
    best = best_single(score.mean(axis=0), tables.latency_ms)
    base_ms, given = float(tables.end_to_end_ms()[best]) + SELECT_MS, options.objective.weight_alone
    searched_at = np.array(SEARCH) / base_ms if given is None else np.array([given])
    kind = GradedLearner if options.criterion in tables.graded else Learner
    learner, grid = learner_of(tables, options, kind), weight_grid(base_ms, options.objective.cost_weight)
    plan = _Plan(tables, learner, options, ordered, grid, searched_at)
    everything = np.arange(len(tables))
    found = _learn(plan, everything, FOLDS)
    crossed = _cross_fit(plan, folds, found, grid)
    point = _point(plan, crossed)
    pools = {found.table.names}
    while given is None and len(pools) < ROUNDS:
        # The weights searched at were a guess of the one it works at: search again around that one.
        at = float(np.clip(point.cost_weight, SEARCHED[0] / base_ms, SEARCHED[1] / base_ms))
        again = replace(plan, searched_at=at * np.array(SPREAD))
        other = _learn(again, everything, FOLDS)
        if other.table.names in pools:
            break
        pools.add(other.table.names)
        its_crossed = _cross_fit(again, folds, other, grid)
        its_point = _point(again, its_crossed)
        if not _better(its_point, point, options):
            break
        plan, found, point, crossed = again, other, its_point, its_crossed
    if given is None and options.objective.max_latency_ms is not None:
        # Not for a floor: of many points whose accuracies counting cannot tell apart it would take the luckiest.
        plan, point, crossed = _refined(plan, folds, found, point, crossed)
    return replace(_trained(plan, found, point), out_of_fold=_out_of_fold(plan, folds, crossed))


def _trained(plan: _Plan, found: _Learned, point: OperatingPoint) -> Trained:
    """The policy with its record."""
    tables, table, fit = plan.tables, found.table, found.fit
    names = table.names
    more: dict[str, Any] = {
        "point": point.index,
        "accuracy": table.correct.mean(axis=0).tolist(),
        "costs": Costs(tuple(table.latency_ms.tolist()), tables.decode_ms, select_ms=SELECT_MS, by_length=table.curves),
    }
    sets: tuple[SetRecord, ...] = ()
    reward = (0.0, 1.0)
    policy: StoppingPolicy
    if isinstance(fit, GradedFit):
        graded = GradedCascade if plan.ordered else GradedCascadeRouting
        values = starts_by_budget(table, fit, plan.grid, found.allowed)
        first, slopes = np.split(values.continuation, [3], axis=3)
        learned = {"cost_weight": plan.grid, **vars(values), "continuation": np.ascontiguousarray(first)}
        policy = graded(names, learned, fit.grades, np.ascontiguousarray(slopes), measure=fit.measure, **more)
    elif isinstance(table, LogScoreTable) and isinstance(fit, SetFit):
        kind: type[StoppingPolicy] = Cascade if plan.ordered else CascadeRouting
        components = stopping_components(table, fit, plan.grid, found.allowed)
        policy = kind(names, components, n_labels=table.n_labels, top_n=table.top_n, **more)
        sets, reward = set_records(names, components), (fit.reward.intercept, fit.reward.slope)
    else:
        raise TypeError("a pool is of labels, or of grades")
    record = StoppingRecord(
        TrainedOn.of(tables, plan.options),
        found.choice,
        names,
        sets,
        reward,
        point,
        names[int(policy.components.start[-1, point.index].argmax())],
        plan.ordered,
    )
    return Trained(policy, record)


def _better(again: OperatingPoint, found: OperatingPoint, options: TrainOptions) -> bool:
    """Is the second point the one the objective prefers; one that meets it goes before one that does not."""
    if again.met != found.met:  # under a ceiling also by the policy's own walk, which the latencies below are not of
        return again.met
    accuracy, latency_ms = np.array([found.accuracy, again.accuracy]), np.array([found.latency_ms, again.latency_ms])
    objective = options.objective
    if objective.deadline_ms is not None:
        return again.timely > found.timely
    chosen = objective.choose(accuracy, latency_ms, found.best_single_accuracy)
    return (objective.nearest(accuracy, latency_ms) if chosen is None else chosen) == 1


def _learn(plan: _Plan, rows: Rows, folds: int) -> _Learned:
    """Find a pool on these rows, for a cascade its best order too, and fit it; so many folds are for calibration."""
    learner, tables = plan.learner, plan.tables
    choice = learner.choose(tables, rows, plan.searched_at)
    columns = choice.candidates
    fit = learner.fit(tables, columns, rows, folds)
    pool = learner.log_scores(tables, columns).take(rows)
    allowed = allowed_after(len(columns))
    if plan.ordered:
        some = pool.take(thinned(np.arange(len(pool))))
        order = best_order(*basis_and_reward(some, fit), pool.latency_ms, plan.searched_at)
        columns = tuple(columns[j] for j in order)
        pool, fit = pool.take_candidates(order), fit.reordered(order)
        allowed = allowed_after(len(order), range(len(order)))
    return _Learned(pool, columns, choice, fit, allowed)


def _cross_fit(plan: _Plan, folds: Sequence[Fold], found: _Learned, grid: Floats) -> CrossFitted:
    """What every weight of a grid does out of fold: pool, order, fusion, calibration and values fitted without it.

    Under a ceiling of latency also what it does in the policy that was found, on the rows that was fitted on.
    """
    n = len(plan.learner.correct)
    right, latency_ms = np.zeros((n, len(grid)), plan.learner.correct.dtype), np.zeros((n, len(grid)))
    for fold in folds:
        learned = _learn(plan, fold.train, INNER)
        pool = learned.choice.candidates
        test = plan.learner.log_scores(plan.tables, pool).take(fold.test)
        test = test.take_candidates([pool.index(column) for column in learned.columns])
        right[fold.test], latency_ms[fold.test] = _walk(learned, test, grid)
    if plan.options.objective.max_latency_ms is None:
        return CrossFitted(right, latency_ms)
    return CrossFitted(right, latency_ms, _walk(found, found.table, grid)[1].mean(axis=0))


def _walk(learned: _Learned, table: PoolTable, cost_weight: Floats) -> tuple[NDArray[Any], Floats]:
    """Is the answer right, and the latency end to end, of a table's rows at every cost weight: each (n, q)."""
    solved = solve_sets(learned.table, learned.fit, cost_weight, learned.allowed)
    states: States = learned.fit.states(table)
    right, spent_ms = walk(
        states.right, states.basis, solved.continuation, table.latency(), cost_weight, table.saved_ms(), table.answered
    )
    return right, spent_ms + table.before_ms


def _point(plan: _Plan, crossed: CrossFitted) -> OperatingPoint:
    """The operating point of the plan's grid."""
    best = float(plan.learner.correct.mean(axis=0).max())
    return choose_point(crossed, plan.grid, plan.options.objective, best)


def _refined(
    plan: _Plan, folds: Sequence[Fold], found: _Learned, point: OperatingPoint, crossed: CrossFitted
) -> tuple[_Plan, OperatingPoint, CrossFitted]:
    """The point chosen again, from a grid that is finer around it: one step can double how often a candidate runs."""
    for _ in range(REFINEMENTS):
        near_ms = crossed.safe_ms[max(point.index - 1, 0) : point.index + 2]
        if np.ptp(near_ms) <= LATENCY_STEP * point.latency_ms:
            break
        between = weights_around(plan.grid, point.index)
        crossed, grid = _merged(crossed, plan.grid, _cross_fit(plan, folds, found, between), between)
        plan = replace(plan, grid=grid)
        point = _point(plan, crossed)
    return plan, point, crossed


def _out_of_fold(plan: _Plan, folds: Sequence[Fold], crossed: CrossFitted) -> OutOfFold:
    """What the policy does on each fold at the point that the other folds choose."""
    n = len(crossed.right)
    score, latency_ms = np.zeros(n), np.zeros(n)
    for fold in folds:
        others = CrossFitted(crossed.right[fold.train], crossed.latency_ms[fold.train], crossed.own_ms)
        best = float(plan.learner.correct[fold.train].mean(axis=0).max())
        index = choose_point(others, plan.grid, plan.options.objective, best).index
        score[fold.test] = crossed.right[fold.test, index]
        latency_ms[fold.test] = crossed.latency_ms[fold.test, index]
    return OutOfFold(score, latency_ms)


def _merged(one: CrossFitted, grid: Floats, other: CrossFitted, weights: Floats) -> tuple[CrossFitted, Floats]:
    """Both, by rising cost weight, and the weights."""
    both, first = np.unique(np.concatenate([grid, weights]), return_index=True)
    own_ms = None if one.own_ms is None or other.own_ms is None else np.concatenate([one.own_ms, other.own_ms])[first]
    right = np.concatenate([one.right, other.right], axis=1)[:, first]
    latency_ms = np.concatenate([one.latency_ms, other.latency_ms], axis=1)[:, first]
    return CrossFitted(right, latency_ms, own_ms), both


def train_cascade(tables: Tables, options: TrainOptions) -> Trained:
    """Train policy `cascade`: order, thresholds and skips, for the objective.

    The order is the one of the highest value among all orders of the pool; otherwise as `cascade-routing`.

    Raises
    ------
    OptionError
        An option is given that has no meaning here, or there are too few samples.
    """
    return train_stopping(tables, options, ordered=True)


TRAINER = Trainer("cascade-routing", "after each run stop, or run any other candidate", train)
CASCADE_TRAINER = Trainer(
    "cascade", "candidates in one learned order, until the answer is probable enough", train_cascade
)
