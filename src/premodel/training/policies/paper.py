"""The paper's premodel, fitted whole on the rows given: candidates, features, selector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.runtime.selectors.base import Scores, Selector
from premodel.training.feature_selection import (
    CORRELATION,
    TARGET,
    GreedyRemoval,
    Pruning,
    prune_correlated,
    remove_greedily,
)
from premodel.training.folds import stratified_folds, stratified_subsample
from premodel.training.knn_accuracy import KnnAccuracy
from premodel.training.labels import LabelScheme, make_labels
from premodel.training.model_selection import THETA, ModelSelection, select_models
from premodel.training.options import plain
from premodel.training.selectors.knn import K
from premodel.training.selectors.registry import technique_fit
from premodel.training.tables import Tables

SUBSAMPLE = 5_000
"""Most samples that features are scored on."""


@dataclass(frozen=True)
class PaperSettings:
    """Choices of the paper's premodel; the defaults are the paper's.

    Attributes
    ----------
    theta:
        Threshold of Algorithm 1, in points.
    limit:
        Most candidates to choose; None for no limit.
    labels:
        What the selector is taught: "optimum" or "right".
    technique:
        See `fit.registry.technique_fit`; "knn" is the paper's KNN chain.
    select_features:
        False keeps every feature.
    correlation, target, max_loss_points:
        Of feature selection.
    folds, subsample:
        Folds of the cross-validation in which features are scored, and the most samples it is done on.
    seed:
        Of everything random.
    """

    theta: float = THETA
    limit: int | None = None
    labels: LabelScheme = "optimum"
    technique: str = "knn"
    select_features: bool = True
    correlation: float = CORRELATION
    target: int = TARGET
    max_loss_points: float | None = None
    folds: int = 10
    subsample: int = SUBSAMPLE
    seed: int = 0


@dataclass(frozen=True)
class PaperSummary:
    """How the premodel came about.

    Attributes
    ----------
    models:
        Every step of Algorithm 1.
    pruning, removal:
        Both stages of feature selection; None without it.
    scored_on:
        Samples on which features were scored; 0 without feature selection.
    kept:
        Names of the features the selector reads.
    settings:
        What was asked for.
    """

    models: ModelSelection
    pruning: Pruning | None
    removal: GreedyRemoval | None
    scored_on: int
    kept: tuple[str, ...]
    settings: PaperSettings

    def lines(self) -> list[str]:
        """The account in plain words, a line each."""
        found = [f"model selection on {self.models.samples} samples, theta {self.models.theta:g} points"]
        found += [f"  {step}" for step in self.models.steps]
        found.append(f"  stopped: {self.models.stopped}")
        if self.pruning is not None and self.removal is not None:
            found.append(f"features dropped at a correlation above {self.pruning.threshold:g}")
            found += [f"  {dropped}" for dropped in self.pruning.dropped]
            found.append(f"features removed by loss of accuracy, scored on {self.scored_on} samples")
            found += [f"  {removal}" for removal in self.removal.rounds]
            found.append(f"  stopped: {self.removal.stopped}")
        found.append(f"features kept: {', '.join(self.kept)}")
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable; what is not a number is None."""
        return {name: plain(value) for name, value in vars(self).items()}


@dataclass(frozen=True, eq=False)
class PaperFit:
    """The fitted parts.

    Attributes
    ----------
    candidates:
        Columns of the chosen candidates, in the order of the chain.
    names:
        Their names.
    features:
        Columns of the features that the selector reads, in its order.
    selector:
        Scores the chosen candidates, in that order.
    account:
        How it came about.
    """

    candidates: tuple[int, ...]
    names: tuple[str, ...]
    features: tuple[int, ...]
    selector: Selector
    account: PaperSummary


def fit_paper(
    tables: Tables,
    criterion: Criterion,
    settings: PaperSettings = PaperSettings(),
    fallback: int | None = None,
) -> PaperFit:
    """Fit the premodel of paper section 3 on training rows; nothing outside them is looked at.

    Parameters
    ----------
    tables:
        Training rows.
    criterion:
        "top1" or "top5".
    settings:
        Choices.
    fallback:
        Column of the candidate that answers when none says yes, None to abstain. It counts where features are scored;
        the selector does not depend on it otherwise.

    Raises
    ------
    OptionError
        A setting is wrong, or there are too few samples for it.

    Notes
    -----
    The optimum that labels speak of is the optimum among the chosen candidates, as in paper section 5.2, where the
    premodel is to predict "which of the inference models" it has to use. Were it the optimum of the whole zoo, samples
    on which a candidate that was not chosen is the optimum would teach every level to say no.

    Features are selected for the KNN chain whatever the technique: the paper uses the same features for all. Their
    importance is the loss of accuracy of what the chain would serve, an abstention counting as wrong.
    """
    fit = technique_fit(settings.technique)
    correct = tables.score(criterion)
    models = select_models(correct, tables.latency_ms, tables.candidates, settings.theta, settings.limit)
    chosen = list(models.chosen)
    labels = make_labels(settings.labels, correct[:, chosen], tables.latency_ms[chosen])
    pruning, removal, scored_on = None, None, 0
    columns = list(range(len(tables.feature_names)))
    if settings.select_features:
        pruning, removal, scored_on = _select_features(tables, correct, labels, chosen, settings, fallback)
        columns = list(removal.kept)
    kept = tuple(tables.feature_names[column] for column in columns)
    selector = fit(tables.features[:, columns], labels, kept, settings.seed)
    names = tuple(tables.candidates[candidate] for candidate in chosen)
    account = PaperSummary(models, pruning, removal, scored_on, kept, settings)
    return PaperFit(models.chosen, names, tuple(columns), selector, account)


def _select_features(
    tables: Tables,
    correct: NDArray[Any],
    labels: NDArray[Any],
    chosen: list[int],
    settings: PaperSettings,
    fallback: int | None,
) -> tuple[Pruning, GreedyRemoval, int]:
    """Both stages of feature selection and the number of samples of the second."""
    pruning = prune_correlated(tables.features, tables.feature_names, tables.feature_costs, settings.correlation)
    accuracy, scored_on = subset_accuracy(tables, correct, labels, chosen, settings, fallback)
    removal = remove_greedily(pruning.kept, tables.feature_names, accuracy, settings.target, settings.max_loss_points)
    return pruning, removal, scored_on


def subset_accuracy(
    tables: Tables,
    correct: NDArray[Any],
    labels: NDArray[Any],
    chosen: list[int],
    settings: PaperSettings,
    fallback: int | None,
) -> tuple[KnnAccuracy, int]:
    """Accuracy of the KNN chain over the chosen candidates by the features it reads, and on how many samples."""
    right_counts = np.rint(correct.sum(axis=1)).astype(np.intp)
    rows = stratified_subsample(tables.truth, right_counts, settings.subsample, settings.seed)
    accuracy = KnnAccuracy(
        tables.features[rows],
        labels[rows],
        correct[rows],
        lambda scores: first_yes(scores, chosen, fallback),
        stratified_folds(tables.truth[rows], right_counts[rows], settings.folds, settings.seed),
        K,
    )
    return accuracy, len(rows)


def first_yes(scores: Scores, chosen: list[int], fallback: int | None) -> NDArray[np.intp]:
    """The rule of policy `select`, for many inputs at once.

    Parameters
    ----------
    scores:
        (n, m) of the chosen candidates.
    chosen:
        Column of each.
    fallback:
        Column that answers when no score is above 0.5; None abstains.

    Returns
    -------
    intp (n,): column of the candidate that answers, -1 for an abstention.
    """
    yes = scores > 0.5
    otherwise = -1 if fallback is None else fallback
    return np.where(yes.any(axis=1), np.asarray(chosen)[yes.argmax(axis=1)], otherwise)
