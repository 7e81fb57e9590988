"""What `cascade` and `cascade-routing` learn: fusion, calibration, continuation values of every set.

A set of candidates is a number whose bit j states that candidate j answered, as in `runtime.policies.stopping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.stopping import NOT_ALLOWED, SCALE, StoppingComponents
from premodel.training.calibration import PRIOR_SAMPLES, Calibration, fit_calibration, logit
from premodel.training.folds import Fold
from premodel.training.log_scores import LogScoreTable
from premodel.training.policies.fitted import Fit, PoolTable
from premodel.training.policies.fusion import fused, weight_fit
from premodel.training.product import product

RIDGE = 1e-4
"""Of the regression of continuation values, per sample, on its slopes."""
FIT_ROWS = 8_000
"""Most samples that weights and continuation values are fitted on; evenly spaced ones of more."""
BUDGET_ROWS = 300
"""Samples that starts under a budget are computed on."""

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]


@lru_cache(maxsize=16)
def members_of(count: int) -> tuple[tuple[int, ...], ...]:
    """The candidates of each of the 2 ** count sets."""
    return tuple(tuple(j for j in range(count) if number >> j & 1) for number in range(2**count))


@dataclass(frozen=True, eq=False)
class States:
    """Every set of p candidates on n samples; row 0 of each array, the empty set, has no use.

    Attributes
    ----------
    top_probability:
        float32 (2 ** p, n), probability that the set's fused distribution gives to the answer it serves.
    teacher:
        float32 (2 ** p, n), probability that the distribution of all p together gives to that answer.
    right:
        bool (2 ** p, n), was that answer right; float64 where it is graded.
    """

    top_probability: Floats32
    teacher: Floats32
    right: NDArray[Any]

    @property
    def basis(self) -> Floats32:
        """float32 (2 ** p, n, 3): 1, s and s * s of every state."""
        s = (logit(self.top_probability) / SCALE).astype(np.float32)
        return np.stack([np.ones_like(s), s, s * s], axis=2)


def fit_all_weights(table: LogScoreTable) -> Floats:
    """float64 (2 ** p, p): fusion weights of every set."""
    count = len(table.names)
    weights, fit = np.zeros((2**count, count)), weight_fit(table)
    for number, members in enumerate(members_of(count)):
        if members:
            weights[number, list(members)] = fit.fit(members)
    return weights


def compute_states(table: LogScoreTable, weights: Floats, member: NDArray[np.int8]) -> States:
    """Every set on every sample, given the weights of fusion and who answers for each set."""
    count, n = len(table.names), len(table)
    full = _padded(fused(list(table.log_scores), table.log_count, weights[-1]))
    found = States(
        np.zeros((2**count, n), np.float32), np.zeros((2**count, n), np.float32), np.zeros((2**count, n), np.bool_)
    )
    for number, members in enumerate(members_of(count)):
        if not members:
            continue
        own = list(members)
        shares = _padded(fused([table.log_scores[j] for j in own], table.log_count, weights[number, own]))
        if len(own) == 1 or member[number] >= 0:
            serves = own[0] if len(own) == 1 else int(member[number])
            answer = table.own[:, serves]
            found.right[number] = table.correct[:, serves]
        else:
            answer = top_columns(shares, table.top_n)
            found.right[number] = ((answer == table.truth[:, None]) & (answer < shares.shape[1] - 1)).any(axis=1)
        found.top_probability[number] = np.take_along_axis(shares, answer, axis=1).sum(axis=1)
        found.teacher[number] = np.take_along_axis(full, answer, axis=1).sum(axis=1)
    return found


def top_columns(shares: Floats32, top_n: int) -> NDArray[np.intp]:
    """intp (n, top_n): columns of the most probable labels; of equal ones the first, as labels rise with columns."""
    if top_n == 1:
        return np.asarray(shares.argmax(axis=1)[:, None])
    return np.argsort(-shares, axis=1, kind="stable")[:, :top_n]


def _padded(shares: Floats32) -> Floats32:
    """The same without what all other labels have together: no answer names one of them."""
    shares[:, -1] = 0
    return shares


def cross_fit(table: LogScoreTable, folds: Sequence[Fold]) -> States:
    """States of every sample under weights fitted without its fold; every set of several serves its fused answer."""
    count, n = len(table.names), len(table)
    found = States(
        np.zeros((2**count, n), np.float32), np.zeros((2**count, n), np.float32), np.zeros((2**count, n), np.bool_)
    )
    nobody = np.full(2**count, -1, np.int8)
    for fold in folds:
        weights = fit_all_weights(table.take(thinned(fold.train)))
        states = compute_states(table.take(fold.test), weights, nobody)
        found.top_probability[:, fold.test] = states.top_probability
        found.teacher[:, fold.test] = states.teacher
        found.right[:, fold.test] = states.right
    return found


def thinned(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most FIT_ROWS of the rows, evenly spaced."""
    return rows if len(rows) <= FIT_ROWS else rows[np.arange(FIT_ROWS) * len(rows) // FIT_ROWS]


def who_answers(right: Bools, correct: Bools) -> NDArray[np.int8]:
    """The member whose own answer each set serves, -1 where fusion is at least as accurate as every member.

    Parameters
    ----------
    right:
        bool (2 ** p, n), was each set's fused answer right.
    correct:
        bool (n, p), was each candidate right.
    """
    accuracy = correct.mean(axis=0)
    member = np.full(len(right), -1, np.int8)
    for number, members in enumerate(members_of(correct.shape[1])):
        if len(members) > 1:
            best = max(members, key=accuracy.__getitem__)
            if right[number].mean() < accuracy[best]:
                member[number] = best
    return member


@dataclass(frozen=True, eq=False)
class SetFit:
    """A pool fitted on training rows, not yet for any cost.

    Attributes
    ----------
    weights:
        float64 (2 ** p, p).
    member:
        int8 (2 ** p,).
    reward:
        Calibrates what the teacher states of an answer.
    confidence:
        Calibrates what a set states of its own answer; `own` has 2 ** p values.
    """

    weights: Floats
    member: NDArray[np.int8]
    reward: Calibration
    confidence: Calibration

    def states(self, table: LogScoreTable) -> States:
        """Every set on every sample."""
        return compute_states(table, self.weights, self.member)

    def rewards(self, states: States) -> Floats32:
        """float32 (2 ** p, n), probability that the answer of each state is right."""
        return self.reward(states.teacher.T).T.astype(np.float32)

    def reordered(self, order: Sequence[int]) -> SetFit:
        """The same fit for the pool with candidate `order[j]` at place j."""
        count = len(order)
        # Bit j of a new number is bit order[j] of the old one.
        old = np.array([sum(1 << order[j] for j in range(count) if number >> j & 1) for number in range(2**count)])
        place = np.argsort(np.asarray(order))
        member = self.member[old]
        member = np.where(member >= 0, place[member], -1).astype(np.int8)
        confidence, reward = (
            Calibration(one.intercept, one.slope, one.own if len(one.own) == 1 else one.own[old])
            for one in (self.confidence, self.reward)
        )
        return SetFit(self.weights[old][:, list(order)], member, reward, confidence)


def fit_sets(table: LogScoreTable, folds: Sequence[Fold]) -> SetFit:
    """Weights on all rows; who answers and both calibrations on states that were fitted without the sample's fold."""
    crossed = cross_fit(table, folds)
    member = who_answers(crossed.right, table.correct)
    weights = fit_all_weights(table.take(thinned(np.arange(len(table)))))
    right, teacher, top_probability = crossed.right[1:].T, crossed.teacher[1:].T, crossed.top_probability[1:].T
    # Where all together are less accurate than one of them, what they state of an answer is biased: how often each
    # set is right shows more.
    reward = fit_calibration(teacher, right, own=None if member[-1] < 0 else PRIOR_SAMPLES)
    if member[-1] >= 0:
        reward = Calibration(reward.intercept, reward.slope, np.concatenate([[0.0], reward.own]))
    confidence = fit_calibration(top_probability, right)
    own = np.concatenate([[0.0], confidence.own])
    return SetFit(weights, member, reward, Calibration(confidence.intercept, confidence.slope, own))


def allowed_after(count: int, order: Sequence[int] | None = None) -> Bools:
    """bool (2 ** p, p): may the candidate run next after the set; with an order, only if it is later than all of it."""
    place = np.zeros(count, np.intp) if order is None else np.argsort(np.asarray(order))
    allowed = np.zeros((2**count, count), np.bool_)
    for number, members in enumerate(members_of(count)):
        for j in range(count):
            allowed[number, j] = j not in members and (order is None or all(place[j] > place[i] for i in members))
    return allowed


@dataclass(frozen=True, eq=False)
class ContinuationValues:
    """What backward induction found, for q cost weights.

    Attributes
    ----------
    continuation:
        float32 (q, 2 ** p, p, 3), as of `StoppingComponents`.
    start:
        float32 (q, p), mean value of running each candidate first.
    """

    continuation: Floats32
    start: Floats32


def backward_induction(
    basis: Floats32,
    reward: Floats32,
    latency_ms: Floats,
    cost_weight: Floats,
    allowed: Bools,
    saved_ms: Floats | None = None,
) -> ContinuationValues:
    """Continuation values of every candidate after every set, from the largest sets down.

    Parameters
    ----------
    basis:
        float32 (2 ** p, n, 3) of the states.
    reward:
        float32 (2 ** p, n), probability that the answer of the state is right.
    latency_ms:
        (p,).
    cost_weight:
        (q,), accuracy per ms.
    allowed:
        bool (2 ** p, p).
    saved_ms:
        (n, p), how much less than `latency_ms` each candidate is expected to take on each sample; None for nothing. The
        policy adds what it is worth to the regressed values, so these are those of a sample of mean latencies.

    Notes
    -----
    The value of a candidate is regressed on the basis by least squares; the value of a state is what following the
    regressed values brings, not the regressed value itself, so errors of regression do not add up going backward.
    """
    sets, n, _ = basis.shape
    count, points = len(latency_ms), len(cost_weight)
    continuation = np.zeros((points, sets, count, 3), np.float32)
    continuation[:, :, :, 0] = NOT_ALLOWED
    values: list[Floats32 | None] = [None] * sets
    price = (cost_weight[:, None] * latency_ms).astype(np.float32)
    saved = _saved(saved_ms, cost_weight)
    penalty = RIDGE * n * np.diag([0.0, 1.0, 1.0]) + 1e-9 * np.eye(3)
    for number in sorted(range(1, sets), key=lambda one: -one.bit_count()):
        following = [j for j in range(count) if allowed[number, j] and values[number | 1 << j] is not None]
        stay = np.repeat(reward[number][:, None], points, axis=1)
        values[number] = stay
        if not following:
            continue
        own = basis[number]
        inverse = np.linalg.inv(product(own.T, own).astype(np.float64) + penalty)
        project = product(inverse, own.T)
        best = np.zeros((n, points), np.float32)
        for j in following:
            then = values[number | 1 << j]
            if then is None:
                continue
            then = then - price[:, j]
            coefficients = product(project, then - reward[number][:, None]).astype(np.float32)
            continuation[:, number, j] = coefficients.T
            gain = product(own, coefficients)
            if saved is not None:
                gain, then = gain + saved[:, :, j], then + saved[:, :, j]
            better = gain > best
            np.copyto(best, gain, where=better)
            np.copyto(stay, then, where=better)
    start = np.full((points, count), -np.inf, np.float32)
    for j in range(count):
        first = values[1 << j]
        if first is not None:
            start[:, j] = first.mean(axis=0) - price[:, j]
    return ContinuationValues(continuation, start)


def _saved(saved_ms: Floats | None, cost_weight: Floats) -> Floats32 | None:
    """float32 (n, q, p), what it is worth that candidates take less than on average; None where they never do."""
    if saved_ms is None:
        return None
    return np.asarray(cost_weight[None, :, None] * saved_ms[:, None, :], np.float32)


def walk(
    states: States,
    basis: Floats32,
    found: ContinuationValues,
    latency_ms: Floats,
    cost_weight: Floats | None = None,
    saved_ms: Floats | None = None,
) -> tuple[NDArray[Any], Floats]:
    """Serve n samples at every operating point, as the policy would without a budget.

    Parameters
    ----------
    latency_ms:
        (p,), of each candidate; or (n, p), on each sample.
    cost_weight, saved_ms:
        As of `backward_induction`; both, or none.

    Returns
    -------
    As `States.right` (n, q), was the answer right; float64 (n, q), latency of the candidates run.
    """
    latency_ms = np.broadcast_to(latency_ms, (basis.shape[1], latency_ms.shape[-1]))
    n, count = latency_ms.shape
    rows = np.arange(n)[:, None]
    saved = None if cost_weight is None else _saved(saved_ms, cost_weight)
    if saved is None:
        first = np.repeat(found.start.argmax(axis=1)[None, :], n, axis=0)
    else:
        first = (found.start + saved).argmax(axis=2)
    at = 1 << first
    spent = latency_ms[rows, first]
    for number in sorted(range(1, 2**count), key=int.bit_count):
        here = at == number
        if not here.any() or number == 2**count - 1:
            continue
        gain = np.einsum("nb,qjb->nqj", basis[number], found.continuation[:, number], optimize=True)
        if saved is not None:
            gain = gain + saved
        chosen = gain.argmax(axis=2)
        go = here & (np.take_along_axis(gain, chosen[:, :, None], axis=2)[:, :, 0] > 0)
        spent[go] += np.take_along_axis(latency_ms, chosen, axis=1)[go]
        at[go] = number | 1 << chosen[go]
    return states.right[at, rows], spent


@dataclass(frozen=True, eq=False)
class Solved:
    """A fitted pool on its training rows, with its continuation values.

    Attributes
    ----------
    basis, reward:
        float32 (2 ** p, n, 3) and (2 ** p, n) of the states.
    continuation:
        At every cost weight.
    """

    basis: Floats32
    reward: Floats32
    continuation: ContinuationValues


def solve_sets(table: PoolTable, fit: Fit, cost_weight: Floats, allowed: Bools) -> Solved:
    """Backward induction for a fitted pool, on at most FIT_ROWS of its training rows."""
    table = table.take(thinned(np.arange(len(table))))
    states: States = fit.states(table)
    basis, reward = states.basis, fit.rewards(states)
    return Solved(
        basis, reward, backward_induction(basis, reward, table.latency_ms, cost_weight, allowed, table.saved_ms())
    )


@dataclass(frozen=True, eq=False)
class Starts:
    """Continuation values, and the best starts under every budget that makes a difference; as of the components."""

    continuation: Floats32
    budgets: Floats
    start: Floats32


def starts_by_budget(table: PoolTable, fit: Fit, cost_weight: Floats, allowed: Bools) -> Starts:
    """Solve a fitted pool, once without a budget and once for each."""
    solved = solve_sets(table, fit, cost_weight, allowed)
    basis, reward, found = solved.basis, solved.reward, solved.continuation
    count = len(table.names)
    cost_ms = np.array([sum(table.latency_ms[j] for j in members) for members in members_of(count)], np.float64)
    budgets = np.unique(np.round(cost_ms[1:], 9))
    some = np.unique(np.linspace(0, basis.shape[1] - 1, min(basis.shape[1], BUDGET_ROWS)).astype(np.intp))
    few, their = np.ascontiguousarray(basis[:, some]), np.ascontiguousarray(reward[:, some])
    start = np.empty((len(budgets), len(cost_weight), count), np.float32)
    for level, budget in enumerate(budgets):
        if level == len(budgets) - 1:
            start[level] = found.start
            continue
        fits = cost_ms <= budget + 1e-9
        within = allowed & fits[np.arange(2**count)[:, None] | (1 << np.arange(count))[None, :]]
        limited = backward_induction(few, their, table.latency_ms, cost_weight, within).start
        start[level] = np.where(fits[1 << np.arange(count)], limited, -np.inf)
    return Starts(found.continuation, budgets, start)


def stopping_components(table: LogScoreTable, fit: SetFit, cost_weight: Floats, allowed: Bools) -> StoppingComponents:
    """All that the policy needs."""
    count = len(table.names)
    found = starts_by_budget(table, fit, cost_weight, allowed)
    calibration = np.stack([fit.confidence.intercept + fit.confidence.own, np.full(2**count, fit.confidence.slope)], 1)
    return StoppingComponents(
        fit.weights.astype(np.float32),
        fit.member,
        calibration,
        cost_weight,
        found.continuation,
        found.budgets,
        found.start,
    )
