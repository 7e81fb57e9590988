"""Training of policy `paper`: the paper's premodel (section 3), candidates, features and selector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.runtime.policies.select import Rule
from premodel.runtime.selectors.base import Scores, Selector
from premodel.training.feature_pruning import CORRELATION
from premodel.training.feature_selection import (
    FOLDS,
    SUBSAMPLE,
    FeatureSelection,
    SelectionSettings,
    select_features,
)
from premodel.training.greedy_removal import TARGET
from premodel.training.labels import LabelScheme, make_labels
from premodel.training.model_selection import THETA, ModelSelection, select_models
from premodel.training.options import TrainOptions
from premodel.training.policies.select import YES, SelectorRecord, fallback_of, select_policy
from premodel.training.record import Trained, TrainedOn, TrainingRecord, plain
from premodel.training.selectors.registry import OF_THE_PAPER, technique_of
from premodel.training.tables import Tables
from premodel.training.trainer import Trainer


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
        See `technique_of`; "knn" is the paper's KNN chain.
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
    technique: str = OF_THE_PAPER
    select_features: bool = True
    correlation: float = CORRELATION
    target: int = TARGET
    max_loss_points: float | None = None
    folds: int = FOLDS
    subsample: int = SUBSAMPLE
    seed: int = 0

    @property
    def selection(self) -> SelectionSettings:
        """Those of feature selection."""
        return SelectionSettings(
            self.correlation, self.target, self.max_loss_points, self.folds, self.subsample, self.seed
        )


@dataclass(frozen=True)
class PaperSummary:
    """How the premodel came about.

    Attributes
    ----------
    models:
        Every step of Algorithm 1.
    features:
        Both stages of feature selection; None without it.
    kept:
        Names of the features the selector reads.
    settings:
        What was asked for.
    """

    models: ModelSelection
    features: FeatureSelection | None
    kept: tuple[str, ...]
    settings: PaperSettings

    def lines(self) -> list[str]:
        """In plain words, a line each."""
        found = [f"model selection on {self.models.samples} samples, theta {self.models.theta:g} points"]
        found += [f"  {step}" for step in self.models.steps]
        found.append(f"  stopped: {self.models.stopped}")
        found += [f"features kept: {', '.join(self.kept)}"] if self.features is None else self.features.lines()
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable; what is not a number is None."""
        features = self.features
        return {
            "models": plain(self.models),
            "pruning": None if features is None else plain(features.pruning),
            "removal": None if features is None else plain(features.removal),
            "scored_on": 0 if features is None else features.scored_on,
            "kept": list(self.kept),
            "settings": plain(self.settings),
        }


@dataclass(frozen=True, eq=False)
class PaperFit:
    """What was fitted.

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
    summary:
        How it came about.
    """

    candidates: tuple[int, ...]
    names: tuple[str, ...]
    features: tuple[int, ...]
    selector: Selector
    summary: PaperSummary


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
        Column of the candidate for when none predicts yes, None to abstain. It counts where features are scored;
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
    fit = technique_of(settings.technique).load()
    correct = tables.score(criterion)
    models = select_models(correct, tables.latency_ms, tables.candidates, settings.theta, settings.limit)
    chosen = list(models.chosen)
    labels = make_labels(settings.labels, correct[:, chosen], tables.latency_ms[chosen])
    columns, features = tuple(range(len(tables.feature_names))), None
    if settings.select_features:
        features, _ = select_features(
            tables, correct, labels, lambda scores: first_yes(scores, chosen, fallback), settings.selection
        )
        columns = features.columns
    kept = tuple(tables.feature_names[column] for column in columns)
    selector = fit(tables.features[:, columns], labels, kept, settings.seed)
    names = tuple(tables.candidates[candidate] for candidate in chosen)
    return PaperFit(models.chosen, names, columns, selector, PaperSummary(models, features, kept, settings))


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


@dataclass(frozen=True)
class PaperRecord(TrainingRecord):
    """The record of policy `paper`: what it was trained on, how it came about, what it decides by."""

    trained_on: TrainedOn
    summary: PaperSummary
    selector: SelectorRecord
    chain: tuple[str, ...]
    rule: Rule
    fallback: str | None

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        by_class = self.rule == "highest-class"
        how = "the highest score, none's included, of" if by_class else f"the first score above {YES:g} of"
        return [
            *self.trained_on.lines(),
            *self.summary.lines(),
            self.selector.line(),
            f"decides: {how} {' -> '.join(self.chain)}; otherwise {self.fallback or 'no answer'}",
        ]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        return {**self.selector.to_json(), **self.summary.to_json()}


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Train the paper's premodel (section 3): Algorithm 1, feature selection, a chain of decisions, first yes.

    Parameters
    ----------
    options:
        `technique` is "knn" by default, `labels` "optimum". The objective decides what the paper leaves to the user:
        the fallback, unless one is named, is the single candidate that meets the objective; under a ceiling of latency
        the candidates above it are left out altogether, so that every answer keeps it.

    Notes
    -----
    A floor of accuracy is met by the fallback alone, not by the chain: the paper's premodel has no knob between
    accuracy and latency, and is reported as it comes out. `multi_class` takes the class of the highest score, none
    being a class, instead of the first yes.

    Raises
    ------
    OptionError
        A cost weight is given, which only policy `select` has; the fallback or technique is unknown; or nothing can be
        trained on these tables.
    """
    options.refuse(cost_weight="use --policy select")
    technique, scheme = technique_of(options.technique or OF_THE_PAPER), options.labels or "optimum"
    tables = _within_latency(tables, options)
    fallback = fallback_of(tables, options)
    settings = PaperSettings(
        options.theta,
        None,
        scheme,
        technique.name,
        target=options.features,
        subsample=options.feature_samples,
        seed=options.seed,
    )
    fitted = fit_paper(tables, options.criterion, settings, fallback)
    rule: Rule = "highest-class" if technique.exclusive else "first-yes"
    policy = select_policy(tables, options, fitted.candidates, fitted.selector, rule, fallback, scheme)
    record = PaperRecord(
        TrainedOn.of(tables, options),
        fitted.summary,
        SelectorRecord(technique.name, scheme, policy.costs.features_ms),
        policy.chain,
        rule,
        policy.fallback,
    )
    return Trained(policy, record)


def _within_latency(tables: Tables, options: TrainOptions) -> Tables:
    """The tables with the candidates at or below the objective's ceiling of latency."""
    ceiling_ms = options.objective.max_latency_ms
    if ceiling_ms is None:
        return tables
    return tables.take_candidates(np.flatnonzero(tables.end_to_end_ms() <= ceiling_ms).tolist())


TRAINER = Trainer(
    "paper",
    "the paper's chain of K-nearest-neighbour decisions",
    train,
    reads_features=True,
    has_operating_points=False,
)
