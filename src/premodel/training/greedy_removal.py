"""Features are removed as long as the premodel does without them (paper section 3.4.1, Figures 7 and 12)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError

TARGET = 7
"""The paper's number of kept features."""
ONE_BY_ONE = 32
"""Features from which down they are removed one by one; of more, SHARE_AT_ONCE of them go in a round."""
SHARE_AT_ONCE = 0.2


class SubsetAccuracy(Protocol):
    """Accuracy of the premodel by the features it reads: what greedy removal asks for."""

    def all_of(self, kept: Sequence[int]) -> float:
        """Accuracy in [0, 1] with these columns."""

    def without_each(self, kept: Sequence[int]) -> NDArray[np.float64]:
        """Accuracy with these columns but one, for each one left out: float64 (len(kept),)."""


@dataclass(frozen=True)
class Removal:
    """A feature that greedy removal looked at; several of one round are each judged as if they went alone.

    Attributes
    ----------
    feature:
        The one whose removal costs least.
    accuracy_before, accuracy_after:
        With and without it, in [0, 1].
    loss_points:
        Before less after, in points; negative if the premodel is better without it.
    removed:
        False for the round that stopped the search.
    """

    feature: str
    accuracy_before: float
    accuracy_after: float
    loss_points: float
    removed: bool

    def __str__(self) -> str:
        verb = "removed" if self.removed else "not removed"
        return (
            f"{self.feature}: {100 * self.accuracy_after:.2f} % without it, loss {self.loss_points:+.2f} points, {verb}"
        )


@dataclass(frozen=True)
class Importance:
    """What each feature of a set is worth: points of accuracy lost without it, in the set's order."""

    features: tuple[str, ...]
    loss_points: tuple[float, ...]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most important features and their shares of all losses, in percent (paper Figure 7).

        Notes
        -----
        The paper normalises the drops "to produce a percentage". A negative drop counts as 0; if none is positive
        every share is 0. Ties keep the set's order.
        """
        gains = [max(loss, 0.0) for loss in self.loss_points]
        total = sum(gains)
        shares = [100 * gain / total if total > 0 else 0.0 for gain in gains]
        ranked = sorted(range(len(shares)), key=lambda index: (-shares[index], index))
        return [(self.features[index], shares[index]) for index in ranked[:count]]


@dataclass(frozen=True)
class GreedyRemoval:
    """The outcome of greedy removal.

    Attributes
    ----------
    kept:
        Columns, in list order.
    rounds:
        Every round.
    accuracy:
        With the kept features, as the objective gives it.
    importance_all:
        Losses among all features the search began with (paper Figure 12).
    importance_kept:
        Losses among the kept ones (paper Figure 7); empty if one feature is kept.
    stopped:
        Why it ended, in words.
    """

    kept: tuple[int, ...]
    rounds: tuple[Removal, ...]
    accuracy: float
    importance_all: Importance
    importance_kept: Importance
    stopped: str


def remove_greedily(
    columns: Sequence[int],
    names: Sequence[str],
    accuracy: SubsetAccuracy,
    target: int = TARGET,
    max_loss_points: float | None = None,
) -> GreedyRemoval:
    """Remove the least important feature, one by one; of more than ONE_BY_ONE several in a round.

    It ends when `target` features are left or, if `max_loss_points` is given, when the least loss is above that.

    Parameters
    ----------
    columns:
        Columns to begin with, as pruning left them.
    names:
        Names of all columns.
    accuracy:
        The objective.
    target:
        Number of features to end with, 1 or more.
    max_loss_points:
        Greatest loss, in points, at which a feature is still removed; None for no such rule.

    Raises
    ------
    OptionError
        The target is below 1, or there is no feature to begin with.

    Notes
    -----
    The paper removes "the least important features one by one" until removing any of the rest is a "significant" loss,
    which it does not define; it ends at 7, which is the default here. Of features whose loss is equal the later in
    list order is removed. The paper begins with some dozen features. A round scores as many subsets as features are
    left, and each of them costs as many additions; from 64 down, the rounds above ONE_BY_ONE would take nearly all of
    the time. There a fifth of the features is removed at once, each judged as if it went alone, as recursive feature
    elimination does with a step; with `max_loss_points` it is always one.
    """
    if target < 1:
        raise OptionError("wrong number of features to keep", given=target, allowed="1 or more")
    kept = sorted(columns)
    if not kept:
        raise OptionError("no features to select from", given=0, allowed="1 or more")
    current = accuracy.all_of(kept)
    without = accuracy.without_each(kept) if len(kept) > 1 else np.empty(0)
    importance_all = _importance(kept, names, current, without)
    rounds: list[Removal] = []
    stopped = f"{len(kept)} features are left, no more than the target of {target}"
    while len(kept) > target:
        several = _at_once(len(kept), target) if max_loss_points is None else 1
        least = sorted(range(len(kept)), key=lambda index: (-without[index], -index))[:several]
        found = [_removal(names[kept[index]], current, float(without[index]), max_loss_points) for index in least]
        rounds += found
        if not found[0].removed:
            loss = found[0].loss_points
            stopped = f"removing {found[0].feature} would lose {loss:.2f} points, more than {max_loss_points:g}"
            break
        kept = [column for index, column in enumerate(kept) if index not in least]
        current = found[0].accuracy_after if several == 1 else accuracy.all_of(kept)
        without = accuracy.without_each(kept) if len(kept) > 1 else np.empty(0)
        stopped = f"the target of {target} features is reached"
    importance_kept = _importance(kept, names, current, without)
    return GreedyRemoval(tuple(kept), tuple(rounds), current, importance_all, importance_kept, stopped)


def _removal(name: str, before: float, after: float, max_loss_points: float | None) -> Removal:
    loss = 100 * (before - after)
    return Removal(name, before, after, loss, removed=max_loss_points is None or loss <= max_loss_points)


def _at_once(count: int, target: int) -> int:
    """How many of `count` features are removed in a round."""
    return max(1, min(math.ceil(SHARE_AT_ONCE * count), count - max(ONE_BY_ONE, target)))


def _importance(kept: Sequence[int], names: Sequence[str], current: float, without: NDArray[np.float64]) -> Importance:
    """Losses of the kept features; without losses (one feature only) an empty record."""
    if len(without) == 0:
        return Importance((), ())
    return Importance(
        tuple(names[column] for column in kept), tuple(100 * (current - after) for after in without.tolist())
    )
