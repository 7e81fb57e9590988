"""Backward induction: what running one more candidate is worth after every set of candidates, at every cost weight.

A set of candidates is a number whose bit j states that candidate j answered, as in `runtime.policies.stopping`. Arrays
have the samples last: what is done for each sample is then done for many beside one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.stopping_components import NOT_ALLOWED
from premodel.training.product import product

RIDGE = 1e-4
"""Of the regression of continuation values, per sample, on the slopes of what a set states of its answer."""
PLAIN = 3
"""Numbers of a basis without further ones: 1, s and s * s."""
PRIOR_SAMPLES = 30.0
"""Of the same, on the slopes of further numbers of variance 1: as if so many samples had shown none."""
CHUNK = 65_536
"""States that `walk` looks at together."""
BETTER = 1e-9
"""By which a later order must be better."""

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]
Order = tuple[int, ...]


@lru_cache(maxsize=16)
def members_of(count: int) -> tuple[tuple[int, ...], ...]:
    """The candidates of each of the 2 ** count sets."""
    return tuple(tuple(j for j in range(count) if number >> j & 1) for number in range(2**count))


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
        float32 (q, 2 ** p, p, d), as of `StoppingComponents` the first three; the others times the basis's own.
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
        float32 (2 ** p, n, d) of the states: 1, s, s * s, and d - 3 other numbers, 0 where they are not known.
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
    saved = None if saved_ms is None else worth(saved_ms, cost_weight)[:, None]
    found = _induce(basis[None], reward[None], latency_ms[None], cost_weight, allowed, saved)
    return ContinuationValues(found.continuation[0], found.start[0])


def values_of_pools(basis: Floats32, reward: Floats32, latency_ms: Floats, cost_weight: Floats) -> Floats:
    """float64 (b,): what serving the samples with each of b pools of p candidates is worth, on average.

    Parameters
    ----------
    basis, reward, latency_ms:
        As of `backward_induction`, of every pool: (b, 2 ** p, n, d), (b, 2 ** p, n) and (b, p).
    cost_weight:
        (q,), the weights whose mean value counts.
    """
    found = _induce(basis, reward, latency_ms, cost_weight, allowed_after(latency_ms.shape[1]))
    return np.asarray(found.start.max(axis=2).mean(axis=1), np.float64)


def _induce(
    basis: Floats32,
    reward: Floats32,
    latency_ms: Floats,
    cost_weight: Floats,
    allowed: Bools,
    saved: Floats32 | None = None,
) -> ContinuationValues:
    """Those of b pools at once: (b, q, 2 ** p, p, d) and (b, q, p); `saved` is (p, 1, q, n)."""
    pools, sets, n, numbers = basis.shape
    count, points = latency_ms.shape[1], len(cost_weight)
    continuation = np.zeros((pools, points, sets, count, numbers), np.float32)
    continuation[..., 0] = NOT_ALLOWED
    values: list[Floats32 | None] = [None] * sets
    price = (cost_weight[None, :, None] * latency_ms[:, None, :]).astype(np.float32)
    for number in sorted(range(1, sets), key=lambda one: -one.bit_count()):
        following = [j for j in range(count) if allowed[number, j] and values[number | 1 << j] is not None]
        now = reward[:, number, None, :]
        values[number] = stay = np.repeat(now, points, axis=1)
        if not following:
            continue
        regression = _Regression(basis[:, number])
        best = np.zeros((pools, points, n), np.float32)
        for j in following:
            reached = values[number | 1 << j]
            if reached is None:
                continue
            then = reached - price[:, :, j, None]
            coefficients = regression.coefficients(then - now)
            continuation[:, :, number, j] = coefficients
            gain = regression.values(then - now, coefficients)
            if saved is not None:
                gain, then = gain + saved[j], then + saved[j]
            better = gain > best
            np.copyto(stay, then, where=better)
            np.maximum(best, gain, out=best)
    start = np.full((pools, points, count), -np.inf, np.float32)
    for j in range(count):
        first = values[1 << j]
        if first is not None:
            start[:, :, j] = first.mean(axis=2) - price[:, :, j]
    return ContinuationValues(continuation, start)


class _Regression:
    """Regression of many values on the bases (b, n, d) of one set's states.

    Notes
    -----
    With numbers beside s and s * s there are so many that following the regressed values of the samples they were
    regressed on would seem to bring more than it does on others, and more still in a larger pool. There each half of
    the samples follows the values that were regressed on the other.
    """

    def __init__(self, basis: Floats32) -> None:
        self._basis, self._project = basis, _projection(basis)
        halves = [basis[:, half::2] for half in (0, 1)] if basis.shape[2] > PLAIN and basis.shape[1] > 1 else []
        self._halves = [(own.transpose(0, 2, 1), _projection(own)) for own in halves]

    def coefficients(self, target: Floats32) -> Floats32:
        """float32 (b, q, d), of the values (b, q, n) on all samples."""
        return product(target, self._project)

    def values(self, target: Floats32, coefficients: Floats32) -> Floats32:
        """float32 (b, q, n): what each sample is decided by."""
        if not self._halves:
            return product(coefficients, self._basis.transpose(0, 2, 1))
        found = np.empty_like(target)
        for half, (own, _) in enumerate(self._halves):
            other = 1 - half
            found[..., half::2] = product(product(target[..., other::2], self._halves[other][1]), own)
        return found


def _projection(basis: Floats32) -> Floats32:
    """float32 (b, n, d): what is summed with its numbers over samples is regressed on a basis of that shape."""
    exact = basis.astype(np.float64)
    slopes = [RIDGE * basis.shape[1]] * 2 + [PRIOR_SAMPLES] * (basis.shape[2] - PLAIN)
    penalty = np.diag([0.0, *slopes]) + 1e-9 * np.eye(basis.shape[2])
    inverse = np.linalg.inv(product(exact.transpose(0, 2, 1), exact) + penalty)
    return product(exact, inverse).astype(np.float32)


def best_order(basis: Floats32, reward: Floats32, latency_ms: Floats, cost_weight: Floats) -> Order:
    """The order of the highest value, of all there are; ties go to the one nearest to that of the numbers.

    Parameters
    ----------
    basis, reward, latency_ms, cost_weight:
        As of `backward_induction`.

    Notes
    -----
    What a set is worth depends on which candidates may still run and in which order, and on nothing before. So each
    set is solved once for every sequence of others that may follow, and not for every order: of five candidates 515
    regressions in place of 3,120.
    """
    count = len(latency_ms)
    price = (cost_weight[:, None] * latency_ms).astype(np.float32)
    everyone = range(count)
    larger: dict[int, dict[Order, Floats32]] = {}
    for size in range(count, 0, -1):
        level = {
            number: _by_sequence(basis[number], reward[number], number, price, larger)
            for number in range(1, 2**count)
            if number.bit_count() == size
        }
        larger = level
    first = {
        (j, *rest): value.mean(axis=1) - price[:, j] for j in everyone for rest, value in larger.get(1 << j, {}).items()
    }
    best, highest = tuple(everyone), -np.inf
    for order in permutations(everyone):
        start = np.stack([first[order[place:]] for place in everyone])
        reached = float(start.max(axis=0).mean())
        if reached > highest + BETTER:
            best, highest = order, reached
    return best


def _by_sequence(
    basis: Floats32, reward: Floats32, number: int, price: Floats32, larger: dict[int, dict[Order, Floats32]]
) -> dict[Order, Floats32]:
    """float32 (q, n), the value of a set for every sequence of others that may follow it.

    Parameters
    ----------
    basis, reward:
        (n, 3) and (n,), of this set.
    larger:
        The same of the sets of one more candidate.
    """
    points, count = price.shape
    others = [j for j in range(count) if not number >> j & 1]
    gains: dict[Order, Floats32] = {(): np.zeros((points, len(reward)), np.float32)}
    found: dict[Order, Floats32] = {(): np.repeat(reward[None], points, axis=0)}
    regression = _Regression(basis[None])
    for length in range(1, len(others) + 1):
        for sequence in permutations(others, length):
            j, rest = sequence[0], sequence[1:]
            then = larger[number | 1 << j][rest] - price[:, j, None]
            target = (then - reward)[None]
            gain = regression.values(target, regression.coefficients(target))[0]
            found[sequence] = np.where(gain > gains[rest], then, found[rest])
            gains[sequence] = np.maximum(gain, gains[rest])
    return found


def worth(saved_ms: Floats, cost_weight: Floats) -> Floats32:
    """float32 (p, q, n), what it is worth that candidates take less than on average, `saved_ms` (n, p)."""
    return np.asarray(cost_weight[None, :, None] * saved_ms.T[:, None, :], np.float32)


def walk(
    right: NDArray[Any],
    basis: Floats32,
    found: ContinuationValues,
    latency_ms: Floats,
    cost_weight: Floats | None = None,
    saved_ms: Floats | None = None,
    answered: Bools | None = None,
) -> tuple[NDArray[Any], Floats]:
    """Serve n samples at every operating point, as the policy would without a budget.

    Parameters
    ----------
    right:
        (2 ** p, n), was the answer of each set right, or its grade.
    latency_ms:
        (p,), of each candidate; or (n, p), on each sample.
    cost_weight, saved_ms:
        As of `backward_induction`; both, or none.
    answered:
        bool (n, p), False where a candidate fails: its time is spent, and the policy goes on without it. None if none
        does.

    Returns
    -------
    As `right` (n, q), of the answer served, 0 where every candidate failed; float64 (n, q), latency of the candidates
    run.
    """
    latency_ms = np.broadcast_to(latency_ms, (basis.shape[1], latency_ms.shape[-1]))
    n, count = latency_ms.shape
    points = len(found.start)
    saved = None if cost_weight is None or saved_ms is None else worth(saved_ms, cost_weight).transpose(1, 2, 0)
    start = found.start[:, None, :] if saved is None else found.start[:, None, :] + saved
    start = np.broadcast_to(start, (points, n, count)).reshape(-1, count)
    fails = None if answered is None or answered.all() else ~answered
    at, failed, spent = np.zeros(points * n, np.intp), np.zeros(points * n, np.intp), np.zeros(points * n)
    bits = 1 << np.arange(count)

    def run(here: NDArray[np.intp], chosen: NDArray[np.intp]) -> NDArray[np.intp]:
        """Run a candidate each; those of `here` for which it failed."""
        sample = here % n
        spent[here] += latency_ms[sample, chosen]
        if fails is None:
            at[here] |= bits[chosen]
            return here[:0]
        lost = fails[sample, chosen]
        at[here[~lost]] |= bits[chosen[~lost]]
        failed[here[lost]] |= bits[chosen[lost]]
        return np.asarray(here[lost], np.intp)

    def left(here: NDArray[np.intp], values: NDArray[Any]) -> NDArray[Any]:
        """The values of candidates that have not failed, -inf of others."""
        return values if fails is None else np.where(failed[here, None] & bits, -np.inf, values)

    waiting = np.arange(points * n)
    while waiting.size:
        waiting = run(waiting, left(waiting, start[waiting]).argmax(axis=1))
        waiting = waiting[failed[waiting] != 2**count - 1]
    for number in sorted(range(1, 2**count - 1), key=int.bit_count):
        everyone = np.flatnonzero(at == number)
        for begin in range(0, everyone.size, CHUNK):
            here = everyone[begin : begin + CHUNK]
            while here.size:
                point, sample = here // n, here % n
                gain = (found.continuation[point, number] * basis[number, sample][:, None, :]).sum(axis=2)
                if saved is not None:
                    gain += saved[point, sample]
                gain = left(here, gain)
                chosen = gain.argmax(axis=1)
                go = gain[np.arange(len(here)), chosen] > 0
                here = run(here[go], chosen[go])
    served = np.where(at.reshape(points, n) > 0, right[at.reshape(points, n), np.arange(n)], right.dtype.type(0))
    return np.ascontiguousarray(served.T), np.ascontiguousarray(spent.reshape(points, n).T)
