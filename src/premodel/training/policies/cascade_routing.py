"""Training of policies `cascade-routing` and `cascade`: pool, fusion, calibration, gains, operating point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.stopping import Cascade, CascadeRouting, StoppingParts, StoppingPolicy
from premodel.stats import best_single
from premodel.training.evidence import LogScoreTable
from premodel.training.folds import Fold, stratified_folds
from premodel.training.operating_point import FOLDS, CrossFitted, Point, choose_point, weight_grid, weights_around
from premodel.training.options import Trained, TrainOptions, plain
from premodel.training.policies.pool import PoolChoice
from premodel.training.policies.stopping import (
    SetFit,
    Solved,
    allowed_after,
    backward_induction,
    compute_states,
    members_of,
    solve_sets,
    stopping_parts,
    walk,
)
from premodel.training.selectors.learner import SELECT_MS, Learner, learner_of, reordered
from premodel.training.tables import Tables

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
CLOSE = 0.02
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
        Evidence of its candidates on the rows learned from; for a cascade in its order.
    columns:
        The candidates' columns in the profile, in that order.
    choice:
        How it was found.
    fit, allowed:
        What was fitted, and which candidate may follow which set.
    """

    table: LogScoreTable
    columns: tuple[int, ...]
    choice: PoolChoice
    fit: SetFit
    allowed: NDArray[np.bool_]


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Train policy `cascade-routing`: after each run stop, or run whichever candidate is worth most.

    Parameters
    ----------
    options:
        The objective chooses the operating point; all points of the grid are kept for calls with a cost weight of
        their own. Options of selectors and features are refused: evidence is what candidates that ran say.

    Notes
    -----
    If no point meets the objective in cross-fitting, the account says so and the nearest one is trained.

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
    correct = tables.correct(options.criterion)
    folds = stratified_folds(tables.truth, correct.sum(axis=1), FOLDS, options.seed)
    best = best_single(correct.mean(axis=0), tables.latency_ms)
    base_ms, given = float(tables.end_to_end_ms()[best]) + SELECT_MS, options.objective.weight_alone
    searched_at = np.array(SEARCH) / base_ms if given is None else np.array([given])
    learner, grid = learner_of(tables, options), weight_grid(base_ms, options.objective.cost_weight)
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
        plan, point = _refined(plan, folds, found, point, crossed)
    return _trained(plan, found, point)


def _trained(plan: _Plan, found: _Learned, point: Point) -> Trained:
    """The policy with its account."""
    tables, ordered = plan.tables, plan.ordered
    parts = stopping_parts(found.table, found.fit, plan.grid, found.allowed)
    kind: type[StoppingPolicy] = Cascade if ordered else CascadeRouting
    policy = kind(
        found.table.names,
        parts,
        point=point.index,
        accuracy=found.table.correct.mean(axis=0).tolist(),
        costs=Costs(tuple(found.table.latency_ms.tolist()), tables.decode_ms, select_ms=SELECT_MS),
        n_labels=found.table.n_labels,
        top_n=found.table.top_n,
    )
    evidence = {
        "pool": plain(found.choice) | {"candidates": list(found.table.names)},
        "sets": _set_records(found, parts),
        "reward": {"intercept": found.fit.reward.intercept, "slope": found.fit.reward.slope},
        "operating_point": plain(point),
    }
    return Trained(policy, tuple(_account(plan, found, point, parts)), evidence)


def _better(again: Point, found: Point, options: TrainOptions) -> bool:
    """Is the second point the one the objective prefers; one that meets it goes before one that does not."""
    if again.met != found.met:  # under a ceiling also by the policy's own walk, which the latencies below are not of
        return again.met
    accuracy, latency_ms = np.array([found.accuracy, again.accuracy]), np.array([found.latency_ms, again.latency_ms])
    objective = options.objective
    chosen = objective.choose(accuracy, latency_ms, found.best_single_accuracy)
    return (objective.nearest(accuracy, latency_ms) if chosen is None else chosen) == 1


def _learn(plan: _Plan, rows: Rows, folds: int) -> _Learned:
    """Find a pool on these rows, for a cascade its best order too, and fit it; so many folds are for calibration."""
    learner, tables = plan.learner, plan.tables
    choice = learner.choose(tables, rows, plan.searched_at)
    columns = choice.candidates
    fit = learner.fit(tables, columns, rows, folds)
    pool = learner.evidence(tables, columns).take(rows)
    allowed = allowed_after(len(columns))
    if plan.ordered:
        order = _best_order(pool, fit, plan.searched_at)
        columns = tuple(columns[j] for j in order)
        pool, fit = pool.take_candidates(order), reordered(fit, order)
        allowed = allowed_after(len(order), range(len(order)))
    return _Learned(pool, columns, choice, fit, allowed)


def _cross_fit(plan: _Plan, folds: Sequence[Fold], found: _Learned, grid: Floats) -> CrossFitted:
    """What every weight of a grid does out of fold: pool, order, fusion, calibration and gains fitted without it.

    Under a ceiling of latency also what it does in the policy that was found, on the rows that was fitted on.
    """
    n = len(plan.learner.correct)
    right, latency_ms = np.zeros((n, len(grid)), np.bool_), np.zeros((n, len(grid)))
    for fold in folds:
        learned = _learn(plan, fold.train, INNER)
        pool = learned.choice.candidates
        test = plan.learner.evidence(plan.tables, pool).take(fold.test)
        test = test.take_candidates([pool.index(column) for column in learned.columns])
        right[fold.test], latency_ms[fold.test] = _walk(learned, test, grid)
    if plan.options.objective.max_latency_ms is None:
        return CrossFitted(right, latency_ms)
    return CrossFitted(right, latency_ms, _walk(found, found.table, grid)[1].mean(axis=0))


def _walk(
    learned: _Learned, table: LogScoreTable, cost_weight: Floats
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Is the answer right, and the latency end to end, of a table's rows at every cost weight: each (n, q)."""
    solved = solve_sets(learned.table, learned.fit, cost_weight, learned.allowed)
    states = compute_states(table, learned.fit.weights, learned.fit.member)
    right, spent_ms = walk(states, states.basis, solved.gains, table.latency())
    return right, spent_ms + table.before_ms


def _point(plan: _Plan, crossed: CrossFitted) -> Point:
    """The operating point of the plan's grid."""
    best = float(plan.learner.correct.mean(axis=0).max())
    return choose_point(crossed, plan.grid, plan.options.objective, best)


def _refined(
    plan: _Plan, folds: Sequence[Fold], found: _Learned, point: Point, crossed: CrossFitted
) -> tuple[_Plan, Point]:
    """The point chosen again, from a grid that is finer around it: one step can double how often a candidate runs."""
    for _ in range(REFINEMENTS):
        near_ms = crossed.safe_ms[max(point.index - 1, 0) : point.index + 2]
        if np.ptp(near_ms) <= CLOSE * point.latency_ms:
            break
        between = weights_around(plan.grid, point.index)
        crossed, grid = _merged(crossed, plan.grid, _cross_fit(plan, folds, found, between), between)
        plan = replace(plan, grid=grid)
        point = _point(plan, crossed)
    return plan, point


def _merged(one: CrossFitted, grid: Floats, other: CrossFitted, weights: Floats) -> tuple[CrossFitted, Floats]:
    """Both, by rising cost weight, and the weights."""
    both, first = np.unique(np.concatenate([grid, weights]), return_index=True)
    own_ms = None if one.own_ms is None or other.own_ms is None else np.concatenate([one.own_ms, other.own_ms])[first]
    right = np.concatenate([one.right, other.right], axis=1)[:, first]
    latency_ms = np.concatenate([one.latency_ms, other.latency_ms], axis=1)[:, first]
    return CrossFitted(right, latency_ms, own_ms), both


def _best_order(pool: LogScoreTable, fit: SetFit, cost_weight: NDArray[np.float64]) -> tuple[int, ...]:
    """The order of the highest value, of all there are; ties go to the one nearest to rising latency."""
    solved: Solved = solve_sets(pool, fit, cost_weight, allowed_after(len(pool.names)))
    best, value = tuple(range(len(pool.names))), -np.inf
    for order in permutations(range(len(pool.names))):
        allowed = allowed_after(len(order), order)
        start = backward_induction(solved.basis, solved.reward, pool.latency_ms, cost_weight, allowed).start
        reached = float(start.max(axis=1).mean())
        if reached > value + 1e-9:
            best, value = order, reached
    return best


def _set_records(found: _Learned, parts: StoppingParts) -> list[dict[str, Any]]:
    """What each set of candidates fuses with, and whose answer it serves."""
    names = found.table.names
    return [
        {
            "candidates": [names[j] for j in members],
            "weights": [round(float(parts.weights[number, j]), 6) for j in members],
            "serves": _serves(names, parts, number, members),
            "confidence": [float(value) for value in parts.calibration[number]],
        }
        for number, members in enumerate(members_of(len(names)))
        if members
    ]


def _serves(names: tuple[str, ...], parts: StoppingParts, number: int, members: tuple[int, ...]) -> str:
    if len(members) == 1:
        return names[members[0]]
    return "fused" if parts.member[number] < 0 else names[int(parts.member[number])]


def _account(plan: _Plan, found: _Learned, point: Point, parts: StoppingParts) -> list[str]:
    """How it came about, in plain words."""
    tables, names, options = plan.tables, found.table.names, plan.options
    lines = [
        f"profile: {len(tables)} samples, {len(tables.candidates)} candidates, criterion {options.criterion}",
        f"objective: {options.objective.describe()}",
        "pool, by accuracy less the price of latency",
        *(f"  {step}" for step in found.choice.steps),
        "weights of the candidates in each set's fused answer",
    ]
    for record in _set_records(found, parts):
        if len(record["candidates"]) > 1:
            shares = ", ".join(f"{n} {w:.2f}" for n, w in zip(record["candidates"], record["weights"], strict=True))
            served = "" if record["serves"] == "fused" else f"; serves {record['serves']}'s own, which is more accurate"
            lines.append(f"  {shares}{served}")
    first = names[int(parts.start[-1, point.index].argmax())]
    gain = 100 * (point.accuracy - point.best_single_accuracy)
    lines += [
        f"cost weight {point.cost_weight:.6g} per ms: cross-fitted accuracy {100 * point.accuracy:.2f} % "
        f"({gain:+.2f} points to the best single candidate) at {point.latency_ms:.3f} ms"
        + ("" if point.met else ", which does NOT meet the objective"),
        f"decides: runs {first}, then stops or runs "
        + (f"a later one of {' -> '.join(names)}" if plan.ordered else f"any other of {', '.join(names)}")
        + ", whichever is worth most",
    ]
    return lines


def train_cascade(tables: Tables, options: TrainOptions) -> Trained:
    """Train policy `cascade`: order, thresholds and skips, for the objective.

    The order is the one of the highest value among all orders of the pool; otherwise as `cascade-routing`.

    Raises
    ------
    OptionError
        An option is given that has no meaning here, or there are too few samples.
    """
    return train_stopping(tables, options, ordered=True)
