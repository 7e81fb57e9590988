"""Training of policy `select`: the choice by utility, from features of the input before any candidate ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.select import Rule, Select
from premodel.runtime.selectors.base import Scores, Selector
from premodel.training.ceilings import check_together
from premodel.training.feature_selection import FeatureSelection, SelectionSettings, select_features
from premodel.training.folds import stratified_folds
from premodel.training.labels import LabelScheme, make_labels
from premodel.training.latency_curves import learn_latency_curves, lengths_of
from premodel.training.operating_point import OperatingPoint
from premodel.training.options import ABSTAIN, TrainOptions
from premodel.training.record import Trained, TrainedOn, TrainingRecord, plain
from premodel.training.selectors.registry import BY_UTILITY, technique_of
from premodel.training.tables import Tables
from premodel.training.trainer import Trainer

FOLDS = 5
"""Of the cross-validation inside the tables that features and the cost weight are chosen by."""
YES = 0.5
"""A candidate predicts yes when its score is above this."""
ALWAYS = -1.0
"""A threshold that every score is above."""
WEIGHTS = 64
"""Points of the grid of cost weights."""
KNN_SELECT_MS = 0.15 / (50_000 * 7)
OTHER_SELECT_MS = 0.03
"""Upper estimates of one decision, for call budgets: per training value of a neighbour search, and of the rest.

Estimates and not measurements, because equal training must give an equal bundle, byte for byte.
"""


@dataclass(frozen=True)
class SelectorRecord:
    """The selector behind a choice.

    Attributes
    ----------
    technique, labels:
        What it is, and what it was taught.
    features_ms:
        Extraction of the features it reads.
    """

    technique: str
    labels: LabelScheme
    features_ms: float

    def line(self) -> str:
        """In plain words."""
        taught = "who is the optimum" if self.labels == "optimum" else "who is right"
        return f"selector: {self.technique}, taught {taught}; features take {self.features_ms:.3f} ms"

    def to_json(self) -> dict[str, Any]:
        """Technique and labels."""
        return {"technique": self.technique, "labels": self.labels}


@dataclass(frozen=True)
class SelectRecord(TrainingRecord):
    """The record of policy `select`: what it was trained on, features, selector, operating point.

    Attributes
    ----------
    asks_for_a_yes:
        Does only a score above a half choose a candidate; else the fallback answers.
    """

    trained_on: TrainedOn
    features: FeatureSelection
    selector: SelectorRecord
    point: OperatingPoint
    asks_for_a_yes: bool
    fallback: str | None

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        point = self.point
        return [
            *self.trained_on.lines(),
            *self.features.lines(),
            self.selector.line(),
            f"cost weight {point.cost_weight:.6g} per ms: cross-validated accuracy {100 * point.accuracy:.2f} % at "
            f"{point.latency_ms:.3f} ms" + ("" if point.met else ", which does NOT meet the objective"),
            "decides: the highest score less the cost of its latency, of all candidates"
            + (f" above {YES:g}; otherwise {self.fallback or 'no answer'}" if self.asks_for_a_yes else ""),
        ]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        return {
            **self.selector.to_json(),
            "feature_selection": plain(self.features),
            "operating_point": plain(self.point),
        }


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Train the choice by utility: highest score - cost_weight * latency over all candidates.

    Parameters
    ----------
    options:
        `technique` is "logistic" by default, `labels` "right". The cost weight is the one of the objective, or is
        chosen for it among a grid by cross-validation inside these tables. Without a `fallback` some candidate
        always answers; with one, it answers where no score is above a half.

    Notes
    -----
    If no weight meets the objective in cross-validation, the training summary states so, the nearest point is trained.

    Raises
    ------
    OptionError
        The fallback or technique is unknown, or nothing can be trained on these tables.
    """
    technique, scheme = technique_of(options.technique or BY_UTILITY), options.labels or "right"
    if technique.exclusive:
        raise OptionError(
            "policy select weighs scores of single candidates", given=technique.name, do="use --policy paper"
        )
    correct, right_counts = tables.score(options.criterion), tables.right_counts(options.criterion)
    fallback = None if options.fallback is None else fallback_of(tables, options)
    labels = make_labels(scheme, correct, tables.latency_ms if tables.sample_ms is None else tables.sample_ms)
    settings = SelectionSettings(
        target=options.features, folds=FOLDS, subsample=options.feature_samples, seed=options.seed
    )
    kept, _ = select_features(tables, correct, labels, lambda scores: scores.argmax(axis=1), settings)
    features = tables.features[:, list(kept.columns)]
    fit = technique.load()
    scores = np.empty(correct.shape)
    predicted_ms = np.repeat(tables.latency_ms[None, :], len(tables), axis=0)
    for fold in stratified_folds(tables.truth, right_counts, FOLDS, options.seed):
        selector = fit(features[fold.train], labels[fold.train], kept.names, options.seed)
        scores[fold.test] = selector.score_batch(features[fold.test])
        curves = learn_latency_curves(tables.take(fold.train))
        if curves is not None and (lengths := lengths_of(tables, curves.measure)) is not None:
            predicted_ms[fold.test] = curves.of(lengths[fold.test])
    threshold = ALWAYS if options.fallback is None else YES
    before_ms = tables.decode_ms + tables.feature_costs.of(kept.names)
    point = _operating_point(tables, correct, scores, predicted_ms, before_ms, fallback, threshold, options)
    selector = fit(features, labels, kept.names, options.seed)
    every = tuple(range(len(tables.candidates)))
    policy = select_policy(tables, options, every, selector, "utility", fallback, scheme, threshold, point.cost_weight)
    record = SelectRecord(
        TrainedOn.of(tables, options),
        kept,
        SelectorRecord(technique.name, scheme, policy.costs.features_ms),
        point,
        options.fallback is not None,
        policy.fallback,
    )
    return Trained(policy, record)


def fallback_of(tables: Tables, options: TrainOptions) -> int | None:
    """Column of the fallback: as named, or the single candidate that meets the objective; None abstains."""
    if options.fallback == ABSTAIN:
        return None
    if options.fallback is None:
        accuracy = tables.score(options.criterion).mean(axis=0)
        end_to_end_ms = tables.end_to_end_ms()
        timely = options.objective.timely(accuracy, end_to_end_ms)
        return options.objective.single(tables.candidates, timely, end_to_end_ms)
    if options.fallback not in tables.candidates:
        names = [*tables.candidates, ABSTAIN]
        raise OptionError("unknown fallback", given=options.fallback, allowed=", ".join(names))
    return tables.candidates.index(options.fallback)


def select_policy(
    tables: Tables,
    options: TrainOptions,
    chain: tuple[int, ...],
    selector: Selector,
    rule: Rule,
    fallback: int | None,
    scheme: LabelScheme,
    threshold: float = YES,
    cost_weight: float = 0.0,
) -> Select:
    """The policy of a fitted selector; `chain` and `fallback` are columns of the tables.

    Raises
    ------
    OptionError
        Its candidates together are over the objective's ceiling of memory.
    """
    runnable = [*chain, *([] if fallback is None or fallback in chain else [fallback])]
    latency_ms = tuple(tables.latency_ms[runnable].tolist())
    features_ms = tables.feature_costs.of(selector.features)
    check_together(tables, options.objective, [tables.candidates[column] for column in runnable], options.policy)
    return Select(
        [tables.candidates[column] for column in chain],
        selector,
        rule=rule,
        costs=Costs(
            latency_ms,
            tables.decode_ms,
            features_ms,
            _select_ms(selector),
            learn_latency_curves(tables.take_candidates(runnable)),
        ),
        fallback=None if fallback is None else tables.candidates[fallback],
        threshold=threshold,
        cost_weight=cost_weight,
        meaning=scheme,
    )


def _select_ms(selector: Selector) -> float:
    """Upper estimate of one decision: a neighbour search reads every remembered row, anything else is quick."""
    remembered = sum(array.size for name, array in selector.arrays().items() if name.rpartition(".")[2] == "rows")
    return OTHER_SELECT_MS + KNN_SELECT_MS * remembered


def _operating_point(
    tables: Tables,
    correct: NDArray[np.float64],
    scores: Scores,
    predicted_ms: NDArray[np.float64],
    before_ms: float,
    fallback: int | None,
    threshold: float,
    options: TrainOptions,
) -> OperatingPoint:
    """The cost weight for the objective, from out-of-fold scores and latencies (n, m), and what it gives."""
    given, alone = options.objective.cost_weight, options.objective.weight_alone
    scale = 1.0 / max(float(np.ptp(tables.latency_ms)), 1e-9)
    grid = np.array([0.0, *np.geomspace(1e-3, 10, WEIGHTS - 1) * scale]) if alone is None else np.array([alone])
    if given is not None:
        grid = np.unique([*grid, given])
    unanswered = tables.unanswered(options.criterion) if fallback is None else correct[:, fallback]
    points = [
        _served(tables, correct, scores, predicted_ms, fallback, unanswered, threshold, weight) for weight in grid
    ]
    accuracy = np.array([right.mean() for right, _ in points])
    mean_ms = np.array([before_ms + ran_ms.mean() for _, ran_ms in points])
    best_accuracy = float(correct.mean(axis=0).max())
    timely = np.array([options.objective.timely(right, before_ms + ran_ms).mean() for right, ran_ms in points])
    chosen, met = options.objective.choose_or_nearest(timely, mean_ms, best_accuracy)
    return OperatingPoint(
        chosen,
        float(grid[chosen]),
        float(accuracy[chosen]),
        float(accuracy[chosen]),
        float(mean_ms[chosen]),
        met,
        best_accuracy,
        FOLDS,
    )


def _served(
    tables: Tables,
    correct: NDArray[np.float64],
    scores: Scores,
    predicted_ms: NDArray[np.float64],
    fallback: int | None,
    unanswered: NDArray[np.float64],
    threshold: float,
    weight: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score, and latency of the candidates run, of each sample, by the rule with this weight on scores (n, m).

    `unanswered` (n,) is scored where no score is above the threshold.
    """
    above = scores > threshold
    choice = np.where(above, scores - weight * predicted_ms, -np.inf).argmax(axis=1)
    rows = np.arange(len(scores))
    right, ran_ms = correct[rows, choice], tables.latency()[rows, choice]
    none = ~above.any(axis=1)
    right = np.where(none, unanswered, right)
    ran_ms = np.where(none, 0.0 if fallback is None else tables.latency()[:, fallback], ran_ms)
    return np.asarray(right, np.float64), np.asarray(ran_ms)


TRAINER = Trainer(
    "select", "the highest score, by features of the input, less the cost of latency", train, reads_features=True
)
