"""What `cascade` and `cascade-routing` learn: fusion, calibration, and with them every set of candidates.

A set of candidates is a number whose bit j states that candidate j answered, as in `runtime.policies.stopping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.stopping_components import SCALE, StoppingComponents
from premodel.training.calibration import PRIOR_SAMPLES, Calibration, fit_calibration, logit
from premodel.training.folds import Fold
from premodel.training.log_scores import LogScoreTable
from premodel.training.policies.continuation_values import ContinuationValues, backward_induction, members_of
from premodel.training.policies.fitted import Fit, PoolTable
from premodel.training.policies.fusion import fuse, weight_fit

FIT_ROWS = 8_000
"""Most samples that weights and continuation values are fitted on; evenly spaced ones of more."""
BUDGET_ROWS = 300
"""Samples that starts under a budget are computed on."""

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]


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
    scores, log_count = (
        [np.ascontiguousarray(own.T) for own in table.log_scores],
        np.ascontiguousarray(table.log_count.T),
    )
    everyone = fuse(scores, log_count, weights[-1])
    found = States(
        np.zeros((2**count, n), np.float32), np.zeros((2**count, n), np.float32), np.zeros((2**count, n), np.bool_)
    )
    for number, members in enumerate(members_of(count)):
        if not members:
            continue
        own = list(members)
        shares = everyone if len(own) == count else fuse([scores[j] for j in own], log_count, weights[number, own])
        if len(own) == 1 or member[number] >= 0:
            serves = own[0] if len(own) == 1 else int(member[number])
            answer = table.own[:, serves].T
            found.right[number] = table.correct[:, serves]
        else:
            answer = shares.top(table.top_n)
            found.right[number] = holds_truth(table, answer)
        found.top_probability[number] = shares.of(answer)
        found.teacher[number] = everyone.of(answer)
    return found


def holds_truth(table: LogScoreTable, answers: NDArray[np.intp]) -> Bools:
    """bool (n,), is the truth among the labels of these columns, (N, n)."""
    return np.asarray(((answers == table.truth) & (answers < table.log_scores.shape[2])).any(axis=0))


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


def sets_reordered(order: Sequence[int]) -> NDArray[np.intp]:
    """(2 ** p,): what was the number of each set before candidate `order[j]` took place j."""
    count = len(order)
    # Bit j of a new number is bit order[j] of the old one.
    return np.array([sum(1 << order[j] for j in range(count) if number >> j & 1) for number in range(2**count)])


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
        old = sets_reordered(order)
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
    basis, reward = basis_and_reward(table, fit)
    return Solved(
        basis, reward, backward_induction(basis, reward, table.latency_ms, cost_weight, allowed, table.saved_ms())
    )


def basis_and_reward(table: PoolTable, fit: Fit) -> tuple[Floats32, Floats32]:
    """What backward induction is made on: float32 (2 ** p, n, 3) and (2 ** p, n)."""
    states: States = fit.states(table)
    return states.basis, fit.rewards(states)


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
