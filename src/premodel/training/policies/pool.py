"""The pool of a cascade: which of the profile's candidates it may run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.stopping import SCALE
from premodel.training.calibration import Calibration, fit_calibration, logit
from premodel.training.log_scores import LogScoreTable
from premodel.training.policies.fusion import WeightFit, fused, weight_fit
from premodel.training.policies.stopping import allowed_after, backward_induction, members_of, top_columns

MIN_POOL_SIZE = 2
MAX_POOL_SIZE = 5
"""Candidates of a pool: 31 sets."""
MIN_VALUE_GAIN = 1e-4
"""Least rise of the value (accuracy less the price of latency) for another candidate."""
MIN_EXCHANGE_GAIN = 1e-3
"""Least rise for an exchange."""
PASSES = 2
NEWTON = 2
"""Steps of the weights during the search; the pool found is fitted in full."""
SEARCH_ROWS = 2000

Accepts = Callable[[tuple[int, ...]], bool]


@dataclass(frozen=True)
class PoolChoice:
    """The pool found.

    Attributes
    ----------
    candidates:
        Columns of the tables, by latency.
    value:
        Mean of accuracy - cost weight * latency over the weights it was searched at.
    steps:
        What was added or exchanged, in words.
    cost_weight:
        Those weights.
    """

    candidates: tuple[int, ...]
    value: float
    steps: tuple[str, ...]
    cost_weight: tuple[float, ...]


class PoolSearch:
    """Search of pools on some training rows, at any cost weights; every set of candidates is fitted once.

    Notes
    -----
    An answer's reward is the probability that the fused distribution of *all* candidates gives to it, calibrated once
    on the answers of single candidates and of all fused: far less noisy than right or wrong of one sample, and equal
    for all pools.

    Parameters
    ----------
    table:
        Training rows; `search_rows` bounds how many.
    """

    def __init__(self, table: LogScoreTable) -> None:
        self.table: Any = table
        self._fit = weight_fit(table)
        self._teacher, self._calibration = _teacher_of(table, self._fit)
        self._sets: dict[tuple[int, ...], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def choose(
        self, cost_weight: NDArray[np.float64], *, most: int = MAX_POOL_SIZE, accepts: Accepts | None = None
    ) -> PoolChoice:
        """Find the pool by its value: add the best candidate while that pays, then exchange one for another.

        Parameters
        ----------
        cost_weight:
            (q,), the weights whose mean value counts.
        most:
            Largest pool.
        accepts:
            May these columns be a pool together (memory, energy); None for any.
        """
        table, values = self.table, _Values(self, cost_weight, accepts)
        everyone = range(len(table.names))
        pool: tuple[int, ...] = ()
        value, steps = -np.inf, []
        while len(pool) < min(most, len(everyone)):
            gained = {j: values.of((*pool, j)) for j in everyone if j not in pool}
            j = max(gained, key=lambda one: (gained[one], -table.latency_ms[one]))
            # A second one always: it stands in where the first fails.
            if gained[j] == -np.inf or (len(pool) >= MIN_POOL_SIZE and gained[j] <= value + MIN_VALUE_GAIN):
                break
            pool, value = (*pool, j), gained[j]
            steps.append(f"added {table.names[j]}: value {value:.4f}")
        for _ in range(PASSES):
            before = pool
            for old in before:
                swaps = {j: values.of((*(one for one in pool if one != old), j)) for j in everyone if j not in pool}
                if not swaps:
                    break
                j = max(swaps, key=lambda one: (swaps[one], -table.latency_ms[one]))
                if swaps[j] > value + MIN_EXCHANGE_GAIN:
                    pool, value = (*(one for one in pool if one != old), j), swaps[j]
                    steps.append(f"exchanged {table.names[old]} for {table.names[j]}: value {value:.4f}")
            if pool == before:
                break
        by_latency = sorted(pool, key=lambda one: (table.latency_ms[one], one))
        return PoolChoice(tuple(by_latency), value, tuple(steps), tuple(cost_weight.tolist()))

    def value(self, pool: tuple[int, ...], cost_weight: NDArray[np.float64]) -> float:
        """Mean value of serving the training rows with this pool."""
        members = members_of(len(pool))
        states = [self._set(tuple(pool[j] for j in own)) if own else None for own in members]
        n = len(self.table)
        sure = np.stack([np.zeros(n, np.float32) if one is None else one[0] for one in states])
        reward = np.stack([np.zeros(n, np.float32) if one is None else one[1] for one in states])
        basis = np.stack([np.ones_like(sure), sure, sure * sure], axis=2)
        latency_ms = self.table.latency_ms[list(pool)]
        allowed = allowed_after(len(pool))
        return float(backward_induction(basis, reward, latency_ms, cost_weight, allowed).start.max(axis=1).mean())

    def _set(self, own: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Confidence and reward of one set on all rows."""
        if own not in self._sets:
            table = self.table
            log_scores = [table.log_scores[j] for j in own]
            shares = fused(log_scores, table.log_count, self._fit.fit(own, NEWTON))
            shares[:, -1] = 0
            answer = table.own[:, own[0]] if len(own) == 1 else top_columns(shares, table.top_n)
            top_probability = np.take_along_axis(shares, answer, axis=1).sum(axis=1)
            taught = np.take_along_axis(self._teacher, answer, axis=1).sum(axis=1)
            reward = self._calibration(taught[:, None])[:, 0]
            self._sets[own] = (logit(top_probability) / SCALE).astype(np.float32), reward.astype(np.float32)
        return self._sets[own]


@dataclass(eq=False)
class _Values:
    """Values of pools at some cost weights, each computed once."""

    search: PoolSearch
    cost_weight: NDArray[np.float64]
    accepts: Accepts | None
    known: dict[tuple[int, ...], float] = field(default_factory=dict)

    def of(self, pool: tuple[int, ...]) -> float:
        """The pool's value; -inf if it is not accepted."""
        pool = tuple(sorted(pool))
        if pool not in self.known:
            accepted = self.accepts is None or self.accepts(pool)
            self.known[pool] = self.search.value(pool, self.cost_weight) if accepted else -np.inf
        return self.known[pool]


def search_rows(n: int) -> NDArray[np.intp]:
    """At most SEARCH_ROWS of n rows, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, SEARCH_ROWS)).astype(np.intp))


def _teacher_of(table: LogScoreTable, fit: WeightFit) -> tuple[NDArray[np.float32], Calibration]:
    """The fused distribution of all candidates, and the calibration of what it states."""
    teacher = fused(list(table.log_scores), table.log_count, fit.fit(range(len(table.names))))
    teacher[:, -1] = 0
    answers = [table.own[:, j] for j in range(len(table.names))] + [top_columns(teacher, table.top_n)]
    right = [*table.correct.T, ((answers[-1] == table.truth[:, None]) & (answers[-1] < teacher.shape[1] - 1)).any(1)]
    taught = [np.take_along_axis(teacher, answer, axis=1).sum(axis=1) for answer in answers]
    calibration = fit_calibration(np.stack(taught, axis=1), np.stack(right, axis=1), own=None)
    return teacher, Calibration(calibration.intercept, calibration.slope, np.zeros(1))
