"""Which features the premodel reads (paper section 3.4.1): correlation first, then loss of accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.selectors.base import Features, Scores
from premodel.training.folds import stratified_folds, stratified_subsample
from premodel.training.knn_accuracy import KnnAccuracy
from premodel.training.product import product
from premodel.training.selectors.knn import K
from premodel.training.tables import FeatureCosts, Tables

CORRELATION = 0.75
"""The paper's threshold on the absolute correlation of two features."""
TARGET = 7
"""The paper's number of kept features."""
FOLDS = 10
"""Of the cross-validation in which features are scored."""
SUBSAMPLE = 5_000
"""Most samples that features are scored on."""
CONSIDERED = 64
"""Most features that pruning begins with; of more, such as those of a large bag of words, the ones most related to who
is right."""


@dataclass(frozen=True)
class Dropped:
    """A feature that pruning drops.

    Attributes
    ----------
    feature:
        Its name.
    because_of:
        The kept feature it is most correlated with; None if it is constant.
    correlation:
        Pearson's, with that feature, in [-1, 1]; NaN if it is constant.
    """

    feature: str
    because_of: str | None
    correlation: float

    def __str__(self) -> str:
        if self.because_of is None:
            return f"{self.feature}: constant"
        return f"{self.feature}: correlation {self.correlation:+.2f} with {self.because_of}"


@dataclass(frozen=True)
class Pruning:
    """The outcome of pruning by correlation (paper Table 3): columns kept, in list order, and what was dropped."""

    kept: tuple[int, ...]
    dropped: tuple[Dropped, ...]
    threshold: float


def prune_correlated(
    features: Features, names: Sequence[str], costs: FeatureCosts | None = None, threshold: float = CORRELATION
) -> Pruning:
    """Drop constant features and one of each pair that is correlated beyond the threshold.

    Parameters
    ----------
    features:
        float32 (n, F), raw; correlation is the same scaled or not.
    names:
        Feature names, F.
    costs:
        Cost of each feature; None, or a feature it does not name, counts as 0.
    threshold:
        In (0, 1]; an absolute correlation above it is too high.

    Raises
    ------
    OptionError
        The threshold is outside (0, 1], there are no samples, or every feature is constant.

    Notes
    -----
    The paper drops "one of them". Here features are visited in order of rising cost (each by itself, with all parts
    it needs), equal costs in list order; a feature is kept unless it is too correlated with one already kept. So of a
    pair the cheaper stays. If several kept ones are too close, the closest is reported.

    Examples
    --------
    >>> features = np.array([[1, 2, 5, 7], [2, 4, 1, 7], [3, 6, 4, 7]], np.float32)
    >>> found = prune_correlated(features, ["brightness", "twice", "hue", "constant"])
    >>> found.kept
    (0, 2)
    >>> for line in found.dropped:
    ...     print(line)
    twice: correlation +1.00 with brightness
    constant: constant
    """
    if not 0 < threshold <= 1:
        raise OptionError("wrong correlation threshold", given=threshold, allowed="above 0, at most 1")
    if len(features) == 0:
        raise OptionError("no samples to select features on", given=0, allowed="1 or more")
    varies = features.min(axis=0) < features.max(axis=0)
    if not varies.any():
        raise OptionError("every feature is constant", given=f"{len(features)} samples", do="profile more samples")
    correlation = _correlation(features, varies)
    known = costs.needs if costs is not None else {}
    price = [costs.of([name]) if costs is not None and name in known else 0.0 for name in names]
    kept: list[int] = []
    dropped: dict[int, Dropped] = {}
    for column in sorted(range(len(names)), key=lambda column: (price[column], column)):
        if not varies[column]:
            dropped[column] = Dropped(names[column], None, float("nan"))
            continue
        near = max(kept, key=lambda other: (abs(correlation[column, other]), -other), default=None)
        if near is not None and abs(correlation[column, near]) > threshold:
            dropped[column] = Dropped(names[column], names[near], float(correlation[column, near]))
        else:
            kept.append(column)
    return Pruning(tuple(sorted(kept)), tuple(dropped[column] for column in sorted(dropped)), threshold)


def _correlation(features: Features, varies: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pearson's correlation (F, F), 0 where a feature is constant."""
    values = features[:, varies].astype(np.float64)
    values -= values.mean(axis=0)
    values /= np.abs(values).max(axis=0)  # so that squares neither overflow nor vanish
    values /= np.sqrt(np.square(values).sum(axis=0))
    correlation = np.zeros((len(varies), len(varies)))
    correlation[np.ix_(varies, varies)] = np.clip(product(values.T, values), -1.0, 1.0)
    return correlation


class SubsetAccuracy(Protocol):
    """Accuracy of the premodel by the features it reads: what greedy removal asks for."""

    def all_of(self, kept: Sequence[int]) -> float:
        """Accuracy in [0, 1] with these columns."""

    def without_each(self, kept: Sequence[int]) -> NDArray[np.float64]:
        """Accuracy with these columns but one, for each one left out: float64 (len(kept),)."""


@dataclass(frozen=True)
class Removal:
    """One round of greedy removal.

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
    """Remove the least important feature, one by one.

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
    list order is removed.
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
        index = max(range(len(kept)), key=lambda index: (without[index], index))
        after = float(without[index])
        loss = 100 * (current - after)
        small = max_loss_points is None or loss <= max_loss_points
        rounds.append(Removal(names[kept[index]], current, after, loss, removed=small))
        if not small:
            stopped = f"removing {names[kept[index]]} would lose {loss:.2f} points, more than {max_loss_points:g}"
            break
        del kept[index]
        current = after
        without = accuracy.without_each(kept) if len(kept) > 1 else np.empty(0)
        stopped = f"the target of {target} features is reached"
    importance_kept = _importance(kept, names, current, without)
    return GreedyRemoval(tuple(kept), tuple(rounds), current, importance_all, importance_kept, stopped)


def _importance(kept: Sequence[int], names: Sequence[str], current: float, without: NDArray[np.float64]) -> Importance:
    """Losses of the kept features; without losses (one feature only) an empty record."""
    if len(without) == 0:
        return Importance((), ())
    return Importance(
        tuple(names[column] for column in kept), tuple(100 * (current - after) for after in without.tolist())
    )


@dataclass(frozen=True)
class SelectionSettings:
    """Choices of feature selection; the defaults are the paper's.

    Attributes
    ----------
    correlation:
        Of `prune_correlated`.
    target, max_loss_points:
        Of `remove_greedily`.
    folds, subsample:
        Folds of the cross-validation in which features are scored, and the most samples it is done on.
    seed:
        Of folds and subsample.
    """

    correlation: float = CORRELATION
    target: int = TARGET
    max_loss_points: float | None = None
    folds: int = FOLDS
    subsample: int = SUBSAMPLE
    seed: int = 0


@dataclass(frozen=True)
class FeatureSelection:
    """The features a selector reads, and how they were chosen.

    Attributes
    ----------
    columns, names:
        Of the features kept.
    pruning, removal:
        Both stages.
    scored_on:
        Samples that the second stage scored on.
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    pruning: Pruning
    removal: GreedyRemoval
    scored_on: int

    def lines(self) -> list[str]:
        """In plain words, a line each."""
        found = [f"features dropped at a correlation above {self.pruning.threshold:g}"]
        found += [f"  {dropped}" for dropped in self.pruning.dropped]
        found.append(f"features removed by loss of accuracy, scored on {self.scored_on} samples")
        found += [f"  {removal}" for removal in self.removal.rounds]
        found.append(f"  stopped: {self.removal.stopped}")
        found.append(f"features kept: {', '.join(self.names)}")
        return found


def select_features(
    tables: Tables,
    correct: NDArray[Any],
    labels: NDArray[Any],
    decide: Callable[[Scores], NDArray[np.intp]],
    settings: SelectionSettings,
) -> tuple[FeatureSelection, SubsetAccuracy]:
    """Both stages of feature selection: pruning by correlation, then greedy removal by loss of accuracy.

    Parameters
    ----------
    tables:
        Training rows.
    correct:
        (n, c), was the candidate right, or its score, for the columns that `decide` gives.
    labels:
        (n, m), what the selector is taught.
    decide:
        Scores (n, m) -> column of the candidate that is served (n,), -1 for an abstention.

    Returns
    -------
    What was selected, and what it was scored by, for further rounds of removal.

    Raises
    ------
    OptionError
        A setting is wrong, or there are too few samples for it.

    Notes
    -----
    A KNN premodel stands for every technique: the paper uses the same features for all, and it is the quickest to
    score many subsets with. An abstention counts as wrong. Of more than 64 features only those are looked at whose
    correlation with a candidate's success, or with its lead over the others, is highest.
    """
    columns = _most_related(tables.features, correct)
    names = [tables.feature_names[column] for column in columns]
    pruning = prune_correlated(tables.features[:, columns], names, tables.feature_costs, settings.correlation)
    pruning = replace(pruning, kept=tuple(columns[column] for column in pruning.kept))
    right_counts = np.rint(correct.sum(axis=1)).astype(np.intp)
    rows = stratified_subsample(tables.truth, right_counts, settings.subsample, settings.seed)
    folds = stratified_folds(tables.truth[rows], right_counts[rows], settings.folds, settings.seed)
    accuracy = KnnAccuracy(tables.features[rows], labels[rows], correct[rows], decide, folds, K)
    removal = remove_greedily(pruning.kept, tables.feature_names, accuracy, settings.target, settings.max_loss_points)
    kept = tuple(tables.feature_names[column] for column in removal.kept)
    return FeatureSelection(removal.kept, kept, pruning, removal, len(rows)), accuracy


def _most_related(features: Features, correct: NDArray[Any]) -> list[int]:
    """Columns to begin with, in list order: all, or CONSIDERED of more."""
    count = features.shape[1]
    if count <= CONSIDERED:
        return list(range(count))
    success = np.asarray(correct, np.float64)
    known = np.concatenate([success, success - success.mean(axis=1, keepdims=True)], axis=1)
    values = features.astype(np.float64)
    values, known = values - values.mean(axis=0), known - known.mean(axis=0)
    spread = np.sqrt(np.square(values).sum(axis=0))[:, None] * np.sqrt(np.square(known).sum(axis=0))
    related = np.abs(product(values.T, known)) / np.where(spread > 0, spread, np.inf)
    return sorted(np.argsort(-related.max(axis=1), kind="stable")[:CONSIDERED].tolist())
