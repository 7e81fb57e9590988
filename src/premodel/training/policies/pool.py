"""The pool of a cascade: which of the profile's candidates it may run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.stopping_components import SCALE
from premodel.training.calibration import Calibration, fit_calibration, logit
from premodel.training.log_scores import LogScoreTable
from premodel.training.policies.continuation_values import members_of, values_of_pools
from premodel.training.policies.fusion import Fused, WeightFit, weight_fit
from premodel.training.policies.stopping import holds_truth

MIN_POOL_SIZE = 2
MAX_POOL_SIZE = 5
"""Candidates of a pool: 31 sets."""
MIN_VALUE_GAIN = 1e-4
"""Least rise of the value (accuracy less the price of latency) for another candidate."""
MIN_EXCHANGE_GAIN = 1e-3
"""Least rise for an exchange."""
PASSES = 2
NEWTON = 2
LAST_STEP = 1
"""Steps of the weights during the search, on a part of the samples and then on all; the pool found is fitted in full.

From an estimate that errs as that of a part does, one Newton step on all samples gives one that errs as the most likely
one does (Le Cam, "On the asymptotic theory of estimation and testing hypotheses", 1956).
"""
SEARCH_ROWS = 2000
TOGETHER = 12
"""Pools whose values are computed at once."""

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
            gained = values.of({j: (*pool, j) for j in everyone if j not in pool})
            j = max(gained, key=lambda one: (gained[one], -table.latency_ms[one]))
            # A second one always: it stands in where the first fails.
            if gained[j] == -np.inf or (len(pool) >= MIN_POOL_SIZE and gained[j] <= value + MIN_VALUE_GAIN):
                break
            pool, value = (*pool, j), gained[j]
            steps.append(f"added {table.names[j]}: value {value:.4f}")
        for _ in range(PASSES):
            before = pool
            for old in before:
                kept = tuple(one for one in pool if one != old)
                swaps = values.of({j: (*kept, j) for j in everyone if j not in pool})
                if not swaps:
                    break
                j = max(swaps, key=lambda one: (swaps[one], -table.latency_ms[one]))
                if swaps[j] > value + MIN_EXCHANGE_GAIN:
                    pool, value = (*kept, j), swaps[j]
                    steps.append(f"exchanged {table.names[old]} for {table.names[j]}: value {value:.4f}")
            if pool == before:
                break
        by_latency = sorted(pool, key=lambda one: (table.latency_ms[one], one))
        return PoolChoice(tuple(by_latency), value, tuple(steps), tuple(cost_weight.tolist()))

    def values(self, pools: Sequence[tuple[int, ...]], cost_weight: NDArray[np.float64]) -> list[float]:
        """Mean values of serving the training rows with each of some pools of one size."""
        members = members_of(len(pools[0]))
        sure = np.zeros((len(pools), len(members), len(self.table)), np.float32)
        reward = np.zeros_like(sure)
        for place, pool in enumerate(pools):
            for number, own in enumerate(members):
                if own:
                    sure[place, number], reward[place, number] = self._set(tuple(pool[j] for j in own))
        basis = self._basis(pools, sure)
        found: list[float] = values_of_pools(
            basis, reward, self.table.latency_ms[np.array(pools)], cost_weight
        ).tolist()
        return found

    def _basis(self, pools: Sequence[tuple[int, ...]], sure: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (b, 2 ** p, n, 3): 1, s and s * s of every state."""
        del pools
        return np.stack([np.ones_like(sure), sure, sure * sure], axis=3)

    def _set(self, own: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Confidence and reward of one set on all rows."""
        if own not in self._sets:
            table = self.table
            shares = self._fit.fuse(own, self._fit.fit(own, NEWTON, last=LAST_STEP))
            answer = table.own[:, own[0]].T if len(own) == 1 else shares.top(table.top_n)
            top_probability, taught = shares.of(answer), self._teacher.of(answer)
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

    def of(self, pools: dict[int, tuple[int, ...]]) -> dict[int, float]:
        """The value of each of some pools of one size; -inf if it is not accepted."""
        asked = {key: tuple(sorted(pool)) for key, pool in pools.items()}
        unknown = [pool for pool in dict.fromkeys(asked.values()) if pool not in self.known]
        self.known |= dict.fromkeys(unknown, -np.inf)
        accepted = [pool for pool in unknown if self.accepts is None or self.accepts(pool)]
        for start in range(0, len(accepted), TOGETHER):
            some = accepted[start : start + TOGETHER]
            self.known |= dict(zip(some, self.search.values(some, self.cost_weight), strict=True))
        return {key: self.known[pool] for key, pool in asked.items()}


def search_rows(n: int) -> NDArray[np.intp]:
    """At most SEARCH_ROWS of n rows, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, SEARCH_ROWS)).astype(np.intp))


def _teacher_of(table: LogScoreTable, fit: WeightFit) -> tuple[Fused, Calibration]:
    """The fused distributions of all candidates, and the calibration of what they state."""
    everyone = range(len(table.names))
    teacher = fit.fuse(everyone, fit.fit(everyone))
    answers = [table.own[:, j].T for j in everyone] + [teacher.top(table.top_n)]
    right = [*table.correct.T, holds_truth(table, answers[-1])]
    taught = [teacher.of(answer) for answer in answers]
    calibration = fit_calibration(np.stack(taught, axis=1), np.stack(right, axis=1), own=None)
    return teacher, Calibration(calibration.intercept, calibration.slope, np.zeros(1))
