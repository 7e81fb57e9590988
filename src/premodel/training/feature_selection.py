"""Which features the premodel reads (paper section 3.4.1): correlation first, then loss of accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features, Scores
from premodel.training.feature_pruning import CORRELATION, Pruning, prune_correlated
from premodel.training.folds import stratified_folds, stratified_subsample
from premodel.training.greedy_removal import TARGET, GreedyRemoval, SubsetAccuracy, remove_greedily
from premodel.training.knn_accuracy import KnnAccuracy
from premodel.training.product import product
from premodel.training.selectors.knn import K
from premodel.training.tables import Tables

FOLDS = 10
"""Of the cross-validation in which features are scored."""
SUBSAMPLE = 5_000
"""Most samples that features are scored on."""
CONSIDERED = 64
"""Most features that pruning begins with; of more, such as those of a large bag of words, the ones most related to who
is right."""


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
