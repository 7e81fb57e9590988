"""Two candidates, one score from the image features, one threshold: the form of RouteLLM (Ong et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.peers.choice import (
    Bools,
    Objectives,
    Setting,
    as_served,
    empty_points,
    pick_setting,
)
from premodel.evaluation.peers.points import Floats, Points
from premodel.records import Criterion
from premodel.stats import upper_hull
from premodel.training.folds import Fold, stratified_folds
from premodel.training.selectors.base import scikit_learn
from premodel.training.tables import Tables

SHARES = np.linspace(0, 1, 21)
INNER_FOLDS = 5
FIT_ROWS = 10_000
"""Of more training rows so many are fitted on, evenly spaced."""


def thresholds_by_folds(
    tables: Tables,
    criterion: Criterion,
    folds: Sequence[Fold],
    objectives: Objectives,
    best_of: Callable[[Fold], float],
    seed: int,
) -> Points:
    """As `choose_by_folds`; the score is fitted in each fold."""
    found = empty_points(objectives, len(tables))
    for fold in folds:
        both = list(two_model_thresholds(tables, criterion, fold, seed))
        accuracy = np.array([right.mean() for (right, _), _ in both])
        mean_ms = np.array([as_served(latency).mean(dtype=np.float64) for (_, latency), _ in both])
        for position, (_, objective) in enumerate(objectives):
            right, latency_ms = both[pick_setting(objective, accuracy, mean_ms, best_of(fold))][1]
            found.right[position, fold.test] = right
            found.latency_ms[position, fold.test] = as_served(latency_ms)
    return found


def two_model_thresholds(
    tables: Tables, criterion: Criterion, fold: Fold, seed: int
) -> Iterator[tuple[Setting, Setting]]:
    """Each setting on the training rows and on the test rows.

    The score is a logistic estimate that the strong candidate wins (it is right, the weak one is wrong). Pairs are
    those of the upper hull of the training rows; thresholds are quantiles of the scores. On training rows the scores
    are cross-fitted, so that the choice among settings is not made on rows that the score was fitted on. All image
    features are charged.
    """
    train, test = tables.take(fold.train), tables.take(fold.test)
    right = train.correct(criterion), test.correct(criterion)
    hull = upper_hull(train.latency_ms, right[0].mean(axis=0)).tolist()
    before_ms = tables.decode_ms + tables.feature_costs.of(tables.feature_names)
    if len(hull) == 1 or len(train) < INNER_FOLDS:  # one candidate is best in every way, or there is nothing to fit on
        alone_ms = before_ms + tables.latency_ms[hull[0]]
        seen, unseen = ((one[:, hull[0]], np.full(len(one), alone_ms)) for one in right)
        yield seen, unseen
        return
    inner = stratified_folds(train.truth, right[0].sum(axis=1), INNER_FOLDS, seed)
    for weak, strong in combinations(hull, 2):
        wins = right[0][:, strong] & ~right[0][:, weak]
        score = np.empty(len(train))
        for part in inner:
            fitted = logistic(train.features[part.train], wins[part.train])
            score[part.test] = fitted(train.features[part.test])
        later = logistic(train.features, wins)(test.features)
        for threshold in np.quantile(score, SHARES):
            seen, unseen = (
                (
                    np.where(send, one[:, strong], one[:, weak]),
                    before_ms + np.where(send, tables.latency_ms[strong], tables.latency_ms[weak]),
                )
                for one, send in zip(right, (score >= threshold, later >= threshold), strict=True)
            )
            yield seen, unseen


def logistic(features: NDArray[np.float32], target: Bools) -> Callable[[NDArray[np.float32]], Floats]:
    """Logistic regression on standardised features, as a function; a constant target gives that constant."""
    rows = np.arange(len(features)) if len(features) <= FIT_ROWS else np.arange(FIT_ROWS) * len(features) // FIT_ROWS
    features, target = features[rows], target[rows]
    if target.all() or not target.any():
        constant = float(target[0])
        return lambda unseen: np.full(len(unseen), constant)
    scaler = scikit_learn("preprocessing").StandardScaler().fit(features)
    model = scikit_learn("linear_model").LogisticRegression(max_iter=200).fit(scaler.transform(features), target)
    return lambda unseen: np.asarray(model.predict_proba(scaler.transform(unseen))[:, 1])
